//! Settings and the cluster: what can be told and changed of topics, brokers, groups, features, and where partitions lie.
//!
//! Settings of one broker are that broker's to tell and to change; everything else any broker answers or passes on to its
//! controller. What a newer broker names that is not known here is left out.

use super::Remote;
use super::cluster::{Target, answer, call};
use super::peer::Call;
use super::retry::{REQUEST_LIMIT, Trouble, persist};
use crate::service::{
    AlterConfigs, AlterReassignments, ByPartition, ClusterDescription, ConfigEntry, ConfigSynonym, DescribeConfigs,
    DescribeLogDirs, ElectLeaders, FeatureDescription, IncrementalAlterConfigs, LogDirDescription, UpdateFeatures,
};
use crate::types::{
    ConfigOperation, ConfigResource, ConfigSource, ConfigType, Error, GroupId, Result, TopicName, TopicPartition,
};
use crate::wire::describe_configs::{DescribeConfigsResource, DescribeConfigsResourceResult};
use crate::wire::describe_log_dirs::DescribableLogDirTopic;
use crate::wire::elect_leaders::TopicPartitions;
use crate::wire::update_features::FeatureUpdateKey;
use crate::wire::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, ElectLeadersRequest, ErrorCode, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    Request, UpdateFeaturesRequest, alter_configs, alter_partition_reassignments, incremental_alter_configs,
};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How long a broker may take for a change.
const CHANGE_MS: i32 = 30_000;

/// Who answers for a resource.
fn target(resource: &ConfigResource) -> Target {
    match resource {
        ConfigResource::Broker(Some(id)) => Target::Node(*id),
        _ => Target::Any,
    }
}

impl Remote {
    /// What an answer means for one thing.
    fn checked_of(&self, code: i16, message: Option<&str>, subject: &str) -> Result<(), Trouble> {
        self.checked_change(code, subject, message)
    }

    pub(super) async fn look_at_configs(&self, request: DescribeConfigs) -> Vec<Result<Vec<ConfigEntry>>> {
        let DescribeConfigs { resources, include_synonyms, include_documentation } = request;
        let mut results = Vec::with_capacity(resources.len());
        // What one broker can answer goes in one request, in the order in which it was asked.
        let mut shared = Vec::new();
        for (place, (resource, keys)) in resources.into_iter().enumerate() {
            results.push(Err(Error::Closed));
            if target(&resource) == Target::Any {
                shared.push((place, resource, keys));
                continue;
            }
            let to = target(&resource);
            let one = vec![(resource, keys)];
            let told = self.configs_at(to, one, include_synonyms, include_documentation).await;
            results[place] = told.into_iter().next().unwrap_or(Err(Error::Closed));
        }
        let (places, asked): (Vec<_>, Vec<_>) =
            shared.into_iter().map(|(place, resource, keys)| (place, (resource, keys))).unzip();
        if !asked.is_empty() {
            let told = self.configs_at(Target::Any, asked, include_synonyms, include_documentation).await;
            places.into_iter().zip(told).for_each(|(place, told)| results[place] = told);
        }
        results
    }

    async fn configs_at(
        &self,
        to: Target,
        asked: Vec<(ConfigResource, Option<Vec<String>>)>,
        include_synonyms: bool,
        include_documentation: bool,
    ) -> Vec<Result<Vec<ConfigEntry>>> {
        let resource = |(resource, keys): &(ConfigResource, Option<Vec<String>>)| DescribeConfigsResource {
            resource_type: resource.code(),
            resource_name: resource.name().into(),
            configuration_keys: keys.as_ref().map(|keys| keys.iter().map(|key| key.as_str().into()).collect()),
        };
        let request = DescribeConfigsRequest {
            resources: asked.iter().map(resource).collect(),
            include_synonyms,
            include_documentation,
        };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::DescribeConfigs(request.clone()));
            Ok::<_, Trouble>(answer!(self.cluster.ask(to, call).await, DescribeConfigs)?)
        });
        let mut told: HashMap<_, _> = match told {
            Ok(told) => {
                told.results.into_iter().map(|one| ((one.resource_type, one.resource_name.to_string()), one)).collect()
            }
            Err(error) => return asked.iter().map(|_| Err(error.clone())).collect(),
        };
        let of = |(resource, _): &(ConfigResource, Option<Vec<String>>)| {
            let name = resource.name();
            let one = told.remove(&(resource.code(), name.clone())).ok_or_else(|| left_out(&name))?;
            self.checked_of(one.error_code, one.error_message.as_deref(), &name).map_err(Trouble::error)?;
            Ok(one.configs.into_iter().map(entry).collect())
        };
        asked.iter().map(of).collect()
    }

    pub(super) async fn set_configs(&self, request: AlterConfigs) -> Vec<Result<()>> {
        let AlterConfigs { resources, validate_only } = request;
        let mut results = Vec::with_capacity(resources.len());
        for (resource, values) in resources {
            let value = |(name, value): (String, Option<String>)| alter_configs::AlterableConfig {
                name: name.into(),
                value: value.map(Into::into),
            };
            let one = alter_configs::AlterConfigsResource {
                resource_type: resource.code(),
                resource_name: resource.name().into(),
                configs: values.into_iter().map(value).collect(),
            };
            let request = AlterConfigsRequest { resources: vec![one], validate_only };
            results.push(persist!(self.cluster.patience(REQUEST_LIMIT), async {
                let call = call(Request::AlterConfigs(request.clone()));
                let told = answer!(self.cluster.ask(target(&resource), call).await, AlterConfigs)?;
                let told = told.responses.into_iter().next().ok_or_else(|| left_out(&resource.name()))?;
                self.checked_of(told.error_code, told.error_message.as_deref(), &resource.name())
            }));
        }
        results
    }

    pub(super) async fn change_configs(&self, request: IncrementalAlterConfigs) -> Vec<Result<()>> {
        let IncrementalAlterConfigs { resources, validate_only } = request;
        let mut results = Vec::with_capacity(resources.len());
        for (resource, changes) in resources {
            let change = |change: crate::types::ConfigChange| incremental_alter_configs::AlterableConfig {
                name: change.name.into(),
                config_operation: code_of(change.operation),
                value: change.value.map(Into::into),
            };
            let one = incremental_alter_configs::AlterConfigsResource {
                resource_type: resource.code(),
                resource_name: resource.name().into(),
                configs: changes.into_iter().map(change).collect(),
            };
            let request = IncrementalAlterConfigsRequest { resources: vec![one], validate_only };
            results.push(persist!(self.cluster.patience(REQUEST_LIMIT), async {
                let call = call(Request::IncrementalAlterConfigs(request.clone()));
                let told = answer!(self.cluster.ask(target(&resource), call).await, IncrementalAlterConfigs)?;
                let told = told.responses.into_iter().next().ok_or_else(|| left_out(&resource.name()))?;
                self.checked_of(told.error_code, told.error_message.as_deref(), &resource.name())
            }));
        }
        results
    }

    pub(super) async fn find_config_resources(&self) -> Result<Vec<ConfigResource>> {
        let request = ListConfigResourcesRequest::default();
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            // Version 0 knows of nothing that has a place here.
            let call = Call { versions: 1..=i16::MAX, ..call(Request::ListConfigResources(request.clone())) };
            let told = answer!(self.cluster.ask(Target::Any, call).await, ListConfigResources)?;
            Trouble::check(told.error_code, "settings", None)?;
            Ok::<_, Trouble>(told)
        })?;
        let known = told.config_resources.iter().filter_map(|one| match one.resource_type {
            2 => TopicName::new(&*one.resource_name).ok().map(ConfigResource::Topic),
            4 if one.resource_name.is_empty() => Some(ConfigResource::Broker(None)),
            4 => one.resource_name.parse().ok().map(|id| ConfigResource::Broker(Some(id))),
            32 => GroupId::new(&*one.resource_name).ok().map(ConfigResource::Group),
            _ => None,
        });
        Ok(known.collect())
    }

    pub(super) async fn look_at_cluster(&self) -> Result<ClusterDescription> {
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::DescribeCluster(DescribeClusterRequest::default()));
            let told = answer!(self.cluster.ask(Target::Any, call).await, DescribeCluster)?;
            Trouble::check(told.error_code, "the cluster", told.error_message.as_deref())?;
            Ok::<_, Trouble>(told)
        })?;
        Ok(ClusterDescription {
            cluster_id: told.cluster_id.into(),
            controller_id: told.controller_id,
            brokers: told.brokers.iter().map(|broker| broker.broker_id).collect(),
        })
    }

    /// Asks all brokers, each for so long.
    pub(super) async fn look_at_log_dirs(
        &self,
        request: DescribeLogDirs,
        limit: Duration,
    ) -> Result<Vec<LogDirDescription>> {
        let topics = request.partitions.map(|partitions| {
            let mut topics = BTreeMap::<String, Vec<i32>>::new();
            for partition in partitions {
                let index = i32::try_from(partition.partition).unwrap_or(i32::MAX);
                topics.entry(partition.topic.to_string()).or_default().push(index);
            }
            topics.into_iter().map(|(topic, partitions)| DescribableLogDirTopic { topic: topic.into(), partitions })
        });
        let request = DescribeLogDirsRequest { topics: topics.map(Iterator::collect) };
        let nodes: Vec<_> = self.cluster.image.lock().brokers.keys().copied().collect();
        let mut described = Vec::new();
        for node in nodes {
            let told = persist!(self.cluster.patience(limit), async {
                let call = call(Request::DescribeLogDirs(request.clone()));
                let told = answer!(self.cluster.ask(Target::Node(node), call).await, DescribeLogDirs)?;
                Trouble::check(told.error_code, "data directories", None)?;
                Ok::<_, Trouble>(told)
            })?;
            for one in told.results {
                if let Some(error) = ErrorCode::from_number(one.error_code).error(&one.log_dir, None) {
                    return Err(error);
                }
                let partitions = one.topics.iter().flat_map(|topic| {
                    topic.partitions.iter().filter(|partition| !partition.is_future_key).filter_map(|partition| {
                        let index = u32::try_from(partition.partition_index).ok()?;
                        let bytes = u64::try_from(partition.partition_size).unwrap_or(0);
                        Some((TopicPartition::new(TopicName::new(&*topic.name).ok()?, index), bytes))
                    })
                });
                let free_bytes = u64::try_from(one.usable_bytes).ok();
                described.push(LogDirDescription {
                    partitions: partitions.collect(),
                    path: one.log_dir.into(),
                    free_bytes,
                });
            }
        }
        Ok(described)
    }

    pub(super) async fn elect(&self, request: ElectLeaders) -> Result<ByPartition<()>> {
        let topic_partitions = request.partitions.map(|partitions| {
            let mut topics = BTreeMap::<String, Vec<i32>>::new();
            for partition in partitions {
                let index = i32::try_from(partition.partition).unwrap_or(i32::MAX);
                topics.entry(partition.topic.to_string()).or_default().push(index);
            }
            topics.into_iter().map(|(topic, partitions)| TopicPartitions { topic: topic.into(), partitions }).collect()
        });
        let request = ElectLeadersRequest { topic_partitions, timeout_ms: CHANGE_MS, ..Default::default() };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::ElectLeaders(request.clone()));
            let told = answer!(self.cluster.ask_controller(call).await, ElectLeaders)?;
            self.checked_of(told.error_code, None, "leaders")?;
            Ok::<_, Trouble>(told)
        })?;
        let mut results = Vec::new();
        for topic in &told.replica_election_results {
            let Ok(name) = TopicName::new(&*topic.topic) else { continue };
            for one in &topic.partition_result {
                let Ok(index) = u32::try_from(one.partition_id) else { continue };
                let partition = TopicPartition::new(name.clone(), index);
                let result = match ErrorCode::from_number(one.error_code) {
                    ErrorCode::ElectionNotNeeded => Err(Error::ElectionNotNeeded { partition: partition.clone() }),
                    code => code.error(name.as_str(), one.error_message.as_deref()).map_or(Ok(()), Err),
                };
                results.push((partition, result));
            }
        }
        Ok(results)
    }

    pub(super) async fn reassign(&self, request: AlterReassignments) -> Vec<Result<()>> {
        let mut topics = BTreeMap::<String, Vec<_>>::new();
        for (partition, replicas) in &request.partitions {
            let partition_index = i32::try_from(partition.partition).unwrap_or(i32::MAX);
            let replicas = replicas.clone();
            let one = alter_partition_reassignments::ReassignablePartition { partition_index, replicas };
            topics.entry(partition.topic.to_string()).or_default().push(one);
        }
        let topic = |(name, partitions): (String, Vec<_>)| alter_partition_reassignments::ReassignableTopic {
            name: name.into(),
            partitions,
        };
        let asked = AlterPartitionReassignmentsRequest {
            timeout_ms: CHANGE_MS,
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::AlterPartitionReassignments(asked.clone()));
            let told = answer!(self.cluster.ask_controller(call).await, AlterPartitionReassignments)?;
            self.checked_of(told.error_code, told.error_message.as_deref(), "partitions")?;
            Ok::<_, Trouble>(told)
        });
        let told = match told {
            Ok(told) => told,
            Err(error) => return request.partitions.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut results = HashMap::new();
        for topic in told.responses {
            for one in topic.partitions {
                results.insert((topic.name.to_string(), one.partition_index), (one.error_code, one.error_message));
            }
        }
        let result = |(partition, _): (TopicPartition, Option<Vec<i32>>)| {
            let key = (partition.topic.to_string(), i32::try_from(partition.partition).unwrap_or(i32::MAX));
            let (code, message) = results.remove(&key).ok_or_else(|| left_out(&partition.to_string()))?;
            match ErrorCode::from_number(code) {
                ErrorCode::NoReassignmentInProgress => Err(Error::NoReassignment { partition }),
                code => code.error(partition.topic.as_str(), message.as_deref()).map_or(Ok(()), Err),
            }
        };
        request.partitions.into_iter().map(result).collect()
    }

    pub(super) async fn look_at_features(&self) -> Result<Vec<FeatureDescription>> {
        let versions = persist!(self.cluster.patience(REQUEST_LIMIT), self.cluster.versions(Target::Any))?;
        Ok(versions.features().to_vec())
    }

    pub(super) async fn change_features(&self, request: UpdateFeatures) -> Result<()> {
        let UpdateFeatures { updates, validate_only } = request;
        let update = |(feature, level, may_be_lower): (String, i16, bool)| FeatureUpdateKey {
            feature: feature.into(),
            max_version_level: level,
            allow_downgrade: may_be_lower,
            upgrade_type: if may_be_lower { 2 } else { 1 },
        };
        let feature_updates = updates.into_iter().map(update).collect();
        let asked = UpdateFeaturesRequest { timeout_ms: CHANGE_MS, feature_updates, validate_only };
        let versions = if validate_only { 1..=i16::MAX } else { 0..=i16::MAX };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = Call { versions: versions.clone(), ..call(Request::UpdateFeatures(asked.clone())) };
            let told = answer!(self.cluster.ask_controller(call).await, UpdateFeatures)?;
            self.checked_of(told.error_code, told.error_message.as_deref(), "features")?;
            let mut each = told.results.iter();
            each.try_for_each(|one| self.checked_of(one.error_code, one.error_message.as_deref(), &one.feature))
        })
    }
}

fn left_out(subject: &str) -> Error {
    Error::Malformed { why: format!("the broker's answer leaves out {subject}") }
}

const fn code_of(operation: ConfigOperation) -> i8 {
    match operation {
        ConfigOperation::Set => 0,
        ConfigOperation::Delete => 1,
        ConfigOperation::Append => 2,
        ConfigOperation::Subtract => 3,
    }
}

/// What Kafka's code of a source means here.
const fn source(code: i8) -> ConfigSource {
    match code {
        1 => ConfigSource::Topic,
        2 => ConfigSource::Broker,
        3 => ConfigSource::DefaultBroker,
        4 => ConfigSource::Started,
        8 => ConfigSource::Group,
        _ => ConfigSource::Default,
    }
}

fn entry(told: DescribeConfigsResourceResult) -> ConfigEntry {
    let synonym = |told: crate::wire::describe_configs::DescribeConfigsSynonym| ConfigSynonym {
        name: told.name.into(),
        value: told.value.map(Into::into),
        source: source(told.source),
    };
    ConfigEntry {
        name: told.name.into(),
        value: told.value.map(Into::into),
        read_only: told.read_only,
        source: source(told.config_source),
        kind: match told.config_type {
            1 => ConfigType::Boolean,
            3 => ConfigType::Int,
            // Kafka's short has no type of its own here.
            4 => ConfigType::Int,
            5 => ConfigType::Long,
            6 => ConfigType::Double,
            7 => ConfigType::List,
            _ => ConfigType::String,
        },
        synonyms: told.synonyms.into_iter().map(synonym).collect(),
        documentation: told.documentation.map(Into::into),
    }
}
