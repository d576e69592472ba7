//! The handle on a log.

use super::{Admin, ConsumerBuilder, PartitionReader, Producer, ProducerBuilder, Queue, SentTo};
use crate::codec::Codec;
use crate::env::Clock;
use crate::record::Record;
use crate::service::Service;
use crate::types::{GroupId, Offset, Result, TopicName, TopicPartition};
use bytes::Bytes;
use std::sync::{Arc, OnceLock};

/// A log that is open: `Log::open("./data")`. Cheap to clone; clones are the same log.
///
/// [`Log::close`] makes everything durable and releases the data directory. A log that is dropped without it is safe
/// too: what was acknowledged is durable, and the next open recovers as after a crash.
#[derive(Clone, Debug)]
pub struct Log {
    service: Arc<dyn Service>,
    /// The producer behind [`Log::send`], made on first use.
    sender: Arc<OnceLock<Producer>>,
}

impl Log {
    /// A log over any service; [`Log::open`](crate::Log::open) does this with an in-process broker.
    pub fn over(service: Arc<dyn Service>) -> Self {
        Self { service, sender: Arc::default() }
    }

    /// The typed requests below the handles.
    pub fn service(&self) -> &Arc<dyn Service> {
        &self.service
    }

    /// The clock that the log stamps and expires by.
    pub fn clock(&self) -> Clock {
        self.service.clock()
    }

    /// Topics and groups: create, describe, delete.
    pub fn admin(&self) -> Admin {
        Admin::new(self.service.clone())
    }

    /// A producer with its settings; finish with `.build()`.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.service.clone())
    }

    /// A consumer in a group; finish with `.topics([..]).start().await`.
    pub fn consumer(&self, group: impl AsRef<str>) -> ConsumerBuilder {
        ConsumerBuilder::new(self.service.clone(), group.as_ref())
    }

    /// Reads one partition from an offset on, without a group: for stream tasks, queries and `tw tail`.
    pub fn reader(&self, partition: TopicPartition, from: Offset) -> PartitionReader {
        PartitionReader::new(self.service.clone(), partition, from)
    }

    /// Sends one typed value and returns when it is durable. The key and the event time are those the type
    /// carries, else none and now. The topic must exist.
    pub async fn send<T: Codec>(&self, topic: impl AsRef<str>, value: &T) -> Result<SentTo> {
        let topic = TopicName::new(topic)?;
        let record = Record {
            key: value.key().map(Bytes::from),
            value: Some(Bytes::from(value.to_bytes())),
            timestamp: value.event_time().unwrap_or_else(|| self.clock().now()),
            headers: Vec::new(),
        };
        let producer = self.sender.get_or_init(|| self.producer().build());
        producer.send(&topic, record).await?.await
    }

    /// Takes records of a topic as a queue: each goes to one worker of the group, redelivered until acknowledged.
    /// A new group starts at the topic's first record.
    pub async fn queue<T: Codec>(&self, topic: impl AsRef<str>, group: impl AsRef<str>) -> Result<Queue<T>> {
        Queue::open(self.service.clone(), TopicName::new(topic)?, GroupId::new(group)?).await
    }

    /// Makes everything durable and releases the data directory. Producers that still hold records must be
    /// flushed first; what they send later fails with [`crate::Error::Closed`], as every other call does.
    pub async fn close(&self) -> Result<()> {
        if let Some(producer) = self.sender.get() {
            // A delivery that failed was told to the sender that awaits it.
            let _ = producer.flush().await;
        }
        self.service.close().await
    }
}
