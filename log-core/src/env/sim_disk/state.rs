//! What is on the disk, in memory and on its platter, and the rules by which one becomes the other.

use super::content::{ByteOp, Content, Keep};
use super::faults::{Call, Faults};
use super::names::{Entry, NameOp, Names, durable_by_sync, is_root};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) inodes: Vec<Inode>,
    pub(super) names: Names,
    pub(super) durable_names: Names,
    pub(super) pending_names: Vec<Pending<NameOp>>,
    pub(super) locks: BTreeSet<Arc<Path>>,
    pub(super) capacity: Option<u64>,
    pub(super) faults: Faults,
    pub(super) ops: u64,
    pub(super) crash_at: Option<u64>,
    pub(super) fate: String,
    /// One line per call, when switched on.
    pub(super) trace: Option<Vec<String>>,
    /// How many changes there were, which gives each its place.
    pub(super) changes: u64,
}

/// A change that is not durable, and its place among all changes of the disk.
#[derive(Debug)]
pub(super) struct Pending<T> {
    pub(super) place: u64,
    pub(super) op: T,
}

/// One file, with or without a name.
#[derive(Debug, Default)]
pub(super) struct Inode {
    pub(super) live: Content,
    pub(super) durable: Content,
    pub(super) pending: Vec<Pending<ByteOp>>,
    /// Space is taken up to here, also behind the length.
    pub(super) reserved: u64,
    /// Sectors that cannot be read, by their first byte.
    pub(super) unreadable: BTreeSet<u64>,
    pub(super) named: bool,
    pub(super) handles: u64,
    /// Its last name.
    pub(super) name: Option<Arc<Path>>,
}

/// What strikes in a call.
pub(super) enum Strike {
    /// The machine stops in it.
    Stop,
    Error(io::Error),
}

impl State {
    /// Counts a call and lets it take its time; what strikes in it, or an error when the machine has stopped before.
    pub(super) fn begin(&mut self, call: Call) -> io::Result<Option<Strike>> {
        let op = self.ops;
        self.ops += 1;
        match self.crash_at {
            Some(at) if op > at => Err(stopped()),
            Some(at) if op == at => Ok(Some(Strike::Stop)),
            _ => Ok(self.faults.strike(call).map(Strike::Error)),
        }
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        is_root(path) || self.names.get(path) == Some(&Entry::Dir)
    }

    pub(super) fn must_be_dir(&self, path: &Path) -> io::Result<()> {
        if self.is_dir(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Entry::File(inode)) => Ok(*inode),
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<usize> {
        if !path.parent().is_some_and(|dir| self.is_dir(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.name(NameOp::Add(path.into(), Entry::File(inode)));
        Ok(inode)
    }

    /// Changes names, not durably yet.
    pub(super) fn name(&mut self, op: NameOp) {
        let target = op.target().clone();
        if let Some(Entry::File(replaced)) = self.names.get(&target).copied() {
            self.inodes[replaced].named = false;
        }
        if let Some(Entry::File(inode)) = op.entry() {
            self.inodes[inode].named = true;
            self.inodes[inode].name = Some(target);
        }
        op.apply(&mut self.names);
        let place = self.next_place();
        self.pending_names.push(Pending { place, op });
    }

    /// Changes a file, not durably yet.
    pub(super) fn change(&mut self, inode: usize, op: ByteOp) {
        let place = self.next_place();
        let inode = &mut self.inodes[inode];
        match &op {
            ByteOp::Write { position, bytes } => {
                inode.live.write(*position, bytes);
                let end = position + bytes.len() as u64;
                inode.unreadable.retain(|sector| !(*position..end).contains(sector));
            }
            ByteOp::SetLen(len) => {
                if *len <= inode.live.len() {
                    inode.reserved = 0;
                }
                inode.live.set_len(*len);
            }
        }
        inode.pending.push(Pending { place, op });
    }

    pub(super) fn sync_names(&mut self, dir: &Path) {
        let mut ops: Vec<&mut NameOp> = self.pending_names.iter_mut().map(|pending| &mut pending.op).collect();
        let mut durable = durable_by_sync(&mut ops, dir).into_iter();
        let names = &mut self.durable_names;
        self.pending_names.retain(|pending| {
            let durable = durable.next().expect("one for each pending change");
            if durable {
                pending.op.apply(names);
            }
            !durable
        });
    }

    pub(super) fn sync_all_names(&mut self) {
        for pending in std::mem::take(&mut self.pending_names) {
            pending.op.apply(&mut self.durable_names);
        }
    }

    /// What all files take, those included that have lost their name and are still open.
    pub(super) fn used_bytes(&self) -> u64 {
        self.inodes.iter().filter(|inode| inode.named || inode.handles > 0).map(Inode::space).sum()
    }

    /// How far a file may grow from `position` before the disk is full.
    pub(super) fn room(&self, inode: usize, position: u64) -> u64 {
        match self.capacity {
            None => u64::MAX,
            Some(capacity) => {
                let free = capacity.saturating_sub(self.used_bytes());
                (self.inodes[inode].space() + free).saturating_sub(position)
            }
        }
    }

    fn next_place(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }
}

impl Inode {
    /// Makes what is pending durable, or drops it for good when the sync fails.
    pub(super) fn sync(&mut self, fails: bool) {
        for pending in self.pending.drain(..) {
            if !fails {
                self.durable.apply(&pending.op, Keep::Whole);
            }
        }
    }

    pub(super) fn space(&self) -> u64 {
        self.live.len().max(self.reserved)
    }
}

/// An error when something struck.
pub(super) fn sound(strike: Option<Strike>) -> io::Result<()> {
    match strike {
        None => Ok(()),
        Some(Strike::Error(e)) => Err(e),
        Some(Strike::Stop) => Err(stopped()),
    }
}

pub(super) fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}
