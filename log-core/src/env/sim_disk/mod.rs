//! A file system in memory that keeps apart what was written and what would survive a power cut.
//!
//! ```text
//!              write_at, set_len            sync_data, sync_all
//!   live ◀──────────────────────▶ pending ────────────────────▶ durable      per file
//!              create, rename, remove       sync_dir, sync_all
//!   names ◀─────────────────────▶ pending ────────────────────▶ durable      per directory
//! ```
//!
//! Reads see `live`. [`SimDisk::crash`] gives a new disk that holds `durable` and a seeded subset of what was pending:
//! each write whole, not at all, in some of its 512-byte sectors, or as zeros (a length that reached the disk before
//! its data did); each change of a name done or not done. [`SimDisk::survivors`] lists the simple subsets. A rename is
//! atomic, as journaling file systems make it.
//!
//! After a file's sync failed, its pending bytes are never made durable, though they read back and a later sync returns
//! `Ok`: that is what Linux file systems do (Rebello et al., USENIX ATC 2020). Names stay pending when the sync of a
//! directory fails: they are in the file system's journal, not in the page cache.
//!
//! Beyond power cuts: [`Fault`]s in calls, a capacity, slowness in virtual time, a cold page cache, and damage at rest
//! ([`SimDisk::flip_bit`], [`SimDisk::zero_page`], [`SimDisk::misdirect`], [`SimDisk::lose_sector`]).
//!
//! Left out: hard links, renamed directories, permissions, holes (a file takes the space of its length).

mod content;
mod faults;
mod file;
mod names;
mod state;
mod survivors;

pub use faults::{Call, Fault, PageCache};

use super::Rng;
use super::disk::{Disk, File, OpenMode};
use content::{PAGE_BYTES, SECTOR_BYTES};
use file::SimFile;
use names::{Entry, NameOp, is_root, under};
use parking_lot::Mutex;
use state::{State, Strike, sound};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What is free on a disk without a capacity.
const FREE_BYTES_UNLIMITED: u64 = 1 << 40;

/// A file system in memory that can crash. Clones are the same disk.
#[derive(Debug, Default, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// What the power cut left that this disk comes from, for the message of a failing test; empty for a new disk.
    pub fn fate(&self) -> String {
        self.0.lock().fate.clone()
    }

    /// How many bytes all files together may take; `None` for no limit. Writes beyond it write what fits and fail. A
    /// file that is removed takes its space until it is closed.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Lets something go wrong, besides what was injected before.
    pub fn inject(&self, fault: Fault) {
        self.0.lock().faults.inject(fault);
    }

    /// Takes back all injected faults and slowness, and warms the page cache.
    pub fn heal(&self) {
        self.0.lock().faults.heal();
    }

    /// Lets `n` more syncs (of files or directories) succeed and fails the one after them, once.
    pub fn fail_sync_after(&self, n: u64) {
        self.0.lock().faults.replace(Fault::eio(Call::Sync).after(n));
    }

    /// Lets `n` more writes succeed and fails the one after them, once, with half of it written.
    pub fn fail_write_after(&self, n: u64) {
        self.0.lock().faults.replace(Fault::eio(Call::Write).after(n));
    }

    /// Lets `n` more changes of a file's length succeed and fails the one after them, once.
    pub fn fail_set_len_after(&self, n: u64) {
        self.0.lock().faults.replace(Fault::eio(Call::SetLen).after(n));
    }

    /// Makes every call take about `typical` of virtual time, between half and one and a half of it, and one in 64
    /// sixteen times as long.
    pub fn slow(&self, seed: u64, typical: Duration) {
        self.0.lock().faults.slow(Rng::seeded(seed), typical);
    }

    /// How much virtual time the calls so far took, by [`SimDisk::slow`] and [`Fault::stall`].
    pub fn busy(&self) -> Duration {
        self.0.lock().faults.busy
    }

    /// What `read_cached_at` finds from now on.
    pub fn set_page_cache(&self, page_cache: PageCache) {
        self.0.lock().faults.page_cache = page_cache;
    }

    /// How many calls the disk has taken, those to its files included.
    pub fn ops(&self) -> u64 {
        self.0.lock().ops
    }

    /// Stops the machine in call number `op` (see [`SimDisk::ops`]; the first call is 0): a write may have reached
    /// the disk in part, and that call and every later one fail. Go on with [`SimDisk::crash`] or
    /// [`SimDisk::survivors`].
    pub fn crash_at(&self, op: u64) {
        self.0.lock().crash_at = Some(op);
    }

    /// Notes every call from now on, also on the disks that crashes leave of this one.
    pub fn trace_calls(&self) {
        self.0.lock().trace.get_or_insert_default();
    }

    /// One line for each call since [`SimDisk::trace_calls`], with its number, and one for each crash.
    pub fn trace(&self) -> Vec<String> {
        self.0.lock().trace.clone().unwrap_or_default()
    }

    /// Flips one bit of a file, in memory and on disk: damage that nobody notices until it is read.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u32) {
        self.damage(path, byte, 1, |bytes| bytes[0] ^= 1 << bit);
    }

    /// Zeros the 4 KiB page that `byte` of a file is in, in memory and on disk: a write that was acknowledged and lost.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn zero_page(&self, path: &Path, byte: u64) {
        let page = byte / PAGE_BYTES as u64 * PAGE_BYTES as u64;
        self.damage(path, page, byte - page + 1, |_| ());
        let len = {
            let state = self.0.lock();
            let inode = state.file(path).expect("the file was there for the check above");
            state.inodes[inode].live.len().min(page + PAGE_BYTES as u64) - page
        };
        self.damage(path, page, len, |bytes| bytes.fill(0));
    }

    /// Puts `len` bytes that belong to one file (path and position) where others belong, in memory and on disk: a write
    /// that went to the wrong place.
    ///
    /// # Panics
    /// When there are no such files or bytes.
    pub fn misdirect(&self, from: (&Path, u64), to: (&Path, u64), len: u64) {
        let mut misplaced = vec![0; len as usize];
        self.damage(from.0, from.1, len, |bytes| misplaced.copy_from_slice(bytes));
        self.damage(to.0, to.1, len, |bytes| bytes.copy_from_slice(&misplaced));
    }

    /// Makes reads of the 512-byte sector that `byte` of a file is in fail with `EIO`, until its start is written over.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn lose_sector(&self, path: &Path, byte: u64) {
        self.damage(path, byte, 1, |_| ());
        let mut state = self.0.lock();
        let inode = state.file(path).expect("the file was there for the check above");
        state.inodes[inode].unreadable.insert(byte / SECTOR_BYTES * SECTOR_BYTES);
    }

    fn damage(&self, path: &Path, position: u64, len: u64, harm: impl FnOnce(&mut [u8])) {
        let mut state = self.0.lock();
        let Ok(inode) = state.file(path) else { panic!("no file {}", path.display()) };
        let inode = &mut state.inodes[inode];
        assert!(position + len <= inode.live.len(), "{} has {} bytes", path.display(), inode.live.len());
        let mut bytes = vec![0; len as usize];
        inode.live.read(&mut bytes, position);
        harm(&mut bytes);
        inode.live.write(position, &bytes);
        bytes.truncate(inode.durable.len().saturating_sub(position).min(len) as usize);
        inode.durable.write(position, &bytes);
    }

    /// Takes a call that does nothing when something strikes in it.
    fn call<T>(
        &self,
        call: Call,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.call_that_strikes(call, what, |state, strike| sound(strike).and_then(|()| act(state)))
    }

    /// Takes a call: counts it, lets it take its time, draws what strikes in it, and notes how it went.
    fn call_that_strikes<T>(
        &self,
        call: Call,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut State, Option<Strike>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.0.lock();
        let op = state.ops;
        let result = state.begin(call).and_then(|strike| act(&mut state, strike));
        if let Some(trace) = &mut state.trace {
            let error = result.as_ref().err().map(|e| format!(": {e}")).unwrap_or_default();
            trace.push(format!("{op} {}{error}", what()));
        }
        result
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let what = || format!("open {} {mode:?}", path.display());
        self.call(Call::Open, what, |state| {
            let inode = match state.file(path) {
                Ok(_) if mode == OpenMode::CreateNew => return Err(io::ErrorKind::AlreadyExists.into()),
                Err(e)
                    if e.kind() == io::ErrorKind::NotFound && !matches!(mode, OpenMode::Read | OpenMode::Existing) =>
                {
                    state.create(path)?
                }
                found => found?,
            };
            Ok(SimFile::new(self, state, inode, path, false) as Arc<dyn File>)
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let what = || format!("create directory {}", path.display());
        self.call(Call::Name, what, |state| {
            let mut missing: Vec<&Path> = path.ancestors().filter(|dir| !state.is_dir(dir)).collect();
            missing.reverse();
            for dir in missing {
                if state.names.contains_key(dir) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                state.name(NameOp::Add(dir.into(), Entry::Dir));
            }
            Ok(())
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let what = || format!("list {}", dir.display());
        self.call(Call::Look, what, |state| {
            state.must_be_dir(dir)?;
            let children = under(&state.names, dir).filter(|(path, _)| path.parent() == Some(dir));
            Ok(children.filter_map(|(path, _)| path.file_name()).map(PathBuf::from).collect())
        })
    }

    fn exists(&self, path: &Path) -> bool {
        let what = || format!("exists {}", path.display());
        self.call(Call::Look, what, |state| Ok(is_root(path) || state.names.contains_key(path))).unwrap_or(false)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let what = || format!("rename {} to {}", from.display(), to.display());
        self.call(Call::Name, what, |state| {
            let inode = state.file(from)?;
            if !to.parent().is_some_and(|dir| state.is_dir(dir)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            if state.is_dir(to) {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            state.name(NameOp::rename(from.into(), to.into(), Entry::File(inode)));
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let what = || format!("remove {}", path.display());
        self.call(Call::Name, what, |state| {
            state.file(path)?;
            state.name(NameOp::Remove(path.into()));
            Ok(())
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let what = || format!("remove directory {}", path.display());
        self.call(Call::Name, what, |state| {
            if state.names.get(path) != Some(&Entry::Dir) {
                return Err(io::ErrorKind::NotFound.into());
            }
            let within: Vec<Arc<Path>> = under(&state.names, path).map(|(name, _)| name.clone()).collect();
            for name in within.into_iter().rev() {
                state.name(NameOp::Remove(name));
            }
            state.name(NameOp::Remove(path.into()));
            Ok(())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let what = || format!("sync directory {}", dir.display());
        self.call(Call::Sync, what, |state| {
            state.must_be_dir(dir)?;
            state.sync_names(dir);
            Ok(())
        })
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.call_that_strikes(
            Call::Sync,
            || "sync all".to_owned(),
            |state, strike| {
                state.must_be_dir(dir)?;
                if !matches!(strike, Some(Strike::Stop)) {
                    state.inodes.iter_mut().for_each(|inode| inode.sync(strike.is_some()));
                }
                sound(strike)?;
                state.sync_all_names();
                Ok(())
            },
        )
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.call(
            Call::Look,
            || "free bytes".to_owned(),
            |state| {
                state.must_be_dir(dir)?;
                Ok(state.capacity.unwrap_or(FREE_BYTES_UNLIMITED).saturating_sub(state.used_bytes()))
            },
        )
    }

    fn len_of(&self, path: &Path) -> io::Result<u64> {
        let what = || format!("length of {}", path.display());
        self.call(Call::Look, what, |state| {
            let inode = state.file(path)?;
            Ok(state.inodes[inode].live.len())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let what = || format!("lock {}", path.display());
        self.call(Call::Open, what, |state| {
            if state.locks.contains(path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let inode = match state.file(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => state.create(path)?,
                found => found?,
            };
            state.locks.insert(path.into());
            Ok(SimFile::new(self, state, inode, path, true) as Arc<dyn File>)
        })
    }
}

#[cfg(test)]
mod tests;
