//! Long polls: who is woken by what, and what is read again then.

use super::*;
use crate::service::{Fetch, FetchPartition, Fetched, Service as _};
use crate::types::Isolation;
use std::sync::atomic::Ordering;

const LONG: Duration = Duration::from_secs(3600);

/// A log on the machine's clock, so that polls wait.
fn broker() -> (Arc<Broker>, Log) {
    let broker = Broker::open(Arc::new(SimDisk::default()), Clock::real(), Path::new("/data")).unwrap();
    (broker.clone(), Log::over(broker))
}

fn fetch(partitions: u32, min_bytes: u32) -> Fetch {
    let of = |index| FetchPartition { partition: partition("lines", index), offset: 0, max_bytes: 1024 };
    Fetch {
        partitions: (0..partitions).map(of).collect(),
        max_wait: LONG,
        min_bytes,
        isolation: Isolation::ReadUncommitted,
    }
}

type Waiting = tokio::task::JoinHandle<crate::Result<Vec<Fetched>>>;

/// A fetch that sleeps by now.
async fn sleeping(broker: &Arc<Broker>, request: Fetch) -> Waiting {
    let first = broker.partition(&request.partitions[0].partition).unwrap();
    let waiting = tokio::spawn({
        let broker = broker.clone();
        async move { broker.fetch(request).await }
    });
    while first.watchers.len() == 0 {
        tokio::task::yield_now().await;
    }
    waiting
}

fn reads(broker: &Broker) -> u64 {
    let topic = broker.topic(&topic("lines")).unwrap();
    topic.partitions.iter().map(|partition| partition.reads.load(Ordering::Relaxed)).sum()
}

async fn send(log: &Log, index: u32, value: &str) {
    let producer = log.producer().build();
    producer.send_to(&topic("lines"), index, record("", value)).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn of_a_thousand_partitions_only_the_one_that_changed_is_read_again() {
    let (broker, log) = broker();
    create(&log, "lines", 1000).await;
    let waiting = sleeping(&broker, fetch(1000, 1)).await;
    assert_eq!(reads(&broker), 1000);
    send(&log, 617, "here").await;
    let fetched = waiting.await.unwrap().unwrap();
    assert_eq!(reads(&broker), 1001);
    let with_bytes: Vec<_> = (0..).zip(&fetched).filter(|(_, f)| !f.batches.is_empty()).map(|(i, _)| i).collect();
    assert_eq!((fetched.len(), with_bytes), (1000, vec![617]));
    let topic = broker.topic(&topic("lines")).unwrap();
    assert!(topic.partitions.iter().all(|partition| partition.watchers.len() == 0), "nobody is left behind");
}

#[tokio::test]
async fn it_wakes_when_all_partitions_together_have_enough() {
    let (broker, log) = broker();
    create(&log, "lines", 3).await;
    // A record of four bytes has a batch of 72.
    let waiting = sleeping(&broker, fetch(3, 3 * 72)).await;
    for (index, reads_by_then) in [(0, 3), (2, 3), (0, 5)] {
        send(&log, index, "four").await;
        tokio::task::yield_now().await;
        assert_eq!(reads(&broker), reads_by_then);
    }
    let sizes: Vec<_> = waiting.await.unwrap().unwrap().iter().map(|fetched| fetched.batches.len()).collect();
    assert_eq!(sizes, [144, 0, 72]);
}

#[tokio::test]
async fn it_wakes_when_a_topic_is_deleted_and_when_the_log_closes() {
    let (broker, log) = broker();
    create(&log, "lines", 2).await;
    let waiting = sleeping(&broker, fetch(2, 1)).await;
    log.admin().delete_topic("lines").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), "TW0102");
    create(&log, "lines", 2).await;
    let waiting = sleeping(&broker, fetch(2, 1)).await;
    log.close().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap_err().code(), "TW0207");
}

/// Appends race with polls that are just going to sleep: none may sleep through one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_append_is_slept_through() {
    let (broker, log) = broker();
    create(&log, "lines", 4).await;
    let producer = log.producer().build();
    for round in 0..200u32 {
        let of = |index| {
            let offset = broker.partition(&partition("lines", index)).unwrap().offsets().high_watermark;
            FetchPartition { partition: partition("lines", index), offset, max_bytes: 1024 }
        };
        let request = Fetch {
            partitions: (0..4).map(of).collect(),
            max_wait: LONG,
            min_bytes: 1,
            isolation: Isolation::ReadCommitted,
        };
        let waiting = tokio::spawn({
            let broker = broker.clone();
            async move { broker.fetch(request).await }
        });
        producer.send_to(&topic("lines"), round % 4, record("", "x")).await.unwrap().await.unwrap();
        assert!(waiting.await.unwrap().unwrap().iter().any(|fetched| !fetched.batches.is_empty()));
    }
}
