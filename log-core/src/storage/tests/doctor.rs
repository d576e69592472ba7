//! Examining a closed directory: it finds what is wrong, only that, and changes nothing.

use super::*;
use crate::env::OpenMode;
use crate::storage::{Finding, Severity, examine};
use std::collections::BTreeMap;

pub(super) fn look(disk: &SimDisk) -> Vec<Finding> {
    examine(shared(disk), Path::new("/data"), &mut |_| ()).unwrap()
}

fn worst(disk: &SimDisk) -> Option<Severity> {
    look(disk).iter().map(|finding| finding.severity).max()
}

/// All files below `dir`, with what is in them.
pub(super) fn contents(disk: &SimDisk, dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in disk.list(dir).unwrap().into_iter().map(|name| dir.join(name)) {
        match disk.open(&path, OpenMode::Read) {
            Ok(file) => {
                let mut bytes = vec![0; file.len().unwrap() as usize];
                file.read_at(&mut bytes, 0).unwrap();
                found.insert(path, bytes);
            }
            Err(_) => found.extend(contents(disk, &path)),
        }
    }
    found
}

/// Nine batches in three segments or more, closed in order.
pub(super) fn closed() -> SimDisk {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 250);
    for n in 0..9 {
        opened.append(&batch(&[&format!("value {n}")])).unwrap();
    }
    assert!(opened.log.segments() >= 3);
    opened.close().unwrap();
    disk
}

#[test]
fn a_log_that_was_closed_in_order_has_no_findings_and_stays_as_it_is() {
    let disk = closed();
    let before = contents(&disk, Path::new("/data"));
    assert_eq!(look(&disk), []);
    assert_eq!(contents(&disk, Path::new("/data")), before);
    // In use it is not looked at.
    let opened = Opened::on(&disk, 250);
    let error = examine(shared(&disk), Path::new("/data"), &mut |_| ()).unwrap_err();
    assert_eq!(error.code(), "TW0201");
    drop(opened);
    let error = examine(shared(&disk), Path::new("/"), &mut |_| ()).unwrap_err();
    assert_eq!(error.code(), "TW0202");
}

#[test]
fn a_flipped_bit_in_any_byte_of_any_file_is_found() {
    let intact = closed();
    let mut cases = 0;
    for (path, bytes) in contents(&intact, Path::new("/data")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["LOCK", "format", "ballast"].contains(&name) {
            continue;
        }
        for byte in 0..bytes.len() as u64 {
            let disk = intact.crash(0);
            disk.flip_bit(&path, byte, (byte % 8) as u32);
            let before = contents(&disk, Path::new("/data"));
            let findings = look(&disk);
            let expected = match path.extension().and_then(|extension| extension.to_str()) {
                // The end of the checkpoint, which is above what any frame says was synced, may look torn.
                Some("log") if name == "checkpoint.log" => Severity::Note,
                Some("log") => Severity::Damage,
                _ => Severity::Derived,
            };
            let found = |finding: &Finding| finding.path == path && finding.severity >= expected;
            assert!(findings.iter().any(found), "{} byte {byte}: {findings:?}", path.display());
            assert_eq!(contents(&disk, Path::new("/data")), before, "it was only looked at");
            cases += 1;
        }
    }
    assert!(cases > 1000, "{cases}");
}

#[test]
fn files_that_are_missing_too_short_or_too_long_are_found() {
    let intact = closed();
    for (number, path) in partition_files(&intact).iter().enumerate() {
        let disk = intact.crash(0);
        disk.remove_file(path).unwrap();
        assert_eq!(worst(&disk), Some(Severity::Damage), "{}", path.display());
        for change in [-1_i64, -70, 1] {
            let disk = intact.crash(0);
            let file = disk.open(path, OpenMode::ReadWrite).unwrap();
            file.set_len(file.len().unwrap().strict_add_signed(change)).unwrap();
            let findings = look(&disk);
            // What follows the durable point could be a torn tail.
            let is_last = number + 1 == partition_files(&intact).len();
            let expected = if is_last && change > 0 { Severity::Note } else { Severity::Damage };
            assert!(findings.iter().any(|f| f.path == *path && f.severity == expected), "{change}: {findings:?}");
        }
    }
    let disk = intact.crash(0);
    let footer = partition_files(&disk)[0].with_extension("idx");
    disk.remove_file(&footer).unwrap();
    assert_eq!(
        look(&disk).iter().map(|f| (f.severity, f.path.clone())).collect::<Vec<_>>(),
        [(Severity::Derived, footer)]
    );
    let disk = intact.crash(0);
    disk.remove_file(Path::new("/data/checkpoint.log")).unwrap();
    assert_eq!(worst(&disk), Some(Severity::Damage));
}

#[test]
fn damage_names_its_offsets_and_what_lies_behind_it_is_read_too() {
    let disk = closed();
    let files = partition_files(&disk);
    disk.flip_bit(&files[0], 70, 3);
    disk.flip_bit(&files[2], 70, 3);
    let found: Vec<_> = look(&disk).into_iter().map(|f| (f.path, f.offsets.unwrap().start)).collect();
    assert_eq!(found.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), [files[0].clone(), files[2].clone()]);
    assert_eq!(found[0].1, 0);
    let text = look(&disk)[0].to_string();
    assert!(text.starts_with("damage: /data/t/") && text.contains("offsets [0, "), "{text}");
}

/// Appends, rolls and syncs until the disk stops.
fn live(disk: &SimDisk) -> Result<()> {
    let mut opened = Opened::try_open(&shared(disk), Path::new("/data"), 200)?;
    for n in 0..8 {
        opened.append(&batch(&[&format!("{n}")]))?;
        if n % 2 == 1 {
            opened.sync()?;
        }
    }
    opened.close()
}

#[test]
fn after_a_power_cut_it_says_what_opening_says() {
    let whole = SimDisk::default();
    live(&whole).unwrap();
    let (mut notes, mut refused) = (0, 0);
    for op in 0..whole.ops() {
        let disk = SimDisk::default();
        disk.crash_at(op);
        assert!(live(&disk).is_err(), "op {op}");
        for seed in 0..6 {
            let after = disk.crash(seed);
            let Ok(findings) = examine(shared(&after), Path::new("/data"), &mut |_| ()) else {
                refused += 1;
                continue;
            };
            let bad: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Damage).collect();
            assert!(bad.is_empty(), "op {op}, seed {seed}: {bad:?}");
            let torn = findings.iter().any(|f| f.what.contains("never acknowledged"));
            notes += usize::from(torn);
            let opened = Opened::on(&after, 200);
            assert_eq!(opened.report.torn_tail.is_some(), torn, "op {op}, seed {seed}: {findings:?}");
        }
    }
    assert!(notes > 10 && refused < 100, "{notes} torn tails, {refused} not yet directories");
}
