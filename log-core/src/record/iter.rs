//! Reading the records of batches without copying them.
//!
//! Behind a batch's header come its records; every length and count is a varint of `varint`:
//!
//! ```text
//!  length            varint    bytes of the record after this
//!  attributes        i8        none defined
//!  timestamp_delta   varlong   from the batch's base timestamp
//!  offset_delta      varint    from the batch's base offset
//!  key_length        varint    -1 for null;   then the key
//!  value_length      varint    -1 for null;   then the value
//!  headers_count     varint
//!  each header:      key_length varint, key (UTF-8); value_length varint (-1 for null), value
//! ```
//!
//! Keys, values and header values are slices of the fetched bytes (or of the decompressed block), so a record that
//! is kept keeps its whole batch in memory.
//!
//! Invariants: nothing is allocated for a length or a count before the bytes that it speaks of are known to be there;
//! a batch yields exactly the records that its header counts, with growing offsets inside its range, or an error.
//!
//! Offsets may have gaps: compaction takes records out of batches, and markers of transactions have offsets but are no
//! records. So whoever reads on moves by [`records_at`], whose position follows the batches' headers and not the last
//! record's offset plus one; a batch without records moves it as well.

use super::TimestampType;
use super::batch::{BATCH_HEADER_BYTES, Batch, BatchHeader, Batches, batches, verify_crc};
use super::compression::decompress;
use super::varint::{varint, varlong};
use super::{Compression, Header, StoredRecord, malformed};
use crate::types::{Error, Offset, Result, Timestamp, limits};
use bytes::Bytes;

/// The smallest record: one byte for each of its seven fields.
const RECORD_BYTES_MIN: usize = 7;
/// The smallest header: two empty strings.
const RECORD_HEADER_BYTES_MIN: usize = 2;

/// Every record of the whole batches in `bytes`, in order, sharing them (decompressing where needed). Control batches
/// are skipped. Checks lengths and checksums; ends after the first error, [`Error::Malformed`].
pub fn records(bytes: Bytes) -> Records {
    Records { batches: batches(bytes), current: None }
}

/// The iterator that [`records`] returns.
#[derive(Clone, Debug)]
pub struct Records {
    batches: Batches,
    current: Option<BatchRecords>,
}

impl Iterator for Records {
    type Item = Result<StoredRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(record) = self.current.as_mut().and_then(Iterator::next) {
                return Some(self.end_if_err(record));
            }
            match self.batches.next()?.and_then(|batch| records_from(&batch)) {
                Ok(records) => self.current = Some(records),
                Err(error) => return Some(self.end_if_err(Err(error))),
            }
        }
    }
}

impl Records {
    fn end_if_err(&mut self, item: Result<StoredRecord>) -> Result<StoredRecord> {
        if item.is_err() {
            *self = records(Bytes::new());
        }
        item
    }
}

/// The records in `bytes` at or behind `position`, like [`records`]. The position moves as they are taken: behind each
/// record, and behind each batch when its last record was taken or it has none. It never goes back.
///
/// So a reader that has taken everything stands where the next fetch reads, whatever gaps the offsets have; and one
/// that stops half-way, or at an error, stands behind the last record it took.
pub fn records_at(bytes: Bytes, position: &mut Offset) -> RecordsAt<'_> {
    RecordsAt { batches: batches(bytes), current: None, position }
}

/// The iterator that [`records_at`] returns.
#[derive(Debug)]
pub struct RecordsAt<'a> {
    batches: Batches,
    current: Option<BatchRecords>,
    pub(super) position: &'a mut Offset,
}

impl Iterator for RecordsAt<'_> {
    type Item = Result<StoredRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(current) = &mut self.current else {
                match self.batches.next()?.and_then(|batch| records_from(&batch)) {
                    Ok(records) => self.current = Some(records),
                    Err(error) => return Some(Err(self.end(error))),
                }
                continue;
            };
            match current.next() {
                Some(Ok(record)) => {
                    let is_wanted = record.offset >= *self.position;
                    *self.position = current.next_offset().max(*self.position);
                    if is_wanted {
                        return Some(Ok(record));
                    }
                }
                Some(Err(error)) => return Some(Err(self.end(error))),
                None => {
                    *self.position = current.next_offset().max(*self.position);
                    self.current = None;
                }
            }
        }
    }
}

impl RecordsAt<'_> {
    fn end(&mut self, error: Error) -> Error {
        (self.batches, self.current) = (batches(Bytes::new()), None);
        error
    }
}

/// The records of one batch, whose checksum is verified first; none if it is a control batch.
///
/// [`Error::Malformed`] here if the checksum or the compressed block is wrong, and from the iterator,
/// which then ends, if a record is.
pub fn records_from(batch: &Batch) -> Result<BatchRecords> {
    if batch.header.is_control {
        verify_crc(&batch.bytes)?;
        return Ok(BatchRecords { header: batch.header, left: 0, next_offset: 0, block: Bytes::new(), at: 0 });
    }
    all_records_from(batch)
}

/// The same, but a control batch is read too.
pub(super) fn all_records_from(batch: &Batch) -> Result<BatchRecords> {
    records_within(batch, limits::DECOMPRESSED_BATCH_BYTES_MAX)
}

/// The same, if the records have at most `max` bytes when they are decompressed.
pub(crate) fn records_within(batch: &Batch, max: usize) -> Result<BatchRecords> {
    let Batch { header, ref bytes } = *batch;
    verify_crc(bytes)?;
    let block = bytes.slice(BATCH_HEADER_BYTES..);
    let mut records =
        BatchRecords { header, left: header.records_count, next_offset: header.base_offset, block, at: 0 };
    if header.compression != Compression::None {
        records.block = decompress(header.compression, &records.block, max)?.into();
    }
    if header.records_count as usize > records.block.len() / RECORD_BYTES_MIN {
        return Err(records.error("it has fewer bytes than records"));
    }
    Ok(records)
}

/// The iterator that [`records_from`] returns.
#[derive(Clone, Debug)]
pub struct BatchRecords {
    header: BatchHeader,
    /// Records that are still to come.
    left: u32,
    /// No record may have an offset below this.
    next_offset: Offset,
    /// The records, uncompressed.
    block: Bytes,
    /// Where the next one begins.
    at: usize,
}

impl Iterator for BatchRecords {
    type Item = Result<StoredRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = if self.left > 0 {
            self.record()
        } else if self.at < self.block.len() {
            Err(self.error("bytes follow its last record"))
        } else {
            return None;
        };
        match &record {
            Ok(record) => {
                self.left -= 1;
                self.next_offset = record.offset + 1;
            }
            Err(_) => {
                self.left = 0;
                self.at = self.block.len();
            }
        }
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // One more for an error about trailing bytes.
        (0, Some(self.left as usize + 1))
    }
}

impl BatchRecords {
    /// Where to read on: behind the record that was taken last, and behind the batch once there is none left.
    fn next_offset(&self) -> Offset {
        if self.left == 0 { self.header.next_offset() } else { self.next_offset }
    }

    /// The next record, and its bytes as they lie in the block.
    pub(super) fn next_with_bytes(&mut self) -> Option<Result<(StoredRecord, Bytes)>> {
        let start = self.at;
        let record = self.next()?;
        Some(record.map(|record| (record, self.block.slice(start..self.at))))
    }

    fn error(&self, why: &str) -> Error {
        malformed(format!("the batch at offset {}: {why}", self.header.base_offset))
    }

    fn record(&mut self) -> Result<StoredRecord> {
        let mut batch = Cursor { block: &self.block, at: self.at, end: self.block.len() };
        let length = batch.length()?.ok_or_else(|| self.error("a record has length -1"))?;
        let end = batch.at + length;
        let mut record = Cursor { end, ..batch };
        record.skip_byte()?;
        let timestamp_delta = record.varlong()?;
        let offset_delta = record.varint()?;
        // The delta of a record may lead beyond the last offset there is.
        let offset = self.header.base_offset.checked_add(offset_delta.into());
        let is_possible = |offset: &Offset| (self.next_offset..=self.header.last_offset()).contains(offset);
        let Some(offset) = offset.filter(is_possible) else {
            return Err(self.error("a record's offset is out of order or out of its range"));
        };
        let key = record.bytes()?;
        let value = record.bytes()?;
        let headers = record.headers()?;
        if record.at != end {
            return Err(self.error("bytes follow a record's headers"));
        }
        self.at = end;
        let timestamp = match self.header.timestamp_type {
            TimestampType::CreateTime => Timestamp(self.header.base_timestamp.0.wrapping_add(timestamp_delta)),
            TimestampType::LogAppendTime => self.header.max_timestamp,
        };
        Ok(StoredRecord { offset, timestamp, key, value, headers })
    }
}

/// A place in the block, never past `end`.
struct Cursor<'a> {
    block: &'a Bytes,
    at: usize,
    end: usize,
}

impl Cursor<'_> {
    fn rest(&self) -> &[u8] {
        &self.block[self.at..self.end]
    }

    fn skip_byte(&mut self) -> Result<()> {
        if self.at == self.end {
            return Err(malformed("the bytes end in a record"));
        }
        self.at += 1;
        Ok(())
    }

    fn varint(&mut self) -> Result<i32> {
        let (n, taken) = varint(self.rest())?;
        self.at += taken;
        Ok(n)
    }

    fn varlong(&mut self) -> Result<i64> {
        let (n, taken) = varlong(self.rest())?;
        self.at += taken;
        Ok(n)
    }

    /// A length of bytes that are there, or `None` for null.
    fn length(&mut self) -> Result<Option<usize>> {
        match self.varint()? {
            -1 => Ok(None),
            n => match usize::try_from(n) {
                Ok(n) if n <= self.end - self.at => Ok(Some(n)),
                _ => Err(malformed(format!("a length is {n} where {} bytes are left", self.end - self.at))),
            },
        }
    }

    fn bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(self.length()?.map(|length| {
            self.at += length;
            self.block.slice(self.at - length..self.at)
        }))
    }

    fn headers(&mut self) -> Result<Vec<Header>> {
        let count = self.varint()?;
        let room = (self.end - self.at) / RECORD_HEADER_BYTES_MIN;
        let count = usize::try_from(count)
            .ok()
            .filter(|&count| count <= room)
            .ok_or_else(|| malformed(format!("a record claims {count} headers in {} bytes", self.end - self.at)))?;
        // An empty Vec allocates nothing, and most records have no headers.
        let mut headers = Vec::with_capacity(count);
        for _ in 0..count {
            let length = self.length()?.ok_or_else(|| malformed("a header's key is null"))?;
            // As Kafka's Java client does, a key that is not UTF-8 is read with replacement characters:
            // it must not make the records of everyone else unreadable.
            let key = String::from_utf8_lossy(&self.rest()[..length]).into_owned();
            self.at += length;
            headers.push(Header { key, value: self.bytes()? });
        }
        Ok(headers)
    }
}
