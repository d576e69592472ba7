//! The machine stops in every disk call of everything that a log does, and each of the simple ways in which what was
//! pending may survive ([`SimDisk::survivors`](crate::env::SimDisk::survivors)) is opened, compared, opened once more, and
//! used. See `cargo test -p tailwater-log --lib crash_points -- --nocapture` for how many there are.

use super::history::{Send, Setup, Step};
use super::world::World;
use super::{Checked, ensure};
use crate::types::Flush;

/// Survivors of each crash.
const SURVIVORS: usize = 24;

/// A short history, and what is done in whose calls the machine stops.
struct Case {
    name: &'static str,
    before: Vec<Step>,
    then: Vec<Step>,
}

fn setups() -> Vec<Setup> {
    // The third has a topic of its own.
    [300, 300, 300].map(|segment_bytes| Setup { flush: Flush::Durable, segment_bytes }).to_vec()
}

fn plain(slot: usize) -> Step {
    Step::Append { slot, sends: vec![Send::Plain { records: 2, bytes: 20 }] }
}

fn transactional(slot: usize, producer: i64) -> Step {
    Step::Append { slot, sends: vec![Send::Next { producer, records: 2, transactional: true }] }
}

fn marker(slot: usize, producer: i64, commits: bool) -> Step {
    Step::Append { slot, sends: vec![Send::Marker { producer, commits }] }
}

const ROUND: Step = Step::Round { all: false };

/// Two segments and more in each of two partitions: the first durable, with transactions; the second durable in part.
fn past() -> Vec<Step> {
    vec![
        plain(0),
        transactional(0, 1),
        transactional(0, 2),
        marker(0, 1, false),
        ROUND,
        Step::BeginEpoch { slot: 0 },
        plain(0),
        transactional(0, 1),
        plain(1),
        ROUND,
        Step::SyncCheckpoint,
        plain(1),
        plain(1),
    ]
}

fn case(name: &'static str, more: impl IntoIterator<Item = Step>, then: impl IntoIterator<Item = Step>) -> Case {
    Case { name, before: past().into_iter().chain(more).collect(), then: then.into_iter().collect() }
}

/// Stops in each call of `case` in turn; how many calls and survivors there were.
fn enumerate(case: &Case) -> Checked<(u64, u64)> {
    let start = || -> Checked<World> {
        let mut world = World::new(&setups());
        world.up(false)?;
        case.before.iter().try_for_each(|step| world.step(step))?;
        Ok(world)
    };
    let mut whole = start()?;
    let from = whole.disk.ops();
    case.then.iter().try_for_each(|step| whole.act(step))?;
    let to = whole.disk.ops();
    let (mut survivors, mut points) = (0, 0);
    for op in from..=to {
        let mut world = start()?;
        ensure!(world.disk.ops() == from, "the same history takes the same calls");
        world.stop_at(op);
        for step in &case.then {
            if !world.has_stopped() {
                world.act(step).map_err(|why| format!("{}, call {op}: {why}", case.name))?;
            }
        }
        points += 1;
        for disk in world.disk.survivors(SURVIVORS) {
            let context = format!("{}, call {op} of [{from}, {to}), {}", case.name, disk.fate());
            survive(world.after(disk), survivors).map_err(|why| format!("{context}: {why}"))?;
            survivors += 1;
        }
    }
    Ok((points, survivors))
}

/// What a crash has left opens, opens again, and works.
fn survive(mut world: World, seed: u64) -> Checked {
    world.up(true)?;
    world.opens_again(seed)?;
    for slot in 0..setups().len() {
        world.step(&Step::Read { slot, max_bytes: 300, from_files: true })?;
        world.step(&transactional(slot, 1))?;
        world.step(&Step::Append {
            slot,
            sends: vec![Send::Again { producer: 1, back: 0 }, Send::Gap { producer: 2 }],
        })?;
    }
    world.step(&ROUND)?;
    for step in [Step::PowerCut { seed }, Step::Close, Step::Kill] {
        world.step(&step)?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "for whoever asked for it")]
fn check(case: &Case) {
    match enumerate(case) {
        Ok((points, survivors)) => println!("{}: {points} crash points, {survivors} survivors", case.name),
        Err(why) => panic!("{why}"),
    }
}

#[test]
fn append() {
    let batches = (0..3).map(|_| Send::Plain { records: 1, bytes: 700 }).collect();
    check(&case("append", [], [plain(2), Step::Append { slot: 1, sends: batches }, transactional(0, 2), ROUND]));
}

#[test]
fn roll() {
    let then = [Step::Roll { slot: 0 }, plain(0), Step::Roll { slot: 1 }, plain(1), ROUND];
    check(&case("roll", [], then));
    let sync = [Step::BeginSync { slot: 1 }, Step::Roll { slot: 1 }, plain(1), Step::FinishSync { slot: 1 }];
    check(&case("roll during a sync", [], sync.into_iter().chain([ROUND])));
}

#[test]
fn sync() {
    check(&case("sync of each", [plain(2)], [ROUND]));
    check(&case("sync of all", [plain(2)], [Step::Round { all: true }]));
}

#[test]
fn checkpoint() {
    check(&case(
        "checkpoint append and sync",
        [],
        [ROUND, Step::SyncCheckpoint, plain(0), ROUND, Step::SyncCheckpoint],
    ));
    // Tests compact a checkpoint when 512 bytes of it are stale.
    let rounds = (0..6).flat_map(|n| [plain(n % 2), ROUND]);
    check(&case("checkpoint compaction", [ROUND], rounds));
}

#[test]
fn footer_and_close() {
    check(&case("close with footers and snapshots", [], [Step::Close]));
    check(&case("close of what was just opened", [Step::Close], [Step::Close]));
}

#[test]
fn truncation() {
    for permille in [150, 600, 1000] {
        check(&case("truncation of an unsynced end", [], [Step::Truncate { slot: 1, permille }, plain(1), ROUND]));
        check(&case("truncation", [ROUND], [Step::Truncate { slot: 0, permille }, plain(0), ROUND]));
    }
}

#[test]
fn deletion() {
    for permille in [500, 1000] {
        let delete = |slot| Step::DeleteBelow { slot, permille, removes: true };
        check(&case("deletion from the front", [ROUND], [delete(0), delete(1), plain(0), ROUND]));
        let rolled = [Step::Roll { slot: 0 }, ROUND];
        check(&case("deletion of all but an empty segment", rolled, [delete(0), plain(0), ROUND]));
    }
}

#[test]
fn topic_deletion() {
    let used = [plain(2), plain(2), transactional(2, 1), ROUND, plain(2)];
    check(&case("topic deletion", used, [Step::ReplaceTopic { slot: 2 }, plain(2), ROUND]));
}

#[test]
fn recovery() {
    check(&case("recovery after a kill", [plain(0)], [Step::Kill]));
    for seed in 1..5 {
        let cut = [plain(0), Step::Roll { slot: 1 }, plain(1), Step::PowerOff { seed }];
        check(&case("recovery after a power cut", cut, [Step::PowerOn]));
    }
}
