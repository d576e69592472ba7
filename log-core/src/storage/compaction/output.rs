//! Writing the segment that takes the place of others.
//!
//! ```text
//!   <base>.<generation>.log    batches, in the order of their offsets; synced
//!   <base>.<generation>.idx    then its footer; synced, and the names with it
//! ```
//! In this order, because a rewritten segment with a valid footer counts as complete. Until the checkpoint names it, it is
//! a leftover all the same, and the next open removes it.
//!
//! A segment that was compacted before and stays as it is needs not be written at all: so the file is made when the first
//! batch differs, and what was the same up to there is copied then.

use super::super::footer::Footer;
use super::super::index::Index;
use super::super::transactions::AbortedTransaction;
use super::super::write_error;
use crate::env::{Disk, File, OpenMode};
use crate::record::{BATCH_HEAD_BYTES, BatchHeader};
use crate::types::{Error, Offset, Result, Timestamp};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are gathered for one write, and copied at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A segment being written.
#[derive(Debug)]
pub(in crate::storage) struct Output {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    path: PathBuf,
    generation: u32,
    /// Where the first bytes of the output are to be copied from, as long as they are the same.
    same_as: Option<Arc<dyn File>>,
    file: Option<Arc<dyn File>>,
    index: Index,
    next_offset: Offset,
    /// Bytes of the output so far.
    len: u64,
    /// Those that were written.
    written: u64,
    /// Those behind them.
    pending: Vec<u8>,
}

/// What the footer of an output takes over from the segments that it replaces.
#[derive(Debug)]
pub(in crate::storage) struct Inherited {
    pub(in crate::storage) next_offset: Offset,
    pub(in crate::storage) first_append: Timestamp,
    pub(in crate::storage) last_append: Timestamp,
    pub(in crate::storage) epochs: Vec<(i32, Offset)>,
    pub(in crate::storage) aborted: Vec<AbortedTransaction>,
}

impl Output {
    /// A segment in `dir` that begins at `base`. With `same_as`, nothing is written before the first change.
    pub(in crate::storage) fn new(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        base: Offset,
        generation: u32,
        same_as: Option<Arc<dyn File>>,
    ) -> Self {
        Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            path: dir.join(format!("{base:020}.{generation}.log")),
            generation,
            same_as,
            file: None,
            index: Index::new(base),
            next_offset: base,
            len: 0,
            written: 0,
            pending: Vec::new(),
        }
    }

    /// Adds a batch that is as it was in its source.
    pub(in crate::storage) fn push_same(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<()> {
        self.enter(header, batch);
        if self.same_as.is_some() { Ok(()) } else { self.write(batch) }
    }

    /// Adds a batch that was changed.
    pub(in crate::storage) fn push_changed(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<()> {
        self.differs()?;
        self.enter(header, batch);
        self.write(batch)
    }

    /// The next batch of the source has no place in the output.
    pub(in crate::storage) fn differs(&mut self) -> Result<()> {
        let Some(source) = self.same_as.take() else { return Ok(()) };
        let (mut position, end) = (0, self.len);
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(end).unwrap_or(CHUNK_BYTES))];
        while position < end {
            let wanted = chunk.len().min(usize::try_from(end - position).unwrap_or(usize::MAX));
            let read = source.read_at(&mut chunk[..wanted], position).map_err(|e| Error::io("read", &self.dir, e))?;
            if read < wanted {
                let source = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(Error::io("read", &self.dir, source));
            }
            self.write(&chunk[..read])?;
            position += read as u64;
        }
        Ok(())
    }

    /// Completes the segment, durable but for its place in the checkpoint; `None` if it is the same as its source.
    pub(in crate::storage) fn finish(mut self, inherited: Inherited) -> Result<Option<Footer>> {
        if self.same_as.is_some() {
            return Ok(None);
        }
        let file = self.flush()?;
        file.sync_data().map_err(|e| Error::io("sync", &self.path, e))?;
        let Inherited { next_offset, first_append, last_append, epochs, aborted } = inherited;
        assert_eq!(self.next_offset, next_offset, "the last batch of a segment stays");
        let footer = Footer {
            index: std::mem::replace(&mut self.index, Index::new(next_offset)),
            generation: self.generation,
            next_offset,
            log_bytes: self.len,
            first_append,
            last_append,
            epochs,
            aborted,
        };
        let (bytes, path) = (footer.encode(), self.path.with_extension("idx"));
        let error = |e| write_error("write", &path, bytes.len() as u64, e);
        let file = self.disk.open(&path, OpenMode::ReadWrite).map_err(error)?;
        file.set_len(0).map_err(error)?;
        file.write_at(&[IoSlice::new(&bytes)], 0).map_err(error)?;
        file.sync_data().map_err(|e| Error::io("sync", &path, e))?;
        self.disk.sync_dir(&self.dir).map_err(|e| Error::io("sync", &self.dir, e))?;
        self.file = None;
        Ok(Some(footer))
    }

    fn enter(&mut self, header: &BatchHeader, batch: &[u8]) {
        let head: &[u8; BATCH_HEAD_BYTES] = batch.first_chunk().expect("a batch is longer than its head");
        self.index.push(self.len, header, head);
        self.next_offset = header.next_offset();
        self.len += batch.len() as u64;
    }

    /// The bytes were counted in `len` before.
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<Arc<dyn File>> {
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.create()?,
        };
        let error = |e| write_error("write", &self.path, self.pending.len() as u64, e);
        file.write_at(&[IoSlice::new(&self.pending)], self.written).map_err(error)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(file)
    }

    /// Makes the file, in the place of one that a pass which failed has left. Its footer goes first, for good: it must not
    /// vouch for other bytes.
    fn create(&mut self) -> Result<Arc<dyn File>> {
        let error = |e| write_error("create", &self.path, self.len, e);
        for path in [self.path.with_extension("idx"), self.path.clone()] {
            match self.disk.remove_file(&path) {
                Ok(()) => self.disk.sync_dir(&self.dir).map_err(error)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(error(e)),
            }
        }
        let file = self.disk.open(&self.path, OpenMode::CreateNew).map_err(error)?;
        self.file = Some(file.clone());
        Ok(file)
    }
}

/// Unfinished, it is of no use to anyone. What cannot be removed now is when the log is opened.
impl Drop for Output {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            for path in [self.path.with_extension("idx"), self.path.clone()] {
                let _ = self.disk.remove_file(&path);
            }
        }
    }
}
