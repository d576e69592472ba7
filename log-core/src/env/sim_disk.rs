//! A file system in memory that keeps apart what was written and what would survive a power cut.
//!
//! ```text
//!              write_at, set_len            sync_data
//!   live ◀──────────────────────▶ pending ─────────────▶ durable      per file
//!              create, rename, remove       sync_dir
//!   names ◀─────────────────────▶ pending ─────────────▶ durable      per directory
//! ```
//!
//! Reads see `live`. [`SimDisk::crash`] gives a new disk that holds `durable` and a seeded subset of what was pending:
//! each write whole, not at all, in some of its 512-byte sectors, or as zeros (a length that reached the disk before
//! its data did); each change of a name done or not done. A rename is atomic, as journaling file systems make it.
//!
//! After a file's sync failed, its pending bytes are never made durable, though they read back and a later sync returns
//! `Ok`: that is what Linux file systems do (Rebello et al., USENIX ATC 2020). Names stay pending when the sync of a
//! directory fails: they are in the file system's journal, not in the page cache.
//!
//! Left out: latent read errors, misdirected writes, hard links, permissions.

use super::Rng;
use super::disk::{Disk, File, OpenMode};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a disk writes at once: a torn write breaks at multiples of this many bytes.
const SECTOR_BYTES: u64 = 512;

/// What is free on a disk without a capacity.
const FREE_BYTES_UNLIMITED: u64 = 1 << 40;

/// A file system in memory that can crash. Clones are the same disk.
#[derive(Debug, Default, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, Entry>,
    durable_names: BTreeMap<PathBuf, Entry>,
    pending_names: Vec<NameOp>,
    locks: BTreeSet<PathBuf>,
    capacity: Option<u64>,
    ops: u64,
    crash_at: Option<u64>,
    fail_sync_after: Option<u64>,
    fail_write_after: Option<u64>,
    fail_set_len_after: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Dir,
    File(usize),
}

#[derive(Clone, Debug)]
enum NameOp {
    Add(PathBuf, Entry),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Entry),
}

#[derive(Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<ByteOp>,
}

#[derive(Clone, Debug)]
enum ByteOp {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
    /// Released when the file is dropped.
    lock: Option<PathBuf>,
}

impl SimDisk {
    /// The disk as the next start of the machine finds it. The same seed and history give the same disk; seeds draw
    /// between losing all that was not synced, losing nothing of it (the process died, the machine did not), and
    /// subsets. `self` is left as it was, so one history can be crashed in many ways. Locks are released and
    /// injected faults and the capacity are gone.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let mut rng = Rng::seeded(seed);
        let fate = match rng.below(4) {
            0 => Fate::Nothing,
            1 => Fate::Everything,
            _ => Fate::Subset,
        };
        let state = self.0.lock();
        let mut names = state.durable_names.clone();
        for op in &state.pending_names {
            if fate == Fate::Everything || (fate == Fate::Subset && rng.chance(1, 2)) {
                op.apply(&mut names);
            }
        }
        // A name whose directory did not survive is not reachable.
        let present: BTreeSet<PathBuf> = names.keys().cloned().collect();
        names.retain(|path, _| path.ancestors().skip(1).all(|dir| is_root(dir) || present.contains(dir)));
        let inodes = state.inodes.iter().map(|inode| Inode::clean(inode.survivor(fate, &mut rng))).collect();
        Self(Arc::new(Mutex::new(State { inodes, durable_names: names.clone(), names, ..State::default() })))
    }

    /// How many bytes all files together may have; `None` for no limit. Writes beyond it write what fits and fail.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Lets `n` more syncs (of files or directories) succeed and fails the one after them, once.
    pub fn fail_sync_after(&self, n: u64) {
        self.0.lock().fail_sync_after = Some(n);
    }

    /// Lets `n` more writes succeed and fails the one after them, once, with half of it written.
    pub fn fail_write_after(&self, n: u64) {
        self.0.lock().fail_write_after = Some(n);
    }

    /// Lets `n` more changes of a file's length succeed and fails the one after them, once.
    pub fn fail_set_len_after(&self, n: u64) {
        self.0.lock().fail_set_len_after = Some(n);
    }

    /// How many calls the disk has taken, those to its files included.
    pub fn ops(&self) -> u64 {
        self.0.lock().ops
    }

    /// Stops the machine in call number `op` (see [`SimDisk::ops`]; the first call is 0): a write may have reached
    /// the disk in part, and that call and every later one fail. Go on with [`SimDisk::crash`].
    pub fn crash_at(&self, op: u64) {
        self.0.lock().crash_at = Some(op);
    }

    /// Flips one bit of a file, in memory and on disk: damage that nobody notices until it is read.
    ///
    /// # Panics
    /// When there is no such file or byte.
    pub fn flip_bit(&self, path: &Path, byte: u64, bit: u32) {
        let mut state = self.0.lock();
        let Some(Entry::File(inode)) = state.names.get(path).copied() else { panic!("no file {}", path.display()) };
        let inode = &mut state.inodes[inode];
        inode.live[byte as usize] ^= 1 << bit;
        if let Some(durable) = inode.durable.get_mut(byte as usize) {
            *durable ^= 1 << bit;
        }
    }

    /// Counts a call; an error when the machine stops in it or has stopped.
    fn call(&self) -> io::Result<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.0.lock();
        let op = state.ops;
        state.ops += 1;
        if state.crash_at.is_some_and(|at| op >= at) {
            return Err(crashed());
        }
        Ok(state)
    }
}

/// What becomes of pending changes in one crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Nothing,
    Everything,
    Subset,
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.call()?;
        let inode = match (state.names.get(path), mode) {
            (Some(Entry::Dir), _) => return Err(io::ErrorKind::IsADirectory.into()),
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Entry::File(inode)), _) => *inode,
            (None, OpenMode::Read) => return Err(io::ErrorKind::NotFound.into()),
            (None, OpenMode::ReadWrite | OpenMode::CreateNew) => state.create(path)?,
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode, lock: None }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        let mut missing: Vec<&Path> = path.ancestors().filter(|dir| !state.is_dir(dir)).collect();
        missing.reverse();
        for dir in missing {
            if state.names.contains_key(dir) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.name(NameOp::Add(dir.to_owned(), Entry::Dir));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.call()?;
        if !state.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let children = state.names.keys().filter(|path| path.parent() == Some(dir));
        let mut names: Vec<PathBuf> = children.filter_map(|path| path.file_name()).map(PathBuf::from).collect();
        names.sort();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> bool {
        self.call().is_ok_and(|state| is_root(path) || state.names.contains_key(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        let Some(entry @ Entry::File(_)) = state.names.get(from).copied() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if !to.parent().is_some_and(|dir| state.is_dir(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.name(NameOp::Rename(from.to_owned(), to.to_owned(), entry));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        match state.names.get(path) {
            Some(Entry::File(_)) => {
                state.name(NameOp::Remove(path.to_owned()));
                Ok(())
            }
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        if state.names.get(path) != Some(&Entry::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let within: Vec<PathBuf> = state.names.keys().filter(|name| name.starts_with(path)).cloned().collect();
        for name in within.into_iter().rev() {
            state.name(NameOp::Remove(name));
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        if !state.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if due(&mut state.fail_sync_after) {
            return Err(input_output_error());
        }
        let state = &mut *state;
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.pending_names).into_iter().partition(|op| op.touches(dir));
        state.pending_names = elsewhere;
        for op in here {
            op.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn sync_all(&self, _: &Path) -> io::Result<()> {
        let mut state = self.call()?;
        let fails = due(&mut state.fail_sync_after);
        let state = &mut *state;
        for inode in &mut state.inodes {
            let pending = std::mem::take(&mut inode.pending);
            if !fails {
                pending.iter().for_each(|op| op.apply(&mut inode.durable));
            }
        }
        if fails {
            return Err(input_output_error());
        }
        for op in std::mem::take(&mut state.pending_names) {
            op.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let state = self.call()?;
        Ok(state.capacity.unwrap_or(FREE_BYTES_UNLIMITED).saturating_sub(state.used_bytes()))
    }

    fn len_of(&self, path: &Path) -> io::Result<u64> {
        let state = self.call()?;
        match state.names.get(path) {
            Some(Entry::File(inode)) => Ok(state.inodes[*inode].live.len() as u64),
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.call()?;
        if state.locks.contains(path) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let inode = match state.names.get(path) {
            Some(Entry::File(inode)) => *inode,
            Some(Entry::Dir) => return Err(io::ErrorKind::IsADirectory.into()),
            None => state.create(path)?,
        };
        state.locks.insert(path.to_owned());
        Ok(Arc::new(SimFile { disk: self.clone(), inode, lock: Some(path.to_owned()) }))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.disk.call()?;
        let live = &state.inodes[self.inode].live;
        let start = live.len().min(usize::try_from(position).unwrap_or(usize::MAX));
        let n = buf.len().min(live.len() - start);
        buf[..n].copy_from_slice(&live[start..start + n]);
        Ok(n)
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        self.read_at(buf, position).map(Some)
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut bytes: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        // The call in which the machine stops leaves its write pending, so that the crash can tear it.
        let mut stopped = self.disk.0.lock();
        if stopped.crash_at == Some(stopped.ops) {
            stopped.ops += 1;
            stopped.inodes[self.inode].change(ByteOp::Write { position, bytes });
            return Err(crashed());
        }
        drop(stopped);

        let mut state = self.disk.call()?;
        let mut result = Ok(());
        if due(&mut state.fail_write_after) {
            bytes.truncate(bytes.len() / 2);
            result = Err(input_output_error());
        } else if let Some(capacity) = state.capacity {
            let length = state.inodes[self.inode].live.len() as u64;
            let free = capacity.saturating_sub(state.used_bytes());
            let fits = (length + free).saturating_sub(position);
            if (bytes.len() as u64) > fits {
                bytes.truncate(fits as usize);
                result = Err(io::ErrorKind::StorageFull.into());
            }
        }
        if !bytes.is_empty() {
            state.inodes[self.inode].change(ByteOp::Write { position, bytes });
        }
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.call()?;
        let fails = due(&mut state.fail_sync_after);
        let inode = &mut state.inodes[self.inode];
        let pending = std::mem::take(&mut inode.pending);
        if fails {
            return Err(input_output_error());
        }
        pending.iter().for_each(|op| op.apply(&mut inode.durable));
        Ok(())
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        self.disk.call().map(drop)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.call()?;
        if due(&mut state.fail_set_len_after) {
            return Err(input_output_error());
        }
        state.inodes[self.inode].change(ByteOp::SetLen(len));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.call()?.inodes[self.inode].live.len() as u64)
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Some(path) = &self.lock {
            self.disk.0.lock().locks.remove(path);
        }
    }
}

impl State {
    fn is_dir(&self, path: &Path) -> bool {
        is_root(path) || self.names.get(path) == Some(&Entry::Dir)
    }

    fn create(&mut self, path: &Path) -> io::Result<usize> {
        if !path.parent().is_some_and(|dir| self.is_dir(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.name(NameOp::Add(path.to_owned(), Entry::File(inode)));
        Ok(inode)
    }

    fn name(&mut self, op: NameOp) {
        op.apply(&mut self.names);
        self.pending_names.push(op);
    }

    fn used_bytes(&self) -> u64 {
        let files = self.names.values().map(|entry| match entry {
            Entry::File(inode) => self.inodes[*inode].live.len() as u64,
            Entry::Dir => 0,
        });
        files.sum()
    }
}

impl NameOp {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Entry>) {
        match self {
            Self::Add(path, entry) => {
                names.insert(path.clone(), *entry);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, entry) => {
                names.remove(from);
                names.insert(to.clone(), *entry);
            }
        }
    }

    fn touches(&self, dir: &Path) -> bool {
        match self {
            Self::Add(path, _) | Self::Remove(path) => path.parent() == Some(dir),
            Self::Rename(from, to, _) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }
}

impl Inode {
    fn clean(bytes: Vec<u8>) -> Self {
        Self { live: bytes.clone(), durable: bytes, pending: Vec::new() }
    }

    fn change(&mut self, op: ByteOp) {
        op.apply(&mut self.live);
        self.pending.push(op);
    }

    fn survivor(&self, fate: Fate, rng: &mut Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for op in &self.pending {
            match fate {
                Fate::Nothing => {}
                Fate::Everything => op.apply(&mut bytes),
                Fate::Subset => op.apply_in_part(&mut bytes, rng),
            }
        }
        bytes
    }
}

impl ByteOp {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Write { position, bytes } => write(file, *position, bytes),
            Self::SetLen(len) => file.resize(*len as usize, 0),
        }
    }

    fn apply_in_part(&self, file: &mut Vec<u8>, rng: &mut Rng) {
        match (self, rng.below(4)) {
            (_, 0) => {}
            (Self::Write { position, bytes }, 1) => {
                for (at, sector) in sectors(*position, bytes) {
                    if rng.chance(1, 2) {
                        write(file, at, sector);
                    }
                }
            }
            (Self::Write { position, bytes }, 2) => {
                let end = *position as usize + bytes.len();
                file.resize(file.len().max(end), 0);
            }
            _ => self.apply(file),
        }
    }
}

/// `bytes` cut at the sector boundaries of the file.
fn sectors(mut position: u64, mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let to_boundary = (SECTOR_BYTES - position % SECTOR_BYTES) as usize;
        let (sector, rest) = bytes.split_at(to_boundary.min(bytes.len()));
        let at = position;
        position += sector.len() as u64;
        bytes = rest;
        (!sector.is_empty()).then_some((at, sector))
    })
}

fn write(file: &mut Vec<u8>, position: u64, bytes: &[u8]) {
    let (start, end) = (position as usize, position as usize + bytes.len());
    file.resize(file.len().max(end), 0);
    file[start..end].copy_from_slice(bytes);
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}

/// Counts down to an injected fault; true when it strikes, which is once.
fn due(fault: &mut Option<u64>) -> bool {
    match fault {
        Some(0) => {
            *fault = None;
            true
        }
        Some(n) => {
            *n -= 1;
            false
        }
        None => false,
    }
}

fn crashed() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(5) // EIO
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
