//! Metadata, DescribeCluster, DescribeTopicPartitions: brokers, topics, and who leads what. There is one broker, and it
//! leads everything.

use super::{each_once, partition_indexes, text};
use crate::broker::partition::Partition;
use crate::broker::server::context::{Context, Resource};
use crate::broker::topics::Topic;
use crate::types::{AclOperation, TopicId, TopicName};
use crate::wire::describe_cluster::DescribeClusterBroker;
use crate::wire::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use crate::wire::metadata::{
    MetadataRequestTopic, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    ErrorCode, MetadataRequest, MetadataResponse, Str, Version,
};
use std::sync::Arc;

/// What a DescribeCluster asks about: brokers. Controllers have no listener of their own here.
const BROKERS: i8 = 1;
/// Partitions that one DescribeTopicPartitions lists at most (Kafka's `max.request.partition.size.limit`).
const PARTITIONS_LISTED_MAX: usize = 2000;

pub(in crate::broker::server) async fn metadata(
    context: &Context,
    request: MetadataRequest,
    version: Version,
) -> MetadataResponse {
    // In version 0 an empty list means all.
    let wanted = request.topics.filter(|topics| version.number > 0 || !topics.is_empty());
    let mut topics = Vec::new();
    match wanted {
        None => {
            let mut all = context.broker().open_topics();
            all.retain(|topic| context.may(AclOperation::Describe, Resource::Topic(topic.name.as_str())));
            topics.extend(all.iter().map(|topic| describe(context, topic)));
        }
        Some(wanted) => {
            for topic in each_once(wanted, |topic| (topic.name.clone(), topic.topic_id)) {
                topics.push(find(context, topic, request.allow_auto_topic_creation).await);
            }
        }
    }
    if request.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.error_code == 0) {
            let name = topic.name.as_deref().unwrap_or_default();
            topic.topic_authorized_operations = context.operations(Resource::Topic(name));
        }
    }
    let mut response = MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: context.broker().node_id(),
            host: context.host.as_str().into(),
            port: context.port.into(),
            rack: context.shared.config.rack.as_deref().map(Into::into),
        }],
        cluster_id: cluster_id(context).await,
        controller_id: context.broker().node_id(),
        topics,
        ..Default::default()
    };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = context.operations(Resource::Cluster);
    }
    response
}

/// `None` while the broker closes.
async fn cluster_id(context: &Context) -> Option<Str> {
    Some(context.broker().cluster().await.ok()?.cluster_id.into())
}

/// A topic that was asked for, made if it is missing and may be made.
async fn find(context: &Context, wanted: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let MetadataRequestTopic { topic_id, name } = wanted;
    // The Java client leaves an empty name beside the id.
    let name = name.filter(|_| topic_id.is_nil());
    let refused = |code: ErrorCode| MetadataResponseTopic {
        error_code: code.number(),
        name: name.clone(),
        topic_id,
        ..Default::default()
    };
    let Some(name) = &name else {
        return match context.broker().topic_by_id(TopicId(topic_id)) {
            Ok(topic) if context.may(AclOperation::Describe, Resource::Topic(topic.name.as_str())) => {
                describe(context, &topic)
            }
            _ => refused(ErrorCode::UnknownTopicId),
        };
    };
    if !context.may(AclOperation::Describe, Resource::Topic(name)) {
        return refused(ErrorCode::TopicAuthorizationFailed);
    }
    let may_create = may_create
        && (context.may(AclOperation::Create, Resource::Cluster)
            || context.may(AclOperation::Create, Resource::Topic(name)));
    let found = match TopicName::new(name) {
        Ok(name) if may_create => context.broker().ensure_for_client(&name).await,
        Ok(name) => context.broker().topic(&name),
        Err(error) => Err(error),
    };
    match found {
        Ok(topic) => describe(context, &topic),
        Err(error) => refused(ErrorCode::of(&error)),
    }
}

fn describe(context: &Context, topic: &Topic) -> MetadataResponseTopic {
    let node_id = context.broker().node_id();
    let partition = |(index, partition): (i32, &Arc<Partition>)| MetadataResponsePartition {
        partition_index: index,
        leader_id: node_id,
        leader_epoch: partition.leader_epoch(),
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        ..Default::default()
    };
    MetadataResponseTopic {
        name: text(&topic.name),
        topic_id: topic.id.0,
        is_internal: topic.name.is_internal(),
        partitions: partition_indexes(topic).map(partition).collect(),
        ..Default::default()
    }
}

pub(in crate::broker::server) async fn describe_cluster(
    context: &Context,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let cluster_id = cluster_id(context).await.unwrap_or_default();
    if request.endpoint_type != BROKERS {
        let code = match request.endpoint_type {
            2 => ErrorCode::MismatchedEndpointType,
            _ => ErrorCode::UnsupportedEndpointType,
        };
        return DescribeClusterResponse {
            error_code: code.number(),
            error_message: text(code.message()),
            endpoint_type: request.endpoint_type,
            ..Default::default()
        };
    }
    let node_id = context.broker().node_id();
    let broker = DescribeClusterBroker {
        broker_id: node_id,
        host: context.host.as_str().into(),
        port: context.port.into(),
        rack: context.shared.config.rack.as_deref().map(Into::into),
        is_fenced: false,
    };
    let mut response =
        DescribeClusterResponse { cluster_id, controller_id: node_id, brokers: vec![broker], ..Default::default() };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = context.operations(Resource::Cluster);
    }
    response
}

pub(in crate::broker::server) fn describe_topic_partitions(
    context: &Context,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let mut names: Vec<String> = request.topics.into_iter().map(|topic| topic.name.into()).collect();
    if names.is_empty() {
        let mut all = context.broker().open_topics();
        all.retain(|topic| context.may(AclOperation::Describe, Resource::Topic(topic.name.as_str())));
        names.extend(all.iter().map(|topic| topic.name.to_string()));
    }
    names.sort();
    names.dedup();
    let cursor = request.cursor.map(|cursor| (String::from(cursor.topic_name), cursor.partition_index));
    let mut room = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_LISTED_MAX);
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names {
        let from = match &cursor {
            Some((topic, _)) if name < *topic => continue,
            Some((topic, index)) if name == *topic => *index,
            _ => 0,
        };
        let topic = match super::topic(context, &name, None, AclOperation::Describe) {
            Ok(topic) => topic,
            Err(code) => {
                response.topics.push(DescribeTopicPartitionsResponseTopic {
                    error_code: code.number(),
                    name: text(name),
                    ..Default::default()
                });
                continue;
            }
        };
        if room == 0 {
            response.next_cursor = Some(Cursor { topic_name: name.into(), partition_index: from });
            break;
        }
        let node_id = context.broker().node_id();
        let partition = |(index, partition): (i32, &Arc<Partition>)| DescribeTopicPartitionsResponsePartition {
            partition_index: index,
            leader_id: node_id,
            leader_epoch: partition.leader_epoch(),
            replica_nodes: vec![node_id],
            isr_nodes: vec![node_id],
            // None, not null: Java's administration client fails on that.
            eligible_leader_replicas: Some(Vec::new()),
            last_known_elr: Some(Vec::new()),
            ..Default::default()
        };
        let left = partition_indexes(&topic).filter(|(index, _)| *index >= from);
        let partitions: Vec<_> = left.take(room).map(partition).collect();
        room -= partitions.len();
        let next = partitions.last().map_or(from, |last| last.partition_index + 1);
        response.topics.push(DescribeTopicPartitionsResponseTopic {
            name: text(&topic.name),
            topic_id: topic.id.0,
            is_internal: topic.name.is_internal(),
            partitions,
            topic_authorized_operations: context.operations(Resource::Topic(topic.name.as_str())),
            ..Default::default()
        });
        if (next as usize) < topic.partitions.len() {
            response.next_cursor = Some(Cursor { topic_name: name.into(), partition_index: next });
            break;
        }
    }
    response
}
