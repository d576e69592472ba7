//! The scrub finds damage that nobody has read.

use super::*;
use crate::env::Disk;

/// Three sealed segments or more in each of two partitions.
async fn filled(sim: &Sim) -> Log {
    let log = sim.open().await;
    let mut spec = TopicSpec::new("lines", 2).unwrap();
    spec.config.segment_bytes = 100 * 1024;
    spec.config.batch_bytes_max = 64 * 1024;
    log.admin().create_topic(spec).await.unwrap();
    let producer = log.producer().build();
    for n in 0..16 {
        let value = format!("{n}").repeat(30_000);
        producer.send_to(&topic("lines"), n % 2, record("", value)).await.unwrap().await.unwrap();
    }
    log
}

/// What is wrong with each partition.
async fn damage(log: &Log) -> Vec<Option<Error>> {
    let described = log.admin().describe_topic(topic("lines")).await.unwrap();
    described.partitions.into_iter().map(|partition| partition.damage).collect()
}

#[tokio::test]
async fn a_flipped_bit_is_found_by_ticks_alone() {
    let sim = Sim::new();
    let log = filled(&sim).await;
    let id = log.admin().describe_topic(topic("lines")).await.unwrap().id;
    let dir = std::path::PathBuf::from(format!("/data/t/{id}/1"));
    let segments: Vec<_> = sim.disk.list(&dir).unwrap();
    let segments: Vec<_> = segments.into_iter().filter(|name| name.extension().is_some_and(|e| e == "log")).collect();
    assert!(segments.len() > 2, "{segments:?}");
    sim.disk.flip_bit(&dir.join(&segments[1]), 5000, 3);
    // Not yet: it begins after a minute, and nothing is read before.
    log.admin().list_groups().await.unwrap();
    assert!(damage(&log).await.iter().all(Option::is_none));
    sim.clock.advance(MINUTE);
    for _ in 0..20 {
        log.admin().list_groups().await.unwrap();
        sim.clock.advance(Duration::from_secs(1));
    }
    let found = damage(&log).await;
    assert!(found[0].is_none(), "{found:?}");
    let error = found[1].as_ref().expect("the scrub finds it");
    assert!(matches!(error, Error::Corrupt { path, .. } if path.ends_with(&segments[1])), "{error}");
}

#[tokio::test]
async fn a_pass_reads_each_segment_once_and_then_rests() {
    let sim = Sim::new();
    let log = filled(&sim).await;
    let mut reads = Vec::new();
    for _ in 0..2 {
        sim.clock.advance(MINUTE);
        let before = sim.disk.ops();
        for _ in 0..30 {
            log.admin().list_groups().await.unwrap();
            sim.clock.advance(Duration::from_secs(1));
        }
        reads.push(sim.disk.ops() - before);
    }
    assert!(reads[0] > 6 && reads[1] == 0, "{reads:?}");
    sim.clock.advance(Duration::from_hours(7 * 24));
    let before = sim.disk.ops();
    log.admin().list_groups().await.unwrap();
    assert!(sim.disk.ops() > before, "a week later it begins again");
}
