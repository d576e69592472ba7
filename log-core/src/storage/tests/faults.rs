//! Power cuts, damage, full disks and failing ones, at every point of a small run.

use super::*;
use crate::env::OpenMode;
use crate::types::{Error, Result};
use std::collections::BTreeSet;

/// Values in the order they were tried, and how many of them were durable.
#[derive(Default)]
struct Story {
    tried: Vec<String>,
    durable: usize,
}

/// Two lives of one log that append, roll, sync and close; stops at the first error.
fn live(disk: &SimDisk, story: &mut Story) -> Result<()> {
    for life in 0..2 {
        let mut opened = Opened::try_open(&shared(disk), Path::new("/data"), 200)?;
        for n in 0..5 {
            let value = format!("{life}.{n}");
            story.tried.push(value.clone());
            opened.append(&batch(&[&value]))?;
            if n % 2 == 1 {
                let changes = opened.log.sync()?;
                story.durable = story.tried.len();
                note(&mut opened.checkpoint, changes)?;
            }
        }
        opened.close()?;
        story.durable = story.tried.len();
    }
    Ok(())
}

#[test]
fn a_power_cut_in_any_disk_call_loses_nothing_durable() {
    let whole = SimDisk::default();
    live(&whole, &mut Story::default()).unwrap();
    let mut torn_tails = 0;
    for op in 0..whole.ops() {
        let disk = SimDisk::default();
        disk.crash_at(op);
        let mut story = Story::default();
        assert!(live(&disk, &mut story).is_err(), "op {op}");
        for seed in 0..24 {
            let context = format!("op {op}, seed {seed}");
            let after = disk.crash(seed);
            let mut opened = Opened::on(&after, 200);
            assert!(opened.report.damage.is_none(), "{context}: {:?}", opened.report);
            torn_tails += usize::from(opened.report.torn_tail.is_some());
            let found = values(&opened.log.reader());
            assert!(found.len() >= story.durable, "{context}: lost, has {found:?}");
            assert_eq!(found, story.tried[..found.len()], "{context}");

            // What a reader saw is there after another power cut, and the log goes on behind it.
            let again = after.crash(seed + 1);
            let again = Opened::on(&again, 200);
            assert_eq!(values(&again.log.reader()), found, "{context}, twice");
            assert!(again.report.torn_tail.is_none(), "{context}, twice");
            assert_eq!(opened.append(&batch(&["next"])).unwrap().base_offset, found.len() as i64, "{context}");
            opened.sync().unwrap();
        }
    }
    assert!(torn_tails > 50, "the test tears tails: {torn_tails}");
}

/// Nine closed batches in three segments or more.
fn closed() -> (SimDisk, Vec<String>) {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 250);
    for n in 0..9 {
        opened.append(&batch(&[&format!("value {n}")])).unwrap();
    }
    assert!(opened.log.segments() >= 3);
    let reader = opened.log.reader();
    opened.close().unwrap();
    (disk, values(&reader))
}

fn len(disk: &SimDisk, path: &Path) -> u64 {
    disk.open(path, OpenMode::Read).unwrap().len().unwrap()
}

#[test]
fn a_flipped_bit_is_never_served_and_never_cut() {
    let (intact, written) = closed();
    for path in partition_files(&intact) {
        for byte in 0..len(&intact, &path) {
            for bit in 0..8 {
                let context = format!("{} byte {byte} bit {bit}", path.display());
                let disk = intact.crash(0);
                disk.flip_bit(&path, byte, bit);
                let opened = Opened::on(&disk, 250);
                assert_eq!(opened.report.torn_tail, None, "{context}");
                let mut reported = opened.report.damage.is_some();
                if let Some(damage) = &opened.report.damage {
                    assert!(matches!(damage, Error::Corrupt { .. }), "{context}: {damage}");
                    assert_eq!(opened.log.damage().unwrap().code(), "TW0204");
                }
                let reader = opened.log.reader();
                for offset in 0..opened.log.offsets().high_watermark {
                    match reader.read(offset, 100) {
                        Ok(bytes) => {
                            for record in records(bytes).map(|record| record.unwrap()) {
                                let value = written[record.offset as usize].as_bytes();
                                assert_eq!(record.value.as_deref(), Some(value), "{context}");
                            }
                        }
                        Err(Error::Corrupt { path: named, .. }) => {
                            assert_eq!(named, path, "{context}");
                            reported = true;
                        }
                        Err(error) => panic!("{context}: {error}"),
                    }
                }
                assert!(reported, "{context}: nobody noticed");
                drop(opened);
                // The next start finds the same.
                let again = Opened::on(&disk, 250);
                assert_eq!(again.report.torn_tail, None, "{context}, twice");
                assert_eq!(len(&disk, &path), len(&intact, &path), "{context}: cut");
            }
        }
    }
}

#[test]
fn a_damaged_log_is_readable_up_to_the_damage_and_takes_nothing() {
    let (disk, written) = closed();
    disk.remove_file(&partition_files(&disk)[1]).unwrap();
    let mut opened = Opened::on(&disk, 250);
    let found = values(&opened.log.reader());
    assert!(!found.is_empty() && found.len() < written.len());
    assert_eq!(found, written[..found.len()]);
    let error = opened.append(&batch(&["x"])).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    opened.close().unwrap();
    assert!(Opened::on(&disk, 250).report.damage.is_some(), "still");
}

#[test]
fn a_lost_end_is_damage_too() {
    let (disk, written) = closed();
    let last = partition_files(&disk).pop().unwrap();
    let length = len(&disk, &last);
    disk.open(&last, OpenMode::ReadWrite).unwrap().set_len(length - 3).unwrap();
    let opened = Opened::on(&disk, 250);
    assert!(opened.report.damage.is_some() && opened.report.torn_tail.is_none());
    assert_eq!(values(&opened.log.reader()), written[..8]);
}

/// One durable batch and two that are not, the last cut to `keep` bytes (`None` for all), then opened again; with or
/// without the checkpoint.
fn torn(keep: Option<u64>, checkpoint: bool) -> (u64, Opened) {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    opened.append(&batch(&["durable"])).unwrap();
    opened.sync().unwrap();
    opened.append(&batch(&["written"])).unwrap();
    let position = opened.log.bytes();
    opened.append(&batch(&["the last"])).unwrap();
    let batch_len = opened.log.bytes() - position;
    drop(opened);
    if let Some(keep) = keep {
        let file = disk.open(&partition_files(&disk)[0], OpenMode::ReadWrite).unwrap();
        file.set_len(position + keep).unwrap();
    }
    if !checkpoint {
        disk.remove_file(Path::new("/data/checkpoint.log")).unwrap();
    }
    (batch_len, Opened::on(&disk, 1 << 20))
}

#[test]
fn a_tail_torn_at_any_length_is_cut_and_reported() {
    for checkpoint in [true, false] {
        let (batch_len, opened) = torn(None, checkpoint);
        assert_eq!(opened.report.torn_tail, None);
        assert_eq!(values(&opened.log.reader()), ["durable", "written", "the last"]);
        for keep in 0..batch_len {
            let (_, mut opened) = torn(Some(keep), checkpoint);
            assert_eq!(opened.report.torn_tail.as_ref().map_or(0, |tail| tail.bytes), keep);
            assert!(opened.report.damage.is_none());
            assert_eq!(opened.append(&batch(&["next"])).unwrap().base_offset, 2);
            opened.sync().unwrap();
            assert_eq!(values(&opened.log.reader()), ["durable", "written", "next"]);
        }
    }
}

#[test]
fn without_a_checkpoint_nothing_valid_is_cut() {
    let (disk, written) = closed();
    disk.remove_file(Path::new("/data/checkpoint.log")).unwrap();
    let files = partition_files(&disk);
    disk.flip_bit(&files[0], 70, 0);
    let opened = Opened::on(&disk, 250);
    assert!(opened.report.damage.is_some() && opened.report.torn_tail.is_none());
    assert!(values(&opened.log.reader()).len() < written.len());
    assert_eq!(partition_files(&disk), files);
    drop(opened);
    // No second opinion at the next start.
    assert!(Opened::on(&disk, 250).report.damage.is_some());
    assert_eq!(partition_files(&disk), files);
}

#[test]
fn a_sealed_segment_of_another_length_is_served_as_far_as_it_is_right() {
    let (whole, written) = closed();
    let path = partition_files(&whole)[1].clone();
    let whole_len = len(&whole, &path);
    let mut served = BTreeSet::new();
    for left in (0..whole_len).chain([whole_len + 1, whole_len + 5000]) {
        let disk = whole.crash(0);
        disk.open(&path, OpenMode::ReadWrite).unwrap().set_len(left).unwrap();
        let files = partition_files(&disk);
        for opens in ["once", "twice"] {
            let mut opened = Opened::on(&disk, 250);
            let Some(Error::Corrupt { path: of, position, offset, .. }) = opened.report.damage.clone() else {
                panic!("{left}, {opens}: {:?}", opened.report);
            };
            assert!(of == path && position <= left.min(whole_len), "{left}, {opens}: {position}");
            let found = values(&opened.log.reader());
            assert_eq!(found, written[..offset as usize], "{left}, {opens}: up to the damage");
            assert!(opened.append(&batch(&["next"])).is_err());
            served.insert(found.len());
        }
        assert_eq!((partition_files(&disk), len(&disk, &path)), (files, left), "nothing is cut");
    }
    assert!(served.len() > 2 && served.iter().zip(served.iter().skip(1)).all(|(a, b)| a + 1 == *b), "{served:?}");
}

#[test]
fn a_disk_that_fills_up_anywhere_heals() {
    let mut refused_at = BTreeSet::new();
    for room in 0..700 {
        let disk = SimDisk::default();
        let mut opened = Opened::on(&disk, 200);
        fill(&disk, room);
        let mut expected = Vec::new();
        for n in 0..6 {
            let value = format!("v{n}");
            let before = opened.log.offsets();
            if let Err(error) = opened.append(&batch(&[&value])) {
                assert!(matches!(error, Error::DiskFull { .. }) && error.is_retriable(), "{error}");
                assert_eq!(opened.log.offsets(), before);
                opened.log.sync().unwrap();
                assert_eq!(values(&opened.log.reader()), expected, "what was written is safe");
                refused_at.insert(n);
                disk.set_capacity(None);
                opened.append(&batch(&[&value])).unwrap();
            }
            expected.push(value);
        }
        disk.set_capacity(None);
        opened.sync().unwrap();
        assert_eq!(values(&opened.log.reader()), expected);
        let after = Opened::on(&disk.crash(room), 200);
        assert_eq!(values(&after.log.reader()), expected);
    }
    assert!(refused_at.len() >= 5, "{refused_at:?}");
}

#[test]
fn a_failed_write_changes_nothing() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    disk.fail_write_after(0);
    let error = opened.append(&batch(&["lost"])).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert_eq!((end(&opened), opened.log.bytes()), (0, 0));
    assert_eq!(len(&disk, &partition_files(&disk)[0]), 0);
    opened.append(&batch(&["kept"])).unwrap();
    opened.sync().unwrap();
    assert_eq!(values(&opened.log.reader()), ["kept"]);
}

#[test]
fn a_failed_write_that_cannot_be_cut_off_does_not_keep_what_is_before_it_from_being_synced() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    opened.append(&batch(&["kept"])).unwrap();
    disk.fail_write_after(0);
    disk.fail_set_len_after(0);
    opened.append(&batch(&["torn"])).unwrap_err();
    assert_eq!(opened.append(&batch(&["next"])).unwrap_err().code(), "TW0206");
    opened.sync().unwrap();
    assert_eq!(values(&opened.log.reader()), ["kept"], "whoever waits for it is told");
    for seed in 0..20 {
        let mut after = Opened::on(&disk.crash(seed), 1 << 20);
        assert!(after.report.damage.is_none(), "{:?}", after.report);
        assert_eq!(after.append(&batch(&["next"])).unwrap().base_offset, 1);
    }
}

#[test]
fn a_failed_sync_fences_and_is_not_tried_again() {
    // The first sync of a rolled segment is one of its file and one of the directory: both may fail.
    for nth in 0..3 {
        let disk = SimDisk::default();
        let mut opened = Opened::on(&disk, 100);
        opened.append(&batch(&["durable"])).unwrap();
        opened.sync().unwrap();
        opened.append(&batch(&["a"])).unwrap();
        opened.append(&batch(&["b"])).unwrap();
        disk.fail_sync_after(nth);
        let error = opened.log.sync().unwrap_err();
        assert!(matches!(error, Error::Fenced { .. }), "{nth}: {error}");
        assert!(opened.append(&batch(&["c"])).unwrap_err().code() == "TW0206" && opened.log.begin_sync().is_none());
        assert_eq!(values(&opened.log.reader()), ["durable"], "{nth}: still readable, and no more");
        for seed in 0..20 {
            let after = Opened::on(&disk.crash(seed), 100);
            assert_eq!(values(&after.log.reader())[0], "durable");
            assert!(after.report.damage.is_none(), "{:?}", after.report);
        }
    }
}

#[test]
fn what_was_appended_during_a_sync_that_fails_is_not_synced_either() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    opened.append(&batch(&["a"])).unwrap();
    let ticket = opened.log.begin_sync().unwrap();
    opened.append(&batch(&["b"])).unwrap();
    disk.fail_sync_after(0);
    let result = ticket.run();
    assert_eq!(opened.log.finish_sync(ticket, result).unwrap_err().code(), "TW0206");
    assert!(opened.log.begin_sync().is_none());
    assert_eq!(opened.log.offsets().high_watermark, 0);
}

#[test]
fn appends_during_a_sync_wait_for_the_next_one() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    opened.append(&batch(&["a"])).unwrap();
    let ticket = opened.log.begin_sync().unwrap();
    opened.append(&batch(&["b"])).unwrap();
    assert!(opened.log.begin_sync().is_none(), "one at a time");
    let result = ticket.run();
    assert_eq!(opened.log.finish_sync(ticket, result).unwrap().durable, 1);
    assert_eq!(values(&opened.log.reader()), ["a"]);
    opened.log.sync().unwrap();
    assert_eq!(values(&opened.log.reader()), ["a", "b"]);
}

/// A roll makes a segment, the disk is full, and the process ends: the next one finds an empty segment whose name was
/// never synced, and what it acknowledges in it must not go with the name.
#[test]
fn a_segment_left_empty_by_a_full_disk_keeps_what_is_synced_into_it() {
    for seed in 0..32 {
        let disk = SimDisk::default();
        let mut opened = Opened::on(&disk, 100);
        opened.append(&batch(&["a"])).unwrap();
        opened.sync().unwrap();
        disk.set_capacity(Some(1));
        assert!(matches!(opened.append(&batch(&["b"])), Err(Error::DiskFull { .. })));
        drop(opened);
        disk.set_capacity(None);

        let mut opened = Opened::on(&disk, 100);
        opened.append(&batch(&["c"])).unwrap();
        opened.sync().unwrap();
        let disk = disk.crash(seed);
        drop(opened);
        assert_eq!(values(&Opened::on(&disk, 100).log.reader()), ["a", "c"], "seed {seed}");
    }
}

/// A sync fails, which leaves what was written in memory alone; the process ends and another finds it there.
#[test]
fn what_a_failed_sync_has_left_in_memory_is_durable_when_it_is_served() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    opened.append(&batch(&["durable"])).unwrap();
    opened.sync().unwrap();
    opened.append(&batch(&["in memory"])).unwrap();
    disk.fail_sync_after(0);
    opened.log.sync().unwrap_err();
    drop(opened);
    let opened = Opened::on(&disk, 1 << 20);
    assert_eq!(values(&opened.log.reader()), ["durable", "in memory"]);
    for seed in 0..16 {
        let after = Opened::on(&disk.crash(seed), 1 << 20);
        assert_eq!(values(&after.log.reader()), ["durable", "in memory"], "seed {seed}");
    }
}

/// The same of a log that is not synced as it grows, which may have any amount of that.
#[test]
fn what_a_failed_sync_has_left_in_memory_of_a_large_log_is_durable_when_it_is_said_to_be() {
    let open = |disk: &SimDisk| {
        let config = LogConfig { flush: Flush::Os, ..config(1 << 20) };
        Opened::with(&shared(disk), Path::new("/data"), config).unwrap()
    };
    let disk = SimDisk::default();
    let mut opened = open(&disk);
    let large = "x".repeat(20_000);
    let written = ["durable", &large, "the last"];
    opened.append(&batch(&written[..1])).unwrap();
    opened.sync().unwrap();
    opened.append(&batch(&written[1..])).unwrap();
    disk.fail_sync_after(0);
    opened.log.sync().unwrap_err();
    drop(opened);
    let opened = open(&disk);
    assert_eq!(values(&opened.log.reader()), written);
    for seed in 0..16 {
        let after = open(&disk.crash(seed));
        assert!(after.report.damage.is_none() && after.report.torn_tail.is_none(), "{:?}", after.report);
        assert_eq!(values(&after.log.reader()), written, "seed {seed}");
    }
    opened.close().unwrap();
    assert_eq!(super::doctor::look(&disk), [], "nothing tells of it any more");
}

/// A log that may be of any size is not written anew because nothing is known of it.
#[test]
fn a_large_log_whose_checkpoint_is_lost_is_read_and_not_written_again() {
    let written_again = |batches: usize| {
        let disk = SimDisk::default();
        let config = || LogConfig { flush: Flush::Os, ..config(4096) };
        let mut opened = Opened::with(&shared(&disk), Path::new("/data"), config()).unwrap();
        let value = "x".repeat(1000);
        for _ in 0..batches {
            opened.append(&batch(&[&value])).unwrap();
        }
        opened.close().unwrap();
        disk.remove_file(Path::new("/data/checkpoint.log")).unwrap();
        disk.trace_calls();
        let opened = Opened::with(&shared(&disk), Path::new("/data"), config()).unwrap();
        assert_eq!(values(&opened.log.reader()).len(), batches);
        disk.trace()
            .iter()
            .filter(|call| call.contains("write") && call.contains(".log") && call.contains("/0/"))
            .count()
    };
    assert!(written_again(10) > 0, "a little is");
    assert_eq!(written_again(30), 0, "in any number of segments");
}

#[cfg(feature = "mutants")]
pub(super) const CHECKS: &[super::mutants::Check] = &[
    ("a failed write", a_failed_write_changes_nothing),
    ("a failed sync fences", a_failed_sync_fences_and_is_not_tried_again),
    ("a failed sync, another process", what_a_failed_sync_has_left_in_memory_is_durable_when_it_is_served),
    ("a lost end is damage", a_lost_end_is_damage_too),
    ("power cuts", a_power_cut_in_any_disk_call_loses_nothing_durable),
    ("flipped bits of segments", a_flipped_bit_is_never_served_and_never_cut),
];
