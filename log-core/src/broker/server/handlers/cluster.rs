//! DescribeLogDirs, AlterReplicaLogDirs, ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments,
//! DescribeQuorum, UpdateFeatures, UnregisterBroker: what operators of many brokers ask, of one.
//!
//! It has one directory, leads everything, and moves nothing. What asks for that to be as it is succeeds; anything else is
//! refused with the error that Kafka has for it.

use super::{Refusal, check_cluster, text};
use crate::broker::server::context::Context;
use crate::service::{AlterReassignments, DescribeLogDirs, ElectLeaders, LogDirDescription, Service, UpdateFeatures};
use crate::types::{AclOperation, Error, TopicName, TopicPartition};
use crate::wire::alter_partition_reassignments::{ReassignablePartitionResponse, ReassignableTopicResponse};
use crate::wire::alter_replica_log_dirs::{AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult};
use crate::wire::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::wire::describe_quorum::{Listener, Node, PartitionDataResult, ReplicaState, TopicDataResult};
use crate::wire::elect_leaders::{PartitionResult, ReplicaElectionResult, TopicPartitions};
use crate::wire::update_features::{FeatureUpdateKey, UpdatableFeatureResult};
use crate::wire::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterReplicaLogDirsRequest,
    AlterReplicaLogDirsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeQuorumRequest,
    DescribeQuorumResponse, ElectLeadersRequest, ElectLeadersResponse, ErrorCode, ListPartitionReassignmentsResponse,
    Str, UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest, UpdateFeaturesResponse, Version,
};
use std::collections::BTreeMap;
use std::path::Path;

/// What clients know the metadata log by.
const METADATA_TOPIC: &str = "__cluster_metadata";
/// Kinds of elections, by Kafka's codes: of the preferred replica, and of any.
const ELECTIONS: [i8; 2] = [0, 1];
/// How a feature's level may change, by Kafka's codes: up only, down where nothing is lost, down whatever is lost.
const UPGRADE: i8 = 1;
const DOWNGRADES: [i8; 2] = [2, 3];
/// The first version of UpdateFeatures that says which way a level may change.
const UPGRADE_TYPE_FROM: i16 = 1;
/// The last version that has a result for each feature.
const RESULTS_TO: i16 = 1;

/// A partition by the name and number of a request; whether it is there is another question.
fn named(topic: &str, index: i32) -> Result<TopicPartition, ErrorCode> {
    let name = TopicName::new(topic).map_err(|error| ErrorCode::of(&error))?;
    let index = u32::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
    Ok(TopicPartition::new(name, index))
}

pub(in crate::broker::server) async fn describe_log_dirs(
    context: &Context,
    request: DescribeLogDirsRequest,
) -> DescribeLogDirsResponse {
    let refuse = |code: ErrorCode| DescribeLogDirsResponse { error_code: code.number(), ..Default::default() };
    if let Err(code) = check_cluster(context, AclOperation::Describe) {
        return refuse(code);
    }
    let of = |asked: DescribableLogDirTopic| {
        let name = asked.topic;
        asked.partitions.into_iter().filter_map(move |index| named(&name, index).ok())
    };
    let partitions = request.topics.map(|topics| topics.into_iter().flat_map(of).collect());
    let dirs = match context.broker().describe_log_dirs(DescribeLogDirs { partitions }).await {
        Ok(dirs) => dirs,
        Err(error) => return refuse(ErrorCode::of(&error)),
    };
    let results = dirs.into_iter().map(|LogDirDescription { path, free_bytes, partitions }| {
        let mut topics = BTreeMap::<TopicName, Vec<DescribeLogDirsPartition>>::new();
        for (name, bytes) in partitions {
            topics.entry(name.topic).or_default().push(DescribeLogDirsPartition {
                partition_index: name.partition as i32,
                partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
                ..Default::default()
            });
        }
        let topic =
            |(name, partitions): (TopicName, _)| DescribeLogDirsTopic { name: name.as_str().into(), partitions };
        DescribeLogDirsResult {
            log_dir: path.into(),
            topics: topics.into_iter().map(topic).collect(),
            usable_bytes: free_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            ..Default::default()
        }
    });
    DescribeLogDirsResponse { results: results.collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn alter_replica_log_dirs(
    context: &Context,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let allowed = check_cluster(context, AclOperation::Alter);
    let nothing = DescribeLogDirs { partitions: Some(Vec::new()) };
    let dirs = context.broker().describe_log_dirs(nothing).await.unwrap_or_default();
    let mut results = BTreeMap::<Str, Vec<AlterReplicaLogDirPartitionResult>>::new();
    for dir in request.dirs {
        let is_there = dirs.iter().any(|known| Path::new(&known.path) == Path::new(dir.path.as_str()));
        for topic in dir.topics {
            let moved = |index: &i32| {
                allowed?;
                let partition = named(&topic.name, *index)?;
                if !is_there {
                    return Err(ErrorCode::LogDirNotFound);
                }
                context.broker().partition(&partition).map(drop).map_err(|error| ErrorCode::of(&error))
            };
            let each = topic.partitions.iter().map(|index| AlterReplicaLogDirPartitionResult {
                partition_index: *index,
                error_code: moved(index).err().map_or(0, ErrorCode::number),
            });
            let each: Vec<_> = each.collect();
            results.entry(topic.name).or_default().extend(each);
        }
    }
    let topic = |(topic_name, partitions)| AlterReplicaLogDirTopicResult { topic_name, partitions };
    AlterReplicaLogDirsResponse { results: results.into_iter().map(topic).collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn elect_leaders(
    context: &Context,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    let refuse = |code: ErrorCode, asked: Option<Vec<TopicPartitions>>| {
        // Before version 1 there is no error but that of a partition.
        let each = asked.into_iter().flatten().map(|topic| {
            let one = |index: i32| PartitionResult {
                partition_id: index,
                error_code: code.number(),
                error_message: text(code.message()),
            };
            ReplicaElectionResult {
                topic: topic.topic,
                partition_result: topic.partitions.into_iter().map(one).collect(),
            }
        });
        ElectLeadersResponse {
            error_code: code.number(),
            replica_election_results: each.collect(),
            ..Default::default()
        }
    };
    if let Err(code) = check_cluster(context, AclOperation::Alter) {
        return refuse(code, request.topic_partitions);
    }
    if !ELECTIONS.contains(&request.election_type) {
        return refuse(ErrorCode::InvalidRequest, request.topic_partitions);
    }
    let mut results = Vec::new();
    // Asked for all, only those are told that were in need of an election, which none is.
    for asked in request.topic_partitions.unwrap_or_default() {
        let mut partition_result = Vec::with_capacity(asked.partitions.len());
        for index in asked.partitions {
            let elected = match named(&asked.topic, index) {
                Ok(partition) => elect(context, partition).await,
                Err(code) => Err(code.into()),
            };
            let (error_code, error_message) = elected.err().map_or((0, None), Refusal::told);
            partition_result.push(PartitionResult { partition_id: index, error_code, error_message });
        }
        results.push(ReplicaElectionResult { topic: asked.topic, partition_result });
    }
    ElectLeadersResponse { replica_election_results: results, ..Default::default() }
}

async fn elect(context: &Context, partition: TopicPartition) -> Result<(), Refusal> {
    let request = ElectLeaders { partitions: Some(vec![partition]) };
    let mut elected = context.broker().elect_leaders(request).await?;
    Ok(elected.pop().map_or(Ok(()), |(_, elected)| elected)?)
}

pub(in crate::broker::server) async fn alter_reassignments(
    context: &Context,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let response = AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        ..Default::default()
    };
    if let Err(code) = check_cluster(context, AclOperation::Alter) {
        let (error_code, error_message) = Refusal::from(code).told();
        return AlterPartitionReassignmentsResponse { error_code, error_message, ..response };
    }
    let mut responses = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for one in asked.partitions {
            let partition_index = one.partition_index;
            let moved = match named(&asked.name, partition_index) {
                Ok(partition) => {
                    let request = AlterReassignments { partitions: vec![(partition, one.replicas)] };
                    let moved = context.broker().alter_reassignments(request).await.pop();
                    moved.unwrap_or(Err(Error::Closed)).map_err(Refusal::from)
                }
                Err(code) => Err(code.into()),
            };
            partitions.push(match moved {
                Ok(()) => ReassignablePartitionResponse { partition_index, ..Default::default() },
                Err(refusal) => {
                    let (error_code, error_message) = refusal.told();
                    ReassignablePartitionResponse { partition_index, error_code, error_message }
                }
            });
        }
        responses.push(ReassignableTopicResponse { name: asked.name, partitions });
    }
    AlterPartitionReassignmentsResponse { responses, ..response }
}

/// None is ever under way.
pub(in crate::broker::server) fn list_reassignments(context: &Context) -> ListPartitionReassignmentsResponse {
    match check_cluster(context, AclOperation::Describe) {
        Ok(()) => ListPartitionReassignmentsResponse::default(),
        Err(code) => ListPartitionReassignmentsResponse {
            error_code: code.number(),
            error_message: text(code.message()),
            ..Default::default()
        },
    }
}

pub(in crate::broker::server) fn describe_quorum(
    context: &Context,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    if let Err(code) = check_cluster(context, AclOperation::Describe) {
        let (error_code, error_message) = Refusal::from(code).told();
        return DescribeQuorumResponse { error_code, error_message, ..Default::default() };
    }
    let broker = context.broker();
    let node_id = broker.node_id();
    let partition = |topic: &str, partition_index: i32| {
        if topic != METADATA_TOPIC || partition_index != 0 {
            let code = ErrorCode::UnknownTopicOrPartition;
            let (error_code, error_message) = Refusal::from(code).told();
            return PartitionDataResult { partition_index, error_code, error_message, ..Default::default() };
        }
        let (end, now) = (broker.metadata_end(), broker.clock().now().0);
        let voter = ReplicaState {
            replica_id: node_id,
            log_end_offset: end,
            last_fetch_timestamp: now,
            last_caught_up_timestamp: now,
            ..Default::default()
        };
        PartitionDataResult {
            partition_index,
            leader_id: node_id,
            high_watermark: end,
            current_voters: vec![voter],
            ..Default::default()
        }
    };
    let topics = request.topics.iter().map(|asked| {
        let partitions = asked.partitions.iter().map(|one| partition(&asked.topic_name, one.partition_index));
        TopicDataResult { topic_name: asked.topic_name.clone(), partitions: partitions.collect() }
    });
    let topics = topics.collect();
    let listener = Listener { name: "CONTROLLER".into(), host: context.host.as_str().into(), port: context.port };
    let nodes = vec![Node { node_id, listeners: vec![listener] }];
    DescribeQuorumResponse { topics, nodes, ..Default::default() }
}

pub(in crate::broker::server) async fn update_features(
    context: &Context,
    request: UpdateFeaturesRequest,
    version: Version,
) -> UpdateFeaturesResponse {
    let names: Vec<_> = request.feature_updates.iter().map(|update| update.feature.clone()).collect();
    let updated = update(context, request, version).await;
    let (error_code, error_message) = updated.err().map_or((0, None), Refusal::told);
    // All of them or none.
    let result = |feature| UpdatableFeatureResult { feature, error_code, error_message: error_message.clone() };
    let results = names.into_iter().filter(|_| version.number <= RESULTS_TO).map(result).collect();
    UpdateFeaturesResponse { error_code, error_message, results, ..Default::default() }
}

async fn update(context: &Context, request: UpdateFeaturesRequest, version: Version) -> Result<(), Refusal> {
    check_cluster(context, AclOperation::Alter)?;
    let update = |asked: FeatureUpdateKey| {
        let may_go_down = match asked.upgrade_type {
            _ if version.number < UPGRADE_TYPE_FROM => asked.allow_downgrade,
            UPGRADE => false,
            down if DOWNGRADES.contains(&down) => true,
            other => return Err(Error::InvalidRequest { why: format!("there is no way {other} to change a feature") }),
        };
        Ok((asked.feature.into(), asked.max_version_level, may_go_down))
    };
    let updates = request.feature_updates.into_iter().map(update).collect::<Result<Vec<_>, _>>()?;
    let request = UpdateFeatures { updates, validate_only: request.validate_only };
    context.broker().update_features(request).await.map_err(|error| match error {
        // What Kafka's controller says of a level that there is not.
        Error::FeatureUpdateFailed { .. } => Refusal { code: ErrorCode::InvalidUpdateVersion, why: error.to_string() },
        error => error.into(),
    })
}

pub(in crate::broker::server) fn unregister_broker(
    context: &Context,
    request: &UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let refusal = match check_cluster(context, AclOperation::Alter) {
        Err(code) => Refusal::from(code),
        Ok(()) if request.broker_id == context.broker().node_id() => {
            let why = format!("broker {} is running, and is the only one", request.broker_id);
            Error::InvalidRequest { why }.into()
        }
        Ok(()) => ErrorCode::BrokerIdNotRegistered.into(),
    };
    let (error_code, error_message) = refusal.told();
    UnregisterBrokerResponse { error_code, error_message, ..Default::default() }
}
