//! Fetch sessions over the wire.

use super::{Client, Served, batch};
use crate::wire::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::wire::produce::{PartitionProduceData, TopicProduceData};
use crate::wire::{ApiKey, ErrorCode, FetchRequest, FetchResponse, ProduceRequest, Request, Response};
use uuid::Uuid;

async fn append(client: &mut Client, topic: &str, index: i32) {
    let data = PartitionProduceData { index, records: Some(batch(&["a"])) };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    let Response::Produce(told) = client.ask(Request::Produce(request), 9).await else { panic!() };
    assert_eq!(told.responses[0].partition_responses[0].error_code, 0);
}

/// Partitions of a topic, each from an offset on.
fn topic(name: &str, id: Uuid, from: &[(i32, i64)]) -> FetchTopic {
    let partitions = from.iter().map(|&(partition, fetch_offset)| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    });
    FetchTopic { topic: name.into(), topic_id: id, partitions: partitions.collect() }
}

fn of(session_id: i32, session_epoch: i32, topics: Vec<FetchTopic>) -> FetchRequest {
    FetchRequest { session_id, session_epoch, topics, max_bytes: 1 << 20, ..Default::default() }
}

async fn fetch(client: &mut Client, request: FetchRequest, version: i16) -> FetchResponse {
    let Response::Fetch(response) = client.ask(Request::Fetch(request), version).await else { panic!() };
    response
}

/// What is told: topic, partition, error, whether there are records.
fn told(response: &FetchResponse) -> Vec<(&str, i32, ErrorCode, bool)> {
    let each = response.responses.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (topic, one)));
    each.map(|(topic, one)| {
        let has_records = one.records.as_ref().is_some_and(|records| !records.is_empty());
        (&*topic.topic, one.partition_index, ErrorCode::from_number(one.error_code), has_records)
    })
    .collect()
}

#[tokio::test]
async fn a_session_goes_on_with_what_changes() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 2).await;
    served.with_topic("u", 1).await;
    append(&mut client, "t", 0).await;
    let nil = Uuid::nil();
    let topics = vec![topic("t", nil, &[(0, 0), (1, 0)]), topic("u", nil, &[(0, 0)])];
    let first = fetch(&mut client, of(0, 0, topics), 11).await;
    let ok = ErrorCode::None;
    assert_eq!(told(&first), [("t", 0, ok, true), ("t", 1, ok, false), ("u", 0, ok, false)]);
    let id = first.session_id;
    assert!(id > 0);

    // The reader goes on behind what it got.
    let second = fetch(&mut client, of(id, 1, vec![topic("t", nil, &[(0, 1)])]), 11).await;
    assert_eq!((second.session_id, told(&second)), (id, Vec::new()));
    append(&mut client, "u", 0).await;
    append(&mut client, "t", 1).await;
    // It was read first, so now the others are. And sessions belong to no connection.
    let mut other = served.client().await;
    let third = fetch(&mut other, of(id, 2, Vec::new()), 11).await;
    assert_eq!(told(&third), [("t", 1, ok, true), ("u", 0, ok, true)]);

    // One is not there, and that is told each time; another is forgotten.
    let forgotten = vec![ForgottenTopic { topic: "u".into(), partitions: vec![0], ..Default::default() }];
    let request =
        FetchRequest { forgotten_topics_data: forgotten, ..of(id, 3, vec![topic("t", nil, &[(1, 1), (7, 0)])]) };
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(told(&fetch(&mut client, request, 11).await), [("t", 7, unknown, false)]);
    assert_eq!(told(&fetch(&mut client, of(id, 4, Vec::new()), 11).await), [("t", 7, unknown, false)]);

    // A wait ends with what comes to any partition of the session.
    let forgotten = vec![ForgottenTopic { topic: "t".into(), partitions: vec![7], ..Default::default() }];
    let request =
        FetchRequest { forgotten_topics_data: forgotten, max_wait_ms: i32::MAX, min_bytes: 1, ..of(id, 5, Vec::new()) };
    let waiting = other.send(&Request::Fetch(request), 11).await;
    append(&mut client, "t", 0).await;
    let Response::Fetch(woken) = other.receive(ApiKey::Fetch, 11, waiting).await else { panic!() };
    assert_eq!(told(&woken), [("t", 0, ok, true)]);

    let closed = fetch(&mut client, of(id, -1, Vec::new()), 11).await;
    assert_eq!((closed.session_id, closed.error_code), (0, 0));
    let gone = fetch(&mut client, of(id, 6, Vec::new()), 11).await;
    assert_eq!(ErrorCode::from_number(gone.error_code), ErrorCode::FetchSessionIdNotFound);
}

#[tokio::test]
async fn numbers_epochs_and_ids_have_to_fit() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let topic_id = served.broker.open_topics()[0].id.0;
    let all = || vec![topic("t", topic_id, &[(0, 0)])];
    let error = |response: FetchResponse| ErrorCode::from_number(response.error_code);
    let alone = fetch(&mut client, of(0, -1, all()), 11).await;
    assert_eq!((alone.session_id, alone.responses.len()), (0, 1));
    let unknown = fetch(&mut client, of(77, 1, all()), 11).await;
    assert_eq!((error(unknown.clone()), unknown.responses.len()), (ErrorCode::FetchSessionIdNotFound, 0));
    let id = fetch(&mut client, of(0, 0, all()), 11).await.session_id;
    assert_eq!(error(fetch(&mut client, of(id, 3, Vec::new()), 11).await), ErrorCode::InvalidFetchSessionEpoch);
    assert_eq!(error(fetch(&mut client, of(id, 1, all()), 13).await), ErrorCode::FetchSessionTopicIdError);
    let again = fetch(&mut client, of(id, 0, all()), 13).await;
    assert!(again.session_id > 0 && again.session_id != id, "the one before has ended");
    let next = fetch(&mut client, of(again.session_id, 1, Vec::new()), 13).await;
    assert_eq!((next.error_code, next.responses.len()), (0, 0));
    append(&mut client, "t", 0).await;
    let next = fetch(&mut client, of(again.session_id, 2, Vec::new()), 13).await;
    assert_eq!((next.responses[0].topic_id, next.responses[0].partitions.len()), (topic_id, 1));
    let old = fetch(&mut client, of(0, 0, all()), 6).await;
    assert_eq!((old.session_id, old.responses.len()), (0, 1), "before there were any");
}

#[tokio::test]
async fn who_reads_late_gets_all_of_it() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let value = "x".repeat(500_000);
    for _ in 0..4 {
        let data = PartitionProduceData { index: 0, records: Some(batch(&[&value])) };
        let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
        let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
        client.ask(Request::Produce(request), 9).await;
    }
    let mut request = of(0, -1, vec![topic("t", Uuid::nil(), &[(0, 0)])]);
    (request.max_bytes, request.topics[0].partitions[0].partition_max_bytes) = (4 << 20, 4 << 20);
    let mut sent = Vec::new();
    for _ in 0..20 {
        sent.push(client.send(&Request::Fetch(request.clone()), 11).await);
    }
    // More than the sockets hold, so the server has to wait in between.
    for id in sent {
        let Response::Fetch(response) = client.receive(ApiKey::Fetch, 11, id).await else { panic!() };
        assert!(response.responses[0].partitions[0].records.as_ref().unwrap().len() > 2_000_000);
    }
}
