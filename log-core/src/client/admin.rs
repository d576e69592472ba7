//! Topics and groups.

use crate::service::{
    CommitOffsets, CreateTopics, DeleteGroup, DeleteRecords, DeleteTopic, DescribeGroups, DescribeTopics,
    GroupDescription, ListOffsets, PartitionDescription, Service, TopicDescription,
};
use crate::types::{Error, GroupId, Isolation, Offset, OffsetSpec, Result, TopicName, TopicPartition, TopicSpec};
use std::sync::Arc;

/// Creates, describes and deletes topics and groups. What it changes is durable when it returns.
#[derive(Clone, Debug)]
pub struct Admin {
    pub(super) service: Arc<dyn Service>,
}

impl Admin {
    pub(super) fn new(service: Arc<dyn Service>) -> Self {
        Self { service }
    }

    /// Creates a topic; `TopicExists` when there is one of that name.
    pub async fn create_topic(&self, spec: TopicSpec) -> Result<TopicDescription> {
        spec.validate()?;
        let request = CreateTopics { topics: vec![spec.into()], validate_only: false };
        let mut created = self.service.create_topics(request).await;
        created.pop().unwrap_or(Err(Error::Closed))
    }

    /// Creates the topic unless it exists; then its present description, whatever its settings are.
    pub async fn ensure_topic(&self, spec: TopicSpec) -> Result<TopicDescription> {
        let name = spec.name.clone();
        match self.create_topic(spec).await {
            Err(Error::TopicExists { .. }) => self.describe_topic(name).await,
            other => other,
        }
    }

    /// All topics, by name; `__` topics only when asked for.
    pub async fn list_topics(&self, include_internal: bool) -> Result<Vec<TopicDescription>> {
        self.service.describe_topics(DescribeTopics { topics: None, include_internal }).await
    }

    /// One topic with its partitions and their offsets.
    pub async fn describe_topic(&self, topic: impl AsRef<str>) -> Result<TopicDescription> {
        let name = TopicName::new(topic)?;
        let request = DescribeTopics { topics: Some(vec![name.clone()]), include_internal: true };
        let found = self.service.describe_topics(request).await?.pop();
        found.ok_or(Error::UnknownTopic { name: name.to_string(), did_you_mean: None })
    }

    /// Deletes a topic with its records.
    pub async fn delete_topic(&self, topic: impl AsRef<str>) -> Result<()> {
        self.service.delete_topic(DeleteTopic { topic: TopicName::new(topic)?.into() }).await
    }

    /// Deletes the records of a topic before `spec` on each partition; returns where each begins now. Nothing is deleted
    /// if one of them ends before an `Exactly` (`OffsetOutOfRange`).
    pub async fn delete_records(
        &self,
        topic: impl AsRef<str>,
        spec: OffsetSpec,
    ) -> Result<Vec<(TopicPartition, Offset)>> {
        let topic = self.describe_topic(topic).await?;
        let partition = |p: &PartitionDescription| TopicPartition::new(topic.name.clone(), p.partition);
        let partitions = topic.partitions.iter().map(|p| (partition(p), spec)).collect();
        let begin = self.service.delete_records(DeleteRecords { partitions }).await?;
        Ok(begin.into_iter().map(|listed| (listed.partition, listed.offset)).collect())
    }

    /// The offset that `spec` means on a partition now.
    pub async fn offset(&self, partition: TopicPartition, spec: OffsetSpec) -> Result<Offset> {
        let mut listed = self
            .service
            .list_offsets(ListOffsets { partitions: vec![(partition, spec)], isolation: Isolation::ReadCommitted })
            .await?;
        listed.pop().map(|listed| listed.offset).ok_or(Error::Closed)
    }

    /// All consumer groups and queue groups, by name.
    pub async fn list_groups(&self) -> Result<Vec<GroupDescription>> {
        self.service.describe_groups(DescribeGroups { groups: None }).await
    }

    /// One group: its members, positions and lag. A consumer group goes before a queue group of the same name.
    pub async fn describe_group(&self, group: impl AsRef<str>) -> Result<GroupDescription> {
        let group = GroupId::new(group)?;
        let found = self.service.describe_groups(DescribeGroups { groups: Some(vec![group.clone()]) }).await?;
        let unknown = Error::UnknownGroup { group: group.to_string(), did_you_mean: None };
        found.into_iter().next().ok_or(unknown)
    }

    /// Moves a consumer group without active members to `spec` on every partition of `topic`;
    /// returns the new offsets.
    pub async fn reset_group(
        &self,
        group: impl AsRef<str>,
        topic: impl AsRef<str>,
        spec: OffsetSpec,
    ) -> Result<Vec<(TopicPartition, Offset)>> {
        let group = GroupId::new(group)?;
        let topic = self.describe_topic(topic).await?;
        let partitions =
            topic.partitions.iter().map(|p| (TopicPartition::new(topic.name.clone(), p.partition), spec)).collect();
        let listed = self.service.list_offsets(ListOffsets { partitions, isolation: Isolation::ReadCommitted }).await?;
        let offsets: Vec<_> = listed.into_iter().map(|l| (l.partition, l.offset)).collect();
        let positions = offsets.iter().map(|(partition, offset)| (partition.clone(), (*offset).into())).collect();
        self.service.commit_offsets(CommitOffsets { group, member: None, offsets: positions }).await?;
        Ok(offsets)
    }

    /// Forgets a group that has no active members: its positions, or its queue's state.
    pub async fn delete_group(&self, group: impl AsRef<str>) -> Result<()> {
        self.service.delete_group(DeleteGroup { group: GroupId::new(group)? }).await
    }
}
