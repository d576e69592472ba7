//! Produce and DeleteRecords.

use super::{Client, Served, batch, batch_of};
use crate::record::Compression;
use crate::wire::create_topics::{CreatableTopic, CreatableTopicConfig};
use crate::wire::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use crate::wire::{ApiKey, CreateTopicsRequest, DeleteRecordsRequest, ErrorCode, ProduceRequest, Request, Response};
use bytes::{Bytes, BytesMut};

async fn produce(
    client: &mut Client,
    version: i16,
    topic: TopicProduceData,
    acks: i16,
) -> Vec<PartitionProduceResponse> {
    let request = ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    let Response::Produce(mut response) = client.ask(Request::Produce(request), version).await else { panic!() };
    response.responses.remove(0).partition_responses
}

fn named(name: &str, data: Vec<(i32, Bytes)>) -> TopicProduceData {
    let data = data.into_iter().map(|(index, records)| PartitionProduceData { index, records: Some(records) });
    TopicProduceData { name: name.into(), partition_data: data.collect(), ..Default::default() }
}

#[tokio::test]
async fn every_version_appends() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let id = served.broker.open_topics()[0].id.0;
    for (version, offset) in ApiKey::Produce.versions().zip(0..) {
        let mut topic = named("t", vec![(0, batch(&["a"]))]);
        topic.topic_id = id;
        let [answer] = &produce(&mut client, version, topic, if version % 2 == 0 { 1 } else { -1 }).await[..] else {
            panic!()
        };
        assert_eq!((answer.error_code, answer.base_offset), (0, offset), "{answer:?}");
        assert_eq!(answer.log_start_offset, if version < 5 { -1 } else { 0 });
    }
    let mut topic = named("", vec![(0, batch(&["a"]))]);
    topic.topic_id = uuid::Uuid::from_u128(7);
    let answers = produce(&mut client, 13, topic, 1).await;
    assert_eq!(answers[0].error_code, ErrorCode::UnknownTopicId.number());
}

/// A batch that is decoded on its way in must not become a hundred times as much.
#[tokio::test]
async fn bombs_are_refused_where_batches_are_decoded() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let config = |name: &str, value: &str| CreatableTopicConfig { name: name.into(), value: Some(value.into()) };
    let topic = |name: &str, config| CreatableTopic {
        name: name.into(),
        num_partitions: 1,
        replication_factor: -1,
        configs: vec![config],
        ..Default::default()
    };
    let topics =
        vec![topic("again", config("compression.type", "gzip")), topic("as-it-is", config("retention.ms", "-1"))];
    client.ask(Request::CreateTopics(CreateTopicsRequest { topics, ..Default::default() }), 7).await;
    let bomb = batch_of(&[&"0".repeat(17 << 20)], Compression::Zstd);
    assert!(bomb.len() < 10_000);
    let zeros = batch_of(&[&"0".repeat(1 << 20)], Compression::Zstd);
    for (name, records, code) in [
        ("again", &bomb, ErrorCode::CorruptMessage),
        ("again", &zeros, ErrorCode::None),
        // Nobody decodes it here; readers have their own limit.
        ("as-it-is", &bomb, ErrorCode::None),
    ] {
        let answers = produce(&mut client, 9, named(name, vec![(0, records.clone())]), 1).await;
        assert_eq!(answers[0].error_code, code.number(), "{name}: {answers:?}");
    }
}

#[tokio::test]
async fn what_is_no_batch_is_refused_by_itself() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let good = batch(&["a", "b"]);
    let changed = |at: usize, to: u8| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] = to;
        bytes.freeze()
    };
    let cases = [
        (good.clone(), ErrorCode::None),
        (Bytes::new(), ErrorCode::InvalidRecord),
        (good.slice(..good.len() - 1), ErrorCode::CorruptMessage),
        (changed(16, 1), ErrorCode::InvalidRecord),
        (changed(20, 7), ErrorCode::CorruptMessage),
        ([good.clone(), good.clone()].concat().into(), ErrorCode::InvalidRecord),
        (good.clone(), ErrorCode::None),
    ];
    for (records, expected) in cases {
        let answers = produce(&mut client, 9, named("t", vec![(0, records.clone())]), 1).await;
        assert_eq!(ErrorCode::from_number(answers[0].error_code), expected, "{answers:?}");
        assert_eq!(answers[0].error_message.is_some(), expected != ErrorCode::None);
    }
    let answers =
        produce(&mut client, 9, named("t", vec![(7, good.clone()), (0, good.clone()), (-1, good.clone())]), -1);
    let codes: Vec<_> = answers.await.iter().map(|answer| ErrorCode::from_number(answer.error_code)).collect();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(codes, [unknown, ErrorCode::None, unknown]);
    let answers = produce(&mut client, 9, named("t", vec![(0, good.clone())]), 2).await;
    assert_eq!(answers[0].error_code, ErrorCode::InvalidRequiredAcks.number());
    let answers = produce(&mut client, 9, named("__consumer_offsets", vec![(0, good)]), 1).await;
    assert_ne!(answers[0].error_code, 0);
}

#[tokio::test]
async fn zstd_is_for_those_who_know_it() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let zstd = batch_of(&[&"a".repeat(1000)], Compression::Zstd);
    let answers = produce(&mut client, 6, named("t", vec![(0, zstd.clone())]), 1).await;
    assert_eq!(answers[0].error_code, ErrorCode::UnsupportedCompressionType.number());
    assert_eq!(produce(&mut client, 7, named("t", vec![(0, zstd)]), 1).await[0].error_code, 0);
}

#[tokio::test]
async fn records_are_deleted_before_an_offset() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    for _ in 0..3 {
        produce(&mut client, 9, named("t", vec![(0, batch(&["a"]))]), -1).await;
    }
    for (offset, expected) in [
        (1, Ok(1)),
        (0, Ok(1)),
        (-1, Ok(3)),
        (4, Err(ErrorCode::OffsetOutOfRange)),
        (-2, Err(ErrorCode::OffsetOutOfRange)),
    ] {
        let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
        let topics = vec![DeleteRecordsTopic { name: "t".into(), partitions }];
        let request = DeleteRecordsRequest { topics, ..Default::default() };
        let Response::DeleteRecords(deleted) = client.ask(Request::DeleteRecords(request), 2).await else { panic!() };
        let one = &deleted.topics[0].partitions[0];
        let found = match one.error_code {
            0 => Ok(one.low_watermark),
            code => Err(ErrorCode::from_number(code)),
        };
        assert_eq!(found, expected, "{offset}");
    }
}
