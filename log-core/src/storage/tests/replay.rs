//! Replaying a log over a snapshot of its state gives the state that was there; snapshots through files and damage.

use super::sequences::{Event, Expected, Model, check, header, send};
use super::*;
use crate::record::crc32c;
use crate::storage::snapshot::{decode, encode, load_newest, remove_above, remove_between, write};
use crate::storage::state::State;
use proptest::prelude::*;

/// Kept small, so that producers are forgotten.
const BUDGET: usize = 4;

#[derive(Clone, Debug)]
struct Step {
    producer_id: i64,
    epoch: i16,
    send: sequences::Send,
    leads: bool,
    rolls: bool,
    lag: Offset,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..7i64, 0..6i16, send(), 0..8u8, 0..8u8, 0..5i64);
    let step = step.prop_map(|(producer_id, epoch, send, leads, rolls, lag)| Step {
        producer_id,
        epoch: epoch / 3,
        send,
        leads: leads == 0,
        rolls: rolls == 0,
        lag,
    });
    prop::collection::vec(step, 1..most)
}

fn empty() -> State {
    let mut state = State::default();
    state.producers.max = BUDGET;
    state
}

/// The states after each event, the events, and which of them a segment ends with.
fn run(steps: Vec<Step>) -> (Vec<State>, Vec<Event>, Vec<bool>, Offset) {
    let (mut live, mut model, mut rolls) = (empty(), Model::default(), Vec::new());
    let mut aborted = Vec::new();
    let (mut states, mut leader_epoch, mut high_watermark) = (vec![live.clone()], 0, 0);
    for (n, step) in steps.into_iter().enumerate() {
        let (mut header, control) = model.sent(step.producer_id, step.epoch, &step.send);
        if step.leads {
            leader_epoch += 1;
            live.epochs.assign(leader_epoch, model.end());
        }
        header.leader_epoch = leader_epoch;
        if check(&live.producers, &header, control) != Expected::Append {
            continue;
        }
        let at = Timestamp(n as i64);
        aborted.extend(live.apply(&header, control, at));
        assert_eq!(live.aborted, aborted, "those since the last roll");
        model.events.push(Event { header, control, at });
        high_watermark = high_watermark.max(model.end() - step.lag);
        live.on_high_watermark(high_watermark);
        if step.rolls {
            assert_eq!(live.roll(), std::mem::take(&mut aborted));
        }
        rolls.push(step.rolls);
        states.push(live.clone());
    }
    (states, model.events, rolls, high_watermark)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_snapshot_and_what_follows_is_the_live_state(steps in steps(60)) {
        let (states, events, rolls, high_watermark) = run(steps);
        let live = states.last().unwrap();
        for (from, snapshot) in states.iter().enumerate() {
            let mut replayed = decode(&encode(snapshot)).unwrap();
            replayed.producers.max = BUDGET;
            prop_assert_eq!(&replayed, snapshot);
            for (Event { header, control, at }, rolls) in events.iter().zip(&rolls).skip(from) {
                replayed.apply(header, *control, *at);
                if *rolls {
                    replayed.roll();
                }
            }
            replayed.on_high_watermark(high_watermark);
            // An epoch that was begun and not written in is known to the snapshot only.
            prop_assert_eq!(&replayed, live, "from a snapshot after {} batches", from);
        }
    }

    #[test]
    fn damaged_snapshots_are_refused_and_noise_is_read_or_refused(
        steps in steps(30),
        at: prop::sample::Index,
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut: prop::sample::Index,
    ) {
        let (states, ..) = run(steps);
        let bytes = encode(states.last().unwrap());
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at.index(bytes.len())] ^= 1 << bit;
            prop_assert!(decode(&flipped).is_err());
        }
        prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
        // Under a right checksum, what is read is what would be written.
        let mut bytes = bytes;
        for (at, byte) in noise {
            let at = 12 + at.index(bytes.len() - 12);
            bytes[at] = byte;
        }
        let crc = crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_be_bytes());
        if let Ok(state) = decode(&bytes) {
            prop_assert_eq!(encode(&state), bytes);
        }
    }
}

/// A state at `offset` with one producer.
fn state_at(offset: Offset) -> State {
    let mut state = State::default();
    let stamp = ProducerStamp { producer_id: 3, producer_epoch: 0, base_sequence: 0 };
    state.apply(&header(stamp, offset - 1, 1, true), None, Timestamp(9));
    state
}

#[test]
fn counts_that_are_not_there_allocate_nothing() {
    let mut bytes = encode(&State::default());
    for at in [24, 28, 32, 36] {
        bytes[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        let crc = crc32c(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(decode(&bytes), Err("it counts more than it has"));
        bytes[at..at + 4].fill(0);
    }
    assert!(decode(&[]).is_err());
}

#[test]
fn the_newest_snapshot_that_decodes_is_used_and_the_others_are_reported() {
    let sim = SimDisk::default();
    let (disk, dir) = (shared(&sim), Path::new("/data/t/x/0"));
    assert!(matches!(load_newest(&disk, dir, 0..=100), Ok((None, bad)) if bad.is_empty()), "no directory, no snapshot");
    disk.create_dir_all(dir).unwrap();
    for offset in [10, 20, 30] {
        write(&disk, dir, &state_at(offset)).unwrap();
    }
    // Neither is a snapshot.
    for name in ["00000000000000000025.snap.new", "25.snap"] {
        disk.open(&dir.join(name), crate::env::OpenMode::CreateNew).unwrap();
    }
    let loaded = |upto| {
        let (state, bad) = load_newest(&disk, dir, 0..=upto).unwrap();
        (state.map(|state| state.next_offset), bad.len())
    };
    assert_eq!(
        (loaded(9), loaded(10), loaded(29), loaded(99)),
        ((None, 0), (Some(10), 0), (Some(20), 0), (Some(30), 0))
    );
    assert_eq!(load_newest(&disk, dir, 0..=20).unwrap().0, Some(state_at(20)));

    let path = dir.join("00000000000000000030.snap");
    let file = disk.open(&path, crate::env::OpenMode::ReadWrite).unwrap();
    file.write_at(&[std::io::IoSlice::new(b"x")], 50).unwrap();
    disk.rename(&dir.join("00000000000000000010.snap"), &dir.join("00000000000000000025.snap")).unwrap();
    let (state, bad) = load_newest(&disk, dir, 0..=99).unwrap();
    assert_eq!((state, bad.len()), (Some(state_at(20)), 2));
    assert!(matches!(&bad[0], crate::types::Error::Corrupt { path: of, offset: 30, .. } if *of == path), "{}", bad[0]);

    remove_above(&disk, dir, 25).unwrap();
    assert_eq!(loaded(99), (Some(20), 1));
    remove_between(&disk, dir, 0..25, &[]).unwrap();
    assert_eq!(loaded(99), (None, 1));
}

#[test]
fn a_snapshot_that_is_cut_short_by_a_power_cut_is_passed_over() {
    for seed in 0..50 {
        let sim = SimDisk::default();
        let dir = Path::new("/data/t/x/0");
        let disk = shared(&sim);
        disk.create_dir_all(dir).unwrap();
        for dir in dir.ancestors().skip(1) {
            disk.sync_dir(dir).unwrap();
        }
        write(&disk, dir, &state_at(10)).unwrap().1.sync_data().unwrap();
        disk.sync_dir(dir).unwrap();
        write(&disk, dir, &state_at(20)).unwrap();
        let (state, bad) = load_newest(&shared(&sim.crash(seed)), dir, 0..=99).unwrap();
        assert!(bad.len() <= 1, "{bad:?}");
        assert!(state == Some(state_at(10)) || (state == Some(state_at(20)) && bad.is_empty()));
    }
}
