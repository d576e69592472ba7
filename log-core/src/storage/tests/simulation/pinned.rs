//! Histories that random runs have found, as short as they would go, by what was wrong.

use super::history::{Send, Setup, Step};
use super::runner::replay;
use crate::env::sim_disk::Call;
use crate::types::Flush;
use Flush::{Durable, Os};
use Step::{
    BeginEpoch, BeginSync, Close, CloseIdleFiles, Fail, Fill, Heal, Kill, PowerCut, PowerCutIn, Roll, Round,
    SyncCheckpoint,
};

const LARGE: u64 = 1 << 20;

/// Does the steps; the seed is that of what chance decides besides.
fn check(seed: u64, setups: &[Setup], steps: &[Step]) {
    if let Err(why) = replay(seed, setups, steps) {
        panic!("{why}");
    }
}

const fn setup(flush: Flush, segment_bytes: u64) -> Setup {
    Setup { flush, segment_bytes }
}

fn append<const N: usize>(slot: usize, sends: [Send; N]) -> Step {
    Step::Append { slot, sends: sends.to_vec() }
}

const fn delete(slot: usize, permille: u32, removes: bool) -> Step {
    Step::DeleteBelow { slot, permille, removes }
}

const fn truncate(slot: usize, permille: u32) -> Step {
    Step::Truncate { slot, permille }
}

const fn read(slot: usize, max_bytes: u32, from_files: bool) -> Step {
    Step::Read { slot, max_bytes, from_files }
}

const fn plain(records: u32, bytes: u16) -> Send {
    Send::Plain { records, bytes }
}

const fn next(producer: i64, records: u32) -> Send {
    Send::Next { producer, records, transactional: false }
}

const fn transactional(producer: i64, records: u32) -> Send {
    Send::Next { producer, records, transactional: true }
}

const fn again(producer: i64, back: u8) -> Send {
    Send::Again { producer, back }
}

const fn gap(producer: i64) -> Send {
    Send::Gap { producer }
}

const fn new_epoch(producer: i64) -> Send {
    Send::NewEpoch { producer }
}

const fn commit(producer: i64) -> Send {
    Send::Marker { producer, commits: true }
}

const fn abort(producer: i64) -> Send {
    Send::Marker { producer, commits: false }
}

/// The snapshot that would have let the first segment go was never written.
#[test]
fn a_close_does_not_lose_the_producers_of_segments_that_were_held_back() {
    let setups = [setup(Durable, LARGE), setup(Durable, 6000)];
    let steps = [
        PowerCutIn { calls: 5, seed: 8882226027103064430 },
        append(0, [again(0, 5)]),
        Roll { slot: 0 },
        append(0, [abort(2), abort(0)]),
        append(0, [plain(2, 20)]),
        Kill,
        delete(0, 297, true),
        Close,
        truncate(0, 780),
    ];
    check(54285, &setups, &steps);
}

/// The same; the footer that knew what was aborted was not written either.
#[test]
fn a_close_does_not_lose_the_transactions_of_segments_that_were_held_back() {
    let setups = [setup(Durable, 200)];
    let steps = [
        Fail { call: Call::Write, after: 2 },
        append(0, [new_epoch(2), plain(1, 20), new_epoch(1), again(2, 5)]),
        Fill { room: 218 },
        append(0, [abort(2), again(2, 2), transactional(2, 3)]),
        Fill { room: 530 },
        append(0, [new_epoch(0)]),
        append(0, [plain(1, 20)]),
        Heal,
        append(0, [transactional(1, 1), transactional(0, 1), again(1, 1)]),
        append(0, [transactional(0, 3), plain(2, 20), plain(2, 20), next(1, 2)]),
        truncate(0, 819),
        append(0, [abort(1)]),
        delete(0, 573, true),
        Close,
        read(0, 1048576, true),
    ];
    check(61108, &setups, &steps);
}

/// The disk was full; then a new segment began.
#[test]
fn a_deletion_that_is_not_recorded_costs_no_snapshot() {
    let setups = [setup(Durable, 200)];
    let steps = [
        append(0, [transactional(2, 3)]),
        append(0, [again(2, 0)]),
        Close,
        Fill { room: 581 },
        append(0, [plain(2, 700)]),
        Round { all: true },
        append(0, [transactional(0, 3)]),
        Round { all: true },
        delete(0, 704, true),
        append(0, [next(2, 1)]),
        append(0, [plain(1, 20)]),
        Round { all: false },
        delete(0, 547, false),
        append(0, [transactional(1, 3)]),
        PowerCut { seed: 3918389172135929444 },
        truncate(0, 793),
    ];
    check(31222, &setups, &steps);
}

/// The same.
#[test]
fn a_deletion_that_is_not_recorded_costs_no_snapshot_without_syncs() {
    let setups = [setup(Os, 200)];
    let steps = [
        append(0, [next(2, 2)]),
        append(0, [plain(2, 700)]),
        append(0, [transactional(0, 2)]),
        append(0, [plain(1, 20)]),
        append(0, [transactional(2, 3)]),
        Kill,
        delete(0, 580, true),
        append(0, [next(1, 2)]),
        BeginEpoch { slot: 0 },
        append(0, [transactional(2, 3), next(1, 3)]),
        Fill { room: 470 },
        BeginEpoch { slot: 0 },
        append(0, [plain(3, 20)]),
        delete(0, 781, true),
        append(0, [commit(2), next(0, 3), next(0, 2)]),
        Close,
        truncate(0, 949),
    ];
    check(89385, &setups, &steps);
}

/// The older one does not know what was deleted in between.
#[test]
fn a_snapshot_that_cannot_be_read_is_not_replaced_by_one_before_a_gap() {
    let setups = [setup(Durable, 200)];
    let steps = [
        append(0, [next(2, 2)]),
        append(0, [plain(3, 20)]),
        append(0, [plain(2, 20), plain(3, 20), again(2, 1), abort(0)]),
        append(0, [plain(3, 700), next(1, 2), transactional(1, 2), new_epoch(2)]),
        append(0, [plain(1, 20)]),
        append(0, [plain(2, 700)]),
        append(0, [transactional(1, 1), next(1, 2), new_epoch(1)]),
        Close,
        CloseIdleFiles,
        append(0, [next(2, 3)]),
        append(0, [plain(1, 20)]),
        Fill { room: 72 },
        delete(0, 814, false),
        append(0, [abort(0)]),
        Fail { call: Call::Open, after: 3 },
        truncate(0, 950),
        read(0, 1048576, true),
    ];
    check(66891, &setups, &steps);
}

/// The same.
#[test]
fn a_snapshot_that_cannot_be_read_once_costs_no_producer() {
    let setups = [setup(Durable, LARGE)];
    let steps = [
        append(0, [gap(1)]),
        Close,
        append(0, [new_epoch(0)]),
        Roll { slot: 0 },
        Fill { room: 617 },
        append(0, [plain(1, 20), again(0, 0)]),
        append(0, [next(2, 1)]),
        append(0, [next(2, 3)]),
        Round { all: false },
        delete(0, 172, false),
        Fail { call: Call::Open, after: 1 },
        append(0, [plain(2, 20)]),
        append(0, [plain(3, 20)]),
        append(0, [transactional(0, 3)]),
    ];
    check(96028, &setups, &steps);
}

/// Both had the same first offset and length; the new one was not synced.
#[test]
fn a_footer_is_not_that_of_a_segment_that_was_lost_before() {
    let setups = [setup(Os, 500), setup(Durable, 200)];
    let steps = [
        append(0, [plain(3, 20), transactional(2, 3), commit(2), new_epoch(2)]),
        append(1, [next(1, 3), next(2, 2), plain(2, 20)]),
        PowerCut { seed: 15361862867085371942 },
        append(1, [transactional(1, 3)]),
        append(1, [next(0, 1), again(2, 2)]),
        Kill,
        PowerCut { seed: 7512124667240413064 },
    ];
    check(50406, &setups, &steps);
}

/// What was left of a failed write came back, behind it lay what was acknowledged.
#[test]
fn a_log_goes_on_behind_a_segment_that_ends_where_it_is_known_to() {
    let setups = [setup(Durable, LARGE)];
    let steps = [
        append(0, [abort(2), plain(1, 20)]),
        Roll { slot: 0 },
        Fill { room: 217 },
        append(0, [next(2, 3)]),
        Round { all: false },
        append(0, [transactional(0, 2)]),
        Round { all: false },
        append(0, [plain(1, 20)]),
        append(0, [commit(1)]),
        append(0, [transactional(2, 3), abort(0), transactional(0, 1)]),
        append(0, [plain(1, 20)]),
        append(0, [plain(3, 700)]),
        Kill,
        Roll { slot: 0 },
        append(0, [plain(2, 700)]),
        Round { all: false },
        PowerCut { seed: 6788481874070127487 },
    ];
    check(93230, &setups, &steps);
}

/// Some of the files came back, and the first one that was not deleted was never durable.
#[test]
fn what_is_left_of_a_deletion_is_not_where_the_log_begins() {
    let setups = [setup(Durable, 200), setup(Durable, 500)];
    let steps = [
        append(0, [next(0, 3)]),
        append(1, [again(1, 5), plain(1, 20), transactional(1, 2)]),
        append(0, [plain(2, 20)]),
        append(0, [transactional(0, 3)]),
        append(0, [new_epoch(0), next(0, 1), commit(1), transactional(2, 1)]),
        append(0, [plain(2, 700)]),
        PowerCutIn { calls: 11, seed: 13371139660626499892 },
        truncate(1, 606),
        delete(0, 925, false),
        truncate(0, 665),
        append(1, [abort(0)]),
        append(1, [plain(3, 20)]),
        append(0, [transactional(1, 2), transactional(2, 2)]),
        PowerCut { seed: 6290894935877233080 },
        PowerCut { seed: 15755718663710769914 },
    ];
    check(56931, &setups, &steps);
}

/// Another process found it cut off, and did not know that the cut was not durable.
#[test]
fn what_was_cut_off_after_a_failed_write_does_not_come_back() {
    let setups = [setup(Durable, 1500), setup(Durable, LARGE), setup(Durable, 1500)];
    let steps = [
        append(2, [transactional(2, 2)]),
        Fill { room: 493 },
        Round { all: true },
        append(2, [next(2, 1), new_epoch(0), transactional(2, 3), transactional(2, 2)]),
        Kill,
        PowerCut { seed: 11439782747645436863 },
    ];
    check(235433, &setups, &steps);
}

/// The same, seen by opening it again.
#[test]
fn what_was_cut_off_after_a_failed_write_does_not_come_back_at_the_second_open() {
    let setups = [setup(Durable, 1500), setup(Durable, 1500)];
    let steps = [
        Close,
        Kill,
        PowerCut { seed: 7136063014289280561 },
        PowerCutIn { calls: 0, seed: 15826095237729290495 },
        append(1, [transactional(1, 3)]),
        PowerCut { seed: 3311495839817679623 },
        append(1, [plain(3, 20)]),
        Kill,
        Close,
        Close,
        Fill { room: 469 },
        append(0, [transactional(2, 2)]),
        append(1, [abort(0), next(0, 3), plain(2, 20), plain(1, 20)]),
        Kill,
    ];
    check(114359, &setups, &steps);
}

/// It could not be read, and all else was deleted.
#[test]
fn a_log_without_segments_needs_its_snapshot() {
    let setups = [setup(Durable, 200), setup(Durable, 200)];
    let steps = [
        append(1, [next(2, 2), next(2, 3)]),
        Close,
        delete(1, 699, true),
        truncate(1, 542),
        append(1, [next(2, 1)]),
        PowerCutIn { calls: 11, seed: 665807323670685799 },
        append(1, [plain(2, 20)]),
        append(0, [new_epoch(2)]),
        Fail { call: Call::Read, after: 4 },
        Round { all: false },
        Kill,
        read(1, 1, false),
    ];
    check(112520, &setups, &steps);
}

/// What it speaks of was deleted by the next process.
#[test]
fn a_snapshot_that_a_failed_sync_has_left_in_memory_is_not_durable() {
    let setups = [setup(Durable, LARGE), setup(Durable, 200)];
    let steps = [
        append(0, [transactional(1, 2)]),
        Fail { call: Call::Write, after: 1 },
        append(1, [commit(1)]),
        Roll { slot: 0 },
        append(0, [next(2, 1)]),
        Fail { call: Call::Sync, after: 1 },
        Close,
        delete(0, 717, true),
        append(1, [transactional(2, 3)]),
        PowerCutIn { calls: 13, seed: 14993926398784237197 },
        append(1, [transactional(2, 2)]),
    ];
    check(212203, &setups, &steps);
}

/// There was no room for the snapshot that would have let deleted segments go.
#[test]
fn a_log_that_is_opened_on_a_full_disk_takes_appends_when_there_is_room() {
    let setups = [setup(Os, 500), setup(Durable, 6000)];
    let steps = [
        append(0, [transactional(0, 3)]),
        append(1, [commit(0)]),
        append(0, [plain(1, 700)]),
        Kill,
        PowerCut { seed: 6629075067169519411 },
        delete(0, 866, true),
        Fill { room: 273 },
        Close,
        Heal,
        append(0, [abort(2)]),
    ];
    check(176898, &setups, &steps);
}

/// The same.
#[test]
fn a_log_that_is_opened_on_a_full_disk_knows_its_producers() {
    let setups = [setup(Durable, 500), setup(Durable, 500)];
    let steps = [
        append(0, [transactional(2, 1), again(0, 1), plain(2, 20)]),
        Roll { slot: 0 },
        append(0, [transactional(2, 1)]),
        append(1, [next(0, 1)]),
        Fill { room: 535 },
        Round { all: true },
        Fail { call: Call::Write, after: 1 },
        Roll { slot: 1 },
        PowerCutIn { calls: 34, seed: 1993026412834227338 },
        append(0, [plain(3, 700)]),
        append(0, [plain(3, 20)]),
        Round { all: false },
        Fill { room: 788 },
        append(0, [transactional(1, 3)]),
        Round { all: false },
        delete(0, 885, true),
        append(0, [transactional(1, 2)]),
        append(0, [again(1, 4), gap(2), plain(3, 20)]),
        Close,
        read(0, 1048576, true),
    ];
    check(219624, &setups, &steps);
}

/// The same of a write that fails.
#[test]
fn a_log_that_cannot_write_a_snapshot_knows_its_producers() {
    let setups = [setup(Os, 6000)];
    let steps = [
        append(0, [plain(1, 700), commit(0), transactional(1, 2)]),
        append(0, [transactional(1, 1)]),
        BeginSync { slot: 0 },
        append(0, [again(2, 3)]),
        Round { all: true },
        Roll { slot: 0 },
        append(0, [new_epoch(2)]),
        Round { all: false },
        Fill { room: 171 },
        Roll { slot: 0 },
        Kill,
        Round { all: false },
        append(0, [transactional(0, 2)]),
        SyncCheckpoint,
        PowerCut { seed: 11337286239269532891 },
        append(0, [plain(3, 20)]),
        PowerCut { seed: 11205602823632618736 },
        PowerCutIn { calls: 30, seed: 8992491344961524772 },
        delete(0, 563, true),
        truncate(0, 220),
        delete(0, 382, true),
        Fail { call: Call::Write, after: 5 },
        Close,
        read(0, 1, true),
    ];
    check(127117, &setups, &steps);
}

/// Recovery syncs what it finds, and such a sync may fail like any other.
#[test]
fn the_next_open_learns_of_a_sync_that_failed_in_recovery() {
    let steps = [
        Fail { call: Call::Sync, after: 4 },
        append(0, [new_epoch(2), plain(1, 20000), transactional(2, 2)]),
        Kill,
        PowerCutIn { calls: 25, seed: 16216679208281462033 },
    ];
    check(93470, &[setup(Os, 200)], &steps);
}
