//! What members of a classic group say to each other: what they read, and who is to read what.
//!
//! The leader assigns by range, as Kafka's `range` assignor does: the partitions of each topic in contiguous runs over
//! its subscribers in order, so that topics with as many partitions are split alike and can be joined. Members of other
//! clients in the same group understand it.

use crate::service::JoinedMember;
use crate::types::{PartitionIndex, Result, TopicName, TopicPartition};
use crate::wire::consumer_protocol_assignment::TopicPartition as Assigned;
use crate::wire::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, read_versioned, write_versioned};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// The assignor's name.
pub(super) const RANGE: &str = "range";
/// The versions that are written: the first that all of Kafka's clients read.
const SUBSCRIPTION_VERSION: i16 = 1;
const ASSIGNMENT_VERSION: i16 = 1;

/// What a member says that it reads.
pub(super) fn subscription(topics: &[TopicName]) -> Result<Bytes> {
    let topics = topics.iter().map(|topic| topic.as_str().into()).collect();
    write_versioned(&ConsumerProtocolSubscription { topics, ..Default::default() }, SUBSCRIPTION_VERSION)
}

/// The topics that members read. One that says so in a way that we do not understand reads nothing.
pub(super) fn subscribed(members: &[JoinedMember]) -> BTreeMap<String, BTreeSet<TopicName>> {
    let topics = |member: &JoinedMember| {
        let Ok((_, said)) = read_versioned::<ConsumerProtocolSubscription>(member.metadata.clone()) else {
            tracing::warn!(member = member.member, "a member does not say what it reads, and gets nothing");
            return BTreeSet::new();
        };
        said.topics.iter().filter_map(|name| TopicName::new(name).ok()).collect()
    };
    members.iter().map(|member| (member.member.clone(), topics(member))).collect()
}

/// What each member gets of topics with so many partitions.
pub(super) fn range(
    members: &[JoinedMember],
    topics: &BTreeMap<TopicName, PartitionIndex>,
) -> Result<Vec<(String, Bytes)>> {
    let subscribed = subscribed(members);
    let mut order: Vec<_> = members.iter().collect();
    // A static member keeps its place in the order over a restart.
    order.sort_by_key(|member| (member.instance.is_none(), member.instance.clone(), member.member.clone()));
    let mut assigned: BTreeMap<&str, Vec<Assigned>> = BTreeMap::new();
    for (topic, partitions) in topics {
        let readers: Vec<_> = order.iter().filter(|member| subscribed[&member.member].contains(topic)).collect();
        let n = readers.len() as PartitionIndex;
        let mut next = 0;
        for (i, reader) in (0..).zip(readers) {
            let share = partitions / n + PartitionIndex::from(i < partitions % n);
            let partitions: Vec<_> = (next..next + share).map(|index| index as i32).collect();
            if share > 0 {
                let topic = topic.as_str().into();
                assigned.entry(&reader.member).or_default().push(Assigned { topic, partitions });
            }
            next += share;
        }
    }
    let message = |member: &JoinedMember| {
        let assigned_partitions = assigned.remove(member.member.as_str()).unwrap_or_default();
        let message = ConsumerProtocolAssignment { assigned_partitions, user_data: None };
        Ok((member.member.clone(), write_versioned(&message, ASSIGNMENT_VERSION)?))
    };
    members.iter().map(message).collect()
}

/// What this member is to read, in order.
pub(super) fn assigned(assignment: Bytes) -> Result<Vec<TopicPartition>> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let (_, message) = read_versioned::<ConsumerProtocolAssignment>(assignment)?;
    let mut assigned = Vec::new();
    for Assigned { topic, partitions } in message.assigned_partitions {
        let topic = TopicName::new(&topic)?;
        let indexes = partitions.into_iter().filter_map(|index| PartitionIndex::try_from(index).ok());
        assigned.extend(indexes.map(|index| TopicPartition::new(topic.clone(), index)));
    }
    assigned.sort();
    Ok(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_go_in_runs_to_those_who_read_the_topic() {
        let name = |name: &str| TopicName::new(name).unwrap();
        let member = |id: &str, topics: &[&str]| JoinedMember {
            member: id.into(),
            instance: None,
            metadata: subscription(&topics.iter().map(|topic| name(topic)).collect::<Vec<_>>()).unwrap(),
        };
        let members = [member("a", &["x", "y"]), member("b", &["x"]), member("c", &[])];
        let topics = BTreeMap::from([(name("x"), 5), (name("y"), 2)]);
        let assigned: Vec<_> = range(&members, &topics)
            .unwrap()
            .into_iter()
            .map(|(id, bytes)| {
                let read = assigned(bytes).unwrap();
                format!("{id}: {}", read.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            })
            .collect();
        assert_eq!(assigned, ["a: x-0 x-1 x-2 y-0 y-1", "b: x-3 x-4", "c: "]);
        assert_eq!(super::assigned(Bytes::new()).unwrap(), []);
        assert!(super::assigned(Bytes::from_static(b"\0\0\xff")).is_err());
    }
}
