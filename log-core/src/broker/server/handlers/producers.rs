//! InitProducerId, FindCoordinator, DescribeProducers: who a producer is, whom it asks, and who wrote to a partition.
//!
//! There is one broker, so it coordinates every group and every transactional id. As with Kafka, asking for a
//! coordinator makes the internal topic that it keeps its records in.

use super::{each_once, partition, text, topic};
use crate::broker::server::context::{Context, Resource};
use crate::broker::topics::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::service::{DescribeProducers, InitProducerId, Service};
use crate::types::{AclOperation, ProducerIdentity, ResourceType, TransactionalId};
use crate::wire::describe_producers::{PartitionResponse, ProducerState, TopicResponse};
use crate::wire::find_coordinator::Coordinator;
use crate::wire::{
    DescribeProducersRequest, DescribeProducersResponse, ErrorCode, FindCoordinatorRequest, FindCoordinatorResponse,
    InitProducerIdRequest, InitProducerIdResponse, Str, Version,
};
use std::time::Duration;
use uuid::Uuid;

/// The first version of InitProducerId that knows `PRODUCER_FENCED` (KIP-588).
const FENCED_FROM: i16 = 4;
/// The first version of FindCoordinator that takes many keys.
const MANY_FROM: i16 = 4;
/// The first version that asks for partitions of share groups.
const SHARES_FROM: i16 = 6;
/// Producers that one answer tells, and those of its last partition. Who wants more asks for fewer partitions at a time.
const PRODUCERS_TOLD_MAX: usize = 200_000;
/// What is coordinated, by Kafka's codes.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
/// The parts of a share group's key: the group, the topic's id, the partition.
const SHARE_KEY_PARTS: usize = 3;

pub(in crate::broker::server) async fn init_producer_id(
    context: &Context,
    request: InitProducerIdRequest,
    version: Version,
) -> InitProducerIdResponse {
    match init(context, request).await {
        Ok(ProducerIdentity { id, epoch }) => {
            InitProducerIdResponse { producer_id: id, producer_epoch: epoch, ..Default::default() }
        }
        Err(code) => {
            let code = super::fenced(code, version, FENCED_FROM);
            InitProducerIdResponse { error_code: code.number(), producer_epoch: -1, ..Default::default() }
        }
    }
}

async fn init(context: &Context, request: InitProducerIdRequest) -> Result<ProducerIdentity, ErrorCode> {
    let transactional_id = match &request.transactional_id {
        Some(id) if !context.may(AclOperation::Write, Resource::TransactionalId(id)) => {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        Some(id) => Some(TransactionalId::new(id).map_err(|error| ErrorCode::of(&error))?),
        // Who may write anywhere may do so without gaps and repeats (KIP-679).
        None if !context.may(AclOperation::IdempotentWrite, Resource::Cluster)
            && !context.may_any(AclOperation::Write, ResourceType::Topic) =>
        {
            return Err(ErrorCode::ClusterAuthorizationFailed);
        }
        None => None,
    };
    let producer = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (id, epoch) if id >= 0 && epoch >= 0 => Some(ProducerIdentity { id, epoch }),
        _ => return Err(ErrorCode::InvalidRequest),
    };
    // What is no span at all is refused as one that is too short.
    let timeout = Duration::from_millis(u64::try_from(request.transaction_timeout_ms).unwrap_or(0));
    let request = InitProducerId { transactional_id, transaction_timeout: timeout, producer };
    context.broker().init_producer_id(request).await.map_err(|error| ErrorCode::of(&error))
}

pub(in crate::broker::server) async fn find_coordinator(
    context: &Context,
    request: FindCoordinatorRequest,
    version: Version,
) -> FindCoordinatorResponse {
    if version.number >= MANY_FROM {
        let mut coordinators = Vec::new();
        for key in each_once(request.coordinator_keys, Clone::clone) {
            coordinators.push(find(context, key, request.key_type, version).await);
        }
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let Coordinator { node_id, host, port, error_code, error_message, .. } =
        find(context, request.key, request.key_type, version).await;
    FindCoordinatorResponse { error_code, error_message, node_id, host, port, ..Default::default() }
}

async fn find(context: &Context, key: Str, key_type: i8, version: Version) -> Coordinator {
    match check(context, &key, key_type, version).await {
        Ok(()) => Coordinator {
            key,
            node_id: context.broker().node_id(),
            host: context.host.as_str().into(),
            port: context.port.into(),
            ..Default::default()
        },
        Err(code) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: code.number(),
            error_message: text(code.message()),
            ..Default::default()
        },
    }
}

async fn check(context: &Context, key: &str, key_type: i8, version: Version) -> Result<(), ErrorCode> {
    let (operation, resource, refusal) = match key_type {
        GROUP => (AclOperation::Describe, Resource::Group(key), ErrorCode::GroupAuthorizationFailed),
        TRANSACTION => {
            let refusal = ErrorCode::TransactionalIdAuthorizationFailed;
            (AclOperation::Describe, Resource::TransactionalId(key), refusal)
        }
        SHARE if version.number >= SHARES_FROM => {
            (AclOperation::ClusterAction, Resource::Cluster, ErrorCode::ClusterAuthorizationFailed)
        }
        _ => return Err(ErrorCode::InvalidRequest),
    };
    if !context.may(operation, resource) {
        return Err(refusal);
    }
    let broker = context.broker();
    let made = match key_type {
        GROUP => broker.ensure_internal(CONSUMER_OFFSETS).await,
        TRANSACTION => broker.ensure_compacted(TRANSACTION_STATE).await,
        // Its records are made when a queue is used first.
        _ => return if is_share_key(key) { Ok(()) } else { Err(ErrorCode::InvalidRequest) },
    };
    made.map(drop).map_err(|error| {
        tracing::warn!(%error, "the topic of a coordinator could not be made");
        ErrorCode::CoordinatorNotAvailable
    })
}

/// Whether it names a partition of a share group: `group:topic id:partition`.
fn is_share_key(key: &str) -> bool {
    let parts: Vec<_> = key.rsplitn(SHARE_KEY_PARTS, ':').collect();
    match parts[..] {
        [partition, id, group] => {
            !group.is_empty() && partition.parse::<u32>().is_ok() && (Uuid::parse_str(id).is_ok() || is_kafka_id(id))
        }
        _ => false,
    }
}

/// Whether it is an id as Kafka writes it: 16 bytes in base64, without padding.
fn is_kafka_id(text: &str) -> bool {
    text.len() == 22 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

pub(in crate::broker::server) async fn describe_producers(
    context: &Context,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut room = PRODUCERS_TOLD_MAX;
    for asked in request.topics {
        let mut partitions = Vec::with_capacity(asked.partition_indexes.len());
        for index in asked.partition_indexes {
            let described = match room {
                0 => Err(ErrorCode::InvalidRequest),
                _ => describe(context, &asked.name, index).await,
            };
            partitions.push(match described {
                Ok(active_producers) => {
                    room = room.saturating_sub(active_producers.len());
                    PartitionResponse { partition_index: index, active_producers, ..Default::default() }
                }
                Err(code) => PartitionResponse {
                    partition_index: index,
                    error_code: code.number(),
                    error_message: text(code.message()),
                    ..Default::default()
                },
            });
        }
        topics.push(TopicResponse { name: asked.name, partitions });
    }
    DescribeProducersResponse { topics, ..Default::default() }
}

async fn describe(context: &Context, name: &str, index: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    let topic = topic(context, name, None, AclOperation::Read)?;
    let (partition, _) = partition(&topic, index, -1)?;
    let known = context.broker().describe_producers(DescribeProducers { partition }).await;
    let known = known.map_err(|error| ErrorCode::of(&error))?;
    let producers = known.into_iter().map(|producer| ProducerState {
        producer_id: producer.last.producer_id,
        producer_epoch: producer.last.producer_epoch.into(),
        last_sequence: producer.last.base_sequence,
        last_timestamp: producer.last_timestamp.0,
        coordinator_epoch: producer.coordinator_epoch,
        current_txn_start_offset: producer.transaction_start.unwrap_or(-1),
    });
    Ok(producers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_share_groups_have_three_parts() {
        for good in ["g:AAAAAAAAAAAAAAAAAAAAAA:0", "a:b:00000000-0000-0000-0000-000000000007:12"] {
            assert!(is_share_key(good), "{good}");
        }
        for bad in ["", "g", "g:0", ":AAAAAAAAAAAAAAAAAAAAAA:0", "g:AAAAAAAAAAAAAAAAAAAAAA:-1", "g:x:0"] {
            assert!(!is_share_key(bad), "{bad}");
        }
    }
}
