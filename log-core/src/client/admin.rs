//! Topics and groups.

use crate::service::{GroupDescription, TopicDescription};
use crate::types::{Offset, OffsetSpec, Result, TopicPartition, TopicSpec};

/// Creates, describes and deletes topics and groups.
#[derive(Clone, Debug)]
pub struct Admin;

impl Admin {
    pub async fn create_topic(&self, _spec: TopicSpec) -> Result<TopicDescription> {
        todo!()
    }
    /// Creates the topic unless it exists; then its present description.
    pub async fn ensure_topic(&self, _spec: TopicSpec) -> Result<TopicDescription> {
        todo!()
    }
    /// All topics, by name; `__` topics only when asked for.
    pub async fn list_topics(&self, _include_internal: bool) -> Result<Vec<TopicDescription>> {
        todo!()
    }
    pub async fn describe_topic(&self, _topic: impl AsRef<str>) -> Result<TopicDescription> {
        todo!()
    }
    pub async fn delete_topic(&self, _topic: impl AsRef<str>) -> Result<()> {
        todo!()
    }
    pub async fn offset(&self, _partition: TopicPartition, _spec: OffsetSpec) -> Result<Offset> {
        todo!()
    }
    pub async fn list_groups(&self) -> Result<Vec<GroupDescription>> {
        todo!()
    }
    pub async fn describe_group(&self, _group: impl AsRef<str>) -> Result<GroupDescription> {
        todo!()
    }
    /// Moves a consumer group without active members to `spec` on every partition of `topic`;
    /// returns the new offsets.
    pub async fn reset_group(
        &self,
        _group: impl AsRef<str>,
        _topic: impl AsRef<str>,
        _spec: OffsetSpec,
    ) -> Result<Vec<(TopicPartition, Offset)>> {
        todo!()
    }
    pub async fn delete_group(&self, _group: impl AsRef<str>) -> Result<()> {
        todo!()
    }
}
