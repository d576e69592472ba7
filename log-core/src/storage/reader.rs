//! Reading a partition's log below the high watermark, while it is being written.
//!
//! A reader shares the list of segments and a few offsets with the writer, and takes no lock that is held over I/O. It
//! looks for an offset in this order: the batches that were appended last ([`super::tail_cache`]); the page cache, without
//! waiting; the disk.
//!
//! Bytes from a file are read in whole blocks (see [`super::index`]), of which every byte is checked: each batch by its own
//! CRC, and the heads of all batches, which no batch CRC covers, by the block's. So neither a flipped bit nor bytes that
//! belong elsewhere are ever served. In a block with a wrong head, what lies before it is served if that can be proven.
//!
//! Two things may happen beneath a reader. Segments are replaced or removed: it holds the old ones and reads them
//! to their end, or does not find a file any more and looks at the new list. The log is truncated: the writer first
//! lowers the offsets, then counts up `truncations`, then cuts; a reader that finds another count after it has read
//! begins again, so it never returns bytes of which it does not know whose they are.

use super::buffers::{Buffer, Buffers};
use super::footer::Footer;
use super::heads;
use super::index::{Block, Place};
use super::resources::Resources;
use super::roll::learn_transactions;
use super::segment::Segment;
use super::tail_cache::Tail;
use super::transactions::{AbortedTransaction, collect_overlapping};
use crate::env::File;
use crate::mutants::{self, Mutant};
use crate::record::{BATCH_HEAD_BYTES, BatchHeader, crc32c_append, records, verify_crc};
use crate::types::{Error, Isolation, LogOffsets, Offset, OffsetRange, Result, Timestamp, TopicPartition};
use bytes::Bytes;
use parking_lot::RwLock;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

/// Bytes that are read at once: they are still in the processor's cache when they are checked.
const PIECE_BYTES: usize = 256 * 1024;

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Never,
    ForDisk,
}

/// What a log's writer and its readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) partition: TopicPartition,
    /// In order; replaced as a whole.
    pub(super) segments: RwLock<Arc<Vec<Arc<Segment>>>>,
    pub(super) log_start_offset: AtomicI64,
    pub(super) last_stable_offset: AtomicI64,
    pub(super) high_watermark: AtomicI64,
    pub(super) log_end_offset: AtomicI64,
    pub(super) truncations: AtomicU64,
    pub(super) tail: Arc<Tail>,
    pub(super) buffers: Arc<Buffers>,
}

impl Shared {
    /// A log that was just opened, durable to `end`.
    pub(super) fn new(
        resources: &Resources,
        partition: TopicPartition,
        segments: Vec<Arc<Segment>>,
        start: Offset,
        end: Offset,
    ) -> Self {
        Self {
            partition,
            segments: RwLock::new(Arc::new(segments)),
            log_start_offset: AtomicI64::new(start),
            last_stable_offset: AtomicI64::new(end),
            high_watermark: AtomicI64::new(end),
            log_end_offset: AtomicI64::new(end),
            truncations: AtomicU64::new(0),
            tail: Arc::default(),
            buffers: resources.buffers.clone(),
        }
    }

    pub(super) fn offsets(&self) -> LogOffsets {
        // In this order each is at most the next while they grow; after a truncation the lower one counts.
        let log_start_offset = self.log_start_offset.load(Ordering::Acquire);
        let last_stable_offset = self.last_stable_offset.load(Ordering::Acquire);
        let high_watermark = self.high_watermark.load(Ordering::Acquire);
        let log_end_offset = self.log_end_offset.load(Ordering::Acquire);
        let high_watermark = high_watermark.min(log_end_offset);
        LogOffsets {
            log_start_offset: log_start_offset.min(high_watermark),
            last_stable_offset: last_stable_offset.clamp(log_start_offset.min(high_watermark), high_watermark),
            high_watermark,
            log_end_offset,
        }
    }

    pub(super) fn segments(&self) -> Arc<Vec<Arc<Segment>>> {
        self.segments.read().clone()
    }
}

/// Reads one partition's log. Clones share it; they keep working when the writer is gone.
#[derive(Clone, Debug)]
pub struct LogReader {
    pub(super) shared: Arc<Shared>,
}

impl LogReader {
    /// The partition that is read.
    pub fn partition(&self) -> &TopicPartition {
        &self.shared.partition
    }

    /// The offset ladder at this moment.
    pub fn offsets(&self) -> LogOffsets {
        self.shared.offsets()
    }

    /// Whole batches from the first that ends behind `offset` on, at most `max_bytes` of them but at least one, all below the
    /// high watermark and of one segment. Empty at the high watermark. Every checksum was verified.
    ///
    /// The first batch may begin before `offset`; in a compacted log it may also begin behind it. Go on at the
    /// [`BatchHeader::next_offset`] of the last.
    ///
    /// [`Error::OffsetOutOfRange`] outside of `[log start, high watermark]`; [`Error::Corrupt`] if the batch that
    /// holds `offset` is damaged or cannot be found for damage before it; [`Error::Io`].
    pub fn read(&self, offset: Offset, max_bytes: u32) -> Result<Bytes> {
        self.read_isolated(offset, max_bytes, Isolation::ReadUncommitted)
    }

    /// As [`LogReader::read`], up to where `isolation` lets a reader see.
    pub fn read_isolated(&self, offset: Offset, max_bytes: u32, isolation: Isolation) -> Result<Bytes> {
        Ok(self.read_or_not(offset, max_bytes, isolation, Wait::ForDisk)?.expect("it may wait"))
    }

    /// As [`LogReader::read_isolated`] from memory alone; `None` if it would have to wait for the disk.
    pub fn read_cached(&self, offset: Offset, max_bytes: u32, isolation: Isolation) -> Result<Option<Bytes>> {
        self.read_or_not(offset, max_bytes, isolation, Wait::Never)
    }

    fn read_or_not(&self, offset: Offset, max_bytes: u32, isolation: Isolation, wait: Wait) -> Result<Option<Bytes>> {
        loop {
            let truncations = self.shared.truncations.load(Ordering::Acquire);
            let segments = self.shared.segments();
            let read = self.read_once(&segments, offset, max_bytes, isolation, wait);
            fence(Ordering::SeqCst);
            if self.shared.truncations.load(Ordering::Acquire) != truncations {
                continue;
            }
            let is_gone = matches!(&read, Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound);
            if !is_gone {
                return read;
            }
            // It was removed or replaced meanwhile; or it is missing where it should be.
            if Arc::ptr_eq(&segments, &self.shared.segments()) {
                return Err(missing(&segments, offset));
            }
        }
    }

    fn read_once(
        &self,
        segments: &[Arc<Segment>],
        offset: Offset,
        max_bytes: u32,
        isolation: Isolation,
        wait: Wait,
    ) -> Result<Option<Bytes>> {
        let offsets = self.offsets();
        let end = match isolation {
            Isolation::ReadUncommitted => offsets.high_watermark,
            Isolation::ReadCommitted => offsets.last_stable_offset,
        };
        if offset < offsets.log_start_offset || offset > offsets.high_watermark {
            let (start, end) = (offsets.log_start_offset, offsets.high_watermark);
            return Err(Error::OffsetOutOfRange { partition: self.shared.partition.clone(), offset, start, end });
        }
        if offset >= end {
            return Ok(Some(Bytes::new()));
        }
        if let Some(batches) = self.shared.tail.read(&self.shared.buffers, offset, end, max_bytes as usize) {
            return Ok(Some(batches));
        }
        let first = segments.partition_point(|segment| segment.base <= offset).saturating_sub(1);
        for segment in segments.iter().skip(first).take_while(|segment| segment.base < end) {
            match read_segment(&self.shared.buffers, segment, offset..end, max_bytes, wait)? {
                // Compaction has left nothing from there to the end of the segment.
                Some(batches) if batches.is_empty() => {}
                other => return Ok(other),
            }
        }
        Ok(Some(Bytes::new()))
    }

    /// The first offset below the high watermark whose record's timestamp is at or after `at`; `None` if there is no
    /// such record. Records need not be in order of time. Errors as for [`LogReader::read`].
    pub fn offset_for_time(&self, at: Timestamp) -> Result<Option<Offset>> {
        Ok(self.record_for_time(at)?.map(|(offset, _)| offset))
    }

    /// The same, with the record's timestamp.
    pub fn record_for_time(&self, at: Timestamp) -> Result<Option<(Offset, Timestamp)>> {
        loop {
            let truncations = self.shared.truncations.load(Ordering::Acquire);
            let found = self.record_for_time_once(at);
            fence(Ordering::SeqCst);
            if self.shared.truncations.load(Ordering::Acquire) == truncations {
                return found;
            }
        }
    }

    fn record_for_time_once(&self, at: Timestamp) -> Result<Option<(Offset, Timestamp)>> {
        let readable = self.offsets().readable();
        for segment in self.shared.segments().iter().filter(|segment| segment.base < readable.end) {
            let Some(place) = segment.with_footer(|footer| footer.index.floor_of_time(at))? else { continue };
            // Usually the first batch that is looked at has it.
            for block in
                segment.with_footer(|footer| footer.index.blocks_from(place.position, u64::MAX, segment.len()))?
            {
                if block.place.offset >= readable.end {
                    return Ok(None);
                }
                let blocks = std::slice::from_ref(&block);
                let mut reading = Reading::new(&self.shared.buffers, segment, blocks, Wait::ForDisk)?;
                let (batches, damage) = reading.check(&block)?.expect("it may wait");
                let bytes = reading.freeze();
                for (range, header) in batches {
                    if header.max_timestamp < at || header.is_control || header.next_offset() <= readable.start {
                        continue;
                    }
                    for record in records(bytes.slice(range)) {
                        let record = record?;
                        if record.timestamp >= at && record.offset >= readable.start {
                            let found = (record.offset, record.timestamp);
                            return Ok(readable.contains(record.offset).then_some(found));
                        }
                    }
                }
                if let Some(damage) = damage {
                    return Err(damage);
                }
            }
        }
        Ok(None)
    }

    /// What a reader of committed records gets: batches as by [`LogReader::read_isolated`], and the aborted transactions
    /// whose records among them it has to pass over, by their first offset (Kafka's `aborted_transactions`).
    pub fn read_committed(&self, offset: Offset, max_bytes: u32) -> Result<(Bytes, Vec<AbortedTransaction>)> {
        loop {
            // Both are of the same segments: compaction takes away aborted records and the mention of them together.
            let segments = self.shared.segments();
            let batches = self.read_isolated(offset, max_bytes, Isolation::ReadCommitted)?;
            let aborted = aborted(&segments, range_of(offset, &batches)?, Wait::ForDisk)?.expect("it may wait");
            if Arc::ptr_eq(&segments, &self.shared.segments()) {
                return Ok((batches, aborted));
            }
        }
    }

    /// As [`LogReader::read_committed`] from memory alone; `None` if it would have to wait for the disk.
    pub fn read_committed_cached(
        &self,
        offset: Offset,
        max_bytes: u32,
    ) -> Result<Option<(Bytes, Vec<AbortedTransaction>)>> {
        let segments = self.shared.segments();
        let Some(batches) = self.read_cached(offset, max_bytes, Isolation::ReadCommitted)? else { return Ok(None) };
        let aborted = aborted(&segments, range_of(offset, &batches)?, Wait::Never)?;
        // Otherwise they may be of other segments: whoever may wait looks again.
        let is_same = Arc::ptr_eq(&segments, &self.shared.segments());
        Ok(aborted.filter(|_| is_same).map(|aborted| (batches, aborted)))
    }

    /// The aborted transactions that a reader of `range` has to know of.
    pub fn aborted(&self, range: OffsetRange) -> Result<Vec<AbortedTransaction>> {
        Ok(aborted(&self.shared.segments(), range, Wait::ForDisk)?.expect("it may wait"))
    }
}

/// The offsets from `offset` to the end of `batches`.
fn range_of(offset: Offset, batches: &Bytes) -> Result<OffsetRange> {
    let end = crate::record::batches(batches.clone()).last().transpose()?;
    Ok(OffsetRange::new(offset, end.map_or(offset, |last| last.header.next_offset())))
}

/// The file of the segment that holds `offset` is not there.
fn missing(segments: &[Arc<Segment>], offset: Offset) -> Error {
    let after = segments.partition_point(|segment| segment.base <= offset);
    let path = segments.get(after.saturating_sub(1)).map(|segment| segment.path.clone()).unwrap_or_default();
    Error::Corrupt { path, position: 0, offset, why: "the file is missing".into() }
}

/// `None` if it would have to wait.
fn aborted(segments: &[Arc<Segment>], range: OffsetRange, wait: Wait) -> Result<Option<Vec<AbortedTransaction>>> {
    let mut aborted = Vec::new();
    if range.is_empty() {
        return Ok(Some(aborted));
    }
    let first = segments.partition_point(|segment| segment.base <= range.start).saturating_sub(1);
    for (number, segment) in segments.iter().enumerate().skip(first) {
        let mut collect = |footer: &Footer| collect_overlapping(&footer.aborted, range, &mut aborted);
        // A marker may lie in a later segment than the records that it aborts, but then the last stable offset was below
        // them until there.
        let is_all = match wait {
            Wait::Never if segment.is_known_to_lack_transactions() => return Ok(None),
            Wait::Never => match segment.with_footer_cached(collect) {
                Some(is_all) => is_all,
                None => return Ok(None),
            },
            Wait::ForDisk => {
                if !segment.knows_transactions()? {
                    learn_transactions(&segments[..=number])?;
                }
                segment.with_footer(&mut collect)?
            }
        };
        if is_all {
            break;
        }
    }
    aborted.sort_by_key(|transaction| transaction.first_offset);
    Ok(Some(aborted))
}

/// Reads batches of one segment that lie in `range`; see [`LogReader::read`]. Empty if none ends behind its start.
fn read_segment(
    buffers: &Arc<Buffers>,
    segment: &Arc<Segment>,
    range: Range<Offset>,
    max_bytes: u32,
    wait: Wait,
) -> Result<Option<Bytes>> {
    let mut from = None;
    loop {
        // The length belongs to the index: both are taken under one lock.
        let plan = |footer: &Footer| {
            let from = from.unwrap_or_else(|| footer.index.floor(range.start).position);
            // A footer that was made again ends where the batches are damaged.
            let damage = (from >= footer.log_bytes).then(|| segment.incomplete(footer)).flatten();
            (footer.index.blocks_from(from, u64::from(max_bytes), footer.log_bytes), damage)
        };
        let (blocks, damage) = match wait {
            Wait::ForDisk => segment.with_footer(plan)?,
            Wait::Never => match segment.with_footer_cached(plan) {
                Some(blocks) => blocks,
                None => return Ok(None),
            },
        };
        if let Some(damage) = damage {
            return Err(damage);
        }
        let Some(last) = blocks.last() else { return Ok(Some(Bytes::new())) };
        let mut reading = Reading::new(buffers, segment, &blocks, wait)?;
        match reading.pick(&blocks, &range, max_bytes)? {
            Picked::Some(picked) => return Ok(Some(reading.freeze().slice(picked))),
            Picked::WouldWait => return Ok(None),
            // All of it lies before the range.
            Picked::None => from = Some(last.end_position),
        }
    }
}

/// The bytes of blocks that follow each other, read in pieces as they are asked for.
struct Reading<'a> {
    segment: &'a Arc<Segment>,
    file: Arc<dyn File>,
    wait: Wait,
    /// Where in the file it begins.
    position: u64,
    buffer: Buffer,
    /// How much of the buffer was read.
    filled: usize,
}

/// What of the bytes of a [`Reading`] to return.
enum Picked {
    Some(Range<usize>),
    None,
    WouldWait,
}

impl<'a> Reading<'a> {
    fn new(buffers: &Arc<Buffers>, segment: &'a Arc<Segment>, blocks: &[Block], wait: Wait) -> Result<Self> {
        let position = blocks.first().map_or(0, |first| first.place.position);
        let len = blocks.last().map_or(0, |last| last.end_position - position);
        let buffer = buffers.take(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(Self { segment, file: segment.file()?, wait, position, buffer, filled: 0 })
    }

    /// What was read.
    fn freeze(self) -> Bytes {
        self.buffer.freeze(0..self.filled)
    }

    /// Picks whole batches of `blocks`, all that it was made for.
    fn pick(&mut self, blocks: &[Block], offsets: &Range<Offset>, max_bytes: u32) -> Result<Picked> {
        let mut picked: Option<Range<usize>> = None;
        for block in blocks {
            let at = self.start_of(block);
            let Some((batches, damage)) = self.check(block)? else {
                return Ok(picked.map_or(Picked::WouldWait, Picked::Some));
            };
            for (range, header) in batches {
                if header.next_offset() <= offsets.start {
                    continue;
                }
                let range = range.start + at..range.end + at;
                let start = picked.as_ref().map_or(range.start, |picked| picked.start);
                let fits = picked.is_none() || range.end - start <= max_bytes as usize;
                if !fits || header.next_offset() > offsets.end {
                    return Ok(Picked::Some(picked.unwrap_or(0..0)));
                }
                picked = Some(start..range.end);
            }
            match damage {
                // What is intact is served; the next read begins at the damage and says so.
                Some(_) if picked.is_some() => break,
                Some(error) => return Err(error),
                None => {}
            }
        }
        Ok(picked.map_or(Picked::None, Picked::Some))
    }

    /// As [`check_block`]; `None` if it would have to wait for the block's bytes.
    fn check(&mut self, block: &Block) -> Result<Option<Checked>> {
        let range = self.start_of(block)..(block.end_position - self.position) as usize;
        if range.end > self.filled && !self.fill(range.end)? {
            return Ok(None);
        }
        // A file that is too short is found by the check.
        let bytes = &self.buffer.as_ref()[range.start.min(self.filled)..range.end.min(self.filled)];
        Ok(Some(check_block(self.segment, block, bytes)))
    }

    /// Reads on, to `upto` at least; whether that was possible without waiting for longer than it may.
    fn fill(&mut self, upto: usize) -> Result<bool> {
        let (from, position) = (self.filled, self.position + self.filled as u64);
        let buffer = self.buffer.as_mut();
        let to = (from + PIECE_BYTES).clamp(upto, buffer.len());
        let read = match self.wait {
            Wait::ForDisk => self.file.read_at(&mut buffer[from..to], position).map(Some),
            Wait::Never => self.file.read_cached_at(&mut buffer[from..to], position),
        };
        let read = read.map_err(|e| self.segment.read_error(e))?;
        self.filled += read.unwrap_or(0);
        Ok(self.wait == Wait::ForDisk || self.filled >= upto)
    }

    /// Where in the buffer a block begins.
    fn start_of(&self, block: &Block) -> usize {
        (block.place.position - self.position) as usize
    }
}

/// The batches of a block, and what is wrong with the one that follows the last of them.
type Checked = (Vec<(Range<usize>, BatchHeader)>, Option<Error>);

/// The batches of a block, as ranges of `bytes`, which begin where it does; and what is wrong with the one that follows
/// the last of them.
pub(super) fn check_block(segment: &Segment, block: &Block, bytes: &[u8]) -> Checked {
    let len = (block.end_position - block.place.position) as usize;
    let mut batches = Vec::new();
    let damaged = |at: usize, offset, why| {
        let position = block.place.position + at as u64;
        Some(segment.corrupt(Place { offset, position }, why))
    };
    let Some(bytes) = bytes.get(..len) else {
        let why = format!("the file ends {} bytes into a block of {len}", bytes.len());
        return (batches, damaged(0, block.place.offset, why));
    };
    let (mut at, mut heads, mut next) = (0, 0, block.place.offset);
    let wrong = loop {
        if at == len {
            let is_right = heads == block.headers_crc || mutants::active(Mutant::SkipBlockChecksum);
            break (!is_right)
                .then(|| format!("the heads of its batches have checksum {heads:08x}, not {:08x}", block.headers_crc));
        }
        let header = match BatchHeader::parse(&bytes[at..]) {
            Ok(Some(header)) if header.total_bytes() <= len - at => header,
            Ok(_) => break Some("its batches do not end where it does".into()),
            Err(error) => break Some(error.to_string()),
        };
        heads = crc32c_append(heads, &bytes[at..at + BATCH_HEAD_BYTES]);
        let range = at..at + header.total_bytes();
        at = range.end;
        batches.push((range, header));
    };
    if let Some(why) = wrong {
        let may_have_gaps = segment.generation > 0;
        let front = segment.with_footer_cached(|footer| heads::proven_front(footer, block, bytes));
        let front = front.filter(|_| !may_have_gaps).unwrap_or(0);
        batches.retain(|(range, _)| range.end <= front);
        let offset = batches.last().map_or(block.place.offset, |(_, header)| header.next_offset());
        return (batches, damaged(front, offset, why));
    }
    // The heads are right, and with them the checksum that each batch must have.
    for (number, (range, header)) in batches.iter().enumerate() {
        if let Err(error) = verify_crc(&bytes[range.clone()])
            && !mutants::active(Mutant::SkipBatchChecksum)
        {
            let damage = damaged(range.start, next, error.to_string());
            batches.truncate(number);
            return (batches, damage);
        }
        next = header.next_offset();
    }
    (batches, None)
}
