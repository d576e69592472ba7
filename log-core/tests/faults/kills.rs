//! `kill -9` at random moments.

use crate::batches::{LANES, mix};
use crate::check::assert_intact;
use crate::process::{Client, Said};
use crate::{setting, tell};

/// The moments; it is in the message of a failure.
const SEED: u64 = 20_130_208;
/// A directory is left for a new one after so many.
const KILLS_OF_A_DIRECTORY: u64 = 25;

/// When a writer is killed.
#[derive(Debug)]
enum Moment {
    /// So many turns of a loop after it began to open the log.
    Opening { turns: u64 },
    /// After so many acknowledgements of lanes that are durable first, or of all.
    Writing { acked: u64, durable: bool },
}

fn moment(number: u64) -> Moment {
    let drawn = mix(SEED, number);
    match drawn % 8 {
        0 => Moment::Opening { turns: (drawn >> 8) % 3_000_000 },
        1..4 => Moment::Writing { acked: (drawn >> 8) % 1_500, durable: false },
        _ => Moment::Writing { acked: (drawn >> 8) % 150, durable: true },
    }
}

#[test]
fn a_writer_that_is_killed_loses_nothing_and_repeats_nothing() {
    let wanted = setting("FAULTS_KILLS", 8);
    let (mut kills, mut opening, mut acked, mut duplicates, mut unacknowledged) = (0, 0, 0, 0, 0);
    while kills < wanted {
        let dir = tempfile::tempdir().expect("a directory");
        let mut client = Client::new(&dir.path().join("data"));
        let first = kills;
        while kills < wanted && kills < first + KILLS_OF_A_DIRECTORY {
            let moment = moment(kills);
            let mut seen = 0;
            let life = client.live(2_000, &[], |said| match (&moment, said) {
                (Moment::Opening { turns }, Said::Opening) => {
                    (0..*turns).for_each(|_| std::hint::spin_loop());
                    true
                }
                (Moment::Writing { acked, durable }, Said::Acked { lane, .. }) => {
                    seen += u64::from(!durable || LANES[*lane].flush.is_durable());
                    seen > *acked
                }
                _ => false,
            });
            let context = format!("kill {kills} (seed {SEED}, {moment:?})");
            assert!(life.was_killed, "{context}: it was over before");
            assert_eq!(life.codes(), [""; 0], "{context}");
            opening += u64::from(life.acked() == 0);
            kills += 1;
            // Now and then the next one has to open what was left of an opening that was killed.
            if !mix(SEED + 1, kills).is_multiple_of(4) {
                let held = assert_intact(&client);
                unacknowledged += held.iter().zip(&client.acked).map(|(held, acked)| held - acked).sum::<u64>();
            }
        }
        assert_intact(&client);
        acked += client.acked.iter().sum::<u64>();
        duplicates += client.duplicates;
    }
    tell(&format!(
        "kill -9: {kills} kills, {opening} of them before the first acknowledgement; {acked} batches were acknowledged, \
         each is there once, in order, byte for byte; {unacknowledged} more were found, {duplicates} batches were sent \
         again and answered as duplicates"
    ));
}
