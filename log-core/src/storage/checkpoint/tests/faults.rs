//! Power cuts in every disk call, disks that fill up, writes and syncs that fail.

use super::*;
use crate::types::Error;

/// Two lives of a checkpoint. Ends at the first error.
fn two_lives(disk: &SimDisk, history: &mut History) -> Result<()> {
    let (mut checkpoint, _) = history.open(disk)?;
    for step in steps() {
        history.run(&mut checkpoint, &step)?;
    }
    history.close(&mut checkpoint)?;
    let (mut checkpoint, _) = history.open(disk)?;
    for step in steps().into_iter().take(4) {
        history.run(&mut checkpoint, &step)?;
    }
    Ok(())
}

#[test]
fn a_power_cut_in_any_disk_call_loses_nothing_synced_and_invents_nothing() {
    let calm = SimDisk::default();
    two_lives(&calm, &mut History::new()).unwrap();
    let (mut torn, mut clean) = (0, 0);
    for op in 0..calm.ops() {
        for seed in 0..24 {
            let (disk, mut history) = (SimDisk::default(), History::new());
            disk.crash_at(op);
            two_lives(&disk, &mut history).unwrap_err();
            let disk = disk.crash(seed);
            // Another power cut in any call of the recovery changes nothing.
            for recovery_op in 0..if seed < 6 { 9 } else { 0 } {
                let again = disk.crash(0);
                again.crash_at(recovery_op);
                let _ = open(&again);
                let (checkpoint, report) = open(&again.crash(seed + op)).unwrap();
                history.check(&checkpoint, &report);
            }
            let (mut checkpoint, report) = history.open(&disk).unwrap();
            torn += u32::from(report.torn_tail.is_some());
            clean += u32::from(report.clean);
            let once = found(&checkpoint);
            drop(checkpoint);
            let disk = disk.crash(seed);
            (checkpoint, _) = open(&disk).unwrap();
            assert_eq!(found(&checkpoint), once, "call {op}, seed {seed}: opening twice is opening once");
            assert!(!disk.exists(&new_path(Path::new(PATH))));
            history.run(&mut checkpoint, &Step::Append(vec![(topic(9), 9, point(9))])).unwrap();
            history.run(&mut checkpoint, &Step::Sync).unwrap();
            history.open(&disk.crash(seed)).unwrap();
        }
    }
    assert!(torn > 50 && clean > 20, "the cuts tear tails ({torn}) and hit the end of a close ({clean})");
}

/// A torn frame as long as the one that `open` writes over it, and a whole frame behind it that was never synced.
#[test]
fn a_frame_behind_a_torn_one_never_comes_back() {
    let mut bytes = Vec::new();
    frame::put(&mut bytes, 0, &[1]);
    let synced = bytes.len();
    bytes.resize(2 * synced, 0);
    let mut payload = Vec::new();
    entry::put_change(&mut payload, topic(1), 0, &point(1));
    frame::put(&mut bytes, synced as u64, &payload);
    for op in 0..12 {
        for seed in 0..40 {
            let disk = SimDisk::default();
            let file = disk.open(Path::new(PATH), OpenMode::CreateNew).unwrap();
            file.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
            file.sync_data().unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            disk.crash_at(disk.ops() + op);
            let _ = open(&disk);
            let (checkpoint, report) = open(&disk.crash(seed)).unwrap();
            assert!(report.damage.is_none() && found(&checkpoint).is_empty(), "call {op}, seed {seed}: {report:?}");
        }
    }
}

#[test]
fn a_disk_that_is_full_anywhere_refuses_and_heals() {
    let mut refused = 0;
    for room in 0..900 {
        let (disk, mut history) = (SimDisk::default(), History::new());
        let (mut checkpoint, _) = history.open(&disk).unwrap();
        disk.set_capacity(Some(checkpoint.end + room));
        for step in steps() {
            if let Err(error) = history.run(&mut checkpoint, &step) {
                assert!(matches!(error, Error::DiskFull { .. }) && error.is_retriable(), "{error}");
                history.states.pop();
                assert_eq!(found(&checkpoint), *history.last());
                assert_eq!(checkpoint.file.len().unwrap(), checkpoint.end, "cut back");
                checkpoint.sync().unwrap();
                refused += 1;
                disk.set_capacity(None);
                history.run(&mut checkpoint, &step).unwrap();
            }
        }
        disk.set_capacity(Some(checkpoint.end + 20 + room % 20));
        match history.close(&mut checkpoint) {
            Ok(()) => {}
            Err(error) => assert!(matches!(error, Error::DiskFull { .. }), "{error}"),
        }
        history.open(&disk.crash(room)).unwrap();
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn a_full_disk_does_not_keep_a_checkpoint_from_being_opened() {
    for seed in 0..20 {
        let (disk, mut history) = (SimDisk::default(), History::new());
        let (mut checkpoint, _) = history.open(&disk).unwrap();
        history.run(&mut checkpoint, &steps()[0]).unwrap();
        history.close(&mut checkpoint).unwrap();
        disk.set_capacity(Some(0));
        assert!(history.open(&disk).unwrap().1.clean);
        let (mut checkpoint, report) = history.open(&disk).unwrap();
        assert!(!report.clean, "it was opened since");
        assert!(matches!(checkpoint.append(&[(topic(1), 0, point(1))]), Err(Error::DiskFull { .. })));
        history.open(&disk.crash(seed)).unwrap();
        disk.set_capacity(None);
        history.run(&mut checkpoint, &steps()[0]).unwrap();
        history.synced = 0;
        history.open(&disk.crash(seed)).unwrap();
    }
    // Nor a new one.
    let disk = SimDisk::default();
    disk.set_capacity(Some(5));
    let (mut checkpoint, report) = open(&disk).unwrap();
    assert!(report.is_new && checkpoint.append(&[(topic(1), 0, point(1))]).is_err());
    disk.set_capacity(None);
    checkpoint.append(&[(topic(1), 0, point(1))]).unwrap();
    for seed in 0..20 {
        assert!(open(&disk.crash(seed)).unwrap().1.damage.is_none());
    }
}

#[test]
fn a_failed_write_changes_nothing() {
    let (disk, mut history) = (SimDisk::default(), History::new());
    let (mut checkpoint, _) = history.open(&disk).unwrap();
    disk.fail_write_after(0);
    let change = [(topic(1), 0, point(1))];
    assert!(matches!(checkpoint.append(&change).unwrap_err(), Error::Io { .. }));
    assert_eq!((found(&checkpoint), checkpoint.unsynced_bytes()), (Model::new(), 0));
    disk.fail_write_after(0);
    assert!(matches!(checkpoint.forget(topic(1)).unwrap_err(), Error::Io { .. }));
    history.run(&mut checkpoint, &Step::Append(change.to_vec())).unwrap();
    history.run(&mut checkpoint, &Step::Sync).unwrap();
    disk.fail_write_after(0);
    disk.fail_set_len_after(0);
    checkpoint.append(&change).unwrap_err();
    assert_eq!(checkpoint.append(&change).unwrap_err().code(), "TW0206", "its half is still there");
    for seed in 0..20 {
        history.open(&disk.crash(seed)).unwrap();
    }
}

/// Whichever sync fails, of the file, of its successor or of the directory: nothing is taken after it, and neither a
/// restart of the process nor a power cut after that finds damage or misses what was synced.
#[test]
fn a_failed_sync_fences_and_is_never_tried_again() {
    let mut fenced = 0;
    for nth in 0..14 {
        for seed in 0..12 {
            let (disk, mut history) = (SimDisk::default(), History::new());
            disk.fail_sync_after(nth);
            let Ok((mut checkpoint, _)) = history.open(&disk) else { continue };
            let mut ran = steps().into_iter().map(|step| history.run(&mut checkpoint, &step));
            let failed = ran.find_map(Result::err).or_else(|| history.close(&mut checkpoint).err());
            let Some(error) = failed else { continue };
            assert!(matches!(error, Error::Fenced { .. }), "{nth}: {error}");
            fenced += 1;
            let ops = disk.ops();
            assert_eq!(checkpoint.sync().unwrap_err().code(), "TW0206");
            assert_eq!(checkpoint.append(&[(topic(1), 0, point(1))]).unwrap_err().code(), "TW0206");
            assert_eq!(checkpoint.forget(topic(1)).unwrap_err().code(), "TW0206");
            assert_eq!(checkpoint.reconciled().unwrap_err().code(), "TW0206");
            assert_eq!(checkpoint.close().unwrap_err().code(), "TW0206");
            assert_eq!(disk.ops(), ops, "the disk is left alone");
            drop(checkpoint);
            // What the failed sync dropped reads back until the machine stops.
            let (mut checkpoint, _) = history.open(&disk).unwrap();
            history.run(&mut checkpoint, &Step::Append(vec![(topic(5), 0, point(1))])).unwrap();
            history.run(&mut checkpoint, &Step::Sync).unwrap();
            history.open(&disk.crash(seed)).unwrap();
        }
    }
    assert!(fenced > 50, "{fenced}");
}
