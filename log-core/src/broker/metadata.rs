//! Which topics there are: a replayed log of typed records, behind the seam where a cluster's quorum will go.

use crate::codec::{from_bincode, to_bincode};
use crate::record::{BatchBuilder, Compression, Record, records_at};
use crate::storage::{Change, LogReader, PartitionLog};
use crate::types::{Error, PartitionIndex, Result, Timestamp, TopicConfig, TopicId, TopicName};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes that one read of the replay takes.
const REPLAY_BYTES: u32 = 1024 * 1024;

/// A change of what exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MetadataRecord {
    /// A topic exists from here on.
    TopicCreated {
        name: TopicName,
        id: TopicId,
        partitions: PartitionIndex,
        config: TopicConfig,
        created_at: Timestamp,
    },
    /// It does not any more; its directory may be removed.
    TopicDeleted { name: TopicName, id: TopicId },
}

impl fmt::Display for MetadataRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TopicCreated { name, id, partitions, .. } => write!(f, "topic {name} {id} created ×{partitions}"),
            Self::TopicDeleted { name, id } => write!(f, "topic {name} {id} deleted"),
        }
    }
}

/// Agrees on the order of metadata records. One node agrees with itself; a cluster will do it by Raft.
pub(super) trait MetadataQuorum: Send + Sync + fmt::Debug {
    /// Makes the record part of the metadata log. Decided and durable when it returns, with how far the log is durable
    /// now; undecided on an error.
    fn propose(&self, record: &MetadataRecord, now: Timestamp) -> Result<Vec<Change>>;
    /// Every decided record in order.
    fn replay(&self) -> Result<Vec<MetadataRecord>>;
    /// Refuses what comes after, and returns how far the log is durable.
    fn close(&self) -> Result<Vec<Change>>;
}

/// The metadata log of a single node: a partition log like any other.
#[derive(Debug)]
pub(super) struct LocalQuorum {
    log: Mutex<Option<PartitionLog>>,
    reader: LogReader,
}

impl LocalQuorum {
    pub(super) fn new(log: PartitionLog) -> Self {
        Self { reader: log.reader(), log: Mutex::new(Some(log)) }
    }
}

impl MetadataQuorum for LocalQuorum {
    fn propose(&self, record: &MetadataRecord, now: Timestamp) -> Result<Vec<Change>> {
        let mut log = self.log.lock();
        let log = log.as_mut().ok_or(Error::Closed)?;
        log.append(&one_record(record, now), now)?;
        log.sync()
    }

    fn replay(&self) -> Result<Vec<MetadataRecord>> {
        let mut replayed = Vec::new();
        replay(&self.reader, |_, value| {
            replayed.push(from_bincode(value).map_err(|e| Error::Malformed { why: format!("metadata: {e}") })?);
            Ok(())
        })?;
        Ok(replayed)
    }

    fn close(&self) -> Result<Vec<Change>> {
        self.log.lock().take().map_or_else(|| Ok(Vec::new()), PartitionLog::close)
    }
}

/// The topics that batches of a metadata log speak of, in any order, as far as they are whole.
pub(crate) fn topics_in(batches: Vec<Bytes>) -> Result<BTreeMap<TopicId, (TopicName, PartitionIndex, TopicConfig)>> {
    let mut present = BTreeMap::new();
    for record in batches.into_iter().flat_map(crate::record::records) {
        let value = record?.value.unwrap_or_default();
        match from_bincode(&value).map_err(|e| Error::Malformed { why: format!("metadata: {e}") })? {
            MetadataRecord::TopicCreated { name, id, partitions, config, .. } => {
                present.insert(id, (name, partitions, config));
            }
            MetadataRecord::TopicDeleted { id, .. } => {
                present.remove(&id);
            }
        }
    }
    Ok(present)
}

/// A batch of one record that holds `value` as bincode.
pub(super) fn one_record<T: Serialize>(value: &T, now: Timestamp) -> Bytes {
    let mut bytes = Vec::new();
    to_bincode(value, &mut bytes);
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(&Record { key: None, value: Some(Bytes::from(bytes)), timestamp: now, headers: Vec::new() });
    batch.finish()
}

/// Calls `apply` with the offset and value of every record of a log, in order.
pub(super) fn replay(reader: &LogReader, mut apply: impl FnMut(i64, &[u8]) -> Result<()>) -> Result<()> {
    let offsets = reader.offsets();
    let mut position = offsets.log_start_offset;
    while position < offsets.high_watermark {
        let before = position;
        for record in records_at(reader.read(position, REPLAY_BYTES)?, &mut position) {
            let record = record?;
            apply(record.offset, record.value.as_deref().unwrap_or_default())?;
        }
        if position == before {
            return Err(Error::Malformed { why: format!("the log has no batch at offset {position}") });
        }
    }
    Ok(())
}
