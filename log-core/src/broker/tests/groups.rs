//! Consumer groups through the client.

use super::*;
use crate::group::{Committed, Input, Record};
use crate::types::GroupId;

async fn drain(consumer: &mut crate::Consumer) -> Vec<String> {
    let mut values = Vec::new();
    loop {
        let records = consumer.poll(7, Duration::ZERO).await.unwrap();
        if records.is_empty() {
            values.sort();
            return values;
        }
        values.extend(records.iter().map(|r| String::from_utf8_lossy(r.record.value.as_deref().unwrap()).into_owned()));
    }
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    let mut numbers: Vec<_> = range.map(|i| i.to_string()).collect();
    numbers.sort();
    numbers
}

#[tokio::test]
async fn commits_survive_a_reopen_and_what_was_not_committed_comes_again() {
    for partitions in [1, 8] {
        let sim = Sim::new();
        let log = sim.open().await;
        create(&log, "lines", partitions).await;
        fill(&log, "lines", 50).await;
        let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
        assert_eq!(drain(&mut consumer).await, numbers(0..50));
        consumer.commit().await.unwrap();
        fill(&log, "lines", 50).await;
        assert_eq!(drain(&mut consumer).await.len(), 50);
        log.close().await.unwrap();

        let log = sim.open().await;
        let lag: u64 = log.admin().describe_group("g").await.unwrap().partitions.iter().map(|p| p.lag_records).sum();
        assert_eq!(lag, 50);
        let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
        assert_eq!(drain(&mut consumer).await, numbers(0..50));
    }
}

#[tokio::test]
async fn two_members_split_the_partitions_and_one_takes_over() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 4).await;
    fill(&log, "lines", 40).await;
    let mut a = log.consumer("g").topics(["lines"]).start().await.unwrap();
    let mut b = log.consumer("g").topics(["lines"]).start().await.unwrap();
    assert_eq!(b.assignment().len(), 0, "the other one has to give up something first");
    let mut read = drain(&mut a).await;
    assert_eq!(a.assignment().len(), 2);
    read.extend(drain(&mut b).await);
    assert_eq!(b.assignment().len(), 2);
    read.sort();
    assert_eq!(read, numbers(0..40));
    a.commit().await.unwrap();
    b.commit().await.unwrap();

    // One leaves in order, another is silent until its session ends.
    a.leave().await.unwrap();
    fill(&log, "lines", 40).await;
    assert_eq!(drain(&mut b).await, numbers(0..40));
    assert_eq!(b.assignment().len(), 4);
    let mut c = log.consumer("g").topics(["lines"]).start().await.unwrap();
    drain(&mut b).await;
    sim.clock.advance(Duration::from_secs(6));
    drain(&mut c).await;
    assert_eq!(c.assignment().len(), 2);
    sim.clock.advance(Duration::from_secs(6));
    // It notices, joins again, and is alone.
    assert_eq!(drain(&mut c).await.len(), 40);
    assert_eq!(c.assignment().len(), 4);
    let error = b.commit().await.unwrap_err();
    assert_eq!(error.code(), "TW0110");
}

#[tokio::test]
async fn a_group_is_reset_and_deleted_only_without_members() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 2).await;
    fill(&log, "lines", 20).await;
    let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
    drain(&mut consumer).await;
    consumer.commit().await.unwrap();
    let admin = log.admin();
    assert_eq!(admin.reset_group("g", "lines", OffsetSpec::Earliest).await.unwrap_err().code(), "TW0111");
    assert_eq!(admin.delete_group("g").await.unwrap_err().code(), "TW0111");
    consumer.leave().await.unwrap();
    admin.reset_group("g", "lines", OffsetSpec::Earliest).await.unwrap();
    assert_eq!(admin.describe_group("g").await.unwrap().partitions[0].position, 0);
    admin.delete_group("g").await.unwrap();
    log.close().await.unwrap();
    let log = sim.open().await;
    assert!(log.admin().list_groups().await.unwrap().is_empty());
}

#[tokio::test]
async fn commits_of_a_deleted_topic_are_not_those_of_its_successor() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 1).await;
    fill(&log, "lines", 5).await;
    let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
    drain(&mut consumer).await;
    consumer.commit().await.unwrap();
    consumer.leave().await.unwrap();
    log.admin().delete_topic("lines").await.unwrap();
    create(&log, "lines", 1).await;
    fill(&log, "lines", 3).await;
    log.close().await.unwrap();
    let log = sim.open().await;
    let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
    assert_eq!(drain(&mut consumer).await, numbers(0..3));
}

#[tokio::test]
async fn a_member_on_the_machines_clock_is_told_of_a_new_generation() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path()).await.unwrap();
    create(&log, "lines", 2).await;
    let session = Duration::from_millis(100);
    let mut a = log.consumer("g").topics(["lines"]).session_timeout(session).start().await.unwrap();
    assert_eq!(a.assignment().len(), 2);
    let others = log.consumer("g").topics(["lines"]).session_timeout(session).start();
    let gives_up = async {
        while a.assignment().len() != 1 {
            a.poll(1, Duration::from_millis(20)).await.unwrap();
        }
    };
    let (b, ()) = tokio::join!(others, gives_up);
    let b = b.unwrap();
    // Dropped without leaving: its session runs out by itself.
    drop(b);
    while a.assignment().len() != 2 {
        a.poll(1, Duration::from_millis(20)).await.unwrap();
    }
}

#[tokio::test]
async fn a_commit_that_was_on_its_way_when_its_topic_was_deleted_does_not_count_for_the_next_of_that_name() {
    let sim = Sim::new();
    let (broker, log) = sim.broker();
    create(&log, "lines", 1).await;
    let topic_id = log.admin().describe_topic("lines").await.unwrap().id;
    log.admin().delete_topic("lines").await.unwrap();
    let (group, partition) = (GroupId::new("g").unwrap(), partition("lines", 0));
    let state = Some(Committed { position: 5.into(), topic_id, at: START });
    broker.group_step(Input::Replay(Record::Offset { group, partition, state }));

    create(&log, "lines", 1).await;
    fill(&log, "lines", 10).await;
    let group = log.admin().describe_group("g").await;
    assert!(group.is_err() || group.unwrap().partitions.iter().all(|p| p.lag_records == 10));
    let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
    assert_eq!(drain(&mut consumer).await, numbers(0..10));
}

#[tokio::test]
async fn a_member_that_could_not_join_again_tries_again_and_keeps_nothing_of_what_it_had() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 2).await;
    fill(&log, "lines", 10).await;
    let consumer = || log.consumer("g").topics(["lines"]).from(OffsetSpec::At(START));
    let mut a = consumer().start().await.unwrap();
    let id = log.admin().describe_topic("lines").await.unwrap().id;
    let path = format!("/data/t/{id}/0/00000000000000000000.log");
    sim.disk.flip_bit(Path::new(&path), 66, 0);
    let _b = consumer().start().await.unwrap();
    for _ in 0..2 {
        assert!(matches!(a.poll(1, Duration::ZERO).await, Err(Error::Corrupt { .. })), "where to start is not known");
    }
    sim.disk.flip_bit(Path::new(&path), 66, 0);
    drain(&mut a).await;
    assert_eq!(a.assignment(), [partition("lines", 0)]);
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_is_told_also_while_others_are_busy() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 2).await;
    let producer = log.producer().build();
    let send = async |partition, value: String| {
        producer.send_to(&topic("lines"), partition, record("", value)).await.unwrap().await.unwrap();
    };
    send(0, "damaged".into()).await;
    let id = log.admin().describe_topic("lines").await.unwrap().id;
    sim.disk.flip_bit(Path::new(&format!("/data/t/{id}/0/00000000000000000000.log")), 66, 0);
    // What was appended just now is read from memory.
    log.close().await.unwrap();
    let log = sim.open().await;
    let producer = log.producer().build();
    let send = async |partition, value: String| {
        producer.send_to(&topic("lines"), partition, record("", value)).await.unwrap().await.unwrap();
    };
    let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
    let (mut errors, mut read) = (0, Vec::new());
    for i in 0..5 {
        send(1, i.to_string()).await;
        match consumer.poll(10, Duration::ZERO).await {
            Ok(records) => read.extend(records),
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "{error}");
                errors += 1;
            }
        }
    }
    assert!(errors > 0, "nobody noticed");
    read.extend(consumer.poll(10, Duration::ZERO).await.unwrap_or_default());
    let read: Vec<_> = read.iter().map(|read| (read.partition.partition, read.record.offset)).collect();
    assert_eq!(read, [(1, 0), (1, 1), (1, 2), (1, 3), (1, 4)], "and the others are read");
}

#[tokio::test]
async fn in_the_consumer_protocol_only_what_moves_is_given_up() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 4).await;
    fill(&log, "lines", 40).await;
    let consumer = || log.consumer("g").topics(["lines"]).protocol(crate::GroupProtocol::Consumer);
    let mut a = consumer().start().await.unwrap();
    assert_eq!(drain(&mut a).await, numbers(0..40));
    a.commit().await.unwrap();
    let mut b = consumer().start().await.unwrap();
    assert_eq!(b.assignment().len(), 0);
    fill(&log, "lines", 40).await;
    let mut read = drain(&mut a).await;
    assert_eq!(a.assignment().len(), 2);
    read.extend(drain(&mut b).await);
    assert_eq!(b.assignment().len(), 2);
    read.sort();
    assert_eq!(read, numbers(0..40), "nothing comes twice");
    a.commit().await.unwrap();
    b.commit().await.unwrap();
    a.leave().await.unwrap();
    fill(&log, "lines", 40).await;
    assert_eq!(drain(&mut b).await, numbers(0..40));
    b.commit().await.unwrap();

    // After a restart the member is still in the group.
    log.close().await.unwrap();
    let log = sim.open().await;
    let group = log.admin().describe_group("g").await.unwrap();
    assert_eq!((group.members.len(), group.partitions.iter().map(|p| p.lag_records).sum::<u64>()), (1, 0));
    assert_eq!(group.members[0].assignment.len(), 4);
}

#[tokio::test]
async fn an_expression_finds_topics_that_come_later() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "in-a", 1).await;
    let consumer = log.consumer("g").topics_matching("in-.*").protocol(crate::GroupProtocol::Consumer);
    let mut consumer = consumer.start().await.unwrap();
    create(&log, "in-b", 1).await;
    create(&log, "out", 1).await;
    for name in ["in-a", "in-b", "out"] {
        fill(&log, name, 1).await;
    }
    assert_eq!(drain(&mut consumer).await.len(), 2);
    assert_eq!(consumer.assignment(), [partition("in-a", 0), partition("in-b", 0)]);
    let wrong = log.consumer("h").topics_matching("(").protocol(crate::GroupProtocol::Consumer).start().await;
    assert_eq!(wrong.unwrap_err().code(), "TW0115");
}

#[tokio::test]
async fn a_consumer_pauses_seeks_and_knows_its_lag() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 2).await;
    fill(&log, "lines", 20).await;
    let mut consumer = log.consumer("g").topics(["lines"]).start().await.unwrap();
    let (left, right) = (partition("lines", 0), partition("lines", 1));
    let lag: u64 = consumer.lag().await.unwrap().iter().map(|(_, lag)| lag).sum();
    assert_eq!(lag, 20);
    consumer.pause(&left);
    let some = drain(&mut consumer).await;
    assert!(!some.is_empty() && some.len() < 20);
    consumer.resume(&left);
    assert_eq!(drain(&mut consumer).await.len() + some.len(), 20);
    assert_eq!(consumer.seek_to(&right, OffsetSpec::At(START)).await.unwrap(), 0);
    assert_eq!(drain(&mut consumer).await, some);
    assert!(consumer.lag().await.unwrap().iter().all(|(_, lag)| *lag == 0));
}

#[tokio::test]
async fn a_static_member_that_comes_back_has_what_it_had() {
    let sim = Sim::new();
    let log = sim.open().await;
    create(&log, "lines", 4).await;
    let consumer = |name: &str| log.consumer("g").topics(["lines"]).instance(name);
    let mut a = consumer("a").start().await.unwrap();
    let mut b = consumer("b").start().await.unwrap();
    drain(&mut a).await;
    drain(&mut b).await;
    let had = b.assignment();
    assert_eq!(had.len(), 2);
    let generation = log.admin().describe_group("g").await.unwrap().generation;
    drop(b);
    let b = consumer("b").start().await.unwrap();
    assert_eq!(b.assignment(), had);
    drain(&mut a).await;
    assert_eq!(log.admin().describe_group("g").await.unwrap().generation, generation, "nobody had to join again");
}
