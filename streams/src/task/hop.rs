//! What travels with a record through a repartition topic, and what a reader remembers of it.
//!
//! Records carry the header `tw`; a writing task says how far its time has come in control records, which have no key
//! and no value but the header `tw.watermark`. All integers are big-endian.
//!
//! ```text
//! tw            time i64 │ stamp i64 │ source u64 │ offset i64 │ sub u32      36 bytes; offset -1: no origin
//! tw.watermark  task u32 │ idle u8 │ watermark i64                            13 bytes
//! ```
//! `time` is the event time. The record's own timestamp is that of its source record in the log, because inputs are
//! merged by log timestamps: a join behind a re-key meets the rows that it would have met before it.
//!
//! **Dropping repeats.** A writer that restarts goes on from its last commit and writes again what came after it. The
//! source record that each was made from, and its number among the records made from it, are the same, so the reader
//! keeps the last pair per source and drops what is not after it. The pair is part of the reader's own commit.
//!
//! This is for stateless writers only. What a stateful operator sends has no origin and is never dropped: a restarted
//! count that works through the same records again, perhaps merged in another order, sends other values than before.
//! To drop them because their position was seen would keep the first run's value, which the restarted state no longer
//! agrees with, and so lose an update. They arrive at least once, the last one right.
//!
//! `source` is a hash of the topic's id and the partition (FNV-1a): it stays the same when a topology is changed, and a
//! topic that is deleted and made again is another source.

use bytes::Bytes;
use std::collections::BTreeMap;
use tailwater_log::{Header, Offset, PartitionIndex, Record, StoredRecord, Timestamp, TopicId};

use crate::data::Origin;

const RECORD: &str = "tw";
const CONTROL: &str = "tw.watermark";

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HopHeader {
    pub(crate) time: Timestamp,
    pub(crate) stamp: Timestamp,
    pub(crate) origin: Origin,
    /// The record's number among those made from the same origin.
    pub(crate) sub: u32,
}

impl HopHeader {
    pub(crate) fn encode(&self) -> Header {
        let mut value = Vec::with_capacity(36);
        value.extend_from_slice(&self.time.0.to_be_bytes());
        value.extend_from_slice(&self.stamp.0.to_be_bytes());
        value.extend_from_slice(&self.origin.source.to_be_bytes());
        value.extend_from_slice(&self.origin.offset.to_be_bytes());
        value.extend_from_slice(&self.sub.to_be_bytes());
        Header { key: RECORD.into(), value: Some(value.into()) }
    }

    fn decode(mut value: &[u8]) -> Option<Self> {
        let header = Self {
            time: Timestamp(i64::from_be_bytes(take(&mut value)?)),
            stamp: Timestamp(i64::from_be_bytes(take(&mut value)?)),
            origin: Origin {
                source: u64::from_be_bytes(take(&mut value)?),
                offset: i64::from_be_bytes(take(&mut value)?),
            },
            sub: u32::from_be_bytes(take(&mut value)?),
        };
        value.is_empty().then_some(header)
    }
}

/// How far a writing task's time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) task: PartitionIndex,
    /// Whether the task has seen all there is; then it holds nobody back.
    pub(crate) idle: bool,
    pub(crate) watermark: Timestamp,
}

impl Announcement {
    /// The control record. Its timestamp is the watermark, so that it takes its place in the merge.
    pub(crate) fn record(&self) -> Record {
        let mut value = Vec::with_capacity(13);
        value.extend_from_slice(&self.task.to_be_bytes());
        value.push(u8::from(self.idle));
        value.extend_from_slice(&self.watermark.0.to_be_bytes());
        let header = Header { key: CONTROL.into(), value: Some(value.into()) };
        // A batch's timestamps are stored as differences, so the ends of time stay out of them.
        Record { key: None, value: None, timestamp: Timestamp(self.watermark.0.max(0)), headers: vec![header] }
    }

    fn decode(mut value: &[u8]) -> Option<Self> {
        let announcement = Self {
            task: u32::from_be_bytes(take(&mut value)?),
            idle: u8::from_be_bytes(take(&mut value)?) == 1,
            watermark: Timestamp(i64::from_be_bytes(take(&mut value)?)),
        };
        value.is_empty().then_some(announcement)
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = bytes.split_first_chunk()?;
    *bytes = tail;
    Some(*head)
}

/// What a record of a repartition topic is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Hop {
    Record(HopHeader),
    Control(Announcement),
    /// Somebody else wrote it.
    Foreign,
}

pub(crate) fn read(record: &StoredRecord) -> Hop {
    for header in &record.headers {
        let value: &[u8] = header.value.as_ref().map_or(&[], Bytes::as_ref);
        match header.key.as_str() {
            RECORD => return HopHeader::decode(value).map_or(Hop::Foreign, Hop::Record),
            CONTROL => return Announcement::decode(value).map_or(Hop::Foreign, Hop::Control),
            _ => {}
        }
    }
    Hop::Foreign
}

/// The last record seen of each source; part of the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeats(BTreeMap<u64, (Offset, u32)>);

impl Repeats {
    pub(crate) fn restore(rows: impl IntoIterator<Item = (u64, Offset, u32)>) -> Self {
        Self(rows.into_iter().map(|(source, offset, sub)| (source, (offset, sub))).collect())
    }

    pub(crate) fn rows(&self) -> Vec<(u64, Offset, u32)> {
        self.0.iter().map(|(source, (offset, sub))| (*source, *offset, *sub)).collect()
    }

    /// Notes the record; whether it is new.
    pub(crate) fn is_new(&mut self, header: &HopHeader) -> bool {
        if header.origin.is_none() {
            return true;
        }
        let at = (header.origin.offset, header.sub);
        let last = self.0.entry(header.origin.source).or_insert((-1, 0));
        let new = at > *last;
        *last = at.max(*last);
        new
    }
}

/// The number that stands for a topic partition in origins.
pub(crate) fn source_hash(topic: TopicId, partition: PartitionIndex) -> u64 {
    hash(topic.0.into_bytes().into_iter().chain(partition.to_be_bytes()))
}

/// FNV-1a, 64 bits.
pub(super) fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stored(record: Record) -> StoredRecord {
        let Record { key, value, timestamp, headers } = record;
        StoredRecord { offset: 0, timestamp, key, value, headers }
    }

    proptest! {
        #[test]
        fn headers_come_back(time: i64, stamp: i64, source: u64, offset: i64, sub: u32, task: u32, idle: bool) {
            let header = HopHeader { time: Timestamp(time), stamp: Timestamp(stamp), origin: Origin { source, offset }, sub };
            let record = Record { headers: vec![header.encode()], ..Record::default() };
            prop_assert_eq!(read(&stored(record)), Hop::Record(header));
            let announcement = Announcement { task, idle, watermark: Timestamp(stamp) };
            prop_assert_eq!(read(&stored(announcement.record())), Hop::Control(announcement));
        }

        #[test]
        fn any_header_is_read_without_panic(value: Vec<u8>, control: bool) {
            let key = if control { CONTROL } else { RECORD };
            let headers = vec![Header { key: key.into(), value: Some(value.into()) }];
            let _ = read(&stored(Record { headers, ..Record::default() }));
        }
    }

    #[test]
    fn repeats_are_known_per_source_and_records_of_state_never_are() {
        let at = |source, offset, sub| HopHeader {
            time: Timestamp(0),
            stamp: Timestamp(0),
            origin: Origin { source, offset },
            sub,
        };
        let mut repeats = Repeats::default();
        assert!(repeats.is_new(&at(1, 0, 0)));
        assert!(repeats.is_new(&at(1, 0, 1)));
        assert!(!repeats.is_new(&at(1, 0, 1)));
        assert!(!repeats.is_new(&at(1, 0, 0)));
        assert!(repeats.is_new(&at(2, 0, 0)), "another source");
        assert!(repeats.is_new(&at(0, -1, 0)) && repeats.is_new(&at(0, -1, 0)));
        let mut restored = Repeats::restore(repeats.rows());
        assert_eq!(restored, repeats);
        assert!(!restored.is_new(&at(1, 0, 1)) && restored.is_new(&at(1, 7, 0)));
    }
}
