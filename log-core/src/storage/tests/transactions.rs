//! Transactions in a partition's log: what readers of committed records see, also after a crash.

use super::*;
use crate::record::{ControlKind, ControlRecord};
use crate::types::OffsetRange;

fn transactional(producer_id: i64, base_sequence: i32, value: &str) -> Bytes {
    let stamp = ProducerStamp { producer_id, producer_epoch: 0, base_sequence };
    let mut builder = BatchBuilder::new(Compression::None).stamp(stamp).transactional();
    builder.push(&Record { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Record::default() });
    builder.finish()
}

fn end(opened: &mut Opened, producer_id: i64, kind: ControlKind) -> Offset {
    let marker = ControlRecord { kind, coordinator_epoch: 0 };
    opened.log.append_marker(producer_id, 0, marker, NOW).unwrap().base_offset
}

/// The producers and first offsets of all aborted transactions.
fn aborted(opened: &Opened) -> Vec<(i64, Offset)> {
    let range = OffsetRange::new(0, opened.log.offsets().high_watermark);
    opened.log.reader().aborted(range).unwrap().into_iter().map(|t| (t.producer_id, t.first_offset)).collect()
}

/// Two transactions that overlap over several segments, one aborted; returns where they began.
fn overlapping(opened: &mut Opened) -> (Offset, Offset) {
    let first = opened.append(&transactional(1, 0, "one")).unwrap().base_offset;
    let second = opened.append(&transactional(2, 0, "two")).unwrap().base_offset;
    for n in 1..6 {
        opened.append(&transactional(1, n, "one")).unwrap();
        opened.append(&transactional(2, n, "two")).unwrap();
    }
    end(opened, 1, ControlKind::Abort);
    opened.append(&transactional(2, 6, "two")).unwrap();
    end(opened, 2, ControlKind::Commit);
    for _ in 0..4 {
        opened.append(&batch(&["plain"])).unwrap();
    }
    (first, second)
}

#[test]
fn readers_of_committed_records_stop_at_an_open_transaction_and_are_told_of_aborted_ones() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 400);
    opened.append(&batch(&["before"])).unwrap();
    let first = opened.append(&transactional(1, 0, "open")).unwrap().base_offset;
    opened.append(&batch(&["behind"])).unwrap();
    opened.sync().unwrap();
    assert_eq!(opened.log.offsets().last_stable_offset, first);
    let (batches, told) = opened.log.reader().read_committed(0, 1 << 20).unwrap();
    assert_eq!((records(batches).count(), told), (1, Vec::new()));
    let (batches, _) = opened.log.reader().read_committed(first, 1 << 20).unwrap();
    assert!(batches.is_empty());

    end(&mut opened, 1, ControlKind::Abort);
    assert_eq!(opened.log.offsets().last_stable_offset, first, "the marker is not durable yet");
    opened.sync().unwrap();
    let offsets = opened.log.offsets();
    assert_eq!(offsets.last_stable_offset, offsets.high_watermark);
    let (_, told) = opened.log.reader().read_committed(0, 1 << 20).unwrap();
    assert_eq!(told.iter().map(|t| (t.producer_id, t.first_offset)).collect::<Vec<_>>(), [(1, first)]);
}

#[test]
fn what_was_aborted_is_known_after_any_end() {
    for seed in 0..40 {
        let disk = SimDisk::default();
        let mut opened = Opened::on(&disk, 300);
        let (first, _) = overlapping(&mut opened);
        assert!(opened.log.segments() > 3);
        opened.log.sync().unwrap(); // and the checkpoint does not come to know
        let before = (aborted(&opened), opened.log.offsets());
        assert_eq!(before.0, [(1, first)]);
        drop(opened);
        let disk = disk.crash(seed);
        let opened = Opened::on(&disk, 300);
        assert_eq!((aborted(&opened), opened.log.offsets()), before, "seed {seed}");
        opened.close().unwrap();
        let opened = Opened::on(&disk, 300);
        assert_eq!((aborted(&opened), opened.log.offsets()), before, "seed {seed}, closed in order");
    }
}

#[test]
fn a_log_that_was_closed_in_a_transaction_opens_in_it() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 300);
    opened.append(&batch(&["before"])).unwrap();
    let first = opened.append(&transactional(1, 0, "open")).unwrap().base_offset;
    opened.append(&batch(&["behind"])).unwrap();
    opened.close().unwrap();
    let opened = Opened::on(&disk, 300);
    assert_eq!(opened.log.offsets().last_stable_offset, first);
}

#[cfg(feature = "mutants")]
pub(super) const CHECKS: &[super::mutants::Check] = &[
    ("closed in a transaction", a_log_that_was_closed_in_a_transaction_opens_in_it),
    ("aborted transactions after any end", what_was_aborted_is_known_after_any_end),
];
