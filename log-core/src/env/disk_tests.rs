//! What every `Disk` must do, run on both, and what only the simulated one can: faults and power cuts.

use super::*;
use crate::env::RealDisk;

fn conforms(disk: &dyn Disk, root: &Path) {
    let dir = root.join("a/b");
    disk.create_dir_all(&dir).unwrap();
    disk.create_dir_all(&dir).unwrap();
    let path = dir.join("file");
    assert_eq!(disk.open(&path, OpenMode::Read).unwrap_err().kind(), io::ErrorKind::NotFound);
    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
    assert_eq!(disk.open(&path, OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert!(file.is_empty().unwrap());

    // All parts, one after the other, empty ones included; over more parts than one system call takes.
    file.write_at(&[IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")], 0).unwrap();
    let many: Vec<[u8; 1]> = (0..3000u32).map(|n| [n as u8]).collect();
    let slices: Vec<IoSlice<'_>> = many.iter().map(|part| IoSlice::new(part)).collect();
    file.write_at(&slices, 5).unwrap();
    file.write_at(&[], 0).unwrap();
    assert_eq!(file.len().unwrap(), 3005);
    let mut buf = [0; 8];
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 8);
    assert_eq!(&buf, b"abcde\x00\x01\x02");
    assert_eq!(file.read_at(&mut buf, 3000).unwrap(), 5, "fewer only at the end");
    assert_eq!(file.read_at(&mut buf, 9000).unwrap(), 0);

    // A gap reads as zeros; a shorter length forgets.
    file.set_len(2).unwrap();
    file.write_at(&[IoSlice::new(b"z")], 4).unwrap();
    assert_eq!(file.read_at(&mut buf, 0).unwrap(), 5);
    assert_eq!(&buf[..5], b"ab\0\0z");
    file.sync_data().unwrap();
    disk.sync_dir(&dir).unwrap();

    // What was just written is in the page cache, where a file system can tell.
    if let Some(n) = file.read_cached_at(&mut buf, 0).unwrap() {
        assert_eq!(&buf[..n], b"ab\0\0z");
        assert_eq!(file.read_cached_at(&mut buf, 5).unwrap(), Some(0));
    }

    // Reserved space does not change the length.
    supported(file.allocate(5, 1 << 20));
    supported(file.allocate(0, 0));
    assert_eq!(file.len().unwrap(), 5);
    file.set_len(5).unwrap();
    assert_eq!((file.len().unwrap(), disk.len_of(&path).unwrap()), (5, 5));
    assert_eq!(disk.len_of(&dir).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    assert_eq!(disk.len_of(&dir.join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(disk.free_bytes(&dir).unwrap() > 0);
    supported(disk.sync_all(root));

    // Another handle sees the same file; a rename replaces; an open file outlives its name.
    disk.open(&dir.join("other"), OpenMode::ReadWrite).unwrap();
    assert_eq!(disk.list(&dir).unwrap(), [PathBuf::from("file"), PathBuf::from("other")]);
    disk.rename(&path, &dir.join("other")).unwrap();
    assert!(!disk.exists(&path) && disk.exists(&dir.join("other")));
    assert_eq!(disk.open(&dir.join("other"), OpenMode::Read).unwrap().len().unwrap(), 5);
    disk.remove_file(&dir.join("other")).unwrap();
    assert_eq!(disk.remove_file(&dir.join("other")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(file.len().unwrap(), 5);

    // One holder at a time, until it lets go.
    let lock = disk.lock(&root.join("LOCK")).unwrap();
    assert_eq!(disk.lock(&root.join("LOCK")).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    drop(disk.lock(&root.join("LOCK")).unwrap());

    disk.open(&dir.join("again"), OpenMode::ReadWrite).unwrap();
    disk.remove_dir_all(&root.join("a")).unwrap();
    assert!(!disk.exists(&dir) && disk.list(&dir).is_err());
}

/// False where the system or the file system under the test cannot do it, such as one over the network.
fn supported(result: io::Result<()>) -> bool {
    match result {
        Ok(()) => true,
        Err(e) if e.kind() == io::ErrorKind::Unsupported => false,
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn the_real_disk_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&RealDisk::default(), dir.path());
}

#[test]
#[cfg(target_os = "linux")]
fn reserved_space_is_taken_from_the_real_disk_and_given_back() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let blocks = || std::fs::metadata(&path).unwrap().blocks();
    let file = RealDisk::default().open(&path, OpenMode::CreateNew).unwrap();
    file.write_at(&[IoSlice::new(&[1; 10])], 0).unwrap();
    if supported(file.allocate(10, 4 << 20)) {
        assert_eq!(file.len().unwrap(), 10);
        assert!(blocks() * 512 >= 4 << 20);
        file.set_len(10).unwrap();
        file.sync_data().unwrap();
        assert!(blocks() * 512 < 1 << 20);
    }
}

#[test]
fn the_simulated_disk_conforms() {
    conforms(&SimDisk::default(), Path::new("/"));
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new("data")).unwrap();
    conforms(&disk, Path::new("data"));
}

/// A disk with a durable file "/f" of `synced` and an unsynced write of `unsynced` behind it.
fn half_synced(synced: &[u8], unsynced: &[u8]) -> SimDisk {
    let disk = SimDisk::default();
    let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
    file.write_at(&[IoSlice::new(synced)], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write_at(&[IoSlice::new(unsynced)], synced.len() as u64).unwrap();
    disk
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(Path::new(path), OpenMode::Read).ok()?;
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

#[test]
fn a_crash_keeps_what_was_synced_and_any_part_of_the_rest() {
    let disk = half_synced(&[7; 700], &[9; 2000]);
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let bytes = content(&disk.crash(seed), "/f").unwrap();
        assert_eq!(bytes[..700], [7; 700]);
        assert!(bytes.len() <= 2700 && bytes[700..].iter().all(|b| [0, 9].contains(b)));
        assert_eq!(Some(&bytes), content(&disk.crash(seed), "/f").as_ref(), "a seed is a fate");
        seen.insert(bytes);
    }
    assert!(seen.contains(&vec![7; 700]), "nothing of it");
    assert!(seen.iter().any(|bytes| bytes[700..] == [9; 2000]), "all of it");
    assert!(seen.iter().any(|bytes| bytes.len() == 2700 && bytes[700..] == [0; 2000]), "its length only");
    assert!(seen.len() > 8, "torn at sectors in several ways");
    assert_eq!(content(&disk, "/f").unwrap().len(), 2700, "the disk that was crashed goes on");
}

#[test]
fn a_name_is_durable_after_its_directory_was_synced() {
    let disk = half_synced(b"x", b"");
    disk.create_dir_all(Path::new("/d")).unwrap();
    disk.open(&PathBuf::from("/d/new"), OpenMode::CreateNew).unwrap().sync_data().unwrap();
    disk.rename(Path::new("/f"), Path::new("/g")).unwrap();
    let outcomes: BTreeSet<(bool, bool)> = (0..100)
        .map(|seed| {
            let after = disk.crash(seed);
            assert!(content(&after, "/f").is_some() != content(&after, "/g").is_some(), "a rename is atomic");
            (content(&after, "/g").is_some(), content(&after, "/d/new").is_some())
        })
        .collect();
    assert_eq!(outcomes.len(), 4);
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    for seed in 0..100 {
        let after = disk.crash(seed);
        assert!(content(&after, "/g").is_some() && content(&after, "/d/new").is_some());
    }
}

#[test]
fn a_failed_sync_loses_what_a_later_one_claims() {
    let disk = half_synced(b"old", b"new");
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    disk.fail_sync_after(0);
    assert!(file.sync_data().is_err());
    file.sync_data().unwrap();
    assert_eq!(content(&disk, "/f").unwrap(), b"oldnew");
    assert_eq!(content(&disk.crash(1), "/f").unwrap(), b"old");
}

#[test]
fn a_full_disk_and_a_failing_one_write_a_part() {
    let disk = half_synced(b"1234", b"");
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    disk.set_capacity(Some(6));
    let error = file.write_at(&[IoSlice::new(b"56789")], 4).unwrap_err();
    assert_eq!((error.kind(), file.len().unwrap()), (io::ErrorKind::StorageFull, 6));
    file.write_at(&[IoSlice::new(b"abcdef")], 0).unwrap();
    disk.set_capacity(None);
    disk.fail_write_after(1);
    file.write_at(&[IoSlice::new(b"xx")], 6).unwrap();
    assert!(file.write_at(&[IoSlice::new(b"yyyy")], 8).is_err());
    assert_eq!(content(&disk, "/f").unwrap(), b"abcdefxxyy");
}

#[test]
fn a_machine_that_stopped_takes_no_more_calls() {
    let disk = half_synced(b"1", b"");
    let file = disk.open(Path::new("/f"), OpenMode::ReadWrite).unwrap();
    disk.crash_at(disk.ops());
    assert!(file.write_at(&[IoSlice::new(b"2")], 1).is_err());
    assert!(file.sync_data().is_err() && file.len().is_err() && !disk.exists(Path::new("/f")));
    let fates: BTreeSet<Vec<u8>> = (0..50).map(|seed| content(&disk.crash(seed), "/f").unwrap()).collect();
    assert_eq!(fates, BTreeSet::from([b"1".to_vec(), b"1\0".to_vec(), b"12".to_vec()]));
}
