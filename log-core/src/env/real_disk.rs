//! The machine's file system.
//!
//! Blocking calls on the caller's thread, positioned reads and writes only, no mapping: a full page cache or a bad
//! sector comes back as an error and never as a signal. A full disk surfaces as `io::ErrorKind::StorageFull`.
//!
//! Left out: `sync_file_range`, which starts writeback of a range early. rustix has no such call, and std neither.

use super::disk::{Disk, File, OpenMode};
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `pwritev` takes at most this many parts (POSIX `IOV_MAX` is 1024 on Linux and macOS).
const PARTS_MAX: usize = 1024;

/// File systems (their magic numbers in `statfs`) whose `syncfs` waits for data and names and reports what failed: ext4,
/// XFS, Btrfs, F2FS. Others, such as overlays and FUSE, return without having proved anything.
#[cfg(target_os = "linux")]
const SYNCS_ALL: [i64; 4] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010];

/// The machine's file system. Clones share what they keep open.
#[derive(Debug, Default, Clone)]
pub struct RealDisk {
    /// The directories that `sync_all` is asked for, kept open: the kernel reports a failed writeback to a handle that
    /// was open before it, but to a later one only until any program has seen it.
    synced_dirs: Arc<Mutex<BTreeMap<PathBuf, Arc<fs::File>>>>,
}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    /// Whether the file names the process that has it locked, for as long as it does.
    is_lock: bool,
}

impl Drop for RealFile {
    fn drop(&mut self) {
        if self.is_lock {
            // The id of a process that is over helps nobody; it may stay.
            let _ = self.file.set_len(0);
        }
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match mode {
            OpenMode::Read => &mut options,
            OpenMode::Existing => options.write(true),
            OpenMode::ReadWrite => options.write(true).create(true),
            OpenMode::CreateNew => options.write(true).create_new(true),
        };
        Ok(Arc::new(RealFile { file: options.open(path)?, is_lock: false }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut names: Vec<PathBuf> =
            fs::read_dir(or_here(dir))?.map(|entry| entry.map(|e| e.file_name().into())).collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(or_here(dir))?.sync_all()
    }

    #[cfg(target_os = "linux")]
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        if !SYNCS_ALL.contains(&rustix::fs::statfs(or_here(dir))?.f_type) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // Not retried when a signal interrupts it: like any failed sync, that proves nothing.
        Ok(rustix::fs::syncfs(&*self.handle_of(dir)?)?)
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_all(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let fs = rustix::fs::statvfs(or_here(dir))?;
        Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
    }

    fn len_of(&self, path: &Path) -> io::Result<u64> {
        let metadata = fs::metadata(path)?;
        if metadata.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(metadata.len()) }
    }

    /// Also writes this process's id into the file, so that the next one can say who holds the lock, and
    /// opens the directory for `sync_all` before anything is written to it.
    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        self.handle_of(path.parent().unwrap_or(path))?;
        file.set_len(0)?;
        // Only a courtesy: on a full disk the log has to open without it.
        let _ = file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0);
        Ok(Arc::new(RealFile { file, is_lock: true }))
    }
}

impl RealDisk {
    fn handle_of(&self, dir: &Path) -> io::Result<Arc<fs::File>> {
        let mut dirs = self.synced_dirs.lock();
        if let Some(file) = dirs.get(dir) {
            return Ok(file.clone());
        }
        let file = Arc::new(fs::File::open(or_here(dir))?);
        dirs.insert(dir.to_owned(), file.clone());
        Ok(file)
    }
}

impl File for RealFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], position + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(done)
    }

    #[cfg(target_os = "linux")]
    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        use rustix::io::{ReadWriteFlags, preadv2};
        match preadv2(&self.file, &mut [io::IoSliceMut::new(buf)], position, ReadWriteFlags::NOWAIT) {
            Ok(n) => Ok(Some(n)),
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached_at(&self, _: &mut [u8], _: u64) -> io::Result<Option<usize>> {
        Ok(None)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], mut position: u64) -> io::Result<()> {
        let mut parts = parts.to_vec();
        let mut rest = &mut parts[..];
        IoSlice::advance_slices(&mut rest, 0); // drops empty parts in front
        while !rest.is_empty() {
            let batch = &rest[..rest.len().min(PARTS_MAX)];
            match rustix::io::pwritev(&self.file, batch, position) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    position += n as u64;
                    IoSlice::advance_slices(&mut rest, n);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        if len == 0 {
            return Ok(()); // the system call refuses it
        }
        match rustix::io::retry_on_intr(|| fallocate(&self.file, FallocateFlags::KEEP_SIZE, position, len)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            result => Ok(result?),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// The parent of a relative name is the empty path, which the system calls do not take.
fn or_here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}
