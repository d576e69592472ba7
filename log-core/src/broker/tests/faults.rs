//! Disks that are full, fail, or lie.

use super::*;
use crate::service::TopicDescription;
use std::path::PathBuf;

async fn send(log: &Log, value: &str) -> crate::Result<Offset> {
    let producer = log.producer().build();
    let delivery = producer.send_to(&topic("lines"), 0, record("", value)).await?;
    delivery.await.map(|sent| sent.offset)
}

fn segment(described: &TopicDescription, index: u32) -> PathBuf {
    format!("/data/t/{}/{index}/00000000000000000000.log", described.id).into()
}

#[tokio::test]
async fn a_full_disk_heals() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 1).await;
    assert_eq!(send(&log, "before").await.unwrap(), 0);
    sim.disk.set_capacity(Some(0));
    let error = send(&log, "while").await.unwrap_err();
    assert_eq!(error.code(), "TW0203");
    assert!(error.is_retriable());
    assert_eq!(values(&log, "lines", 0).await, ["before"]);
    sim.disk.set_capacity(None);
    assert_eq!(send(&log, "after").await.unwrap(), 1);
    log.close().await.unwrap();
    assert_eq!(values(&sim.open().await, "lines", 0).await, ["before", "after"]);
}

#[tokio::test]
async fn a_failed_sync_fences_until_the_log_is_opened_again() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 1).await;
    send(&log, "before").await.unwrap();
    sim.disk.fail_sync_after(0);
    assert_eq!(send(&log, "lost").await.unwrap_err().code(), "TW0206");
    assert_eq!(send(&log, "after").await.unwrap_err().code(), "TW0206");
    assert_eq!(values(&log, "lines", 0).await, ["before"]);
    let described = log.admin().describe_topic("lines").await.unwrap();
    assert!(described.partitions[0].damage.is_some());
    drop(log);
    let sim = Sim { disk: sim.disk.crash(1), clock: sim.clock };
    let log = sim.open().await;
    assert_eq!(values(&log, "lines", 0).await[0], "before");
    send(&log, "again").await.unwrap();
}

#[tokio::test]
async fn a_damaged_partition_is_readable_up_to_the_damage_and_says_so() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 2).await;
    for value in ["0", "1", "2"] {
        send(&log, value).await.unwrap();
    }
    fill(&log, "lines", 10).await;
    let described = log.admin().describe_topic("lines").await.unwrap();
    log.close().await.unwrap();
    // A record of one byte: its batch has 61 bytes of header and 8 of record. The second is hit in its record.
    sim.disk.flip_bit(&segment(&described, 0), 69 + 65, 3);

    let log = sim.open().await;
    let mut reader = log.reader(partition("lines", 0), 0);
    let mut read = Vec::new();
    let error = loop {
        match reader.next_batch(Duration::ZERO).await {
            Ok(records) => {
                assert!(!records.is_empty(), "the damage is not the end of the log");
                read.extend(records);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(&error, Error::Corrupt { offset: 1, .. }), "{error}");
    assert_eq!(read.len(), 1);
    let described = log.admin().describe_topic("lines").await.unwrap();
    assert!(described.partitions[0].damage.is_some());
    assert!(described.partitions[1].damage.is_none());
    let healthy = described.partitions[1].offsets.high_watermark as usize;
    assert_eq!(values(&log, "lines", 1).await.len(), healthy);
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash_at_any_moment() {
    for seed in 0..40 {
        let sim = Sim::new();
        let log = sim.open().await;
        create(&log, "lines", 3).await;
        let start = sim.disk.ops();
        sim.disk.crash_at(start + 3 + seed * 2);
        let producer = log.producer().build();
        let mut acknowledged: BTreeMap<u32, Vec<(Offset, String)>> = BTreeMap::new();
        for i in 0..60 {
            let Ok(delivery) = producer.send_to(&topic("lines"), i % 3, record("", i.to_string())).await else { break };
            let Ok(sent) = delivery.await else { continue };
            acknowledged.entry(sent.partition).or_default().push((sent.offset, i.to_string()));
        }
        drop((producer, log));
        tokio::task::yield_now().await;
        let sim = Sim { disk: sim.disk.crash(seed), clock: sim.clock };
        let log = sim.open().await;
        for (index, acknowledged) in acknowledged {
            let found = values(&log, "lines", index).await;
            for (offset, value) in acknowledged {
                assert_eq!(found.get(offset as usize), Some(&value), "seed {seed} partition {index}");
            }
        }
    }
}
