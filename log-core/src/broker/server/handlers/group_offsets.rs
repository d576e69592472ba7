//! OffsetCommit, TxnOffsetCommit, OffsetFetch, OffsetDelete: the positions of groups.
//!
//! Each partition is answered for itself. Those that are fine are committed together; what the group says to them is
//! said to each of them.

use super::{fenced, id_from, partition, topic};
use crate::broker::server::context::{Context, Resource};
use crate::service::{
    CommitOffsets, CommitTransactionOffsets, CommittedPosition, DeleteOffsets, Membership, TransactionalProducer,
};
use crate::types::{
    AclOperation, Error, GroupId, ProducerIdentity, TopicId, TopicName, TopicPartition, TransactionVersion,
    TransactionalId,
};
use crate::wire::offset_commit::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use crate::wire::offset_delete::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use crate::wire::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::txn_offset_commit::{TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic};
use crate::wire::{
    ErrorCode, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, Str, TxnOffsetCommitRequest, TxnOffsetCommitResponse, Version,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The first version of OffsetCommit and OffsetFetch that names topics by id.
const IDS_FROM: i16 = 10;
/// The first version of OffsetCommit that knows the consumer protocol.
const EPOCHS_FROM: i16 = 9;
/// The first version of OffsetFetch with many groups.
const GROUPS_FROM: i16 = 8;
/// The first version of OffsetFetch that says what is wrong with the group as a whole.
const GROUP_ERROR_FROM: i16 = 2;
/// The first version of TxnOffsetCommit that names the member.
const MEMBER_FROM: i16 = 3;
/// The first version of it that knows `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM: i16 = 4;
/// The first version of it that adds the group to the transaction itself (KIP-890).
const V2_FROM: i16 = 5;

/// A group that the peer may do this to.
fn group(context: &Context, id: &str, operation: AclOperation) -> Result<GroupId, ErrorCode> {
    if !context.may(operation, Resource::Group(id)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    GroupId::new(id).map_err(|error| ErrorCode::of(&error))
}

/// Who commits; `None` for a client that is in no group.
fn member(id: &str, instance: Option<&Str>, generation: i32) -> Option<Membership> {
    let is_outside = id.is_empty() && instance.is_none() && generation < 0;
    let instance = instance.map(ToString::to_string);
    (!is_outside).then(|| Membership { member: id.to_owned(), instance, generation })
}

/// What one partition of a request commits.
struct Asked {
    index: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<Str>,
}

impl Asked {
    /// The position, if it can be committed.
    fn position(
        self,
        context: &Context,
        name: &str,
        id: Option<Uuid>,
    ) -> Result<(TopicPartition, CommittedPosition), ErrorCode> {
        let topic = topic(context, name, id, AclOperation::Read)?;
        let (partition, _) = partition(&topic, self.index, -1)?;
        let metadata = self.metadata.map(|text| text.to_string()).unwrap_or_default();
        let limit = context.broker().broker_settings().parsed("offset.metadata.max.bytes").unwrap_or(usize::MAX);
        if metadata.len() > limit {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        let leader_epoch = Some(self.leader_epoch).filter(|epoch| *epoch >= 0);
        Ok((partition, CommittedPosition { offset: self.offset, leader_epoch, metadata }))
    }
}

/// What the group says to a commit, in a version of OffsetCommit.
fn commit_code(error: &Error, version: Version) -> ErrorCode {
    match ErrorCode::of(error) {
        // A client that is in no group commits for one that has members.
        ErrorCode::NonEmptyGroup => ErrorCode::UnknownMemberId,
        ErrorCode::StaleMemberEpoch if version.number < EPOCHS_FROM => ErrorCode::UnsupportedVersion,
        code => code,
    }
}

pub(in crate::broker::server) async fn commit(
    context: &Context,
    request: OffsetCommitRequest,
    version: Version,
) -> OffsetCommitResponse {
    let group = group(context, &request.group_id, AclOperation::Read);
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for one in asked.partitions {
            let position = Asked {
                index: one.partition_index,
                offset: one.committed_offset,
                leader_epoch: one.committed_leader_epoch,
                metadata: one.committed_metadata,
            };
            let id = id_from(version, IDS_FROM, asked.topic_id);
            let position =
                group.as_ref().map_err(|code| *code).and_then(|_| position.position(context, &asked.name, id));
            partitions.push((one.partition_index, position.map(|position| offsets.push(position))));
        }
        topics.push((asked.name, asked.topic_id, partitions));
    }
    let member = member(&request.member_id, request.group_instance_id.as_ref(), request.generation_id_or_member_epoch);
    let committed = match group {
        Ok(group) => {
            let committed = context.broker().commit(CommitOffsets { group, member, offsets }).await;
            committed.map_err(|error| commit_code(&error, version))
        }
        Err(code) => Err(code),
    };
    let topics = topics.into_iter().map(|(name, topic_id, partitions)| {
        let partition = |(partition_index, asked): (i32, Result<(), ErrorCode>)| OffsetCommitResponsePartition {
            partition_index,
            error_code: asked.and(committed).err().map_or(0, ErrorCode::number),
        };
        OffsetCommitResponseTopic { name, topic_id, partitions: partitions.into_iter().map(partition).collect() }
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn commit_in_transaction(
    context: &Context,
    request: TxnOffsetCommitRequest,
    version: Version,
) -> TxnOffsetCommitResponse {
    let who = || {
        if !context.may(AclOperation::Write, Resource::TransactionalId(&request.transactional_id)) {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        let transactional_id = TransactionalId::new(&request.transactional_id).map_err(|e| ErrorCode::of(&e))?;
        Ok((transactional_id, group(context, &request.group_id, AclOperation::Read)?))
    };
    let who = who();
    let mut offsets = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for one in asked.partitions {
            let position = Asked {
                index: one.partition_index,
                offset: one.committed_offset,
                leader_epoch: one.committed_leader_epoch,
                metadata: one.committed_metadata,
            };
            let position =
                who.as_ref().map_err(|code| *code).and_then(|_| position.position(context, &asked.name, None));
            partitions.push((one.partition_index, position.map(|position| offsets.push(position))));
        }
        topics.push((asked.name, partitions));
    }
    let committed = match who {
        Ok((transactional_id, group)) => {
            let producer = ProducerIdentity { id: request.producer_id, epoch: request.producer_epoch };
            let member = match version.number {
                MEMBER_FROM.. => member(&request.member_id, request.group_instance_id.as_ref(), request.generation_id),
                _ => None,
            };
            let request = CommitTransactionOffsets {
                producer: TransactionalProducer { transactional_id, producer },
                version: if version.number >= V2_FROM { TransactionVersion::V2 } else { TransactionVersion::V1 },
                group,
                member,
                offsets,
            };
            let committed = context.broker().commit_in_transaction(request).await;
            committed.map_err(|error| match ErrorCode::of(&error) {
                ErrorCode::TransactionAbortable if version.number < ABORTABLE_FROM => ErrorCode::InvalidTxnState,
                // It never knew the code for a producer that is fenced.
                code => fenced(code, version, i16::MAX),
            })
        }
        Err(code) => Err(code),
    };
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partition = |(partition_index, asked): (i32, Result<(), ErrorCode>)| TxnOffsetCommitResponsePartition {
            partition_index,
            error_code: asked.and(committed).err().map_or(0, ErrorCode::number),
        };
        TxnOffsetCommitResponseTopic { name, partitions: partitions.into_iter().map(partition).collect() }
    });
    TxnOffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

pub(in crate::broker::server) fn fetch(
    context: &Context,
    request: OffsetFetchRequest,
    version: Version,
) -> OffsetFetchResponse {
    if version.number >= GROUPS_FROM {
        let stable = request.require_stable;
        let groups = request.groups.into_iter().map(|asked| fetch_group(context, asked, stable, version));
        return OffsetFetchResponse { groups: groups.collect(), ..Default::default() };
    }
    let asked = OffsetFetchRequestGroup {
        group_id: request.group_id,
        topics: request.topics.map(|topics| {
            let topic = |topic: crate::wire::offset_fetch::OffsetFetchRequestTopic| OffsetFetchRequestTopics {
                name: topic.name,
                partition_indexes: topic.partition_indexes,
                ..Default::default()
            };
            topics.into_iter().map(topic).collect()
        }),
        ..Default::default()
    };
    let fetched = fetch_group(context, asked, request.require_stable, version);
    let code = fetched.error_code;
    let partition = |one: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: one.partition_index,
        committed_offset: one.committed_offset,
        committed_leader_epoch: one.committed_leader_epoch,
        metadata: one.metadata,
        error_code: if code != 0 && version.number < GROUP_ERROR_FROM { code } else { one.error_code },
    };
    let topics = fetched.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    });
    OffsetFetchResponse { topics: topics.collect(), error_code: code, ..Default::default() }
}

fn fetch_group(
    context: &Context,
    asked: OffsetFetchRequestGroup,
    require_stable: bool,
    version: Version,
) -> OffsetFetchResponseGroup {
    let id = match group(context, &asked.group_id, AclOperation::Describe) {
        Ok(id) => id,
        Err(code) => return refuse_group(asked, code),
    };
    let who = member(asked.member_id.as_deref().unwrap_or_default(), None, asked.member_epoch);
    let allowed = who.map_or(Ok(()), |who| context.broker().with_groups(|groups| groups.may_read(&id, &who)));
    if let Err(error) = allowed {
        return refuse_group(asked, ErrorCode::of(&error));
    }
    let topics = match asked.topics {
        Some(topics) => topics,
        None => all_topics(context, &id, version),
    };
    let topics = topics.into_iter().map(|asked| {
        let topic_id = id_from(version, IDS_FROM, asked.topic_id);
        let found = match topic_id {
            // Positions of topics that are gone are told by name still, as nothing.
            None if context.may(AclOperation::Describe, Resource::Topic(&asked.name)) => {
                TopicName::new(&asked.name).map(Some).map_err(|error| ErrorCode::of(&error))
            }
            None => Err(ErrorCode::TopicAuthorizationFailed),
            Some(_) => topic(context, "", topic_id, AclOperation::Describe).map(|topic| Some(topic.name.clone())),
        };
        let partition = |index: &i32| {
            let found = found.as_ref().map_err(|code| *code);
            let position = found.and_then(|name| position(context, &id, name.as_ref(), *index, require_stable));
            let nothing = |code: ErrorCode| OffsetFetchResponsePartitions {
                committed_offset: -1,
                metadata: Some("".into()),
                error_code: code.number(),
                ..Default::default()
            };
            let told = match position {
                Ok(Some(position)) => OffsetFetchResponsePartitions {
                    committed_offset: position.offset,
                    committed_leader_epoch: position.leader_epoch.unwrap_or(-1),
                    metadata: Some(position.metadata.into()),
                    ..Default::default()
                },
                Ok(None) => nothing(ErrorCode::None),
                Err(code) => nothing(code),
            };
            OffsetFetchResponsePartitions { partition_index: *index, ..told }
        };
        let partitions = asked.partition_indexes.iter().map(partition).collect();
        OffsetFetchResponseTopics { name: asked.name, topic_id: asked.topic_id, partitions }
    });
    OffsetFetchResponseGroup { topics: topics.collect(), group_id: asked.group_id, error_code: 0 }
}

fn refuse_group(asked: OffsetFetchRequestGroup, code: ErrorCode) -> OffsetFetchResponseGroup {
    let topics = asked.topics.unwrap_or_default().into_iter().map(|topic| {
        let partition = |index: i32| OffsetFetchResponsePartitions {
            partition_index: index,
            committed_offset: -1,
            metadata: Some("".into()),
            error_code: code.number(),
            ..Default::default()
        };
        let partitions = topic.partition_indexes.into_iter().map(partition).collect();
        OffsetFetchResponseTopics { name: topic.name, topic_id: topic.topic_id, partitions }
    });
    OffsetFetchResponseGroup { group_id: asked.group_id, topics: topics.collect(), error_code: code.number() }
}

/// Every partition that the group has a position of, in topics that the peer may know of.
fn all_topics(context: &Context, id: &GroupId, version: Version) -> Vec<OffsetFetchRequestTopics> {
    let mut topics: BTreeMap<TopicName, (TopicId, Vec<i32>)> = BTreeMap::new();
    context.broker().with_groups(|groups| {
        let Some(group) = groups.group(id) else { return };
        let committed = group.offsets.committed.iter();
        let pending = group.offsets.pending.values().flatten().map(|(name, pending)| (name, &pending.committed));
        for (name, committed) in committed.chain(pending) {
            if context.broker().is_current(name, committed) {
                let entry = topics.entry(name.topic.clone()).or_insert((committed.topic_id, Vec::new()));
                let index = i32::try_from(name.partition).unwrap_or(i32::MAX);
                if !entry.1.contains(&index) {
                    entry.1.push(index);
                }
            }
        }
    });
    let may = |name: &TopicName| context.may(AclOperation::Describe, Resource::Topic(name.as_str()));
    topics
        .into_iter()
        .filter(|(name, _)| may(name))
        .map(|(name, (id, partition_indexes))| OffsetFetchRequestTopics {
            name: if version.number < IDS_FROM { name.as_str().into() } else { Str::default() },
            topic_id: id.0,
            partition_indexes,
        })
        .collect()
}

/// What is committed of one partition.
fn position(
    context: &Context,
    id: &GroupId,
    name: Option<&TopicName>,
    index: i32,
    require_stable: bool,
) -> Result<Option<CommittedPosition>, ErrorCode> {
    let (Some(name), Ok(index)) = (name, u32::try_from(index)) else { return Ok(None) };
    let partition = TopicPartition::new(name.clone(), index);
    context.broker().with_groups(|groups| {
        let Some(group) = groups.group(id) else { return Ok(None) };
        if require_stable && group.offsets.is_unstable(&partition) {
            return Err(ErrorCode::UnstableOffsetCommit);
        }
        let committed = group.offsets.committed.get(&partition);
        let current = committed.filter(|committed| context.broker().is_current(&partition, committed));
        Ok(current.map(|committed| committed.position.clone()))
    })
}

pub(in crate::broker::server) async fn delete(context: &Context, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let id = match group(context, &request.group_id, AclOperation::Delete) {
        Ok(id) => id,
        Err(code) => return OffsetDeleteResponse { error_code: code.number(), ..Default::default() },
    };
    let mut partitions = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let found = topic(context, &asked.name, None, AclOperation::Read);
        let each = asked.partitions.iter().map(|one| {
            let found = found.as_ref().map_err(|code| *code);
            let named = found.and_then(|topic| partition(topic, one.partition_index, -1));
            (one.partition_index, named.map(|(name, _)| partitions.push(name)))
        });
        topics.push((asked.name.clone(), each.collect::<Vec<_>>()));
    }
    let forgotten = context.broker().forget_offsets(DeleteOffsets { group: id, partitions }).await;
    let mut forgotten = match forgotten {
        Ok(forgotten) => forgotten.into_iter(),
        Err(error) => {
            return OffsetDeleteResponse { error_code: ErrorCode::of(&error).number(), ..Default::default() };
        }
    };
    let topics = topics.into_iter().map(|(name, partitions)| {
        let partitions = partitions.into_iter().map(|(partition_index, asked)| {
            let result = asked
                .and_then(|()| forgotten.next().unwrap_or(Err(Error::Closed)).map_err(|error| ErrorCode::of(&error)));
            OffsetDeleteResponsePartition { partition_index, error_code: result.err().map_or(0, ErrorCode::number) }
        });
        OffsetDeleteResponseTopic { name, partitions: partitions.collect() }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..Default::default() }
}
