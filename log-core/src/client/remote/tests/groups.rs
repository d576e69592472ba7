//! Consumer groups that are the same wherever the log is.

use super::shared::{create, partition, record, topic};
use super::{Place, places};
use crate::client::{Consumer, GroupProtocol};
use crate::types::{Error, OffsetSpec, TopicPartition};
use std::collections::BTreeSet;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const PROTOCOLS: [GroupProtocol; 2] = [GroupProtocol::Classic, GroupProtocol::Consumer];

/// A server may be older than groups.
async fn groups_are_offered(place: &Place) -> bool {
    match place.log.admin().list_groups().await {
        Err(Error::Unsupported { .. }) => false,
        listed => listed.map(|_| true).unwrap(),
    }
}

async fn fill(place: &Place, name: &str, partitions: u32, each: usize) {
    let producer = place.log.producer().build();
    for i in 0..each {
        for index in 0..partitions {
            producer.send_to(&topic(name), index, record("", format!("{index}:{i}"), 0)).await.unwrap();
        }
    }
    producer.flush().await.unwrap();
}

/// So many records, as far as they come.
async fn take(consumer: &mut Consumer, count: usize) -> Vec<String> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let more = consumer.poll(count - taken.len(), SOON).await.unwrap();
        assert!(!more.is_empty(), "{} of {count} records", taken.len());
        taken.extend(more.iter().map(|r| String::from_utf8_lossy(r.record.value.as_deref().unwrap()).into_owned()));
    }
    taken
}

#[tokio::test]
async fn a_group_goes_on_where_it_was() {
    for place in places().await {
        if !groups_are_offered(&place).await {
            continue;
        }
        for protocol in PROTOCOLS {
            let name = create(&place, &format!("{protocol:?}").to_lowercase(), 2).await;
            fill(&place, &name, 2, 10).await;
            let group = place.name(&format!("readers-{protocol:?}"));
            let start = || place.log.consumer(&group).topics([&name]).protocol(protocol).start();
            let mut consumer = start().await.unwrap();
            let first = take(&mut consumer, 12).await;
            consumer.commit().await.unwrap();
            consumer.leave().await.unwrap();
            let described = place.log.admin().describe_group(&group).await.unwrap();
            let lag: u64 = described.partitions.iter().map(|p| p.lag_records).sum();
            assert_eq!((described.members.len(), lag), (0, 8), "{} {protocol:?}: {described:?}", place.name);
            assert!(described.partitions.iter().all(|p| p.lag.is_some() == (p.lag_records > 0)), "{described:?}");
            let mut again = start().await.unwrap();
            let rest = take(&mut again, 8).await;
            let all: BTreeSet<_> = first.into_iter().chain(rest).collect();
            assert_eq!(all.len(), 20, "{} {protocol:?}", place.name);
            let busy = place.log.admin().delete_group(&group).await.unwrap_err();
            assert!(matches!(busy, Error::GroupNotEmpty { .. }), "{}: {busy}", place.name);
            again.leave().await.unwrap();
            place.log.admin().delete_group(&group).await.unwrap();
            let gone = place.log.admin().describe_group(&group).await.unwrap_err();
            assert!(matches!(gone, Error::UnknownGroup { .. }), "{}: {gone}", place.name);
        }
    }
}

#[tokio::test]
async fn two_members_share_the_partitions() {
    for place in places().await {
        if !groups_are_offered(&place).await {
            continue;
        }
        for protocol in PROTOCOLS {
            let name = create(&place, &format!("shared-{protocol:?}"), 4).await;
            let group = place.name(&format!("team-{protocol:?}"));
            let start = || place.log.consumer(&group).topics([&name]).protocol(protocol).start();
            let mut one = start().await.unwrap();
            // The first has to give up something before the second has anything.
            let second = tokio::spawn(start());
            let mut two = loop {
                one.poll(1, Duration::from_millis(50)).await.unwrap();
                if second.is_finished() {
                    break second.await.unwrap().unwrap();
                }
            };
            for _ in 0..400 {
                one.poll(1, Duration::from_millis(50)).await.unwrap();
                two.poll(1, Duration::from_millis(50)).await.unwrap();
                if one.assignment().len() == 2 && two.assignment().len() == 2 {
                    break;
                }
            }
            let read: BTreeSet<TopicPartition> = one.assignment().into_iter().chain(two.assignment()).collect();
            let all: BTreeSet<_> = (0..4).map(|index| partition(&name, index)).collect();
            assert_eq!((one.assignment().len(), read), (2, all), "{} {protocol:?}", place.name);
            let described = place.log.admin().describe_group(&group).await.unwrap();
            assert_eq!(described.members.len(), 2, "{}: {described:?}", place.name);
            two.leave().await.unwrap();
            one.leave().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_group_is_moved_while_nobody_is_in_it() {
    for place in places().await {
        if !groups_are_offered(&place).await {
            continue;
        }
        let name = create(&place, "moved", 1).await;
        fill(&place, &name, 1, 5).await;
        let group = place.name("movers");
        let moved = place.log.admin().reset_group(&group, &name, OffsetSpec::Exactly(3)).await.unwrap();
        assert_eq!(moved, [(partition(&name, 0), 3)], "{}", place.name);
        let mut consumer = place.log.consumer(&group).topics([&name]).start().await.unwrap();
        assert_eq!(take(&mut consumer, 2).await, ["0:3", "0:4"], "{}", place.name);
        let refused = place.log.admin().reset_group(&group, &name, OffsetSpec::Earliest).await.unwrap_err();
        // Kafka takes it for a commit of a member that it does not know.
        let is_refused = matches!(refused, Error::GroupNotEmpty { .. } | Error::StaleMember { .. });
        assert!(is_refused, "{}: {refused}", place.name);
        consumer.leave().await.unwrap();
    }
}

#[tokio::test]
async fn positions_are_committed_with_a_transaction_or_not_at_all() {
    for place in places().await {
        if !groups_are_offered(&place).await {
            continue;
        }
        let (from, to) = (create(&place, "in", 1).await, create(&place, "out", 1).await);
        fill(&place, &from, 1, 4).await;
        let group = place.name("etl");
        let mut consumer = place.log.consumer(&group).topics([&from]).start().await.unwrap();
        let mut producer = place.log.producer().transactional_id(place.name("etl")).start().await.unwrap();
        let committed = async || {
            let described = place.log.admin().describe_group(&group).await.unwrap();
            described.partitions.first().map(|p| p.position)
        };
        for commits in [false, true] {
            let read = take(&mut consumer, 2).await;
            let transaction = producer.begin().await.unwrap();
            for value in read {
                transaction.send(&topic(&to), record("", value, 0)).await.unwrap();
            }
            transaction.send_offsets(&consumer).await.unwrap();
            if commits {
                transaction.commit().await.unwrap();
            } else {
                transaction.abort().await.unwrap();
                assert!(matches!(committed().await, None | Some(0)), "{}", place.name);
            }
        }
        // Its markers may still be on their way.
        let mut position = committed().await;
        for _ in 0..200 {
            if position == Some(4) {
                break;
            }
            position = committed().await;
        }
        assert_eq!(position, Some(4), "{}", place.name);
        consumer.leave().await.unwrap();
    }
}
