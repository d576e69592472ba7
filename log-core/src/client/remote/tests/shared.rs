//! What holds for every log, wherever it is.

use super::{Place, places, served};
use crate::record::Record;
use crate::types::{Error, Offset, OffsetSpec, Timestamp, TopicName, TopicPartition, TopicSpec};
use crate::{Compression, Log};
use bytes::Bytes;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

pub(super) fn record(key: &str, value: impl Into<String>, timestamp: i64) -> Record {
    let key = (!key.is_empty()).then(|| Bytes::from(key.to_owned()));
    Record { key, value: Some(Bytes::from(value.into())), timestamp: Timestamp(timestamp), headers: Vec::new() }
}

pub(super) fn topic(name: &str) -> TopicName {
    TopicName::new(name).unwrap()
}

pub(super) fn partition(name: &str, index: u32) -> TopicPartition {
    TopicPartition::new(topic(name), index)
}

pub(super) async fn create(place: &Place, name: &str, partitions: u32) -> String {
    let name = place.name(name);
    let made = place.log.admin().create_topic(TopicSpec::new(&name, partitions).unwrap()).await.unwrap();
    assert_eq!((made.name.as_str(), made.partitions.len()), (&*name, partitions as usize), "{}", place.name);
    name
}

/// The values of a partition from an offset on, `count` of them.
pub(super) async fn values(log: &Log, name: &str, index: u32, from: Offset, count: usize) -> Vec<String> {
    let mut reader = log.reader(partition(name, index), from);
    let mut values = Vec::new();
    while values.len() < count {
        let batch = reader.next_batch(SOON).await.unwrap();
        assert!(!batch.is_empty(), "{} of {count} records of {name}-{index}", values.len());
        values.extend(batch.iter().map(|r| String::from_utf8_lossy(r.value.as_deref().unwrap()).into_owned()));
    }
    values
}

#[tokio::test]
async fn topics_are_made_described_and_deleted() {
    for place in places().await {
        let admin = place.log.admin();
        let name = create(&place, "t", 3).await;
        let described = admin.describe_topic(&name).await.unwrap();
        assert_eq!(described.partitions.len(), 3);
        assert!(described.partitions.iter().all(|p| p.offsets.is_valid() && p.damage.is_none()), "{described:?}");
        let taken = admin.create_topic(TopicSpec::new(&name, 1).unwrap()).await.unwrap_err();
        assert!(matches!(taken, Error::TopicExists { .. }), "{}: {taken}", place.name);
        assert!(admin.list_topics(false).await.unwrap().iter().any(|t| t.name.as_str() == name));
        admin.add_partitions(&name, 5).await.unwrap();
        assert_eq!(admin.describe_topic(&name).await.unwrap().partitions.len(), 5);
        admin.delete_topic(&name).await.unwrap();
        for gone in [admin.describe_topic(&name).await.map(drop), admin.delete_topic(&name).await] {
            assert!(matches!(gone, Err(Error::UnknownTopic { .. })), "{}: {gone:?}", place.name);
        }
        let again = create(&place, "t", 1).await;
        assert_ne!(admin.describe_topic(&again).await.unwrap().id, described.id);
    }
}

#[tokio::test]
async fn what_is_sent_is_there_in_order() {
    for place in places().await {
        let name = create(&place, "lines", 3).await;
        let producer = place.log.producer().compression(Compression::Lz4).batch_bytes(2000).build();
        let mut sent = Vec::new();
        for i in 0..3000 {
            sent.push(producer.send_to(&topic(&name), i % 3, record("", i.to_string(), 1000)).await.unwrap());
        }
        producer.flush().await.unwrap();
        for (i, sent) in sent.into_iter().enumerate() {
            let at = sent.await.unwrap();
            assert_eq!((at.partition, at.offset), (i as u32 % 3, i as Offset / 3), "{}", place.name);
        }
        for index in 0..3 {
            let wanted: Vec<_> = (0..1000).map(|i| (3 * i + index).to_string()).collect();
            assert_eq!(values(&place.log, &name, index, 0, 1000).await, wanted, "{}", place.name);
        }
        let described = place.log.admin().describe_topic(&name).await.unwrap();
        let ends: Vec<_> = described.partitions.iter().map(|p| p.offsets.high_watermark).collect();
        assert_eq!(ends, [1000; 3], "{}", place.name);
        assert!(described.partitions.iter().all(|p| p.bytes > 1000), "{}: {described:?}", place.name);
    }
}

#[tokio::test]
async fn large_batches_come_whole() {
    for place in places().await {
        let name = create(&place, "large", 1).await;
        for i in 0..4 {
            let value = char::from(b'a' + i).to_string().repeat(900_000);
            place.log.send(&name, &value).await.unwrap();
        }
        let mut reader = place.log.reader(partition(&name, 0), 0).max_bytes(1_000_000);
        let mut lengths = Vec::new();
        while lengths.len() < 4 {
            let batch = reader.next_batch(SOON).await.unwrap();
            assert!(!batch.is_empty(), "{}", place.name);
            lengths.extend(batch.iter().map(|record| record.value.as_ref().map_or(0, Bytes::len)));
        }
        assert_eq!(lengths, [900_000; 4], "{}", place.name);
        let producer = place.log.producer().batch_bytes(8 << 20).build();
        let sent = producer.send(&topic(&name), record("", "x".repeat(2 << 20), 0)).await.unwrap();
        let refused = sent.await.unwrap_err();
        assert!(matches!(refused, Error::RecordTooLarge { .. }), "{}: {refused}", place.name);
    }
}

#[tokio::test]
async fn offsets_are_found_by_place_and_by_time() {
    for place in places().await {
        let name = create(&place, "times", 1).await;
        let producer = place.log.producer().build();
        for i in 0..10 {
            let sent = producer.send(&topic(&name), record("k", i.to_string(), 1000 + 10 * i)).await.unwrap();
            sent.await.unwrap();
        }
        let admin = place.log.admin();
        let at = |spec| admin.offset(partition(&name, 0), spec);
        assert_eq!(at(OffsetSpec::Earliest).await.unwrap(), 0);
        assert_eq!(at(OffsetSpec::Latest).await.unwrap(), 10);
        assert_eq!(at(OffsetSpec::At(Timestamp(1045))).await.unwrap(), 5, "{}", place.name);
        assert_eq!(at(OffsetSpec::At(Timestamp(5000))).await.unwrap(), 10, "{}: behind all records", place.name);
        assert_eq!(at(OffsetSpec::Exactly(7)).await.unwrap(), 7);
        assert_eq!(at(OffsetSpec::Exactly(70)).await.unwrap(), 10);
        let begins = admin.delete_records(&name, OffsetSpec::Exactly(4)).await.unwrap();
        assert_eq!(begins, [(partition(&name, 0), 4)]);
        assert_eq!(at(OffsetSpec::Earliest).await.unwrap(), 4, "{}", place.name);
        assert_eq!(at(OffsetSpec::Exactly(1)).await.unwrap(), 4);
        let beyond = admin.delete_records(&name, OffsetSpec::Exactly(99)).await.unwrap_err();
        assert!(matches!(beyond, Error::OffsetOutOfRange { end: 10, .. }), "{}: {beyond}", place.name);
        let gone = place.log.reader(partition(&name, 0), 1).next_batch(Duration::ZERO).await.unwrap_err();
        assert!(matches!(gone, Error::OffsetOutOfRange { start: 4, end: 10, .. }), "{}: {gone}", place.name);
        assert_eq!(values(&place.log, &name, 0, 4, 6).await, ["4", "5", "6", "7", "8", "9"]);
        let unknown = admin.offset(partition(&name, 1), OffsetSpec::Latest).await.unwrap_err();
        assert!(matches!(unknown, Error::UnknownPartition { partitions: 1, .. }), "{}: {unknown}", place.name);
    }
}

#[tokio::test]
async fn a_reader_waits_for_what_comes() {
    for place in places().await {
        let name = create(&place, "later", 2).await;
        let mut reader = place.log.reader(partition(&name, 1), 0);
        assert!(reader.next_batch(Duration::from_millis(1)).await.unwrap().is_empty());
        let producer = place.log.producer().build();
        let (read, sent) = tokio::join!(reader.next_batch(SOON), async {
            producer.send_to(&topic(&name), 1, record("", "here", 0)).await.unwrap().await
        });
        assert_eq!(sent.unwrap().offset, 0);
        assert_eq!(read.unwrap()[0].value.as_deref(), Some(&b"here"[..]), "{}", place.name);
    }
}

#[tokio::test]
async fn many_wait_at_once_and_hold_up_nobody() {
    let place = served().await;
    let name = create(&place, "many", 100).await;
    let waiting = (0..100).map(|index| {
        let mut reader = place.log.reader(partition(&name, index), 0);
        tokio::spawn(async move { reader.next_batch(SOON).await })
    });
    let waiting: Vec<_> = waiting.collect();
    let producer = place.log.producer().build();
    for index in 0..100 {
        producer.send_to(&topic(&name), index, record("", index.to_string(), 0)).await.unwrap();
    }
    producer.flush().await.unwrap();
    for (index, waited) in waiting.into_iter().enumerate() {
        let read = waited.await.unwrap().unwrap();
        assert_eq!(read[0].value.as_deref(), Some(index.to_string().as_bytes()));
    }
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    for place in places().await {
        let name = place.name("nothing");
        let read = place.log.reader(partition(&name, 0), 0).next_batch(Duration::ZERO).await.unwrap_err();
        let sent = place.log.send(&name, &"x".to_owned()).await.unwrap_err();
        for error in [read, sent] {
            assert!(matches!(&error, Error::UnknownTopic { name: told, .. } if *told == name), "{}", place.name);
        }
    }
}

#[tokio::test]
async fn a_closed_log_says_so() {
    let place = served().await;
    let name = create(&place, "closing", 1).await;
    let mut reader = place.log.reader(partition(&name, 0), 0);
    let waiting = tokio::spawn(async move { reader.next_batch(SOON).await });
    tokio::task::yield_now().await;
    place.log.close().await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(Error::Closed)));
    assert!(matches!(place.log.admin().list_topics(false).await, Err(Error::Closed)));
}
