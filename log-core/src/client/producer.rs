//! Sending: batches per partition, one in flight each, so that order holds.

use crate::record::{Compression, Record};
use crate::types::{Offset, PartitionIndex, Result, TopicName};
use std::time::Duration;

/// Settings of a [`Producer`].
#[derive(Clone, Debug)]
pub struct ProducerBuilder;

impl ProducerBuilder {
    /// How long to wait for a batch to fill. Zero (the default) sends at once whatever has gathered while the
    /// previous batch of that partition was in flight.
    pub fn linger(self, _linger: Duration) -> Self {
        todo!()
    }
    /// Bytes at which a batch is sent without waiting.
    pub fn batch_bytes(self, _bytes: u32) -> Self {
        todo!()
    }
    /// Bytes of unsent records at which `send` waits for room.
    pub fn buffer_bytes(self, _bytes: usize) -> Self {
        todo!()
    }
    pub fn compression(self, _compression: Compression) -> Self {
        todo!()
    }
    /// Writes under a fixed producer id, so that a batch sent twice, also after a restart, is stored once.
    /// Sequences continue from what each partition remembers.
    pub fn idempotent(self, _producer_id: i64) -> Self {
        todo!()
    }
    pub fn build(self) -> Producer {
        todo!()
    }
}

/// Sends records. Cheap to clone; clones share batches.
#[derive(Clone, Debug)]
pub struct Producer;

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentTo {
    pub partition: PartitionIndex,
    pub offset: Offset,
}

/// Resolves when the record is acknowledged by the topic's flush policy. Dropping it does not unsend the record.
#[derive(Debug)]
pub struct Delivery;

impl std::future::Future for Delivery {
    type Output = Result<SentTo>;
    fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        todo!()
    }
}

impl Producer {
    /// Puts a record into its partition's batch: by key (Kafka's murmur2), or round robin by batch without one.
    /// Waits only while the buffer is full. Await the [`Delivery`] to know that it is durable.
    pub async fn send(&self, _topic: &TopicName, _record: Record) -> Result<Delivery> {
        todo!()
    }
    /// The same to a chosen partition.
    pub async fn send_to(&self, _topic: &TopicName, _partition: PartitionIndex, _record: Record) -> Result<Delivery> {
        todo!()
    }
    /// Sends what is buffered and returns when all of it is acknowledged; the first failure if there was one.
    pub async fn flush(&self) -> Result<()> {
        todo!()
    }
}
