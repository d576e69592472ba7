//! Taking records out of a batch, for compaction; and keeping it in another codec.
//!
//! Everything that others rely on stays: base and last offset, so that readers pass over the gap; leader epoch and
//! producer fields, so that the producer's state can be read from the log; codec; and each record's bytes, headers that
//! are not UTF-8 included. A batch may end up without any record. Such a batch is still worth its 61 bytes where its
//! offsets or its producer's last sequence would be lost with it.
//!
//! A delete horizon (KIP-534) has no field of its own: it is stored as the base timestamp, with bit 6 of the attributes
//! set, and the records' timestamps then count from it. So setting one changes the timestamp delta of each record, which
//! is the second field:
//!
//! ```text
//!  length varint │ attributes i8 │ timestamp_delta varlong │ offset_delta varint │ …
//!  written anew                    written anew              as it was
//! ```

use super::Compression;
use super::StoredRecord;
use super::TimestampType;
use super::batch::{BATCH_HEADER_BYTES, Batch, Rewritten, rewrite_header};
use super::compression::compress;
use super::iter::{all_records_from, records_within};
use super::varint::{put_varint, varint, varint_len, varlong};
use crate::types::{Result, Timestamp, limits};
use bytes::Bytes;

/// The batch with only those of its records that `keep` wants, perhaps none, and with `delete_horizon` if one is given.
/// `None` if it would be larger than a batch may be, which a horizon can make of one that is nearly so.
///
/// The latest timestamp is that of the records that stay; a batch without records keeps the one it had.
///
/// [`Error::Malformed`](crate::types::Error::Malformed) if the batch is damaged or its records cannot be read.
pub fn rebuild(
    batch: &Batch,
    delete_horizon: Option<Timestamp>,
    mut keep: impl FnMut(&StoredRecord) -> bool,
) -> Result<Option<Bytes>> {
    let header = &batch.header;
    let base_timestamp = delete_horizon.unwrap_or(header.base_timestamp);
    // With LogAppendTime the deltas mean nothing.
    let moves_base = base_timestamp != header.base_timestamp && header.timestamp_type == TimestampType::CreateTime;
    let mut out = Vec::with_capacity(batch.bytes.len());
    out.extend_from_slice(&batch.bytes[..BATCH_HEADER_BYTES]);
    let mut to = Rewritten {
        compression: Compression::None,
        records_count: 0,
        base_timestamp,
        max_timestamp: Timestamp::MIN,
        has_delete_horizon: delete_horizon.is_some() || header.has_delete_horizon,
    };
    let mut records = all_records_from(batch)?;
    while let Some((record, bytes)) = records.next_with_bytes().transpose()? {
        if !keep(&record) {
            continue;
        }
        if moves_base {
            put_with_delta(&mut out, &bytes, record.timestamp.0.wrapping_sub(base_timestamp.0))?;
        } else {
            out.extend_from_slice(&bytes);
        }
        to.records_count += 1;
        to.max_timestamp = to.max_timestamp.max(record.timestamp);
    }
    if to.records_count == 0 || header.timestamp_type == TimestampType::LogAppendTime {
        to.max_timestamp = header.max_timestamp;
    }
    if let Some(smaller) = compress(header.compression, &out, BATCH_HEADER_BYTES) {
        out = smaller;
        to.compression = header.compression;
    }
    if out.len() > limits::BATCH_BYTES_HARD_MAX as usize {
        return Ok(None);
    }
    rewrite_header(&mut out, &to);
    Ok(Some(out.into()))
}

/// The batch with the same records in another codec; in none if it does not make them smaller.
///
/// [`Error::Malformed`](crate::types::Error::Malformed) if the batch is damaged, its records cannot be read, or they have
/// more than `max` bytes when they are decompressed.
pub fn recompress(batch: &Batch, codec: Compression, max: usize) -> Result<Bytes> {
    let header = &batch.header;
    let mut out = Vec::with_capacity(batch.bytes.len());
    out.extend_from_slice(&batch.bytes[..BATCH_HEADER_BYTES]);
    let mut records = records_within(batch, max)?;
    while let Some((_, bytes)) = records.next_with_bytes().transpose()? {
        out.extend_from_slice(&bytes);
    }
    let mut to = Rewritten {
        compression: Compression::None,
        records_count: header.records_count,
        base_timestamp: header.base_timestamp,
        max_timestamp: header.max_timestamp,
        has_delete_horizon: header.has_delete_horizon,
    };
    if let Some(smaller) = compress(codec, &out, BATCH_HEADER_BYTES) {
        out = smaller;
        to.compression = codec;
    }
    if out.len() > limits::BATCH_BYTES_HARD_MAX as usize {
        return Err(super::malformed("the batch would be larger than a batch may be, decompressed"));
    }
    rewrite_header(&mut out, &to);
    Ok(out.into())
}

/// Appends a record with another timestamp delta.
fn put_with_delta(out: &mut Vec<u8>, record: &[u8], delta: i64) -> Result<()> {
    let (_, length_bytes) = varint(record)?;
    let (attributes, rest) = (record[length_bytes], &record[length_bytes + 1..]);
    let (_, delta_bytes) = varlong(rest)?;
    let rest = &rest[delta_bytes..];
    let length = size_of_val(&attributes) + varint_len(delta) + rest.len();
    put_varint(out, length as i64);
    out.push(attributes);
    put_varint(out, delta);
    out.extend_from_slice(rest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{
        BatchBuilder, BatchHeader, ProducerStamp, Record, batches, records, stamp_append_time, stamp_offset,
    };
    use super::*;
    use proptest::prelude::*;

    fn batch_of(codec: Compression, timestamps: &[i64]) -> Batch {
        let stamp = ProducerStamp { producer_id: 7, producer_epoch: 1, base_sequence: 9 };
        let mut builder = BatchBuilder::new(codec).stamp(stamp);
        for (i, at) in timestamps.iter().enumerate() {
            let bytes = |text: &str| Some(Bytes::from(format!("{text}{i}").repeat(i % 5)));
            let record = Record { key: bytes("k"), value: bytes("v"), timestamp: Timestamp(*at), headers: Vec::new() };
            builder.push(&record);
        }
        let mut bytes = builder.finish().to_vec();
        stamp_offset(&mut bytes, 100, 3);
        batches(bytes.into()).next().unwrap().unwrap()
    }

    #[test]
    fn a_batch_in_another_codec_has_the_same_records_and_header() {
        let times: Vec<i64> = (0..200).map(|n| 1_000 + n % 7).collect();
        for from in Compression::ALL {
            let batch = batch_of(from, &times);
            for to in Compression::ALL {
                let bytes = recompress(&batch, to, usize::MAX).unwrap();
                let header = BatchHeader::parse(&bytes).unwrap().unwrap();
                super::super::validate(&bytes, u32::MAX).unwrap();
                assert_eq!(header.compression, to);
                let (crc, batch_length) = (header.crc, header.batch_length);
                let compression = to;
                assert_eq!(header, BatchHeader { crc, batch_length, compression, ..batch.header });
                let read = |bytes: &Bytes| records(bytes.clone()).collect::<Result<Vec<_>>>().unwrap();
                assert_eq!(read(&bytes), read(&batch.bytes));
            }
        }
    }

    #[test]
    fn the_time_of_the_append_is_that_of_every_record() {
        let mut bytes = batch_of(Compression::Lz4, &[5, 7, 6]).bytes.to_vec();
        stamp_append_time(&mut bytes, Timestamp(99));
        super::super::verify_crc(&bytes).unwrap();
        let times = records(bytes.into()).map(|record| record.unwrap().timestamp.0).collect::<Vec<_>>();
        assert_eq!(times, [99, 99, 99]);
    }

    proptest! {
        #[test]
        fn what_stays_is_as_it_was(
            timestamps in prop::collection::vec(prop_oneof![any::<i64>(), 0..100_i64], 1..30),
            wanted in prop::collection::vec(any::<bool>(), 30),
            horizon in prop::option::of(prop_oneof![any::<i64>(), 0..100_i64]),
            codec in prop::sample::select(&Compression::ALL[..]),
        ) {
            let batch = batch_of(codec, &timestamps);
            let wants = |record: &StoredRecord| wanted[(record.offset - 100) as usize];
            let rebuilt = rebuild(&batch, horizon.map(Timestamp), wants).unwrap().unwrap();
            let header = BatchHeader::parse(&rebuilt).unwrap().unwrap();
            let expected: Vec<_> = records(batch.bytes.clone()).map(Result::unwrap).filter(wants).collect();
            let found: Vec<_> = records(rebuilt.clone()).map(Result::unwrap).collect();
            prop_assert_eq!(&found, &expected);
            prop_assert_eq!(header.delete_horizon(), horizon.map(Timestamp));
            let latest = expected.iter().map(|r| r.timestamp).max().unwrap_or(batch.header.max_timestamp);
            let same = BatchHeader {
                batch_length: header.batch_length,
                crc: header.crc,
                compression: header.compression,
                records_count: expected.len() as u32,
                max_timestamp: latest,
                base_timestamp: horizon.map_or(batch.header.base_timestamp, Timestamp),
                has_delete_horizon: horizon.is_some(),
                ..batch.header
            };
            prop_assert_eq!(header, same);
            prop_assert!(header.compression == Compression::None || header.compression == codec);

            // Taking nothing out of the result changes nothing, and the horizon stays.
            let again = batches(rebuilt.clone()).next().unwrap().unwrap();
            prop_assert_eq!(rebuild(&again, None, |_| true).unwrap().unwrap(), rebuilt);
        }
    }

    #[test]
    fn an_emptied_batch_is_a_header() {
        let batch = batch_of(Compression::Zstd, &[5, 6, 7]);
        let rebuilt = rebuild(&batch, None, |_| false).unwrap().unwrap();
        assert_eq!(rebuilt.len(), BATCH_HEADER_BYTES);
        let header = BatchHeader::parse(&rebuilt).unwrap().unwrap();
        assert_eq!((header.records_count, header.next_offset(), header.max_timestamp), (0, 103, Timestamp(7)));
        assert_eq!(header.stamp(), batch.header.stamp());
        assert_eq!(records(rebuilt).count(), 0);
    }

    #[test]
    fn a_damaged_batch_is_refused() {
        let batch = batch_of(Compression::None, &[5, 6]);
        let mut bytes = batch.bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        assert!(rebuild(&Batch { bytes: bytes.into(), ..batch }, None, |_| true).is_err());
    }
}
