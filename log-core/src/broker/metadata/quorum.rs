//! The log of metadata records, behind the seam where a cluster's quorum will go.

use super::image::MetadataImage;
use super::records::MetadataRecord;
use crate::codec::{from_bincode, to_bincode};
use crate::config::BrokerSettings;
use crate::record::{BatchBuilder, Compression, Record, StoredRecord, records_at};
use crate::storage::{Change, Deletion, LogReader, PartitionLog};
use crate::types::{Error, Offset, PartitionIndex, Result, Timestamp, TopicConfig, TopicId, TopicName, limits};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Bytes that one read of the replay takes.
const REPLAY_BYTES: u32 = 1024 * 1024;

/// Agrees on the order of metadata records. One node agrees with itself; a cluster will do it by Raft.
pub(in crate::broker) trait MetadataQuorum: Send + Sync + fmt::Debug {
    /// Makes the records part of the metadata log, all or none of them. Decided and durable when it returns, with how far
    /// the log is durable now; undecided on an error.
    fn propose(&self, records: &[MetadataRecord], now: Timestamp) -> Result<Vec<Change>>;
    /// Every decided record in order.
    fn replay(&self, apply: &mut dyn FnMut(MetadataRecord)) -> Result<()>;
    /// The offset behind the last decided record.
    fn end(&self) -> Offset;
    /// Begins the log anew with `records`, which are all there is to know. Durable when it returns, with how far the log
    /// is durable now, and with what can be removed once that is recorded. `None` if they are too many for one batch.
    fn begin_anew(&self, records: Vec<MetadataRecord>, now: Timestamp) -> Result<Option<BegunAnew>>;
    /// Refuses what comes after, and returns how far the log is durable.
    fn close(&self) -> Result<Vec<Change>>;
}

/// What [`MetadataQuorum::begin_anew`] leaves to be done, in this order: record the changes, then run the deletion.
#[derive(Debug)]
pub(in crate::broker) struct BegunAnew {
    pub(in crate::broker) changes: Vec<Change>,
    pub(in crate::broker) deletion: Option<Deletion>,
}

/// The metadata log of a single node: a partition log like any other.
#[derive(Debug)]
pub(in crate::broker) struct LocalQuorum {
    log: Mutex<Option<PartitionLog>>,
    reader: LogReader,
}

impl LocalQuorum {
    pub(in crate::broker) fn new(log: PartitionLog) -> Self {
        Self { reader: log.reader(), log: Mutex::new(Some(log)) }
    }
}

impl MetadataQuorum for LocalQuorum {
    fn propose(&self, records: &[MetadataRecord], now: Timestamp) -> Result<Vec<Change>> {
        let mut log = self.log.lock();
        let log = log.as_mut().ok_or(Error::Closed)?;
        let batch = batch_of(records, now);
        if batch.len() > limits::BATCH_BYTES_HARD_MAX as usize {
            return Err(Error::InvalidRequest { why: "the change is too large; make it in parts".into() });
        }
        log.append(&batch, now)?;
        log.sync()
    }

    fn replay(&self, apply: &mut dyn FnMut(MetadataRecord)) -> Result<()> {
        replay(&self.reader, |_, value| {
            apply(decode(value)?);
            Ok(())
        })
    }

    fn end(&self) -> Offset {
        self.reader.offsets().high_watermark
    }

    fn begin_anew(&self, mut records: Vec<MetadataRecord>, now: Timestamp) -> Result<Option<BegunAnew>> {
        let mut log = self.log.lock();
        let log = log.as_mut().ok_or(Error::Closed)?;
        records.insert(0, MetadataRecord::Cleared);
        let batch = batch_of(&records, now);
        if batch.len() > limits::BATCH_BYTES_HARD_MAX as usize {
            return Ok(None);
        }
        // Only whole segments can go.
        log.roll_if_older(Duration::ZERO, now)?;
        let begin = log.append(&batch, now)?.base_offset;
        let changes = log.sync()?;
        Ok(Some(BegunAnew { changes, deletion: log.delete_below(begin)? }))
    }

    fn close(&self) -> Result<Vec<Change>> {
        self.log.lock().take().map_or_else(|| Ok(Vec::new()), PartitionLog::close)
    }
}

/// The topics that batches of a metadata log speak of, as far as they are whole.
pub(crate) fn topics_in(batches: Vec<Bytes>) -> Result<BTreeMap<TopicId, (TopicName, PartitionIndex, TopicConfig)>> {
    let mut image = MetadataImage::default();
    for record in batches.into_iter().flat_map(crate::record::records) {
        image.apply(decode(&record?.value.unwrap_or_default())?);
    }
    let brokers: BrokerSettings = image.broker_settings(&Default::default());
    let topics = image.topics().iter();
    Ok(topics.map(|(id, t)| (*id, (t.name.clone(), t.partitions, image.topic_config(&t.name, &brokers)))).collect())
}

fn decode(value: &[u8]) -> Result<MetadataRecord> {
    from_bincode(value).map_err(|e| Error::Malformed { why: format!("metadata: {e}") })
}

fn batch_of(records: &[MetadataRecord], now: Timestamp) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    for record in records {
        let mut value = Vec::new();
        to_bincode(record, &mut value);
        let (key, value) = (Some(Bytes::from(record.key())), Some(Bytes::from(value)));
        batch.push(&Record { key, value, timestamp: now, headers: Vec::new() });
    }
    batch.finish()
}

/// A batch of one record that holds `value` as bincode.
pub(in crate::broker) fn one_record<T: Serialize>(value: &T, now: Timestamp) -> Bytes {
    let mut bytes = Vec::new();
    to_bincode(value, &mut bytes);
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(&Record { key: None, value: Some(Bytes::from(bytes)), timestamp: now, headers: Vec::new() });
    batch.finish()
}

/// A batch of one record under a key, with `value` as bincode; without a value it is a tombstone.
pub(in crate::broker) fn keyed_record<T: Serialize>(key: Bytes, value: Option<&T>, now: Timestamp) -> Bytes {
    let value = value.map(|value| {
        let mut bytes = Vec::new();
        to_bincode(value, &mut bytes);
        Bytes::from(bytes)
    });
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(&Record { key: Some(key), value, timestamp: now, headers: Vec::new() });
    batch.finish()
}

/// Calls `apply` with the offset and value of every record of a log, in order.
pub(in crate::broker) fn replay(reader: &LogReader, mut apply: impl FnMut(i64, &[u8]) -> Result<()>) -> Result<()> {
    replay_records(reader, |record| apply(record.offset, record.value.as_deref().unwrap_or_default()))
}

/// Calls `apply` with every record of a log, in order.
pub(in crate::broker) fn replay_records(
    reader: &LogReader,
    mut apply: impl FnMut(StoredRecord) -> Result<()>,
) -> Result<()> {
    let offsets = reader.offsets();
    let mut position = offsets.log_start_offset;
    while position < offsets.high_watermark {
        let before = position;
        for record in records_at(reader.read(position, REPLAY_BYTES)?, &mut position) {
            apply(record?)?;
        }
        if position == before {
            return Err(Error::Malformed { why: format!("the log has no batch at offset {position}") });
        }
    }
    Ok(())
}
