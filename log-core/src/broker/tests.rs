//! The broker through its client, on the machine's disk and on a simulated one with a clock that stands still.

use super::Broker;
use crate::client::Log;
use crate::env::{Clock, SimDisk};
use crate::record::Record;
use crate::types::{Error, Offset, OffsetSpec, Timestamp, TopicName, TopicPartition, TopicSpec};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const START: Timestamp = Timestamp(1_360_357_200_000);
const MINUTE: Duration = Duration::from_secs(60);

mod admin;
mod basics;
mod faults;
mod flushing;
mod groups;
mod polling;
mod queues;
mod scrubbing;
mod transactions;
mod upkeep;

/// A log on a simulated disk, with what is needed to open it again.
struct Sim {
    disk: SimDisk,
    clock: Clock,
}

impl Sim {
    fn new() -> Self {
        Self { disk: SimDisk::default(), clock: Clock::manual(START) }
    }
    async fn open(&self) -> Log {
        self.try_open().await.expect("it opens")
    }
    /// The log with the broker behind it.
    fn broker(&self) -> (Arc<Broker>, Log) {
        let disk = Arc::new(self.disk.clone());
        let broker = Broker::open(disk, self.clock.clone(), Path::new("/data")).expect("it opens");
        (broker.clone(), Log::over(broker))
    }
    async fn try_open(&self) -> crate::Result<Log> {
        Log::open_on(Arc::new(self.disk.clone()), self.clock.clone(), "/data").await
    }
}

fn record(key: &str, value: impl Into<String>) -> Record {
    let key = (!key.is_empty()).then(|| Bytes::from(key.to_owned()));
    Record { key, value: Some(Bytes::from(value.into())), timestamp: START, headers: Vec::new() }
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

fn partition(name: &str, partition: u32) -> TopicPartition {
    TopicPartition::new(topic(name), partition)
}

async fn create(log: &Log, name: &str, partitions: u32) {
    log.admin().create_topic(TopicSpec::new(name, partitions).unwrap()).await.unwrap();
}

/// Sends `n` records keyed `k0`, `k1`, …, valued by number.
async fn fill(log: &Log, name: &str, n: usize) {
    let producer = log.producer().build();
    for i in 0..n {
        drop(producer.send(&topic(name), record(&format!("k{i}"), i.to_string())).await.unwrap());
    }
    producer.flush().await.unwrap();
}

/// The values of a whole partition.
async fn values(log: &Log, name: &str, index: u32) -> Vec<String> {
    let mut reader = log.reader(partition(name, index), 0);
    let mut values = Vec::new();
    loop {
        let batch = reader.next_batch(Duration::ZERO).await.unwrap();
        if batch.is_empty() {
            return values;
        }
        values.extend(batch.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap()).into_owned()));
    }
}
