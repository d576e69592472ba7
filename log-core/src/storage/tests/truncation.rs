//! Truncation: what it takes back, and what a reader sees that it overtakes.

use super::*;
use crate::env::{File, OpenMode};
use parking_lot::Mutex;
use std::io::{self, IoSlice};

fn truncate(opened: &mut Opened, offset: Offset) {
    let truncation = opened.log.begin_truncation(offset).unwrap().expect("the log ends behind it");
    let recorded = note(&mut opened.checkpoint, truncation.changes().to_vec()).and_then(|()| opened.checkpoint.sync());
    opened.log.finish_truncation(truncation, recorded).unwrap();
}

/// A batch of a producer's record.
fn sent(base_sequence: i32) -> Bytes {
    stamped(&["sent"], Some(ProducerStamp { producer_id: 9, producer_epoch: 0, base_sequence }))
}

#[test]
fn what_takes_the_place_of_what_was_truncated_is_not_read_before_it_is_durable() {
    let mut opened = Opened::on(&SimDisk::default(), 1 << 20);
    for value in ["a", "b", "c"] {
        opened.append(&batch(&[value])).unwrap();
    }
    opened.sync().unwrap();
    truncate(&mut opened, 1);
    opened.append(&batch(&["d"])).unwrap();
    opened.append(&batch(&["e"])).unwrap();
    assert_eq!(values(&opened.log.reader()), ["a"]);
    opened.sync().unwrap();
    assert_eq!(values(&opened.log.reader()), ["a", "d", "e"]);
}

#[test]
fn what_a_producer_had_sent_before_it_was_truncated_it_sends_again() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 1 << 20);
    opened.append(&sent(0)).unwrap();
    opened.append(&sent(1)).unwrap();
    // A snapshot is left of what is then truncated.
    opened.log.roll(NOW).unwrap();
    opened.sync().unwrap();
    truncate(&mut opened, 1);
    opened.append(&batch(&["from another leader"])).unwrap();
    opened.sync().unwrap();
    drop(opened);
    let mut opened = Opened::on(&disk, 1 << 20);
    let again = opened.append(&sent(1)).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (2, false));
    assert!(opened.append(&sent(0)).unwrap().duplicate);
}

#[test]
fn nothing_is_synced_before_a_truncation_is_finished() {
    let disk = SimDisk::default();
    let mut opened = Opened::on(&disk, 100);
    for value in ["a", "b", "c"] {
        opened.append(&batch(&[value])).unwrap();
    }
    let truncation = opened.log.begin_truncation(1).unwrap().expect("the log ends behind it");
    // A directory that was made is to be synced, say.
    opened.log.names = super::super::log::Names::OfSegments;
    assert!(opened.log.begin_sync().is_none(), "it would say that the log is durable to where it does not end yet");
    let recorded = note(&mut opened.checkpoint, truncation.changes().to_vec()).and_then(|()| opened.checkpoint.sync());
    opened.log.finish_truncation(truncation, recorded).unwrap();
    let ticket = opened.log.begin_sync().expect("it says how far the log is durable");
    assert_eq!(ticket.upto(), 1);
    let synced = ticket.run();
    opened.log.finish_sync(ticket, synced).unwrap();
    assert_eq!(values(&opened.log.reader()), ["a"]);
}

/// What happens in the middle of a read.
type Interruption = Box<dyn FnOnce() + Send>;

/// A disk whose next read of a file is interrupted.
#[derive(Clone, Default)]
struct InterruptedDisk {
    disk: SimDisk,
    next: Arc<Mutex<Option<Interruption>>>,
}

struct InterruptedFile {
    file: Arc<dyn File>,
    next: Arc<Mutex<Option<Interruption>>>,
}

impl std::fmt::Debug for InterruptedDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.disk.fmt(f)
    }
}

impl std::fmt::Debug for InterruptedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(f)
    }
}

impl Disk for InterruptedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(InterruptedFile { file, next: self.next.clone() }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_all(dir)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }

    fn len_of(&self, path: &Path) -> io::Result<u64> {
        self.disk.len_of(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.disk.lock(path)
    }
}

impl File for InterruptedFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let interruption = self.next.lock().take();
        if let Some(interruption) = interruption {
            interruption();
        }
        self.file.read_at(buf, position)
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.file.read_cached_at(buf, position)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        self.file.write_at(parts, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        self.file.allocate(position, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

#[test]
fn a_reader_that_a_truncation_overtakes_gets_what_is_there_then() {
    let disk = InterruptedDisk::default();
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut opened = Opened::try_open(&shared, Path::new("/data"), 1 << 20).unwrap();
    for value in ["a", "b", "c"] {
        opened.append(&batch(&[value])).unwrap();
    }
    opened.close().unwrap();
    // From the file: nothing was appended since.
    let opened = Opened::try_open(&shared, Path::new("/data"), 1 << 20).unwrap();
    let reader = opened.log.reader();
    reader.read(0, 1).unwrap();
    let opened = Arc::new(Mutex::new(opened));
    let writer = opened.clone();
    *disk.next.lock() = Some(Box::new(move || {
        let mut opened = writer.lock();
        truncate(&mut opened, 1);
        opened.append(&batch(&["another"])).unwrap();
        opened.sync().unwrap();
    }));
    let read = reader.read(1, 1 << 20).unwrap();
    let values: Vec<_> = records(read).map(|record| record.unwrap().value.unwrap()).collect();
    assert_eq!(values, ["another"]);
    drop(opened);
}

#[cfg(feature = "mutants")]
pub(super) const CHECKS: &[super::mutants::Check] = &[
    ("truncated, then appended", what_takes_the_place_of_what_was_truncated_is_not_read_before_it_is_durable),
    ("truncated, then sent again", what_a_producer_had_sent_before_it_was_truncated_it_sends_again),
    ("truncated under a reader", a_reader_that_a_truncation_overtakes_gets_what_is_there_then),
];
