//! One file of a partition's log: record batches, one after the other, byte for byte as they were acknowledged.
//!
//! ```text
//!   00000000000000001234.log      named by the base offset of its first batch
//!   ┌─────────────┬─────────────┬───────────────┐
//!   │ batch @1234 │ batch @1240 │ batch @1241 … │   base offsets follow on without a gap
//!   └─────────────┴─────────────┴───────────────┘
//!   0                                           len
//! ```
//! A segment is shared by the writer and its readers. Bytes below `len` never change.

use super::index::{Index, Place};
use super::scan::Scanner;
use crate::env::{Disk, File, OpenMode};
use crate::record::{BATCH_HEAD_BYTES, BatchHeader};
use crate::types::{Error, Offset, Result, Timestamp};
use parking_lot::RwLock;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

const EXTENSION: &str = "log";
const NAME_DIGITS: usize = 20;

/// One segment, written or readable.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) base: Offset,
    pub(super) path: PathBuf,
    disk: Arc<dyn Disk>,
    /// Opened on first use.
    file: OnceLock<Arc<dyn File>>,
    /// Bytes of whole batches. Published after they were written.
    len: AtomicU64,
    index: RwLock<Index>,
}

impl Segment {
    /// The segment of `dir` that begins at `base`, with `len` bytes; its file is not touched before it is used.
    pub(super) fn new(disk: &Arc<dyn Disk>, dir: &Path, base: Offset, len: u64) -> Self {
        Self {
            base,
            path: path_of(dir, base),
            disk: disk.clone(),
            file: OnceLock::new(),
            len: AtomicU64::new(len),
            index: RwLock::new(Index::new(base)),
        }
    }

    /// Makes an empty segment; its name is durable when the directory is synced.
    pub(super) fn create(disk: &Arc<dyn Disk>, dir: &Path, base: Offset) -> std::io::Result<Self> {
        let segment = Self::new(disk, dir, base, 0);
        let file = disk.open(&segment.path, OpenMode::CreateNew)?;
        // Nobody else has the segment yet.
        let _ = segment.file.set(file);
        Ok(segment)
    }

    /// The open file. [`Error::Io`] when it cannot be opened.
    pub(super) fn file(&self) -> Result<&Arc<dyn File>> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = self.disk.open(&self.path, OpenMode::ReadWrite).map_err(|e| Error::io("open", &self.path, e))?;
        Ok(self.file.get_or_init(|| file))
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Publishes a batch that was written at the end, or found there. `bytes` begin with its head.
    pub(super) fn push(&self, position: u64, header: &BatchHeader, bytes: &[u8]) {
        let head: &[u8; BATCH_HEAD_BYTES] = bytes.first_chunk().expect("a batch was parsed from them");
        self.index.write().push(position, header, head);
        self.len.fetch_max(position + header.total_bytes() as u64, Ordering::AcqRel);
    }

    /// Forgets what lies at or behind `position`. Only recovery does, before anyone else has the segment.
    pub(super) fn cut(&self, position: u64) {
        self.len.store(position, Ordering::Release);
    }

    /// A batch at or before the one that holds `offset`.
    pub(super) fn floor(&self, offset: Offset) -> Place {
        self.index.read().floor(offset)
    }

    /// A batch at or before the first with a timestamp at or after `at`; `None` if there is none.
    pub(super) fn floor_of_time(&self, at: Timestamp) -> Option<Place> {
        self.index.read().floor_of_time(at)
    }

    /// Reads batches from `place` on.
    pub(super) fn scan(&self, place: Place) -> Result<Scanner> {
        Ok(Scanner::new(self.file()?.clone(), place, self.len()))
    }

    /// An error of reading this segment.
    pub(super) fn read_error(&self, source: std::io::Error) -> Error {
        Error::io("read", &self.path, source)
    }

    /// What is wrong with the bytes at `place`.
    pub(super) fn corrupt(&self, place: Place, why: String) -> Error {
        Error::Corrupt { path: self.path.clone(), position: place.position, offset: place.offset, why }
    }
}

/// Where the segment that begins at `base` lies in `dir`.
pub(super) fn path_of(dir: &Path, base: Offset) -> PathBuf {
    dir.join(format!("{base:0NAME_DIGITS$}.{EXTENSION}"))
}

/// The base offset in a segment's file name; `None` for other files.
pub(super) fn base_of(name: &Path) -> Option<Offset> {
    let digits = name.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
    (digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}
