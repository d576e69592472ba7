//! Connections: order, limits, hostile bytes, and the end.

use super::{Client, Served, batch, config};
use crate::broker::server::memory::FIRST_BYTES;
use crate::broker::server::{Server, ServerConfig, ServerLimits};
use crate::env::{Clock, Rng, SimDisk};
use crate::types::Error;
use crate::wire::produce::{PartitionProduceData, TopicProduceData};
use crate::wire::{ApiKey, ApiVersionsRequest, FetchRequest, ProduceRequest, Request, Response};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const SHORT: Duration = Duration::from_millis(50);

fn produce(acks: i16, value: &str) -> Request {
    let data = PartitionProduceData { index: 0, records: Some(batch(&[value])) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
    Request::Produce(ProduceRequest { acks, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() })
}

fn versions() -> Request {
    Request::ApiVersions(ApiVersionsRequest::default())
}

async fn is_alive(client: &mut Client) -> bool {
    matches!(client.ask(versions(), 0).await, Response::ApiVersions(_))
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_and_appended_in_order() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let mut sent = Vec::new();
    for n in 0..200 {
        // Appends of both kinds, with others between them.
        let acks = if n % 3 == 0 { 1 } else { -1 };
        let request = if n % 7 == 6 { versions() } else { produce(acks, &n.to_string()) };
        let version = if n % 7 == 6 { 2 } else { 9 };
        sent.push((request.key(), version, client.send(&request, version).await));
    }
    let mut next_offset = 0;
    for (key, version, id) in sent {
        if let Response::Produce(response) = client.receive(key, version, id).await {
            let answer = &response.responses[0].partition_responses[0];
            assert_eq!((answer.error_code, answer.base_offset), (0, next_offset));
            next_offset += 1;
        }
    }
    assert_eq!(next_offset, 172);
}

#[tokio::test]
async fn without_acks_there_is_no_answer_and_an_error_closes() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    client.send(&produce(0, "a"), 9).await;
    client.send(&produce(0, "b"), 9).await;
    let Response::Produce(third) = client.ask(produce(-1, "c"), 9).await else { panic!() };
    assert_eq!(third.responses[0].partition_responses[0].base_offset, 2);
    let Request::Produce(mut request) = produce(0, "d") else { panic!() };
    request.topic_data[0].name = "nowhere".into();
    client.send(&Request::Produce(request), 9).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn what_was_sent_before_the_end_is_carried_out() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    for n in 0..20 {
        client.send(&produce(0, &n.to_string()), 9).await;
    }
    drop(client);
    let mut client = served.client().await;
    loop {
        // Another connection: nothing says how far the first one is.
        let Response::Produce(last) = client.ask(produce(1, "last"), 9).await else { panic!() };
        if last.responses[0].partition_responses[0].base_offset >= 20 {
            break;
        }
    }
}

#[tokio::test]
async fn a_poll_of_who_is_gone_ends() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    client.send(&waiting(&served), 4).await;
    drop(client);
    // It would be longer than the time that there is for it.
    served.server.shut_down().await.unwrap();
}

fn waiting(_: &Served) -> Request {
    use crate::wire::fetch::{FetchPartition, FetchTopic};
    let partition = FetchPartition { partition: 0, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    Request::Fetch(FetchRequest { max_wait_ms: i32::MAX, min_bytes: 1, topics: vec![topic], ..Default::default() })
}

#[tokio::test]
async fn a_drain_answers_what_was_received() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let appended = client.send(&produce(-1, "a"), 9).await;
    client.receive(ApiKey::Produce, 9, appended).await;
    let mut waiter = served.client().await;
    let Request::Fetch(mut request) = waiting(&served) else { panic!() };
    request.topics[0].partitions[0].fetch_offset = 1;
    let fetch = waiter.send(&Request::Fetch(request), 4).await;
    let mut idle = served.client().await;
    assert!(is_alive(&mut idle).await);
    // Until the fetch waits there is nothing to drain.
    let topic = served.broker.open_topics().remove(0);
    while topic.partitions[0].watchers.len() == 0 {
        tokio::task::yield_now().await;
    }
    let (drained, answer) = tokio::join!(served.server.shut_down(), waiter.receive(ApiKey::Fetch, 4, fetch));
    drained.unwrap();
    let Response::Fetch(answer) = answer else { panic!() };
    assert_eq!(answer.responses[0].partitions[0].error_code, 0);
    assert!(waiter.is_closed().await && idle.is_closed().await);
}

#[tokio::test]
async fn frames_are_held_to_the_limit() {
    let least = ServerLimits::default().frame_bytes_max;
    let served = Served::start().await;
    for length in [least as i32 + 1, i32::MAX, -1, i32::MIN] {
        let mut client = served.client().await;
        client.raw(&length.to_be_bytes()).await;
        assert!(client.is_closed().await, "{length}");
    }
    assert!(is_alive(&mut served.client().await).await);
}

#[tokio::test]
async fn who_says_nothing_or_stalls_is_cut_off() {
    let limits = ServerLimits { handshake: SHORT, stall: SHORT, ..ServerLimits::default() };
    let served = Served::with(limits).await;
    let mut silent = served.client().await;
    let mut half = served.client().await;
    half.raw(&[0, 0]).await;
    let mut slow = served.client().await;
    slow.raw(&[0, 0, 1, 0, 0, 18, 0, 0]).await;
    assert!(silent.is_closed().await && half.is_closed().await && slow.is_closed().await);
    // After its first request a connection may be silent.
    let mut client = served.client().await;
    assert!(is_alive(&mut client).await);
    tokio::time::timeout(4 * SHORT, client.frame()).await.unwrap_err();
    assert!(is_alive(&mut client).await);
}

#[tokio::test]
async fn idle_connections_are_closed_but_not_those_that_wait_for_us() {
    let served = Served::with(ServerLimits { idle: SHORT, ..ServerLimits::default() }).await;
    let mut client = served.with_topic("t", 1).await;
    let Request::Fetch(mut request) = waiting(&served) else { panic!() };
    request.max_wait_ms = 5 * SHORT.as_millis() as i32;
    let id = client.send(&Request::Fetch(request), 4).await;
    client.receive(ApiKey::Fetch, 4, id).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn connections_are_limited() {
    let served = Served::with(ServerLimits { connections_per_address_max: 2, ..ServerLimits::default() }).await;
    let (mut first, mut second) = (served.client().await, served.client().await);
    assert!(is_alive(&mut first).await && is_alive(&mut second).await);
    assert!(served.client().await.is_closed().await);
    drop(first);
    loop {
        let mut third = served.client().await;
        third.send(&versions(), 0).await;
        // Until the server has noticed that the first is gone.
        if third.frame().await.is_some() {
            break;
        }
    }
}

#[tokio::test]
async fn requests_wait_for_memory() {
    let max = 2 << 20;
    let served =
        Served::with(ServerLimits { frame_bytes_max: max, in_flight_bytes_max: max, ..ServerLimits::default() });
    let served = served.await;
    // It takes all the memory and does not go on.
    let mut greedy = served.client().await;
    greedy.raw(&(max as u32).to_be_bytes()).await;
    greedy.raw(&[0; FIRST_BYTES]).await;
    while served.server.shared.memory.left().0 > 0 {
        tokio::task::yield_now().await;
    }
    let mut client = served.with_topic("t", 1).await;
    let id = client.send(&produce(1, &"x".repeat(2 * FIRST_BYTES)), 9).await;
    tokio::time::timeout(SHORT, client.frame()).await.expect_err("there is no memory for it");
    assert!(is_alive(&mut served.client().await).await, "small requests have their own");
    drop(greedy);
    client.receive(ApiKey::Produce, 9, id).await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off() {
    let served = Served::with(ServerLimits { write: SHORT, ..ServerLimits::default() }).await;
    let mut client = served.with_topic("t", 1).await;
    let value = "x".repeat(900_000);
    client.ask(produce(1, &value), 9).await;
    let Request::Fetch(mut request) = waiting(&served) else { panic!() };
    request.max_wait_ms = 0;
    let request = Request::Fetch(request);
    let frame = request.to_frame(ApiKey::Fetch.version(4).unwrap(), 0, None).unwrap().into_pieces().concat();
    // Until the server has closed it: the answers are more than all buffers between the two hold.
    while client.stream.write_all(&frame).await.is_ok() {}
    assert!(is_alive(&mut served.client().await).await);
}

#[tokio::test]
async fn garbage_ends_a_connection_and_nothing_else() {
    let served = Served::start().await;
    let mut other = served.with_topic("t", 1).await;
    let mut rng = Rng::seeded(7);
    for n in 0..300 {
        let mut client = served.client().await;
        let mut bytes = vec![0; (rng.next_u64() % 200) as usize];
        bytes.iter_mut().for_each(|byte| *byte = rng.next_u64() as u8);
        if n % 2 == 0 {
            // A frame of an API that is served, with anything in it.
            let apis = super::super::dispatch::SERVED;
            let key = apis[(rng.next_u64() % apis.len() as u64) as usize];
            let version = *key.versions().start() + (rng.next_u64() % key.versions().count() as u64) as i16;
            let mut frame = ((bytes.len() + 10) as u32).to_be_bytes().to_vec();
            frame.extend([key.number().to_be_bytes(), version.to_be_bytes()].concat());
            frame.extend([0, 0, 0, 1, 0xff, 0xff]);
            frame.extend(bytes);
            bytes = frame;
        }
        client.raw(&bytes).await;
    }
    assert!(is_alive(&mut other).await);
    assert!(is_alive(&mut served.client().await).await);
}

#[tokio::test]
async fn a_port_in_use_and_an_open_listener_are_told() {
    let served = Served::start().await;
    let broker =
        |name: &str| crate::broker::Broker::open(Arc::new(SimDisk::default()), Clock::real(), Path::new(name)).unwrap();
    let mut taken: ServerConfig = config();
    taken.listeners[0].address = served.address();
    let refused = Server::start(broker("/a"), taken).await.unwrap_err();
    assert!(matches!(refused, Error::AddressInUse { .. }), "{refused}");
    let mut open = config();
    open.listeners[0].address = "0.0.0.0:0".parse().unwrap();
    let refused = Server::start(broker("/b"), open.clone()).await.unwrap_err();
    assert!(matches!(refused, Error::ExposedListener { .. }), "{refused}");
    Server::start(broker("/c"), ServerConfig { insecure_listen: true, ..open }).await.unwrap();
}
