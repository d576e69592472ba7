//! Quotas: what is told to who uses too much, and that it is not heard for as long.

use super::{Client, Served, batch};
use crate::client::Log;
use crate::types::{QuotaEntity, QuotaKey, QuotaName};
use crate::wire::create_topics::CreatableTopic;
use crate::wire::delete_topics::DeleteTopicState;
use crate::wire::fetch::{FetchPartition, FetchTopic};
use crate::wire::produce::{PartitionProduceData, TopicProduceData};
use crate::wire::{
    ApiKey, ApiVersionsRequest, CreateTopicsRequest, DeleteTopicsRequest, ErrorCode, FetchRequest, ListOffsetsRequest,
    ProduceRequest, Request, Response,
};
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(50);

async fn limit(served: &Served, entity: QuotaEntity, key: QuotaKey, rate: f64) {
    let admin = Log::over(served.broker.clone()).admin();
    admin.change_quotas(entity, vec![(key.name().into(), Some(rate))]).await.unwrap();
}

fn everyone() -> QuotaEntity {
    QuotaEntity { user: Some(QuotaName::Default), ..QuotaEntity::default() }
}

fn produce(value: &str) -> Request {
    let data = PartitionProduceData { index: 0, records: Some(batch(&[value])) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
    Request::Produce(ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() })
}

fn fetch() -> Request {
    let partition = FetchPartition { partition: 0, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    Request::Fetch(FetchRequest { max_wait_ms: 0, max_bytes: 1 << 20, topics: vec![topic], ..Default::default() })
}

fn create(name: &str, num_partitions: i32) -> Request {
    let topic = CreatableTopic { name: name.into(), num_partitions, replication_factor: -1, ..Default::default() };
    Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false })
}

/// Whether the connection is not heard any more, although it is open.
async fn is_muted(client: &mut Client) -> bool {
    client.send(&Request::ApiVersions(ApiVersionsRequest::default()), 0).await;
    tokio::time::timeout(SHORT, client.frame()).await.is_err()
}

#[tokio::test]
async fn who_produces_too_much_waits_and_nobody_else() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    limit(&served, everyone(), QuotaKey::ProducerByteRate, 1000.0).await;
    let Response::Produce(answer) = client.ask(produce("small"), 9).await else { panic!() };
    assert_eq!(answer.throttle_time_ms, 0);
    let Response::Produce(answer) = client.ask(produce(&"x".repeat(20_000)), 9).await else { panic!() };
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "it is appended nevertheless");
    assert!((9_000..=11_000).contains(&answer.throttle_time_ms), "{}", answer.throttle_time_ms);
    assert!(is_muted(&mut client).await);
    // It is a quota of the user, who is the same on another connection; what it does not count is not slowed down.
    let mut other = served.client().await;
    let Response::Fetch(answer) = other.ask(fetch(), 4).await else { panic!() };
    assert_eq!(answer.throttle_time_ms, 0);
    assert!(!is_muted(&mut other).await);
    let Response::Produce(answer) = other.ask(produce("small"), 9).await else { panic!() };
    assert!(answer.throttle_time_ms > 0);
    // Nobody waits for who is muted.
    drop((client, other));
    served.server.shut_down().await.unwrap();
}

#[tokio::test]
async fn who_fetches_too_much_waits() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    client.ask(produce(&"x".repeat(20_000)), 9).await;
    let of_others = QuotaEntity { client_id: Some(QuotaName::Exactly("other".into())), ..QuotaEntity::default() };
    limit(&served, of_others, QuotaKey::ConsumerByteRate, 1.0).await;
    let Response::Fetch(answer) = client.ask(fetch(), 4).await else { panic!() };
    assert_eq!(answer.throttle_time_ms, 0, "it is not that client");
    let of_this = QuotaEntity { client_id: Some(QuotaName::Exactly("test".into())), ..QuotaEntity::default() };
    limit(&served, of_this, QuotaKey::ConsumerByteRate, 1000.0).await;
    let Response::Fetch(answer) = client.ask(fetch(), 4).await else { panic!() };
    assert!(answer.throttle_time_ms > 8_000, "{}", answer.throttle_time_ms);
    assert!(answer.responses[0].partitions[0].records.as_ref().is_some_and(|records| records.len() > 20_000));
    assert!(is_muted(&mut client).await);
}

#[tokio::test]
async fn time_is_a_quota_too() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    // So little that any request takes more.
    limit(&served, everyone(), QuotaKey::RequestPercentage, 0.000_000_001).await;
    let request = Request::ListOffsets(ListOffsetsRequest::default());
    let Response::ListOffsets(answer) = client.ask(request, 5).await else { panic!() };
    assert!(answer.throttle_time_ms > 0);
    assert!(is_muted(&mut client).await);
    // Who is being muted can still say who it is and what it speaks.
    let mut other = served.client().await;
    assert!(!is_muted(&mut other).await);
}

#[tokio::test]
async fn changes_of_topics_are_slowed_down_or_refused() {
    let served = Served::start().await;
    limit(&served, everyone(), QuotaKey::ControllerMutationRate, 1.0).await;
    let mut client = served.client().await;
    let Response::CreateTopics(made) = client.ask(create("a", 100), 7).await else { panic!() };
    assert_eq!(made.topics[0].error_code, 0, "the burst is let through");
    assert!(made.throttle_time_ms > 5_000, "{}", made.throttle_time_ms);
    let mut strict = served.client().await;
    let Response::CreateTopics(refused) = strict.ask(create("b", 1), 6).await else { panic!() };
    assert_eq!(refused.topics[0].error_code, ErrorCode::ThrottlingQuotaExceeded.number());
    assert!(refused.throttle_time_ms > 5_000);
    let mut strict = served.client().await;
    let topics = vec![DeleteTopicState { name: Some("a".into()), ..Default::default() }];
    let request = Request::DeleteTopics(DeleteTopicsRequest { topics, timeout_ms: 1000, ..Default::default() });
    let Response::DeleteTopics(refused) = strict.ask(request, 6).await else { panic!() };
    assert_eq!(refused.responses[0].error_code, ErrorCode::ThrottlingQuotaExceeded.number());
    assert_eq!(refused.responses[0].name.as_deref(), Some("a"));
    let mut old = served.client().await;
    let Response::CreateTopics(slowed) = old.ask(create("c", 1), 5).await else { panic!() };
    assert_eq!(slowed.topics[0].error_code, 0);
    assert!(slowed.throttle_time_ms > 0);
    assert!(is_muted(&mut old).await);
}

#[tokio::test]
async fn an_address_opens_so_many_connections() {
    let served = Served::start().await;
    let here = QuotaEntity { ip: Some(QuotaName::Exactly("127.0.0.1".into())), ..QuotaEntity::default() };
    limit(&served, here, QuotaKey::ConnectionCreationRate, 1.0).await;
    let versions = || Request::ApiVersions(ApiVersionsRequest::default());
    for _ in 0..11 {
        let mut client = served.client().await;
        let id = client.send(&versions(), 0).await;
        client.receive(ApiKey::ApiVersions, 0, id).await;
    }
    let mut early = served.client().await;
    assert!(is_muted(&mut early).await);
    assert!(early.is_closed().await, "once it is not too early any more");
}
