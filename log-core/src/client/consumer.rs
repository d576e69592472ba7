//! Reading as a member of a group.

use crate::record::StoredRecord;
use crate::types::{Offset, OffsetSpec, Result, TopicPartition};
use std::time::Duration;

/// Settings of a [`Consumer`].
#[derive(Clone, Debug)]
pub struct ConsumerBuilder;

impl ConsumerBuilder {
    pub fn topics<S: AsRef<str>>(self, _topics: impl IntoIterator<Item = S>) -> Self {
        todo!()
    }
    /// Where to start on a partition that the group has not committed; the default is `Earliest`.
    pub fn from(self, _spec: OffsetSpec) -> Self {
        todo!()
    }
    /// A member that is silent for longer loses its partitions; the default is 10 s.
    pub fn session_timeout(self, _timeout: Duration) -> Self {
        todo!()
    }
    /// Joins the group. The topics must exist.
    pub async fn start(self) -> Result<Consumer> {
        todo!()
    }
}

/// A record with where it came from.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    pub partition: TopicPartition,
    pub record: StoredRecord,
}

/// A member of a consumer group. Reads its partitions in order; positions are committed when asked.
#[derive(Debug)]
pub struct Consumer;

impl Consumer {
    /// The next records, up to `max`; empty when none came within `wait`.
    pub async fn poll(&mut self, _max: usize, _wait: Duration) -> Result<Vec<ConsumerRecord>> {
        todo!()
    }
    /// The next record; waits for it.
    pub async fn next(&mut self) -> Result<ConsumerRecord> {
        todo!()
    }
    /// Commits the position after every record that was returned. Durable when it returns.
    pub async fn commit(&mut self) -> Result<()> {
        todo!()
    }
    /// Moves the position of a partition that is assigned to this member.
    pub fn seek(&mut self, _partition: &TopicPartition, _offset: Offset) -> Result<()> {
        todo!()
    }
    /// The partitions this member reads now.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        todo!()
    }
    /// Leaves the group, so that others take over at once.
    pub async fn leave(self) -> Result<()> {
        todo!()
    }
}
