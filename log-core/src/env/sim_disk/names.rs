//! The names on a disk, and the changes to them that a power cut may undo.
//!
//! A change of a name is durable once its directory was synced; a rename from one directory to another once both were.
//! Until then any subset survives that a journaling file system could leave: the changes of one name in the order in
//! which they were made, a rename whole or not at all, a directory removed only when what was in it is, and nothing
//! inside a directory that did not survive.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

pub(super) type Names = BTreeMap<Arc<Path>, Entry>;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Dir,
    /// The number of its inode.
    File(usize),
}

/// A change of a name that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum NameOp {
    Add(Arc<Path>, Entry),
    Remove(Arc<Path>),
    Rename(Rename),
}

#[derive(Clone, Debug)]
pub(super) struct Rename {
    pub(super) from: Arc<Path>,
    pub(super) to: Arc<Path>,
    pub(super) entry: Entry,
    /// Whether the directory of `from`, or of `to`, was synced since, while the other was not.
    half_synced: [bool; 2],
}

impl NameOp {
    pub(super) fn rename(from: Arc<Path>, to: Arc<Path>, entry: Entry) -> Self {
        Self::Rename(Rename { from, to, entry, half_synced: [false; 2] })
    }

    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, entry) => {
                names.insert(path.clone(), *entry);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(Rename { from, to, entry, .. }) => {
                names.remove(from);
                names.insert(to.clone(), *entry);
            }
        }
    }

    /// The name that stands for something else, or for nothing, after this.
    pub(super) fn target(&self) -> &Arc<Path> {
        match self {
            Self::Add(path, _) | Self::Remove(path) | Self::Rename(Rename { to: path, .. }) => path,
        }
    }

    /// The file or directory that has a new name through this.
    pub(super) fn entry(&self) -> Option<Entry> {
        match self {
            Self::Add(_, entry) | Self::Rename(Rename { entry, .. }) => Some(*entry),
            Self::Remove(_) => None,
        }
    }

    /// Whether this, the later one, cannot have survived without `earlier`.
    pub(super) fn needs(&self, earlier: &Self) -> bool {
        self.follows(earlier)
            || self.paths().any(|path| earlier.paths().any(|dir| path != dir && path.starts_with(dir)))
    }

    /// Whether this changes a name that `earlier` changed, or removes a directory that `earlier` changed something in.
    fn follows(&self, earlier: &Self) -> bool {
        self.paths().any(|path| {
            earlier.paths().any(|other| path == other || (matches!(self, Self::Remove(_)) && other.starts_with(path)))
        })
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        let (first, second) = match self {
            Self::Add(path, _) | Self::Remove(path) => (path, None),
            Self::Rename(Rename { from, to, .. }) => (from, Some(to)),
        };
        std::iter::once(&**first).chain(second.map(|path| &**path))
    }

    /// Notes that `dir` was synced; true when this is durable now.
    fn synced(&mut self, dir: &Path) -> bool {
        match self {
            Self::Add(path, _) | Self::Remove(path) => path.parent() == Some(dir),
            Self::Rename(Rename { from, to, half_synced, .. }) => {
                half_synced[0] |= from.parent() == Some(dir);
                half_synced[1] |= to.parent() == Some(dir);
                *half_synced == [true; 2]
            }
        }
    }
}

impl fmt::Display for NameOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(path, Entry::Dir) => write!(f, "create directory {}", path.display()),
            Self::Add(path, Entry::File(_)) => write!(f, "create {}", path.display()),
            Self::Remove(path) => write!(f, "remove {}", path.display()),
            Self::Rename(Rename { from, to, .. }) => write!(f, "rename {} to {}", from.display(), to.display()),
        }
    }
}

/// Which of `pending`, in the order in which they were made, become durable by a sync of `dir`.
pub(super) fn durable_by_sync(pending: &mut [&mut NameOp], dir: &Path) -> Vec<bool> {
    let mut durable: Vec<bool> = pending.iter_mut().map(|op| op.synced(dir)).collect();
    // A directory that took the place of one of the same name: the old one and what was in it must be gone first.
    if pending.iter().any(|op| matches!(&**op, NameOp::Remove(path) if **path == *dir)) {
        for (n, op) in pending.iter().enumerate() {
            durable[n] |= op.paths().any(|path| path == dir);
        }
    }
    for n in (0..pending.len()).rev() {
        durable[n] |= (n + 1..pending.len()).any(|later| durable[later] && pending[later].follows(pending[n]));
    }
    durable
}

/// Removes the names whose directory is not there.
pub(super) fn drop_unreachable(names: &mut Names) {
    // In path order a directory comes before what is in it.
    let mut reachable = Names::new();
    for (path, entry) in std::mem::take(names) {
        let dir = path.parent().unwrap_or(Path::new(""));
        if is_root(dir) || reachable.get(dir) == Some(&Entry::Dir) {
            reachable.insert(path, entry);
        }
    }
    *names = reachable;
}

/// What is in `dir`, at any depth, in path order.
pub(super) fn under<'a>(names: &'a Names, dir: &'a Path) -> impl Iterator<Item = (&'a Arc<Path>, &'a Entry)> {
    names.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded)).take_while(move |(path, _)| path.starts_with(dir))
}

pub(super) fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}
