//! The checkpoint: how far each partition of a data directory is known to be durable.
//!
//! One small file of entries of a fixed size, appended after each round of syncs; the last entry of a partition
//! counts. Big-endian:
//! ```text
//!   0         16          20      24               32             40         48     52
//!   ├─────────┼───────────┼───────┼────────────────┼──────────────┼──────────┼──────┤
//!   │topic id │ partition │ flags │ durable offset │ segment base │ position │ crc  │
//!   └─────────┴───────────┴───────┴────────────────┴──────────────┴──────────┴──────┘
//!     flags: 1 = closed in order                     crc: CRC-32C of the 48 bytes before
//! ```
//! An entry is written after what it speaks of was synced, and is not synced itself: it may be too low after a power
//! cut, never too high. Only a partition's first entry is synced, since without any a log cannot tell what it may
//! cut. An entry with a wrong checksum is skipped. Recovery cuts nothing below a durable point.
//!
//! Compaction writes the last entry of each partition to a new file, syncs it and renames it over the old one.

use super::index::Place;
use super::write_error;
use crate::env::{Disk, File, OpenMode};
use crate::types::{Error, Offset, PartitionIndex, Result, TopicId};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PARTITION: usize = 16;
const FLAGS: usize = PARTITION + 4;
const OFFSET: usize = FLAGS + 4;
const SEGMENT_BASE: usize = OFFSET + 8;
const POSITION: usize = SEGMENT_BASE + 8;
const CRC: usize = POSITION + 8;
const ENTRY_BYTES: usize = CRC + 4;
const _: () = assert!(ENTRY_BYTES == 52);

const CLEAN: u32 = 1;

/// Entries beyond the live ones before the file is compacted.
const STALE_ENTRIES_MAX: u64 = 16 * 1024;

/// How far one partition is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurablePoint {
    /// Every record below it was synced.
    pub offset: Offset,
    /// The base offset of the segment that was active.
    pub segment_base: Offset,
    /// Where in that segment, in bytes.
    pub position: u64,
    /// Whether the log was closed in order at this point.
    pub clean: bool,
}

impl DurablePoint {
    /// Whether what lies at `place` of a segment is below this point. Both the offset and the position have a say, so
    /// that a damaged header that claims too many or too few offsets cannot lift its successors above the point.
    pub(super) fn is_above(&self, segment_base: Offset, place: Place) -> bool {
        place.offset < self.offset || (segment_base, place.position) < (self.segment_base, self.position)
    }

    /// Why a batch below this point that ends at `end` of a segment cannot be right, if it cannot.
    pub(super) fn contradicts(&self, segment_base: Offset, end: Place) -> Option<String> {
        let there = (segment_base, end.position) == (self.segment_base, self.position);
        // Or the segment was full and its successor empty.
        let at_its_start = (self.offset, 0) == (self.segment_base, self.position);
        let possible = end.offset < self.offset || (end.offset == self.offset && (there || at_its_start));
        (!possible).then(|| {
            let Place { offset, position } = end;
            format!("a batch ends before offset {offset} at byte {position}; the log was durable to {}", self.offset)
        })
    }
}

/// The open checkpoint of a data directory; one writer.
#[derive(Debug)]
pub struct Checkpoint {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn File>,
    /// Where the next entry goes, in bytes.
    end: u64,
    points: BTreeMap<(TopicId, PartitionIndex), DurablePoint>,
}

impl Checkpoint {
    /// Opens the checkpoint at `path`, making it if it is missing, and compacts it if that pays.
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let file = disk.open(path, OpenMode::ReadWrite).map_err(|e| write_error("open", path, 0, e))?;
        sync_parent(&disk, path)?;
        let io = |e| Error::io("read", path, e);
        let mut bytes = vec![0; usize::try_from(file.len().map_err(io)?).unwrap_or(usize::MAX)];
        let read = file.read_at(&mut bytes, 0).map_err(io)?;
        let (entries, _torn) = bytes[..read].as_chunks::<ENTRY_BYTES>();
        let points = entries.iter().filter_map(decode).collect();
        // A torn entry at the end is written over.
        let end = (entries.len() * ENTRY_BYTES) as u64;
        let mut checkpoint = Self { disk, path: path.to_owned(), file, end, points };
        if checkpoint.stale_entries() > STALE_ENTRIES_MAX {
            checkpoint.compact()?;
        }
        Ok(checkpoint)
    }

    /// The durable point of a partition; `None` if it is not known.
    pub fn point(&self, topic: TopicId, partition: PartitionIndex) -> Option<DurablePoint> {
        self.points.get(&(topic, partition)).copied()
    }

    /// Appends durable points, in one write; synced if one of the partitions had none. On an error of a later point
    /// nothing is wrong: the points are merely older than the truth. A first point must be recorded before anything
    /// is appended to its log.
    pub fn record(&mut self, points: &[(TopicId, PartitionIndex, DurablePoint)]) -> Result<()> {
        let mut bytes = Vec::with_capacity(points.len() * ENTRY_BYTES);
        points.iter().for_each(|(topic, partition, point)| bytes.extend(encode(*topic, *partition, point)));
        let written = self.file.write_at(&[IoSlice::new(&bytes)], self.end);
        written.map_err(|e| write_error("write", &self.path, bytes.len() as u64, e))?;
        if points.iter().any(|(topic, partition, _)| !self.points.contains_key(&(*topic, *partition))) {
            self.file.sync_data().map_err(|e| Error::io("sync", &self.path, e))?;
        }
        self.end += bytes.len() as u64;
        self.points.extend(points.iter().map(|(topic, partition, point)| ((*topic, *partition), *point)));
        if self.stale_entries() > STALE_ENTRIES_MAX {
            self.compact()?;
        }
        Ok(())
    }

    /// Forgets a topic that was deleted. Its entries go when the file is compacted.
    pub fn forget(&mut self, topic: TopicId) {
        self.points.retain(|(of, _), _| *of != topic);
    }

    /// Compacts the file and makes it durable. Call it when everything is closed.
    pub fn close(&mut self) -> Result<()> {
        self.compact()
    }

    fn stale_entries(&self) -> u64 {
        (self.end / ENTRY_BYTES as u64).saturating_sub(self.points.len() as u64)
    }

    fn compact(&mut self) -> Result<()> {
        let path = self.path.with_extension("new");
        let error = |e| write_error("write", &path, 0, e);
        let mut bytes = Vec::with_capacity(self.points.len() * ENTRY_BYTES);
        for ((topic, partition), point) in &self.points {
            bytes.extend(encode(*topic, *partition, point));
        }
        let file = self.disk.open(&path, OpenMode::ReadWrite).map_err(error)?;
        file.set_len(0).map_err(error)?;
        file.write_at(&[IoSlice::new(&bytes)], 0).map_err(error)?;
        file.sync_data().map_err(error)?;
        self.disk.rename(&path, &self.path).map_err(error)?;
        self.file = file;
        self.end = bytes.len() as u64;
        sync_parent(&self.disk, &self.path)
    }
}

fn sync_parent(disk: &Arc<dyn Disk>, path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new(""));
    disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
}

fn encode(topic: TopicId, partition: PartitionIndex, point: &DurablePoint) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..PARTITION].copy_from_slice(topic.0.as_bytes());
    entry[PARTITION..FLAGS].copy_from_slice(&partition.to_be_bytes());
    entry[FLAGS..OFFSET].copy_from_slice(&(if point.clean { CLEAN } else { 0 }).to_be_bytes());
    entry[OFFSET..SEGMENT_BASE].copy_from_slice(&point.offset.to_be_bytes());
    entry[SEGMENT_BASE..POSITION].copy_from_slice(&point.segment_base.to_be_bytes());
    entry[POSITION..CRC].copy_from_slice(&point.position.to_be_bytes());
    let crc = crc32c::crc32c(&entry[..CRC]);
    entry[CRC..].copy_from_slice(&crc.to_be_bytes());
    entry
}

fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<((TopicId, PartitionIndex), DurablePoint)> {
    fn field<const N: usize>(entry: &[u8; ENTRY_BYTES], at: usize) -> [u8; N] {
        *entry[at..].first_chunk().expect("every field lies inside an entry")
    }
    if crc32c::crc32c(&entry[..CRC]) != u32::from_be_bytes(field(entry, CRC)) {
        return None;
    }
    let point = DurablePoint {
        offset: i64::from_be_bytes(field(entry, OFFSET)),
        segment_base: i64::from_be_bytes(field(entry, SEGMENT_BASE)),
        position: u64::from_be_bytes(field(entry, POSITION)),
        clean: u32::from_be_bytes(field(entry, FLAGS)) & CLEAN != 0,
    };
    let topic = TopicId(uuid::Uuid::from_bytes(field(entry, 0)));
    Some(((topic, u32::from_be_bytes(field(entry, PARTITION))), point))
}
