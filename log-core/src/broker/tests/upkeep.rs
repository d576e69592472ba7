//! Retention, compaction and tidying up, by ticks of a clock that stands still in between.

use super::*;
use crate::env::Disk;
use crate::service::TopicDescription;
use crate::types::{Cleanup, TopicConfig};

const ROUND: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_hours(1);

async fn create_as(log: &Log, name: &str, change: impl FnOnce(&mut TopicConfig)) {
    let mut spec = TopicSpec::new(name, 1).unwrap();
    spec.config.segment_bytes = 4096;
    change(&mut spec.config);
    log.admin().create_topic(spec).await.unwrap();
}

/// Sends numbers, one batch of about a kilobyte each, in turn to the keys `k0`, `k1` and `k2`.
async fn put(log: &Log, name: &str, numbers: std::ops::Range<usize>) {
    let producer = log.producer().build();
    for i in numbers {
        let sent = producer.send(&topic(name), record(&format!("k{}", i % 3), format!("{i:01000}"))).await.unwrap();
        sent.await.unwrap();
    }
}

/// The numbers that can be read.
async fn numbers(log: &Log, name: &str) -> Vec<usize> {
    let start = described(log, name).await.partitions[0].offsets.log_start_offset;
    let mut reader = log.reader(partition(name, 0), start);
    let mut numbers = Vec::new();
    loop {
        let batch = reader.next_batch(Duration::ZERO).await.unwrap();
        if batch.is_empty() {
            return numbers;
        }
        let text = |value: &Option<Bytes>| String::from_utf8(value.as_ref().unwrap().to_vec()).unwrap();
        numbers.extend(batch.iter().map(|record| text(&record.value).parse::<usize>().unwrap()));
    }
}

async fn described(log: &Log, name: &str) -> TopicDescription {
    log.admin().describe_topic(name).await.unwrap()
}

/// The files of a partition.
async fn files(sim: &Sim, log: &Log, name: &str) -> Vec<String> {
    let dir = format!("/data/t/{}/0", described(log, name).await.id);
    sim.disk.list(Path::new(&dir)).unwrap().iter().map(|name| name.display().to_string()).collect()
}

impl Sim {
    /// Lets time pass and does what is due then.
    async fn pass(&self, broker: &Broker, time: Duration) {
        self.clock.advance(time);
        broker.tick().await;
    }
}

#[tokio::test]
async fn a_partition_that_is_too_large_loses_its_oldest_segments() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create_as(&log, "lines", |config| config.retention_bytes = Some(8192)).await;
    put(&log, "lines", 0..40).await;
    let before = files(&sim, &log, "lines").await.len();
    sim.pass(&broker, ROUND / 2).await;
    assert_eq!(files(&sim, &log, "lines").await.len(), before, "it is not due yet");
    sim.pass(&broker, ROUND).await;
    assert!(files(&sim, &log, "lines").await.len() < before / 2);
    let (after, left) = (described(&log, "lines").await.partitions.remove(0), numbers(&log, "lines").await);
    assert!((8192..8192 + 4096).contains(&after.bytes), "{after:?}");
    assert_eq!(left, Vec::from_iter(after.offsets.log_start_offset as usize..40));
    log.close().await.unwrap();

    let (broker, log) = sim.broker();
    assert_eq!(described(&log, "lines").await.partitions[0].offsets, after.offsets);
    sim.pass(&broker, ROUND).await;
    assert_eq!(numbers(&log, "lines").await, left);
}

#[tokio::test]
async fn records_that_are_too_old_go_also_from_the_active_segment() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create_as(&log, "lines", |config| config.retention = Some(HOUR)).await;
    create_as(&log, "kept", |_| {}).await;
    put(&log, "kept", 0..9).await;
    put(&log, "lines", 0..9).await;
    sim.pass(&broker, HOUR).await;
    assert_eq!(numbers(&log, "lines").await.len(), 9, "an hour old and not older");
    sim.pass(&broker, ROUND).await;
    assert!(numbers(&log, "lines").await.is_empty());
    let after = described(&log, "lines").await.partitions.remove(0);
    assert_eq!((after.segments, after.bytes, after.offsets.log_start_offset), (1, 0, 9));
    put(&log, "lines", 9..11).await;
    sim.pass(&broker, ROUND).await;
    log.close().await.unwrap();
    let (_, log) = sim.broker();
    assert_eq!(numbers(&log, "kept").await.len(), 9, "kept for ever");
    assert_eq!(described(&log, "lines").await.partitions[0].offsets.log_start_offset, 9);
}

#[tokio::test]
async fn a_compacted_topic_shrinks_to_the_last_of_each_key() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create_as(&log, "table", |config| config.cleanup = Cleanup::Compact).await;
    put(&log, "table", 0..39).await;
    let before = described(&log, "table").await.partitions.remove(0);
    sim.pass(&broker, ROUND).await;
    let (after, left) = (described(&log, "table").await.partitions.remove(0), numbers(&log, "table").await);
    assert!(after.bytes < before.bytes / 3, "{} of {}", after.bytes, before.bytes);
    assert_eq!(left[left.len() - 3..], [36, 37, 38]);
    assert!(left.len() < 10, "{left:?}");
    assert_eq!(after.offsets, before.offsets);
    let names = files(&sim, &log, "table").await;
    assert!(names.len() as u32 <= 3 * after.segments, "{names:?}");
    log.close().await.unwrap();

    let (broker, log) = sim.broker();
    assert_eq!(numbers(&log, "table").await, left);
    // What is active now is rolled by age, and then compacted too.
    put(&log, "table", 39..42).await;
    sim.pass(&broker, HOUR * 24 * 8).await;
    put(&log, "table", 42..48).await;
    sim.pass(&broker, HOUR * 24 * 8).await;
    assert_eq!(numbers(&log, "table").await, [45, 46, 47]);
}

#[tokio::test]
async fn files_that_nobody_uses_are_closed() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "lines", 8).await;
    create_as(&log, "old", |config| config.retention = Some(HOUR)).await;
    create_as(&log, "table", |config| config.cleanup = Cleanup::Compact).await;
    fill(&log, "lines", 100).await;
    put(&log, "old", 0..9).await;
    put(&log, "table", 0..9).await;
    let open_files = || broker.with_dir(|dir| dir.resources().open_files()).unwrap();
    assert!(open_files() >= 10);
    // One round to compact, then two in which nobody uses anything.
    for _ in 0..3 {
        sim.pass(&broker, Duration::from_secs(30)).await;
    }
    assert_eq!(open_files(), 0);
    sim.pass(&broker, Duration::from_secs(30)).await;
    assert_eq!(open_files(), 0, "what has nothing to do is not looked into");
    assert_eq!(numbers(&log, "old").await.len(), 9);
}

#[tokio::test]
async fn producers_that_are_idle_for_a_week_are_forgotten() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "lines", 1).await;
    fill(&log, "lines", 3).await;
    let known = || broker.partition(&partition("lines", 0)).unwrap().producers().unwrap().len();
    let before = known();
    sim.pass(&broker, HOUR * 24 * 7).await;
    assert_eq!(known(), before);
    sim.pass(&broker, HOUR).await;
    assert_eq!(known(), 0);
}

#[tokio::test]
async fn room_is_held_back_again_when_there_is_some() {
    let sim = Sim::new();
    let (broker, _log) = sim.broker();
    let is_held = || sim.disk.exists(Path::new("/data/ballast"));
    assert!(broker.with_dir(|dir| dir.release_ballast()).unwrap() && !is_held());
    sim.pass(&broker, Duration::from_secs(30)).await;
    assert!(is_held());
}

#[tokio::test]
async fn a_full_disk_ends_a_compaction_and_it_is_tried_later() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create_as(&log, "table", |config| config.cleanup = Cleanup::Compact).await;
    put(&log, "table", 0..39).await;
    let before = files(&sim, &log, "table").await;
    sim.disk.set_capacity(Some(0));
    sim.pass(&broker, ROUND).await;
    assert_eq!(files(&sim, &log, "table").await, before, "nothing unfinished is left");
    assert_eq!(numbers(&log, "table").await.len(), 39);
    sim.disk.set_capacity(None);
    sim.pass(&broker, ROUND).await;
    assert_eq!(files(&sim, &log, "table").await, before, "not at once");
    sim.pass(&broker, HOUR).await;
    assert!(numbers(&log, "table").await.len() < 10);
}

#[tokio::test]
async fn a_compaction_that_meets_damage_says_so_and_leaves_it() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create_as(&log, "table", |config| config.cleanup = Cleanup::Compact).await;
    put(&log, "table", 0..39).await;
    let path = format!("/data/t/{}/0/00000000000000000000.log", described(&log, "table").await.id);
    sim.disk.flip_bit(Path::new(&path), 100, 1);
    let before = files(&sim, &log, "table").await;
    for _ in 0..3 {
        sim.pass(&broker, HOUR).await;
        assert!(described(&log, "table").await.partitions[0].damage.is_some());
        assert_eq!(files(&sim, &log, "table").await, before);
    }
    log.close().await.unwrap();
}

/// Two topics that upkeep has something to do for.
async fn prepare(log: &Log) {
    create_as(log, "old", |config| (config.retention, config.retention_bytes) = (Some(HOUR), Some(8192))).await;
    create_as(log, "table", |config| config.cleanup = Cleanup::Compact).await;
    put(log, "old", 0..14).await;
    put(log, "table", 0..14).await;
}

#[tokio::test]
async fn a_power_cut_at_any_moment_of_a_round_loses_nothing_that_is_to_stay() {
    let ops = {
        let sim = Sim::new();
        let (broker, log) = sim.broker();
        prepare(&log).await;
        let before = sim.disk.ops();
        sim.pass(&broker, ROUND).await;
        sim.disk.ops() - before
    };
    assert!(ops > 30, "{ops}");
    for op in 0..ops {
        let sim = Sim::new();
        let (broker, log) = sim.broker();
        prepare(&log).await;
        sim.disk.crash_at(sim.disk.ops() + op);
        sim.pass(&broker, ROUND).await;
        drop((broker, log));
        for seed in 0..3 {
            let context = format!("op {op}, seed {seed}");
            let sim = Sim { disk: sim.disk.crash(seed), clock: sim.clock.clone() };
            let (broker, log) = sim.broker();
            for name in ["old", "table"] {
                assert!(described(&log, name).await.partitions[0].damage.is_none(), "{context}");
            }
            let old = numbers(&log, "old").await;
            assert_eq!(old, Vec::from_iter(old[0]..14), "{context}");
            assert!(old.len() >= 8, "{context}: {old:?}");
            let table = numbers(&log, "table").await;
            assert!(table.is_sorted() && table.ends_with(&[11, 12, 13]), "{context}: {table:?}");
            // It goes on, and comes to where it would have come.
            sim.pass(&broker, ROUND).await;
            assert!(numbers(&log, "old").await.len() < 14, "{context}");
            assert!(numbers(&log, "table").await.len() < 9, "{context}");
            put(&log, "table", 14..15).await;
        }
    }
}
