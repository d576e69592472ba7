//! What happens to a data directory in a simulated run: drawn from a seed, or written down for one crash point.

use crate::env::Rng;
use crate::env::sim_disk::Call;
use crate::types::Flush;
use std::ops::Range;

/// One partition of a run.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) flush: Flush,
    pub(super) segment_bytes: u64,
}

/// What a producer sends. The sequence is the one that follows from the log, as far as the model knows it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Send {
    /// Records of nobody in particular, each of so many bytes.
    Plain { records: u32, bytes: u16 },
    /// What follows on the producer's last batch.
    Next { producer: i64, records: u32, transactional: bool },
    /// One of its last batches again.
    Again { producer: i64, back: u8 },
    /// A sequence that cannot be next.
    Gap { producer: i64 },
    /// Its first batch in a new epoch.
    NewEpoch { producer: i64 },
    /// The end of its transaction, if there is one.
    Marker { producer: i64, commits: bool },
}

/// One thing that happens. `slot` is the number of a partition; a `permille` is a place between two offsets.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Batches in one append.
    Append {
        slot: usize,
        sends: Vec<Send>,
    },
    BeginEpoch {
        slot: usize,
    },
    /// The three parts of a sync, so that other things come in between.
    BeginSync {
        slot: usize,
    },
    RunSync {
        slot: usize,
    },
    FinishSync {
        slot: usize,
    },
    /// A round over all partitions; `all` syncs the whole file system at once.
    Round {
        all: bool,
    },
    SyncCheckpoint,
    Roll {
        slot: usize,
    },
    /// Moves the log start; `removes` runs the deletion, otherwise it is left for `RunDeletions` or a crash.
    DeleteBelow {
        slot: usize,
        permille: u32,
        removes: bool,
    },
    RunDeletions,
    /// Cuts the end off, as a follower does.
    Truncate {
        slot: usize,
        permille: u32,
    },
    /// Deletes the topic of a partition and makes a new one in its place.
    ReplaceTopic {
        slot: usize,
    },
    /// Reads everything and compares; with `max_bytes` at once, from memory where that is possible or from files.
    Read {
        slot: usize,
        max_bytes: u32,
        from_files: bool,
    },
    CloseIdleFiles,
    /// The disk has so many bytes left.
    Fill {
        room: u64,
    },
    /// A call of this kind fails, after so many that do not.
    Fail {
        call: Call,
        after: u64,
    },
    /// Room is made, and nothing fails any more.
    Heal,
    /// Closes in order, and opens.
    Close,
    /// The process ends, and another one opens.
    Kill,
    /// The power goes; what it leaves is drawn from the seed.
    PowerCut {
        seed: u64,
    },
    /// Its two halves.
    PowerOff {
        seed: u64,
    },
    PowerOn,
    /// The power goes in a call to come.
    PowerCutIn {
        calls: u64,
        seed: u64,
    },
}

/// The partitions and steps of a seed.
pub(super) fn draw(seed: u64) -> (Vec<Setup>, Vec<Step>) {
    let mut rng = Rng::seeded(seed);
    let slots = 1 + rng.below(3) as usize;
    let setup = |rng: &mut Rng| Setup {
        flush: if rng.chance(1, 6) { Flush::Os } else { Flush::Durable },
        segment_bytes: [200, 500, 1500, 6000, 1 << 20][rng.below(5) as usize],
    };
    let setups: Vec<Setup> = (0..slots).map(|_| setup(&mut rng)).collect();
    let wide = rng.chance(1, 8);
    let steps = (0..20 + rng.below(61)).map(|_| step(&mut rng, slots, wide)).collect();
    (setups, steps)
}

fn step(rng: &mut Rng, slots: usize, wide: bool) -> Step {
    let slot = rng.below(slots as u64) as usize;
    let permille = rng.below(1001) as u32;
    match rng.below(100) {
        0..34 => {
            let count = if rng.chance(1, 3) { 1 + rng.below(4) } else { 1 };
            Step::Append { slot, sends: (0..count).map(|_| send(rng, wide)).collect() }
        }
        34..37 => Step::BeginEpoch { slot },
        37..43 => Step::BeginSync { slot },
        43..46 => Step::RunSync { slot },
        46..50 => Step::FinishSync { slot },
        50..58 => Step::Round { all: rng.chance(1, 3) },
        58..61 => Step::SyncCheckpoint,
        61..65 => Step::Roll { slot },
        65..69 => Step::DeleteBelow { slot, permille, removes: rng.chance(2, 3) },
        69..70 => Step::RunDeletions,
        70..73 => Step::Truncate { slot, permille },
        73..74 => Step::ReplaceTopic { slot },
        74..79 => {
            let max_bytes = pick(rng, &[1, 300, 1 << 20]);
            Step::Read { slot, max_bytes, from_files: rng.chance(1, 2) }
        }
        79..81 => Step::CloseIdleFiles,
        81..83 => Step::Fill { room: rng.below(800) },
        83..87 => {
            let call =
                pick(rng, &[Call::Write, Call::Write, Call::Sync, Call::SetLen, Call::Read, Call::Open, Call::Name]);
            Step::Fail { call, after: rng.below(6) }
        }
        87..89 => Step::Heal,
        89..91 => Step::Close,
        91..93 => Step::Kill,
        93..97 => Step::PowerCut { seed: rng.next_u64() },
        _ => Step::PowerCutIn { calls: rng.below(40), seed: rng.next_u64() },
    }
}

fn send(rng: &mut Rng, wide: bool) -> Send {
    const PRODUCERS: Range<u64> = 0..3;
    let producer = (PRODUCERS.start + rng.below(PRODUCERS.end)) as i64;
    let records = 1 + rng.below(3) as u32;
    match rng.below(20) {
        0..6 => {
            let bytes = match rng.below(8) {
                0 if wide => 20_000,
                0..2 => 700,
                _ => 20,
            };
            Send::Plain { records, bytes }
        }
        6..9 => Send::Next { producer, records, transactional: false },
        9..13 => Send::Next { producer, records, transactional: true },
        13..15 => Send::Again { producer, back: rng.below(7) as u8 },
        15 => Send::Gap { producer },
        16 => Send::NewEpoch { producer },
        _ => Send::Marker { producer, commits: rng.chance(1, 2) },
    }
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len() as u64) as usize]
}
