//! Beginning a new segment, and what is left beside the one before: its footer, and a snapshot of the state.
//!
//! Neither is needed to read the log, only to open it quickly; so both are written without a sync of their own and become
//! durable with the next one. If they cannot be written, they are made again when they are missed.

use super::checkpoint::SealedSegment;
use super::log::{Names, PartitionLog};
use super::scan::{Check, Found};
use super::segment::Segment;
use super::state::State;
use super::{snapshot, write_error};
use crate::record::{ControlRecord, verify_crc};
use crate::types::{Error, Offset, OffsetRange, Result, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// Snapshots that are kept at least.
const SNAPSHOTS_KEPT: usize = 3;

impl PartitionLog {
    /// Begins a new segment now, so that everything before it can be deleted or compacted. Nothing happens while the active
    /// segment is empty.
    pub fn roll(&mut self, now: Timestamp) -> Result<()> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.load_state()?;
        match &self.active {
            Some(active) if active.len() > 0 => self.roll_at(self.end(), now),
            _ => Ok(()),
        }
    }

    /// The same if the first record of the active segment was appended at least `age` ago, by the wall clock `now`;
    /// whether that is so.
    pub fn roll_if_older(&mut self, age: Duration, now: Timestamp) -> Result<bool> {
        let Some(active) = self.active.as_ref().filter(|active| active.len() > 0) else { return Ok(false) };
        if self.refusal.is_some() || active.with_footer(|footer| footer.first_append)? > now - age {
            return Ok(false);
        }
        self.roll(now)?;
        Ok(true)
    }

    /// Begins a segment at `base`, which is where the log ends.
    pub(super) fn roll_at(&mut self, base: Offset, now: Timestamp) -> Result<()> {
        let disk = self.resources.disk();
        let error = |e| write_error("create a segment in", &self.dir, 0, e);
        if self.active.is_none() {
            // Even if it is there: whoever made it may have died before its name was durable.
            disk.create_dir_all(&self.dir).map_err(error)?;
            self.names = Names::OnTheWay;
        }
        let next = Segment::create(&self.resources.files, &self.dir, base, now).map_err(error)?;
        self.names = self.names.max(Names::OfSegments);
        if let Some(full) = self.active.replace(next.clone()) {
            self.release_reserved(&full);
            self.write_footer_of(&full, base);
            full.seal();
            if let Some(state) = &mut self.state {
                state.roll();
            }
            self.sealed.push(SealedSegment {
                base: full.base,
                generation: full.generation,
                bytes: full.len(),
                next_offset: base,
            });
            self.write_snapshot();
            self.remove_old_snapshots();
        }
        self.reserved = 0;
        let mut segments = self.shared.segments.write();
        *segments = Arc::new(segments.iter().chain([&next]).cloned().collect());
        Ok(())
    }

    /// Gives back room that was reserved and not used.
    pub(super) fn release_reserved(&self, segment: &Arc<Segment>) {
        let len = segment.len();
        if self.reserved > len
            && self.reserved < u64::MAX
            && let Err(error) = segment.file().map(|file| file.set_len(len))
        {
            tracing::warn!(partition = %self.config.partition, %error, "reserved room was not given back");
        }
    }

    pub(super) fn write_footer_of(&mut self, segment: &Arc<Segment>, next_offset: Offset) {
        let epochs = self
            .state
            .as_ref()
            .map(|state| state.epochs.within(OffsetRange::new(segment.base, next_offset)).to_vec())
            .unwrap_or_default();
        let written = segment.update_footer(|footer| footer.epochs = epochs).and_then(|()| segment.write_footer());
        match written {
            Ok(file) => {
                self.dirty.push(file);
                self.names = self.names.max(Names::OfSegments);
            }
            Err(error) => {
                let _ = self.resources.disk().remove_file(&segment.footer_path());
                tracing::warn!(partition = %self.config.partition, %error, "a footer was not written");
            }
        }
    }

    /// Writes what is known of producers, transactions and epochs at the end of the log.
    pub(super) fn write_snapshot(&mut self) {
        let Some(state) = &self.state else { return };
        match snapshot::write(self.resources.disk(), &self.dir, state) {
            Ok(file) => {
                self.dirty.push(file);
                self.names = self.names.max(Names::OfSegments);
            }
            Err(error) => tracing::warn!(partition = %self.config.partition, %error, "a snapshot was not written"),
        }
    }

    /// Keeps the snapshots of the last few segments: the newest may still be torn by a power cut.
    fn remove_old_snapshots(&self) {
        let segments = self.shared.segments();
        let Some(oldest) = segments.len().checked_sub(SNAPSHOTS_KEPT).map(|at| segments[at].base) else { return };
        if let Err(error) = snapshot::remove_below(self.resources.disk(), &self.dir, oldest) {
            tracing::warn!(partition = %self.config.partition, %error, "old snapshots were not removed");
        }
    }

    /// Works out the aborted transactions of segments that were walked, which is by replaying the log from before the
    /// first of them, and writes the footers of those that are sealed.
    pub(super) fn learn_transactions(&mut self, segments: &[Arc<Segment>]) -> Result<()> {
        let Some(first) = segments.first() else { return Ok(()) };
        self.load_state_from(first.base)?;
        for segment in segments {
            if self.active.as_ref().is_none_or(|active| !Arc::ptr_eq(active, segment)) {
                let (path, file) = segment.write_footer()?;
                file.sync_data().map_err(|e| Error::io("sync", path, e))?;
            }
        }
        Ok(())
    }

    /// Loads the state if it is not there: from the newest snapshot, and the headers of the batches behind it.
    pub(super) fn load_state(&mut self) -> Result<()> {
        match self.state {
            Some(_) => Ok(()),
            None => self.load_state_from(self.end()),
        }
    }

    /// Loads the state from a snapshot at `upto` or before.
    fn load_state_from(&mut self, upto: Offset) -> Result<()> {
        let end = self.end();
        let segments = self.shared.segments();
        if segments.is_empty() {
            self.state = Some(State::default());
            return Ok(());
        }
        let (snapshot, damaged) = snapshot::load_newest(self.resources.disk(), &self.dir, upto.min(end))?;
        for error in damaged {
            tracing::error!(%error, "a snapshot is damaged; the log is read instead");
        }
        let mut state = snapshot.unwrap_or_default();
        let first = segments.partition_point(|segment| segment.base <= state.next_offset).saturating_sub(1);
        for segment in &segments[first..] {
            state.roll();
            replay(segment, &mut state, end)?;
        }
        self.leader_epoch = state.epochs.latest().unwrap_or(0);
        self.state = Some(state);
        let high_watermark = self.shared.offsets().high_watermark;
        self.raise_high_watermark(high_watermark);
        Ok(())
    }
}

/// Applies the batches of a segment that the state does not have yet, up to `end`. The transactions that they abort are
/// entered in its footer, which knows them unless it was made again.
fn replay(segment: &Arc<Segment>, state: &mut State, end: Offset) -> Result<()> {
    let place = segment.with_footer(|footer| footer.index.floor(state.next_offset))?;
    let mut scanner = segment.scan(place)?;
    loop {
        match scanner.next(Check::Header).map_err(|e| segment.read_error(e))? {
            Found::Batch { header, .. } if header.base_offset >= end => return Ok(()),
            Found::Batch { header, .. } if header.next_offset() <= state.next_offset => {}
            Found::Batch { place, header, .. } => {
                let control = if header.is_control {
                    let mut batch = vec![0; header.total_bytes()];
                    let read =
                        segment.file()?.read_at(&mut batch, place.position).map_err(|e| segment.read_error(e))?;
                    batch.truncate(read);
                    let parsed = verify_crc(&batch).and_then(|()| ControlRecord::parse(&batch));
                    parsed.map_err(|error| segment.corrupt(place, error.to_string()))?
                } else {
                    None
                };
                if let Some(aborted) = state.apply(&header, control, header.max_timestamp) {
                    segment.update_footer(|footer| {
                        if !footer.aborted.contains(&aborted) {
                            footer.aborted.push(aborted);
                        }
                    })?;
                }
            }
            Found::Bad { place, .. } if place.offset >= end => return Ok(()),
            Found::Bad { place, why } => return Err(segment.corrupt(place, why)),
            Found::End { .. } => return Ok(()),
        }
    }
}
