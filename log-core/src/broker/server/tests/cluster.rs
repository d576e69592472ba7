//! What operators ask of a cluster, of one broker.

use super::Served;
use crate::wire::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use crate::wire::alter_replica_log_dirs::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use crate::wire::describe_log_dirs::DescribableLogDirTopic;
use crate::wire::describe_quorum::{PartitionData, TopicData};
use crate::wire::elect_leaders::TopicPartitions;
use crate::wire::update_features::FeatureUpdateKey;
use crate::wire::{
    AlterPartitionReassignmentsRequest, AlterReplicaLogDirsRequest, ApiKey, DescribeLogDirsRequest,
    DescribeQuorumRequest, ElectLeadersRequest, ErrorCode, Request, Response, UnregisterBrokerRequest,
    UpdateFeaturesRequest,
};

fn code(number: i16) -> ErrorCode {
    ErrorCode::from_number(number)
}

#[tokio::test]
async fn the_directory_holds_all_partitions_and_they_stay_there() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 2).await;
    served.with_topic("u", 1).await;
    for version in ApiKey::DescribeLogDirs.versions() {
        let request = Request::DescribeLogDirs(DescribeLogDirsRequest::default());
        let Response::DescribeLogDirs(all) = client.ask(request, version).await else { panic!() };
        let [dir] = &all.results[..] else { panic!("{all:?}") };
        let topics: Vec<_> = dir.topics.iter().map(|topic| (&*topic.name, topic.partitions.len())).collect();
        assert_eq!((&*dir.log_dir, topics), ("/data", vec![("t", 2), ("u", 1)]));
        assert_eq!(dir.usable_bytes > 0, version >= 4);
    }
    let asked = |topic: &str, partitions| DescribableLogDirTopic { topic: topic.into(), partitions };
    let topics = Some(vec![asked("t", vec![1, 7, -1]), asked("nowhere", vec![0])]);
    let request = Request::DescribeLogDirs(DescribeLogDirsRequest { topics });
    let Response::DescribeLogDirs(some) = client.ask(request, 4).await else { panic!() };
    let [topic] = &some.results[0].topics[..] else { panic!("{some:?}") };
    assert_eq!((topic.partitions.len(), topic.partitions[0].partition_index), (1, 1));

    let dir = |path: &str, name: &str, partitions| AlterReplicaLogDir {
        path: path.into(),
        topics: vec![AlterReplicaLogDirTopic { name: name.into(), partitions }],
    };
    let dirs = vec![dir("/data", "t", vec![0, 9]), dir("/elsewhere", "u", vec![0])];
    let request = Request::AlterReplicaLogDirs(AlterReplicaLogDirsRequest { dirs });
    let Response::AlterReplicaLogDirs(moved) = client.ask(request, 2).await else { panic!() };
    let each = moved.results.iter().flat_map(|topic| &topic.partitions);
    let codes: Vec<_> = each.map(|one| code(one.error_code)).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::UnknownTopicOrPartition, ErrorCode::LogDirNotFound]);
}

#[tokio::test]
async fn the_one_broker_leads_and_nothing_moves() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    for version in ApiKey::ElectLeaders.versions() {
        let partitions = vec![TopicPartitions { topic: "t".into(), partitions: vec![0, 1] }];
        let request = ElectLeadersRequest { topic_partitions: Some(partitions), ..Default::default() };
        let Response::ElectLeaders(told) = client.ask(Request::ElectLeaders(request), version).await else { panic!() };
        let each = &told.replica_election_results[0].partition_result;
        let codes: Vec<_> = each.iter().map(|one| code(one.error_code)).collect();
        assert_eq!((told.error_code, codes), (0, vec![ErrorCode::ElectionNotNeeded, unknown]));
        let all = Request::ElectLeaders(ElectLeadersRequest::default());
        let Response::ElectLeaders(told) = client.ask(all, version).await else { panic!() };
        assert!(told.replica_election_results.is_empty());
    }
    let odd = Request::ElectLeaders(ElectLeadersRequest { election_type: 7, ..Default::default() });
    let Response::ElectLeaders(told) = client.ask(odd, 2).await else { panic!() };
    assert_eq!(code(told.error_code), ErrorCode::InvalidRequest);

    for version in ApiKey::AlterPartitionReassignments.versions() {
        let to = |partition_index, replicas| ReassignablePartition { partition_index, replicas };
        let partitions =
            vec![to(0, Some(vec![0])), to(0, Some(vec![1])), to(0, None), to(3, Some(vec![0])), to(-1, None)];
        let topics = vec![ReassignableTopic { name: "t".into(), partitions }];
        let request = AlterPartitionReassignmentsRequest { topics, ..Default::default() };
        let request = Request::AlterPartitionReassignments(request);
        let Response::AlterPartitionReassignments(told) = client.ask(request, version).await else { panic!() };
        let codes: Vec<_> = told.responses[0].partitions.iter().map(|one| code(one.error_code)).collect();
        let no_move = [ErrorCode::None, ErrorCode::InvalidReplicaAssignment, ErrorCode::NoReassignmentInProgress];
        assert_eq!(codes, [&no_move[..], &[unknown; 2]].concat());
    }
    let request = Request::ListPartitionReassignments(Default::default());
    let Response::ListPartitionReassignments(listed) = client.ask(request, 0).await else { panic!() };
    assert_eq!((listed.error_code, listed.topics.len()), (0, 0));

    for (broker_id, expected) in [(0, ErrorCode::InvalidRequest), (7, ErrorCode::BrokerIdNotRegistered)] {
        let request = Request::UnregisterBroker(UnregisterBrokerRequest { broker_id });
        let Response::UnregisterBroker(told) = client.ask(request, 0).await else { panic!() };
        assert_eq!(code(told.error_code), expected);
    }
}

#[tokio::test]
async fn the_quorum_is_one_voter() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let mut ends = Vec::new();
    for version in ApiKey::DescribeQuorum.versions() {
        served.with_topic(&format!("t{version}"), 1).await;
        let topic = |name: &str, index| TopicData {
            topic_name: name.into(),
            partitions: vec![PartitionData { partition_index: index }],
        };
        let topics = vec![topic("__cluster_metadata", 0), topic("__cluster_metadata", 1), topic("t", 0)];
        let request = Request::DescribeQuorum(DescribeQuorumRequest { topics });
        let Response::DescribeQuorum(told) = client.ask(request, version).await else { panic!() };
        let of = |n: usize| &told.topics[n].partitions[0];
        assert_eq!((told.error_code, of(0).error_code, of(0).leader_id), (0, 0, 0));
        let [voter] = &of(0).current_voters[..] else { panic!() };
        assert_eq!((voter.replica_id, voter.log_end_offset), (0, of(0).high_watermark));
        ends.push(of(0).high_watermark);
        assert_eq!([of(1), of(2)].map(|one| code(one.error_code)), [ErrorCode::UnknownTopicOrPartition; 2]);
        assert_eq!(told.nodes.len(), usize::from(version >= 2));
    }
    assert!(ends.is_sorted_by(|a, b| a < b), "a topic is a record of it: {ends:?}");
}

#[tokio::test]
async fn features_go_up_and_with_leave_down() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let level = |feature: &str, max_version_level, upgrade_type| FeatureUpdateKey {
        feature: feature.into(),
        max_version_level,
        allow_downgrade: upgrade_type != 1,
        upgrade_type,
    };
    for version in ApiKey::UpdateFeatures.versions() {
        for (update, expected) in [
            (level("transaction.version", 1, 1), ErrorCode::InvalidUpdateVersion),
            (level("transaction.version", 1, 2), ErrorCode::None),
            (level("transaction.version", 2, 1), ErrorCode::None),
            (level("transaction.version", 3, 1), ErrorCode::InvalidUpdateVersion),
            (level("metadata.version", 0, 3), ErrorCode::InvalidUpdateVersion),
            (level("no.such", 1, 1), ErrorCode::InvalidUpdateVersion),
        ] {
            let request = UpdateFeaturesRequest { feature_updates: vec![update], ..Default::default() };
            let request = Request::UpdateFeatures(request);
            let Response::UpdateFeatures(told) = client.ask(request, version).await else { panic!() };
            assert_eq!(code(told.error_code), expected, "{told:?}");
            let each: Vec<_> = told.results.iter().map(|one| code(one.error_code)).collect();
            assert_eq!(each, if version < 2 { vec![expected] } else { Vec::new() });
        }
    }
    let request = UpdateFeaturesRequest {
        feature_updates: vec![level("transaction.version", 1, 2)],
        validate_only: true,
        ..Default::default()
    };
    let Response::UpdateFeatures(told) = client.ask(Request::UpdateFeatures(request), 2).await else { panic!() };
    assert_eq!(told.error_code, 0);
    let features = served.broker.features().unwrap();
    assert!(features.iter().any(|feature| feature.name == "transaction.version" && feature.level == 2));
    let odd = UpdateFeaturesRequest { feature_updates: vec![level("group.version", 1, 7)], ..Default::default() };
    let Response::UpdateFeatures(told) = client.ask(Request::UpdateFeatures(odd), 1).await else { panic!() };
    assert_eq!(code(told.error_code), ErrorCode::InvalidRequest);
}
