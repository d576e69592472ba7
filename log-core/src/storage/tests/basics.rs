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
