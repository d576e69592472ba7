//! The checkpoint: what a data directory knows of its partitions without looking into their files.
//!
//! One append-only key-value log for all partitions. A key is a topic id and a partition; its value has the durable
//! point, the log start offset and the sealed segments ([`PartitionState`]). What is appended are [`Change`]s: a *frame*
//! ([`frame`]) holds any number of *entries* ([`entry`]), and all of them or none are found again.
//!
//! ```text
//!   open                  append   append   sync          close
//!     │ Opened, synced      │        │        │             │ compacted: one frame for many partitions, Closed
//!   ──▼─────────────────────▼────────▼────────┴─────────────▼──▶
//! ```
//! How it works. `append` writes a frame and does not sync it; `sync` makes all frames durable. A power cut keeps a
//! prefix of the frames that has at least those that were synced ([`replay`]). When what is stale outweighs what is
//! live, the next append compacts first: the shortest history with the same sum goes to `checkpoint.new`, which is
//! synced and renamed over the old file. Its frames claim to be synced up to the last of them, since under its final
//! name the file is.
//!
//! Invariants.
//! - What was synced is found again, whole frames are, and nothing else is.
//! - A state changes in memory only after its frame was written. A write that failed is cut off again.
//! - After a sync failed nothing is known of the file: the checkpoint is fenced, and no sync is tried again.
//! - `Opened` is durable before anything else is appended, so a file that ends in `Closed` tells of a directory
//!   that nobody has written to since.
//! - A torn tail is cut, and the cut is durable, before anything is appended: no stale frame follows a new one.
//! - Damage is never cut or forgotten. It is written down (`Damaged`) until [`Checkpoint::reconciled`].
//!
//! A durable point may be too low after a power cut, never too high: it is appended after what it speaks of was synced.
//!
//! Left out: a bound on memory (a partition takes about 100 bytes and 32 for each sealed segment).

mod entry;
mod frame;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod point;
mod replay;
mod state;
#[cfg(test)]
mod tests;

pub use point::DurablePoint;
pub use replay::CheckpointReport;
pub use state::{Change, PartitionState, SealedSegment};

use super::write_error;
use crate::env::{Disk, File, OpenMode};
use crate::mutants::{self, Mutant};
use crate::types::{Error, PartitionIndex, Result, TopicId};
use entry::Entry;
use replay::Replay;
use state::States;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Stale bytes before the file is compacted, unless more than these are live. Tests compact often.
const STALE_BYTES_MIN: u64 = if cfg!(test) { 512 } else { 1024 * 1024 };
/// A payload of a compacted file ends when it has this many bytes.
const COMPACTED_PAYLOAD_BYTES: usize = if cfg!(test) { 100 } else { 64 * 1024 };

/// The open checkpoint of a data directory; one writer.
#[derive(Debug)]
pub struct Checkpoint {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn File>,
    /// Where the next frame goes, in bytes.
    end: u64,
    /// Everything below this position is durable.
    synced: u64,
    states: States,
    /// Damage was found and [`Checkpoint::reconciled`] was not called yet.
    damaged: bool,
    /// Whether the file says that it was opened.
    marked: bool,
    /// Where to try again to compact, after it failed.
    compact_from: u64,
    /// Why nothing is appended any more: fenced or closed.
    refusal: Option<Error>,
}

impl Checkpoint {
    /// Opens the checkpoint at `path`, making it if it is missing: reads it, cuts off a torn tail and marks it as open.
    /// When it returns, all that it holds is durable. A full disk does not keep it from being opened.
    ///
    /// After [`CheckpointReport::damage`], open every partition as if it had no state, append what was found, then
    /// call [`Checkpoint::reconciled`]. [`Error::DiskFull`] and [`Error::Io`].
    pub fn open(disk: Arc<dyn Disk>, path: &Path) -> Result<(Self, CheckpointReport)> {
        let leftover = new_path(path);
        if disk.exists(&leftover) {
            disk.remove_file(&leftover).map_err(|e| Error::io("remove", leftover, e))?;
        }
        let file = disk.open(path, OpenMode::ReadWrite).map_err(|e| write_error("open", path, 0, e))?;
        sync_parent(&disk, path)?;
        let bytes = read(&*file).map_err(|e| Error::io("read", path, e))?;
        let Replay { states, keep, synced, closed_at, report } = replay::replay(path, &bytes);
        let mut checkpoint = Self {
            disk,
            path: path.to_owned(),
            file,
            end: keep,
            synced,
            states,
            damaged: report.damage.is_some(),
            marked: false,
            compact_from: 0,
            refusal: None,
        };
        if report.torn_tail.is_some() {
            checkpoint.file.set_len(keep).map_err(|e| Error::io("cut", path, e))?;
            checkpoint.sync_file()?;
        }
        if synced < keep {
            // A sync of these bytes may have failed: then they read back, and no later sync makes them durable unless
            // they are written again.
            let unsynced = &bytes[synced as usize..keep as usize];
            let written = checkpoint.file.write_at(&[IoSlice::new(unsynced)], synced);
            written.map_err(|e| write_error("write", path, 0, e))?;
        }
        match checkpoint.mark() {
            Err(Error::DiskFull { .. }) => {
                // Taking back the last word takes no room. The first append marks the file, or fails.
                if let Some(closed_at) = closed_at {
                    checkpoint.file.set_len(closed_at).map_err(|e| Error::io("cut", path, e))?;
                    (checkpoint.end, checkpoint.synced) = (closed_at, synced.min(closed_at));
                }
                checkpoint.sync_file()?;
            }
            marked => marked?,
        }
        Ok((checkpoint, report))
    }

    /// Marks the file as open, durably: from now on it is not clean, and damage is on record.
    fn mark(&mut self) -> Result<()> {
        let mut payload = Vec::new();
        Entry::Opened.put(&mut payload);
        if self.damaged {
            Entry::Damaged.put(&mut payload);
        }
        self.write_frame(&payload)?;
        self.sync_file()?;
        self.marked = true;
        Ok(())
    }

    /// What is known of a partition; `None` if nothing is. If the checkpoint is sound, that is a partition of which
    /// nothing is durable.
    pub fn state(&self, topic: TopicId, partition: PartitionIndex) -> Option<&PartitionState> {
        self.states.of(topic, partition)
    }

    /// Everything that is known, in order of topic id and partition.
    pub fn partitions(&self) -> impl Iterator<Item = (TopicId, PartitionIndex, &PartitionState)> {
        self.states.iter()
    }

    /// Appends changes in one frame: after a power cut all of them are there or none. Written, not synced; frames
    /// are found again in order, so a frame is never there without those before it.
    ///
    /// On an error nothing has changed. [`Error::DiskFull`] is worth another try; [`Error::Fenced`] and
    /// [`Error::Closed`] stay until the checkpoint is opened again.
    ///
    /// # Panics
    /// If a change is none that could ever be: a negative offset, segments that are out of order or out of their range.
    pub fn append(&mut self, changes: &[(TopicId, PartitionIndex, Change)]) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut payload = Vec::new();
        for (topic, partition, change) in changes {
            assert!(change.is_valid(), "a change of {topic}-{partition} that cannot be: {change:?}");
            entry::put_change(&mut payload, *topic, *partition, change);
        }
        self.append_payload(&payload)?;
        for (topic, partition, change) in changes {
            self.states.apply(*topic, *partition, change.clone());
        }
        Ok(())
    }

    /// Forgets a topic that was deleted. Errors as for [`Checkpoint::append`].
    pub fn forget(&mut self, topic: TopicId) -> Result<()> {
        let mut payload = Vec::new();
        Entry::Forget(topic).put(&mut payload);
        self.append_payload(&payload)?;
        self.states.forget(topic);
        Ok(())
    }

    /// Makes all that was appended durable; does nothing when it is. A failure fences the checkpoint: nothing is known
    /// of what was not synced before, and this and every later call is [`Error::Fenced`].
    pub fn sync(&mut self) -> Result<()> {
        self.check_usable()?;
        if self.unsynced_bytes() == 0 || mutants::active(Mutant::SkipCheckpointSync) {
            Ok(())
        } else {
            self.sync_file()
        }
    }

    /// Bytes that were appended and not synced.
    pub fn unsynced_bytes(&self) -> u64 {
        self.end - self.synced
    }

    /// Says that after damage every partition was looked after and its state appended anew. Durable when it returns;
    /// without damage it does nothing.
    pub fn reconciled(&mut self) -> Result<()> {
        self.check_usable()?;
        if !self.damaged {
            return Ok(());
        }
        self.damaged = false;
        self.compact(&Entry::Opened).inspect_err(|_| self.damaged = true)
    }

    /// Compacts the file and marks it as closed, durably. Call it when every log is closed and its point appended;
    /// nothing can be appended after.
    pub fn close(&mut self) -> Result<()> {
        if matches!(self.refusal, Some(Error::Closed)) {
            return Ok(());
        }
        self.check_usable()?;
        if self.compact(&Entry::Closed).is_err() {
            // No room for a second file, maybe; unless it is fenced by now, the one that is there will do.
            if !self.marked {
                self.mark()?;
            }
            let mut payload = Vec::new();
            Entry::Closed.put(&mut payload);
            self.write_frame(&payload)?;
            self.sync_file()?;
        }
        self.refusal = Some(Error::Closed);
        Ok(())
    }

    /// Takes down, durably, that this checkpoint takes the place of one that was lost: as after damage, until
    /// [`Checkpoint::reconciled`].
    pub(super) fn is_lost(&mut self) -> Result<()> {
        let mut payload = Vec::new();
        Entry::Damaged.put(&mut payload);
        self.append_payload(&payload)?;
        self.damaged = true;
        self.sync_file()
    }

    fn append_payload(&mut self, payload: &[u8]) -> Result<()> {
        self.check_usable()?;
        if payload.len() > frame::PAYLOAD_BYTES_MAX {
            let why = format!("{} bytes of changes at once; append them in several frames", payload.len());
            return Err(Error::InvalidRequest { why });
        }
        if !self.marked {
            self.mark()?;
        }
        let (live, room) = (self.states.encoded_len(), self.states.encoded_len().max(STALE_BYTES_MIN));
        if self.end > live + room && self.end > self.compact_from && self.compact(&Entry::Opened).is_err() {
            // The file that is there still serves, unless it is fenced by now: then the write says so.
            self.compact_from = self.end + room;
        }
        self.write_frame(payload)
    }

    /// Writes a frame at the end.
    fn write_frame(&mut self, payload: &[u8]) -> Result<()> {
        self.check_usable()?;
        let mut bytes = Vec::with_capacity(frame::HEADER_BYTES + payload.len());
        frame::put(&mut bytes, self.synced, payload);
        if let Err(error) = self.file.write_at(&[IoSlice::new(&bytes)], self.end) {
            let error = write_error("write", &self.path, bytes.len() as u64, error);
            if let Err(second) = self.file.set_len(self.end) {
                self.fence(format!("{error}, and it could not be cut back to {} bytes: {second}", self.end));
            }
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn sync_file(&mut self) -> Result<()> {
        match self.file.sync_data() {
            Ok(()) => {
                self.synced = self.end;
                Ok(())
            }
            Err(error) => Err(self.fence(format!("a sync of {} failed: {error}", self.path.display()))),
        }
    }

    /// Replaces the file by one that has the same sum and ends in `last`. Until it is renamed a failure is without
    /// consequence; a failure of a sync or of the renaming fences.
    fn compact(&mut self, last: &Entry) -> Result<()> {
        let bytes = self.compacted(last);
        let path = new_path(&self.path);
        let write = || {
            let file = self.disk.open(&path, OpenMode::ReadWrite)?;
            file.set_len(0)?;
            file.write_at(&[IoSlice::new(&bytes)], 0)?;
            Ok(file)
        };
        let file = write().map_err(|e| {
            // It takes room; if it stays, the next open removes it.
            let _ = self.disk.remove_file(&path);
            write_error("write", &path, bytes.len() as u64, e)
        })?;
        let replaced = file.sync_data().and_then(|()| self.disk.rename(&path, &self.path));
        let replaced = replaced.map_err(|e| Error::io("replace", &self.path, e));
        if let Err(error) = replaced.and_then(|()| sync_parent(&self.disk, &self.path)) {
            return Err(self.fence(error.to_string()));
        }
        self.file = file;
        self.end = bytes.len() as u64;
        self.synced = self.end;
        self.compact_from = 0;
        self.marked = true;
        Ok(())
    }

    /// The bytes of a file that has the shortest history of all states and ends in `last`, in a frame of its own, which
    /// can be cut off again.
    fn compacted(&self, last: &Entry) -> Vec<u8> {
        let mut payloads = vec![Vec::new()];
        let first = if self.damaged { Entry::Damaged } else { Entry::Opened };
        first.put(&mut payloads[0]);
        for (topic, partition, change) in self.states.changes() {
            if payloads.last().is_none_or(|payload| payload.len() >= COMPACTED_PAYLOAD_BYTES) {
                payloads.push(Vec::new());
            }
            let payload = payloads.last_mut().expect("there is one");
            entry::put_change(payload, topic, partition, &change);
        }
        let len: usize = payloads.iter().map(|payload| frame::HEADER_BYTES + payload.len()).sum();
        payloads.push(Vec::new());
        last.put(payloads.last_mut().expect("there is one"));
        let mut bytes = Vec::with_capacity(len + 2 * frame::HEADER_BYTES);
        payloads.iter().for_each(|payload| frame::put(&mut bytes, len as u64, payload));
        bytes
    }

    fn check_usable(&self) -> Result<()> {
        self.refusal.clone().map_or(Ok(()), Err)
    }

    /// Takes nothing from now on; the error that says so.
    fn fence(&mut self, why: String) -> Error {
        let error = Error::Fenced { why };
        self.refusal = Some(error.clone());
        error
    }
}

/// What a checkpoint says, read and not opened: nothing is cut, marked or synced.
#[derive(Debug, Default)]
pub(super) struct Reading {
    states: States,
    pub(super) report: CheckpointReport,
}

impl Reading {
    /// Reads the checkpoint at `path`; one that is missing is new.
    pub(super) fn of(disk: &Arc<dyn Disk>, path: &Path) -> Result<Self> {
        let file = match disk.open(path, OpenMode::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self { report: CheckpointReport { is_new: true, ..Default::default() }, ..Self::default() });
            }
            other => other.map_err(|e| Error::io("open", path, e))?,
        };
        let bytes = read(&*file).map_err(|e| Error::io("read", path, e))?;
        let Replay { states, report, .. } = replay::replay(path, &bytes);
        Ok(Self { states, report })
    }

    /// As [`Checkpoint::state`].
    pub(super) fn state(&self, topic: TopicId, partition: PartitionIndex) -> Option<&PartitionState> {
        self.states.of(topic, partition)
    }

    /// As [`Checkpoint::partitions`].
    pub(super) fn partitions(&self) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
        self.states.iter().map(|(topic, partition, _)| (topic, partition))
    }
}

fn new_path(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn read(file: &dyn File) -> std::io::Result<Vec<u8>> {
    let len = usize::try_from(file.len()?).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn sync_parent(disk: &Arc<dyn Disk>, path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new(""));
    disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
}
