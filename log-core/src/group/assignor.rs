//! Range assignment (Kafka's RangeAssignor): the partitions of each topic in contiguous runs over its members in
//! order, so that topics with as many partitions are split alike and can be joined.

use crate::types::{PartitionIndex, TopicName, TopicPartition};
use std::collections::BTreeMap;

/// Assigns every partition of every topic to one of the members that subscribe to it.
/// When members disagree about a topic's partition count, the largest holds.
pub(super) fn range<'a>(
    subscriptions: impl Iterator<Item = (&'a str, &'a BTreeMap<TopicName, PartitionIndex>)>,
) -> BTreeMap<String, Vec<TopicPartition>> {
    let mut topics: BTreeMap<&TopicName, (PartitionIndex, Vec<&str>)> = BTreeMap::new();
    for (member, subscribed) in subscriptions {
        for (topic, partitions) in subscribed {
            let entry = topics.entry(topic).or_default();
            entry.0 = entry.0.max(*partitions);
            entry.1.push(member);
        }
    }
    let mut assigned: BTreeMap<String, Vec<TopicPartition>> = BTreeMap::new();
    for (topic, (partitions, members)) in topics {
        let n = members.len() as PartitionIndex;
        let mut next = 0;
        for (i, member) in (0..).zip(members) {
            let share = partitions / n + PartitionIndex::from(i < partitions % n);
            let run = (next..next + share).map(|p| TopicPartition::new(topic.clone(), p));
            assigned.entry(member.to_owned()).or_default().extend(run);
            next += share;
        }
    }
    assigned
}
