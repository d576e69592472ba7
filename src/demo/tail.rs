//! Following a topic by offset, without a group: what the board and the check read.

use std::marker::PhantomData;
use std::time::Duration;
use tailwater_log::service::{Fetch, FetchPartition};
use tailwater_log::types::Isolation;
use tailwater_log::{Codec, Error, Log, Offset, Result, TopicName, TopicPartition, record};

/// Bytes asked for from one partition at a time.
const FETCH_BYTES: u32 = 1 << 20;

/// A position in every partition of a topic.
#[derive(Debug)]
pub(crate) struct Tail<V> {
    log: Log,
    positions: Vec<(TopicPartition, Offset)>,
    value: PhantomData<fn() -> V>,
}

impl<V: Codec> Tail<V> {
    /// Starts at offset 0 of a topic that exists.
    pub(crate) async fn start(log: &Log, topic: &str) -> Result<Self> {
        let name = TopicName::new(topic)?;
        let partitions = log.admin().describe_topic(&name).await?.partitions;
        let positions = partitions.iter().map(|p| (TopicPartition::new(name.clone(), p.partition), 0)).collect();
        Ok(Self { log: log.clone(), positions, value: PhantomData })
    }

    /// What has become readable since the last call, in order within a partition.
    pub(crate) async fn poll(&mut self) -> Result<Vec<V>> {
        let mut values = Vec::new();
        loop {
            if !self.fetch(&mut values).await? {
                return Ok(values);
            }
        }
    }

    /// Whether a position moved.
    async fn fetch(&mut self, values: &mut Vec<V>) -> Result<bool> {
        let partitions = self.positions.iter();
        let partitions = partitions
            .map(|(partition, offset)| FetchPartition {
                partition: partition.clone(),
                offset: *offset,
                max_bytes: FETCH_BYTES,
            })
            .collect();
        let isolation = Isolation::ReadCommitted;
        let request = Fetch { partitions, max_wait: Duration::ZERO, min_bytes: 0, isolation };
        let mut moved = false;
        for fetched in self.log.service().fetch(request).await? {
            let Some((_, next)) = self.positions.iter_mut().find(|(p, _)| *p == fetched.partition) else { continue };
            let before = *next;
            for stored in record::records_at(fetched.committed()?, next) {
                let stored = stored?;
                let Some(bytes) = stored.value else { continue };
                let value = V::decode(&bytes).map_err(|e| Error::Malformed {
                    why: format!("{} offset {}: {}", fetched.partition, stored.offset, e.why),
                })?;
                values.push(value);
            }
            moved |= *next != before;
        }
        Ok(moved)
    }
}
