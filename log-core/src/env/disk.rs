//! The seam to the file system: coarse, synchronous, dyn-compatible.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// A file for reading and writing, made if it is missing.
    ReadWrite,
    /// A file for reading and writing that must not exist yet.
    CreateNew,
}

/// A file system, as far as a log needs one.
///
/// The contract that recovery relies on: bytes are durable once `File::sync_data` has returned `Ok` after they were
/// written; a created, renamed or removed name is durable once `sync_dir` of its parent has returned `Ok`; without
/// that, a power cut keeps any subset. A failed sync says nothing about what is durable and is never retried.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Opens a file; `NotFound` and `AlreadyExists` as the mode says.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>>;
    /// Makes the directory and its parents; an existing one is fine.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, without its path, files and directories alike, sorted.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Whether there is a file or directory of that name; false when it cannot be told.
    fn exists(&self, path: &Path) -> bool;
    /// Renames a file, replacing the one that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; handles that are open keep working.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes the directory and all that is in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock on `path` for as long as the returned file lives;
    /// `ErrorKind::WouldBlock` when another process has it.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>>;
}

/// An open file. Positions and lengths are in bytes.
pub trait File: Send + Sync + std::fmt::Debug {
    /// Reads up to `buf.len()` bytes at `position`; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `parts`, one after the other, at `position`. On an error some of it may have been written.
    fn write_at(&self, parts: &[io::IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
