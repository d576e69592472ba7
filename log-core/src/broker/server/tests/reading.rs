//! Fetch, ListOffsets, OffsetForLeaderEpoch.

use super::{Client, Served, batch, batch_of};
use crate::record::{Compression, records};
use crate::wire::fetch::{FetchPartition, FetchTopic, PartitionData};
use crate::wire::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use crate::wire::produce::{PartitionProduceData, TopicProduceData};
use crate::wire::{
    ApiKey, ErrorCode, FetchRequest, FetchResponse, ListOffsetsRequest, OffsetForLeaderEpochRequest, ProduceRequest,
    Request, Response,
};
use bytes::Bytes;

async fn append(client: &mut Client, index: i32, records: Bytes) {
    let data = PartitionProduceData { index, records: Some(records) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    let Response::Produce(response) = client.ask(Request::Produce(request), 9).await else { panic!() };
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
}

/// A fetch of these partitions of `t`, from these offsets.
fn of(from: &[(i32, i64)]) -> FetchRequest {
    let partitions = from.iter().map(|&(partition, fetch_offset)| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    });
    let topic = FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..Default::default() };
    FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..Default::default() }
}

async fn fetch(client: &mut Client, request: FetchRequest, version: i16) -> FetchResponse {
    let Response::Fetch(response) = client.ask(Request::Fetch(request), version).await else { panic!() };
    response
}

async fn fetch_of(client: &mut Client, request: FetchRequest, version: i16) -> Vec<PartitionData> {
    fetch(client, request, version).await.responses.remove(0).partitions
}

fn values(data: &PartitionData) -> Vec<String> {
    let records = records(data.records.clone().unwrap());
    records.map(|record| String::from_utf8_lossy(&record.unwrap().value.unwrap()).into_owned()).collect()
}

#[tokio::test]
async fn every_version_reads_what_was_written() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    append(&mut client, 0, batch(&["a", "b", "c"])).await;
    append(&mut client, 0, batch(&["d"])).await;
    let id = served.broker.open_topics()[0].id.0;
    for version in ApiKey::Fetch.versions() {
        let mut request = of(&[(0, 1)]);
        request.topics[0].topic_id = id;
        request.isolation_level = (version % 2) as i8;
        let response = fetch(&mut client, request, version).await;
        assert_eq!((response.error_code, response.session_id), (0, 0));
        let topic = &response.responses[0];
        assert_eq!(version >= 13, topic.topic_id == id);
        let data = &topic.partitions[0];
        assert_eq!((data.error_code, data.high_watermark, data.last_stable_offset), (0, 4, 4));
        assert_eq!(values(data), ["a", "b", "c", "d"], "the whole batch that holds the offset");
        assert_eq!(data.aborted_transactions.is_some(), version % 2 == 1);
    }
    let mut request = of(&[(0, 0)]);
    request.topics[0].topic_id = uuid::Uuid::from_u128(7);
    assert_eq!(fetch_of(&mut client, request, 13).await[0].error_code, ErrorCode::UnknownTopicId.number());
}

#[tokio::test]
async fn bytes_are_limited_over_all_but_for_the_first_batch() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 3).await;
    let value = "x".repeat(1000);
    for index in 0..3 {
        append(&mut client, index, batch(&[&value])).await;
        append(&mut client, index, batch(&[&value])).await;
    }
    let counts = |data: Vec<PartitionData>| data.iter().map(|one| values(one).len()).collect::<Vec<_>>();
    let with = |max_bytes, partition_max_bytes| {
        let mut request = of(&[(0, 0), (1, 0), (2, 0)]);
        request.max_bytes = max_bytes;
        request.topics[0].partitions.iter_mut().for_each(|one| one.partition_max_bytes = partition_max_bytes);
        request
    };
    assert_eq!(counts(fetch_of(&mut client, with(1 << 20, 1 << 20), 4).await), [2, 2, 2]);
    assert_eq!(counts(fetch_of(&mut client, with(1, 1 << 20), 4).await), [1, 0, 0]);
    assert_eq!(counts(fetch_of(&mut client, with(3500, 1 << 20), 4).await), [2, 1, 0]);
    assert_eq!(counts(fetch_of(&mut client, with(0, 0), 4).await), [1, 0, 0]);
    assert_eq!(counts(fetch_of(&mut client, with(1 << 20, 1500), 4).await), [1, 1, 1]);
}

#[tokio::test]
async fn a_poll_is_woken_by_what_comes() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 2).await;
    let mut poll = served.client().await;
    let request = FetchRequest { max_wait_ms: i32::MAX, min_bytes: 1, ..of(&[(0, 0), (1, 0)]) };
    let id = poll.send(&Request::Fetch(request), 11).await;
    append(&mut client, 1, batch(&["a"])).await;
    let Response::Fetch(response) = poll.receive(ApiKey::Fetch, 11, id).await else { panic!() };
    assert_eq!(values(&response.responses[0].partitions[1]), ["a"]);
}

#[tokio::test]
async fn what_is_wrong_with_one_partition_is_told_at_once_beside_the_others() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    append(&mut client, 0, batch(&["a"])).await;
    let mut request = of(&[(0, 0), (5, 0), (0, 9), (-1, 0), (0, 1), (0, 1)]);
    request.topics[0].partitions[4].current_leader_epoch = 3;
    request.max_wait_ms = i32::MAX;
    request.min_bytes = i32::MAX;
    request.topics.push(FetchTopic { topic: "nowhere".into(), ..request.topics[0].clone() });
    let response = fetch(&mut client, request, 9).await;
    let codes: Vec<_> =
        response.responses[0].partitions.iter().map(|one| ErrorCode::from_number(one.error_code)).collect();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    let expected = [
        ErrorCode::None,
        unknown,
        ErrorCode::OffsetOutOfRange,
        unknown,
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::None,
    ];
    assert_eq!(codes, expected);
    assert_eq!(values(&response.responses[0].partitions[0]), ["a"]);
    assert!(response.responses[1].partitions.iter().all(|one| one.error_code == unknown.number()));
}

#[tokio::test]
async fn followers_are_not_served() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let follower = FetchRequest { replica_id: 2, ..of(&[(0, 0)]) };
    let refused = fetch(&mut client, follower, 11).await;
    assert_eq!(refused.error_code, ErrorCode::ClusterAuthorizationFailed.number());
}

#[tokio::test]
async fn zstd_is_read_by_those_who_know_it() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    // Less would not be compressed.
    let value = "a".repeat(1000);
    append(&mut client, 0, batch_of(&[&value], Compression::Zstd)).await;
    let refused = fetch_of(&mut client, of(&[(0, 0)]), 9).await;
    assert_eq!(refused[0].error_code, ErrorCode::UnsupportedCompressionType.number());
    assert_eq!(values(&fetch_of(&mut client, of(&[(0, 0)]), 10).await[0]), [value]);
}

async fn list(client: &mut Client, timestamp: i64, epoch: i32, version: i16) -> Result<(i64, i64), ErrorCode> {
    let partitions = vec![ListOffsetsPartition { partition_index: 0, current_leader_epoch: epoch, timestamp }];
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    let Response::ListOffsets(listed) = client.ask(Request::ListOffsets(request), version).await else { panic!() };
    let one = &listed.topics[0].partitions[0];
    match one.error_code {
        0 => Ok((one.offset, one.timestamp)),
        code => Err(ErrorCode::from_number(code)),
    }
}

#[tokio::test]
async fn offsets_are_found_by_time_and_by_name() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    assert_eq!(list(&mut client, -3, -1, 11).await, Ok((-1, -1)), "nothing is there");
    assert_eq!(list(&mut client, 0, -1, 11).await, Ok((-1, -1)));
    // 1000, 1001, 1002; 1000, 1001.
    append(&mut client, 0, batch(&["a", "b", "c"])).await;
    append(&mut client, 0, batch(&["d", "e"])).await;
    for version in ApiKey::ListOffsets.versions() {
        assert_eq!(list(&mut client, -1, -1, version).await, Ok((5, -1)));
        assert_eq!(list(&mut client, -2, -1, version).await, Ok((0, -1)));
        assert_eq!(list(&mut client, 1001, -1, version).await, Ok((1, 1001)));
        assert_eq!(list(&mut client, 1003, -1, version).await, Ok((-1, -1)));
    }
    let known = |expected: Result<(i64, i64), ErrorCode>, from: i16, version: i16| {
        if version < from { Err(ErrorCode::UnsupportedVersion) } else { expected }
    };
    for version in ApiKey::ListOffsets.versions() {
        for (place, from, expected) in [(-3, 7, (2, 1002)), (-4, 8, (0, -1)), (-5, 9, (-1, -1)), (-6, 11, (-1, -1))] {
            let listed = list(&mut client, place, -1, version).await;
            assert_eq!(listed, known(Ok(expected), from, version), "{place} in version {version}");
        }
        assert_eq!(list(&mut client, -7, -1, version).await, Err(ErrorCode::UnsupportedVersion));
    }
    assert_eq!(list(&mut client, -1, 0, 4).await, Ok((5, -1)));
    assert_eq!(list(&mut client, -1, 1, 4).await, Err(ErrorCode::UnknownLeaderEpoch));
}

#[tokio::test]
async fn a_leader_epoch_ends_where_the_log_does() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    append(&mut client, 0, batch(&["a"])).await;
    for version in ApiKey::OffsetForLeaderEpoch.versions() {
        let asked = |partition, leader_epoch, current_leader_epoch| OffsetForLeaderPartition {
            partition,
            leader_epoch,
            current_leader_epoch,
        };
        let partitions = vec![asked(0, 0, -1), asked(0, 1, 0), asked(0, 0, 1), asked(1, 0, -1)];
        let topics = vec![OffsetForLeaderTopic { topic: "t".into(), partitions }];
        let request = Request::OffsetForLeaderEpoch(OffsetForLeaderEpochRequest { topics, ..Default::default() });
        let Response::OffsetForLeaderEpoch(ended) = client.ask(request, version).await else { panic!() };
        let ended: Vec<_> =
            ended.topics[0].partitions.iter().map(|one| (one.error_code, one.leader_epoch, one.end_offset)).collect();
        let fenced = ErrorCode::UnknownLeaderEpoch.number();
        let unknown = ErrorCode::UnknownTopicOrPartition.number();
        assert_eq!(ended, [(0, 0, 1), (0, -1, -1), (fenced, -1, -1), (unknown, -1, -1)]);
    }
}
