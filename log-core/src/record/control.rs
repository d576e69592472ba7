//! Control batches: what transactions write into a partition besides records (KIP-98).
//!
//! A control batch has the attributes control and transactional, one record, no sequence (-1), and is never
//! compressed. Its one record is big-endian:
//!
//! ```text
//!   key    0  version  i16   0                  value   0  version            i16   0
//!          2  type     i16   0 abort                    2  coordinator_epoch  i32   of the transaction coordinator
//!                            1 commit
//!                            others are Kafka's, of its metadata log (2 leader change, 3 snapshot header, …)
//! ```
//! A later version may add fields behind these, so bytes that follow are not looked at. The producer id and epoch of
//! the transaction are those of the batch header.
//!
//! Left out: what other types than the two markers hold.

use super::batch::{Batch, BatchHeader};
use super::iter::all_records_from;
use super::{BatchBuilder, Compression, ProducerStamp, Record, malformed};
use crate::types::{Result, Timestamp};
use bytes::Bytes;

const ABORT: i16 = 0;
const COMMIT: i16 = 1;
/// The version of keys and of values that is written.
const VERSION: i16 = 0;
/// The sequence of a batch that takes no part in its producer's sequences.
const NO_SEQUENCE: i32 = -1;

/// What a control record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// The transaction's records up to here are not to be read.
    Abort,
    /// The transaction's records up to here are to be read.
    Commit,
    /// Kafka's number of a type that says nothing about transactions.
    Other(i16),
}

/// The one record of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlRecord {
    /// What it says.
    pub kind: ControlKind,
    /// The epoch of the transaction coordinator that wrote it; -1 for [`ControlKind::Other`].
    pub coordinator_epoch: i32,
}

impl ControlRecord {
    /// The batch (base offset 0, no leader epoch) with which a coordinator ends the transaction of a producer.
    pub fn to_batch(&self, producer_id: i64, producer_epoch: i16, timestamp: Timestamp) -> Bytes {
        let kind = match self.kind {
            ControlKind::Abort => ABORT,
            ControlKind::Commit => COMMIT,
            ControlKind::Other(kind) => kind,
        };
        let key = [VERSION.to_be_bytes(), kind.to_be_bytes()].concat();
        let value = [&VERSION.to_be_bytes()[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let stamp = ProducerStamp { producer_id, producer_epoch, base_sequence: NO_SEQUENCE };
        let mut builder = BatchBuilder::new(Compression::None).stamp(stamp).transactional().control();
        builder.push(&Record { key: Some(key.into()), value: Some(value.into()), timestamp, headers: Vec::new() });
        builder.finish()
    }

    /// Reads it from `batch`, which must be exactly one whole batch. `None` if that is a batch of records, or a
    /// control batch that compaction has emptied.
    ///
    /// [`Error::Malformed`](crate::types::Error::Malformed) if the checksum is wrong or the record cannot be read.
    pub fn parse(batch: &[u8]) -> Result<Option<Self>> {
        match BatchHeader::parse(batch)? {
            Some(header) if !header.is_control => Ok(None),
            Some(header) if header.compression != Compression::None => Err(malformed("a control batch is compressed")),
            Some(header) => {
                let batch = Batch { header, bytes: Bytes::copy_from_slice(batch) };
                let Some(record) = all_records_from(&batch)?.next().transpose()? else { return Ok(None) };
                read(record.key.as_deref().unwrap_or_default(), record.value.as_deref().unwrap_or_default()).map(Some)
            }
            None => Err(malformed(format!("{} bytes are not a whole batch", batch.len()))),
        }
    }
}

fn read(key: &[u8], value: &[u8]) -> Result<ControlRecord> {
    let (Some(version), Some(kind)) = (i16_at(key, 0), i16_at(key, 2)) else {
        return Err(malformed(format!("the key of a control record has {} bytes", key.len())));
    };
    let kind = match kind {
        ABORT => ControlKind::Abort,
        COMMIT => ControlKind::Commit,
        other => return Ok(ControlRecord { kind: ControlKind::Other(other), coordinator_epoch: -1 }),
    };
    let epoch = value.get(2..).and_then(|rest| rest.first_chunk());
    match (i16_at(value, 0), epoch) {
        (Some(value_version), Some(epoch)) if version >= 0 && value_version >= 0 => {
            Ok(ControlRecord { kind, coordinator_epoch: i32::from_be_bytes(*epoch) })
        }
        _ => Err(malformed(format!("a transaction marker has version {version} and {} bytes", value.len()))),
    }
}

fn i16_at(bytes: &[u8], at: usize) -> Option<i16> {
    bytes.get(at..)?.first_chunk().copied().map(i16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::{BATCH_HEADER_BYTES, records, stamp_offset, validate};
    use super::*;
    use proptest::prelude::*;

    fn marker(kind: ControlKind, coordinator_epoch: i32) -> ControlRecord {
        ControlRecord { kind, coordinator_epoch }
    }

    /// The bytes of `MemoryRecords.withEndTransactionMarker` in Apache Kafka.
    #[test]
    fn a_marker_has_kafkas_bytes() {
        let mut batch = marker(ControlKind::Commit, 7).to_batch(9, 3, Timestamp(5)).to_vec();
        assert_eq!(batch[BATCH_HEADER_BYTES..], [32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 7, 0]);
        let header = BatchHeader::parse(&batch).unwrap().unwrap();
        assert!(header.is_control && header.is_transactional);
        assert_eq!(header.stamp(), Some(ProducerStamp { producer_id: 9, producer_epoch: 3, base_sequence: -1 }));
        assert_eq!((header.max_timestamp, header.records_count), (Timestamp(5), 1));
        stamp_offset(&mut batch, 40, 2);
        assert_eq!(ControlRecord::parse(&batch).unwrap(), Some(marker(ControlKind::Commit, 7)));
        assert!(validate(&batch, u32::MAX).is_err(), "only the broker writes one");
        assert_eq!(records(batch.into()).count(), 0, "readers do not see it");
    }

    #[test]
    fn other_control_records_are_told_apart_and_no_marker_is_made_up() {
        let leader_change = marker(ControlKind::Other(2), -1);
        assert_eq!(ControlRecord::parse(&leader_change.to_batch(-1, -1, Timestamp(0))).unwrap(), Some(leader_change));
        let mut builder = BatchBuilder::new(Compression::None).transactional();
        builder.push(&Record { key: Some(vec![0, 0, 0, 1].into()), ..Record::default() });
        assert_eq!(ControlRecord::parse(&builder.clone().finish()).unwrap(), None, "a record that looks like one");
        assert!(ControlRecord::parse(&builder.control().finish()).is_err(), "a marker without a value");
        let mut flipped = marker(ControlKind::Abort, 1).to_batch(1, 0, Timestamp(0)).to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(ControlRecord::parse(&flipped).is_err());
        assert!(ControlRecord::parse(&[0; 10]).is_err());
    }

    proptest! {
        #[test]
        fn any_marker_is_read_back(epoch in any::<i32>(), commits: bool, producer in any::<(i64, i16)>(), at: i64) {
            let sent = marker(if commits { ControlKind::Commit } else { ControlKind::Abort }, epoch);
            let batch = sent.to_batch(producer.0, producer.1, Timestamp(at));
            prop_assert_eq!(ControlRecord::parse(&batch).unwrap(), Some(sent));
        }

        #[test]
        fn any_key_and_value_is_read_or_refused(
            key in prop::option::of(prop::collection::vec(0..3u8, 0..8)),
            value in prop::option::of(prop::collection::vec(any::<u8>(), 0..8)),
        ) {
            let mut builder = BatchBuilder::new(Compression::None).control();
            let (key, value) = (key.map(Bytes::from), value.map(Bytes::from));
            builder.push(&Record { key, value, ..Record::default() });
            let _ = ControlRecord::parse(&builder.finish());
        }
    }
}
