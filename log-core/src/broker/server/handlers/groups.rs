//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup, ConsumerGroupHeartbeat, DescribeGroups, ConsumerGroupDescribe, ListGroups,
//! DeleteGroups. What concerns positions is in `group_offsets`.

use super::text;
use crate::broker::server::context::{Context, Resource};
use crate::group::{Group, Members, Partitions};
use crate::service::{
    ConsumerHeartbeat, DeleteGroup, GroupClient, Heartbeat, JoinGroup, LeaveGroup, Membership, SyncGroup,
};
use crate::types::{
    AclOperation, Error, GroupId, GroupRefusal, GroupState, OwnedPartitions, PartitionIndex, TopicId, TopicName,
};
use crate::wire::consumer_group_describe::{self, Assignment};
use crate::wire::consumer_group_heartbeat::{self, TopicPartitions};
use crate::wire::delete_groups::DeletableGroupResult;
use crate::wire::describe_groups::{DescribedGroup, DescribedGroupMember};
use crate::wire::join_group::JoinGroupResponseMember;
use crate::wire::leave_group::{MemberIdentity, MemberResponse};
use crate::wire::list_groups::ListedGroup;
use crate::wire::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, ErrorCode, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, Str, SyncGroupRequest,
    SyncGroupResponse, Version,
};
use std::time::Duration;

/// The first version of JoinGroup with a timeout for the rebalance of its own.
const REBALANCE_TIMEOUT_FROM: i16 = 1;
/// The first version of it whose senders join again with the id that they are given (KIP-394).
const MEMBER_ID_FROM: i16 = 4;
/// The first version of it whose senders take a null for a protocol that there is not.
const NO_PROTOCOL_FROM: i16 = 7;
/// The first version of it whose senders know that a leader may have nothing to assign (KIP-814).
const SKIP_FROM: i16 = 9;
/// The first version of LeaveGroup with many members.
const MANY_FROM: i16 = 3;
/// The first version of DescribeGroups in which a group that is not there is an error (KIP-1043).
const NOT_FOUND_FROM: i16 = 6;
/// The first version of ConsumerGroupHeartbeat whose senders make their own member ids (KIP-1082).
const OWN_ID_FROM: i16 = 1;
/// The protocol type of members of the consumer protocol, as lists of groups have it.
const CONSUMER: &str = "consumer";

/// A group that the peer may do this to.
fn group(context: &Context, id: &str, operation: AclOperation) -> Result<GroupId, ErrorCode> {
    if !context.may(operation, Resource::Group(id)) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    GroupId::new(id).map_err(|error| ErrorCode::of(&error))
}

fn millis(n: i32) -> Duration {
    Duration::from_millis(u64::try_from(n).unwrap_or(0))
}

fn name(text: Option<&Str>) -> Option<String> {
    text.map(ToString::to_string)
}

fn client(context: &Context, id: &str) -> GroupClient {
    GroupClient { id: id.to_owned(), host: format!("/{}", context.peer_host) }
}

/// What the broker answers, unless it shuts down first.
async fn unless_stopping<T>(context: &Context, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::select! {
        biased;
        answer = answer => answer,
        () = context.stopping() => Err(Error::Closed),
    }
}

fn member(member: &str, instance: Option<&Str>, generation: i32) -> Membership {
    Membership { member: member.to_owned(), instance: name(instance), generation }
}

pub(in crate::broker::server) async fn join(
    context: &Context,
    request: JoinGroupRequest,
    version: Version,
    client_id: &str,
) -> JoinGroupResponse {
    let rebalance = match version.number {
        REBALANCE_TIMEOUT_FROM.. => request.rebalance_timeout_ms,
        _ => request.session_timeout_ms,
    };
    let joined = async {
        let join = JoinGroup {
            group: group(context, &request.group_id, AclOperation::Read).map_err(|code| (code, String::new()))?,
            member: request.member_id.to_string(),
            instance: name(request.group_instance_id.as_ref()),
            client: client(context, client_id),
            protocol_type: request.protocol_type.to_string(),
            protocols: request.protocols.into_iter().map(|one| (one.name.to_string(), one.metadata)).collect(),
            session_timeout: millis(request.session_timeout_ms),
            rebalance_timeout: millis(rebalance),
            takes_member_id: version.number >= MEMBER_ID_FROM,
            takes_skip: version.number >= SKIP_FROM,
        };
        unless_stopping(context, context.broker().join(join)).await.map_err(|error| {
            let member = match &error {
                Error::GroupRefused { refusal: GroupRefusal::MemberIdRequired { member }, .. } => member.clone(),
                Error::GroupRefused { refusal: GroupRefusal::Full, .. } => String::new(),
                _ => request.member_id.to_string(),
            };
            (ErrorCode::of(&error), member)
        })
    };
    match joined.await {
        Ok(joined) => JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: text(joined.protocol_type),
            protocol_name: text(joined.protocol),
            leader: joined.leader.into(),
            skip_assignment: joined.skip_assignment,
            member_id: joined.member.into(),
            members: joined
                .members
                .into_iter()
                .map(|one| JoinGroupResponseMember {
                    member_id: one.member.into(),
                    group_instance_id: one.instance.map(Into::into),
                    metadata: one.metadata,
                })
                .collect(),
            ..Default::default()
        },
        Err((code, member)) => JoinGroupResponse {
            error_code: code.number(),
            protocol_name: (version.number < NO_PROTOCOL_FROM).then(|| "".into()),
            member_id: member.into(),
            ..Default::default()
        },
    }
}

pub(in crate::broker::server) async fn sync(context: &Context, request: SyncGroupRequest) -> SyncGroupResponse {
    let synced = async {
        let sync = SyncGroup {
            group: group(context, &request.group_id, AclOperation::Read)?,
            who: member(&request.member_id, request.group_instance_id.as_ref(), request.generation_id),
            protocol_type: name(request.protocol_type.as_ref()),
            protocol: name(request.protocol_name.as_ref()),
            assignments: request
                .assignments
                .into_iter()
                .map(|one| (one.member_id.to_string(), one.assignment))
                .collect(),
        };
        unless_stopping(context, context.broker().sync(sync)).await.map_err(|error| ErrorCode::of(&error))
    };
    match synced.await {
        Ok(synced) => SyncGroupResponse {
            protocol_type: text(synced.protocol_type),
            protocol_name: text(synced.protocol),
            assignment: synced.assignment,
            ..Default::default()
        },
        Err(code) => SyncGroupResponse { error_code: code.number(), ..Default::default() },
    }
}

pub(in crate::broker::server) async fn heartbeat(context: &Context, request: HeartbeatRequest) -> HeartbeatResponse {
    let beaten = async {
        let group = group(context, &request.group_id, AclOperation::Read)?;
        let who = member(&request.member_id, request.group_instance_id.as_ref(), request.generation_id);
        context.broker().beat(Heartbeat { group, who }).await.map_err(|error| ErrorCode::of(&error))
    };
    let error_code = beaten.await.err().map_or(0, ErrorCode::number);
    HeartbeatResponse { error_code, ..Default::default() }
}

pub(in crate::broker::server) async fn leave(
    context: &Context,
    request: LeaveGroupRequest,
    version: Version,
) -> LeaveGroupResponse {
    let leaving = match version.number {
        MANY_FROM.. => request.members,
        _ => vec![MemberIdentity { member_id: request.member_id, ..Default::default() }],
    };
    let left = async {
        let group = group(context, &request.group_id, AclOperation::Read)?;
        let members = leaving.iter().map(|one| (one.member_id.to_string(), name(one.group_instance_id.as_ref())));
        let request = LeaveGroup { group, members: members.collect() };
        context.broker().leave(request).await.map_err(|error| ErrorCode::of(&error))
    };
    let codes: Vec<_> = match left.await {
        Ok(left) => left.into_iter().map(|left| left.err().map_or(0, |error| ErrorCode::of(&error).number())).collect(),
        Err(code) => return LeaveGroupResponse { error_code: code.number(), ..Default::default() },
    };
    if version.number < MANY_FROM {
        return LeaveGroupResponse { error_code: codes.first().copied().unwrap_or(0), ..Default::default() };
    }
    let members = leaving.into_iter().zip(codes).map(|(one, error_code)| MemberResponse {
        member_id: one.member_id,
        group_instance_id: one.group_instance_id,
        error_code,
    });
    LeaveGroupResponse { members: members.collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn consumer_heartbeat(
    context: &Context,
    request: ConsumerGroupHeartbeatRequest,
    version: Version,
    client_id: &str,
) -> ConsumerGroupHeartbeatResponse {
    match consumer_beat(context, request, version, client_id).await {
        Ok(response) => response,
        Err((code, why)) => {
            ConsumerGroupHeartbeatResponse { error_code: code.number(), error_message: text(why), ..Default::default() }
        }
    }
}

async fn consumer_beat(
    context: &Context,
    request: ConsumerGroupHeartbeatRequest,
    version: Version,
    client_id: &str,
) -> Result<ConsumerGroupHeartbeatResponse, (ErrorCode, String)> {
    let said = |code: ErrorCode| (code, code.message().to_owned());
    let group = group(context, &request.group_id, AclOperation::Read).map_err(said)?;
    if let Some(why) = wrong(&request, version) {
        return Err((ErrorCode::InvalidRequest, why.to_owned()));
    }
    for topic in request.subscribed_topic_names.iter().flatten() {
        if !context.may(AclOperation::Describe, Resource::Topic(topic)) {
            return Err(said(ErrorCode::TopicAuthorizationFailed));
        }
    }
    let topics = |names: Vec<Str>| names.iter().filter_map(|name| TopicName::new(name).ok()).collect();
    let beat = ConsumerHeartbeat {
        group,
        member: request.member_id.to_string(),
        epoch: request.member_epoch,
        instance: name(request.instance_id.as_ref()),
        rack: name(request.rack_id.as_ref()),
        client: client(context, client_id),
        rebalance_timeout: (request.rebalance_timeout_ms >= 0).then(|| millis(request.rebalance_timeout_ms)),
        topics: request.subscribed_topic_names.map(topics),
        regex: name(request.subscribed_topic_regex.as_ref()),
        assignor: name(request.server_assignor.as_ref()).filter(|name| !name.is_empty()),
        owned: request.topic_partitions.map(owned),
    };
    let answer = context.broker().consumer_beat(beat).await;
    let answer = answer.map_err(|error| (ErrorCode::of(&error), error.to_string()))?;
    let assignment = answer.assignment.map(|assigned| consumer_group_heartbeat::Assignment {
        topic_partitions: assigned
            .into_iter()
            .map(|(id, partitions)| TopicPartitions { topic_id: id.0, partitions: numbers(partitions.iter()) })
            .collect(),
    });
    Ok(ConsumerGroupHeartbeatResponse {
        member_id: text(answer.member),
        member_epoch: answer.epoch,
        heartbeat_interval_ms: i32::try_from(answer.interval.as_millis()).unwrap_or(i32::MAX),
        assignment,
        ..Default::default()
    })
}

fn owned(owned: Vec<TopicPartitions>) -> OwnedPartitions {
    let partitions = |all: Vec<i32>| all.into_iter().filter_map(|n| PartitionIndex::try_from(n).ok()).collect();
    owned.into_iter().map(|one| (TopicId(one.topic_id), partitions(one.partitions))).collect()
}

fn numbers<'a>(partitions: impl Iterator<Item = &'a PartitionIndex>) -> Vec<i32> {
    partitions.map(|index| i32::try_from(*index).unwrap_or(i32::MAX)).collect()
}

/// What a heartbeat must not say, as Kafka has it.
fn wrong(request: &ConsumerGroupHeartbeatRequest, version: Version) -> Option<&'static str> {
    let ConsumerGroupHeartbeatRequest { member_epoch: epoch, topic_partitions, .. } = request;
    let is_joining = *epoch == 0;
    let is_without_id = request.member_id.is_empty();
    if is_without_id && (version.number >= OWN_ID_FROM || !is_joining) {
        return Some("a member needs an id");
    }
    if request.instance_id.as_ref().is_some_and(|id| id.is_empty()) {
        return Some("an instance id is not empty");
    }
    if request.rack_id.as_ref().is_some_and(|id| id.is_empty()) {
        return Some("a rack is not empty");
    }
    if *epoch < -2 {
        return Some("there is no such member epoch");
    }
    if *epoch == -2 && request.instance_id.is_none() {
        return Some("only a static member leaves for a while");
    }
    if is_joining && request.rebalance_timeout_ms < 0 {
        return Some("who joins says its rebalance timeout");
    }
    if is_joining && topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) {
        return Some("who joins owns nothing, and says so");
    }
    if is_joining && request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        return Some("who joins says what it reads");
    }
    None
}

pub(in crate::broker::server) fn describe(
    context: &Context,
    request: DescribeGroupsRequest,
    version: Version,
) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|id| {
        let found = group(context, &id, AclOperation::Describe).and_then(|id| {
            context
                .broker()
                .with_groups(|groups| groups.group(&id).and_then(described))
                .ok_or(ErrorCode::GroupIdNotFound)
        });
        let operations = request.include_authorized_operations.then(|| context.operations(Resource::Group(&id)));
        let mut described = match found {
            Ok(described) => described,
            Err(code) => {
                let is_missing = code == ErrorCode::GroupIdNotFound;
                let is_told = !is_missing || version.number >= NOT_FOUND_FROM;
                let state = if is_missing { GroupState::Dead.name() } else { "" };
                DescribedGroup {
                    error_code: if is_told { code.number() } else { 0 },
                    error_message: is_missing
                        .then(|| format!("there is no group `{id}` of the classic protocol").into()),
                    group_state: state.into(),
                    ..Default::default()
                }
            }
        };
        described.group_id = id;
        described.authorized_operations = operations.unwrap_or(described.authorized_operations);
        described
    });
    DescribeGroupsResponse { groups: groups.collect(), ..Default::default() }
}

/// A group of the classic protocol.
fn described(group: &Group) -> Option<DescribedGroup> {
    let Members::Classic(classic) = &group.members else { return None };
    // What members say is shown when it is settled which of it holds.
    let protocol = classic.protocol.as_deref().filter(|_| classic.state == GroupState::Stable);
    let member = |(id, member): (&String, &crate::group::ClassicMember)| DescribedGroupMember {
        member_id: id.as_str().into(),
        group_instance_id: member.instance.as_deref().map(Into::into),
        client_id: member.client.id.as_str().into(),
        client_host: member.client.host.as_str().into(),
        member_metadata: member.metadata(protocol),
        member_assignment: member.assignment.clone(),
    };
    Some(DescribedGroup {
        group_state: classic.state.name().into(),
        protocol_type: classic.protocol_type.as_deref().unwrap_or_default().into(),
        protocol_data: protocol.unwrap_or_default().into(),
        members: classic.members.iter().map(member).collect(),
        ..Default::default()
    })
}

pub(in crate::broker::server) fn describe_consumer(
    context: &Context,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let groups = request.group_ids.into_iter().map(|id| {
        let found = group(context, &id, AclOperation::Describe).and_then(|id| {
            let described = context
                .broker()
                .with_groups(|groups| groups.group(&id).and_then(|group| described_consumer(context, group)));
            described.ok_or(ErrorCode::GroupIdNotFound)
        });
        let operations = request.include_authorized_operations.then(|| context.operations(Resource::Group(&id)));
        let mut described = found.unwrap_or_else(|code| consumer_group_describe::DescribedGroup {
            error_code: code.number(),
            error_message: text(match code {
                ErrorCode::GroupIdNotFound => format!("there is no group `{id}` of the consumer protocol"),
                code => code.message().to_owned(),
            }),
            ..Default::default()
        });
        described.group_id = id;
        described.authorized_operations = operations.unwrap_or(described.authorized_operations);
        described
    });
    ConsumerGroupDescribeResponse { groups: groups.collect(), ..Default::default() }
}

/// A group of the consumer protocol.
fn described_consumer(context: &Context, group: &Group) -> Option<consumer_group_describe::DescribedGroup> {
    let Members::Consumer(consumer) = &group.members else { return None };
    let assignment = |partitions: &Partitions| {
        let of_topic = |(id, partitions): (&TopicId, &std::collections::BTreeSet<PartitionIndex>)| {
            Some(consumer_group_describe::TopicPartitions {
                topic_id: id.0,
                topic_name: context.broker().topic_name(*id)?.as_str().into(),
                partitions: numbers(partitions.iter()),
            })
        };
        Assignment { topic_partitions: partitions.iter().filter_map(of_topic).collect() }
    };
    let member = |(id, member): (&String, &crate::group::ConsumerMember)| consumer_group_describe::Member {
        member_id: id.as_str().into(),
        instance_id: member.instance.as_deref().map(Into::into),
        rack_id: member.rack.as_deref().map(Into::into),
        member_epoch: member.epoch(),
        client_id: member.client.id.as_str().into(),
        client_host: member.client.host.as_str().into(),
        subscribed_topic_names: member.topics.iter().map(|name| name.as_str().into()).collect(),
        subscribed_topic_regex: member.regex.as_deref().map(Into::into),
        assignment: assignment(member.assigned()),
        target_assignment: assignment(&member.target),
        member_type: 1,
    };
    Some(consumer_group_describe::DescribedGroup {
        group_state: consumer.state().name().into(),
        group_epoch: consumer.epoch,
        assignment_epoch: consumer.assignment_epoch,
        assignor_name: consumer.assignor().into(),
        members: consumer.members.iter().map(member).collect(),
        ..Default::default()
    })
}

pub(in crate::broker::server) fn list(context: &Context, request: &ListGroupsRequest) -> ListGroupsResponse {
    let sees_all = context.may(AclOperation::Describe, Resource::Cluster);
    let is_in =
        |filter: &[Str], name: &str| filter.is_empty() || filter.iter().any(|one| one.eq_ignore_ascii_case(name));
    let listed = context.broker().with_groups(|groups| {
        let listed = groups.iter().map(|(id, group)| {
            let (protocol_type, kind) = match &group.members {
                Members::Classic(classic) => (classic.protocol_type.clone().unwrap_or_default(), "classic"),
                Members::Consumer(_) => (CONSUMER.to_owned(), CONSUMER),
            };
            ListedGroup {
                group_id: id.as_str().into(),
                protocol_type: protocol_type.into(),
                group_state: group.state().name().into(),
                group_type: kind.into(),
            }
        });
        listed.collect::<Vec<_>>()
    });
    let is_wanted = |group: &ListedGroup| {
        is_in(&request.states_filter, &group.group_state)
            && is_in(&request.types_filter, &group.group_type)
            && (sees_all || context.may(AclOperation::Describe, Resource::Group(&group.group_id)))
    };
    ListGroupsResponse { groups: listed.into_iter().filter(is_wanted).collect(), ..Default::default() }
}

pub(in crate::broker::server) async fn delete(context: &Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        let deleted = match group(context, &group_id, AclOperation::Delete) {
            Ok(group) => {
                let deleted = context.broker().delete_consumer_group(DeleteGroup { group }).await;
                deleted.map_err(|error| ErrorCode::of(&error))
            }
            Err(code) => Err(code),
        };
        let error_code = deleted.err().map_or(0, ErrorCode::number);
        results.push(DeletableGroupResult { group_id, error_code });
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
