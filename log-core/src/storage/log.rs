//! The writer of one partition's log: what it is made of, and appending to it.
//!
//! Batches that come together are written together, with one system call for as many as go into one segment. State
//! (producers, transactions, epochs) is brought up to date before the write, because each batch is judged by the ones
//! before it; if the write fails it is forgotten and loaded from the log again, which does not have them.

use super::checkpoint::{Change, DurablePoint, SealedSegment};
use super::producers::{ProducerDescription, Verdict};
use super::reader::{LogReader, Shared};
use super::recovery::{Known, OpenReport, Recovered, recover};
use super::resources::Resources;
use super::segment::Segment;
use super::state::State;
use super::tail_cache::CachedBatch;
use super::upkeep::Compacted;
use super::write_error;
use crate::env::File;
use crate::mutants::{self, Mutant};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, ControlRecord, ProducerStamp, stamp_offset};
use crate::types::{Error, Flush, LogOffsets, Offset, Result, Timestamp, TopicPartition, limits};
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a segment may grow to, so that positions and offset deltas in its index fit 32 bits.
const SEGMENT_BYTES_MAX: u64 = u32::MAX as u64;
const SEGMENT_OFFSETS_MAX: i64 = i32::MAX as i64;

/// The settings of one partition's log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// For messages only: a name never becomes a path.
    pub partition: TopicPartition,
    /// When readers see a record: when it is durable, or when it is written.
    pub flush: Flush,
    /// A segment rolls before it would grow over this many bytes. One batch always fits.
    pub segment_bytes: u64,
    /// A segment rolls when its first record was appended this long ago.
    pub segment_age: Duration,
}

/// Where an appended batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The offset of its last record: it is acknowledged when the high watermark is above it.
    pub last_offset: Offset,
    /// Whether it was there already and nothing was appended.
    pub duplicate: bool,
}

/// The log of one partition, open for writing. The only writer of its directory.
#[derive(Debug)]
pub struct PartitionLog {
    pub(super) resources: Resources,
    pub(super) dir: PathBuf,
    pub(super) config: LogConfig,
    pub(super) shared: Arc<Shared>,
    /// `None` until something is appended.
    pub(super) active: Option<Arc<Segment>>,
    /// Where the active segment's file has room reserved to, in bytes; `u64::MAX` where that cannot be done.
    pub(super) reserved: u64,
    /// `None` until it is needed.
    pub(super) state: Option<State>,
    /// Given to batches that are appended here.
    pub(super) leader_epoch: i32,
    pub(super) durable: DurablePoint,
    /// Files with bytes that no sync has been asked for.
    pub(super) dirty: Vec<(PathBuf, Arc<dyn File>)>,
    pub(super) names: Names,
    pub(super) snapshots: Snapshots,
    /// What was sealed since the last sync was begun.
    pub(super) sealed: Vec<SealedSegment>,
    pub(super) unsynced_bytes: u64,
    /// Whether a ticket is out.
    pub(super) syncing: bool,
    /// Whether a truncation was begun and is not finished.
    pub(super) truncating: bool,
    /// Where the log ended when it was prepared to be closed, and whether a snapshot was written that it needs.
    pub(super) left_at: Option<(Offset, bool)>,
    /// Why nothing is appended any more.
    pub(super) refusal: Option<Error>,
    pub(super) damage: Option<Error>,
    pub(super) compacted: Compacted,
    /// Segments from here on were found after a crash; for some of them only their records say when they were appended.
    pub(super) undated_from: Option<Offset>,
}

/// The offsets of snapshots of the state.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// Written since the last sync was begun.
    pub(super) written: Vec<Offset>,
    /// Those that a power cut leaves; `None` until somebody asks.
    pub(super) durable: Option<Vec<Offset>>,
}

/// Which directories have names that no sync has been asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Names {
    Synced,
    /// A segment was made.
    OfSegments,
    /// The partition's directory was made, and perhaps its topic's.
    OnTheWay,
}

/// Batches that are written together at the end of the active segment.
#[derive(Default)]
struct Group {
    batches: Vec<Stamped>,
    bytes: u64,
    /// The first answer that depends on it.
    first_answer: usize,
}

struct Stamped {
    header: BatchHeader,
    /// As it goes to disk.
    front: [u8; BATCH_HEADER_BYTES],
    body: Bytes,
}

/// Whose offsets and epoch a batch gets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// Those that come next.
    Here,
    /// It has them: it comes from the leader of this partition.
    Leader,
}

impl PartitionLog {
    /// Works by other settings from here on. What readers have seen stays readable, however it was flushed.
    pub fn configure(&mut self, flush: Flush, segment_bytes: u64, segment_age: Duration) {
        self.config = LogConfig { partition: self.config.partition.clone(), flush, segment_bytes, segment_age };
    }

    /// Opens the log in `dir` and recovers it from what the checkpoint knows (see [`OpenReport`]); a directory that is
    /// missing is an empty log, and made by the first append. A log below whose durable point something is wrong opens
    /// read-only.
    ///
    /// When it returns, all that it holds is durable. Append the report's changes to the checkpoint.
    pub fn open(resources: &Resources, dir: &Path, config: LogConfig, known: &Known) -> Result<(Self, OpenReport)> {
        let (recovered, report) = recover(resources, dir, &config, known)?;
        let Recovered { segments, active, durable, log_start_offset, behind, unsealed } = recovered;
        let shared = Shared::new(resources, config.partition.clone(), segments, log_start_offset, durable.offset);
        let mut log = Self {
            resources: resources.clone(),
            dir: dir.to_owned(),
            config,
            shared: Arc::new(shared),
            active,
            reserved: 0,
            state: None,
            leader_epoch: 0,
            durable,
            dirty: Vec::new(),
            names: Names::Synced,
            snapshots: Snapshots::default(),
            sealed: Vec::new(),
            unsynced_bytes: 0,
            syncing: false,
            truncating: false,
            left_at: None,
            refusal: report.damage.clone(),
            damage: report.damage.clone(),
            compacted: Compacted::default(),
            undated_from: unsealed.first().map(|first| first.base),
        };
        if report.damage.is_some() {
            // It stays refused. How far it is stable is to be known, and if that cannot be, nothing is.
            if log.load_state().is_err() {
                log.shared.last_stable_offset.store(log_start_offset, Ordering::Release);
            }
        } else if !durable.clean {
            // A transaction may be open. A log whose state cannot be known takes no writes.
            let loaded = log.load_state_after(&behind, known.state.durable);
            match loaded {
                Ok(()) => log.seal_recovered(&unsealed),
                Err(error) => {
                    log.refusal = Some(error);
                    let start = log.shared.log_start_offset.load(Ordering::Relaxed);
                    log.shared.last_stable_offset.store(start, Ordering::Release);
                }
            }
        }
        Ok((log, report))
    }

    /// Appends one batch: [`PartitionLog::append_all`].
    pub fn append(&mut self, batch: &Bytes, now: Timestamp) -> Result<Appended> {
        self.append_all(std::slice::from_ref(batch), now).pop().expect("an answer for each batch")
    }

    /// Appends batches one after the other, each given its place; their own base offsets and leader epochs are not
    /// looked at. The caller has checked them with [`crate::record::validate`]. A batch of an idempotent producer that
    /// was appended before is answered with the offsets it got then. `now` is the wall clock.
    ///
    /// The batches are written, not durable: see [`PartitionLog::begin_sync`]. Where there is an error nothing of that
    /// batch is in the log. [`Error::DiskFull`] is worth another try; [`Error::OutOfOrderSequence`] and
    /// [`Error::InvalidRequest`] are the producer's; [`Error::Fenced`] and [`Error::Corrupt`] stay until the log is
    /// opened again.
    pub fn append_all(&mut self, batches: &[Bytes], now: Timestamp) -> Vec<Result<Appended>> {
        self.append_from(batches, Origin::Here, now)
    }

    /// Appends batches that this partition's leader has given their places, which must continue the log
    /// ([`Error::InvalidRequest`]). Otherwise as [`PartitionLog::append_all`].
    pub fn append_replicated(&mut self, batches: &[Bytes], now: Timestamp) -> Vec<Result<Appended>> {
        self.append_from(batches, Origin::Leader, now)
    }

    /// Ends a producer's transaction with a marker. [`Error::StaleProducerEpoch`] if its epoch was superseded; otherwise as
    /// for an append.
    pub fn append_marker(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        marker: ControlRecord,
        now: Timestamp,
    ) -> Result<Appended> {
        self.append(&marker.to_batch(producer_id, producer_epoch, now), now)
    }

    fn append_from(&mut self, batches: &[Bytes], origin: Origin, now: Timestamp) -> Vec<Result<Appended>> {
        let mut answers = Vec::with_capacity(batches.len());
        let mut group = Group::default();
        for batch in batches {
            let answer = self.admit(batch, origin, now, &mut group, &mut answers);
            answers.push(answer);
        }
        self.write(&mut group, &mut answers, now);
        answers
    }

    /// Gives one batch its place in `group`.
    fn admit(
        &mut self,
        batch: &Bytes,
        origin: Origin,
        now: Timestamp,
        group: &mut Group,
        answers: &mut [Result<Appended>],
    ) -> Result<Appended> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let mut header = match BatchHeader::parse(batch)? {
            Some(header) if header.total_bytes() == batch.len() => header,
            _ => return Err(Error::Malformed { why: format!("{} bytes are not one whole batch", batch.len()) }),
        };
        let control = if header.is_control { ControlRecord::parse(batch)? } else { None };
        self.load_state()?;
        let end = group.batches.last().map_or_else(|| self.end(), |last| last.header.next_offset());
        match origin {
            Origin::Here => (header.base_offset, header.leader_epoch) = (end, self.leader_epoch),
            Origin::Leader => self.continues(&header, end)?,
        }
        if self.is_full(&header, group.bytes, now)? {
            self.write(group, answers, now);
            if let Some(refusal) = &self.refusal {
                return Err(refusal.clone());
            }
            if self.state.is_none() {
                // The write failed, so this batch has no place to go either.
                return Err(answers.last().and_then(|last| last.clone().err()).unwrap_or(Error::Closed));
            }
            self.roll_at(header.base_offset, now)?;
        }
        let state = self.state.as_mut().expect("loaded above");
        if let (Origin::Here, Some(marker)) = (origin, &control) {
            state.producers.check_marker(&self.config.partition, &header, marker)?;
        } else if origin == Origin::Here
            && let Verdict::Duplicate { base_offset, last_offset } =
                state.producers.check(&self.config.partition, &header)?
        {
            return Ok(Appended { base_offset, last_offset, duplicate: true });
        }
        if group.batches.is_empty() && self.active.as_ref().is_none_or(|active| active.len() == 0) {
            state.roll();
        }
        let aborted = state.apply(&header, control, now);
        if let (Some(aborted), Some(active)) = (aborted, &self.active) {
            active.update_footer(|footer| footer.aborted.push(aborted))?;
        }
        let mut front: [u8; BATCH_HEADER_BYTES] = *batch.first_chunk().expect("it has a header");
        stamp_offset(&mut front, header.base_offset, header.leader_epoch);
        if group.batches.is_empty() {
            group.first_answer = answers.len();
        }
        group.bytes += batch.len() as u64;
        group.batches.push(Stamped { header, front, body: batch.slice(BATCH_HEADER_BYTES..) });
        Ok(Appended { base_offset: header.base_offset, last_offset: header.last_offset(), duplicate: false })
    }

    /// Whether a batch from the leader is the one that comes next.
    fn continues(&self, header: &BatchHeader, end: Offset) -> Result<()> {
        let epoch = self.state.as_ref().and_then(|state| state.epochs.latest()).unwrap_or(0);
        if header.base_offset == end && header.leader_epoch >= epoch {
            return Ok(());
        }
        let (base, of) = (header.base_offset, header.leader_epoch);
        let why = format!(
            "a batch at offset {base} of leader epoch {of} does not continue a log that ends at {end} in {epoch}"
        );
        Err(Error::InvalidRequest { why })
    }

    /// Whether a batch has to go into a new segment, behind `waiting` bytes that are still to be written.
    fn is_full(&self, header: &BatchHeader, waiting: u64, now: Timestamp) -> Result<bool> {
        let Some(active) = &self.active else { return Ok(true) };
        let len = active.len() + waiting;
        if len == 0 {
            return Ok(false);
        }
        let fits = len + header.total_bytes() as u64 <= self.config.segment_bytes.min(SEGMENT_BYTES_MAX)
            && header.last_offset() - active.base <= SEGMENT_OFFSETS_MAX;
        let (begun, index_bytes) = (active.begun_by(now)?, active.with_footer(|footer| footer.index.bytes())?);
        let is_aged =
            now.0.saturating_sub(begun.0) >= i64::try_from(self.config.segment_age.as_millis()).unwrap_or(i64::MAX);
        Ok(!fits || is_aged || index_bytes >= limits::INDEX_BYTES_MAX)
    }

    /// Writes a group at the end of the active segment and publishes it, or turns the answers that hang on it into the
    /// error.
    fn write(&mut self, group: &mut Group, answers: &mut [Result<Appended>], now: Timestamp) {
        let Group { batches, bytes, first_answer } = std::mem::take(group);
        let (Some(active), false) = (self.active.clone(), batches.is_empty()) else { return };
        if let Err(error) = self.write_at_end(&active, &batches, bytes) {
            for answer in answers[first_answer..].iter_mut().filter(|answer| answer.is_ok()) {
                *answer = Err(error.clone());
            }
            self.forget_state(&active);
            return;
        }
        let mut position = active.len();
        for batch in &batches {
            let head = batch.front.first_chunk().expect("a header is longer than its head");
            active.push(position, &batch.header, head, now);
            position += batch.header.total_bytes() as u64;
        }
        let end = batches.last().expect("not empty").header.next_offset();
        self.unsynced_bytes += bytes;
        let cached = batches.into_iter().map(|batch| CachedBatch {
            base_offset: batch.header.base_offset,
            next_offset: batch.header.next_offset(),
            header: batch.front,
            body: batch.body,
        });
        self.resources.tail.append(&self.shared.tail, cached);
        self.shared.log_end_offset.store(end, Ordering::Release);
        if !self.config.flush.is_durable() || mutants::active(Mutant::AcknowledgeEarly) {
            self.raise_high_watermark(end);
        }
    }

    fn write_at_end(&mut self, active: &Arc<Segment>, batches: &[Stamped], bytes: u64) -> Result<()> {
        let (position, file) = (active.len(), active.file()?);
        self.reserve(&*file, position + bytes);
        let parts: Vec<_> =
            batches.iter().flat_map(|batch| [IoSlice::new(&batch.front), IoSlice::new(&batch.body)]).collect();
        if let Err(error) = file.write_at(&parts, position) {
            let error = write_error("write", &active.path, bytes, error);
            if mutants::active(Mutant::KeepFailedWrite) {
                return Err(error);
            }
            if let Err(second) = file.set_len(position) {
                let path = active.path.display();
                let why = format!("{error}, and {path} could not be cut back to {position} bytes: {second}");
                self.refusal = Some(Error::Fenced { why });
            }
            self.reserved = 0;
            // Nor may the next sync leave it to chance whether it is cut off.
            self.mark_dirty(active, file);
            return Err(error);
        }
        self.mark_dirty(active, file);
        Ok(())
    }

    fn mark_dirty(&mut self, active: &Segment, file: Arc<dyn File>) {
        if self.dirty.last().is_none_or(|(path, _)| *path != active.path) {
            self.dirty.push((active.path.clone(), file));
        }
    }

    /// Reserves room ahead of a busy segment, so that a sync need not find it: fewer slow ones. A quiet one takes none.
    fn reserve(&mut self, file: &dyn File, end: u64) {
        let step = end.min(limits::RESERVE_BYTES_MAX);
        if end <= self.reserved || step < limits::RESERVE_BYTES_MIN {
            return;
        }
        let upto = (end + step).min(self.config.segment_bytes).max(end);
        self.reserved = match file.allocate(end, upto - end) {
            Ok(()) => upto,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => u64::MAX,
            // The write itself may still fit; asked again when it does not.
            Err(_) => end + step,
        };
    }

    /// What was appended did not come to be: state is loaded again when it is needed.
    fn forget_state(&mut self, active: &Arc<Segment>) {
        self.state = None;
        let end = self.end();
        // Transactions that would have ended there have not.
        if let Err(error) = active.update_footer(|footer| footer.aborted.retain(|aborted| aborted.last_offset < end)) {
            self.refusal.get_or_insert(error);
        }
    }

    pub(super) fn raise_high_watermark(&mut self, to: Offset) {
        let high_watermark = self.shared.high_watermark.fetch_max(to, Ordering::AcqRel).max(to);
        let log_start_offset = self.shared.log_start_offset.load(Ordering::Relaxed);
        let Some(state) = &mut self.state else {
            // It was forgotten because a write failed. Loading it comes back here; until then nothing more is stable.
            if let Err(error) = self.load_state() {
                tracing::warn!(partition = %self.config.partition, %error, "the last stable offset stays behind");
            }
            return;
        };
        state.on_high_watermark(high_watermark);
        let stable = state.last_stable_offset(log_start_offset, high_watermark);
        self.shared.last_stable_offset.store(stable, Ordering::Release);
    }

    /// The leader epoch that appends get from here on. A leader begins one even if it appends nothing (KIP-101).
    /// [`Error::InvalidRequest`] if it is lower than the log's.
    pub fn begin_epoch(&mut self, epoch: i32) -> Result<()> {
        self.load_state()?;
        let (end, state) = (self.end(), self.state.as_mut().expect("loaded"));
        let latest = state.epochs.latest().unwrap_or(0);
        if epoch < latest {
            let why = format!("leader epoch {epoch} is over; the log is in {latest}");
            return Err(Error::InvalidRequest { why });
        }
        state.epochs.assign(epoch, end);
        self.leader_epoch = epoch;
        Ok(())
    }

    /// The last epoch up to `epoch` that has records, and the offset at which it ended: where a follower that was in it
    /// has to truncate to (OffsetsForLeaderEpoch, KIP-279). `None` if there is none.
    pub fn end_of_epoch(&mut self, epoch: i32) -> Result<Option<(i32, Offset)>> {
        self.load_state()?;
        let end = self.end();
        Ok(self.state.as_ref().and_then(|state| state.epochs.end_offset_for(epoch, end)))
    }

    /// A reader of this log.
    pub fn reader(&self) -> LogReader {
        LogReader { shared: self.shared.clone() }
    }

    /// The offset ladder.
    pub fn offsets(&self) -> LogOffsets {
        self.shared.offsets()
    }

    pub(super) fn end(&self) -> Offset {
        self.shared.log_end_offset.load(Ordering::Relaxed)
    }

    /// Why the log takes no writes, if it does not: [`Error::Corrupt`] or [`Error::Fenced`].
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// Refuses writes from here on, because the disk cannot be trusted any more.
    pub fn fence(&mut self, why: Error) {
        self.refusal.get_or_insert(why);
    }

    /// The damage that was found when the log was opened: [`Error::Corrupt`].
    pub fn damage(&self) -> Option<&Error> {
        self.damage.as_ref()
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.shared.segments().iter().map(|segment| segment.len()).sum()
    }

    /// How many segments there are; none before the first append.
    pub fn segments(&self) -> u32 {
        self.shared.segments().len() as u32
    }

    /// Whether some offsets may have no record, since segments were compacted or repaired.
    pub fn has_gaps(&self) -> bool {
        self.shared.segments().iter().any(|segment| segment.generation > 0)
    }

    /// Bytes that were written and that no finished sync has made durable.
    pub fn unsynced_bytes(&self) -> u64 {
        self.unsynced_bytes
    }

    /// The idempotent producers that are remembered, by producer id: the stamp (with the sequence of the last record
    /// as `base_sequence`) and the offset of the last record each appended.
    pub fn producers(&mut self) -> Result<Vec<(ProducerStamp, Offset)>> {
        self.load_state()?;
        Ok(self.state.as_ref().map(|state| state.producers.describe()).unwrap_or_default())
    }

    /// The same with all that is known of them, and of their open transactions.
    pub fn describe_producers(&mut self) -> Result<Vec<ProducerDescription>> {
        self.load_state()?;
        Ok(self.state.as_ref().map(|state| state.producers.describe_all()).unwrap_or_default())
    }

    /// Forgets idempotent producers that wrote nothing since `before` and have no open transaction; how many.
    pub fn expire_producers(&mut self, before: Timestamp) -> usize {
        self.state.as_mut().map_or(0, |state| state.producers.expire(before))
    }
}

/// Changes that a sync adds to the checkpoint.
pub(super) fn sealed_changes(sealed: Vec<SealedSegment>) -> impl Iterator<Item = Change> {
    sealed.into_iter().map(|segment| Change::Segments { from: segment.base, to: segment.base + 1, with: vec![segment] })
}
