//! The seam to the file system: coarse, synchronous, dyn-compatible.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Existing,
    /// A file for reading and writing, made if it is missing.
    ReadWrite,
    /// A file for reading and writing that must not exist yet.
    CreateNew,
}

/// A file system, as far as a log needs one.
///
/// The contract that recovery relies on: bytes are durable once `File::sync_data` has returned `Ok` after they were
/// written; a created, renamed or removed name is durable once `sync_dir` of its parent has returned `Ok` (of both
/// parents, for a rename from one directory to another); without that, a power cut keeps any subset. A failed sync says
/// nothing about what is durable and is never retried.
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
    /// Makes every byte and name of the file system that holds `dir` durable, those of other programs included: one call
    /// for many files, where a sync of each would cost more. `Unsupported` where the system has no such call.
    ///
    /// An error may concern any file. Linux reports errors of earlier writeback here since 5.8; an older kernel returns
    /// `Ok` for bytes that it lost, so do not rely on this call there.
    fn sync_all(&self, dir: &Path) -> io::Result<()>;
    /// How many bytes this process may still write to the file system that holds `dir`, as of now.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
    /// The length of a file in bytes, without opening it.
    fn len_of(&self, path: &Path) -> io::Result<u64>;
    /// Takes the exclusive lock on `path` for as long as the returned file lives;
    /// `ErrorKind::WouldBlock` when another process has it.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>>;
}

/// An open file. Positions and lengths are in bytes.
pub trait File: Send + Sync + std::fmt::Debug {
    /// Reads up to `buf.len()` bytes at `position`; fewer only at the end of the file.
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize>;
    /// Reads like [`File::read_at`] as far as that needs no wait for the device: what is in the page cache.
    ///
    /// `None` when nothing can be had so, or when the system cannot tell; call `read_at` on a thread that may wait.
    /// `Some(n)` with fewer than `buf.len()` bytes says that the file ends there or that the rest would have to wait,
    /// and not which: the caller knows how long the file is. `Some(0)` only at the end of the file.
    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>>;
    /// Writes all of `parts`, one after the other, at `position`. On an error some of it may have been written.
    fn write_at(&self, parts: &[io::IoSlice<'_>], position: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Reserves space for the bytes `[position, position + len)` without a change of the length, so that writing them
    /// finds room and costs less to sync. `StorageFull` when there is none; `Unsupported` where the file system or the
    /// system cannot. Content does not change. After an error some of it may be reserved: `set_len` gives it back.
    fn allocate(&self, position: u64, len: u64) -> io::Result<()>;
    /// Cuts the file, or extends it with zeros. When `len` is the current length or less, also gives back the space that
    /// was allocated behind it.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// The length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
