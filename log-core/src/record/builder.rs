//! Making a batch out of records.
//!
//! Records are encoded as they come, behind room for the header, so an uncompressed batch is never copied.
//! [`BatchBuilder::bytes`] is exact before compression and an upper bound after it, because a batch that compression
//! would make larger is stored uncompressed.

use super::batch::{BATCH_HEADER_BYTES, Summary, write_header};
use super::compression::compress;
use super::varint::{put_varint, varint_len};
use super::{Compression, ProducerStamp, Record};
use crate::types::{Timestamp, limits};
use bytes::Bytes;

/// The length that stands for null.
const NULL: i64 = -1;
/// No record attribute is defined.
const RECORD_ATTRIBUTES: u8 = 0;

/// Collects records into one batch (magic 2, base offset 0, no leader epoch).
///
/// ```
/// use tailwater_log::record::{BatchBuilder, Compression, Record, records};
///
/// let mut builder = BatchBuilder::new(Compression::Zstd);
/// builder.push(&Record { value: Some("hello".into()), ..Record::default() });
/// let batch = builder.finish();
/// let read = records(batch).next().unwrap()?;
/// assert_eq!(read.value.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), tailwater_log::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    compression: Compression,
    stamp: Option<ProducerStamp>,
    is_transactional: bool,
    is_control: bool,
    /// Room for the header, then the records.
    batch: Vec<u8>,
    records_count: u32,
    base_timestamp: Timestamp,
    max_timestamp: Timestamp,
}

impl BatchBuilder {
    /// An empty batch, to be compressed so when it is finished.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            stamp: None,
            is_transactional: false,
            is_control: false,
            batch: vec![0; BATCH_HEADER_BYTES],
            records_count: 0,
            base_timestamp: Timestamp::default(),
            max_timestamp: Timestamp::MIN,
        }
    }

    /// Stamps the batch for an idempotent producer.
    pub fn stamp(mut self, stamp: ProducerStamp) -> Self {
        self.stamp = Some(stamp);
        self
    }

    /// Makes the batch part of its producer's transaction: it needs a [`stamp`](Self::stamp) too.
    pub fn transactional(mut self) -> Self {
        self.is_transactional = true;
        self
    }

    /// Makes it a control batch: its one record speaks to the log, not to its readers.
    pub(super) fn control(mut self) -> Self {
        self.is_control = true;
        self
    }

    /// How many records were pushed.
    pub fn len(&self) -> usize {
        self.records_count as usize
    }

    /// Whether no record was pushed.
    pub fn is_empty(&self) -> bool {
        self.records_count == 0
    }

    /// Bytes of the finished batch before compression, header included; it will not be larger.
    pub fn bytes(&self) -> usize {
        self.batch.len()
    }

    /// What [`bytes`](Self::bytes) would be with `record` pushed as well.
    pub fn size_with(&self, record: &Record) -> usize {
        let body = self.body_len(record);
        self.batch.len() + varint_len(body as i64) + body
    }

    /// Whether the batch with `record` is at most `max_bytes` and under the hard limit of
    /// [`limits::BATCH_BYTES_HARD_MAX`].
    pub fn fits(&self, record: &Record, max_bytes: usize) -> bool {
        self.size_with(record) <= max_bytes.min(limits::BATCH_BYTES_HARD_MAX as usize)
    }

    /// Adds a record; it gets the next offset.
    ///
    /// # Panics
    /// If the batch grows over [`limits::BATCH_BYTES_HARD_MAX`]; ask [`fits`](Self::fits) first.
    pub fn push(&mut self, record: &Record) {
        let body = self.body_len(record);
        let size = self.batch.len() + varint_len(body as i64) + body;
        assert!(size <= limits::BATCH_BYTES_HARD_MAX as usize, "ask `fits` before pushing a record of {body} bytes");
        if self.is_empty() {
            self.base_timestamp = record.timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        let delta = self.timestamp_delta(record);
        let out = &mut self.batch;
        put_varint(out, body as i64);
        out.push(RECORD_ATTRIBUTES);
        put_varint(out, delta);
        put_varint(out, i64::from(self.records_count));
        put_bytes(out, record.key.as_deref());
        put_bytes(out, record.value.as_deref());
        put_varint(out, record.headers.len() as i64);
        for header in &record.headers {
            put_bytes(out, Some(header.key.as_bytes()));
            put_bytes(out, header.value.as_deref());
        }
        self.records_count += 1;
        debug_assert_eq!(self.batch.len(), size, "size_with is exact");
    }

    /// The batch's bytes.
    ///
    /// # Panics
    /// If no record was pushed: Kafka's format has no such batch.
    pub fn finish(self) -> Bytes {
        assert!(!self.is_empty(), "a batch has at least one record");
        let mut summary = Summary {
            compression: Compression::None,
            records_count: self.records_count,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            stamp: self.stamp,
            is_transactional: self.is_transactional,
            is_control: self.is_control,
        };
        let mut batch = self.batch;
        if let Some(smaller) = compress(self.compression, &batch, BATCH_HEADER_BYTES) {
            batch = smaller;
            summary.compression = self.compression;
        }
        write_header(&mut batch, &summary);
        batch.into()
    }

    /// Wraps at the ends of time as reading does, so that any two timestamps can share a batch.
    fn timestamp_delta(&self, record: &Record) -> i64 {
        if self.is_empty() { 0 } else { record.timestamp.0.wrapping_sub(self.base_timestamp.0) }
    }

    /// Bytes of the record after its length.
    fn body_len(&self, record: &Record) -> usize {
        let headers: usize = (record.headers.iter())
            .map(|header| bytes_len(Some(header.key.as_bytes())) + bytes_len(header.value.as_deref()))
            .sum();
        size_of_val(&RECORD_ATTRIBUTES)
            + varint_len(self.timestamp_delta(record))
            + varint_len(i64::from(self.records_count))
            + bytes_len(record.key.as_deref())
            + bytes_len(record.value.as_deref())
            + varint_len(record.headers.len() as i64)
            + headers
    }
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(varint_len(NULL), |bytes| varint_len(bytes.len() as i64) + bytes.len())
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, NULL),
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
