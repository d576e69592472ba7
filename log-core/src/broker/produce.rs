//! Appending and reading: the requests that touch records.

use super::Broker;
use super::wait::{Waiters, wait_any};
use crate::record::{records, validate};
use crate::service::{DescribeProducers, Fetch, Fetched, ListOffsets, ListedOffset, Produce, Produced, ProducerState};
use crate::types::{Error, Flush, OffsetSpec, Result, TopicName};
use bytes::Bytes;

impl Broker {
    pub(super) async fn append(&self, request: Produce) -> Result<Produced> {
        let Produce { partition: name, batch } = request;
        self.check_open()?;
        if name.topic.is_internal() {
            let why = format!("`{}` belongs to the system; it is read-only", name.topic);
            return Err(Error::InvalidRequest { why });
        }
        let topic = self.topic(&name.topic)?;
        let partition = topic.partition(name.partition)?;
        let (bytes, max) = (batch.len() as u64, u64::from(topic.config.batch_bytes_max));
        if bytes > max {
            return Err(Error::RecordTooLarge { topic: name.topic, bytes, max });
        }
        let header = validate(&batch, topic.config.batch_bytes_max)?;
        if header.is_control || header.is_transactional {
            return Err(Error::InvalidRequest { why: "control and transactional batches are not taken yet".into() });
        }
        if topic.config.cleanup.compacts() {
            every_record_has_a_key(&topic.name, &batch)?;
        }
        let appended = partition.append(&batch)?;
        if partition.flush == Flush::Durable {
            self.flusher.dirty(partition);
            partition.acknowledged(appended.last_offset + 1).await?;
        } else {
            // Synced in the background, so that the durable point does not fall behind for ever.
            self.flusher.dirty(partition);
        }
        Ok(Produced { base_offset: appended.base_offset, duplicate: appended.duplicate })
    }

    pub(super) async fn read(&self, request: Fetch) -> Result<Vec<Fetched>> {
        let deadline = self.clock.instant() + request.max_wait;
        loop {
            self.check_open()?;
            let mut waiters = Waiters::new();
            let mut fetched = Vec::with_capacity(request.partitions.len());
            let (mut bytes, mut failed) = (0, None);
            for wanted in &request.partitions {
                let partition = self.partition(&wanted.partition)?;
                // Subscribed before the read, so that nothing appended meanwhile is slept through.
                let mut watch = partition.watch();
                watch.mark_unchanged();
                if let Some(error) = watch.borrow().failed.clone().filter(|e| matches!(e, Error::UnknownTopic { .. })) {
                    return Err(error);
                }
                waiters.push(Box::pin(async move { watch.changed().await.is_ok() }));
                let batches = partition.read(wanted.offset, wanted.max_bytes).unwrap_or_else(|error| {
                    failed.get_or_insert(error);
                    Bytes::new()
                });
                bytes += batches.len();
                fetched.push(Fetched { partition: wanted.partition.clone(), offsets: partition.offsets(), batches });
            }
            // One partition that cannot be read does not keep the others from being read; when there is nothing
            // else left to return it is told.
            if let (0, Some(error)) = (bytes, failed) {
                return Err(error);
            }
            let left = deadline.since(self.clock.instant());
            if bytes >= request.min_bytes as usize || left.is_zero() || self.clock.is_manual() {
                return Ok(fetched);
            }
            wait_any(waiters, &self.closed, left).await;
        }
    }

    pub(super) fn list(&self, request: &ListOffsets) -> Result<Vec<ListedOffset>> {
        let listed = request.partitions.iter().map(|(name, spec)| {
            let partition = self.partition(name)?;
            let offsets = partition.offsets();
            let offset = match spec {
                OffsetSpec::Earliest => offsets.log_start_offset,
                OffsetSpec::Latest => offsets.high_watermark,
                OffsetSpec::At(at) => partition.reader.offset_for_time(*at)?.unwrap_or(offsets.high_watermark),
                OffsetSpec::Exactly(offset) => (*offset).clamp(offsets.log_start_offset, offsets.high_watermark),
            };
            Ok(ListedOffset { partition: name.clone(), offset })
        });
        listed.collect()
    }

    pub(super) fn producers(&self, request: &DescribeProducers) -> Result<Vec<ProducerState>> {
        let partition = self.partition(&request.partition)?;
        let producers = partition.with(|log| log.producers())?;
        Ok(producers.into_iter().map(|(last, last_offset)| ProducerState { last, last_offset }).collect())
    }
}

/// Compaction keeps the last record of each key, so without a key there is nothing that it could keep. Only the
/// batches of compacted topics are decoded for it.
fn every_record_has_a_key(topic: &TopicName, batch: &Bytes) -> Result<()> {
    for record in records(batch.clone()) {
        let record = record?;
        if record.key.is_none() {
            let why = format!(
                "record {} of the batch has no key and `{topic}` is compacted, which keeps the last record of each \
                 key; send a key, or create the topic with   --cleanup delete",
                record.offset
            );
            return Err(Error::InvalidRequest { why });
        }
    }
    Ok(())
}
