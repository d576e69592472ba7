//! An open file of a simulated disk.

use super::SimDisk;
use super::content::{ByteOp, SECTOR_BYTES, joined};
use super::faults::{Call, input_output_error};
use super::state::{State, Strike, sound, stopped};
use crate::env::File;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    inode: usize,
    /// The name that it was opened by, for the trace.
    path: Arc<Path>,
    /// Whether dropping it releases the lock of that name.
    lock: bool,
}

impl SimFile {
    pub(super) fn new(disk: &SimDisk, state: &mut State, inode: usize, path: &Path, lock: bool) -> Arc<Self> {
        state.inodes[inode].handles += 1;
        Arc::new(Self { disk: disk.clone(), inode, path: path.into(), lock })
    }

    fn read(&self, state: &State, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let inode = &state.inodes[self.inode];
        let sectors = position / SECTOR_BYTES * SECTOR_BYTES..position.saturating_add(buf.len() as u64);
        if !sectors.is_empty() && inode.unreadable.range(sectors).next().is_some() {
            return Err(input_output_error());
        }
        Ok(inode.live.read(buf, position))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], position: u64) -> io::Result<usize> {
        let len = buf.len();
        let what = || format!("read {} [{position}, +{len})", self.path.display());
        self.disk.call(Call::Read, what, |state| self.read(state, buf, position))
    }

    fn read_cached_at(&self, buf: &mut [u8], position: u64) -> io::Result<Option<usize>> {
        let len = buf.len();
        let what = || format!("read cached {} [{position}, +{len})", self.path.display());
        self.disk.call(Call::Read, what, |state| {
            let rest = state.inodes[self.inode].live.len().saturating_sub(position);
            let cached = state.faults.page_cache.holds(position, rest);
            if cached == 0 && rest > 0 && len > 0 {
                return Ok(None);
            }
            let n = len.min(usize::try_from(cached).unwrap_or(usize::MAX));
            self.read(state, &mut buf[..n], position).map(Some)
        })
    }

    fn write_at(&self, parts: &[IoSlice<'_>], position: u64) -> io::Result<()> {
        let mut bytes = joined(parts);
        let len = bytes.len();
        let what = || format!("write {} [{position}, +{len})", self.path.display());
        self.disk.call_that_strikes(Call::Write, what, |state, strike| {
            let result = match strike {
                // The write stays pending, so that the crash can tear it.
                Some(Strike::Stop) => Err(stopped()),
                Some(Strike::Error(e)) => {
                    bytes.truncate(len / 2);
                    Err(e)
                }
                None => {
                    let room = usize::try_from(state.room(self.inode, position)).unwrap_or(usize::MAX);
                    bytes.truncate(room);
                    if bytes.len() < len { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
                }
            };
            if !bytes.is_empty() {
                state.change(self.inode, ByteOp::Write { position, bytes });
            }
            result
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let what = || format!("sync {}", self.path.display());
        self.disk.call_that_strikes(Call::Sync, what, |state, strike| {
            if !matches!(strike, Some(Strike::Stop)) {
                state.inodes[self.inode].sync(strike.is_some());
            }
            sound(strike)
        })
    }

    fn allocate(&self, position: u64, len: u64) -> io::Result<()> {
        let what = || format!("allocate {} [{position}, +{len})", self.path.display());
        self.disk.call(Call::Allocate, what, |state| {
            let fits = len.min(state.room(self.inode, position));
            let inode = &mut state.inodes[self.inode];
            if fits > 0 {
                inode.reserved = inode.reserved.max(position + fits);
            }
            if fits < len { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let what = || format!("set length of {} to {len}", self.path.display());
        self.disk.call(Call::SetLen, what, |state| {
            state.change(self.inode, ByteOp::SetLen(len));
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        let what = || format!("length of {}", self.path.display());
        self.disk.call(Call::Look, what, |state| Ok(state.inodes[self.inode].live.len()))
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.disk.0.lock();
        state.inodes[self.inode].handles -= 1;
        if self.lock {
            state.locks.remove(&self.path);
        }
    }
}
