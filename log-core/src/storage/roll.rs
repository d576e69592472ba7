//! Beginning a new segment, and what is left beside the one before: its footer, and a snapshot of the state.
//!
//! Neither is needed to read the log, only to open it quickly; so both are written without a sync of their own and become
//! durable with the next one. If they cannot be written, they are made again when they are missed.

use super::checkpoint::{DurablePoint, SealedSegment};
use super::footer::Footer;
use super::log::{Names, PartitionLog};
use super::scan::{Check, Found};
use super::segment::Segment;
use super::state::State;
use super::truncate::Deletion;
use super::{snapshot, write_error};
use crate::env::Disk;
use crate::record::{ControlRecord, verify_crc};
use crate::types::{Error, Offset, OffsetRange, Result, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
        if self.refusal.is_some() || active.begun_by(now)? > now - age {
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
    /// Whether that went well is returned.
    pub(super) fn write_snapshot(&mut self) -> bool {
        let Some(state) = &self.state else { return false };
        let disk = self.resources.disk();
        if state.next_offset <= self.shared.log_start_offset.load(Ordering::Relaxed) {
            // One that is there may be all that is left of what was deleted: there is always one of the two.
            if let Err(error) = snapshot::write_durably(disk, &self.dir, state) {
                tracing::warn!(partition = %self.config.partition, %error, "a snapshot was not written");
                return false;
            }
            self.snapshots.durable.iter_mut().for_each(|durable| durable.push(state.next_offset));
            return true;
        }
        match snapshot::write(disk, &self.dir, state) {
            Ok(file) => {
                self.snapshots.written.push(state.next_offset);
                self.dirty.push(file);
                self.names = self.names.max(Names::OfSegments);
                true
            }
            Err(error) => {
                tracing::warn!(partition = %self.config.partition, %error, "a snapshot was not written");
                false
            }
        }
    }

    /// Keeps one snapshot where each segment begins: whatever is deleted from the front or cut from the end, one of them is
    /// where the log begins or behind it, and before it ends. Those before the first segment go with a deletion: until
    /// it is recorded the log may begin there again.
    fn remove_old_snapshots(&mut self) {
        let segments = self.shared.segments();
        let mut keep: Vec<Offset> = segments.iter().map(|segment| segment.base).collect();
        let (from, upto) = (keep.first().copied().unwrap_or(0), keep.last().copied().unwrap_or(0));
        // Where one of them could not be written another one serves.
        let log_start_offset = self.shared.log_start_offset.load(Ordering::Relaxed);
        keep.extend(self.durable_snapshot(log_start_offset));
        keep.sort_unstable();
        if let Some(durable) = &mut self.snapshots.durable {
            durable.retain(|at| !(from..upto).contains(at) || keep.binary_search(at).is_ok());
        }
        if let Err(error) = snapshot::remove_between(self.resources.disk(), &self.dir, from..upto, &keep) {
            tracing::warn!(partition = %self.config.partition, %error, "old snapshots were not removed");
        }
    }

    /// The offset of the newest snapshot up to `upto` that a power cut leaves, if there is one. The first call after an
    /// open makes them so.
    pub(super) fn durable_snapshot(&mut self, upto: Offset) -> Option<Offset> {
        if self.snapshots.durable.is_none() {
            let synced = snapshot::sync(self.resources.disk(), &self.dir, self.durable.offset);
            let synced = synced.inspect_err(|error| {
                tracing::warn!(partition = %self.config.partition, %error, "snapshots were not synced");
            });
            self.snapshots.durable = synced.ok();
        }
        self.snapshots.durable.as_ref()?.iter().copied().filter(|at| *at <= upto).max()
    }

    /// Loads the state if it is not there: from the newest snapshot, and the headers of the batches behind it.
    pub(super) fn load_state(&mut self) -> Result<()> {
        if self.state.is_some() {
            return Ok(());
        }
        let segments = self.shared.segments();
        if let Some(active) = &self.active {
            active.with_footer(|_| ())?;
        }
        // Sealed ones learn it when somebody asks, unless they were just found.
        let unknowing = segments.iter().find(|segment| segment.is_known_to_lack_transactions());
        let end = self.end();
        let from = unknowing.map_or(end, |segment| snapshots_before(segment));
        let state = replay_to(self.resources.disk(), &self.dir, &segments, from, end)?;
        self.take_state(state);
        Ok(())
    }

    /// As [`PartitionLog::load_state`] after a crash. Segments that were deleted may have been the last to know of a
    /// producer: `behind` are removed when a snapshot knows it too, and that is durable. `known` is what the checkpoint
    /// says of durability.
    pub(super) fn load_state_after(&mut self, behind: &[Arc<Segment>], known: Option<DurablePoint>) -> Result<()> {
        let (disk, end) = (self.resources.disk().clone(), self.end());
        let segments = self.shared.segments();
        let start = segments.first().map_or(end, |first| first.base);
        let log_start = self.shared.log_start_offset.load(Ordering::Relaxed);
        let knows = |snapshots: Vec<Offset>| snapshots.last().is_some_and(|newest| *newest >= start);
        let mut is_known = behind.is_empty();
        if !is_known {
            let written = snapshot::sync(&disk, &self.dir, log_start).and_then(|snapshots| {
                if knows(snapshots) {
                    return Ok(());
                }
                let state = replay_to(&disk, &self.dir, behind, start, start)?;
                snapshot::write_durably(&disk, &self.dir, &State { next_offset: start, ..state })
            });
            match written {
                Ok(()) => is_known = true,
                // It was deleted before it was durable, or is damaged; nobody reads it any more.
                Err(Error::Corrupt { path, why, .. }) => {
                    tracing::warn!(path = %path.display(), %why, "a deleted segment cannot be asked for producers");
                }
                Err(error) => {
                    // They are held back, as by a deletion.
                    *self.shared.segments.write() = Arc::new(behind.iter().chain(&*segments).cloned().collect());
                    let is_full = matches!(error, Error::DiskFull { .. });
                    return if is_full { self.load_state() } else { Err(error) };
                }
            }
        }
        self.load_state()?;
        // If nothing else is left and some of them stay, only the checkpoint can tell that the log does not end there.
        let says_where = |point: DurablePoint| (point.segment_base..=point.offset).contains(&log_start);
        if segments.is_empty() && !known.is_some_and(says_where) {
            return Ok(());
        }
        let deletion = if is_known {
            Deletion::of_front(&disk, &self.dir, behind, Vec::new())
        } else {
            Deletion::new(&disk, behind, Vec::new())
        };
        deletion.run()
    }

    fn take_state(&mut self, mut state: State) {
        let latest = state.epochs.latest().unwrap_or(0);
        if self.leader_epoch > latest {
            // It was begun, and nothing was written in it yet.
            state.epochs.assign(self.leader_epoch, self.end());
        } else {
            self.leader_epoch = latest;
        }
        state.truncate_from_start(self.offsets().log_start_offset);
        self.state = Some(state);
        let high_watermark = self.shared.offsets().high_watermark;
        self.raise_high_watermark(high_watermark);
    }

    /// Writes the footers of segments that were found after a crash, now that all is known that belongs into them.
    pub(super) fn seal_recovered(&mut self, segments: &[Arc<Segment>]) {
        for segment in segments {
            let is_there = |old: &Footer| segment.with_footer_cached(|footer| footer.index == old.index) == Some(true);
            if segment.generation > 0 && segment.read_footer().is_ok_and(|old| old.as_ref().is_some_and(is_there)) {
                // Without the checkpoint it is all that speaks for the segment.
                segment.seal();
                continue;
            }
            let next_offset = segment.with_footer_cached(|footer| footer.next_offset).unwrap_or(segment.base);
            self.write_footer_of(segment, next_offset);
            segment.seal();
        }
    }
}

/// Up to where a snapshot says what was aborted in a segment, itself or because it can be replayed from there.
fn snapshots_before(segment: &Segment) -> Offset {
    let next_offset = segment.with_footer_cached(|footer| footer.next_offset).unwrap_or(segment.base);
    if segment.generation > 0 { segment.base } else { next_offset }
}

/// The state that a replay of segments from `start` on begins with: the newest snapshot up to `from`, so that nothing is
/// missing in between. If there is none, what comes closest up to `end`; but what could not be read may be readable
/// another time.
fn state_before(disk: &Arc<dyn Disk>, dir: &Path, start: Offset, from: Offset, end: Offset) -> Result<State> {
    let mut unread = Vec::new();
    let mut load = |at| -> Result<Option<State>> {
        let (snapshot, bad) = snapshot::load_newest(disk, dir, at)?;
        unread.extend(bad);
        Ok(snapshot)
    };
    let mut snapshot = load(start..=from.min(end))?;
    if snapshot.is_none() && start == 0 {
        snapshot = Some(State::default());
    }
    if snapshot.is_none() {
        // Producers that only a later one knows count for more than what was aborted before it.
        snapshot = load(start..=end)?;
    }
    if snapshot.is_none() {
        snapshot = load(0..=start - 1)?;
        if let Some(error) = unread.iter().find(|error| matches!(error, Error::Io { .. })) {
            return Err(error.clone());
        }
    }
    for error in unread {
        tracing::error!(%error, "a snapshot is damaged; the log is read instead");
    }
    Ok(snapshot.unwrap_or_default())
}

/// The state at `end`: from the newest snapshot at or below `from` and the batches behind it. The segments that are walked
/// learn what was aborted in them.
fn replay_to(disk: &Arc<dyn Disk>, dir: &Path, segments: &[Arc<Segment>], from: Offset, end: Offset) -> Result<State> {
    let start = segments.first().map_or(end, |first| first.base);
    let mut state = state_before(disk, dir, start, from, end)?;
    let first = segments.partition_point(|segment| segment.base <= state.next_offset).saturating_sub(1);
    if let Some(before) = first.checked_sub(1).map(|before| &segments[before])
        && segments[first].base == state.next_offset
        && before.generation == 0
    {
        // It was written when that one ended.
        before.learn_transactions(&state.aborted)?;
    }
    for segment in &segments[first..] {
        replay(segment, &mut state, end)?;
        // Those of the segment before are kept while this one is empty.
        let is_begun = state.next_offset > segment.base;
        segment.learn_transactions(if is_begun { &state.aborted } else { &[] })?;
    }
    if segments.is_empty() {
        // All of it was deleted.
        state.next_offset = end;
    }
    Ok(state)
}

/// Makes the last of `segments`, which begin where the log does, know what was aborted in it.
pub(super) fn learn_transactions(segments: &[Arc<Segment>]) -> Result<()> {
    let Some(last) = segments.last() else { return Ok(()) };
    let dir = last.path.parent().unwrap_or(Path::new(""));
    let end = last.with_footer(|footer| footer.next_offset)?;
    replay_to(last.disk(), dir, segments, snapshots_before(last), end).map(drop)
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
                if place.position == 0 {
                    state.roll();
                }
                state.apply(&header, control, header.max_timestamp);
            }
            Found::Bad { place, .. } if place.offset >= end => return Ok(()),
            Found::Bad { place, why } => return Err(segment.corrupt(place, why)),
            Found::End { .. } => return Ok(()),
        }
    }
}
