//! A topic as a queue: each record to one worker, under a lease, until acknowledged.

use crate::codec::DecodeError;
use crate::record::StoredRecord;
use crate::types::{Result, TopicPartition};
use std::marker::PhantomData;
use std::time::Duration;

/// One worker's end of a queue.
#[derive(Debug)]
pub struct Queue<T>(PhantomData<fn() -> T>);

impl<T: crate::codec::Codec> Queue<T> {
    /// The next job; waits for one. `None` once the log is closed. A record that does not decode is rejected to
    /// the dead-letter topic and skipped.
    pub async fn next(&mut self) -> Result<Option<Job<T>>> {
        todo!()
    }
    /// The next job, or `None` when none came within `wait`.
    pub async fn next_within(&mut self, _wait: Duration) -> Result<Option<Job<T>>> {
        todo!()
    }
}

/// A leased record. Dropped without a word, it is delivered again when its lease ends.
#[derive(Debug)]
pub struct Job<T> {
    value: T,
    record: StoredRecord,
    partition: TopicPartition,
    delivery: u16,
}

impl<T> std::ops::Deref for Job<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Job<T> {
    /// 1 for the first delivery.
    pub fn delivery(&self) -> u16 {
        self.delivery
    }
    pub fn record(&self) -> &StoredRecord {
        &self.record
    }
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }
    /// Done: it is not delivered again. Durable when it returns.
    pub async fn ack(self) -> Result<()> {
        todo!()
    }
    /// Deliver it again now, to anyone; after the topic's `deliveries_max` it is dead-lettered.
    pub async fn retry(self) -> Result<()> {
        todo!()
    }
    /// It can never be processed: to the dead-letter topic, `<topic>.dead`.
    pub async fn reject(self) -> Result<()> {
        todo!()
    }
    /// Starts the lease anew, for work that takes long.
    pub async fn renew(&self) -> Result<()> {
        todo!()
    }
}
impl<T> Job<T> {
    fn _stub(value: T, record: StoredRecord, partition: TopicPartition, _: DecodeError) -> Self {
        Self { value, record, partition, delivery: 1 }
    }
}
