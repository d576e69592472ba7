//! How to send records and read them as a group that remembers its place, also after the log was closed.
//!
//! `cargo run --example produce_consume -- 8` runs it on 8 partitions; without a number on 4.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::time::Duration;
use tailwater::log::{Record, Timestamp};
use tailwater::{Log, TopicName, TopicSpec};

const READINGS: u64 = 1_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let partitions = std::env::args().nth(1).map_or(Ok(4), |n| n.parse())?;
    let dir = tempfile::tempdir()?;
    let log = Log::open(dir.path()).await?;
    let topic = TopicName::new("readings")?;
    log.admin().create_topic(TopicSpec::new(&topic, partitions)?).await?;

    // `send` returns as soon as the record has a place in a batch; the delivery resolves when it is on disk.
    let producer = log.producer().build();
    let mut deliveries = Vec::new();
    for n in 0..READINGS {
        let record = Record {
            key: Some(format!("sensor-{}", n % 10).into()),
            value: Some(n.to_string().into()),
            timestamp: Timestamp(n as i64 * 1_000),
            headers: Vec::new(),
        };
        deliveries.push(producer.send(&topic, record).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    println!("{READINGS} readings are durable");

    // A group reads every partition; records of one key come in the order in which they were sent.
    let mut consumer = log.consumer("averages").topics(["readings"]).start().await?;
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut read = 0;
    while read < READINGS {
        for found in consumer.poll(500, Duration::from_secs(10)).await? {
            let text = |bytes: Option<_>| String::from_utf8(Vec::from(bytes.unwrap_or_default()));
            let (sensor, value) = (text(found.record.key)?, text(found.record.value)?.parse::<u64>()?);
            let (count, sum) = sums.entry(sensor).or_default();
            assert_eq!(value, *count * 10 + value % 10, "the readings of one sensor come in order");
            (*count, *sum) = (*count + 1, *sum + value);
            read += 1;
        }
    }
    consumer.commit().await?;
    consumer.leave().await?;
    for (sensor, (count, sum)) in &sums {
        println!("{sensor}: {count} readings, average {}", *sum as f64 / *count as f64);
    }
    log.close().await?;

    // The commit is in the log too, so a new process goes on behind it.
    let log = Log::open(dir.path()).await?;
    let group = log.admin().describe_group("averages").await?;
    let left: u64 = group.partitions.iter().map(|p| p.lag_records).sum();
    println!("opened again: {left} readings are left to read");
    assert_eq!(left, 0);
    log.close().await?;
    Ok(())
}
