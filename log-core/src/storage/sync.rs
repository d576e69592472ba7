//! Making a log durable, without holding it meanwhile: begin, run, finish.

use super::checkpoint::{Change, DurablePoint, SealedSegment};
use super::log::{Names, PartitionLog, sealed_changes};
use crate::env::{Disk, File, OpenMode};
use crate::mutants::{self, Mutant};
use crate::types::{Error, Offset, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An empty file of this name in a log's directory says that a sync of it has failed: what was not synced then reads back
/// from memory, but no later sync writes it. It need not be durable: that memory does not outlive the machine either.
pub(super) const FAILED_SYNC: &str = "failed-sync";

/// Leaves that file for the next process, which finds the bytes as if nothing had happened.
pub(super) fn note_failed_sync(disk: &dyn Disk, dir: &Path) {
    let path = dir.join(FAILED_SYNC);
    if let Err(error) = disk.open(&path, OpenMode::ReadWrite) {
        tracing::error!(path = %path.display(), %error, "nothing will tell that a sync has failed");
    }
}

/// The files to sync so that a log is durable up to a point; see [`PartitionLog::begin_sync`].
#[derive(Debug)]
#[must_use = "run it and finish it, or the log never syncs again"]
pub struct SyncTicket {
    files: Vec<(PathBuf, Arc<dyn File>)>,
    /// In the order in which they have to be synced.
    dirs: Vec<PathBuf>,
    disk: Arc<dyn Disk>,
    upto: DurablePoint,
    bytes: u64,
    sealed: Vec<SealedSegment>,
    snapshots: Vec<Offset>,
}

impl SyncTicket {
    /// Syncs; blocks until the disk is done. [`Error::Io`] for the first file or directory that fails.
    pub fn run(&self) -> Result<()> {
        self.run_files()?;
        self.run_names()
    }

    /// The first half of [`SyncTicket::run`]: the bytes. One sync of the whole file system does the same for many logs.
    pub fn run_files(&self) -> Result<()> {
        if mutants::active(Mutant::SkipFileSync) {
            return Ok(());
        }
        for (path, file) in &self.files {
            file.sync_data().map_err(|e| Error::io("sync", path, e))?;
        }
        Ok(())
    }

    /// The second half: the names.
    pub fn run_names(&self) -> Result<()> {
        if mutants::active(Mutant::ForgetDirectorySync) {
            return Ok(());
        }
        self.dirs.iter().try_for_each(|dir| self.disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e)))
    }

    /// How many files it syncs.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// How many bytes were written since the sync before.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The log end offset that will be durable.
    pub fn upto(&self) -> Offset {
        self.upto.offset
    }
}

/// What a finished sync has come to.
#[derive(Clone, Debug)]
pub struct Synced {
    /// Where the log is durable to.
    pub durable: Offset,
    /// For the checkpoint, in one append.
    pub changes: Vec<Change>,
}

impl PartitionLog {
    /// What to do so that everything appended so far is durable; `None` if it is, if a ticket is out, while a truncation
    /// is not finished, or after a sync has failed. Run the ticket without the log, then hand its result to [`PartitionLog::finish_sync`].
    ///
    /// A log that takes no more writes still syncs those that it took: someone waits for them.
    pub fn begin_sync(&mut self) -> Option<SyncTicket> {
        // Where the log ends is not what is on the disk before the truncation has cut it.
        if self.syncing || self.truncating || (self.dirty.is_empty() && self.names == Names::Synced) {
            return None;
        }
        self.syncing = true;
        let dirs: Vec<PathBuf> = match std::mem::replace(&mut self.names, Names::Synced) {
            Names::Synced => Vec::new(),
            Names::OfSegments => vec![self.dir.clone()],
            // The partition's name lies in its topic's directory, and the topic's in the one above.
            Names::OnTheWay => self.dir.ancestors().take(3).map(PathBuf::from).collect(),
        };
        Some(SyncTicket {
            files: std::mem::take(&mut self.dirty),
            dirs,
            disk: self.resources.disk().clone(),
            upto: self.point(false),
            bytes: self.unsynced_bytes,
            sealed: std::mem::take(&mut self.sealed),
            snapshots: std::mem::take(&mut self.snapshots.written),
        })
    }

    /// Raises the high watermark to where the log ended when `ticket` was handed out.
    ///
    /// If the sync failed, nothing is known of what it was for and it is not tried again: the log is fenced, and this
    /// and every later append is [`Error::Fenced`]. Records below the high watermark stay readable.
    pub fn finish_sync(&mut self, ticket: SyncTicket, result: Result<()>) -> Result<Synced> {
        assert!(self.syncing && ticket.upto.offset >= self.durable.offset, "a ticket is finished once, by its log");
        self.syncing = false;
        if let Err(error) = result {
            if mutants::active(Mutant::RetryFailedSync) {
                (self.dirty, self.names) = (ticket.files, Names::OnTheWay);
                return Err(error);
            }
            let fenced = Error::Fenced { why: format!("a sync failed: {error}") };
            self.refusal = Some(fenced.clone());
            note_failed_sync(self.resources.disk().as_ref(), &self.dir);
            // What was appended while it ran is not synced either.
            (self.dirty, self.names) = (Vec::new(), Names::Synced);
            return Err(fenced);
        }
        self.durable = ticket.upto;
        if let Some(durable) = &mut self.snapshots.durable {
            durable.extend(ticket.snapshots);
        }
        self.unsynced_bytes -= ticket.bytes;
        self.raise_high_watermark(ticket.upto.offset);
        let changes = sealed_changes(ticket.sealed).chain([Change::Durable(ticket.upto)]).collect();
        Ok(Synced { durable: ticket.upto.offset, changes })
    }

    /// Makes everything appended so far durable, in one go; the changes are for the checkpoint. Errors as for
    /// [`PartitionLog::finish_sync`].
    pub fn sync(&mut self) -> Result<Vec<Change>> {
        let Some(ticket) = self.begin_sync() else { return Ok(Vec::new()) };
        let result = ticket.run();
        self.finish_sync(ticket, result).map(|synced| synced.changes)
    }

    /// Does what [`PartitionLog::close`] would do before its last sync, if all that was appended is durable: leaves beside
    /// the log what the next open would have to work out. So one round of syncs serves many logs that are to be closed.
    pub fn prepare_close(&mut self) {
        let is_synced = self.dirty.is_empty() && !self.syncing && self.durable.offset == self.end();
        if is_synced && self.refusal.is_none() && !self.is_untouched() {
            let has_snapshot = self.leave_for_next_open();
            self.left_at = Some((self.end(), has_snapshot));
        }
    }

    /// Makes everything durable, leaves beside the log what the next open would have to work out, and says for the
    /// checkpoint that it was closed in order. No ticket may be out.
    pub fn close(mut self) -> Result<Vec<Change>> {
        if self.syncing {
            return Err(Error::Fenced { why: "the log was closed while it was synced".into() });
        }
        let mut changes = self.sync()?;
        let holds_back = self.holds_back_segments();
        if self.is_untouched() && !holds_back {
            return Ok(changes);
        }
        if self.refusal.is_some() || holds_back {
            // The next open is to look for itself.
            changes.extend(self.durable_point().map(|point| Change::Durable(DurablePoint { clean: false, ..point })));
            return Ok(changes);
        }
        let has_snapshot = match self.left_at {
            Some((end, has_snapshot)) if end == self.end() => has_snapshot,
            _ => {
                let has_snapshot = self.leave_for_next_open();
                changes.extend(self.sync()?);
                has_snapshot
            }
        };
        let in_transaction = self.shared.last_stable_offset.load(Ordering::Relaxed) < self.end()
            && !mutants::active(Mutant::CloseInTransaction);
        changes.push(Change::Durable(self.point(has_snapshot && !in_transaction)));
        Ok(changes)
    }

    /// Whether it is as it was when it was opened after a clean close.
    fn is_untouched(&self) -> bool {
        // A write that failed has no state either.
        let is_as_it_was = self.durable.clean && self.durable.offset == self.end() && self.refusal.is_none();
        self.state.is_none() && is_as_it_was
    }

    /// Writes the active segment's footer and a snapshot of the state. Both can be made again, so a failure is told
    /// and is no more than that. Whether there is a snapshot, if one is needed.
    fn leave_for_next_open(&mut self) -> bool {
        let Some(active) = self.active.clone() else { return true };
        self.release_reserved(&active);
        self.write_footer_of(&active, self.end());
        self.write_snapshot()
    }

    /// How far the log is durable if everything that was written is.
    pub(super) fn point(&self, clean: bool) -> DurablePoint {
        DurablePoint {
            offset: self.end(),
            segment_base: self.active.as_ref().map_or(self.end(), |active| active.base),
            position: self.active.as_ref().map_or(0, |active| active.len()),
            clean,
        }
    }

    /// How far the log is known to be durable. `None` if it is damaged: then the checkpoint keeps what it has, so that the
    /// next open comes to the same finding.
    pub fn durable_point(&self) -> Option<DurablePoint> {
        self.damage.is_none().then_some(self.durable)
    }
}
