//! What every `Disk` must do, run on both, and what only the real one can show.

use super::*;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

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
    assert_eq!(disk.len_of(&root.join("LOCK")).unwrap(), 0, "it names nobody");
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

#[test]
fn the_real_disk_syncs_all_and_knows_what_is_free_and_cached() {
    let dir = tempfile::tempdir().unwrap();
    let disk = RealDisk::default();
    let file = disk.open(&dir.path().join("f"), OpenMode::CreateNew).unwrap();
    file.write_at(&[IoSlice::new(&[7; 20_000])], 0).unwrap();
    assert!(disk.sync_all(&dir.path().join("none")).is_err() || cfg!(not(target_os = "linux")));
    if supported(disk.sync_all(dir.path())) {
        disk.sync_all(dir.path()).unwrap();
        disk.clone().sync_all(dir.path()).unwrap();
    }
    let free = disk.free_bytes(dir.path()).unwrap();
    assert!(free > 20_000 && free < 1 << 60, "{free}");
    assert!(disk.free_bytes(&dir.path().join("none")).is_err());
    let mut buf = [0; 30_000];
    if let Some(n) = file.read_cached_at(&mut buf, 10).unwrap() {
        assert!(n <= 19_990 && buf[..n].iter().all(|b| *b == 7));
    }
}
