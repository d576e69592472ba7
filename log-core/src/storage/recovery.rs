//! Opening a partition's log: what is there, what of it can be trusted, what has to go.
//!
//! ```text
//!                       durable point                     (from the checkpoint; may be older than the truth)
//!   ──────────────────────────┼───────────────────────▶
//!    headers are walked       │   every checksum is verified
//!    a bad batch is damage:   │   a bad batch is a torn tail:
//!    nothing is cut, the log  │   it and all behind it are cut, synced
//!    opens read-only up to it │   and reported
//! ```
//! Without a durable point every checksum is verified, and a bad batch is a torn tail only if no valid batch follows
//! it; otherwise it is damage. What is found above the durable point is synced before anyone sees it, so opening
//! twice gives what opening once gave.
//!
//! Later segments are removed from the last to the first, then the tail is cut, then all is synced: a crash in
//! between leaves something that the same rule brings to the same end.
//!
//! Left out: footers and producer snapshots that would save the walk over sealed segments.

use super::checkpoint::DurablePoint;
use super::index::Place;
use super::producers::Producers;
use super::scan::{Check, Found};
use super::segment::{Segment, base_of, path_of};
use crate::env::{Disk, OpenMode};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, verify_crc};
use crate::types::{Error, Offset, Result};
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes rewritten at once.
const REWRITE_BYTES: usize = 1024 * 1024;

/// What opening a log found.
#[derive(Clone, Debug, Default)]
pub struct OpenReport {
    /// An unfinished end that was cut away. None of it had been acknowledged as durable.
    pub torn_tail: Option<TornTail>,
    /// Why the log takes no writes: [`Error::Corrupt`], below the durable point.
    pub damage: Option<Error>,
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
    /// In order; at least one.
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) end: Place,
    pub(super) producers: Producers,
    pub(super) report: OpenReport,
}

/// Opens the log in `dir`, making it if it is missing.
pub(super) fn recover(disk: &Arc<dyn Disk>, dir: &Path, durable: Option<DurablePoint>) -> Result<Recovered> {
    let mut segments = find(disk, dir)?;
    if segments.is_empty() && durable.is_none_or(|point| point.offset == 0) {
        segments.push(create(disk, dir)?);
    }
    let mut walk = Walk { durable, expected: 0, producers: Producers::default(), trusted_segments: 0 };
    let bad = walk.run(&segments)?;
    let mut report = OpenReport::default();
    if let Some(bad) = bad {
        let is_damage = match durable {
            Some(point) => bad.is_below(point, walk.expected),
            None => a_valid_batch_follows(&segments, &bad)?,
        };
        let place = Place { offset: walk.expected, position: bad.position };
        let path = bad.path(dir, &segments);
        if is_damage {
            let (position, offset) = (place.position, place.offset);
            report.damage = Some(Error::Corrupt { path, position, offset, why: bad.why });
            // Readers stop at the high watermark, so what lies behind stays as it is.
            if segments.is_empty() {
                segments.push(Arc::new(Segment::new(disk, dir, 0, 0)));
            }
            return Ok(Recovered { segments, end: place, producers: walk.producers, report });
        }
        let bytes = cut(disk, dir, &mut segments, &bad)?;
        report.torn_tail = Some(TornTail { path, position: place.position, offset: place.offset, bytes, why: bad.why });
    }
    if segments.is_empty() {
        segments.push(create(disk, dir)?);
    }
    // An active segment that the durable point does not name may be empty, and its name not durable yet.
    let active = segments.last().map_or(0, |last| last.base);
    let above = |point: DurablePoint| point.offset < walk.expected || point.segment_base != active;
    if report.torn_tail.is_some() || durable.is_none_or(above) {
        let untrusted = walk.trusted_segments.min(segments.len() - 1);
        for segment in &segments[untrusted..] {
            let from = durable.filter(|point| point.segment_base == segment.base).map_or(0, |point| point.position);
            rewrite(segment, from)?;
            segment.file()?.sync_data().map_err(|e| Error::io("sync", &segment.path, e))?;
        }
        disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
    }
    // A log that was durable once had its names synced before that.
    if durable.is_none_or(|point| point.offset == 0) {
        sync_names(disk, dir)?;
    }
    let end = Place { offset: walk.expected, position: segments.last().map_or(0, |last| last.len()) };
    Ok(Recovered { segments, end, producers: walk.producers, report })
}

/// The segments in `dir` by base offset, with the sizes of their files.
fn find(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Vec<Arc<Segment>>> {
    if !disk.exists(dir) {
        disk.create_dir_all(dir).map_err(|e| super::write_error("create", dir, 0, e))?;
    }
    let mut bases: Vec<Offset> =
        disk.list(dir).map_err(|e| Error::io("list", dir, e))?.iter().filter_map(|name| base_of(name)).collect();
    bases.sort_unstable();
    let segment = |base| {
        let path = path_of(dir, base);
        let len =
            disk.open(&path, OpenMode::Read).and_then(|file| file.len()).map_err(|e| Error::io("open", path, e))?;
        Ok(Arc::new(Segment::new(disk, dir, base, len)))
    };
    bases.into_iter().map(segment).collect()
}

/// The first segment of a new log.
fn create(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Arc<Segment>> {
    let segment = Segment::create(disk, dir, 0).map_err(|e| super::write_error("create", path_of(dir, 0), 0, e))?;
    Ok(Arc::new(segment))
}

/// Writes what lies from `from` to the end of a segment once more, unchanged. If the last process ended because a sync
/// had failed, these bytes may be in the page cache and nowhere else, marked as clean: then only this makes the next
/// sync write them.
fn rewrite(segment: &Segment, from: u64) -> Result<()> {
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
    Ok(())
}

/// Makes the names on the way to the log durable: its segments, the partition in its topic, the topic.
fn sync_names(disk: &Arc<dyn Disk>, dir: &Path) -> Result<()> {
    for dir in dir.ancestors().take(3) {
        disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
    }
    Ok(())
}

/// Where the batches stop being what they should be.
struct Bad {
    /// The number of the segment; one too many if the next one is missing.
    segment: usize,
    position: u64,
    /// The base offset that the segment should have, and the one it has.
    base: Offset,
    found_base: Offset,
    why: String,
}

impl Bad {
    fn is_below(&self, point: DurablePoint, offset: Offset) -> bool {
        point.is_above(self.found_base, Place { offset, position: self.position })
    }

    fn path(&self, dir: &Path, segments: &[Arc<Segment>]) -> PathBuf {
        match segments.get(self.segment) {
            Some(segment) if segment.base == self.base => segment.path.clone(),
            _ => path_of(dir, self.base),
        }
    }
}

struct Walk {
    durable: Option<DurablePoint>,
    /// The offset that the next batch must have.
    expected: Offset,
    producers: Producers,
    /// Segments that lie below the durable point whole.
    trusted_segments: usize,
}

impl Walk {
    /// Reads all segments, builds their indexes and the producers. Stops where something is wrong.
    fn run(&mut self, segments: &[Arc<Segment>]) -> Result<Option<Bad>> {
        for (number, segment) in segments.iter().enumerate() {
            if segment.base != self.expected {
                let why = format!("no segment begins at offset {}; the next begins at {}", self.expected, segment.base);
                return Ok(Some(Bad {
                    segment: number,
                    position: 0,
                    base: self.expected,
                    found_base: segment.base,
                    why,
                }));
            }
            if let Some((position, why)) = self.segment(segment)? {
                return Ok(Some(Bad { segment: number, position, base: segment.base, found_base: segment.base, why }));
            }
            if self.is_trusted(segment.base, segment.len()) {
                self.trusted_segments = number + 1;
            }
        }
        let (base, position) = segments.last().map_or((0, 0), |last| (last.base, last.len()));
        let Some(point) = self.durable.filter(|_| self.is_trusted(base, position)) else { return Ok(None) };
        // An empty segment may be missing: its name need not have been durable.
        if self.expected == point.offset && (point.segment_base, point.position) == (point.offset, 0) {
            return Ok(None);
        }
        let why = format!("the log ends at offset {} and was durable to offset {}", self.expected, point.offset);
        Ok(Some(Bad { segment: segments.len().saturating_sub(1), position, base, found_base: base, why }))
    }

    /// Whether what is expected next at `position` of a segment was durable.
    fn is_trusted(&self, segment_base: Offset, position: u64) -> bool {
        let place = Place { offset: self.expected, position };
        self.durable.is_some_and(|point| point.is_above(segment_base, place))
    }

    /// Reads one segment; the position and the reason if something is wrong.
    fn segment(&mut self, segment: &Segment) -> Result<Option<(u64, String)>> {
        let mut scanner = segment.scan(Place { offset: segment.base, position: 0 })?;
        let mut position = 0;
        loop {
            let point = self.durable.filter(|_| self.is_trusted(segment.base, position));
            let check = if point.is_some() { Check::Header } else { Check::Checksum };
            match scanner.next(check).map_err(|e| segment.read_error(e))? {
                Found::End { .. } => return Ok(None),
                Found::Bad { place, why } => return Ok(Some((place.position, why))),
                Found::Batch { place, header, bytes } => {
                    position = place.position + header.total_bytes() as u64;
                    let end = Place { offset: header.next_offset(), position };
                    if let Some(why) = point.and_then(|point| point.contradicts(segment.base, end)) {
                        return Ok(Some((place.position, why)));
                    }
                    segment.push(place.position, &header, bytes);
                    self.producers.remember(&header, header.max_timestamp);
                    self.expected = end.offset;
                }
            }
        }
    }
}

/// Removes everything from `bad` on; how many bytes that were. Synced by the caller.
fn cut(disk: &Arc<dyn Disk>, dir: &Path, segments: &mut Vec<Arc<Segment>>, bad: &Bad) -> Result<u64> {
    let mut bytes = 0;
    // A segment of which nothing is left goes too, unless it is the one that a log begins with.
    let keep = if bad.position > 0 || (bad.base == 0 && segments[bad.segment].base == 0) {
        bad.segment + 1
    } else {
        bad.segment
    };
    while segments.len() > keep
        && let Some(segment) = segments.pop()
    {
        bytes += segment.len();
        disk.remove_file(&segment.path).map_err(|e| Error::io("remove", &segment.path, e))?;
    }
    if let Some(segment) = segments.get(bad.segment) {
        bytes += segment.len() - bad.position;
        segment.file()?.set_len(bad.position).map_err(|e| Error::io("cut", &segment.path, e))?;
        segment.cut(bad.position);
    }
    tracing::warn!(dir = %dir.display(), bytes, why = %bad.why, "cut a torn tail");
    Ok(bytes)
}

/// Whether any whole batch with a right checksum lies behind `bad`, at whatever position.
fn a_valid_batch_follows(segments: &[Arc<Segment>], bad: &Bad) -> Result<bool> {
    for (number, segment) in segments.iter().enumerate().skip(bad.segment) {
        let from = if number == bad.segment { bad.position } else { 0 };
        let mut bytes = vec![0; usize::try_from(segment.len().saturating_sub(from)).unwrap_or(0)];
        let read = segment.file()?.read_at(&mut bytes, from).map_err(|e| segment.read_error(e))?;
        let is_batch = |at: usize| {
            let Ok(Some(header)) = BatchHeader::parse(&bytes[at..read]) else { return false };
            let end = at + header.total_bytes();
            header.base_offset >= bad.base && end <= read && verify_crc(&bytes[at..end]).is_ok()
        };
        if (0..read.saturating_sub(BATCH_HEADER_BYTES - 1)).any(is_batch) {
            return Ok(true);
        }
    }
    Ok(false)
}
