//! Reading a partition's log below the high watermark, while it is being written.
//!
//! A reader shares the list of segments and three offsets with the writer. It takes no lock that is held over I/O:
//! bytes below a segment's length never change, and the offsets are published after the bytes.

use super::index::Place;
use super::scan::{Check, Found, misplaced};
use super::segment::Segment;
use crate::record::{BatchHeader, records, verify_crc};
use crate::types::{Error, LogOffsets, Offset, Result, Timestamp, TopicPartition};
use bytes::Bytes;
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What a log's writer and its readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) partition: TopicPartition,
    /// Replaced as a whole when a segment is added.
    pub(super) segments: RwLock<Arc<Vec<Arc<Segment>>>>,
    pub(super) log_start_offset: AtomicI64,
    pub(super) high_watermark: AtomicI64,
    pub(super) log_end_offset: AtomicI64,
}

impl Shared {
    pub(super) fn offsets(&self) -> LogOffsets {
        // In this order each is at most the next, since all of them only grow.
        LogOffsets {
            log_start_offset: self.log_start_offset.load(Ordering::Acquire),
            high_watermark: self.high_watermark.load(Ordering::Acquire),
            log_end_offset: self.log_end_offset.load(Ordering::Acquire),
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

    /// Whole batches from the one that holds `offset` on, at most `max_bytes` of them but at least one, all below the
    /// high watermark and of one segment. Empty at the high watermark. Every checksum was verified.
    ///
    /// [`Error::OffsetOutOfRange`] outside of `[log start, high watermark]`; [`Error::Corrupt`] if the batch that
    /// holds `offset` is damaged or cannot be found for damage before it; [`Error::Io`].
    pub fn read(&self, offset: Offset, max_bytes: u32) -> Result<Bytes> {
        let readable = self.offsets().readable();
        if offset == readable.end {
            return Ok(Bytes::new());
        }
        if !readable.contains(offset) {
            let partition = self.shared.partition.clone();
            return Err(Error::OffsetOutOfRange { partition, offset, start: readable.start, end: readable.end });
        }
        let segments = self.shared.segments();
        let after = segments.partition_point(|segment| segment.base <= offset);
        let segment = &segments[after - 1];
        let (place, first) = find(segment, offset)?;
        read_batches(segment, place, &first, readable.end, max_bytes)
    }

    /// The first offset below the high watermark whose record's timestamp is at or after `at`; `None` if there is no
    /// such record. Records need not be in order of time. Errors as for [`LogReader::read`].
    pub fn offset_for_time(&self, at: Timestamp) -> Result<Option<Offset>> {
        let readable = self.offsets().readable();
        for segment in self.shared.segments().iter().filter(|segment| segment.base < readable.end) {
            let Some(place) = segment.floor_of_time(at) else { continue };
            let mut scanner = segment.scan(place)?;
            loop {
                match scanner.next(Check::Checksum).map_err(|e| segment.read_error(e))? {
                    Found::End { .. } => break,
                    Found::Batch { header, .. } if header.base_offset >= readable.end => return Ok(None),
                    Found::Batch { header, .. } if header.max_timestamp < at => {}
                    Found::Batch { bytes, .. } => {
                        for record in records(Bytes::copy_from_slice(bytes)) {
                            let record = record?;
                            if record.timestamp >= at {
                                return Ok(readable.contains(record.offset).then_some(record.offset));
                            }
                        }
                    }
                    // Behind the readable part of a damaged log.
                    Found::Bad { place, .. } if place.offset >= readable.end => return Ok(None),
                    Found::Bad { place, why } => return Err(segment.corrupt(place, why)),
                }
            }
        }
        Ok(None)
    }
}

/// The batch of `segment` that holds `offset`.
fn find(segment: &Segment, offset: Offset) -> Result<(Place, BatchHeader)> {
    let mut scanner = segment.scan(segment.floor(offset))?;
    loop {
        match scanner.next(Check::Header).map_err(|e| segment.read_error(e))? {
            Found::Batch { place, header, .. } if header.next_offset() > offset => return Ok((place, header)),
            Found::Batch { .. } => {}
            Found::Bad { place, why } => return Err(segment.corrupt(place, why)),
            Found::End { place } => {
                return Err(segment.corrupt(place, format!("the segment ends before offset {offset}")));
            }
        }
    }
}

/// Reads batches from `place` on, of which `first` is known; see [`LogReader::read`].
fn read_batches(segment: &Segment, place: Place, first: &BatchHeader, end: Offset, max_bytes: u32) -> Result<Bytes> {
    let left = segment.len().saturating_sub(place.position);
    let wanted = u64::from(max_bytes).max(first.total_bytes() as u64).min(left);
    let mut bytes = vec![0; usize::try_from(wanted).unwrap_or(usize::MAX)];
    let read = segment.file()?.read_at(&mut bytes, place.position).map_err(|e| segment.read_error(e))?;
    bytes.truncate(read);

    let mut good = 0;
    let mut expected = place.offset;
    while expected < end {
        let why = match BatchHeader::parse(&bytes[good..]) {
            // The rest is a part of a batch, which the next read will have.
            Ok(None) if good > 0 => break,
            Ok(Some(header)) if good > 0 && header.total_bytes() > bytes.len() - good => break,
            Ok(None) => "the file ends within a batch".into(),
            Err(error) => error.to_string(),
            Ok(Some(header)) => match check(&header, expected, &bytes[good..]) {
                Ok(()) => {
                    good += header.total_bytes();
                    expected = header.next_offset();
                    continue;
                }
                Err(why) => why,
            },
        };
        if good > 0 {
            // What is intact is served; the next read begins at the damage and says so.
            break;
        }
        return Err(segment.corrupt(place, why));
    }
    bytes.truncate(good);
    Ok(Bytes::from(bytes))
}

/// Why the first batch in `bytes` may not be served.
fn check(header: &BatchHeader, expected: Offset, bytes: &[u8]) -> Result<(), String> {
    if let Some(why) = misplaced(header, expected) {
        return Err(why);
    }
    let Some(batch) = bytes.get(..header.total_bytes()) else { return Err("the file ends within a batch".into()) };
    verify_crc(batch).map_err(|error| error.to_string())
}
