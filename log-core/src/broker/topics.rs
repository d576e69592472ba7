//! Which topics are open: the registry, and what describes and deletes them. `admin` creates them.

use super::Broker;
use super::flush::Changes;
use super::logs::Logs;
use super::metadata::MetadataRecord;
use super::partition::Partition;
use crate::group;
use crate::service::{DeleteTopic, DescribeTopics, PartitionDescription, TopicDescription, TopicRef};
use crate::shard::Description;
use crate::storage::{CheckpointReport, DataDir, Known, LogConfig, OpenReport, PartitionLog};
use crate::types::{
    Cleanup, Error, Flush, PartitionIndex, Result, TopicConfig, TopicId, TopicName, TopicPartition, TopicSpec,
};
use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;
use uuid::Builder;

/// The internal topic of committed offsets.
pub(super) const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// The internal topic of queue states.
pub(super) const SHARE_STATE: &str = "__share_state";
/// The internal topic of transactional ids.
pub(super) const TRANSACTION_STATE: &str = "__transaction_state";

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

    pub(super) fn describe(&self) -> TopicDescription {
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

    /// A topic by its identity.
    pub(super) fn topic_by_id(&self, id: TopicId) -> Result<Arc<Topic>> {
        let name = self.image.read().topics().get(&id).map(|topic| topic.name.clone());
        let found = name.and_then(|name| self.topics.get(&name).map(|topic| topic.clone()));
        // Made again under its name meanwhile, it is another one.
        found.filter(|topic| topic.id == id).ok_or(Error::UnknownTopicId { id })
    }

    /// All topics, by name.
    pub(super) fn open_topics(&self) -> Vec<Arc<Topic>> {
        let mut topics: Vec<_> = self.topics.iter().map(|topic| topic.clone()).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    pub(super) fn partition(&self, name: &TopicPartition) -> Result<Arc<Partition>> {
        self.topic(&name.topic)?.partition(name.partition).cloned()
    }

    pub(super) async fn ensure_internal(&self, name: &str) -> Result<Arc<Topic>> {
        self.ensure(TopicSpec::new(name, 1)?).await
    }

    /// The same for one whose records have keys, of which the last of each is kept.
    pub(super) async fn ensure_compacted(&self, name: &str) -> Result<Arc<Topic>> {
        let mut spec = TopicSpec::new(name, 1)?;
        spec.config.cleanup = Cleanup::Compact;
        self.ensure(spec).await
    }

    pub(super) async fn delete(&self, request: DeleteTopic) -> Result<()> {
        let _one_at_a_time = self.topology.lock().await;
        self.check_open()?;
        let topic = match request.topic {
            TopicRef::Name(name) => self.topic(&name)?,
            TopicRef::Id(id) => self.topic_by_id(id)?,
        };
        let name = topic.name.clone();
        if name.is_internal() {
            return Err(Error::InvalidRequest { why: format!("`{name}` belongs to the system") });
        }
        let deleted = MetadataRecord::TopicDeleted { name: name.clone(), id: topic.id };
        match self.decide(vec![deleted.clone()]) {
            // What makes room must not fail for want of it.
            Err(Error::DiskFull { .. }) if self.with_dir(|dir| dir.release_ballast())? => self.decide(vec![deleted])?,
            other => other?,
        }
        self.topics.remove(&name);
        for partition in &topic.partitions {
            partition.remove(Error::UnknownTopic { name: name.to_string(), did_you_mean: None });
        }
        self.logs.flusher.forget(topic.id);
        self.group_step(group::Input::TopicDeleted { id: topic.id });
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

    /// An identity that no topic has or had.
    pub(super) fn fresh_topic_id(&self) -> TopicId {
        loop {
            let id = TopicId(Builder::from_random_bytes(self.random()).into_uuid());
            if self.identities.lock().used.insert(id) {
                return id;
            }
        }
    }

    /// Chance for identities; not for secrets.
    pub(super) fn random(&self) -> [u8; 16] {
        let mut identities = self.identities.lock();
        let mut random = [0; 16];
        random[..8].copy_from_slice(&identities.rng.next_u64().to_be_bytes());
        random[8..].copy_from_slice(&identities.rng.next_u64().to_be_bytes());
        random
    }

    /// Removes a topic's directory. When that fails it is tried again at the next open.
    pub(super) fn remove_files(&self, id: TopicId) {
        if let Err(error) = self.with_dir(|dir| dir.delete_topic(id)).and_then(|removed| removed) {
            tracing::warn!(topic = %id, %error, "the files of a deleted topic were not removed");
        }
    }
}

/// Opens the logs of some of a topic's partitions. `known` is what the checkpoint knows of each.
pub(super) fn open_topic(
    dir: &DataDir,
    logs: &Logs,
    name: TopicName,
    id: TopicId,
    partitions: Range<PartitionIndex>,
    config: TopicConfig,
    known: impl Fn(PartitionIndex) -> Known,
) -> Result<(Arc<Topic>, Changes)> {
    let (mut open, mut changes) = (Vec::with_capacity(partitions.len()), Vec::new());
    // What the broker itself writes is never lost.
    let flush = if name.is_internal() { Flush::Durable } else { config.flush };
    for index in partitions {
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

/// Removes what interrupted requests left: directories of topics that were deleted, and empty ones of topics that were
/// not created in the end. A directory with records that the metadata log does not know stays as it is.
pub(super) fn remove_leftovers(dir: &DataDir, used: &HashSet<TopicId>, deleted: &BTreeSet<TopicId>) -> Result<()> {
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
