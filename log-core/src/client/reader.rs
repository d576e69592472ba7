//! Reading one partition without a group: the reader keeps the position, nothing is committed.

use crate::record::{StoredRecord, records_at};
use crate::service::{Fetch, FetchPartition, Service};
use crate::types::{Isolation, LogOffsets, Offset, Result, TopicPartition, limits};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A position in one partition that moves as records are read.
#[derive(Clone, Debug)]
pub struct PartitionReader {
    service: Arc<dyn Service>,
    partition: TopicPartition,
    position: Offset,
    max_bytes: u32,
    isolation: Isolation,
    offsets: LogOffsets,
}

impl PartitionReader {
    pub(super) fn new(service: Arc<dyn Service>, partition: TopicPartition, position: Offset) -> Self {
        let (max_bytes, isolation) = (limits::FETCH_BYTES_DEFAULT, Isolation::ReadCommitted);
        Self { service, partition, position, max_bytes, isolation, offsets: LogOffsets::default() }
    }

    /// Whether to read what is not committed yet, or was aborted; only what is committed by default.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Bytes that one read asks for; at least one whole batch comes even if it is larger. 1 MiB by default.
    pub fn max_bytes(mut self, bytes: u32) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The next records in order, from the position on; empty when none came within `max_wait` (at once under a
    /// manual clock). The position moves behind them.
    ///
    /// Fails with `OffsetOutOfRange` when the position is not readable, and with `Corrupt` at a damaged batch: the
    /// records before it were returned by earlier calls.
    pub async fn next_batch(&mut self, max_wait: Duration) -> Result<Vec<StoredRecord>> {
        loop {
            let batches = self.next_bytes(max_wait).await?;
            let mut position = self.position;
            let read = records_at(batches, &mut position).collect::<Result<Vec<_>>>()?;
            let moved = std::mem::replace(&mut self.position, position) != position;
            // Batches that compaction has emptied, and markers, are passed over.
            if !read.is_empty() || !moved {
                return Ok(read);
            }
        }
    }

    /// Whole batches as they lie in the log, which may begin before the position; the position does not move. Batches of
    /// aborted transactions are emptied.
    pub async fn next_bytes(&mut self, max_wait: Duration) -> Result<Bytes> {
        let wanted =
            FetchPartition { partition: self.partition.clone(), offset: self.position, max_bytes: self.max_bytes };
        let isolation = self.isolation;
        let request = Fetch { partitions: vec![wanted], max_wait, min_bytes: 1, isolation };
        let Some(fetched) = self.service.fetch(request).await?.into_iter().next() else { return Ok(Bytes::new()) };
        self.offsets = fetched.offsets;
        fetched.committed()
    }

    /// The offsets of the partition as of the last read; zeros before the first.
    pub fn offsets(&self) -> LogOffsets {
        self.offsets
    }

    /// The partition that is read.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The next offset to be read.
    pub fn position(&self) -> Offset {
        self.position
    }

    /// Moves the position.
    pub fn seek(&mut self, offset: Offset) {
        self.position = offset;
    }
}
