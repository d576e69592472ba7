//! The server's assignors of the consumer protocol: which member reads which partition.
//!
//! - `range`: the partitions of each topic in contiguous runs over its subscribers in order, so that topics with as many
//!   partitions are split alike and can be joined.
//! - `uniform`: as even as the subscriptions allow, over all topics together, and as little moved as that takes.
//!
//! Both give every partition of a topic that somebody subscribes to, to exactly one subscriber.

use super::records::Partitions;
use crate::types::{PartitionIndex, TopicId};
use std::collections::{BTreeMap, BTreeSet};

/// The assignors by name; the first is the default.
pub(super) const ASSIGNORS: [&str; 2] = ["uniform", "range"];

/// A member, as an assignor sees it.
#[derive(Debug)]
pub(super) struct Subscriber<'a> {
    pub(super) member: &'a str,
    pub(super) instance: Option<&'a str>,
    pub(super) topics: BTreeSet<TopicId>,
    /// What it was to own before.
    pub(super) before: &'a Partitions,
}

/// Assigns all `topics` (with their numbers of partitions).
pub(super) fn assign(
    assignor: &str,
    subscribers: &[Subscriber<'_>],
    topics: &BTreeMap<TopicId, PartitionIndex>,
) -> BTreeMap<String, Partitions> {
    let mut assigned = if assignor == "range" { range(subscribers, topics) } else { uniform(subscribers, topics) };
    let nothing = |subscriber: &Subscriber<'_>| (subscriber.member.to_owned(), Partitions::new());
    for (member, none) in subscribers.iter().map(nothing) {
        assigned.entry(member).or_insert(none);
    }
    assigned
}

fn range(subscribers: &[Subscriber<'_>], topics: &BTreeMap<TopicId, PartitionIndex>) -> BTreeMap<String, Partitions> {
    let mut sorted: Vec<_> = subscribers.iter().collect();
    // A static member keeps its place in the order over a restart.
    sorted.sort_by_key(|subscriber| (subscriber.instance.is_none(), subscriber.instance, subscriber.member));
    let mut assigned: BTreeMap<String, Partitions> = BTreeMap::new();
    for (topic, partitions) in topics {
        let readers: Vec<_> = sorted.iter().filter(|subscriber| subscriber.topics.contains(topic)).collect();
        let n = readers.len() as PartitionIndex;
        let mut next = 0;
        for (i, reader) in (0..).zip(readers) {
            let share = partitions / n + PartitionIndex::from(i < partitions % n);
            if share > 0 {
                assigned.entry(reader.member.to_owned()).or_default().insert(*topic, (next..next + share).collect());
            }
            next += share;
        }
    }
    assigned
}

fn uniform(subscribers: &[Subscriber<'_>], topics: &BTreeMap<TopicId, PartitionIndex>) -> BTreeMap<String, Partitions> {
    let mut loads = vec![0_usize; subscribers.len()];
    let mut owners: BTreeMap<(TopicId, PartitionIndex), usize> = BTreeMap::new();
    for (index, subscriber) in subscribers.iter().enumerate() {
        for (topic, kept) in subscriber.before.iter().filter(|(topic, _)| subscriber.topics.contains(topic)) {
            let partitions = topics.get(topic).copied().unwrap_or(0);
            for partition in kept.iter().filter(|partition| **partition < partitions) {
                if owners.insert((*topic, *partition), index).is_none() {
                    loads[index] += 1;
                }
            }
        }
    }
    let readers: BTreeMap<TopicId, Vec<usize>> = topics
        .keys()
        .map(|topic| {
            let reads = |(_, subscriber): &(usize, &Subscriber<'_>)| subscriber.topics.contains(topic);
            (*topic, subscribers.iter().enumerate().filter(reads).map(|(index, _)| index).collect())
        })
        .collect();
    let least = |topic: &TopicId, loads: &[usize]| readers[topic].iter().copied().min_by_key(|index| loads[*index]);
    for (topic, partitions) in topics {
        for partition in 0..*partitions {
            if let (None, Some(index)) = (owners.get(&(*topic, partition)), least(topic, &loads)) {
                owners.insert((*topic, partition), index);
                loads[index] += 1;
            }
        }
    }
    // Moving one from who has two more than another evens them out, and the sum of squares falls: it ends.
    let mut moved = true;
    while moved {
        moved = false;
        for ((topic, _), owner) in &mut owners {
            if let Some(index) = least(topic, &loads).filter(|index| loads[*owner] > loads[*index] + 1) {
                loads[*owner] -= 1;
                loads[index] += 1;
                (*owner, moved) = (index, true);
            }
        }
    }
    let mut assigned: BTreeMap<String, Partitions> = BTreeMap::new();
    for ((topic, partition), owner) in owners {
        let member = subscribers[owner].member.to_owned();
        assigned.entry(member).or_default().entry(topic).or_default().insert(partition);
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    proptest! {
        #[test]
        fn every_partition_has_one_reader_and_loads_are_even(
            subscriptions in prop::collection::vec(prop::collection::btree_set(0_u128..4, 0..4), 1..6),
            counts in prop::collection::vec(0_u32..8, 4),
            assignor in prop::sample::select(&ASSIGNORS[..]),
            rounds in 1_usize..3,
        ) {
            let id = |n: u128| TopicId(Uuid::from_u128(n));
            let subscribed: BTreeSet<_> = subscriptions.iter().flatten().copied().collect();
            let topics: BTreeMap<_, _> = subscribed.iter().map(|n| (id(*n), counts[*n as usize])).collect();
            let names: Vec<_> = (0..subscriptions.len()).map(|n| n.to_string()).collect();
            let mut before: Vec<Partitions> = vec![Partitions::new(); names.len()];
            for round in 0..rounds {
                // Later rounds have one member less: the others keep what they had.
                let subscribers: Vec<_> = names.iter().zip(&subscriptions).zip(&before).skip(round).map(
                    |((member, topics), before)| Subscriber {
                        member, instance: None, topics: topics.iter().map(|n| id(*n)).collect(), before,
                    }
                ).collect();
                if subscribers.is_empty() { break; }
                let read: BTreeSet<_> = subscribers.iter().flat_map(|s| s.topics.clone()).collect();
                let topics: BTreeMap<_, _> = topics.clone().into_iter().filter(|(id, _)| read.contains(id)).collect();
                let assigned = assign(assignor, &subscribers, &topics);
                let mut seen = BTreeSet::new();
                for (member, partitions) in &assigned {
                    let reads = &subscribers.iter().find(|s| s.member == member).unwrap().topics;
                    for (topic, partitions) in partitions {
                        prop_assert!(reads.contains(topic));
                        for partition in partitions {
                            prop_assert!(seen.insert((*topic, *partition)), "two readers");
                        }
                    }
                }
                prop_assert_eq!(seen.len() as u32, topics.values().sum::<u32>());
                let is_uniform = *assignor == *"uniform";
                if is_uniform && subscribers.iter().all(|s| s.topics == subscribers[0].topics) {
                    let loads = assigned.values().map(|p| p.values().map(BTreeSet::len).sum::<usize>());
                    let (least, most) = (loads.clone().min().unwrap(), loads.max().unwrap());
                    prop_assert!(most <= least + 1, "{} and {}", least, most);
                }
                before = names.iter().map(|name| assigned.get(name).cloned().unwrap_or_default()).collect();
            }
        }
    }
}
