//! Records and the batches that hold them: Kafka's record batch format v2, byte for byte.
//!
//! A batch is the unit that is checksummed, compressed, written, replicated and fetched. The log keeps it verbatim:
//! [`BatchBuilder`] makes one at the producer, the broker checks its header ([`validate`]) and stamps its place
//! ([`stamp_offset`]), and [`records_at`] takes it apart at the consumer. Between the two ends nobody decodes a record.
//!
//! Invariants:
//! - Pure bytes in, pure bytes out: no clock, no I/O, nothing async.
//! - No input panics, and none makes a reader allocate for bytes that are not there: lengths and counts are checked
//!   against what remains, and decompression stops at
//!   [`limits::DECOMPRESSED_BATCH_BYTES_MAX`](crate::types::limits::DECOMPRESSED_BATCH_BYTES_MAX).
//! - What was changed after the producer computed the CRC is noticed, except in the fields outside of it (`batch`).
//!
//! Left out: the older formats (magic 0 and 1), which Kafka 4 does not write either.

mod batch;
mod builder;
mod committed;
mod compression;
mod control;
mod crc;
mod iter;
mod lz4;
mod murmur2;
mod rebuild;
mod varint;

#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;

pub(crate) use batch::{
    BATCH_HEAD_BYTES, batch_bytes, empty_batch, end_by_checksum, restamp, restore_head, set_batch_bytes,
};
pub use batch::{
    BATCH_HEADER_BYTES, Batch, BatchHeader, Batches, batches, stamp_append_time, stamp_offset, validate, verify_crc,
};
pub use builder::BatchBuilder;
pub use committed::{AbortedTransaction, committed};
#[cfg(feature = "fuzzing")]
pub(crate) use compression::{compress, decompress};
pub use control::{ControlKind, ControlRecord};
pub use crc::{crc32c, crc32c_append};
pub(crate) use iter::records_within;
pub use iter::{BatchRecords, Records, RecordsAt, records, records_at, records_from};
pub use murmur2::{murmur2, partition_for_key};
pub use rebuild::{rebuild, recompress};

pub use crate::types::{Compression, TimestampType};
use crate::types::{Error, Offset, Result, Timestamp};
use bytes::Bytes;
use std::fmt;
use std::str::FromStr;

/// A header: a name and an optional value, kept in order, names may repeat (KIP-82).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub key: String,
    /// The value; null and empty differ.
    pub value: Option<Bytes>,
}

/// A record on its way into a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Chooses the partition, and is the identity in tables and compacted topics.
    pub key: Option<Bytes>,
    /// `None` is a tombstone: the key is deleted.
    pub value: Option<Bytes>,
    /// When the event happened, by the producer's clock.
    pub timestamp: Timestamp,
    /// In the order given.
    pub headers: Vec<Header>,
}

/// A record read from a log. Key, value and headers share the fetched bytes; cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its position in the partition.
    pub offset: Offset,
    /// The producer's time, or the broker's if the batch says LogAppendTime.
    pub timestamp: Timestamp,
    /// As it was sent.
    pub key: Option<Bytes>,
    /// As it was sent; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// As they were sent, in order.
    pub headers: Vec<Header>,
}

/// Who wrote a batch, so that a repeated one is recognised: producer id, epoch and the first record's sequence
/// (KIP-98). The sequence counts per partition, from 0, and wraps after `i32::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerStamp {
    /// Given out by the broker; never negative.
    pub producer_id: i64,
    /// Grows when the same producer comes back, and fences the one before.
    pub producer_epoch: i16,
    /// The sequence of the batch's first record.
    pub base_sequence: i32,
}

impl Compression {
    /// Every codec, in the order of Kafka's numbers.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of Kafka's number for it.
    const fn from_id(id: u8) -> Option<Self> {
        if (id as usize) < Self::ALL.len() { Some(Self::ALL[id as usize]) } else { None }
    }

    /// Kafka's name for it (`compression.type`).
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = Error;

    /// Reads what [`Compression::name`] gives.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name).ok_or_else(|| Error::InvalidRequest {
            why: format!("`{name}` is not a codec; use none, gzip, snappy, lz4 or zstd"),
        })
    }
}

fn malformed(why: impl Into<String>) -> Error {
    Error::Malformed { why: why.into() }
}
