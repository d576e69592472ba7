//! Taking records away: from the front (retention, DeleteRecords), and from the end (a follower that diverged).
//!
//! Both are tickets, since the checkpoint has to know before a file is touched: otherwise a crash in between would look
//! like damage, or bring back what was deleted.
//!
//! ```text
//!   begin: offsets move, appends wait ──▶ changes appended to the checkpoint and synced ──▶ run: files ──▶ finish
//! ```

use super::checkpoint::{Change, DurablePoint, SealedSegment};
use super::index::Place;
use super::log::{Names, PartitionLog};
use super::scan::{Check, Found};
use super::segment::Segment;
use super::snapshot;
use super::sync::note_failed_sync;
use crate::env::Disk;
use crate::mutants::{self, Mutant};
use crate::types::{Error, Offset, Result};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Files that are of no use any more, once the checkpoint knows.
#[derive(Debug)]
#[must_use = "record its changes, then run it"]
pub struct Deletion {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) files: Vec<PathBuf>,
    changes: Vec<Change>,
}

impl Deletion {
    pub(super) fn new(disk: &Arc<dyn Disk>, segments: &[Arc<Segment>], changes: Vec<Change>) -> Self {
        let files = segments.iter().flat_map(|segment| [segment.footer_path(), segment.path.clone()]).collect();
        Self { disk: disk.clone(), files, changes }
    }

    /// With their snapshots.
    pub(super) fn of_front(disk: &Arc<dyn Disk>, dir: &Path, segments: &[Arc<Segment>], changes: Vec<Change>) -> Self {
        let mut deletion = Self::new(disk, segments, changes);
        // First: a segment that is still there after a crash tells that its snapshot has to go too.
        deletion.files.splice(..0, segments.iter().map(|segment| snapshot::path_of(dir, segment.base)));
        deletion
    }

    /// For the checkpoint, synced before [`Deletion::run`].
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Removes the files. Those that stay because of an error are removed when the log is opened after a crash.
    pub fn run(&self) -> Result<()> {
        for path in &self.files {
            match self.disk.remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", path, error)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A truncation that was begun; see [`PartitionLog::begin_truncation`].
#[derive(Debug)]
#[must_use = "record its changes, then finish it: until then the log takes no writes"]
pub struct Truncation {
    point: DurablePoint,
    kept: Vec<Arc<Segment>>,
    removed: Vec<Arc<Segment>>,
    changes: Vec<Change>,
}

impl Truncation {
    /// For the checkpoint, synced before [`PartitionLog::finish_truncation`].
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Where the log ends now.
    pub fn end(&self) -> Offset {
        self.point.offset
    }
}

impl PartitionLog {
    /// Moves the log start offset up to `offset`, which the high watermark bounds (Kafka's DeleteRecords). `None` if it
    /// is there already. Segments that lie below it whole are the deletion's, or that of a later one: the active one stays,
    /// and so do those behind the last snapshot of producers that is durable.
    ///
    /// [`Error::OffsetOutOfRange`] above the high watermark.
    pub fn delete_below(&mut self, offset: Offset) -> Result<Option<Deletion>> {
        let offsets = self.offsets();
        if offset > offsets.high_watermark {
            let (start, end) = (offsets.log_start_offset, offsets.high_watermark);
            return Err(Error::OffsetOutOfRange { partition: self.config.partition.clone(), offset, start, end });
        }
        if offset <= offsets.log_start_offset {
            return Ok(None);
        }
        self.shared.log_start_offset.store(offset, Ordering::Release);
        if let Some(state) = &mut self.state {
            state.truncate_from_start(offset);
        }
        let segments = self.shared.segments();
        // What a segment says of producers must have been written down where no truncation reaches.
        let upto = offset.min(self.durable.offset).min(self.durable_snapshot(offset).unwrap_or(0));
        // A segment ends where the next begins.
        let gone = segments.windows(2).take_while(|pair| pair[1].base <= upto).count();
        let start = if mutants::active(Mutant::ForgetLogStart) { 0 } else { offset };
        let mut changes = vec![Change::LogStart(start)];
        if gone > 0 {
            // Without those that go nothing else says how far the log was durable.
            changes.extend(self.durable_point().map(|point| Change::Durable(DurablePoint { clean: false, ..point })));
            changes.push(Change::Segments { from: 0, to: segments[gone].base, with: Vec::new() });
            self.sealed.retain(|segment| segment.base >= segments[gone].base);
            *self.shared.segments.write() = Arc::new(segments[gone..].to_vec());
        }
        Ok(Some(Deletion::of_front(self.resources.disk(), &self.dir, &segments[..gone], changes)))
    }

    /// Whether segments that lie below the log start whole are still there, for what they alone say of producers. The
    /// checkpoint does not list them any more: the next open has to find them.
    pub(super) fn holds_back_segments(&self) -> bool {
        let (segments, log_start_offset) =
            (self.shared.segments(), self.shared.log_start_offset.load(Ordering::Relaxed));
        segments.get(1).is_some_and(|second| second.base <= log_start_offset)
    }

    /// Begins to remove every record from `offset` on, and all of the batch that holds it: readers do not see them any
    /// more, appends are refused until it is finished. For a follower whose leader has another end (KIP-101); a
    /// follower that truncates takes its batches from the leader again.
    ///
    /// Everything is made durable first, since the checkpoint is to say so of what is kept.
    ///
    /// `None` if the log ends there or before. No sync may be under way. [`Error::InvalidRequest`] below the log start.
    pub fn begin_truncation(&mut self, offset: Offset) -> Result<Option<Truncation>> {
        assert!(!self.syncing, "a truncation waits for the sync that runs");
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let offsets = self.offsets();
        if offset < offsets.log_start_offset {
            let why = format!(
                "{} begins at {} and cannot be truncated to {offset}",
                self.config.partition, offsets.log_start_offset
            );
            return Err(Error::InvalidRequest { why });
        }
        if offset >= offsets.log_end_offset {
            return Ok(None);
        }
        let segments = self.shared.segments();
        let keep = segments.partition_point(|segment| segment.base <= offset).max(1);
        let last = &segments[keep - 1];
        let place = boundary(last, offset)?;
        let point =
            DurablePoint { offset: place.offset, segment_base: last.base, position: place.position, clean: false };
        let mut changes = self.sync()?;
        self.truncating = true;

        // In this order: see `reader`.
        // The batch that is cut may have begun before the log start. Without its marker a transaction is open again, so
        // nothing counts as stable until that is known.
        let start = self.shared.log_start_offset.fetch_min(place.offset, Ordering::AcqRel).min(place.offset);
        self.shared.last_stable_offset.store(start, Ordering::Release);
        if !mutants::active(Mutant::KeepHighWatermark) {
            self.shared.high_watermark.fetch_min(place.offset, Ordering::AcqRel);
        }
        self.shared.log_end_offset.store(place.offset, Ordering::Release);
        self.shared.tail.clear();
        *self.shared.segments.write() = Arc::new(segments[..keep].to_vec());
        if !mutants::active(Mutant::ForgetTruncation) {
            self.shared.truncations.fetch_add(1, Ordering::SeqCst);
        }

        self.refusal = Some(Error::Fenced { why: "a truncation has not been finished".into() });
        // Whoever leads next says in which epoch.
        (self.state, self.leader_epoch) = (None, 0);
        if let Some(durable) = &mut self.snapshots.durable {
            durable.retain(|at| *at <= place.offset);
        }
        let (kept, removed) = (segments[..keep].to_vec(), segments[keep..].to_vec());
        changes.push(Change::Segments { from: last.base, to: Offset::MAX, with: Vec::<SealedSegment>::new() });
        // As if nothing was known: should the cut not become durable, the next open is to see to it.
        changes.push(Change::Durable(DurablePoint::default()));
        if start < offsets.log_start_offset {
            changes.push(Change::LogStart(start));
        }
        self.durable = DurablePoint::default();
        Ok(Some(Truncation { point, kept, removed, changes }))
    }

    /// Cuts the files; `recorded` is whether the changes are durable in the checkpoint. When it returns, what is left is
    /// durable and the log takes writes again. On an error it is fenced.
    pub fn finish_truncation(&mut self, truncation: Truncation, recorded: Result<()>) -> Result<()> {
        self.truncating = false;
        let result = recorded.and_then(|()| self.cut(&truncation));
        self.refusal =
            result.as_ref().err().map(|error| Error::Fenced { why: format!("a truncation failed: {error}") });
        if result.is_err() {
            note_failed_sync(self.resources.disk().as_ref(), &self.dir);
        } else {
            self.durable = truncation.point;
            self.raise_high_watermark(self.shared.offsets().high_watermark);
        }
        result
    }

    fn cut(&mut self, truncation: &Truncation) -> Result<()> {
        let disk = self.resources.disk().clone();
        if !mutants::active(Mutant::KeepStaleSnapshots) {
            snapshot::remove_above(&disk, &self.dir, truncation.point.offset)?;
        }
        // From the last to the first, so that a crash leaves no hole.
        let removed: Vec<_> = truncation.removed.iter().rev().cloned().collect();
        Deletion::new(&disk, &removed, Vec::new()).run()?;
        let last = truncation.kept.last().expect("one is kept");
        last.remove_footer()?;
        let file = last.file()?;
        file.set_len(truncation.point.position).map_err(|e| Error::io("cut", &last.path, e))?;
        last.unseal();
        last.cut(truncation.point.position)?;
        file.sync_data().map_err(|e| Error::io("sync", &last.path, e))?;
        disk.sync_dir(&self.dir).map_err(|e| Error::io("sync", &self.dir, e))?;
        self.reserved = 0;
        // The next sync has nothing to do but to say how far the log is durable.
        self.names = Names::OfSegments;
        self.active = Some(last.clone());
        Ok(())
    }
}

/// Where the batch that holds `offset` begins, or the first one behind it.
fn boundary(segment: &Arc<Segment>, offset: Offset) -> Result<Place> {
    let mut scanner = segment.scan(segment.with_footer(|footer| footer.index.floor(offset))?)?;
    loop {
        match scanner.next(Check::Header).map_err(|e| segment.read_error(e))? {
            Found::Batch { header, .. } if header.next_offset() <= offset => {}
            Found::Batch { place, .. } | Found::End { place } => return Ok(place),
            Found::Bad { place, why } => return Err(segment.corrupt(place, why)),
        }
    }
}
