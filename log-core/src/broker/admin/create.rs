//! Topics that are created and partitions that are added: what is checked, and what is taken where nothing is said.

use super::super::Broker;
use super::super::metadata::MetadataRecord;
use super::super::topics::{Topic, open_topic};
use crate::config::{self, Overrides};
use crate::group;
use crate::service::{
    CreatePartitions, CreateTopics, MorePartitions, NewTopic, PartitionDescription, TopicDescription,
};
use crate::storage::Known;
use crate::types::{
    ConfigResource, Error, LogOffsets, PartitionIndex, Result, TopicConfig, TopicId, TopicName, limits,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// A topic that was found to be in order.
struct Decided {
    name: TopicName,
    partitions: PartitionIndex,
    overrides: Overrides,
    config: TopicConfig,
}

impl Broker {
    pub(in crate::broker) async fn create(&self, request: CreateTopics) -> Vec<Result<TopicDescription>> {
        if request.topics.len() > limits::TOPICS_PER_REQUEST_MAX {
            let max = limits::TOPICS_PER_REQUEST_MAX;
            let why = Error::InvalidRequest { why: format!("a request creates {max} topics at most") };
            return request.topics.iter().map(|_| Err(why.clone())).collect();
        }
        let mut names = BTreeSet::new();
        let twice: BTreeSet<String> =
            request.topics.iter().filter(|topic| !names.insert(&topic.name)).map(|topic| topic.name.clone()).collect();
        let mut created = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            if twice.contains(&topic.name) {
                created.push(Err(Error::InvalidRequest { why: format!("topic `{}` is named twice", topic.name) }));
            } else if request.validate_only {
                let decided = self.check_open().and_then(|()| self.check_new(&topic, false));
                created.push(decided.map(|decided| decided.described()));
            } else {
                created.push(self.create_one(topic, false).await.map(|topic| topic.describe()));
            }
        }
        created
    }

    /// The topic, made if it is missing: for topics that the broker itself writes to.
    pub(in crate::broker) async fn ensure(&self, topic: impl Into<NewTopic>) -> Result<Arc<Topic>> {
        let topic = topic.into();
        let name = TopicName::new(&topic.name)?;
        if let Some(topic) = self.topics.get(&name) {
            return Ok(topic.clone());
        }
        match self.create_one(topic, true).await {
            Err(Error::TopicExists { .. }) => self.topic(&name),
            other => other,
        }
    }

    /// The topic that a client asks for, made if it is missing and the broker is told to (`auto.create.topics.enable`).
    pub(in crate::broker) async fn ensure_for_client(&self, name: &TopicName) -> Result<Arc<Topic>> {
        let found = self.topic(name);
        if found.is_ok() || !self.broker_settings().parsed("auto.create.topics.enable").unwrap_or(true) {
            return found;
        }
        let new = NewTopic { name: name.to_string(), ..NewTopic::default() };
        match self.create_one(new, false).await {
            Err(Error::TopicExists { .. }) => self.topic(name),
            other => other,
        }
    }

    async fn create_one(&self, topic: NewTopic, internal: bool) -> Result<Arc<Topic>> {
        let _one_at_a_time = self.topology.lock().await;
        self.check_open()?;
        let Decided { name, partitions, overrides, config } = self.check_new(&topic, internal)?;
        // Nothing touches the disk yet: a partition makes its directory when it is appended to.
        if let Some(error) = self.logs.flusher.failed() {
            return Err(error.clone());
        }
        let id = self.fresh_topic_id();
        let created = self.with_dir(|dir| {
            open_topic(dir, &self.logs, name.clone(), id, 0..partitions, config, |_| Known::new_partition())
        });
        let created = created.and_then(|opened| opened).and_then(|opened| {
            let created_at = self.clock.now();
            let mut records = vec![MetadataRecord::Topic { id, name: name.clone(), partitions, created_at }];
            if !overrides.is_empty() {
                let resource = ConfigResource::Topic(name.clone());
                records.push(MetadataRecord::Configs { resource, values: overrides });
            }
            self.decide(records).map(|()| opened)
        });
        // Should the record be there in spite of an error, the next open makes the topic's directories again: nobody
        // has written to them.
        let (topic, _nothing) = created.inspect_err(|_| self.remove_files(id))?;
        self.topics.insert(name.clone(), topic.clone());
        self.group_step(group::Input::Topic { name, id, partitions });
        Ok(topic)
    }

    fn check_new(&self, topic: &NewTopic, internal: bool) -> Result<Decided> {
        let image = self.image.read();
        let name = TopicName::new(&topic.name)?;
        if name.is_internal() && !internal {
            let why = format!("`{name}` is the name of a topic of the system");
            return Err(Error::InvalidRequest { why });
        }
        if image.topic_id(&name).is_some() {
            return Err(Error::TopicExists { name });
        }
        if let Some(other) = image.colliding(&name) {
            let why =
                format!("`{other}` exists, and the two differ only in `.` and `_`, which metrics cannot tell apart");
            return Err(Error::InvalidTopicName { name: name.to_string(), why });
        }
        let brokers = image.broker_settings(&self.started);
        let partitions = if topic.assignments.is_empty() {
            let factor = topic.replication_factor.or_else(|| brokers.parsed("default.replication.factor"));
            match factor {
                Some(1) | None => {}
                Some(factor) => return Err(Error::InvalidReplicationFactor { factor, brokers: 1 }),
            }
            topic.partitions.or_else(|| brokers.parsed("num.partitions")).unwrap_or(1)
        } else {
            if topic.partitions.is_some() || topic.replication_factor.is_some() {
                let why = "a topic has either an assignment, or a number of partitions and a replication factor".into();
                return Err(Error::InvalidRequest { why });
            }
            assigned(&topic.assignments, self.node_id)?
        };
        check_count(partitions)?;
        let resource = ConfigResource::Topic(name.clone());
        let overrides = config::checked(&resource, topic.configs.iter().map(|(name, value)| (name, value)))?;
        let config = config::topic_config(&overrides, &brokers);
        Ok(Decided { name, partitions, overrides, config })
    }

    pub(in crate::broker) async fn create_more(&self, request: CreatePartitions) -> Vec<Result<()>> {
        let mut names = BTreeSet::new();
        let twice: BTreeSet<TopicName> =
            request.topics.iter().filter(|more| !names.insert(&more.topic)).map(|more| more.topic.clone()).collect();
        let mut made = Vec::with_capacity(request.topics.len());
        for more in request.topics {
            made.push(if twice.contains(&more.topic) {
                Err(Error::InvalidRequest { why: format!("topic `{}` is named twice", more.topic) })
            } else {
                self.grow(more, request.validate_only).await
            });
        }
        made
    }

    async fn grow(&self, more: MorePartitions, validate_only: bool) -> Result<()> {
        let MorePartitions { topic: name, count, assignments } = more;
        let _one_at_a_time = self.topology.lock().await;
        self.check_open()?;
        let topic = self.topic(&name)?;
        if name.is_internal() {
            return Err(Error::InvalidRequest { why: format!("`{name}` belongs to the system") });
        }
        let present = topic.partitions.len() as PartitionIndex;
        if count <= present {
            let why = format!("topic `{name}` has {present} partitions, so it cannot be given {count} in all");
            return Err(Error::InvalidPartitions { why });
        }
        check_count(count)?;
        if let Some(assignments) = assignments {
            if assignments.len() != (count - present) as usize {
                let (new, given) = (count - present, assignments.len());
                let why = format!("{new} partitions are added and {given} are assigned");
                return Err(Error::InvalidReplicaAssignment { why });
            }
            let numbered: Vec<_> = (0..).zip(assignments).collect();
            assigned(&numbered, self.node_id)?;
        }
        if validate_only {
            return Ok(());
        }
        if let Some(error) = self.logs.flusher.failed() {
            return Err(error.clone());
        }
        let created_at = self.image.read().topics().get(&topic.id).map_or(self.clock.now(), |topic| topic.created_at);
        let (added, _nothing) = self.with_dir(|dir| {
            let (id, config) = (topic.id, topic.config.clone());
            open_topic(dir, &self.logs, name.clone(), id, present..count, config, |_| Known::new_partition())
        })??;
        self.decide(vec![MetadataRecord::Topic { id: topic.id, name: name.clone(), partitions: count, created_at }])?;
        let partitions = topic.partitions.iter().chain(&added.partitions).cloned().collect();
        let (id, config) = (topic.id, topic.config.clone());
        self.topics.insert(name.clone(), Arc::new(Topic { name: name.clone(), id, config, partitions }));
        self.group_step(group::Input::Topic { name, id, partitions: count });
        Ok(())
    }
}

impl Decided {
    /// The topic as it would be.
    fn described(self) -> TopicDescription {
        let partitions = (0..self.partitions).map(|partition| PartitionDescription {
            partition,
            offsets: LogOffsets::default(),
            bytes: 0,
            segments: 0,
            has_gaps: false,
            damage: None,
        });
        let id = TopicId(Uuid::nil());
        TopicDescription { name: self.name, id, config: self.config, partitions: partitions.collect() }
    }
}

fn check_count(partitions: PartitionIndex) -> Result<()> {
    if partitions == 0 || partitions > limits::PARTITIONS_MAX {
        let why = format!("a topic has 1 to {} partitions, not {partitions}", limits::PARTITIONS_MAX);
        return Err(Error::InvalidPartitions { why });
    }
    Ok(())
}

/// How many partitions are assigned: each once, from 0 on, to this broker.
fn assigned(assignments: &[(PartitionIndex, Vec<i32>)], node_id: i32) -> Result<PartitionIndex> {
    let invalid = |why: String| Err(Error::InvalidReplicaAssignment { why });
    let numbers: BTreeSet<_> = assignments.iter().map(|(partition, _)| *partition).collect();
    if numbers.len() != assignments.len() || numbers.iter().zip(0..).any(|(partition, index)| *partition != index) {
        return invalid("partitions are assigned once each, from 0 on, without gaps".into());
    }
    for (partition, brokers) in assignments {
        if brokers.is_empty() {
            return invalid(format!("partition {partition} is assigned to no broker"));
        }
        if brokers.as_slice() != [node_id] {
            return invalid(format!("partition {partition} is assigned to {brokers:?}; the only broker is {node_id}"));
        }
    }
    Ok(assignments.len() as PartitionIndex)
}
