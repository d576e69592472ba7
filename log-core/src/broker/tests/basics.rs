//! Topics, producing, reading, and opening again.

use super::*;
use crate::record::BatchHeader;
use crate::types::Cleanup;

#[tokio::test]
async fn what_is_sent_is_read_in_order_by_key_on_any_number_of_partitions() {
    for partitions in [1, 8] {
        let dir = tempfile::tempdir().unwrap();
        let log = Log::open(dir.path()).await.unwrap();
        create(&log, "lines", partitions).await;
        let producer = log.producer().build();
        let mut deliveries = Vec::new();
        for i in 0..1000 {
            let sent = producer.send(&topic("lines"), record(&format!("k{}", i % 20), i.to_string())).await.unwrap();
            deliveries.push((i, sent));
        }
        let mut expected: BTreeMap<u32, BTreeMap<Offset, String>> = BTreeMap::new();
        for (i, delivery) in deliveries {
            let to = delivery.await.unwrap();
            assert!(expected.entry(to.partition).or_default().insert(to.offset, i.to_string()).is_none());
        }
        log.close().await.unwrap();
        let log = Log::open(dir.path()).await.unwrap();
        for index in 0..partitions {
            let found = values(&log, "lines", index).await;
            let expected: Vec<_> = expected.remove(&index).unwrap_or_default().into_values().collect();
            assert_eq!(found, expected, "partition {index} of {partitions}");
        }
    }
}

#[tokio::test]
async fn records_without_a_key_go_round() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 4).await;
    let producer = log.producer().build();
    let mut partitions = Vec::new();
    for i in 0..8 {
        let sent = producer.send(&topic("lines"), record("", i.to_string())).await.unwrap().await.unwrap();
        partitions.push(sent.partition);
    }
    assert_eq!(partitions, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[tokio::test]
async fn a_second_open_is_refused_until_the_first_is_closed_or_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    let error = Log::open(dir.path()).await.unwrap_err();
    assert_eq!(error.code(), "TW0201");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    log.close().await.unwrap();
    assert!(matches!(log.admin().list_topics(true).await, Err(Error::Closed)));
    let log = Log::open(dir.path()).await.unwrap();
    drop(log);
    Log::open(dir.path()).await.unwrap();
}

#[tokio::test]
async fn a_compacted_topic_takes_no_record_without_a_key() {
    let sim = Sim::new();
    let log = sim.open().await;
    let mut spec = TopicSpec::new("table", 1).unwrap();
    spec.config.cleanup = Cleanup::Compact;
    log.admin().create_topic(spec).await.unwrap();
    let producer = log.producer().build();
    let sent = producer.send(&topic("table"), record("", "1")).await.unwrap().await;
    let why = sent.unwrap_err().to_string();
    assert!(why.contains("record 0 of the batch has no key") && why.contains("`table` is compacted"), "{why}");
    let tombstone = Record { value: None, ..record("k", "") };
    producer.send(&topic("table"), tombstone).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn a_topic_made_again_begins_empty() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 2).await;
    fill(&log, "lines", 10).await;
    let first = log.admin().describe_topic("lines").await.unwrap();
    log.admin().delete_topic("lines").await.unwrap();
    assert!(log.admin().list_topics(false).await.unwrap().is_empty());
    create(&log, "lines", 1).await;
    log.close().await.unwrap();
    let log = sim.open().await;
    let second = log.admin().describe_topic("lines").await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(values(&log, "lines", 0).await, [""; 0]);
    assert_eq!(second.partitions.len(), 1);
}

#[tokio::test]
async fn bad_requests_say_what_is_wrong() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "flights", 1).await;
    let admin = log.admin();
    let code = |error: Error| error.code();

    let error = admin.describe_topic("flihgts").await.unwrap_err();
    assert_eq!((error.code(), error.help().unwrap().as_str()), ("TW0102", "did you mean `flights`?"));
    assert!(matches!(admin.describe_topic("other").await, Err(Error::UnknownTopic { did_you_mean: None, .. })));
    assert_eq!(code(admin.describe_topic("a b").await.unwrap_err()), "TW0101");
    assert_eq!(code(admin.create_topic(TopicSpec::new("flights", 1).unwrap()).await.unwrap_err()), "TW0103");
    assert_eq!(code(admin.create_topic(TopicSpec::new("__metadata", 1).unwrap()).await.unwrap_err()), "TW0107");
    assert_eq!(code(admin.delete_topic("nothing").await.unwrap_err()), "TW0102");
    assert_eq!(code(admin.describe_group("nobody").await.unwrap_err()), "TW0109");
    let producer = log.producer().build();
    assert_eq!(code(producer.send(&topic("__consumer_offsets"), record("", "x")).await.unwrap_err()), "TW0107");
    assert_eq!(code(producer.send_to(&topic("flights"), 1, record("", "x")).await.unwrap_err()), "TW0104");
    let mut reader = log.reader(partition("flights", 0), 5);
    assert_eq!(code(reader.next_batch(Duration::ZERO).await.unwrap_err()), "TW0106");
    assert_eq!(code(log.consumer("g").start().await.unwrap_err()), "TW0107");
    assert_eq!(code(log.consumer("").topics(["flights"]).start().await.unwrap_err()), "TW0108");
}

#[tokio::test]
async fn a_record_too_large_fails_alone() {
    let sim = Sim::new();
    let log = sim.open().await;
    let mut spec = TopicSpec::new("small", 1).unwrap();
    spec.config.batch_bytes_max = 1024;
    log.admin().create_topic(spec).await.unwrap();
    let producer = log.producer().build();
    let mut deliveries = Vec::new();
    for value in ["a".into(), "b".repeat(2000), "c".repeat(800), "d".repeat(800)] {
        deliveries.push(producer.send(&topic("small"), record("", value)).await.unwrap());
    }
    producer.flush().await.unwrap();
    let mut outcomes = Vec::new();
    for delivery in deliveries {
        outcomes.push(delivery.await.map(|sent| sent.offset).map_err(|error| error.code()));
    }
    assert_eq!(outcomes, [Ok(0), Err("TW0105"), Ok(1), Ok(2)]);
}

#[tokio::test]
async fn an_idempotent_producer_goes_on_after_a_reopen_without_duplicates() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 2).await;
    let send = async |log: &Log, upto: usize| {
        let producer = log.producer().idempotent(7).build();
        for index in 0..2 {
            let held = producer.last_sequence(&topic("lines"), index).await.unwrap().map_or(0, |last| last + 1);
            for i in held as usize..upto {
                drop(producer.send_to(&topic("lines"), index, record("", i.to_string())).await.unwrap());
            }
        }
        producer.flush().await.unwrap();
    };
    send(&log, 5).await;
    send(&log, 8).await;
    log.close().await.unwrap();
    let log = sim.open().await;
    send(&log, 12).await;
    let expected: Vec<_> = (0..12).map(|i| i.to_string()).collect();
    assert_eq!(values(&log, "lines", 0).await, expected);
    assert_eq!(values(&log, "lines", 1).await, expected);
}

#[tokio::test]
async fn positions_are_found_by_time_and_held_to_what_is_there() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 1).await;
    let producer = log.producer().build();
    for i in 0..10 {
        let mut record = record("", i.to_string());
        record.timestamp = START + MINUTE * i;
        producer.send(&topic("lines"), record).await.unwrap().await.unwrap();
    }
    let at = async |spec| log.admin().offset(partition("lines", 0), spec).await.unwrap();
    assert_eq!(at(OffsetSpec::Earliest).await, 0);
    assert_eq!(at(OffsetSpec::Latest).await, 10);
    assert_eq!(at(OffsetSpec::At(START + MINUTE * 3)).await, 3);
    assert_eq!(at(OffsetSpec::At(START + MINUTE * 3 + Duration::from_millis(1))).await, 4);
    assert_eq!(at(OffsetSpec::At(Timestamp::MAX)).await, 10);
    assert_eq!(at(OffsetSpec::Exactly(99)).await, 10);
}

#[tokio::test]
async fn a_long_poll_wakes_for_a_record_and_for_the_close() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    create(&log, "lines", 3).await;
    let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
    let waits = tokio::spawn(async move {
        let first = consumer.next().await.unwrap();
        (first, consumer.next().await)
    });
    tokio::task::yield_now().await;
    log.producer().build().send_to(&topic("lines"), 2, record("", "here")).await.unwrap().await.unwrap();
    tokio::task::yield_now().await;
    log.close().await.unwrap();
    let (first, second) = waits.await.unwrap();
    assert_eq!(first.partition, partition("lines", 2));
    assert!(matches!(second, Err(Error::Closed)));
}

#[tokio::test]
async fn a_producer_that_lingers_gathers_what_comes_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    create(&log, "lines", 1).await;
    let producer = log.producer().linger(Duration::from_secs(3600)).build();
    for value in ["a", "b", "c"] {
        drop(producer.send(&topic("lines"), record("", value)).await.unwrap());
        tokio::task::yield_now().await;
    }
    producer.flush().await.unwrap();
    let bytes = log.reader(partition("lines", 0), 0).next_bytes(Duration::ZERO).await.unwrap();
    let first = BatchHeader::parse(&bytes).unwrap().unwrap();
    assert_eq!(first.last_offset(), 2, "one batch");
}

#[tokio::test]
async fn records_that_keep_coming_gather_also_where_nothing_is_waited_for() {
    let sim = Sim::new();
    let log = sim.open().await;
    let mut spec = TopicSpec::new("lines", 1).unwrap();
    spec.config.flush = crate::types::Flush::Os;
    log.admin().create_topic(spec).await.unwrap();
    let producer = log.producer().build();
    for _ in 0..100 {
        drop(producer.send(&topic("lines"), record("", "x")).await.unwrap());
        tokio::task::yield_now().await;
    }
    producer.flush().await.unwrap();
    let bytes = log.reader(partition("lines", 0), 0).next_bytes(Duration::ZERO).await.unwrap();
    let first = BatchHeader::parse(&bytes).unwrap().unwrap();
    assert_eq!(first.last_offset(), 99, "one batch");
    // One that comes alone goes at once.
    producer.send(&topic("lines"), record("", "x")).await.unwrap().await.unwrap();
}

#[tokio::test]
async fn deleted_records_are_gone_for_good_and_their_files_with_them() {
    let sim = Sim::new();
    let log = sim.open().await;
    let mut spec = TopicSpec::new("lines", 1).unwrap();
    spec.config.segment_bytes = 4096;
    log.admin().create_topic(spec).await.unwrap();
    let producer = log.producer().build();
    for n in 0..100 {
        let value = format!("{n} {}", "x".repeat(200));
        producer.send_to(&topic("lines"), 0, record("", value)).await.unwrap().await.unwrap();
    }
    let before = log.admin().describe_topic("lines").await.unwrap();
    assert!(before.partitions[0].segments > 4);
    let mut slow = log.consumer("slow").topics(["lines"]).start().await.unwrap();

    let error = log.admin().delete_records("lines", OffsetSpec::Exactly(101)).await.unwrap_err();
    assert_eq!(error.code(), "TW0106");
    let begins = log.admin().delete_records("lines", OffsetSpec::Exactly(50)).await.unwrap();
    assert_eq!(begins, [(partition("lines", 0), 50)]);
    // Going back is not possible, and is no error.
    let begins = log.admin().delete_records("lines", OffsetSpec::Exactly(7)).await.unwrap();
    assert_eq!(begins, [(partition("lines", 0), 50)]);

    let after = log.admin().describe_topic("lines").await.unwrap();
    assert!(after.partitions[0].segments < before.partitions[0].segments);
    assert!(after.partitions[0].bytes < before.partitions[0].bytes);
    assert!(matches!(
        log.reader(partition("lines", 0), 49).next_batch(Duration::ZERO).await,
        Err(Error::OffsetOutOfRange { .. })
    ));
    let read = slow.poll(1000, Duration::ZERO).await.unwrap();
    assert_eq!(read.iter().map(|read| read.record.offset).collect::<Vec<_>>(), (50..100).collect::<Vec<_>>());
    // A power cut in which nothing that was not synced survives.
    drop((log, producer, slow));
    for seed in 0..8 {
        let sim = Sim { disk: sim.disk.crash(seed), clock: sim.clock.clone() };
        let log = sim.open().await;
        let offsets = log.admin().describe_topic("lines").await.unwrap().partitions[0].offsets;
        assert_eq!((offsets.log_start_offset, offsets.high_watermark), (50, 100));
    }
    assert!(log_deletion_of_an_internal_topic_is_refused(&sim).await);
}

async fn log_deletion_of_an_internal_topic_is_refused(sim: &Sim) -> bool {
    let log = sim.open().await;
    let refused = log.admin().delete_records("__consumer_offsets", OffsetSpec::Latest).await;
    matches!(refused, Err(Error::InvalidRequest { .. } | Error::UnknownTopic { .. }))
}
