//! The header of a record batch, and finding batches in a run of bytes.
//!
//! A partition's log is record batches back to back, in Kafka's format v2 (KIP-98), big-endian, the same on disk and
//! in memory:
//!
//! ```text
//!   0  base_offset             i64  ┐
//!   8  batch_length            i32  │ counts the bytes after itself         outside the CRC, so that the log
//!  12  partition_leader_epoch  i32  │                                       stamps a batch in place
//!  16  magic                   i8   │ 2
//!  17  crc                     u32  ┘ CRC-32C of all that follows
//!  21  attributes              i16    bits 0-2 codec · 3 timestamp type · 4 transactional · 5 control · 6 delete horizon
//!  23  last_offset_delta       i32    offset of the last record, minus base_offset
//!  27  base_timestamp          i64    of the first record, milliseconds since 1970; with a delete horizon it is that
//!  35  max_timestamp           i64    of all records; of every record when the type is LogAppendTime
//!  43  producer_id             i64    -1: not idempotent
//!  51  producer_epoch          i16
//!  53  base_sequence           i32    of the first record
//!  57  records_count           i32    less than last_offset_delta + 1 after compaction
//!  61  records                        see `iter`; one compressed block if there is a codec
//! ```
//!
//! Nothing here decodes a record. Base offset, length and leader epoch have no checksum: a reader that cannot trust
//! where a batch begins must check them against what it knows (offsets grow, lengths fit the file).

use super::{Compression, ProducerStamp, TimestampType, crc32c, crc32c_append, malformed};
use crate::types::{Error, Offset, Result, Timestamp, limits};
use bytes::Bytes;

const BASE_OFFSET: usize = 0;
const BATCH_LENGTH: usize = BASE_OFFSET + size_of::<i64>();
const LEADER_EPOCH: usize = BATCH_LENGTH + size_of::<i32>();
const MAGIC: usize = LEADER_EPOCH + size_of::<i32>();
const CRC: usize = MAGIC + size_of::<i8>();
const ATTRIBUTES: usize = CRC + size_of::<u32>();
const LAST_OFFSET_DELTA: usize = ATTRIBUTES + size_of::<i16>();
const BASE_TIMESTAMP: usize = LAST_OFFSET_DELTA + size_of::<i32>();
const MAX_TIMESTAMP: usize = BASE_TIMESTAMP + size_of::<i64>();
const PRODUCER_ID: usize = MAX_TIMESTAMP + size_of::<i64>();
const PRODUCER_EPOCH: usize = PRODUCER_ID + size_of::<i64>();
const BASE_SEQUENCE: usize = PRODUCER_EPOCH + size_of::<i16>();
const RECORDS_COUNT: usize = BASE_SEQUENCE + size_of::<i32>();

/// Bytes of a batch before its records.
pub const BATCH_HEADER_BYTES: usize = RECORDS_COUNT + size_of::<i32>();
/// Bytes of a batch's head: the fields that its own checksum does not cover, and the checksum.
pub(crate) const BATCH_HEAD_BYTES: usize = ATTRIBUTES;
/// Bytes of a batch that its length field does not count: base offset and the length itself.
const LENGTH_PREFIX_BYTES: usize = LEADER_EPOCH;

const _: () = assert!(CRC == 17 && ATTRIBUTES == 21);
const _: () = assert!(BATCH_HEADER_BYTES == 61);
const _: () = assert!(limits::BATCH_BYTES_HARD_MAX <= i32::MAX as u32);

const MAGIC_V2: u8 = 2;
const CODEC_MASK: u16 = 0b111;
const LOG_APPEND_TIME: u16 = 1 << 3;
const TRANSACTIONAL: u16 = 1 << 4;
const CONTROL: u16 = 1 << 5;
const DELETE_HORIZON: u16 = 1 << 6;
/// What the producer fields hold when there is no producer id.
const NO_PRODUCER: ProducerStamp = ProducerStamp { producer_id: -1, producer_epoch: -1, base_sequence: -1 };

/// A parsed batch header; the module draws it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the first record the batch was written with.
    pub base_offset: Offset,
    /// Bytes after the length field, at least 49. See [`BatchHeader::total_bytes`].
    pub batch_length: u32,
    /// The leader's epoch at the append; -1 before.
    pub leader_epoch: i32,
    /// CRC-32C (Castagnoli) of everything from the attributes on.
    pub crc: u32,
    /// How the records are compressed.
    pub compression: Compression,
    /// Whose clock the timestamps are from.
    pub timestamp_type: TimestampType,
    /// Whether the batch is part of a transaction.
    pub is_transactional: bool,
    /// Whether it holds a transaction marker instead of records.
    pub is_control: bool,
    /// Whether compaction has set a [`BatchHeader::delete_horizon`].
    pub has_delete_horizon: bool,
    /// The last offset minus `base_offset`.
    pub last_offset_delta: u32,
    /// What the records' timestamp deltas count from.
    pub base_timestamp: Timestamp,
    /// The largest timestamp in the batch.
    pub max_timestamp: Timestamp,
    /// -1 for none; see [`BatchHeader::stamp`].
    pub producer_id: i64,
    /// -1 for none.
    pub producer_epoch: i16,
    /// -1 for none.
    pub base_sequence: i32,
    /// How many records there are; at most `last_offset_delta + 1`.
    pub records_count: u32,
}

impl BatchHeader {
    /// Parses the header at the start of `bytes`. `None` if there are fewer than [`BATCH_HEADER_BYTES`]; whether
    /// the whole batch is there is for the caller to see from [`BatchHeader::total_bytes`].
    ///
    /// [`Error::Malformed`] if this cannot be a batch: magic, length, counts, offsets or codec are impossible.
    /// The checksum is not looked at; see [`verify_crc`].
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(bytes) = bytes.first_chunk::<BATCH_HEADER_BYTES>() else { return Ok(None) };
        if bytes[MAGIC] != MAGIC_V2 {
            return Err(malformed(format!("the batch has magic {}, and only {MAGIC_V2} is supported", bytes[MAGIC])));
        }
        let attributes = u16::from_be_bytes(field(bytes, ATTRIBUTES));
        let codec = (attributes & CODEC_MASK) as u8;
        let flag = |bit| attributes & bit != 0;
        let header = Self {
            base_offset: i64::from_be_bytes(field(bytes, BASE_OFFSET)),
            batch_length: u32::from_be_bytes(field(bytes, BATCH_LENGTH)),
            leader_epoch: i32::from_be_bytes(field(bytes, LEADER_EPOCH)),
            crc: u32::from_be_bytes(field(bytes, CRC)),
            compression: Compression::from_id(codec)
                .ok_or_else(|| malformed(format!("the batch has unknown codec {codec}")))?,
            timestamp_type: if flag(LOG_APPEND_TIME) {
                TimestampType::LogAppendTime
            } else {
                TimestampType::CreateTime
            },
            is_transactional: flag(TRANSACTIONAL),
            is_control: flag(CONTROL),
            has_delete_horizon: flag(DELETE_HORIZON),
            last_offset_delta: u32::from_be_bytes(field(bytes, LAST_OFFSET_DELTA)),
            base_timestamp: Timestamp(i64::from_be_bytes(field(bytes, BASE_TIMESTAMP))),
            max_timestamp: Timestamp(i64::from_be_bytes(field(bytes, MAX_TIMESTAMP))),
            producer_id: i64::from_be_bytes(field(bytes, PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(field(bytes, PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(field(bytes, BASE_SEQUENCE)),
            records_count: u32::from_be_bytes(field(bytes, RECORDS_COUNT)),
        };
        let total = u64::from(header.batch_length) + LENGTH_PREFIX_BYTES as u64;
        if total < BATCH_HEADER_BYTES as u64 || total > u64::from(limits::BATCH_BYTES_HARD_MAX) {
            return Err(malformed(format!("a batch cannot have {total} bytes")));
        }
        // Read as unsigned, so this also refuses what Kafka would read as a negative number.
        if header.last_offset_delta > i32::MAX as u32 || header.records_count > header.last_offset_delta + 1 {
            return Err(malformed(format!(
                "the batch claims {} records in {} offsets",
                header.records_count,
                u64::from(header.last_offset_delta) + 1
            )));
        }
        let next = header.base_offset.checked_add(i64::from(header.last_offset_delta) + 1);
        if header.base_offset < 0 || next.is_none() {
            return Err(malformed(format!("the batch claims base offset {}", header.base_offset)));
        }
        Ok(Some(header))
    }

    /// Bytes of the whole batch, header included.
    pub const fn total_bytes(&self) -> usize {
        LENGTH_PREFIX_BYTES + self.batch_length as usize
    }

    /// The offset of the last record the batch was written with.
    pub const fn last_offset(&self) -> Offset {
        self.base_offset + self.last_offset_delta as i64
    }

    /// The offset that the next batch begins with.
    pub const fn next_offset(&self) -> Offset {
        self.last_offset() + 1
    }

    /// From when on compaction may take out the batch's tombstones, or all of it if it is a transaction's marker
    /// (KIP-534).
    pub const fn delete_horizon(&self) -> Option<Timestamp> {
        if self.has_delete_horizon { Some(self.base_timestamp) } else { None }
    }

    /// Who wrote it, if the producer is idempotent.
    pub const fn stamp(&self) -> Option<ProducerStamp> {
        if self.producer_id < 0 {
            return None;
        }
        let Self { producer_id, producer_epoch, base_sequence, .. } = *self;
        Some(ProducerStamp { producer_id, producer_epoch, base_sequence })
    }
}

fn field<const N: usize>(bytes: &[u8; BATCH_HEADER_BYTES], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("every field lies inside the header")
}

/// What a builder knows of a batch when its records are complete.
pub(super) struct Summary {
    pub(super) compression: Compression,
    pub(super) records_count: u32,
    pub(super) base_timestamp: Timestamp,
    pub(super) max_timestamp: Timestamp,
    pub(super) stamp: Option<ProducerStamp>,
    pub(super) is_transactional: bool,
    pub(super) is_control: bool,
}

/// Fills in the first [`BATCH_HEADER_BYTES`] of `batch`, whose records are in place: base offset 0, no leader epoch.
pub(super) fn write_header(batch: &mut [u8], summary: &Summary) {
    let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).expect("the builder keeps to the hard limit");
    let count = summary.records_count as i32;
    let stamp = summary.stamp.unwrap_or(NO_PRODUCER);
    let mut attributes = summary.compression as u16;
    if summary.is_transactional {
        attributes |= TRANSACTIONAL;
    }
    if summary.is_control {
        attributes |= CONTROL;
    }
    let mut put = |at: usize, bytes: &[u8]| batch[at..at + bytes.len()].copy_from_slice(bytes);
    put(BASE_OFFSET, &0_i64.to_be_bytes());
    put(BATCH_LENGTH, &length.to_be_bytes());
    put(LEADER_EPOCH, &(-1_i32).to_be_bytes());
    put(MAGIC, &[MAGIC_V2]);
    put(ATTRIBUTES, &attributes.to_be_bytes());
    put(LAST_OFFSET_DELTA, &(count - 1).to_be_bytes());
    put(BASE_TIMESTAMP, &summary.base_timestamp.0.to_be_bytes());
    put(MAX_TIMESTAMP, &summary.max_timestamp.0.to_be_bytes());
    put(PRODUCER_ID, &stamp.producer_id.to_be_bytes());
    put(PRODUCER_EPOCH, &stamp.producer_epoch.to_be_bytes());
    put(BASE_SEQUENCE, &stamp.base_sequence.to_be_bytes());
    put(RECORDS_COUNT, &count.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

/// What changes in the header of a batch when records are taken out of it.
pub(super) struct Rewritten {
    pub(super) compression: Compression,
    pub(super) records_count: u32,
    pub(super) base_timestamp: Timestamp,
    pub(super) max_timestamp: Timestamp,
    pub(super) has_delete_horizon: bool,
}

/// Changes the header that `batch` begins with, and that its other bytes have outgrown; everything else in it stays.
pub(super) fn rewrite_header(batch: &mut [u8], to: &Rewritten) {
    let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).expect("a batch does not grow over the hard limit");
    let before = u16::from_be_bytes([batch[ATTRIBUTES], batch[ATTRIBUTES + 1]]);
    let mut attributes = before & !(CODEC_MASK | DELETE_HORIZON) | to.compression as u16;
    if to.has_delete_horizon {
        attributes |= DELETE_HORIZON;
    }
    let mut put = |at: usize, bytes: &[u8]| batch[at..at + bytes.len()].copy_from_slice(bytes);
    put(BATCH_LENGTH, &length.to_be_bytes());
    put(ATTRIBUTES, &attributes.to_be_bytes());
    put(BASE_TIMESTAMP, &to.base_timestamp.0.to_be_bytes());
    put(MAX_TIMESTAMP, &to.max_timestamp.0.to_be_bytes());
    put(RECORDS_COUNT, &to.records_count.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

/// Gives a batch its place in the log. Both fields lie outside the CRC, so nothing else changes.
///
/// # Panics
/// If `batch` is shorter than a header; pass one that [`validate`] has accepted.
pub fn stamp_offset(batch: &mut [u8], base_offset: Offset, leader_epoch: i32) {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "stamp_offset takes a validated batch");
    batch[BASE_OFFSET..BATCH_LENGTH].copy_from_slice(&base_offset.to_be_bytes());
    batch[LEADER_EPOCH..MAGIC].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// Says that all records of a batch are of the time of their append, `now`: their own times do not count any more. The
/// checksum is computed anew, over all of the batch.
///
/// # Panics
/// If `batch` is shorter than a header; pass one that [`validate`] has accepted.
pub fn stamp_append_time(batch: &mut [u8], now: Timestamp) {
    assert!(batch.len() >= BATCH_HEADER_BYTES, "stamp_append_time takes a validated batch");
    let attributes = u16::from_be_bytes([batch[ATTRIBUTES], batch[ATTRIBUTES + 1]]) | LOG_APPEND_TIME;
    batch[ATTRIBUTES..LAST_OFFSET_DELTA].copy_from_slice(&attributes.to_be_bytes());
    batch[MAX_TIMESTAMP..PRODUCER_ID].copy_from_slice(&now.0.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
}

/// Gives a producer's batch another stamp, and the checksum that goes with it.
///
/// # Panics
/// If `batch` is shorter than a header; the batch builder's never is.
pub(crate) fn restamp(batch: &[u8], stamp: ProducerStamp) -> Bytes {
    let mut batch = batch.to_vec();
    batch[PRODUCER_ID..PRODUCER_EPOCH].copy_from_slice(&stamp.producer_id.to_be_bytes());
    batch[PRODUCER_EPOCH..BASE_SEQUENCE].copy_from_slice(&stamp.producer_epoch.to_be_bytes());
    batch[BASE_SEQUENCE..RECORDS_COUNT].copy_from_slice(&stamp.base_sequence.to_be_bytes());
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

/// The length of the batch at the start of `bytes` as it says itself; `None` if that much is not there.
pub(crate) fn batch_bytes(bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk().map(|header| u32::from_be_bytes(field(header, BATCH_LENGTH)))?;
    let total = LENGTH_PREFIX_BYTES.checked_add(length as usize)?;
    (BATCH_HEADER_BYTES..=bytes.len()).contains(&total).then_some(total)
}

/// Makes the batch at the start of `bytes` say that it has `total` bytes.
pub(crate) fn set_batch_bytes(bytes: &mut [u8], total: usize) {
    let length = u32::try_from(total - LENGTH_PREFIX_BYTES).expect("a batch is shorter than that");
    bytes[BATCH_LENGTH..BATCH_LENGTH + size_of::<u32>()].copy_from_slice(&length.to_be_bytes());
}

/// Where the batch at the start of `bytes` ends as its checksum has it, whatever its length says.
pub(crate) fn end_by_checksum(bytes: &[u8]) -> Option<usize> {
    let expected = u32::from_be_bytes(field(bytes.first_chunk()?, CRC));
    let mut crc = crc32c(&bytes[ATTRIBUTES..BATCH_HEADER_BYTES]);
    let mut end = BATCH_HEADER_BYTES;
    while crc != expected {
        crc = crc32c_append(crc, bytes.get(end..=end)?);
        end += 1;
    }
    Some(end)
}

/// Gives the batch at the start of `bytes` the head that it must have at `base_offset` if the rest of it, and its length,
/// are right. Its length; `None` if that is impossible. Whether the result is the batch that was there, the caller has to
/// find out from elsewhere: its checksum fits now in any case.
pub(crate) fn restore_head(bytes: &mut [u8], base_offset: Offset, leader_epoch: i32) -> Option<usize> {
    let total = batch_bytes(bytes)?;
    let batch = &mut bytes[..total];
    stamp_offset(batch, base_offset, leader_epoch);
    batch[MAGIC] = MAGIC_V2;
    let crc = crc32c(&batch[ATTRIBUTES..]);
    batch[CRC..ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
    Some(batch.len())
}

/// A batch without records that ends at `next_offset`: readers learn from it that nothing lies before.
pub(crate) fn empty_batch(next_offset: Offset, leader_epoch: i32, timestamp: Timestamp) -> Vec<u8> {
    let mut batch = vec![0; BATCH_HEADER_BYTES];
    let summary = Summary {
        compression: Compression::None,
        records_count: 1,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        stamp: None,
        is_transactional: false,
        is_control: false,
    };
    write_header(&mut batch, &summary);
    batch[RECORDS_COUNT..].fill(0);
    restore_head(&mut batch, next_offset - 1, leader_epoch).expect("it is as long as it says");
    batch
}

/// Checks the checksum of `batch`, which must be exactly one whole batch. [`Error::Malformed`] if it does not match.
pub fn verify_crc(batch: &[u8]) -> Result<()> {
    let header = exactly_one(batch)?;
    let found = crc32c(&batch[ATTRIBUTES..]);
    if found != header.crc {
        return Err(malformed(format!(
            "the checksum of the batch at offset {} is {found:08x} and should be {:08x}",
            header.base_offset, header.crc
        )));
    }
    Ok(())
}

/// What a broker checks of a producer's batch, without decoding its records: that `batch` is exactly one batch of at
/// most `max_bytes`, not empty, not a control batch, without a delete horizon, its checksum right, one offset for each record, and a producer
/// stamp that is whole or absent. Decoding may still fail later; the records are the producer's.
///
/// [`Error::InvalidRequest`] if it is too large (check the length first to name the topic in the error),
/// [`Error::Malformed`] otherwise.
pub fn validate(batch: &[u8], max_bytes: u32) -> Result<BatchHeader> {
    if batch.len() as u64 > u64::from(max_bytes) {
        return Err(Error::InvalidRequest {
            why: format!("the batch has {} bytes and the limit is {max_bytes}", batch.len()),
        });
    }
    let header = exactly_one(batch)?;
    verify_crc(batch)?;
    if header.records_count == 0 || header.records_count != header.last_offset_delta + 1 {
        return Err(malformed(format!(
            "a producer's batch has one record for each of its offsets, not {} for {}",
            header.records_count,
            header.last_offset_delta + 1
        )));
    }
    if header.is_control {
        return Err(malformed("a producer may not write a control batch"));
    }
    if header.has_delete_horizon {
        return Err(malformed("a producer's batch has no delete horizon"));
    }
    if header.stamp().is_some_and(|stamp| stamp.producer_epoch < 0 || stamp.base_sequence < 0) {
        return Err(malformed(format!(
            "producer {} gives epoch {} and sequence {}",
            header.producer_id, header.producer_epoch, header.base_sequence
        )));
    }
    Ok(header)
}

fn exactly_one(batch: &[u8]) -> Result<BatchHeader> {
    let cut = || malformed(format!("{} bytes are not a whole batch", batch.len()));
    let header = BatchHeader::parse(batch)?.ok_or_else(cut)?;
    match batch.len().cmp(&header.total_bytes()) {
        std::cmp::Ordering::Less => Err(cut()),
        std::cmp::Ordering::Equal => Ok(header),
        std::cmp::Ordering::Greater => {
            Err(malformed(format!("{} bytes follow the batch", batch.len() - header.total_bytes())))
        }
    }
}

/// One whole batch, its checksum not yet looked at.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The parsed header of `bytes`.
    pub header: BatchHeader,
    /// The batch, header included.
    pub bytes: Bytes,
}

/// The batches in `bytes`, in order, sharing them. Ends after the first error: bytes that cannot be a batch, or that
/// end inside of one ([`Error::Malformed`]). Checksums are not looked at.
pub fn batches(bytes: Bytes) -> Batches {
    Batches { rest: bytes }
}

/// The iterator that [`batches`] returns.
#[derive(Clone, Debug)]
pub struct Batches {
    rest: Bytes,
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let batch = match BatchHeader::parse(&self.rest) {
            Ok(Some(header)) if header.total_bytes() <= self.rest.len() => {
                Ok(Batch { header, bytes: self.rest.split_to(header.total_bytes()) })
            }
            Ok(_) => Err(malformed(format!("the last {} bytes are not a whole batch", self.rest.len()))),
            Err(error) => Err(error),
        };
        if batch.is_err() {
            self.rest = Bytes::new();
        }
        Some(batch)
    }
}
