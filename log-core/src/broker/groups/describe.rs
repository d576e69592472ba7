//! Groups as they are: members, positions and lag.

use super::Broker;
use crate::broker::topics::nearest;
use crate::group::{Group, Members, Partitions};
use crate::service::{DescribeGroups, GroupDescription, GroupKind, GroupMember, GroupPartition};
use crate::types::{Error, GroupId, Offset, Result, Timestamp, TopicId, TopicName, TopicPartition};
use crate::wire::{ConsumerProtocolAssignment, read_versioned};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

impl Broker {
    pub(in crate::broker) fn groups(&self, request: &DescribeGroups) -> Result<Vec<GroupDescription>> {
        let wanted = |id: &GroupId| request.groups.as_ref().is_none_or(|wanted| wanted.contains(id));
        let states: Vec<_> = self.with_groups(|groups| {
            groups.iter().filter(|(id, _)| wanted(id)).map(|(id, group)| self.state_of(id, group)).collect()
        });
        let mut described: Vec<_> = states
            .into_iter()
            .map(|(description, positions)| GroupDescription {
                partitions: positions.into_iter().filter_map(|(tp, at)| self.lag(tp, at)).collect(),
                ..description
            })
            .collect();
        described.extend(self.share_groups());
        described.sort_by(|a: &GroupDescription, b| a.group.cmp(&b.group));
        let Some(wanted) = &request.groups else { return Ok(described) };
        for group in wanted {
            if !described.iter().any(|known| known.group == *group) {
                let known = self.with_groups(|groups| groups.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>());
                let shares = described.iter().map(|known| known.group.to_string());
                let did_you_mean = nearest(group.as_str(), known.into_iter().chain(shares));
                return Err(Error::UnknownGroup { group: group.to_string(), did_you_mean });
            }
        }
        described.retain(|known| wanted.contains(&known.group));
        Ok(described)
    }

    /// What a group is, and the positions of the partitions that it has something to do with.
    fn state_of(&self, id: &GroupId, group: &Group) -> (GroupDescription, BTreeMap<TopicPartition, Option<Offset>>) {
        let (generation, members): (_, Vec<_>) = match &group.members {
            Members::Classic(classic) => {
                let member = |(id, member): (&String, &crate::group::ClassicMember)| GroupMember {
                    member: id.clone(),
                    client: member.client.clone(),
                    assignment: assigned(member.assignment.clone()),
                };
                (classic.generation, classic.members.iter().map(member).collect())
            }
            Members::Consumer(consumer) => {
                let member = |(id, member): (&String, &crate::group::ConsumerMember)| GroupMember {
                    member: id.clone(),
                    client: member.client.clone(),
                    assignment: self.named(member.assigned()),
                };
                (consumer.epoch, consumer.members.iter().map(member).collect())
            }
        };
        let assigned = members.iter().flat_map(|member| &member.assignment);
        let mut positions: BTreeMap<TopicPartition, Option<Offset>> = assigned.map(|tp| (tp.clone(), None)).collect();
        let current = group.offsets.committed.iter().filter(|(tp, committed)| self.is_current(tp, committed));
        positions.extend(current.map(|(tp, committed)| (tp.clone(), Some(committed.position.offset))));
        let (group, kind, state) = (id.clone(), GroupKind::Consumer, group.state());
        (GroupDescription { group, kind, state, generation, members, partitions: Vec::new() }, positions)
    }

    /// The name of a topic that is there.
    pub(in crate::broker) fn topic_name(&self, id: TopicId) -> Option<TopicName> {
        self.image.read().topics().get(&id).map(|topic| topic.name.clone())
    }

    /// Partitions by the names of their topics, as far as these are there.
    fn named(&self, partitions: &Partitions) -> Vec<TopicPartition> {
        let mut named: Vec<_> = partitions
            .iter()
            .filter_map(|(id, partitions)| Some((self.topic_name(*id)?, partitions)))
            .flat_map(|(name, all)| all.iter().map(move |index| TopicPartition::new(name.clone(), *index)))
            .collect();
        named.sort();
        named
    }

    /// Whether the topic that an offset was committed for is there. A commit may become durable just after its topic
    /// was deleted, and counts for no other of that name.
    pub(in crate::broker) fn is_current(
        &self,
        partition: &TopicPartition,
        committed: &crate::group::Committed,
    ) -> bool {
        self.topics.get(&partition.topic).is_some_and(|topic| topic.id == committed.topic_id)
    }

    /// How far a group is behind on a partition; `None` for one that is gone.
    fn lag(&self, name: TopicPartition, committed: Option<Offset>) -> Option<GroupPartition> {
        let partition = self.partition(&name).ok()?;
        let offsets = partition.offsets();
        let position = committed.unwrap_or(offsets.log_start_offset);
        let unread = position.max(offsets.log_start_offset);
        let oldest = (unread < offsets.high_watermark).then(|| partition.timestamp_at(unread)).flatten();
        let age = oldest.map(|at| self.age(at));
        let lag_records = u64::try_from(offsets.high_watermark - unread).unwrap_or(0);
        Some(GroupPartition { partition: name, position, lag_records, lag: age, leased: 0 })
    }

    /// How long ago a record was stamped; zero for one from the future.
    pub(in crate::broker) fn age(&self, at: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.clock.now().0.saturating_sub(at.0)).unwrap_or(0))
    }
}

/// The partitions that an assignment of the classic protocol names, if it is one of consumers.
fn assigned(assignment: Bytes) -> Vec<TopicPartition> {
    let Ok((_, assignment)) = read_versioned::<ConsumerProtocolAssignment>(assignment) else { return Vec::new() };
    let of_topic = |assigned: &crate::wire::consumer_protocol_assignment::TopicPartition| {
        let topic = TopicName::new(&assigned.topic).ok()?;
        let indexes = assigned.partitions.iter().filter_map(|index| u32::try_from(*index).ok());
        Some(indexes.map(|index| TopicPartition::new(topic.clone(), index)).collect::<Vec<_>>())
    };
    let mut assigned: Vec<_> = assignment.assigned_partitions.iter().filter_map(of_topic).flatten().collect();
    assigned.sort();
    assigned
}
