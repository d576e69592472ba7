//! The pages over HTTP: what is counted, what is asked for wrongly, and who is too slow.

use super::{Client, Served, batch, config};
use crate::broker::Broker;
use crate::broker::server::{Server, ServerConfig};
use crate::client::Log;
use crate::env::{Clock, SimDisk};
use crate::types::OffsetSpec;
use crate::wire::produce::{PartitionProduceData, TopicProduceData};
use crate::wire::{ProduceRequest, Request};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn with_pages() -> Served {
    let config = ServerConfig { metrics: Some("127.0.0.1:0".parse().unwrap()), ..config() };
    let broker = Broker::open(Arc::new(SimDisk::default()), Clock::real(), Path::new("/data")).unwrap();
    Served { server: Server::start(broker.clone(), config).await.unwrap(), broker }
}

/// Sends bytes and reads until the end.
async fn http(served: &Served, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.server.metrics_address().unwrap()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // Who has sent more than is read may see a reset behind the answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(served: &Served, path: &str) -> String {
    http(served, format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).await
}

async fn produce(client: &mut Client, topic: &str) {
    let data = PartitionProduceData { index: 0, records: Some(batch(&["a", "b"])) };
    let topic = TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    let request = ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() };
    client.ask(Request::Produce(request), 9).await;
}

#[tokio::test]
async fn what_was_done_is_counted() {
    let served = with_pages().await;
    let mut client = served.with_topic("t", 1).await;
    produce(&mut client, "t").await;
    produce(&mut client, "nowhere").await;
    let admin = Log::over(served.broker.clone()).admin();
    admin.reset_group("readers", "t", OffsetSpec::Earliest).await.unwrap();
    assert_eq!(admin.describe_group("readers").await.unwrap().partitions.len(), 1);
    let page = get(&served, "/metrics").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("text/plain; version=0.0.4"), "{page}");
    for line in [
        "tailwater_connections 1",
        "tailwater_connections_total 1",
        "tailwater_requests_total{api=\"Produce\"} 2",
        "tailwater_request_duration_seconds_count{api=\"Produce\"} 2",
        "tailwater_request_errors_total{api=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"} 1",
        "tailwater_fenced 0",
        "kafka_topic_partitions{topic=\"t\"} 1",
        "kafka_topic_partition_current_offset{topic=\"t\",partition=\"0\"} 2",
        "kafka_consumergroup_lag{consumergroup=\"readers\",topic=\"t\",partition=\"0\"} 2",
        "kafka_consumergroup_current_offset{consumergroup=\"readers\",topic=\"t\",partition=\"0\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    let rounds = page.lines().find_map(|line| line.strip_prefix("tailwater_sync_round_duration_seconds_count "));
    assert!(rounds.is_some_and(|rounds| rounds.parse::<u64>().unwrap() > 0), "{page}");
    // Each name has its help and its kind once, before its values.
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    let mut known = std::collections::BTreeSet::new();
    for line in body.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            assert!(known.insert(head.split(' ').next().unwrap().to_owned()), "{line}");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(known.contains(family) || known.contains(name), "{line}");
        }
    }
}

#[tokio::test]
async fn health_is_told() {
    let served = with_pages().await;
    assert!(get(&served, "/health/live").await.starts_with("HTTP/1.1 200 "));
    assert!(get(&served, "/health/ready").await.ends_with("\r\n\r\nready\n"));
    let head = http(&served, b"HEAD /health/ready HTTP/1.1\r\n\r\n").await;
    assert!(head.contains("Content-Length: 6\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    Log::over(served.broker.clone()).close().await.unwrap();
    assert!(get(&served, "/health/ready").await.starts_with("HTTP/1.1 503 "));
    assert!(get(&served, "/health/live").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn what_is_asked_wrongly_is_answered_so() {
    let served = with_pages().await;
    for (request, status) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
        (b"GET /metrics\r\n\r\n", "400"),
        (b"\0\x03\0\0\0\0\0\x01\r\n\r\n", "400"),
        (&[b'a'; 8 * 1024], "431"),
    ] {
        let answer = http(&served, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    // Those who say nothing keep others waiting no longer than the server runs.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(served.server.metrics_address().unwrap()).await.unwrap());
    }
    served.server.shut_down().await.unwrap();
}
