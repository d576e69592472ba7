//! What the partitions of a data directory share: the disk, the bound on open files, the memory for recent batches and
//! for reads.

use super::buffers::Buffers;
use super::files::Files;
use super::tail_cache::TailCache;
use crate::env::Disk;
use crate::types::limits;
use std::sync::Arc;

/// The disk of a data directory, and what its partitions may use together. Clones share it.
#[derive(Clone, Debug)]
pub struct Resources {
    pub(super) files: Arc<Files>,
    pub(super) tail: Arc<TailCache>,
    pub(super) buffers: Arc<Buffers>,
}

impl Resources {
    /// At most `open_files` segments keep a file open while nobody uses it, and at most `tail_bytes` of the batches that
    /// were appended last are kept in memory.
    pub fn new(disk: Arc<dyn Disk>, open_files: usize, tail_bytes: usize) -> Self {
        Self {
            files: Files::new(disk, open_files),
            tail: Arc::new(TailCache::new(tail_bytes)),
            buffers: Buffers::new(limits::READ_BUFFERS_BYTES),
        }
    }

    /// The disk itself.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        self.files.disk()
    }

    /// How many segments have their file open.
    pub fn open_files(&self) -> usize {
        self.files.open_count()
    }

    /// Closes the files that nobody has used since the last call.
    pub fn close_idle_files(&self) {
        self.files.close_idle();
    }
}
