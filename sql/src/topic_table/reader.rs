//! Reading a range of offsets of one partition, fetch by fetch.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tailwater_log::record::records_at;
use tailwater_log::service::{Fetch, FetchPartition, Service};
use tailwater_log::types::{Error, Isolation, OffsetRange, Result, TopicPartition, limits};
use tailwater_log::{Log, StoredRecord};

/// Reads `range`, which must have been readable: whatever is below the last stable offset stays readable.
#[derive(Debug)]
pub(crate) struct RangeReader {
    service: Arc<dyn Service>,
    partition: TopicPartition,
    range: OffsetRange,
}

impl RangeReader {
    pub(crate) fn new(log: &Log, partition: TopicPartition, range: OffsetRange) -> Self {
        Self { service: Arc::clone(log.service()), partition, range }
    }

    pub(crate) fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Fetches once and hands over the records that are in the range, until `each` breaks. Says whether there is more
    /// to read; a break leaves the rest of the fetch unread.
    pub(crate) async fn read(&mut self, mut each: impl FnMut(StoredRecord) -> ControlFlow<()>) -> Result<bool> {
        if self.range.is_empty() {
            return Ok(false);
        }
        let fetch = Fetch {
            partitions: vec![FetchPartition {
                partition: self.partition.clone(),
                offset: self.range.start,
                max_bytes: limits::FETCH_BYTES_DEFAULT,
            }],
            max_wait: Duration::ZERO,
            min_bytes: 0,
            isolation: Isolation::ReadCommitted,
        };
        let fetched = self.service.fetch(fetch).await?;
        let before = self.range.start;
        for fetched in fetched {
            for record in records_at(fetched.committed()?, &mut self.range.start) {
                let record = record?;
                if record.offset >= self.range.end || each(record).is_break() {
                    return Ok(!self.range.is_empty());
                }
            }
        }
        if self.range.start == before {
            let why = format!("{} has no batch in {}, which was readable before", self.partition, self.range);
            return Err(Error::Malformed { why });
        }
        Ok(!self.range.is_empty())
    }
}
