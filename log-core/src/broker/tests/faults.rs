//! Disks that are full, fail, or lie.

use super::*;
use crate::env::{Disk, OpenMode};
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
async fn a_log_on_a_full_disk_is_opened_read_and_closed() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 1).await;
    send(&log, "kept").await.unwrap();
    sim.disk.set_capacity(Some(0));
    for _ in 0..2 {
        log.close().await.unwrap();
        let log = sim.open().await;
        assert_eq!(values(&log, "lines", 0).await, ["kept"]);
        log.close().await.unwrap();
    }
    sim.disk.set_capacity(None);
    let log = sim.open().await;
    assert_eq!(send(&log, "next").await.unwrap(), 1);
}

/// A log that was closed in order once, then written to and closed on a disk with `room` bytes left. Each record has a
/// segment, so that no length tells that there is more.
async fn closed_with_room(room: u64, has_ballast: bool) {
    let sim = Sim::new();
    let log = sim.open().await;
    let mut spec = TopicSpec::new("lines", 1).unwrap();
    spec.config.segment_bytes = 4096;
    let large_value = "x".repeat(2500);
    log.admin().create_topic(spec).await.unwrap();
    let mut acknowledged = vec![send(&log, &large_value).await.unwrap()];
    log.close().await.unwrap();
    let log = sim.open().await;
    if !has_ballast {
        sim.disk.remove_file("/data/ballast".as_ref()).unwrap();
    }
    let large = 1 << 40;
    sim.disk.set_capacity(Some(large));
    let used = large - sim.disk.free_bytes("/".as_ref()).unwrap();
    sim.disk.set_capacity(Some(used + room));
    for _ in 0..3 {
        acknowledged.extend(send(&log, &large_value).await);
    }
    let closed = log.close().await;
    drop(log);
    sim.disk.set_capacity(None);
    let held = values(&sim.open().await, "lines", 0).await.len();
    assert_eq!(held, acknowledged.len(), "{room} bytes left, ballast {has_ballast}, {closed:?}");
}

#[tokio::test]
async fn a_log_that_was_closed_on_a_full_disk_has_what_was_acknowledged() {
    for room in (0..9000).step_by(23) {
        closed_with_room(room, true).await;
        closed_with_room(room, false).await;
    }
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

#[tokio::test]
async fn a_partition_that_takes_no_writes_says_so() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 1).await;
    sim.disk.fail_write_after(0);
    sim.disk.fail_set_len_after(0);
    send(&log, "torn").await.unwrap_err();
    assert_eq!(send(&log, "next").await.unwrap_err().code(), "TW0206");
    assert!(log.admin().describe_topic("lines").await.unwrap().partitions[0].damage.is_some());
}

#[tokio::test]
async fn a_flipped_bit_in_the_metadata_log_is_damage_also_after_a_kill() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "first", 1).await;
    create(&log, "second", 1).await;
    // No `close`: the process was killed.
    drop(log);
    let path = Path::new("/data/meta/00000000000000000000.log");
    let len = sim.disk.open(path, OpenMode::Read).unwrap().len().unwrap();
    sim.disk.flip_bit(path, len - 1, 0);
    let error = sim.try_open().await.expect_err("a topic would be missing");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

/// The directories of topics, and how many topics there are.
async fn directories(sim: &Sim, log: &Log) -> (usize, usize) {
    let topics = log.admin().list_topics(true).await.unwrap().len();
    (sim.disk.list(Path::new("/data/t")).unwrap().len(), topics)
}

#[tokio::test]
async fn a_topic_that_could_not_be_created_leaves_nothing_behind() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "first", 1).await;
    sim.disk.set_capacity(Some(0));
    let error = log.admin().create_topic(TopicSpec::new("second", 4).unwrap()).await.unwrap_err();
    assert_eq!(error.code(), "TW0203");
    assert_eq!(directories(&sim, &log).await, (0, 1));
    sim.disk.set_capacity(None);
    create(&log, "second", 4).await;
    assert_eq!(directories(&sim, &log).await, (0, 2));
}

#[tokio::test]
async fn a_crash_at_any_moment_of_creating_or_deleting_a_topic_leaves_it_whole_or_not_at_all() {
    for op in 0..60 {
        let sim = Sim::new();
        let log = sim.open().await;
        create(&log, "stays", 1).await;
        send_to_stays(&log).await;
        sim.disk.crash_at(sim.disk.ops() + op);
        let created = log.admin().create_topic(TopicSpec::new("other", 2).unwrap()).await.is_ok();
        let deleted = created && log.admin().delete_topic("other").await.is_ok();
        drop(log);
        for seed in 0..8 {
            let context = format!("op {op} seed {seed}");
            let sim = Sim { disk: sim.disk.crash(seed), clock: sim.clock.clone() };
            let log = sim.open().await;
            let (directories, topics) = directories(&sim, &log).await;
            assert!(directories <= topics, "{context}");
            assert!(!deleted || topics == 1, "{context}: it was deleted");
            assert_eq!(values(&log, "stays", 0).await, ["kept"], "{context}");
            drop(log.admin().create_topic(TopicSpec::new("other", 2).unwrap()).await);
            log.admin().delete_topic("other").await.unwrap();
        }
    }
}

async fn send_to_stays(log: &Log) {
    let producer = log.producer().build();
    producer.send_to(&topic("stays"), 0, record("", "kept")).await.unwrap().await.unwrap();
}
