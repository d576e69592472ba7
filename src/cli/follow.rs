//! Waiting for records that are not there yet, on several partitions at once.

use super::Result;
use std::sync::Arc;
use std::time::Duration;
use tailwater::log::record;
use tailwater::log::service::{Fetch, FetchPartition, Service};
use tailwater::log::types::Isolation;
use tailwater::log::{Log, Offset, StoredRecord, TopicPartition};

/// What one fetch of one partition asks for.
const FETCH_BYTES: u32 = 256 * 1024;

/// How long one request waits; it is woken by records, so this only bounds how long an idle request stands.
const WAIT: Duration = Duration::from_secs(30);

/// Reads partitions from given offsets on, without an end.
#[derive(Debug)]
pub(crate) struct Follow {
    service: Arc<dyn Service>,
    positions: Vec<(TopicPartition, Offset)>,
}

impl Follow {
    /// Will read from these offsets on.
    pub(crate) fn new(log: &Log, positions: Vec<(TopicPartition, Offset)>) -> Self {
        Self { service: Arc::clone(log.service()), positions }
    }

    /// The next records, at least one; waits for them. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> Result<Vec<(TopicPartition, StoredRecord)>> {
        loop {
            let wanted = |(partition, offset): &(TopicPartition, Offset)| FetchPartition {
                partition: partition.clone(),
                offset: *offset,
                max_bytes: FETCH_BYTES,
            };
            let partitions = self.positions.iter().map(wanted).collect();
            let isolation = Isolation::ReadCommitted;
            let fetched = self.service.fetch(Fetch { partitions, max_wait: WAIT, min_bytes: 1, isolation }).await?;
            let mut records = Vec::new();
            for answer in fetched {
                let Some((partition, position)) = self.positions.iter_mut().find(|(p, _)| *p == answer.partition)
                else {
                    continue;
                };
                for stored in record::records_at(answer.committed()?, position) {
                    records.push((partition.clone(), stored?));
                }
            }
            if !records.is_empty() {
                return Ok(records);
            }
        }
    }
}
