//! The handle on a log.

use super::{Admin, ConsumerBuilder, ProducerBuilder, Queue, SentTo};
use crate::codec::Codec;
use crate::env::Clock;
use crate::service::Service;
use crate::types::Result;
use std::sync::Arc;

/// A log that is open: `Log::open("./data")`.
#[derive(Clone, Debug)]
pub struct Log {
    service: Arc<dyn Service>,
}

impl Log {
    /// A log over any service; [`Log::open`](crate::Log::open) does this with an in-process broker.
    pub fn over(service: Arc<dyn Service>) -> Self {
        Self { service }
    }
    /// The typed requests below the handles.
    pub fn service(&self) -> &Arc<dyn Service> {
        &self.service
    }
    pub fn clock(&self) -> Clock {
        self.service.clock()
    }
    pub fn admin(&self) -> Admin {
        todo!()
    }
    /// A producer with its settings; finish with `.build()`.
    pub fn producer(&self) -> ProducerBuilder {
        todo!()
    }
    /// A consumer in a group; finish with `.topics([..]).start().await`.
    pub fn consumer(&self, _group: impl AsRef<str>) -> ConsumerBuilder {
        todo!()
    }
    /// Sends one typed value and returns when it is durable. The key and the event time are those the type
    /// carries. The topic must exist.
    pub async fn send<T: Codec>(&self, _topic: impl AsRef<str>, _value: &T) -> Result<SentTo> {
        todo!()
    }
    /// Takes records of a topic as a queue: each goes to one worker of the group, redelivered until acknowledged.
    pub async fn queue<T: Codec>(&self, _topic: impl AsRef<str>, _group: impl AsRef<str>) -> Result<Queue<T>> {
        todo!()
    }
    /// Flushes producers, makes everything durable and releases the data directory.
    pub async fn close(&self) -> Result<()> {
        self.service.close().await
    }
}
