//! One file for each area of Kafka's APIs: a request of the wire becomes calls of the broker, and what they return a
//! response of the wire. Nothing is decided here but what the version of a request decides.

pub(super) mod acls;
pub(super) mod cluster;
pub(super) mod configs;
pub(super) mod fetch;
pub(super) mod group_offsets;
pub(super) mod groups;
pub(super) mod metadata;
pub(super) mod offsets;
pub(super) mod produce;
pub(super) mod producers;
pub(super) mod quotas;
pub(super) mod records;
pub(super) mod sasl;
pub(super) mod topics;
pub(super) mod transactions;
pub(super) mod users;
pub(super) mod versions;

use super::context::{Context, Resource};
use crate::broker::partition::Partition;
use crate::broker::topics::Topic;
use crate::types::{AclOperation, Error, TopicId, TopicName, TopicPartition};
use crate::wire::{ErrorCode, Str, Version};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// The topic that a request names: by id where its version does so, else by name; if the peer may do that to it.
fn topic(context: &Context, name: &str, id: Option<Uuid>, operation: AclOperation) -> Result<Arc<Topic>, ErrorCode> {
    let broker = context.broker();
    let topic = match id {
        Some(id) => broker.topic_by_id(TopicId(id)).map_err(|error| ErrorCode::of(&error))?,
        None => {
            if !context.may(operation, Resource::Topic(name)) {
                return Err(ErrorCode::TopicAuthorizationFailed);
            }
            let name = TopicName::new(name).map_err(|error| ErrorCode::of(&error))?;
            broker.topic(&name).map_err(|error| ErrorCode::of(&error))?
        }
    };
    // Who may not know of a topic does not learn its name by its id.
    match id.is_none() || context.may(operation, Resource::Topic(topic.name.as_str())) {
        true => Ok(topic),
        false => Err(ErrorCode::UnknownTopicId),
    }
}

/// Its partition of a number, and its name. A leader epoch (-1 is none) that is not the partition's is refused.
fn partition(topic: &Topic, index: i32, epoch: i32) -> Result<(TopicPartition, &Arc<Partition>), ErrorCode> {
    let index = u32::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
    let partition = topic.partition(index).map_err(|error| ErrorCode::of(&error))?;
    match epoch {
        epoch if epoch < 0 || epoch == partition.leader_epoch() => {
            Ok((TopicPartition::new(topic.name.clone(), index), partition))
        }
        epoch if epoch < partition.leader_epoch() => Err(ErrorCode::FencedLeaderEpoch),
        _ => Err(ErrorCode::UnknownLeaderEpoch),
    }
}

/// The id, in the versions that name topics by it.
fn id_from(version: Version, first: i16, id: Uuid) -> Option<Uuid> {
    (version.number >= first).then_some(id)
}

/// Why something was not done, as its sender is told.
#[derive(Clone, Debug)]
struct Refusal {
    code: ErrorCode,
    why: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { code: ErrorCode::of(&error), why: error.to_string() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, why: code.message().to_owned() }
    }
}

impl Refusal {
    /// As it stands in a response: its code and its message.
    fn told(self) -> (i16, Option<Str>) {
        (self.code.number(), text(self.why))
    }
}

/// Whether the peer may do this to the cluster.
fn check_cluster(context: &Context, operation: AclOperation) -> Result<(), ErrorCode> {
    match context.may(operation, Resource::Cluster) {
        true => Ok(()),
        false => Err(ErrorCode::ClusterAuthorizationFailed),
    }
}

/// Each once: a frame of a few megabytes that names one thing many times must not ask for many gigabytes.
fn each_once<T, K: Ord>(named: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut seen = BTreeSet::new();
    named.into_iter().filter(|one| seen.insert(key(one))).collect()
}

/// The code as a client knows it that does not know `PRODUCER_FENCED` before version `first`.
fn fenced(code: ErrorCode, version: Version, first: i16) -> ErrorCode {
    match code {
        ErrorCode::ProducerFenced if version.number < first => ErrorCode::InvalidProducerEpoch,
        other => other,
    }
}

fn text(text: impl ToString) -> Option<Str> {
    Some(text.to_string().into())
}

/// The partitions of a topic with their numbers.
fn partition_indexes(topic: &Topic) -> impl Iterator<Item = (i32, &Arc<Partition>)> {
    (0..).zip(&topic.partitions)
}
