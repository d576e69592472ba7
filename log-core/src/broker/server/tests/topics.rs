//! Topics and what clients are told of them.

use super::{Client, Served};
use crate::types::TopicId;
use crate::wire::create_partitions::CreatePartitionsTopic;
use crate::wire::create_topics::{CreatableTopic, CreatableTopicConfig};
use crate::wire::delete_topics::DeleteTopicState;
use crate::wire::describe_topic_partitions::TopicRequest;
use crate::wire::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use crate::wire::{
    ApiKey, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeTopicPartitionsRequest, ErrorCode, MetadataRequest, MetadataResponse, Request, Response,
};

async fn metadata(client: &mut Client, names: Option<&[&str]>, create: bool, version: i16) -> MetadataResponse {
    let named = |name: &&str| MetadataRequestTopic { name: Some((*name).into()), ..Default::default() };
    let topics = names.map(|names| names.iter().map(named).collect());
    let request = MetadataRequest { topics, allow_auto_topic_creation: create, ..Default::default() };
    let Response::Metadata(told) = client.ask(Request::Metadata(request), version).await else { panic!() };
    told
}

fn is(topic: &MetadataResponseTopic, code: ErrorCode) -> bool {
    topic.error_code == code.number()
}

#[tokio::test]
async fn metadata_tells_brokers_and_topics_in_every_version() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 3).await;
    for version in ApiKey::Metadata.versions() {
        let told = metadata(&mut client, None, false, version.max(1)).await;
        assert_eq!((told.brokers.len(), told.topics.len()), (1, 1));
        assert_eq!(told.brokers[0].host, "127.0.0.1");
        assert_eq!(told.brokers[0].port, i32::from(served.address().port()));
        let topic = &told.topics[0];
        assert_eq!((topic.name.as_deref(), topic.partitions.len()), (Some("t"), 3));
        assert!(
            topic.partitions.iter().all(|one| one.leader_id == told.brokers[0].node_id && one.isr_nodes.len() == 1)
        );
        assert_eq!(version < 10, topic.topic_id.is_nil());
    }
    assert_eq!(metadata(&mut client, Some(&["t", "u", "t"]), false, 12).await.topics.len(), 2);
    assert_eq!(metadata(&mut client, Some(&[]), false, 1).await.topics, []);
    assert_eq!(metadata(&mut client, Some(&[]), false, 0).await.topics.len(), 1, "none is all in version 0");
}

#[tokio::test]
async fn a_topic_that_is_asked_for_comes_to_be_if_it_may() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let told = metadata(&mut client, Some(&["new", "a/b", "__metadata"]), false, 12).await;
    assert!(is(&told.topics[0], ErrorCode::UnknownTopicOrPartition));
    assert!(is(&told.topics[1], ErrorCode::InvalidTopicException));
    let told = metadata(&mut client, Some(&["new", "a/b", "__metadata"]), true, 12).await;
    assert!(is(&told.topics[0], ErrorCode::None) && told.topics[0].partitions.len() == 2, "as num.partitions says");
    assert!(is(&told.topics[1], ErrorCode::InvalidTopicException));
    assert!(!is(&told.topics[2], ErrorCode::None));

    let id = told.topics[0].topic_id;
    let by_id = |topic_id| MetadataRequestTopic { topic_id, name: None };
    let topics = Some(vec![by_id(id), by_id(uuid::Uuid::from_u128(7))]);
    let request = MetadataRequest { topics, ..Default::default() };
    let Response::Metadata(told) = client.ask(Request::Metadata(request), 12).await else { panic!() };
    assert_eq!(told.topics[0].name.as_deref(), Some("new"));
    assert!(is(&told.topics[1], ErrorCode::UnknownTopicId));
}

#[tokio::test]
async fn what_may_be_done_is_told_when_it_is_asked() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let request = MetadataRequest {
        include_cluster_authorized_operations: true,
        include_topic_authorized_operations: true,
        ..Default::default()
    };
    let Response::Metadata(told) = client.ask(Request::Metadata(request), 8).await else { panic!() };
    // Kafka's numbers: READ is 3, … ALTER_CONFIGS is 11.
    assert_eq!(told.topics[0].topic_authorized_operations, 0b1101_1111_1000);
    assert_eq!(told.cluster_authorized_operations, 0b1_1111_1010_0000 & !(1 << 6));
}

#[tokio::test]
async fn topics_are_created_grown_and_deleted() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let topic = |name: &str, num_partitions| CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor: -1,
        ..Default::default()
    };
    let config = |name: &str, value: &str| CreatableTopicConfig { name: name.into(), value: Some(value.into()) };
    let mut compacted = topic("compacted", -1);
    compacted.configs = vec![config("cleanup.policy", "compact")];
    let mut wrong = topic("wrong", 1);
    wrong.configs = vec![config("no.such", "x")];
    let mut wide = topic("wide", 1);
    wide.replication_factor = 3;
    let topics = vec![compacted, wrong, wide, topic("none", 0), topic("twice", 1), topic("twice", 1), topic("a/b", 1)];
    let request = CreateTopicsRequest { topics, ..Default::default() };
    let Response::CreateTopics(made) = client.ask(Request::CreateTopics(request), 7).await else { panic!() };
    let codes: Vec<_> = made.topics.iter().map(|one| (&*one.name, ErrorCode::from_number(one.error_code))).collect();
    let expected = [
        ("compacted", ErrorCode::None),
        ("wrong", ErrorCode::InvalidConfig),
        ("wide", ErrorCode::InvalidReplicationFactor),
        ("none", ErrorCode::InvalidPartitions),
        ("twice", ErrorCode::InvalidRequest),
        ("a/b", ErrorCode::InvalidTopicException),
    ];
    assert_eq!(codes, expected);
    let compacted = &made.topics[0];
    assert_eq!((compacted.num_partitions, compacted.replication_factor), (2, 1));
    let policy = compacted.configs.as_ref().unwrap().iter().find(|set| set.name == "cleanup.policy").unwrap();
    assert_eq!((policy.value.as_deref(), policy.config_source), (Some("compact"), 1));

    let more = |name: &str, count| CreatePartitionsTopic { name: name.into(), count, assignments: None };
    let topics = vec![more("nowhere", 3), more("compacted", 5), more("a/b", 2), more("compacted2", -1)];
    let request = CreatePartitionsRequest { topics, ..Default::default() };
    let Response::CreatePartitions(grown) = client.ask(Request::CreatePartitions(request), 3).await else { panic!() };
    let codes: Vec<_> = grown.results.iter().map(|one| ErrorCode::from_number(one.error_code)).collect();
    assert_eq!(codes[..2], [ErrorCode::UnknownTopicOrPartition, ErrorCode::None]);
    assert_eq!(codes[2], ErrorCode::InvalidTopicException);
    assert_eq!(metadata(&mut client, Some(&["compacted"]), false, 1).await.topics[0].partitions.len(), 5);

    let by_id = DeleteTopicState { name: None, topic_id: compacted.topic_id };
    let request = DeleteTopicsRequest { topics: vec![by_id], ..Default::default() };
    let Response::DeleteTopics(gone) = client.ask(Request::DeleteTopics(request.clone()), 6).await else { panic!() };
    assert_eq!((gone.responses[0].error_code, gone.responses[0].name.as_deref()), (0, Some("compacted")));
    assert!(served.broker.topic_by_id(TopicId(compacted.topic_id)).is_err());
    let Response::DeleteTopics(gone) = client.ask(Request::DeleteTopics(request), 6).await else { panic!() };
    assert_eq!(gone.responses[0].error_code, ErrorCode::UnknownTopicId.number());
    let request = DeleteTopicsRequest { topic_names: vec!["nowhere".into()], ..Default::default() };
    let Response::DeleteTopics(gone) = client.ask(Request::DeleteTopics(request), 5).await else { panic!() };
    assert_eq!(gone.responses[0].error_code, ErrorCode::UnknownTopicOrPartition.number());
}

#[tokio::test]
async fn partitions_are_listed_page_by_page() {
    let served = Served::start().await;
    let mut client = served.with_topic("a", 3).await;
    served.with_topic("b", 2).await;
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let topics = ["a", "b"].map(|name| TopicRequest { name: name.into() }).into();
        let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: 2, cursor };
        let request = Request::DescribeTopicPartitions(request);
        let Response::DescribeTopicPartitions(page) = client.ask(request, 0).await else { panic!() };
        let partitions: usize = page.topics.iter().map(|topic| topic.partitions.len()).sum();
        assert!(partitions <= 2);
        for topic in page.topics {
            let name = topic.name.unwrap().to_string();
            listed.extend(topic.partitions.iter().map(|one| (name.clone(), one.partition_index)));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let expected = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)].map(|(name, index)| (name.to_owned(), index));
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn the_cluster_is_one_broker() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let request =
        |endpoint_type| Request::DescribeCluster(DescribeClusterRequest { endpoint_type, ..Default::default() });
    let Response::DescribeCluster(told) = client.ask(request(1), 2).await else { panic!() };
    assert_eq!((told.brokers.len(), told.controller_id), (1, told.brokers[0].broker_id));
    let of_metadata = metadata(&mut client, None, false, 9).await;
    assert_eq!(of_metadata.cluster_id.as_deref(), Some(&*told.cluster_id));
    let Response::DescribeCluster(told) = client.ask(request(2), 2).await else { panic!() };
    assert_eq!(told.error_code, ErrorCode::MismatchedEndpointType.number());
}
