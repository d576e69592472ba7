//! Consumer groups, at their coordinators: membership in both protocols, positions, and what groups are like.
//!
//! Who waits for other members (joining, syncing) has a connection alone; heartbeats and commits share one that nothing
//! else holds up, so that a slow change of topics ends nobody's session.
//!
//! How far a group is behind is not the coordinator's to know: the leaders are asked where partitions end, and the first
//! record that was not read says how old it is.

use super::Remote;
use super::cluster::{Target, answer, call};
use super::peer::{Call, Lane};
use super::retry::{ANSWER_LIMIT, REQUEST_LIMIT, Trouble, persist};
use super::transactions::Coordinated;
use crate::record::records_at;
use crate::service::{
    CommitOffsets, CommittedOffset, CommittedOffsets, DeleteGroup, DeleteOffsets, DescribeGroups, Fetch,
    FetchPartition, GroupDescription, GroupKind, GroupMember, GroupPartition, Heartbeat, LeaveGroup,
};
use crate::types::{
    ConsumerHeartbeat, ConsumerHeartbeatAnswer, Error, GroupClient, GroupId, GroupRefusal, GroupState, Isolation,
    JoinGroup, JoinedGroup, JoinedMember, LogOffsets, Offset, Result, SyncGroup, SyncedGroup, TopicId, TopicName,
    TopicPartition,
};
use crate::wire::consumer_group_heartbeat::{Assignment, TopicPartitions};
use crate::wire::join_group::JoinGroupRequestProtocol;
use crate::wire::leave_group::MemberIdentity;
use crate::wire::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use crate::wire::offset_fetch::OffsetFetchRequestGroup;
use crate::wire::sync_group::SyncGroupRequestAssignment;
use crate::wire::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerProtocolAssignment, DeleteGroupsRequest,
    DescribeGroupsRequest, ErrorCode, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, Request, SyncGroupRequest, read_versioned,
};
use bytes::Bytes;
use futures::stream::{StreamExt as _, iter};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The last versions that name topics.
const COMMIT_NAMES_TO: i16 = 9;
const FETCH_NAMES_TO: i16 = 9;
/// The first versions of: instance ids; ids that are given before joining; leaders that need not assign.
const JOIN_INSTANCE_FROM: i16 = 5;
const JOIN_ID_TO: i16 = 3;
const JOIN_SKIP_FROM: i16 = 9;
const INSTANCE_FROM: i16 = 3;
const COMMIT_INSTANCE_FROM: i16 = 7;
/// Partitions whose first unread record is looked at, at once.
const AGES_AT_ONCE: usize = 8;

/// A group as a coordinator tells of it.
struct Told {
    state: GroupState,
    generation: i32,
    members: Vec<GroupMember>,
}

impl Remote {
    fn of_group(&self, lane: Lane, request: Request, versions: std::ops::RangeInclusive<i16>) -> Call {
        Call { versions, lane, ..call(request) }
    }

    fn checked_group(&self, group: &GroupId, code: i16, message: Option<&str>) -> Result<(), Trouble> {
        self.checked_coordinator(Coordinated::Group, group.as_str(), code, message)
    }

    pub(super) async fn join(&self, request: JoinGroup) -> Result<JoinedGroup> {
        let group = request.group.clone();
        let protocol = |(name, metadata): &(String, Bytes)| JoinGroupRequestProtocol {
            name: name.as_str().into(),
            metadata: metadata.clone(),
        };
        let asked = JoinGroupRequest {
            group_id: group.as_str().into(),
            session_timeout_ms: millis(request.session_timeout),
            rebalance_timeout_ms: millis(request.rebalance_timeout),
            member_id: request.member.as_str().into(),
            group_instance_id: request.instance.as_deref().map(Into::into),
            protocol_type: request.protocol_type.as_str().into(),
            protocols: request.protocols.iter().map(protocol).collect(),
            reason: None,
        };
        let least = if request.instance.is_some() { JOIN_INSTANCE_FROM } else { 1 };
        let most = match (request.takes_member_id, request.takes_skip) {
            (false, _) if request.instance.is_none() => JOIN_ID_TO,
            (_, false) => JOIN_SKIP_FROM - 1,
            _ => i16::MAX,
        };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            // Others may take all of their time to join.
            let limit = request.rebalance_timeout + ANSWER_LIMIT;
            let call = Call { limit, ..self.of_group(Lane::Wait, Request::JoinGroup(asked.clone()), least..=most) };
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, JoinGroup)?;
            if ErrorCode::from_number(told.error_code) == ErrorCode::MemberIdRequired {
                let refusal = GroupRefusal::MemberIdRequired { member: told.member_id.into() };
                return Err(Trouble::Final(Error::GroupRefused { group: group.to_string(), refusal }));
            }
            self.checked_group(&group, told.error_code, None)?;
            let member = |told: crate::wire::join_group::JoinGroupResponseMember| JoinedMember {
                member: told.member_id.into(),
                instance: told.group_instance_id.map(Into::into),
                metadata: told.metadata,
            };
            Ok(JoinedGroup {
                member: told.member_id.into(),
                generation: told.generation_id,
                protocol_type: told.protocol_type.map_or_else(|| request.protocol_type.clone(), Into::into),
                protocol: told.protocol_name.map(Into::into).unwrap_or_default(),
                leader: told.leader.into(),
                skip_assignment: told.skip_assignment,
                members: told.members.into_iter().map(member).collect(),
            })
        })
    }

    pub(super) async fn sync(&self, request: SyncGroup) -> Result<SyncedGroup> {
        let group = request.group.clone();
        let assignment = |(member, assignment): &(String, Bytes)| SyncGroupRequestAssignment {
            member_id: member.as_str().into(),
            assignment: assignment.clone(),
        };
        let asked = SyncGroupRequest {
            group_id: group.as_str().into(),
            generation_id: request.who.generation,
            member_id: request.who.member.as_str().into(),
            group_instance_id: request.who.instance.as_deref().map(Into::into),
            protocol_type: request.protocol_type.as_deref().map(Into::into),
            protocol_name: request.protocol.as_deref().map(Into::into),
            assignments: request.assignments.iter().map(assignment).collect(),
        };
        let least = if request.who.instance.is_some() { INSTANCE_FROM } else { 0 };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Wait, Request::SyncGroup(asked.clone()), least..=i16::MAX);
            // A leader that does not hand in its assignment loses its session first.
            let call = Call { limit: ANSWER_LIMIT * 2, ..call };
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, SyncGroup)?;
            self.checked_group(&group, told.error_code, None)?;
            let or = |told: Option<crate::wire::Str>, asked: &Option<String>| {
                told.map(Into::into).or_else(|| asked.clone()).unwrap_or_default()
            };
            Ok(SyncedGroup {
                protocol_type: or(told.protocol_type, &request.protocol_type),
                protocol: or(told.protocol_name, &request.protocol),
                assignment: told.assignment,
            })
        })
    }

    pub(super) async fn beat(&self, request: Heartbeat) -> Result<()> {
        let Heartbeat { group, who } = request;
        let least = if who.instance.is_some() { INSTANCE_FROM } else { 0 };
        let asked = HeartbeatRequest {
            group_id: group.as_str().into(),
            generation_id: who.generation,
            member_id: who.member.into(),
            group_instance_id: who.instance.map(Into::into),
        };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::Heartbeat(asked.clone()), least..=i16::MAX);
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, Heartbeat)?;
            self.checked_group(&group, told.error_code, None)
        })
    }

    pub(super) async fn leave(&self, request: LeaveGroup) -> Result<Vec<Result<()>>> {
        let LeaveGroup { group, members } = request;
        // Before version 3 one leaves at a time, and by its id alone.
        let mut results = Vec::with_capacity(members.len());
        for (member, instance) in members {
            let least = if instance.is_some() { INSTANCE_FROM } else { 0 };
            let identity = MemberIdentity {
                member_id: member.as_str().into(),
                group_instance_id: instance.as_deref().map(Into::into),
                reason: None,
            };
            let asked = LeaveGroupRequest {
                group_id: group.as_str().into(),
                member_id: member.into(),
                members: vec![identity],
            };
            results.push(persist!(self.cluster.patience(REQUEST_LIMIT), async {
                let call = self.of_group(Lane::Group, Request::LeaveGroup(asked.clone()), least..=i16::MAX);
                let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, LeaveGroup)?;
                self.checked_group(&group, told.error_code, None)?;
                told.members.iter().try_for_each(|one| self.checked_group(&group, one.error_code, None))
            }));
        }
        Ok(results)
    }

    pub(super) async fn consumer_beat(&self, request: ConsumerHeartbeat) -> Result<ConsumerHeartbeatAnswer> {
        let group = request.group.clone();
        let owned = |(id, partitions): &(TopicId, Vec<u32>)| TopicPartitions {
            topic_id: id.0,
            partitions: partitions.iter().map(|index| i32::try_from(*index).unwrap_or(i32::MAX)).collect(),
        };
        let asked = ConsumerGroupHeartbeatRequest {
            group_id: group.as_str().into(),
            member_id: request.member.as_str().into(),
            member_epoch: request.epoch,
            instance_id: request.instance.as_deref().map(Into::into),
            rack_id: request.rack.as_deref().map(Into::into),
            rebalance_timeout_ms: request.rebalance_timeout.map_or(-1, millis),
            subscribed_topic_names: request
                .topics
                .as_ref()
                .map(|topics| topics.iter().map(|topic| topic.as_str().into()).collect()),
            subscribed_topic_regex: request.regex.as_deref().map(Into::into),
            server_assignor: request.assignor.as_deref().map(Into::into),
            topic_partitions: request.owned.as_ref().map(|owns| owns.iter().map(owned).collect()),
        };
        // Version 0 gives ids, version 1 takes expressions and wants an id.
        let versions = match (request.member.is_empty(), request.regex.is_some()) {
            (true, false) => 0..=0,
            (_, true) => 1..=i16::MAX,
            _ => 0..=i16::MAX,
        };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::ConsumerGroupHeartbeat(asked.clone()), versions.clone());
            let told =
                answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, ConsumerGroupHeartbeat)?;
            self.checked_group(&group, told.error_code, told.error_message.as_deref())?;
            let owned = |told: &TopicPartitions| {
                let partitions = told.partitions.iter().filter_map(|index| u32::try_from(*index).ok()).collect();
                (TopicId(told.topic_id), partitions)
            };
            let owns = |told: Assignment| told.topic_partitions.iter().map(owned).collect();
            Ok(ConsumerHeartbeatAnswer {
                member: told.member_id.map_or_else(|| request.member.clone(), Into::into),
                epoch: told.member_epoch,
                interval: Duration::from_millis(u64::try_from(told.heartbeat_interval_ms).unwrap_or(0)),
                assignment: told.assignment.map(owns),
            })
        })
    }

    pub(super) async fn commit(&self, request: CommitOffsets) -> Result<()> {
        let CommitOffsets { group, member, offsets } = request;
        let mut topics = BTreeMap::<String, Vec<OffsetCommitRequestPartition>>::new();
        for (partition, position) in offsets {
            topics.entry(partition.topic.to_string()).or_default().push(OffsetCommitRequestPartition {
                partition_index: i32::try_from(partition.partition).unwrap_or(i32::MAX),
                committed_offset: position.offset,
                committed_leader_epoch: position.leader_epoch.unwrap_or(-1),
                committed_metadata: Some(position.metadata.into()),
            });
        }
        let topic = |(name, partitions): (String, Vec<_>)| OffsetCommitRequestTopic {
            name: name.into(),
            partitions,
            ..Default::default()
        };
        let (generation, id, instance) = match member {
            Some(who) => (who.generation, who.member, who.instance),
            None => (-1, String::new(), None),
        };
        let least = if instance.is_some() { COMMIT_INSTANCE_FROM } else { 2 };
        let asked = OffsetCommitRequest {
            group_id: group.as_str().into(),
            generation_id_or_member_epoch: generation,
            member_id: id.into(),
            group_instance_id: instance.map(Into::into),
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::OffsetCommit(asked.clone()), least..=COMMIT_NAMES_TO);
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, OffsetCommit)?;
            for topic in &told.topics {
                for one in &topic.partitions {
                    match ErrorCode::from_number(one.error_code) {
                        ErrorCode::UnknownTopicOrPartition => {
                            let (name, did_you_mean) = (topic.name.to_string(), None);
                            return Err(Trouble::Final(Error::UnknownTopic { name, did_you_mean }));
                        }
                        _ => self.checked_group(&group, one.error_code, None)?,
                    }
                }
            }
            Ok(())
        })
    }

    pub(super) async fn positions(&self, request: CommittedOffsets) -> Result<Vec<CommittedOffset>> {
        let CommittedOffsets { group, require_stable } = request;
        let of = OffsetFetchRequestGroup { group_id: group.as_str().into(), topics: None, ..Default::default() };
        let asked =
            OffsetFetchRequest { group_id: group.as_str().into(), topics: None, groups: vec![of], require_stable };
        // All topics by none: from version 2.
        let least = if require_stable { 7 } else { 2 };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::OffsetFetch(asked.clone()), least..=FETCH_NAMES_TO);
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, OffsetFetch)?;
            let unstable = |code| match ErrorCode::from_number(code) {
                // A transaction will be decided.
                ErrorCode::UnstableOffsetCommit => Err(Trouble::Again(Error::GroupRefused {
                    group: group.to_string(),
                    refusal: GroupRefusal::UnstableOffsets,
                })),
                _ => self.checked_group(&group, code, None),
            };
            let mut committed = Vec::new();
            let mut take = |topic: &str, index: i32, offset: i64, epoch: i32, metadata: Option<&str>| {
                let (Ok(topic), Ok(index)) = (TopicName::new(topic), u32::try_from(index)) else { return };
                if offset >= 0 {
                    committed.push(CommittedOffset {
                        partition: TopicPartition::new(topic, index),
                        offset,
                        leader_epoch: Some(epoch).filter(|epoch| *epoch >= 0),
                        metadata: metadata.unwrap_or_default().to_owned(),
                        committed_at: None,
                    });
                }
            };
            unstable(told.error_code)?;
            for topic in &told.topics {
                for one in &topic.partitions {
                    unstable(one.error_code)?;
                    let metadata = one.metadata.as_deref();
                    take(&topic.name, one.partition_index, one.committed_offset, one.committed_leader_epoch, metadata);
                }
            }
            for of in &told.groups {
                unstable(of.error_code)?;
                for topic in &of.topics {
                    for one in &topic.partitions {
                        unstable(one.error_code)?;
                        let metadata = one.metadata.as_deref();
                        let (at, epoch) = (one.committed_offset, one.committed_leader_epoch);
                        take(&topic.name, one.partition_index, at, epoch, metadata);
                    }
                }
            }
            committed.sort_by(|a, b| a.partition.cmp(&b.partition));
            Ok(committed)
        })
    }

    pub(super) async fn forget_positions(&self, request: DeleteOffsets) -> Result<Vec<Result<()>>> {
        let DeleteOffsets { group, partitions } = request;
        let mut topics = BTreeMap::<String, Vec<OffsetDeleteRequestPartition>>::new();
        for partition in &partitions {
            let partition_index = i32::try_from(partition.partition).unwrap_or(i32::MAX);
            topics
                .entry(partition.topic.to_string())
                .or_default()
                .push(OffsetDeleteRequestPartition { partition_index });
        }
        let topic = |(name, partitions): (String, Vec<_>)| OffsetDeleteRequestTopic { name: name.into(), partitions };
        let asked =
            OffsetDeleteRequest { group_id: group.as_str().into(), topics: topics.into_iter().map(topic).collect() };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::OffsetDelete(asked.clone()), 0..=i16::MAX);
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, OffsetDelete)?;
            self.checked_group(&group, told.error_code, None)?;
            Ok::<_, Trouble>(told)
        })?;
        let mut codes = HashMap::new();
        for topic in &told.topics {
            codes.extend(
                topic.partitions.iter().map(|one| ((topic.name.to_string(), one.partition_index), one.error_code)),
            );
        }
        let result = |partition: &TopicPartition| {
            let key = (partition.topic.to_string(), i32::try_from(partition.partition).unwrap_or(i32::MAX));
            let code = ErrorCode::from_number(codes.get(&key).copied().unwrap_or(0));
            let subject = match code {
                ErrorCode::UnknownTopicOrPartition => partition.topic.as_str(),
                _ => group.as_str(),
            };
            code.error(subject, None).map_or(Ok(()), Err)
        };
        Ok(partitions.iter().map(result).collect())
    }

    pub(super) async fn drop_group(&self, request: DeleteGroup) -> Result<()> {
        let group = request.group;
        let asked = DeleteGroupsRequest { groups_names: vec![group.as_str().into()] };
        let mut may_be_done = false;
        let deleted = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::DeleteGroups(asked.clone()), 0..=i16::MAX);
            let asked = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, DeleteGroups);
            let told = asked.inspect_err(|_| may_be_done = true)?;
            let code = told.results.first().map_or(0, |one| one.error_code);
            match ErrorCode::from_number(code) {
                ErrorCode::GroupIdNotFound if may_be_done => Ok(()),
                _ => self.checked_group(&group, code, None),
            }
        });
        match deleted {
            Err(Error::Refused { name: "NON_EMPTY_GROUP", .. }) => {
                let members = self.told_of(&group).await?.members.len();
                Err(Error::GroupNotEmpty { group: group.to_string(), members })
            }
            other => other,
        }
    }

    pub(super) async fn look_at_groups(&self, request: DescribeGroups) -> Result<Vec<GroupDescription>> {
        let groups = match request.groups {
            Some(groups) => groups,
            None => self.all_groups().await?,
        };
        let mut described = Vec::with_capacity(groups.len());
        for group in groups {
            described.push(self.look_at_group(group).await?);
        }
        Ok(described)
    }

    /// The consumer groups there are: each coordinator knows its own.
    async fn all_groups(&self) -> Result<Vec<GroupId>> {
        // Brokers that have come since are asked too.
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            Ok::<_, Trouble>(self.cluster.metadata(Some(&[])).await?)
        })?;
        let nodes: Vec<_> = self.cluster.image.lock().brokers.keys().copied().collect();
        let mut groups = BTreeSet::new();
        for node in nodes {
            let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
                let call = call(Request::ListGroups(ListGroupsRequest::default()));
                let told = answer!(self.cluster.ask(Target::Node(node), call).await, ListGroups)?;
                Trouble::check(told.error_code, "groups", None)?;
                Ok::<_, Trouble>(told)
            })?;
            // Not those of workers, of streams, or of what else takes part in the classic protocol.
            let is_ours = |one: &&crate::wire::list_groups::ListedGroup| {
                ["", "consumer"].contains(&&*one.protocol_type)
                    && !["share", "streams"].contains(&&*one.group_type.to_lowercase())
            };
            groups.extend(told.groups.iter().filter(is_ours).filter_map(|one| GroupId::new(&*one.group_id).ok()));
        }
        Ok(groups.into_iter().collect())
    }

    async fn look_at_group(&self, group: GroupId) -> Result<GroupDescription> {
        let told = self.told_of(&group).await?;
        let committed = self.positions(CommittedOffsets::of(group.clone())).await?;
        let assigned = told.members.iter().flat_map(|member| &member.assignment);
        let mut positions: BTreeMap<TopicPartition, Option<Offset>> = assigned.map(|tp| (tp.clone(), None)).collect();
        positions.extend(committed.into_iter().map(|one| (one.partition, Some(one.offset))));
        let partitions: Vec<_> = positions.keys().cloned().collect();
        let ladders = self.ladders(&partitions).await;
        let lag = |((partition, committed), offsets): ((TopicPartition, Option<Offset>), Result<LogOffsets>)| async move {
            // Its topic may be gone.
            let offsets = offsets.ok()?;
            let position = committed.unwrap_or(offsets.log_start_offset);
            let unread = position.max(offsets.log_start_offset);
            let lag_records = u64::try_from(offsets.high_watermark - unread).unwrap_or(0);
            let lag = if lag_records > 0 { self.age_at(&partition, unread).await } else { None };
            Some(GroupPartition { partition, position, lag_records, lag, leased: 0 })
        };
        let each = iter(positions.into_iter().zip(ladders).map(lag)).buffered(AGES_AT_ONCE);
        let partitions: Vec<Option<GroupPartition>> = each.collect().await;
        let Told { state, generation, members } = told;
        let partitions = partitions.into_iter().flatten().collect();
        Ok(GroupDescription { group, kind: GroupKind::Consumer, state, generation, members, partitions })
    }

    /// How old the first record at or behind an offset is, if it can be read.
    async fn age_at(&self, partition: &TopicPartition, offset: Offset) -> Option<Duration> {
        let wanted = FetchPartition { partition: partition.clone(), offset, max_bytes: 1 };
        let isolation = Isolation::ReadUncommitted;
        let request = Fetch { partitions: vec![wanted], max_wait: Duration::ZERO, min_bytes: 1, isolation };
        let fetched = self.read(request).await.ok()?.pop()?;
        let mut position = offset;
        let oldest = records_at(fetched.batches, &mut position).next()?.ok()?.timestamp;
        Some(Duration::from_millis(u64::try_from(self.clock.now().0.saturating_sub(oldest.0)).unwrap_or(0)))
    }

    /// What the coordinator tells: of a group of the consumer protocol, else of the classic one.
    async fn told_of(&self, group: &GroupId) -> Result<Told> {
        match self.told_of_consumer(group).await {
            Err(Error::UnknownGroup { .. } | Error::Unsupported { .. }) => self.told_of_classic(group).await,
            other => other,
        }
    }

    async fn told_of_consumer(&self, group: &GroupId) -> Result<Told> {
        let asked = ConsumerGroupDescribeRequest { group_ids: vec![group.as_str().into()], ..Default::default() };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::ConsumerGroupDescribe(asked.clone()), 0..=i16::MAX);
            let told =
                answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, ConsumerGroupDescribe)?;
            let told = told.groups.into_iter().next().unwrap_or_default();
            self.checked_group(group, told.error_code, told.error_message.as_deref())?;
            let member = |told: crate::wire::consumer_group_describe::Member| {
                let topics = told.assignment.topic_partitions.iter().map(|t| (&*t.topic_name, &t.partitions[..]));
                GroupMember {
                    assignment: named(topics),
                    member: told.member_id.into(),
                    client: GroupClient { id: told.client_id.into(), host: told.client_host.into() },
                }
            };
            Ok(Told {
                state: state(&told.group_state),
                generation: told.group_epoch,
                members: told.members.into_iter().map(member).collect(),
            })
        })
    }

    async fn told_of_classic(&self, group: &GroupId) -> Result<Told> {
        let asked = DescribeGroupsRequest { groups: vec![group.as_str().into()], ..Default::default() };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = self.of_group(Lane::Group, Request::DescribeGroups(asked.clone()), 0..=i16::MAX);
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, DescribeGroups)?;
            let told = told.groups.into_iter().next().unwrap_or_default();
            self.checked_group(group, told.error_code, told.error_message.as_deref())?;
            let state = state(&told.group_state);
            if state == GroupState::Dead {
                let unknown = Error::UnknownGroup { group: group.to_string(), did_you_mean: None };
                return Err(Trouble::Final(unknown));
            }
            let member = |told: crate::wire::describe_groups::DescribedGroupMember| {
                let assignment = read_versioned::<ConsumerProtocolAssignment>(told.member_assignment);
                let assignment = assignment.map(|(_, assignment)| assignment).unwrap_or_default();
                let topics = assignment.assigned_partitions.iter().map(|t| (&*t.topic, &t.partitions[..]));
                GroupMember {
                    assignment: named(topics),
                    member: told.member_id.into(),
                    client: GroupClient { id: told.client_id.into(), host: told.client_host.into() },
                }
            };
            // The generation is not told.
            Ok(Told { state, generation: -1, members: told.members.into_iter().map(member).collect() })
        })
    }
}

fn millis(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}

fn named<'a>(topics: impl Iterator<Item = (&'a str, &'a [i32])>) -> Vec<TopicPartition> {
    let mut named = Vec::new();
    for (topic, partitions) in topics {
        let Ok(topic) = TopicName::new(topic) else { continue };
        let indexes = partitions.iter().filter_map(|index| u32::try_from(*index).ok());
        named.extend(indexes.map(|index| TopicPartition::new(topic.clone(), index)));
    }
    named.sort();
    named
}

/// The state of Kafka's name for it; one that is not known here is dead to us.
fn state(name: &str) -> GroupState {
    const ALL: [GroupState; 7] = [
        GroupState::Empty,
        GroupState::PreparingRebalance,
        GroupState::CompletingRebalance,
        GroupState::Assigning,
        GroupState::Reconciling,
        GroupState::Stable,
        GroupState::Dead,
    ];
    ALL.into_iter().find(|state| state.name() == name).unwrap_or(GroupState::Dead)
}
