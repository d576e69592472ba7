//! Topics: made and deleted by the controller, described from metadata, from their leaders and from their settings.

use super::Remote;
use super::cluster::{answer, call};
use super::retry::{REQUEST_LIMIT, Trouble, persist};
use crate::config::{BrokerSettings, Overrides, topic_config};
use crate::service::{
    CreatePartitions, CreateTopics, DeleteTopic, DescribeConfigs, DescribeLogDirs, DescribeTopics, NewTopic,
    PartitionDescription, Service, TopicDescription, TopicRef,
};
use crate::types::{
    ConfigResource, Error, LogOffsets, PartitionIndex, Result, TopicConfig, TopicId, TopicName, TopicPartition,
};
use crate::wire::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use crate::wire::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};
use crate::wire::delete_topics::DeleteTopicState;
use crate::wire::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, ErrorCode, Request};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use uuid::Uuid;

/// How long the controller may take for a change of topics.
const CHANGE_MS: i32 = 30_000;
/// As the broker is set.
const AS_SET: i32 = -1;

impl Remote {
    pub(super) async fn make_topics(&self, request: CreateTopics) -> Vec<Result<TopicDescription>> {
        let CreateTopics { topics, validate_only } = request;
        let names: Vec<String> = topics.iter().map(|topic| topic.name.clone()).collect();
        let mut results = Vec::with_capacity(names.len());
        for topic in topics {
            // One by one: a topic that is made must not be tried again for another that has to wait.
            results.push(self.make_topic(topic, validate_only).await);
        }
        let made: Vec<TopicName> = results.iter().flatten().map(|made| made.name.clone()).collect();
        if validate_only || made.is_empty() {
            return results;
        }
        self.until_led(&made).await;
        let described = self.describe_named(&made).await;
        let mut described: HashMap<_, _> = made.into_iter().zip(described).collect();
        results.into_iter().map(|made| made.and_then(|m| described.remove(&m.name).unwrap_or(Ok(m)))).collect()
    }

    async fn make_topic(&self, topic: NewTopic, validate_only: bool) -> Result<TopicDescription> {
        let name = TopicName::new(&topic.name)?;
        let request = CreateTopicsRequest { topics: vec![creatable(&topic)], timeout_ms: CHANGE_MS, validate_only };
        let made = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::CreateTopics(request.clone()));
            let response = answer!(self.cluster.ask_controller(call).await, CreateTopics)?;
            let told = response.topics.into_iter().next().unwrap_or_default();
            self.checked_change(told.error_code, name.as_str(), told.error_message.as_deref())?;
            Ok::<CreatableTopicResult, Trouble>(told)
        });
        let made = made?;
        let asked = topic.partitions.unwrap_or(topic.assignments.len() as PartitionIndex);
        let count = PartitionIndex::try_from(made.num_partitions).unwrap_or(asked);
        let partition = |partition| described(partition, Ok(LogOffsets::default()));
        let config = made.configs.unwrap_or_default();
        let config = config.into_iter().filter_map(|set| Some((set.name.into(), set.value?.into()))).collect();
        Ok(TopicDescription {
            name,
            id: TopicId(made.topic_id),
            config: topic_config(&config, &BrokerSettings::default()),
            partitions: (0..count).map(partition).collect(),
        })
    }

    /// What an answer of the controller means. One that is none any more is looked up again.
    pub(super) fn checked_change(&self, code: i16, subject: &str, message: Option<&str>) -> Result<(), Trouble> {
        match ErrorCode::from_number(code) {
            ErrorCode::NotController => self.cluster.image.lock().forget_controller(),
            // Nothing was found to be changed, and nothing will be.
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => {
                return Trouble::check(code, subject, message).map_err(|trouble| Trouble::Final(trouble.error()));
            }
            _ => {}
        }
        Trouble::check(code, subject, message)
    }

    /// Waits until brokers tell who leads new topics. That they do not is found out by whoever writes to them.
    async fn until_led(&self, names: &[TopicName]) {
        let waited: Result<()> = persist!(self.cluster.patience(REQUEST_LIMIT / 2), async {
            names.iter().for_each(|name| self.cluster.image.lock().forget(name));
            match self.cluster.topics(names).await {
                Err(trouble) => Err(Trouble::Again(trouble.error())),
                Ok(topics) => match topics.values().find(|topic| topic.partitions.iter().any(|p| p.node.is_none())) {
                    Some(topic) => Trouble::check(ErrorCode::LeaderNotAvailable.number(), topic.name.as_str(), None),
                    None => Ok(()),
                },
            }
        });
        if let Err(error) = waited {
            tracing::warn!(%error, "new topics have no leaders yet");
        }
    }

    pub(super) async fn drop_topic(&self, request: DeleteTopic) -> Result<()> {
        let (name, id) = match request.topic {
            TopicRef::Name(name) => (Some(name), Uuid::nil()),
            TopicRef::Id(id) => (None, id.0),
        };
        let subject = name.as_ref().map_or_else(|| id.to_string(), TopicName::to_string);
        let state = DeleteTopicState { name: name.as_ref().map(|name| name.as_str().into()), topic_id: id };
        let request = DeleteTopicsRequest {
            topics: vec![state],
            topic_names: name.iter().map(|name| name.as_str().into()).collect(),
            timeout_ms: CHANGE_MS,
        };
        // Before it, topics go by name.
        let versions = if name.is_some() { 1..=i16::MAX } else { 6..=i16::MAX };
        let mut may_be_done = false;
        let deleted = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = super::peer::Call { versions: versions.clone(), ..call(Request::DeleteTopics(request.clone())) };
            let asked = answer!(self.cluster.ask_controller(call).await, DeleteTopics);
            let response = asked.inspect_err(|lost| may_be_done |= lost.may_be_done)?;
            let told = response.responses.into_iter().next().unwrap_or_default();
            let checked = match ErrorCode::from_number(told.error_code) {
                // Ours was the request whose answer was lost, or another's: it is gone.
                ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId if may_be_done => Ok(()),
                ErrorCode::UnknownTopicId => Err(Trouble::Final(Error::UnknownTopicId { id: TopicId(id) })),
                _ => self.checked_change(told.error_code, &subject, told.error_message.as_deref()),
            };
            checked.map(|()| told.name)
        });
        let told = deleted?;
        if let Some(name) = name.or_else(|| TopicName::new(told?.as_ref()).ok()) {
            self.cluster.image.lock().forget(&name);
        }
        Ok(())
    }

    pub(super) async fn more_partitions(&self, request: CreatePartitions) -> Vec<Result<()>> {
        let CreatePartitions { topics, validate_only } = request;
        let mut results = Vec::with_capacity(topics.len());
        for more in topics {
            let assignments = more
                .assignments
                .map(|all| all.into_iter().map(|broker_ids| CreatePartitionsAssignment { broker_ids }).collect());
            let topic = CreatePartitionsTopic {
                name: more.topic.as_str().into(),
                count: i32::try_from(more.count).unwrap_or(i32::MAX),
                assignments,
            };
            let request = CreatePartitionsRequest { topics: vec![topic], timeout_ms: CHANGE_MS, validate_only };
            let made = persist!(self.cluster.patience(REQUEST_LIMIT), async {
                let call = call(Request::CreatePartitions(request.clone()));
                let response = answer!(self.cluster.ask_controller(call).await, CreatePartitions)?;
                let told = response.results.into_iter().next().unwrap_or_default();
                self.checked_change(told.error_code, more.topic.as_str(), told.error_message.as_deref())
            });
            if made.is_ok() && !validate_only {
                self.until_there(&more.topic, more.count).await;
            }
            results.push(made);
        }
        results
    }

    /// Waits until brokers tell of new partitions.
    async fn until_there(&self, topic: &TopicName, count: PartitionIndex) {
        let waited: Result<()> = persist!(self.cluster.patience(REQUEST_LIMIT / 2), async {
            self.cluster.mark_stale(topic);
            let known = self.cluster.topic(topic).await?;
            match known.partitions.len() < count as usize || known.partitions.iter().any(|p| p.node.is_none()) {
                true => Trouble::check(ErrorCode::LeaderNotAvailable.number(), topic.as_str(), None),
                false => Ok(()),
            }
        });
        if let Err(error) = waited {
            tracing::warn!(%topic, %error, "new partitions have no leaders yet");
        }
    }

    pub(super) async fn look_at_topics(&self, request: DescribeTopics) -> Result<Vec<TopicDescription>> {
        let DescribeTopics { topics, include_internal } = request;
        let names = match topics {
            Some(names) => {
                // As they are now, not as they were.
                names.iter().for_each(|name| self.cluster.mark_stale(name));
                names
            }
            None => {
                let all = persist!(self.cluster.patience(REQUEST_LIMIT), async {
                    Ok::<_, Trouble>(self.cluster.metadata(None).await?)
                })?;
                let wanted =
                    all.topics.iter().filter(|told| told.error_code == 0 && (include_internal || !told.is_internal));
                let mut names: Vec<_> = wanted.filter_map(|told| TopicName::new(told.name.as_deref()?).ok()).collect();
                names.sort();
                names
            }
        };
        self.describe_named(&names).await.into_iter().collect()
    }

    async fn describe_named(&self, names: &[TopicName]) -> Vec<Result<TopicDescription>> {
        if names.is_empty() {
            return Vec::new();
        }
        let known = persist!(self.cluster.patience(REQUEST_LIMIT), self.cluster.topics(names));
        let known = match known {
            Ok(known) => known,
            Err(error) => return names.iter().map(|_| Err(error.clone())).collect(),
        };
        let of = |name: &TopicName| known.get(name).map_or(0, |topic| topic.partitions.len()) as PartitionIndex;
        let partitions: Vec<_> =
            names.iter().flat_map(|name| (0..of(name)).map(|p| TopicPartition::new(name.clone(), p))).collect();
        let (offsets, mut configs, sizes) =
            tokio::join!(self.ladders(&partitions), self.configs_of(names), self.sizes_of(&partitions));
        let mut offsets = offsets.into_iter();
        let describe = |name: &TopicName| TopicDescription {
            name: name.clone(),
            id: TopicId(known.get(name).map_or(Uuid::nil(), |topic| topic.uuid())),
            config: configs.remove(name).unwrap_or_default(),
            partitions: (0..of(name))
                .map(|p| {
                    let bytes = sizes.get(&TopicPartition::new(name.clone(), p)).copied().unwrap_or(0);
                    let offsets = offsets.next().unwrap_or(Err(Error::Closed));
                    PartitionDescription { bytes, ..described(p, offsets) }
                })
                .collect(),
        };
        names.iter().map(describe).map(Ok).collect()
    }

    /// Bytes of partitions, as far as they are told; of several replicas the largest.
    async fn sizes_of(&self, partitions: &[TopicPartition]) -> BTreeMap<TopicPartition, u64> {
        let request = DescribeLogDirs { partitions: Some(partitions.to_vec()) };
        let mut sizes = BTreeMap::new();
        match self.look_at_log_dirs(request, Duration::ZERO).await {
            Ok(dirs) => {
                for (partition, bytes) in dirs.into_iter().flat_map(|dir| dir.partitions) {
                    let known: &mut u64 = sizes.entry(partition).or_default();
                    *known = bytes.max(*known);
                }
            }
            Err(error) => tracing::debug!(%error, "the sizes of partitions are not told"),
        }
        sizes
    }

    /// The settings of topics, as far as they are told: a broker may not offer them, or not to this user.
    async fn configs_of(&self, names: &[TopicName]) -> BTreeMap<TopicName, TopicConfig> {
        let resources = names.iter().map(|name| (ConfigResource::Topic(name.clone()), None)).collect();
        let described = self.describe_configs(DescribeConfigs { resources, ..Default::default() }).await;
        let mut configs = BTreeMap::new();
        for (name, entries) in names.iter().zip(described) {
            let entries = match entries {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::debug!(%name, %error, "the topic's settings are not told");
                    continue;
                }
            };
            let set: Overrides = entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect();
            configs.insert(name.clone(), topic_config(&set, &BrokerSettings::default()));
        }
        configs
    }
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let assigned = topic.assignments.iter().map(|(index, broker_ids)| CreatableReplicaAssignment {
        partition_index: i32::try_from(*index).unwrap_or(i32::MAX),
        broker_ids: broker_ids.clone(),
    });
    let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: name.as_str().into(),
        value: value.as_deref().map(Into::into),
    });
    CreatableTopic {
        name: topic.name.as_str().into(),
        num_partitions: topic.partitions.map_or(AS_SET, |count| i32::try_from(count).unwrap_or(i32::MAX)),
        replication_factor: topic.replication_factor.unwrap_or(AS_SET as i16),
        assignments: assigned.collect(),
        configs: configs.collect(),
    }
}

/// A partition, with what a broker tells of one. Files are its own business; that there are no gaps nobody says.
fn described(partition: PartitionIndex, offsets: Result<LogOffsets>) -> PartitionDescription {
    let (offsets, damage) = match offsets {
        Ok(offsets) => (offsets, None),
        Err(error) => (LogOffsets::default(), Some(error)),
    };
    PartitionDescription { partition, offsets, bytes: 0, segments: 0, has_gaps: true, damage }
}
