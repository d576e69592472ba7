//! Appending, reading, rolling, reopening, locking.

use super::*;
use crate::env::RealDisk;
use crate::types::{Error, ErrorKind};

/// What a log does on any disk, from an empty directory.
fn works_on(disk: Arc<dyn Disk>, root: &Path) {
    let mut opened = Opened::try_open(&disk, root, 300).unwrap();
    let reader = opened.log.reader();
    assert_eq!(opened.append(&batch(&["a", "b"])).unwrap().base_offset, 0);
    let second = opened.append(&batch(&["c"])).unwrap();
    assert_eq!((second.base_offset, second.last_offset, second.duplicate), (2, 2, false));
    assert_eq!(values(&reader), [""; 0], "what is not durable is not read");
    assert!(reader.read(0, 100).unwrap().is_empty(), "at the high watermark");
    opened.sync().unwrap();
    assert_eq!(values(&reader), ["a", "b", "c"]);

    for n in 0..20 {
        opened.append(&batch(&[&format!("v{n}")])).unwrap();
    }
    assert!(opened.log.segments() > 3);
    opened.sync().unwrap();
    let before = values(&reader);
    assert_eq!(before.len(), 23);
    assert_eq!(read_all(&reader, 1).unwrap().len(), 23, "a batch at a time");
    assert!(reader.read(1, 1).unwrap().len() > 61, "the batch that holds the offset, whole");

    let (error, bytes) = (Opened::try_open(&disk, root, 300).err().unwrap(), opened.log.bytes());
    assert!(matches!(error, Error::DirectoryInUse { .. }), "{error}");
    opened.close().unwrap();
    assert_eq!(values(&reader), before, "readers outlive the writer");

    let opened = Opened::try_open(&disk, root, 300).unwrap();
    assert!(opened.report.torn_tail.is_none() && opened.report.damage.is_none());
    assert_eq!((values(&opened.log.reader()), opened.log.bytes(), end(&opened)), (before, bytes, 23));
    let error = opened.log.reader().read(24, 100).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("TW0106", ErrorKind::Stale));
    assert!(opened.log.reader().read(-1, 100).is_err());
    opened.dir.delete_topic(TOPIC).unwrap();
    opened.dir.delete_topic(TOPIC).unwrap();
    assert_eq!(opened.dir.topics().unwrap(), []);
}

#[test]
fn a_log_on_the_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    works_on(Arc::new(RealDisk::default()), &dir.path().join("data"));
}

#[test]
fn a_log_on_the_simulated_disk() {
    works_on(shared(&SimDisk::default()), Path::new("/data"));
}

/// Every file of the partition with its bytes.
fn contents(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new("/data/t").join(TOPIC.to_string()).join("0");
    let read = |name: PathBuf| {
        let file = disk.open(&dir.join(&name), crate::env::OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        (name, bytes)
    };
    disk.list(&dir).unwrap().into_iter().map(read).collect()
}

#[test]
fn a_close_that_was_prepared_leaves_the_same() {
    let closed = |prepare: bool, more: bool| {
        let disk = SimDisk::default();
        let mut opened = Opened::on(&disk, 1 << 20);
        opened.append(&batch(&["a", "b"])).unwrap();
        if prepare {
            opened.log.prepare_close();
            assert!(opened.log.unsynced_bytes() > 0, "nothing is left beside what is not durable");
            opened.sync().unwrap();
            opened.log.prepare_close();
            opened.sync().unwrap();
        }
        if more {
            opened.append(&batch(&["c"])).unwrap();
        }
        opened.close().unwrap();
        let reopened = Opened::on(&disk.crash(1), 1 << 20);
        let left = contents(&disk);
        assert!(reopened.report.changes.is_empty() && reopened.log.durable_point().unwrap().clean);
        (left, values(&reopened.log.reader()))
    };
    for more in [false, true] {
        let (prepared, plain) = (closed(true, more), closed(false, more));
        // Prepared in vain it has left a snapshot too many.
        let is_newest = |(name, _): &&(PathBuf, Vec<u8>)| *name != Path::new("00000000000000000002.snap") || !more;
        assert!(prepared.0.iter().filter(is_newest).eq(plain.0.iter().filter(is_newest)));
        assert_eq!(prepared.1, plain.1);
    }
}

#[cfg(feature = "mutants")]
pub(super) const CHECKS: &[super::mutants::Check] = &[("a log on a disk", a_log_on_the_simulated_disk)];
