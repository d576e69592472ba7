//! Groups over the wire, in the oldest and the newest version of each request.

use super::*;
use crate::wire::consumer_group_heartbeat::TopicPartitions;
use crate::wire::join_group::JoinGroupRequestProtocol;
use crate::wire::leave_group::MemberIdentity;
use crate::wire::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use crate::wire::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
};
use crate::wire::sync_group::SyncGroupRequestAssignment;
use crate::wire::txn_offset_commit::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use crate::wire::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, DeleteGroupsRequest,
    DescribeGroupsRequest, ErrorCode, HeartbeatRequest, InitProducerIdRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest,
};
use uuid::Uuid;

fn join(member: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name: "range".into(), metadata: Bytes::from_static(b"said") }],
        ..Default::default()
    }
}

impl Client {
    async fn join(&mut self, request: JoinGroupRequest, version: i16) -> JoinGroupResponse {
        let Response::JoinGroup(joined) = self.ask(Request::JoinGroup(request), version).await else { panic!() };
        joined
    }

    async fn sync(&mut self, member: &str, generation: i32, given: &[(&str, &'static str)]) -> SyncGroupResponse {
        let assignment = |(member, bytes): &(&str, &'static str)| SyncGroupRequestAssignment {
            member_id: (*member).into(),
            assignment: Bytes::from_static(bytes.as_bytes()),
        };
        let request = SyncGroupRequest {
            group_id: "g".into(),
            generation_id: generation,
            member_id: member.into(),
            assignments: given.iter().map(assignment).collect(),
            ..Default::default()
        };
        let Response::SyncGroup(synced) = self.ask(Request::SyncGroup(request), 4).await else { panic!() };
        synced
    }

    async fn beat(&mut self, member: &str, generation: i32) -> ErrorCode {
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: generation,
            member_id: member.into(),
            ..Default::default()
        };
        let Response::Heartbeat(beaten) = self.ask(Request::Heartbeat(request), 4).await else { panic!() };
        ErrorCode::from_number(beaten.error_code)
    }

    async fn commit(&mut self, who: (&str, i32), topic: (&str, Uuid), offset: i64, version: i16) -> ErrorCode {
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            committed_leader_epoch: 0,
            committed_metadata: Some("note".into()),
        };
        let topic = OffsetCommitRequestTopic { name: topic.0.into(), topic_id: topic.1, partitions: vec![partition] };
        let request = OffsetCommitRequest {
            group_id: "g".into(),
            member_id: who.0.into(),
            generation_id_or_member_epoch: who.1,
            topics: vec![topic],
            ..Default::default()
        };
        let Response::OffsetCommit(answer) = self.ask(Request::OffsetCommit(request), version).await else { panic!() };
        ErrorCode::from_number(answer.topics[0].partitions[0].error_code)
    }

    async fn committed(&mut self, require_stable: bool) -> OffsetFetchResponseGroup {
        let group = OffsetFetchRequestGroup { group_id: "g".into(), ..Default::default() };
        let request = OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() };
        let Response::OffsetFetch(mut fetched) = self.ask(Request::OffsetFetch(request), 8).await else { panic!() };
        fetched.groups.remove(0)
    }
}

#[tokio::test]
async fn members_of_the_classic_protocol_join_sync_and_leave() {
    let served = Served::start().await;
    let mut one = served.with_topic("lines", 1).await;
    let mut two = served.client().await;
    let asked = one.join(join(""), 9).await;
    assert_eq!(asked.error_code, ErrorCode::MemberIdRequired.number());
    let first = asked.member_id.to_string();
    assert!(first.starts_with("test-"), "{first}");
    let joined = one.join(join(&first), 9).await;
    assert_eq!((joined.error_code, joined.generation_id, &*joined.leader), (0, 1, &*first));
    assert_eq!(&joined.members[0].metadata[..], b"said");
    assert_eq!(&one.sync(&first, 1, &[(&first, "all")]).await.assignment[..], b"all");

    // An old client joins at once; it waits until the first has joined again.
    let id = two.send(&Request::JoinGroup(join("")), 0).await;
    while one.beat(&first, 1).await != ErrorCode::RebalanceInProgress {}
    let joined = one.join(join(&first), 9).await;
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2));
    let Response::JoinGroup(other) = two.receive(ApiKey::JoinGroup, 0, id).await else { panic!() };
    assert_eq!((other.error_code, other.generation_id, other.members.len()), (0, 2, 0));
    let second = other.member_id.to_string();
    let synced = one.sync(&first, 2, &[(&first, "left"), (&second, "right")]).await;
    assert_eq!(&synced.assignment[..], b"left");
    assert_eq!(&two.sync(&second, 2, &[]).await.assignment[..], b"right");

    let describe = DescribeGroupsRequest { groups: vec!["g".into(), "none".into()], ..Default::default() };
    let Response::DescribeGroups(described) = one.ask(Request::DescribeGroups(describe), 6).await else { panic!() };
    let [group, none] = &described.groups[..] else { panic!() };
    assert_eq!((&*group.group_state, &*group.protocol_data, group.members.len()), ("Stable", "range", 2));
    assert_eq!(&group.members[0].member_assignment[..], b"left");
    assert_eq!((none.error_code, &*none.group_state), (ErrorCode::GroupIdNotFound.number(), "Dead"));
    let Response::ListGroups(listed) = one.ask(Request::ListGroups(ListGroupsRequest::default()), 5).await else {
        panic!()
    };
    assert_eq!((&*listed.groups[0].group_type, &*listed.groups[0].group_state), ("classic", "Stable"));

    // Who commits is checked.
    let lines = ("lines", Uuid::nil());
    assert_eq!(one.commit((&first, 2), lines, 7, 9).await, ErrorCode::None);
    assert_eq!(one.commit((&first, 1), lines, 8, 2).await, ErrorCode::IllegalGeneration);
    assert_eq!(one.commit(("", -1), lines, 8, 2).await, ErrorCode::UnknownMemberId);
    assert_eq!(one.commit((&first, 2), ("none", Uuid::nil()), 8, 9).await, ErrorCode::UnknownTopicOrPartition);
    let fetched = one.committed(true).await;
    let partition = &fetched.topics[0].partitions[0];
    assert_eq!((partition.committed_offset, partition.committed_leader_epoch), (7, 0));
    assert_eq!(partition.metadata.as_deref(), Some("note"));

    let leaving = |member: &str| MemberIdentity { member_id: member.into(), ..Default::default() };
    let members = vec![leaving(&first), leaving("nobody"), leaving(&second)];
    let leave = LeaveGroupRequest { group_id: "g".into(), members, ..Default::default() };
    let Response::LeaveGroup(left) = one.ask(Request::LeaveGroup(leave), 5).await else { panic!() };
    let codes: Vec<_> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::UnknownMemberId.number(), 0]);
}

#[tokio::test]
async fn positions_are_fetched_by_every_version_and_deleted() {
    let served = Served::start().await;
    let mut client = served.with_topic("lines", 2).await;
    let id = served.broker.topic(&crate::TopicName::new("lines").unwrap()).unwrap().id.0;
    assert_eq!(client.commit(("", -1), ("", id), 5, 10).await, ErrorCode::None);
    for version in 1..=10 {
        let request = OffsetFetchRequest {
            group_id: "g".into(),
            topics: Some(vec![OffsetFetchRequestTopic { name: "lines".into(), partition_indexes: vec![0, 1] }]),
            groups: vec![OffsetFetchRequestGroup {
                group_id: "g".into(),
                topics: Some(vec![OffsetFetchRequestTopics {
                    name: "lines".into(),
                    topic_id: id,
                    partition_indexes: vec![0, 1],
                }]),
                ..Default::default()
            }],
            ..Default::default()
        };
        let answer = client.ask(Request::OffsetFetch(request), version).await;
        let Response::OffsetFetch(fetched) = answer else { panic!() };
        let offsets: Vec<_> = match version {
            8.. => fetched.groups[0].topics[0].partitions.iter().map(|p| (p.committed_offset, p.error_code)).collect(),
            _ => fetched.topics[0].partitions.iter().map(|p| (p.committed_offset, p.error_code)).collect(),
        };
        assert_eq!(offsets, [(5, 0), (-1, 0)], "version {version}");
    }
    let topics = vec![OffsetDeleteRequestTopic {
        name: "lines".into(),
        partitions: vec![OffsetDeleteRequestPartition { partition_index: 0 }],
    }];
    let delete = OffsetDeleteRequest { group_id: "g".into(), topics };
    let Response::OffsetDelete(deleted) = client.ask(Request::OffsetDelete(delete), 0).await else { panic!() };
    assert_eq!((deleted.error_code, deleted.topics[0].partitions[0].error_code), (0, 0));
    assert_eq!(client.committed(false).await.topics, []);
    assert_eq!(client.commit(("", -1), ("", id), 6, 10).await, ErrorCode::None);
    let delete = || DeleteGroupsRequest { groups_names: vec!["g".into()] };
    for code in [ErrorCode::None, ErrorCode::GroupIdNotFound] {
        let Response::DeleteGroups(deleted) = client.ask(Request::DeleteGroups(delete()), 2).await else { panic!() };
        assert_eq!(deleted.results[0].error_code, code.number());
    }
}

#[tokio::test]
async fn positions_of_a_transaction_are_unstable_until_it_ends() {
    let served = Served::start().await;
    let mut client = served.with_topic("lines", 1).await;
    let init = InitProducerIdRequest {
        transactional_id: Some("etl".into()),
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
    };
    let Response::InitProducerId(init) = client.ask(Request::InitProducerId(init), 5).await else { panic!() };
    assert_eq!(init.error_code, 0);
    let partition = TxnOffsetCommitRequestPartition { committed_offset: 3, ..Default::default() };
    let request = TxnOffsetCommitRequest {
        transactional_id: "etl".into(),
        group_id: "g".into(),
        producer_id: init.producer_id,
        producer_epoch: init.producer_epoch,
        topics: vec![TxnOffsetCommitRequestTopic { name: "lines".into(), partitions: vec![partition] }],
        ..Default::default()
    };
    let code = |response: Response| {
        let Response::TxnOffsetCommit(response) = response else { panic!() };
        ErrorCode::from_number(response.topics[0].partitions[0].error_code)
    };
    let old = client.ask(Request::TxnOffsetCommit(request.clone()), 3).await;
    assert_eq!(code(old), ErrorCode::InvalidTxnState, "its group was not added to it");
    assert_eq!(code(client.ask(Request::TxnOffsetCommit(request), 5).await), ErrorCode::None);
    let unstable = &client.committed(true).await.topics[0].partitions[0];
    assert_eq!(unstable.error_code, ErrorCode::UnstableOffsetCommit.number());
    assert_eq!(client.committed(false).await.topics[0].partitions[0].committed_offset, -1);
    let end = crate::wire::EndTxnRequest {
        transactional_id: "etl".into(),
        producer_id: init.producer_id,
        producer_epoch: init.producer_epoch,
        committed: true,
    };
    let Response::EndTxn(ended) = client.ask(Request::EndTxn(end), 5).await else { panic!() };
    assert_eq!(ended.error_code, 0);
    assert_eq!(client.committed(true).await.topics[0].partitions[0].committed_offset, 3);
}

#[tokio::test]
async fn members_of_the_consumer_protocol_are_assigned_to() {
    let served = Served::start().await;
    let mut client = served.with_topic("lines", 2).await;
    let id = served.broker.topic(&crate::TopicName::new("lines").unwrap()).unwrap().id.0;
    let beat = |member: &str, epoch: i32| ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: member.into(),
        member_epoch: epoch,
        rebalance_timeout_ms: if epoch == 0 { 60_000 } else { -1 },
        subscribed_topic_names: (epoch == 0).then(|| vec!["lines".into()]),
        topic_partitions: (epoch == 0).then(Vec::new),
        ..Default::default()
    };
    async fn ask(client: &mut Client, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let answer = client.ask(Request::ConsumerGroupHeartbeat(request), 1).await;
        let Response::ConsumerGroupHeartbeat(answer) = answer else { panic!() };
        answer
    }
    let owned = |answer: ConsumerGroupHeartbeatResponse| {
        assert_eq!(answer.error_code, 0, "{answer:?}");
        let assigned = answer.assignment.expect("an assignment").topic_partitions;
        assigned.into_iter().flat_map(|topic| topic.partitions).collect::<Vec<_>>()
    };
    assert_eq!(owned(ask(&mut client, beat("a", 0)).await), [0, 1]);
    assert_eq!(owned(ask(&mut client, beat("b", 0)).await), [0_i32; 0]);
    assert_eq!(owned(ask(&mut client, beat("a", 1)).await), [1]);
    let given_up = TopicPartitions { topic_id: id, partitions: vec![1] };
    let acknowledged = ConsumerGroupHeartbeatRequest { topic_partitions: Some(vec![given_up]), ..beat("a", 1) };
    assert_eq!(ask(&mut client, acknowledged).await.member_epoch, 2);
    assert_eq!(owned(ask(&mut client, beat("b", 2)).await), [0]);
    assert_eq!(ask(&mut client, beat("b", 1)).await.error_code, ErrorCode::FencedMemberEpoch.number());
    assert_eq!(ask(&mut client, beat("", 0)).await.error_code, ErrorCode::InvalidRequest.number());
    assert_eq!(client.commit(("b", 1), ("lines", id), 1, 9).await, ErrorCode::StaleMemberEpoch);
    assert_eq!(client.commit(("b", 2), ("lines", id), 1, 9).await, ErrorCode::None);

    let describe = ConsumerGroupDescribeRequest { group_ids: vec!["g".into()], ..Default::default() };
    let answer = client.ask(Request::ConsumerGroupDescribe(describe), 1).await;
    let Response::ConsumerGroupDescribe(described) = answer else { panic!() };
    let group = &described.groups[0];
    assert_eq!((&*group.group_state, &*group.assignor_name, group.members.len()), ("Stable", "uniform", 2));
    assert_eq!(&*group.members[1].assignment.topic_partitions[0].topic_name, "lines");
    let describe = DescribeGroupsRequest { groups: vec!["g".into()], ..Default::default() };
    let Response::DescribeGroups(described) = client.ask(Request::DescribeGroups(describe), 5).await else { panic!() };
    assert_eq!((described.groups[0].error_code, &*described.groups[0].group_state), (0, "Dead"));
    assert_eq!(ask(&mut client, beat("b", -1)).await.member_epoch, -1);
}
