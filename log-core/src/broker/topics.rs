//! Which topics are open: the registry, and what creates, describes and deletes them.

use super::flush::Changes;
use super::logs::Logs;
use super::metadata::{MetadataQuorum, MetadataRecord};
use super::partition::Partition;
use super::{Broker, METADATA};
use crate::group;
use crate::service::{CreateTopics, DeleteTopic, DescribeTopics, PartitionDescription, TopicDescription};
use crate::shard::Description;
use crate::storage::{CheckpointReport, DataDir, Known, LogConfig, OpenReport, PartitionLog};
use crate::types::{
    Error, Flush, PartitionIndex, Result, Timestamp, TopicConfig, TopicId, TopicName, TopicPartition, TopicSpec,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Builder;

/// The internal topic of committed offsets.
pub(super) const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The internal topic of queue states.
pub(super) const SHARE_STATE: &str = "__share_state";

/// An open topic.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) id: TopicId,
    pub(super) config: TopicConfig,
    /// By partition index.
    pub(super) partitions: Vec<Arc<Partition>>,
}

impl Topic {
    pub(super) fn partition(&self, partition: PartitionIndex) -> Result<&Arc<Partition>> {
        let partitions = self.partitions.len() as PartitionIndex;
        let unknown = || Error::UnknownPartition { topic: self.name.clone(), partition, partitions };
        self.partitions.get(partition as usize).ok_or_else(unknown)
    }

    fn describe(&self) -> TopicDescription {
        let partitions = self.partitions.iter().map(|partition| {
            let unknown = |error| Description { bytes: 0, segments: 0, has_gaps: true, refusal: Some(error) };
            let Description { bytes, segments, has_gaps, refusal } = partition.describe().unwrap_or_else(unknown);
            PartitionDescription {
                partition: partition.name.partition,
                offsets: partition.offsets(),
                bytes,
                segments,
                has_gaps,
                damage: refusal.or_else(|| partition.damage().cloned()),
            }
        });
        TopicDescription {
            name: self.name.clone(),
            id: self.id,
            config: self.config.clone(),
            partitions: partitions.collect(),
        }
    }
}

impl Broker {
    /// A topic by name; when there is none the error names the nearest.
    pub(super) fn topic(&self, name: &TopicName) -> Result<Arc<Topic>> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic.clone());
        }
        let names: Vec<_> = self.topics.iter().map(|topic| topic.name.to_string()).collect();
        let did_you_mean = nearest(name.as_str(), names.into_iter().filter(|name| !name.starts_with("__")));
        Err(Error::UnknownTopic { name: name.to_string(), did_you_mean })
    }

    pub(super) fn partition(&self, name: &TopicPartition) -> Result<Arc<Partition>> {
        self.topic(&name.topic)?.partition(name.partition).cloned()
    }

    pub(super) async fn create(&self, request: CreateTopics) -> Vec<Result<TopicDescription>> {
        let mut created = Vec::with_capacity(request.topics.len());
        for spec in request.topics {
            created.push(self.create_one(spec, false).await.map(|topic| topic.describe()));
        }
        created
    }

    /// The topic, made if it is missing: for topics that the broker itself writes to.
    pub(super) async fn ensure(&self, spec: TopicSpec) -> Result<Arc<Topic>> {
        if let Some(topic) = self.topics.get(&spec.name) {
            return Ok(topic.clone());
        }
        let name = spec.name.clone();
        match self.create_one(spec, true).await {
            Err(Error::TopicExists { .. }) => self.topic(&name),
            other => other,
        }
    }

    pub(super) async fn ensure_internal(&self, name: &str) -> Result<Arc<Topic>> {
        self.ensure(TopicSpec::new(name, 1)?).await
    }

    async fn create_one(&self, spec: TopicSpec, internal: bool) -> Result<Arc<Topic>> {
        spec.validate()?;
        if spec.name.is_internal() && !internal {
            let why = format!("`{}` would belong to the system; names of users do not begin with __", spec.name);
            return Err(Error::InvalidRequest { why });
        }
        let _one_at_a_time = self.topology.lock().await;
        self.check_open()?;
        if self.topics.contains_key(&spec.name) {
            return Err(Error::TopicExists { name: spec.name });
        }
        let id = self.fresh_topic_id();
        let now = self.clock.now();
        let TopicSpec { name, partitions, config } = spec;
        // Nothing touches the disk yet: a partition makes its directory when it is appended to.
        if let Some(error) = self.logs.flusher.failed() {
            return Err(error.clone());
        }
        let opened = self.with_dir(|dir| {
            open_topic(dir, &self.logs, name.clone(), id, partitions, config.clone(), |_| Known::new_partition())
        });
        let created = opened.and_then(|opened| opened).and_then(|opened| {
            let (name, created_at) = (name.clone(), now);
            self.propose(&MetadataRecord::TopicCreated { name, id, partitions, config, created_at }, now)?;
            Ok(opened)
        });
        // Should the record be there in spite of an error, the next open makes the topic's directories again: nobody
        // has written to them.
        let (topic, _nothing) = created.inspect_err(|_| self.remove_files(id))?;
        self.topics.insert(name, topic.clone());
        Ok(topic)
    }

    pub(super) async fn delete(&self, request: DeleteTopic) -> Result<()> {
        let DeleteTopic { topic: name } = request;
        let _one_at_a_time = self.topology.lock().await;
        self.check_open()?;
        let topic = self.topic(&name)?;
        if name.is_internal() {
            return Err(Error::InvalidRequest { why: format!("`{name}` belongs to the system") });
        }
        let deleted = MetadataRecord::TopicDeleted { name: name.clone(), id: topic.id };
        match self.propose(&deleted, self.clock.now()) {
            // What makes room must not fail for want of it.
            Err(Error::DiskFull { .. }) if self.with_dir(|dir| dir.release_ballast())? => {
                self.propose(&deleted, self.clock.now())?;
            }
            other => other?,
        }
        self.topics.remove(&name);
        for partition in &topic.partitions {
            partition.remove(Error::UnknownTopic { name: name.to_string(), did_you_mean: None });
        }
        self.logs.flusher.forget(topic.id);
        self.group_step(group::Input::TopicDeleted { topic_id: topic.id });
        self.shares.forget_topic(topic.id);
        self.remove_files(topic.id);
        Ok(())
    }

    pub(super) fn describe(&self, request: &DescribeTopics) -> Result<Vec<TopicDescription>> {
        match &request.topics {
            Some(names) => names.iter().map(|name| Ok(self.topic(name)?.describe())).collect(),
            None => {
                let topics: Vec<_> = self.topics.iter().map(|topic| topic.clone()).collect();
                let wanted = topics.iter().filter(|topic| request.include_internal || !topic.name.is_internal());
                let mut described: Vec<_> = wanted.map(|topic| topic.describe()).collect();
                described.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(described)
            }
        }
    }

    /// Makes a change of what exists durable, and notes how far the metadata log is.
    fn propose(&self, record: &MetadataRecord, now: Timestamp) -> Result<()> {
        tracing::debug!(%record, "proposing");
        if let Some(error) = self.logs.flusher.failed() {
            return Err(error.clone());
        }
        let changes = self.quorum.propose(record, now).inspect_err(|error| {
            if matches!(error, Error::Fenced { .. }) {
                self.logs.flusher.fence(error.clone());
            }
        })?;
        let changes: Changes = changes.into_iter().map(|change| (METADATA, 0, change)).collect();
        self.logs.flusher.note(&changes);
        Ok(())
    }

    /// An identity that no topic has or had.
    fn fresh_topic_id(&self) -> TopicId {
        let mut identities = self.identities.lock();
        loop {
            let mut random = [0; 16];
            random[..8].copy_from_slice(&identities.rng.next_u64().to_be_bytes());
            random[8..].copy_from_slice(&identities.rng.next_u64().to_be_bytes());
            let id = TopicId(Builder::from_random_bytes(random).into_uuid());
            if identities.used.insert(id) {
                return id;
            }
        }
    }

    /// Removes a topic's directory. When that fails it is tried again at the next open.
    fn remove_files(&self, id: TopicId) {
        if let Err(error) = self.with_dir(|dir| dir.delete_topic(id)).and_then(|removed| removed) {
            tracing::warn!(topic = %id, %error, "the files of a deleted topic were not removed");
        }
    }
}

/// Opens the logs of a topic's partitions. `known` is what the checkpoint knows of each.
pub(super) fn open_topic(
    dir: &DataDir,
    logs: &Logs,
    name: TopicName,
    id: TopicId,
    partitions: PartitionIndex,
    config: TopicConfig,
    known: impl Fn(PartitionIndex) -> Known,
) -> Result<(Arc<Topic>, Changes)> {
    let (mut open, mut changes) = (Vec::with_capacity(partitions as usize), Vec::new());
    // What the broker itself writes is never lost.
    let flush = if name.is_internal() { Flush::Durable } else { config.flush };
    for index in 0..partitions {
        let partition = TopicPartition::new(name.clone(), index);
        let settings = LogConfig {
            partition: partition.clone(),
            flush,
            segment_bytes: config.segment_bytes,
            segment_age: config.segment_age,
        };
        let path = dir.partition_dir(id, index);
        let (log, report) = PartitionLog::open(dir.resources(), &path, settings, &known(index))?;
        tell(&partition, &report);
        changes.extend(report.changes.into_iter().map(|change| (id, index, change)));
        open.push(logs.open(partition, id, flush, log)?);
    }
    Ok((Arc::new(Topic { name, id, config, partitions: open }), changes))
}

/// Tells what is wrong with the checkpoint.
pub(super) fn tell_checkpoint(report: &CheckpointReport) {
    if let Some(bytes) = report.torn_tail {
        tracing::warn!(bytes, "a torn end of the checkpoint was cut off");
    }
    if let Some(damage) = &report.damage {
        tracing::error!(%damage, "the checkpoint is damaged; every checksum was verified instead");
    }
}

/// Tells what recovery found.
pub(super) fn tell(partition: &TopicPartition, report: &OpenReport) {
    if let Some(torn) = &report.torn_tail {
        let (bytes, offset, why) = (torn.bytes, torn.offset, &torn.why);
        tracing::warn!(%partition, offset, bytes, why, "a torn tail that was never acknowledged was cut off");
    }
    if let Some(damage) = &report.damage {
        tracing::error!(%partition, %damage, "a partition is damaged and read-only");
    }
}

/// The topics that exist.
pub(super) type Present = HashMap<TopicId, (TopicName, PartitionIndex, TopicConfig)>;

/// What the metadata log says there is, and which identities were ever used.
pub(super) fn present(quorum: &dyn MetadataQuorum) -> Result<(Present, Vec<TopicId>)> {
    let (mut present, mut deleted) = (HashMap::new(), Vec::new());
    for record in quorum.replay()? {
        match record {
            MetadataRecord::TopicCreated { name, id, partitions, config, .. } => {
                present.insert(id, (name, partitions, config));
            }
            MetadataRecord::TopicDeleted { id, .. } => {
                present.remove(&id);
                deleted.push(id);
            }
        }
    }
    Ok((present, deleted))
}

/// Removes what interrupted requests left: directories of topics that were deleted, and empty ones of topics that were
/// not created in the end. A directory with records that the metadata log does not know stays as it is.
pub(super) fn remove_leftovers(dir: &DataDir, used: &HashSet<TopicId>, deleted: &[TopicId]) -> Result<()> {
    for id in dir.topics()? {
        let unknown = !used.contains(&id);
        if !unknown && !deleted.contains(&id) {
            continue;
        }
        let removed = match dir.topic_is_empty(id) {
            Ok(false) if unknown => {
                tracing::warn!(topic = %id, "the metadata log does not know a topic that has records");
                continue;
            }
            Err(error) if unknown => Err(error),
            _ => dir.delete_topic(id),
        };
        if let Err(error) = removed {
            tracing::warn!(topic = %id, %error, "the files of a topic that is not there were not removed");
        }
    }
    Ok(())
}

/// The name that was probably meant: a third of its characters wrong at most.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let budget = (name.chars().count() / 3).max(1);
    let near = known.map(|known| (strsim::osa_distance(name, &known), known)).filter(|(far, _)| *far <= budget);
    near.min().map(|(_, known)| known)
}
