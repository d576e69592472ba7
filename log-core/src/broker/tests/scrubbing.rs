//! The scrub finds damage that nobody has read.

use super::*;
use crate::env::Disk;
use std::path::PathBuf;

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

/// The segment files of partition 1.
async fn segments(sim: &Sim, log: &Log) -> Vec<PathBuf> {
    let id = log.admin().describe_topic(topic("lines")).await.unwrap().id;
    let dir = PathBuf::from(format!("/data/t/{id}/1"));
    let names = sim.disk.list(&dir).unwrap().into_iter().map(|name| dir.join(name));
    let segments: Vec<_> = names.filter(|name| name.extension().is_some_and(|e| e == "log")).collect();
    assert!(segments.len() > 2, "{segments:?}");
    segments
}

/// Half a minute goes by, with a request each second.
async fn tick(sim: &Sim, log: &Log) {
    for _ in 0..30 {
        log.admin().list_groups().await.unwrap();
        sim.clock.advance(Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_by_ticks_alone() {
    let sim = Sim::new();
    let log = filled(&sim).await;
    let segments = segments(&sim, &log).await;
    sim.disk.flip_bit(&segments[1], 5000, 3);
    tick(&sim, &log).await;
    assert!(damage(&log).await.iter().all(Option::is_none), "it begins after a minute");
    sim.clock.advance(MINUTE);
    tick(&sim, &log).await;
    let found = damage(&log).await;
    assert!(found[0].is_none(), "{found:?}");
    let error = found[1].as_ref().expect("the scrub finds it");
    assert!(matches!(error, Error::Corrupt { path, .. } if *path == segments[1]), "{error}");
}

#[tokio::test]
async fn a_pass_ends_and_the_next_begins_a_week_later() {
    let sim = Sim::new();
    let log = filled(&sim).await;
    sim.clock.advance(MINUTE);
    tick(&sim, &log).await;
    sim.disk.flip_bit(&segments(&sim, &log).await[0], 5000, 3);
    sim.clock.advance(6 * Duration::from_hours(24));
    tick(&sim, &log).await;
    assert!(damage(&log).await.iter().all(Option::is_none), "all was read before");
    sim.clock.advance(Duration::from_hours(24));
    tick(&sim, &log).await;
    assert!(damage(&log).await[1].is_some());
}
