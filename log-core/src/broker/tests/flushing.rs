//! When what is acknowledged is on disk, for each flush policy, and what a failed sync ends.

use super::*;
use crate::service::{Produce, Service as _};
use crate::types::Flush;
use futures::future::join_all;

const EVERY: Duration = Duration::from_millis(200);

async fn create_with(log: &Log, name: &str, partitions: u32, flush: Flush) {
    let mut spec = TopicSpec::new(name, partitions).unwrap();
    spec.config.flush = flush;
    log.admin().create_topic(spec).await.unwrap();
}

async fn send(log: &Log, name: &str, value: &str) -> Result<Offset, &'static str> {
    let producer = log.producer().build();
    let delivery = producer.send_to(&topic(name), 0, record("", value)).await.map_err(|error| error.code())?;
    delivery.await.map(|sent| sent.offset).map_err(|error| error.code())
}

/// How many of the seeds of a crash leave a partition with fewer values.
async fn losses(sim: &Sim, name: &str, kept: usize) -> usize {
    let mut losses = 0;
    for seed in 0..32 {
        let sim = Sim { disk: sim.disk.crash(seed), clock: sim.clock.clone() };
        losses += usize::from(values(&sim.open().await, name, 0).await.len() < kept);
    }
    losses
}

#[tokio::test]
async fn an_interval_topic_is_on_disk_when_its_time_has_come() {
    let sim = Sim::new();
    let log = sim.open().await;
    create_with(&log, "lines", 1, Flush::Interval(EVERY)).await;
    send(&log, "lines", "a").await.unwrap();
    assert_eq!(values(&log, "lines", 0).await, ["a"], "readable when written");
    sim.clock.advance(EVERY / 2);
    send(&log, "lines", "b").await.unwrap();
    assert!(losses(&sim, "lines", 1).await > 0, "not synced yet");
    sim.clock.advance(EVERY / 2);
    send(&log, "lines", "c").await.unwrap();
    assert_eq!(losses(&sim, "lines", 2).await, 0);
}

#[tokio::test]
async fn an_os_topic_is_acknowledged_without_a_sync() {
    let sim = Sim::new();
    let log = sim.open().await;
    create_with(&log, "lines", 1, Flush::Os).await;
    // The first producer takes a block of producer ids, which is synced.
    send(&log, "lines", "a").await.unwrap();
    sim.disk.fail_sync_after(0);
    for value in ["b", "c"] {
        send(&log, "lines", value).await.unwrap();
    }
    assert_eq!(values(&log, "lines", 0).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_failed_sync_ends_all_writing_to_the_data_directory() {
    for flush in [Flush::Durable, Flush::Interval(EVERY)] {
        let sim = Sim::new();
        let log = sim.open().await;
        create(&log, "other", 1).await;
        send(&log, "other", "kept").await.unwrap();
        create_with(&log, "lines", 1, flush).await;
        send(&log, "lines", "before").await.unwrap();
        sim.clock.advance(EVERY);
        sim.disk.fail_sync_after(0);
        // Under the interval policy the sync of what came before is due now.
        let _ = send(&log, "lines", "during").await;
        for name in ["lines", "other"] {
            assert_eq!(send(&log, name, "after").await, Err("TW0206"), "{name} {flush}");
        }
        let refused = log.admin().create_topic(TopicSpec::new("new", 1).unwrap()).await.unwrap_err();
        assert_eq!(refused.code(), "TW0206");
        assert_eq!(values(&log, "other", 0).await, ["kept"], "reads go on");
        log.close().await.unwrap();
        let sim = Sim { disk: sim.disk.crash(1), clock: sim.clock };
        let log = sim.open().await;
        assert_eq!(values(&log, "other", 0).await, ["kept"]);
        send(&log, "other", "again").await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_sync_of_the_metadata_log_ends_all_writing_too() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 1).await;
    let mut refused = 0;
    for n in 0..8 {
        let sim = Sim { disk: sim.disk.crash(1), clock: sim.clock.clone() };
        let log = sim.open().await;
        sim.disk.fail_sync_after(n);
        match log.admin().create_topic(TopicSpec::new("new", 1).unwrap()).await {
            Err(error) if error.code() == "TW0206" => {
                refused += 1;
                assert_eq!(send(&log, "lines", "after").await, Err("TW0206"));
            }
            // A directory whose name was not synced belongs to nobody yet.
            _ => {}
        }
    }
    assert_eq!(refused, 1, "one of the syncs of a creation is that of the metadata log");
}

#[tokio::test]
async fn many_partitions_share_rounds_and_lose_nothing() {
    const PARTITIONS: u32 = 40;
    let disk = SimDisk::default();
    let broker = Broker::open(Arc::new(disk.clone()), Clock::real(), Path::new("/data")).unwrap();
    let log = Log::over(broker.clone());
    create(&log, "lines", PARTITIONS).await;
    for _ in 0..10 {
        let appends = (0..PARTITIONS).map(|index| {
            let mut batch = crate::record::BatchBuilder::new(crate::record::Compression::None);
            batch.push(&record("", index.to_string()));
            broker.produce(Produce { partition: partition("lines", index), batch: batch.finish(), transaction: None })
        });
        assert!(join_all(appends).await.iter().all(Result::is_ok));
    }
    for seed in 0..8 {
        let sim = Sim { disk: disk.crash(seed), clock: Clock::manual(START) };
        let log = sim.open().await;
        for index in 0..PARTITIONS {
            assert_eq!(values(&log, "lines", index).await, vec![index.to_string(); 10], "seed {seed}");
        }
    }
}
