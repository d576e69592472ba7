//! Repairing: what is intact stays, with its offsets; what is lost is said; offsets are not given again.

use super::doctor::{closed, look};
use super::*;
use crate::env::OpenMode;
use crate::storage::{Examiner, Severity};
use crate::types::OffsetRange;
use std::collections::BTreeMap;

const CHECKPOINT: &str = "/data/checkpoint.log";

/// Repairs the partition; the offsets that are lost.
fn repair(disk: &SimDisk) -> Result<Vec<OffsetRange>> {
    let examiner = Examiner::open(shared(disk), Path::new("/data"))?;
    let plan = examiner.plan(TOPIC, 0, Flush::Durable)?;
    let lost = plan.losses().iter().map(|loss| loss.offsets).filter(|offsets| !offsets.is_empty()).collect();
    let mut repairer = examiner.into_repairer()?;
    repairer.repair(&plan, b"a report")?;
    repairer.close()?;
    Ok(lost)
}

/// What can be read, by offset.
fn readable(reader: &LogReader) -> BTreeMap<Offset, String> {
    let (mut next, mut found) = (reader.offsets().log_start_offset, BTreeMap::new());
    while next < reader.offsets().high_watermark {
        let (bytes, before) = (reader.read(next, 100).unwrap(), next);
        for record in crate::record::records_at(bytes, &mut next) {
            let record = record.unwrap();
            found.insert(record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap());
        }
        assert!(next > before, "a reader gets on");
    }
    found
}

fn written(disk: &SimDisk) -> (BTreeMap<Offset, String>, Offset) {
    let opened = Opened::on(&disk.crash(0), 250);
    (readable(&opened.log.reader()), end(&opened))
}

/// A repaired log has all but what was said to be lost, and goes on where it ended.
fn check(disk: &SimDisk, intact: &(BTreeMap<Offset, String>, Offset), lost: &[OffsetRange], context: &str) {
    let found = look(disk);
    // A damaged checkpoint is dealt with by the next open.
    let is_of_log = |finding: &&crate::storage::Finding| finding.partition.is_some();
    let worst = found.iter().filter(is_of_log).map(|finding| finding.severity).max();
    assert!(worst < Some(Severity::Damage), "{context}: {found:?}");
    let is_lost = |offset: Offset| lost.iter().any(|range| range.contains(offset));
    let expected: BTreeMap<_, _> = intact.0.iter().filter(|(offset, _)| !is_lost(**offset)).collect();
    for life in ["first", "second"] {
        let mut opened = Opened::on(disk, 250);
        assert!(opened.report.damage.is_none(), "{context}, {life}: {:?}", opened.report);
        assert_eq!(readable(&opened.log.reader()).iter().collect::<BTreeMap<_, _>>(), expected, "{context}, {life}");
        assert_eq!(end(&opened), intact.1, "{context}, {life}");
        if life == "second" {
            assert_eq!(opened.append(&batch(&["next"])).unwrap().base_offset, intact.1, "{context}");
            opened.sync().unwrap();
            assert_eq!(readable(&opened.log.reader()).get(&intact.1).map(String::as_str), Some("next"), "{context}");
        }
        opened.close().unwrap();
    }
}

#[test]
fn a_flipped_bit_costs_one_batch_at_most() {
    let intact = closed();
    let written = written(&intact);
    for path in partition_files(&intact) {
        for byte in (0..intact.len_of(&path).unwrap()).step_by(3) {
            let context = format!("{} byte {byte}", path.display());
            let disk = intact.crash(0);
            disk.flip_bit(&path, byte, 5);
            let lost = repair(&disk).unwrap();
            assert!(lost.iter().map(OffsetRange::len).sum::<u64>() <= 1, "{context}: {lost:?}");
            check(&disk, &written, &lost, &context);
            let name = path.file_name().unwrap().display();
            let aside = Path::new("/data/quarantine").join(format!("{TOPIC}-0-{name}"));
            assert_eq!(disk.len_of(&aside).unwrap(), intact.len_of(&path).unwrap(), "{context}");
            assert!(disk.exists(&Path::new("/data/quarantine").join(format!("{TOPIC}-0-repair-1.json"))));
        }
    }
}

#[test]
fn files_that_are_missing_or_cut_cost_what_was_in_them() {
    let intact = closed();
    let written = written(&intact);
    let files = partition_files(&intact);
    for (n, path) in files.iter().enumerate() {
        for keep in [None, Some(0), Some(50), Some(100)] {
            let context = format!("{} cut to {keep:?}", path.display());
            let disk = intact.crash(0);
            match keep {
                None => disk.remove_file(path).unwrap(),
                Some(len) => disk.open(path, OpenMode::ReadWrite).unwrap().set_len(len).unwrap(),
            }
            let lost = repair(&disk).unwrap();
            assert!(!lost.is_empty(), "{context}");
            check(&disk, &written, &lost, &context);
            // The same, and nobody knows how far the log was durable, nor where it began.
            if keep.is_none() && 0 < n && n + 1 < files.len() {
                let disk = intact.crash(0);
                disk.remove_file(path).unwrap();
                disk.flip_bit(Path::new(CHECKPOINT), 30, 1);
                let lost = repair(&disk).unwrap();
                let opened = Opened::on(&disk, 250);
                assert!(opened.report.damage.is_none(), "{context}: {:?}", opened.report);
                let left = written.0.len() as u64 - lost.iter().map(OffsetRange::len).sum::<u64>();
                assert_eq!(readable(&opened.log.reader()).len() as u64, left, "{context}, {lost:?}");
                assert_eq!(end(&opened), written.1, "{context}");
            }
        }
    }
}

#[test]
fn a_log_that_is_not_damaged_stays_and_derived_files_are_made_again() {
    let intact = closed();
    let written = written(&intact);
    let footer = partition_files(&intact)[0].with_extension("idx");
    let disk = intact.crash(0);
    assert_eq!(repair(&disk).unwrap(), []);
    assert_eq!(look(&disk), []);
    disk.flip_bit(&footer, 40, 2);
    assert_eq!(look(&disk).len(), 1);
    assert_eq!(repair(&disk).unwrap(), []);
    assert_eq!(look(&disk), [], "the footer was made again");
    assert!(!disk.exists(Path::new("/data/quarantine")));
    check(&disk, &written, &[], "footer");
}

#[test]
fn a_crash_in_a_repair_leaves_the_old_state_or_the_new_one() {
    for (damaged, lost_checkpoint) in [(0, false), (1, false), (usize::MAX, false), (1, true)] {
        let intact = closed();
        let written = written(&intact);
        let files = partition_files(&intact);
        let path = files.get(damaged).or(files.last()).unwrap();
        intact.flip_bit(path, 70, 1);
        if lost_checkpoint {
            intact.flip_bit(Path::new(CHECKPOINT), 30, 1);
        }
        let whole = intact.crash(0);
        let lost = repair(&whole).unwrap();
        assert_eq!(lost.len(), 1);
        for op in 0..whole.ops() {
            let disk = intact.crash(0);
            disk.crash_at(op);
            assert!(repair(&disk).is_err(), "op {op}");
            for after in disk.survivors(12) {
                let context = format!("op {op}, {}, file {damaged}, {lost_checkpoint}", after.fate());
                // Whatever the state, opening it keeps all that is intact: it is repaired, or still damaged.
                let opened = Opened::on(&after.crash(1), 250);
                if opened.report.damage.is_none() && opened.report.torn_tail.is_some() {
                    panic!("{context}: cut {:?}", opened.report.torn_tail);
                }
                drop(opened);
                let again = repair(&after).unwrap();
                assert!(again.is_empty() || again == lost, "{context}: {again:?}");
                check(&after, &written, &lost, &context);
            }
        }
    }
}
