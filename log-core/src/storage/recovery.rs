//! Opening a partition's log: what is there, what of it can be trusted, what has to go.
//!
//! After a clean close the checkpoint says it all: names, lengths, the end. The lengths are compared, no file is opened.
//! Otherwise the directory is listed and put in order first ([`super::layout`]), then read:
//!
//! ```text
//!     sealed, in the        durable point                (both from the checkpoint; may be older than the truth)
//!     checkpoint            │
//!   ────────────────────────┼───────────────────────▶
//!    trusted,  │ headers    │   every checksum is verified
//!    not read  │ are walked │   a bad batch is a torn tail, if what follows is no more than may be unsynced:
//!    a bad batch is damage: │   it and all behind it are cut, synced and reported
//!    nothing is cut, the log│   otherwise it is damage
//!    opens read-only up to it
//! ```
//! When the checkpoint is damaged nothing is known of durability: every checksum is verified, and a bad batch is a torn tail
//! only if no valid batch follows it.
//!
//! What is found above the durable point is synced before anyone sees it, so opening twice gives what opening once gave.
//! Later segments are removed from the last to the first, then the tail is cut, then all is synced: a crash in between
//! leaves something that the same rule brings to the same end.
//!
//! A sync that has failed leaves bytes in memory that no later sync writes. So what may be such is written once more before
//! it is synced: as much of the end as may be unsynced, and all of it if a sync is known to have failed.
//!
//! What cannot be told: rot in the unsynced end of the log that meets an unclean stop looks like a torn tail. The
//! checkpoint is synced as the log grows so that this end is short.

use super::checkpoint::{Change, Checkpoint, CheckpointReport, DurablePoint, PartitionState, SealedSegment};
use super::footer::Footer;
use super::index::Place;
use super::layout::{self, Layout, Missing};
use super::log::LogConfig;
use super::resources::Resources;
use super::scan::{Check, Found};
use super::segment::Segment;
use super::snapshot;
use super::sync::{FAILED_SYNC, note_failed_sync};
use crate::mutants::{self, Mutant};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, verify_crc};
use crate::types::{Error, Flush, Offset, PartitionIndex, Result, Timestamp, TopicId, limits};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes rewritten at once.
const REWRITE_BYTES: usize = 1024 * 1024;
/// The writer stops at the limit when it looks, and may have a write under way.
pub(super) const UNSYNCED_TAIL_BYTES_MAX: u64 = 2 * limits::UNSYNCED_BYTES_MAX + limits::BATCH_BYTES_HARD_MAX as u64;
/// Of a log that is not synced, more than that is not written again unless a sync is known to have failed.
const REWRITTEN_UNASKED_BYTES_MAX: u64 = if cfg!(test) { 16 * 1024 } else { UNSYNCED_TAIL_BYTES_MAX };

/// What the checkpoint knows of a partition when its log is opened.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// What it says.
    pub state: PartitionState,
    /// How far that can be relied on.
    pub trust: Trust,
}

impl Known {
    /// What `checkpoint`, of which `report` was given when it was opened, knows of a partition.
    pub fn of(checkpoint: &Checkpoint, report: &CheckpointReport, topic: TopicId, partition: PartitionIndex) -> Self {
        Self::with(checkpoint.state(topic, partition), report)
    }

    /// The same of a state.
    pub(super) fn with(state: Option<&PartitionState>, report: &CheckpointReport) -> Self {
        let trust = match report {
            CheckpointReport { damage: Some(_), .. } => Trust::Nothing,
            CheckpointReport { clean: true, .. } => Trust::Clean,
            _ => Trust::Sound,
        };
        Self { state: state.cloned().unwrap_or_default(), trust }
    }

    /// A partition that was just made: there is nothing to look for.
    pub fn new_partition() -> Self {
        Self { state: PartitionState::default(), trust: Trust::Clean }
    }
}

/// How far a checkpoint can be relied on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It was closed in order, and nobody has written since.
    Clean,
    /// It may be older than the truth.
    #[default]
    Sound,
    /// It is damaged or lost: what it says of durability counts for nothing.
    Nothing,
}

/// What opening a log found.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// An unfinished end that was cut away. None of it had been acknowledged as durable.
    pub torn_tail: Option<TornTail>,
    /// Why the log takes no writes: [`Error::Corrupt`], below the durable point.
    pub damage: Option<Error>,
    /// For the checkpoint.
    pub changes: Vec<Change>,
}

/// A torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment in which it began.
    pub path: PathBuf,
    /// Where in the segment, in bytes.
    pub position: u64,
    /// The offset that is assigned next.
    pub offset: Offset,
    /// Bytes that were cut, in this segment and all later ones.
    pub bytes: u64,
    /// What was wrong with the first of them.
    pub why: String,
}

/// A log as it was found and repaired.
#[derive(Debug)]
pub(super) struct Recovered {
    /// In order.
    pub(super) segments: Vec<Arc<Segment>>,
    /// The last of them, unless it is sealed.
    pub(super) active: Option<Arc<Segment>>,
    /// Those before the last whose footers have to be written.
    pub(super) unsealed: Vec<Arc<Segment>>,
    /// Those before the first, which were deleted and are still there.
    pub(super) behind: Vec<Arc<Segment>>,
    pub(super) durable: DurablePoint,
    pub(super) log_start_offset: Offset,
}

/// Opens the log in `dir`.
pub(super) fn recover(
    resources: &Resources,
    dir: &Path,
    config: &LogConfig,
    known: &Known,
) -> Result<(Recovered, OpenReport)> {
    if let Some(recovered) = open_clean(resources, dir, known) {
        return Ok((recovered, OpenReport::default()));
    }
    let layout = layout::reconcile(resources, dir, known)?;
    Recovery { resources, dir, config, known, expected: layout.start, walked: Vec::new() }.run(layout)
}

/// A log that was closed in order and whose files have the lengths that they had then.
fn open_clean(resources: &Resources, dir: &Path, known: &Known) -> Option<Recovered> {
    let PartitionState { durable, log_start_offset, sealed } = &known.state;
    let point = match durable {
        _ if known.trust != Trust::Clean => return None,
        Some(point) if point.clean && *log_start_offset <= point.offset => *point,
        // Nothing was ever appended.
        None if sealed.is_empty() && *log_start_offset == 0 && !resources.disk().exists(dir) => {
            DurablePoint { clean: true, ..DurablePoint::default() }
        }
        _ => return None,
    };
    let disk = resources.disk();
    let mut segments = Vec::with_capacity(sealed.len() + 1);
    for known in sealed {
        let segment = Segment::new(&resources.files, dir, known.base, known.generation, known.bytes);
        segment.seal();
        segments.push(Arc::new(segment));
    }
    let active = Arc::new(Segment::new(&resources.files, dir, point.segment_base, 0, point.position));
    // Whether it lists all of them.
    let bases = sealed.iter().map(|sealed| sealed.base).chain([point.segment_base]);
    let begins = bases.clone().next().is_some_and(|first| first <= *log_start_offset);
    if !begins || !sealed.iter().zip(bases.skip(1)).all(|(sealed, next)| sealed.next_offset == next) {
        return None;
    }
    // One of which nothing was written may not be there.
    let has_active = point.position > 0 || (durable.is_some() && disk.exists(&active.path));
    let active = has_active.then_some(active);
    segments.extend(active.clone());
    let fits = |segment: &Arc<Segment>| disk.len_of(&segment.path).is_ok_and(|len| len == segment.len());
    segments.iter().all(fits).then_some(Recovered {
        segments,
        active,
        unsealed: Vec::new(),
        behind: Vec::new(),
        durable: point,
        log_start_offset: *log_start_offset,
    })
}

struct Recovery<'a> {
    resources: &'a Resources,
    dir: &'a Path,
    config: &'a LogConfig,
    known: &'a Known,
    /// The offset that the next batch must have.
    expected: Offset,
    /// Segments behind the sealed ones, with what was found in them.
    walked: Vec<Walked>,
}

/// A segment that was read, up to where it is right.
struct Walked {
    segment: Arc<Segment>,
    footer: Footer,
    /// Whether all of it lies below the durable point.
    is_trusted: bool,
}

/// Where the batches stop being what they should be.
struct Bad {
    place: Place,
    /// The number of the segment behind the sealed ones; one too many if the next one is missing.
    segment: usize,
    segment_base: Offset,
    path: PathBuf,
    why: String,
}

impl Recovery<'_> {
    fn durable(&self) -> Option<DurablePoint> {
        match self.known.trust {
            Trust::Nothing => None,
            // No entry: nothing was synced.
            _ => Some(self.known.state.durable.unwrap_or_default()),
        }
    }

    fn run(mut self, layout: Layout) -> Result<(Recovered, OpenReport)> {
        let Layout { start, end_of_sealed, sealed, rest, behind, missing } = layout;
        let log_start_offset = self.known.state.log_start_offset.max(start);
        let mut report = OpenReport::default();
        let bad = match missing {
            Some(Missing { segment, is_there, why }) => {
                self.expected = segment.base;
                // What is there of it is served.
                let wrong = if is_there { self.walk_one(&segment)? } else { None };
                let position = wrong.map_or(segment.len(), |(position, _)| position);
                report.damage = Some(segment.corrupt(Place { offset: self.expected, position }, why));
                None
            }
            None => {
                self.expected = end_of_sealed;
                self.walk(&rest)?
            }
        };
        if let Some(bad) = bad {
            if self.is_damage(&bad, &rest[bad.segment..])? {
                let Place { offset, position } = bad.place;
                report.damage = Some(Error::Corrupt { path: bad.path, position, offset, why: bad.why });
            } else {
                report.torn_tail = Some(self.cut(bad, &rest)?);
            }
        }
        if report.damage.is_some() {
            // Once it was closed in order; the next open must not take it for that.
            if let Some(point) = self.durable().filter(|point| point.clean) {
                report.changes.push(Change::Durable(DurablePoint { clean: false, ..point }));
            }
            // Readers stop at the high watermark, so what lies behind stays as it is.
            let walked = self.walked.into_iter().map(|walked| walked.segment);
            let segments = sealed.into_iter().chain(walked).collect();
            let durable = DurablePoint { offset: self.expected, ..self.known.state.durable.unwrap_or_default() };
            let log_start_offset = log_start_offset.min(self.expected);
            let (unsealed, behind) = (Vec::new(), Vec::new());
            let recovered = Recovered { segments, active: None, unsealed, behind, durable, log_start_offset };
            return Ok((recovered, report));
        }
        self.make_durable(report.torn_tail.is_some())?;
        let recovered = self.finish(sealed, log_start_offset, &mut report)?;
        Ok((Recovered { behind, ..recovered }, report))
    }

    /// Reads the segments behind the sealed ones and what is to be known of each. Stops where something is wrong.
    fn walk(&mut self, rest: &[Arc<Segment>]) -> Result<Option<Bad>> {
        for (number, segment) in rest.iter().enumerate() {
            if segment.base != self.expected {
                let why = format!("no segment begins at offset {}; the next begins at {}", self.expected, segment.base);
                let place = Place { offset: self.expected, position: 0 };
                let (segment_base, path) = (segment.base, segment.path.clone());
                return Ok(Some(Bad { place, segment: number, segment_base, path, why }));
            }
            if let Some((position, why)) = self.walk_one(segment)? {
                let place = Place { offset: self.expected, position };
                let (segment_base, path) = (segment.base, segment.path.clone());
                return Ok(Some(Bad { place, segment: number, segment_base, path, why }));
            }
        }
        let (base, position, path) = match self.walked.last() {
            Some(Walked { segment, .. }) => (segment.base, segment.len(), segment.path.clone()),
            None => (self.expected, 0, self.dir.to_owned()),
        };
        let place = Place { offset: self.expected, position };
        let Some(point) = self.durable().filter(|point| point.is_above(base, place)) else { return Ok(None) };
        // An empty segment may be missing: its name need not have been durable.
        if self.expected == point.offset && (point.segment_base, point.position) == (point.offset, 0) {
            return Ok(None);
        }
        let why = format!("the log ends at offset {} and was durable to offset {}", self.expected, point.offset);
        Ok(Some(Bad { place, segment: rest.len(), segment_base: base, path, why }))
    }

    /// Reads one segment; the position and the reason if something is wrong.
    fn walk_one(&mut self, segment: &Arc<Segment>) -> Result<Option<(u64, String)>> {
        let mut footer = Footer::new(segment.base, segment.generation, Timestamp(0));
        let mut scanner = segment.scan(Place { offset: segment.base, position: 0 })?;
        let (mut position, mut wrong, mut has_markers) = (0, None, false);
        loop {
            let place = Place { offset: self.expected, position };
            let point = self.durable().filter(|point| point.is_above(segment.base, place));
            let check = if point.is_some() { Check::Header } else { Check::Checksum };
            match scanner.next(check).map_err(|e| segment.read_error(e))? {
                Found::End { .. } => break,
                Found::Bad { why, .. } => {
                    wrong = Some((position, why));
                    break;
                }
                Found::Batch { place, header, head } => {
                    let behind = place.position + header.total_bytes() as u64;
                    let end = Place { offset: header.next_offset(), position: behind };
                    if let Some(why) = point.and_then(|point| point.contradicts(segment.base, end)) {
                        wrong = Some((position, why));
                        break;
                    }
                    footer.push(place.position, &header, &head, None);
                    has_markers |= header.is_control;
                    (position, self.expected) = (behind, header.next_offset());
                }
            }
        }
        let end = Place { offset: self.expected, position };
        let is_trusted = self.durable().is_some_and(|point| point.is_above(segment.base, end));
        // What does not follow from this segment alone.
        let old = segment.read_footer().ok().flatten().filter(|old| old.index == footer.index);
        let segment = if wrong.is_some() {
            // As long as it is right.
            Arc::new(Segment::new(&self.resources.files, self.dir, segment.base, segment.generation, position))
        } else {
            segment.clone()
        };
        match old {
            Some(old) => {
                (footer.first_append, footer.last_append) = (old.first_append, old.last_append);
                (footer.epochs, footer.aborted) = (old.epochs, old.aborted);
            }
            // Headers do not say what a marker has ended; only a replay of the log from before it can tell.
            None if has_markers && !mutants::active(Mutant::ForgetAborted) => segment.lacks_transactions(),
            None => {}
        }
        segment.set_footer(footer.clone());
        self.walked.push(Walked { segment, footer, is_trusted });
        Ok(wrong)
    }

    /// Whether what is wrong lies where nothing may be wrong. `behind` begins with the segment that it is in.
    fn is_damage(&self, bad: &Bad, behind: &[Arc<Segment>]) -> Result<bool> {
        let Some(point) = self.durable() else { return a_valid_batch_follows(bad, behind) };
        if mutants::active(Mutant::CutBelowDurablePoint) {
            return Ok(false);
        }
        if point.is_above(bad.segment_base, bad.place) {
            return Ok(true);
        }
        Ok(self.config.flush != Flush::Os && bytes_behind(bad, behind)? > UNSYNCED_TAIL_BYTES_MAX)
    }

    /// Removes everything from `bad` on. Synced by the caller.
    fn cut(&mut self, bad: Bad, rest: &[Arc<Segment>]) -> Result<TornTail> {
        let disk = self.resources.disk();
        let mut bytes = 0;
        // A segment of which nothing is left goes too.
        let keep = bad.segment + usize::from(bad.place.position > 0);
        for segment in rest[keep..].iter().rev() {
            bytes += segment.len();
            disk.remove_file(&segment.path).map_err(|e| Error::io("remove", &segment.path, e))?;
        }
        self.walked.truncate(keep);
        if bad.place.position > 0
            && let Some(Walked { segment, .. }) = self.walked.last()
        {
            let before = disk.len_of(&segment.path).map_err(|e| Error::io("look at", &segment.path, e))?;
            bytes += before.saturating_sub(bad.place.position);
            segment.file()?.set_len(bad.place.position).map_err(|e| Error::io("cut", &segment.path, e))?;
        }
        tracing::warn!(dir = %self.dir.display(), bytes, why = %bad.why, "cut a torn tail");
        let Place { offset, position } = bad.place;
        Ok(TornTail { path: bad.path, position, offset, bytes, why: bad.why })
    }

    /// Syncs what was not known to be durable: what lies above the point, and where the log ends. The last process may have
    /// cut off there what a failed write had left, and a power cut brings back what no sync has seen cut.
    fn make_durable(&self, was_cut: bool) -> Result<()> {
        let durable = self.durable();
        // An active segment that the durable point does not name may be empty, and its name not durable yet.
        let active = self.walked.last().map(|walked| walked.segment.base);
        let above =
            |point: DurablePoint| point.offset < self.expected || active.is_some_and(|base| base != point.segment_base);
        // Without a point not even the names of an empty log need be durable.
        let is_known = self.known.state.durable.is_some_and(|point| point.offset > 0) || self.walked.is_empty();
        let is_durable = is_known && !was_cut && !durable.is_none_or(above);
        let error = |e| Error::io("sync", self.dir, e);
        let (disk, note) = (self.resources.disk(), self.dir.join(FAILED_SYNC));
        let has_failed = disk.exists(&note);
        // What lies above the point, by segment. Where the log ends is looked at in any case.
        let unsure: Vec<(&Arc<Segment>, u64)> = (1..)
            .zip(&self.walked)
            .filter(|(number, walked)| !walked.is_trusted || *number == self.walked.len())
            .map(|(_, Walked { segment, .. })| {
                let point = durable.filter(|point| point.segment_base == segment.base);
                (segment, point.map_or(0, |point| point.position))
            })
            .collect();
        let mut behind: u64 = unsure.iter().map(|(segment, from)| segment.len().saturating_sub(*from)).sum();
        let rewritten_max = match self.config.flush {
            _ if is_durable || mutants::active(Mutant::RecoverWithoutRewriting) => 0,
            _ if has_failed => u64::MAX,
            // Without syncs there may be any amount of it.
            Flush::Os if behind > REWRITTEN_UNASKED_BYTES_MAX => 0,
            _ => UNSYNCED_TAIL_BYTES_MAX,
        };
        for (segment, from) in unsure {
            behind -= segment.len().saturating_sub(from);
            let rewritten = rewritten_max.saturating_sub(behind);
            if rewritten > 0 {
                rewrite(segment, from.max(segment.len().saturating_sub(rewritten)))?;
            }
            segment.file()?.sync_data().map_err(|e| {
                note_failed_sync(disk.as_ref(), self.dir);
                Error::io("sync", &segment.path, e)
            })?;
        }
        if has_failed {
            disk.remove_file(&note).map_err(|e| Error::io("remove", &note, e))?;
        }
        if !is_durable && disk.exists(self.dir) {
            // A log that was durable once had the names on the way to it synced before that.
            let levels = if durable.is_none_or(|point| point.offset == 0) { 3 } else { 1 };
            for dir in self.dir.ancestors().take(levels) {
                disk.sync_dir(dir).map_err(error)?;
            }
        }
        Ok(())
    }

    /// Seals what was walked but for the last, and says what the checkpoint does not know.
    fn finish(self, sealed: Vec<Arc<Segment>>, log_start_offset: Offset, report: &mut OpenReport) -> Result<Recovered> {
        let mut segments = sealed;
        if self.known.trust == Trust::Nothing {
            report.changes.push(Change::Segments { from: 0, to: Offset::MAX, with: Vec::new() });
            report.changes.push(Change::LogStart(log_start_offset));
        }
        let count = self.walked.len();
        let (mut active, mut unsealed) = (None, Vec::new());
        for (number, Walked { segment, footer, .. }) in self.walked.into_iter().enumerate() {
            if number + 1 < count || segment.generation > 0 {
                let next_offset = footer.next_offset;
                if segment.generation == 0 {
                    // It is written anew. Even if it is right here, what a power cut leaves may be another segment's.
                    segment.remove_footer()?;
                }
                unsealed.push(segment.clone());
                let (base, generation, bytes) = (segment.base, segment.generation, segment.len());
                let with = vec![SealedSegment { base, generation, bytes, next_offset }];
                report.changes.push(Change::Segments { from: base, to: base + 1, with });
            } else {
                if self.known.state.sealed.last().is_some_and(|last| last.base >= segment.base) {
                    let (from, to) = (segment.base, Offset::MAX);
                    report.changes.push(Change::Segments { from, to, with: Vec::new() });
                }
                active = Some(segment.clone());
            }
            segments.push(segment);
        }
        // They speak of what is not there any more, or may not be what is there next.
        let disk = self.resources.disk();
        if let Some(active) = &active {
            active.remove_footer()?;
        }
        if !mutants::active(Mutant::KeepStaleSnapshots) {
            snapshot::remove_above(disk, self.dir, self.expected)?;
        }
        let point = self.known.state.durable.filter(|_| self.known.trust != Trust::Nothing).unwrap_or_default();
        let first_unsure = point.offset + Offset::from(point.clean);
        snapshot::renew(disk, self.dir, first_unsure..=self.expected)?;
        if !segments.is_empty() {
            // Gone for good before others take their offsets.
            disk.sync_dir(self.dir).map_err(|e| Error::io("sync", self.dir, e))?;
        }
        let durable = DurablePoint {
            offset: self.expected,
            segment_base: active.as_ref().map_or(self.expected, |active| active.base),
            position: active.as_ref().map_or(0, |active| active.len()),
            clean: segments.is_empty() && self.expected == 0,
        };
        if self.known.state.durable != Some(durable) && !durable.clean {
            report.changes.push(Change::Durable(durable));
        }
        if log_start_offset > self.expected {
            // What was deleted was not durable; nor were those that followed.
            report.changes.push(Change::LogStart(self.expected));
        }
        let log_start_offset = log_start_offset.min(self.expected);
        Ok(Recovered { segments, active, unsealed, behind: Vec::new(), durable, log_start_offset })
    }
}

/// Writes what lies from `from` to the end of a segment once more, unchanged. If the last process ended because a sync
/// had failed, these bytes may be in the page cache and nowhere else, marked as clean: then only this makes the next
/// sync write them.
fn rewrite(segment: &Arc<Segment>, from: u64) -> Result<()> {
    let (file, end) = (segment.file()?, segment.len());
    let mut chunk = vec![0; REWRITE_BYTES.min(usize::try_from(end.saturating_sub(from)).unwrap_or(REWRITE_BYTES))];
    let mut position = from;
    while position < end {
        let wanted = chunk.len().min(usize::try_from(end - position).unwrap_or(usize::MAX));
        let read = file.read_at(&mut chunk[..wanted], position).map_err(|e| segment.read_error(e))?;
        if read == 0 {
            break;
        }
        file.write_at(&[IoSlice::new(&chunk[..read])], position)
            .map_err(|e| super::write_error("write", &segment.path, read as u64, e))?;
        position += read as u64;
    }
    // What was cut off behind it may come back in the same way.
    file.set_len(end).map_err(|e| Error::io("cut", &segment.path, e))
}

/// Calls `each` with the bytes of every segment of `behind`, from the bad place on, until it returns true.
fn bytes_from(bad: &Bad, behind: &[Arc<Segment>], mut each: impl FnMut(&[u8]) -> bool) -> Result<bool> {
    for segment in behind {
        let from = if segment.base == bad.segment_base { bad.place.position } else { 0 };
        let mut bytes = vec![0; usize::try_from(segment.len().saturating_sub(from)).unwrap_or(0)];
        let read = match segment.file()?.read_at(&mut bytes, from) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            Err(error) => return Err(segment.read_error(error)),
        };
        if each(&bytes[..read]) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Bytes from the bad place to the last one that is not zero.
fn bytes_behind(bad: &Bad, behind: &[Arc<Segment>]) -> Result<u64> {
    let (mut before, mut last) = (0, 0);
    bytes_from(bad, behind, |bytes| {
        if let Some(at) = bytes.iter().rposition(|byte| *byte != 0) {
            last = before + at as u64 + 1;
        }
        before += bytes.len() as u64;
        false
    })?;
    Ok(last)
}

/// Whether any whole batch with a right checksum lies behind the bad place, at whatever position.
fn a_valid_batch_follows(bad: &Bad, behind: &[Arc<Segment>]) -> Result<bool> {
    bytes_from(bad, behind, |bytes| {
        let is_batch = |at: usize| {
            let Ok(Some(header)) = BatchHeader::parse(&bytes[at..]) else { return false };
            let end = at + header.total_bytes();
            header.base_offset >= bad.place.offset && end <= bytes.len() && verify_crc(&bytes[at..end]).is_ok()
        };
        (0..bytes.len().saturating_sub(BATCH_HEADER_BYTES - 1)).any(is_batch)
    })
}
