//! Transactions through the client and through the service.

use super::*;
use crate::record::{BatchBuilder, Compression, ProducerStamp};
use crate::service::{
    AddPartitionsToTransaction, DescribeTransactions, EndTransaction, Fetch, FetchPartition, InitProducerId,
    ListTransactions, Produce, ProduceTransaction, Service as _, TransactionalProducer as Who,
};
use crate::types::{Flush, Isolation, ProducerIdentity, TransactionState, TransactionVersion, TransactionalId, limits};
use crate::{Transaction, TransactionalProducer};

const NAMES: [&str; 2] = ["left", "right"];

async fn producer(log: &Log) -> TransactionalProducer {
    log.producer().transactional_id("etl").start().await.unwrap()
}

/// Sends a value to both topics.
async fn send(transaction: &Transaction<'_>, value: &str) {
    for name in NAMES {
        drop(transaction.send(&topic(name), record("k", value)).await.unwrap());
    }
}

/// The values of a topic with one partition, for a reader of what is not committed.
async fn uncommitted(log: &Log, name: &str) -> Vec<String> {
    let mut reader = log.reader(partition(name, 0), 0).isolation(Isolation::ReadUncommitted);
    let mut values = Vec::new();
    loop {
        let batch = reader.next_batch(Duration::ZERO).await.unwrap();
        if batch.is_empty() {
            return values;
        }
        values.extend(batch.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap()).into_owned()));
    }
}

async fn two_topics(log: &Log) {
    for name in NAMES {
        create(log, name, 1).await;
    }
}

#[tokio::test]
async fn readers_see_what_was_committed_and_only_then() {
    let sim = Sim::new();
    let log = sim.open().await;
    two_topics(&log).await;
    let mut producer = producer(&log).await;
    let none: [&str; 0] = [];
    let transaction = producer.begin().await.unwrap();
    send(&transaction, "a").await;
    transaction.send(&topic("left"), record("k", "b")).await.unwrap().await.unwrap();
    assert_eq!(uncommitted(&log, "left").await, ["a", "b"]);
    assert_eq!(values(&log, "left", 0).await, none);
    transaction.commit().await.unwrap();
    assert_eq!(values(&log, "left", 0).await, ["a", "b"]);
    assert_eq!(values(&log, "right", 0).await, ["a"]);

    let transaction = producer.begin().await.unwrap();
    send(&transaction, "aborted").await;
    transaction.abort().await.unwrap();
    let transaction = producer.begin().await.unwrap();
    send(&transaction, "dropped").await;
    drop(transaction);
    let transaction = producer.begin().await.unwrap();
    send(&transaction, "c").await;
    transaction.commit().await.unwrap();
    for (name, committed) in [("left", &["a", "b", "c"][..]), ("right", &["a", "c"])] {
        assert_eq!(values(&log, name, 0).await, committed);
        let all: Vec<_> = uncommitted(&log, name).await.into_iter().filter(|v| v.len() > 1).collect();
        assert_eq!(all, ["aborted", "dropped"]);
    }
    // Nothing in it: nothing happens.
    producer.begin().await.unwrap().commit().await.unwrap();
    producer.begin().await.unwrap().abort().await.unwrap();

    // A consumer passes over markers and what was aborted.
    let mut consumer = log.consumer("g").topics(["left"]).start().await.unwrap();
    let read = consumer.poll(100, Duration::ZERO).await.unwrap();
    assert_eq!(read.iter().map(|r| r.record.value.clone().unwrap()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(consumer.positions()[0].1, log.admin().offset(partition("left", 0), OffsetSpec::Latest).await.unwrap());
    log.close().await.unwrap();
    assert_eq!(values(&sim.open().await, "left", 0).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_producer_that_starts_aborts_what_its_forerunner_left_and_fences_it() {
    let sim = Sim::new();
    let log = sim.open().await;
    two_topics(&log).await;
    let mut old = producer(&log).await;
    let transaction = old.begin().await.unwrap();
    send(&transaction, "old").await;
    transaction.producer_flushed().await;
    let mut new = producer(&log).await;
    let in_new = new.begin().await.unwrap();
    send(&in_new, "new").await;
    // Its transaction is over, and so is the producer.
    drop(transaction.send(&topic("left"), record("k", "late")).await.unwrap());
    assert_eq!(transaction.commit().await.unwrap_err().code(), "TW0141");
    let error = old.begin().await.unwrap_err();
    assert_eq!(error.code(), "TW0141");
    assert!(error.help().is_some());
    in_new.commit().await.unwrap();
    for name in NAMES {
        assert_eq!(values(&log, name, 0).await, ["new"]);
        assert_eq!(uncommitted(&log, name).await, ["old", "new"]);
    }
}

#[tokio::test]
async fn a_producer_that_dies_is_timed_out_also_over_a_crash() {
    for crashes in [false, true] {
        let mut sim = Sim::new();
        let mut log = sim.open().await;
        two_topics(&log).await;
        let mut dies = producer(&log).await;
        let transaction = dies.begin().await.unwrap();
        send(&transaction, "lost").await;
        transaction.producer_flushed().await;
        fill(&log, "left", 1).await;
        if crashes {
            drop((dies, log));
            sim = Sim { disk: sim.disk.crash(7), clock: sim.clock };
            log = sim.open().await;
            let none: [&str; 0] = [];
            assert_eq!(values(&log, "left", 0).await, none, "it is open still");
            sim.clock.advance(MINUTE);
            log.admin().list_groups().await.unwrap();
            settle().await;
            assert_eq!(values(&log, "left", 0).await, ["0"]);
        } else {
            sim.clock.advance(MINUTE);
            log.admin().list_groups().await.unwrap();
            settle().await;
            assert_eq!(values(&log, "left", 0).await, ["0"]);
            assert_eq!(transaction.commit().await.unwrap_err().code(), "TW0141");
        }
        let listed = log.service().list_transactions(ListTransactions::default()).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].state, listed[0].started), (TransactionState::CompleteAbort, None));
    }
}

/// Lets the tasks of the broker do what they have begun.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn positions_are_committed_with_the_records_that_were_made_from_them() {
    let sim = Sim::new();
    let log = sim.open().await;
    two_topics(&log).await;
    create(&log, "input", 1).await;
    fill(&log, "input", 10).await;
    let mut producer = producer(&log).await;
    for (commits, expected) in [(false, 0), (true, 5), (false, 5)] {
        let mut consumer = log.consumer("g").topics(["input"]).start().await.unwrap();
        let read = consumer.poll(5, Duration::ZERO).await.unwrap();
        assert_eq!(read.len(), 5);
        let transaction = producer.begin().await.unwrap();
        send(&transaction, "made").await;
        transaction.send_offsets(&consumer).await.unwrap();
        let request = crate::service::CommittedOffsets::of(crate::GroupId::new("g").unwrap());
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.abort().await.unwrap();
        }
        let committed = log.service().committed_offsets(request).await.unwrap();
        assert_eq!(committed.first().map_or(0, |committed| committed.offset), expected);
        consumer.leave().await.unwrap();
    }
    assert_eq!(values(&log, "left", 0).await, ["made"]);
}

/// A power cut at every call to the disk: positions count exactly if the records that were made from them do.
#[tokio::test]
async fn positions_and_records_of_a_transaction_are_one_after_a_power_cut_at_any_moment() {
    let mut at = 0;
    let mut found = BTreeMap::new();
    loop {
        let sim = Sim::new();
        let log = sim.open().await;
        two_topics(&log).await;
        create(&log, "input", 1).await;
        fill(&log, "input", 10).await;
        let ops = sim.disk.ops();
        sim.disk.crash_at(ops + at);
        let mut told = false;
        if let Ok(mut producer) = log.producer().transactional_id("etl").start().await
            && let Ok(mut consumer) = log.consumer("g").topics(["input"]).start().await
            && let Ok(_) = consumer.poll(5, Duration::ZERO).await
            && let Ok(transaction) = producer.begin().await
        {
            if let Ok(delivery) = transaction.send(&topic("left"), record("k", "made")).await {
                drop(delivery);
            }
            told = transaction.send_offsets(&consumer).await.is_ok() && transaction.commit().await.is_ok();
        }
        let is_over = sim.disk.ops() < ops + at;
        drop(log);
        settle().await;
        let disk = sim.disk.crash(at);
        let sim = Sim { disk, clock: Clock::manual(START + MINUTE * 2) };
        let log = sim.open().await;
        log.admin().list_groups().await.unwrap();
        settle().await;
        let made = values(&log, "left", 0).await.len();
        let request = crate::service::CommittedOffsets::of(crate::GroupId::new("g").unwrap());
        let committed = log.service().committed_offsets(request).await.unwrap();
        let position = committed.first().map_or(0, |committed| committed.offset);
        assert_eq!(position, 5 * made as i64, "after a crash at {at}");
        assert!(!told || made == 1, "what was told to be committed is lost by a crash at {at}");
        *found.entry(made).or_insert(0) += 1;
        if is_over {
            assert!(found.len() == 2, "{found:?}");
            return;
        }
        at += 1;
    }
}

fn code<T: std::fmt::Debug>(result: crate::Result<T>) -> &'static str {
    result.unwrap_err().code()
}

/// Both versions of the protocol, by the requests that a connection will make.
#[tokio::test]
async fn a_batch_is_taken_only_in_a_transaction_that_has_its_partition() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    two_topics(&log).await;
    let id = TransactionalId::new("raw").unwrap();
    let init = InitProducerId { transactional_id: Some(id.clone()), transaction_timeout: MINUTE, producer: None };
    let producer = broker.init_producer_id(init).await.unwrap();
    let who = |producer| Who { transactional_id: id.clone(), producer };
    let batch = |producer: ProducerIdentity, base_sequence| {
        let stamp = ProducerStamp { producer_id: producer.id, producer_epoch: producer.epoch, base_sequence };
        let mut builder = BatchBuilder::new(Compression::None).stamp(stamp).transactional();
        builder.push(&record("k", "v"));
        builder.finish()
    };
    let produce = |batch: Bytes, version: Option<TransactionVersion>| Produce {
        partition: partition("left", 0),
        batch,
        transaction: version.map(|version| ProduceTransaction { transactional_id: id.clone(), version }),
    };
    let (v1, v2) = (TransactionVersion::V1, TransactionVersion::V2);
    assert_eq!(code(broker.produce(produce(batch(producer, 0), None)).await), "TW0145");
    assert_eq!(code(broker.produce(produce(batch(producer, 0), Some(v1))).await), "TW0147", "it was not added");
    let add = |partitions, verify_only| AddPartitionsToTransaction { producer: who(producer), partitions, verify_only };
    let left = vec![partition("left", 0)];
    assert_eq!(code(broker.add_partitions_to_transaction(add(left.clone(), true)).await.remove(0)), "TW0147");
    let unknown = vec![partition("left", 0), partition("left", 1)];
    let codes: Vec<_> = broker.add_partitions_to_transaction(add(unknown, false)).await.into_iter().map(code).collect();
    assert_eq!(codes, ["TW0107", "TW0104"], "all or nothing");
    broker.add_partitions_to_transaction(add(left.clone(), false)).await.remove(0).unwrap();
    broker.add_partitions_to_transaction(add(left, true)).await.remove(0).unwrap();
    broker.produce(produce(batch(producer, 0), Some(v1))).await.unwrap();
    let again = broker.produce(produce(batch(producer, 0), Some(v1))).await.unwrap();
    assert!(again.duplicate);
    let end = |producer, commit, version| EndTransaction { producer: who(producer), commit, version };
    assert_eq!(broker.end_transaction(end(producer, true, v1)).await.unwrap(), producer);
    assert_eq!(broker.end_transaction(end(producer, true, v1)).await.unwrap(), producer, "asked again");
    // Late: its transaction has ended, so nothing may be left behind in the partition.
    assert_eq!(code(broker.produce(produce(batch(producer, 1), Some(v1))).await), "TW0147");

    // Version 2 adds by writing; its sequences begin anew with each epoch.
    broker.produce(produce(batch(producer, 1), Some(v2))).await.unwrap();
    let next = broker.end_transaction(end(producer, false, v2)).await.unwrap();
    assert_eq!(next, ProducerIdentity { epoch: producer.epoch + 1, ..producer });
    assert_eq!(broker.end_transaction(end(producer, false, v2)).await.unwrap(), next, "asked again");
    assert_eq!(code(broker.produce(produce(batch(producer, 2), Some(v2))).await), "TW0141");
    broker.produce(produce(batch(next, 0), Some(v2))).await.unwrap();
    let open = broker.producers(&crate::service::DescribeProducers { partition: partition("left", 0) }).unwrap();
    assert_eq!(open[0].transaction_start, Some(4));
    let described = broker.describe_transactions(DescribeTransactions { transactional_ids: vec![id.clone()] }).await;
    let described = described.into_iter().next().unwrap().unwrap();
    assert_eq!((described.state, described.started), (TransactionState::Ongoing, Some(START)));
    assert_eq!(described.partitions, [partition("left", 0)]);
    assert_eq!(values(&log, "left", 0).await.len(), 1);
    let wanted = FetchPartition { partition: partition("left", 0), offset: 0, max_bytes: 1 << 20 };
    let isolation = Isolation::ReadCommitted;
    let fetch = Fetch { partitions: vec![wanted], max_wait: Duration::ZERO, min_bytes: 1, isolation };
    let fetched = broker.fetch(fetch).await.unwrap().remove(0);
    assert_eq!(fetched.aborted.iter().map(|a| (a.producer_id, a.first_offset)).collect::<Vec<_>>(), [(producer.id, 2)]);
    assert_eq!(fetched.offsets.last_stable_offset, 4);
}

/// A power cut at every call to the disk: what was told to be committed is there, no transaction is torn, and none hangs.
#[tokio::test]
async fn transactions_are_whole_after_a_power_cut_at_any_moment() {
    let mut at = 0;
    loop {
        let sim = Sim::new();
        let log = sim.open().await;
        two_topics(&log).await;
        let ops = sim.disk.ops();
        sim.disk.crash_at(ops + at);
        let mut told = Vec::new();
        if let Ok(mut producer) = log.producer().transactional_id("etl").start().await {
            for value in 0..3 {
                let Ok(transaction) = producer.begin().await else { break };
                for name in NAMES {
                    if let Ok(delivery) = transaction.send(&topic(name), record("k", value.to_string())).await {
                        drop(delivery);
                    }
                }
                let ended = if value == 1 { transaction.abort().await } else { transaction.commit().await };
                told.push(ended.is_ok());
            }
        }
        let is_over = sim.disk.ops() < ops + at;
        drop(log);
        settle().await;
        for seed in 0..2 {
            let disk = sim.disk.crash(seed);
            let sim = Sim { disk, clock: Clock::manual(START + MINUTE * 2) };
            let log = sim.open().await;
            log.admin().list_groups().await.unwrap();
            settle().await;
            let read = [values(&log, "left", 0).await, values(&log, "right", 0).await];
            assert_eq!(read[0], read[1], "torn by a crash at {at}");
            assert!(!read[0].contains(&"1".to_string()), "{read:?}");
            for (value, _) in told.iter().enumerate().filter(|(value, told)| **told && *value != 1) {
                assert!(
                    read[0].contains(&value.to_string()),
                    "{value} was committed before the crash at {at}: {read:?}"
                );
            }
            for name in NAMES {
                let offsets = log.admin().describe_topic(name).await.unwrap().partitions[0].offsets;
                assert_eq!(offsets.last_stable_offset, offsets.high_watermark, "a transaction hangs after {at}");
            }
            let mut next = producer(&log).await;
            let transaction = next.begin().await.unwrap();
            send(&transaction, "next").await;
            transaction.commit().await.unwrap();
            assert_eq!(values(&log, "right", 0).await.last().unwrap(), "next");
        }
        if is_over {
            assert!(at > 10, "it went through all of it");
            return;
        }
        at += 1;
    }
}

/// A topic that is not flushed at every write loses its marker to a power cut; the coordinator knows how it ended.
#[tokio::test]
async fn a_marker_that_a_power_cut_took_away_is_written_again() {
    for commits in [true, false] {
        let sim = Sim::new();
        let (broker, log) = sim.broker();
        let mut spec = TopicSpec::new("left", 1).unwrap();
        spec.config.flush = Flush::Os;
        log.admin().create_topic(spec).await.unwrap();
        let mut producer = producer(&log).await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(&topic("left"), record("k", "v")).await.unwrap().await.unwrap();
        sim.clock.advance(limits::OS_FLUSH_INTERVAL);
        broker.due().await;
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.abort().await.unwrap();
        }
        settle().await;
        drop((producer, log, broker));
        let lost = sim.disk.survivors(64).into_iter().map(|disk| Sim { disk, clock: sim.clock.clone() });
        let mut without_marker = 0;
        for sim in lost {
            let (broker, log) = sim.broker();
            let offsets = broker.partition(&partition("left", 0)).unwrap().offsets();
            without_marker += usize::from(offsets.high_watermark > 0);
            assert_eq!(offsets.last_stable_offset, offsets.high_watermark);
            let expected: &[&str] = if commits && offsets.high_watermark > 0 { &["v"] } else { &[] };
            assert_eq!(values(&log, "left", 0).await, expected);
        }
        assert!(without_marker > 0);
    }
}

#[tokio::test]
async fn a_full_disk_neither_loses_nor_tears_a_transaction() {
    let sim = Sim::new();
    let log = sim.open().await;
    two_topics(&log).await;
    let mut producer = producer(&log).await;
    let transaction = producer.begin().await.unwrap();
    send(&transaction, "first").await;
    transaction.producer_flushed().await;
    sim.disk.set_capacity(Some(0));
    assert_eq!(transaction.commit().await.unwrap_err().code(), "TW0203");
    sim.disk.set_capacity(None);
    let transaction = producer.begin().await.unwrap();
    send(&transaction, "second").await;
    transaction.commit().await.unwrap();
    for name in NAMES {
        assert_eq!(values(&log, name, 0).await, ["second"]);
    }
}

#[tokio::test]
async fn every_producer_is_idempotent_and_has_an_id_of_its_own() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "lines", 1).await;
    fill(&log, "lines", 3).await;
    fill(&log, "lines", 2).await;
    log.close().await.unwrap();
    drop((log, broker));
    let (broker, log) = sim.broker();
    fill(&log, "lines", 1).await;
    let known = broker.producers(&crate::service::DescribeProducers { partition: partition("lines", 0) }).unwrap();
    let ids: Vec<_> = known.iter().map(|known| known.last.producer_id).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.is_sorted_by(|a, b| a < b) && ids[0] >= limits::PRODUCER_ID_FIRST, "{ids:?}");
}
