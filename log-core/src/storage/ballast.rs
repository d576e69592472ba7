//! Room that is held back, so that a full disk can be helped.
//!
//! When the disk is full, deleting old segments, compacting, and even opening and closing a log first have to write a few
//! bytes into the checkpoint. The ballast is a file without bytes that has room reserved; it is removed when that write
//! would fail, and made again when there is room.

use crate::env::{Disk, OpenMode};
use crate::types::limits;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The reserved room of a data directory.
#[derive(Debug)]
pub(super) struct Ballast {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl Ballast {
    pub(super) fn new(disk: &Arc<dyn Disk>, root: &Path) -> Self {
        Self { disk: disk.clone(), path: root.join("ballast") }
    }

    /// Reserves the room if it is not, and if that leaves most of what is free. Does nothing where room cannot be
    /// reserved.
    pub(super) fn hold(&self) {
        if self.disk.exists(&self.path) {
            return;
        }
        let root = self.path.parent().unwrap_or(Path::new(""));
        let bytes = self.disk.free_bytes(root).map_or(0, |free| (free / 16).min(limits::BALLAST_BYTES_MAX));
        if bytes == 0 {
            return;
        }
        let held = self.disk.open(&self.path, OpenMode::CreateNew).and_then(|file| file.allocate(0, bytes));
        if let Err(error) = held {
            tracing::debug!(%error, "no room was reserved");
            self.release();
        }
    }

    /// Gives the room back; whether there was any.
    pub(super) fn release(&self) -> bool {
        let released = self.disk.remove_file(&self.path).is_ok();
        if released {
            tracing::warn!(path = %self.path.display(), "the disk is full; the room that was held back is used now");
        }
        released
    }
}
