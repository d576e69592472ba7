//! Consumer groups: gives the pure machine of `group` its clock and its log.
//!
//! Committed offsets are records of the internal topic `__consumer_offsets`, one partition, replayed at open. A
//! commit is checked and appended under one lock, so that the order in the log is the order in which commits were
//! allowed; it becomes readable when it is durable.

use super::Broker;
use super::metadata::{one_record, replay};
use super::topics::{CONSUMER_OFFSETS, nearest};
use crate::codec::from_bincode;
use crate::group::{Committed, Effect, GroupRecord, Input, StoredOffset};
use crate::service::{
    CommitOffsets, CommittedOffset, CommittedOffsets, DeleteGroup, DescribeGroups, GroupDescription, GroupKind,
    GroupMember, GroupPartition, Heartbeat, JoinGroup, JoinedGroup, LeaveGroup,
};
use crate::types::{Error, GroupId, Offset, PartitionIndex, Result, TopicName, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

impl Broker {
    /// Steps the machine and returns what it answers.
    pub(super) fn group_step(&self, input: Input) -> Vec<Effect> {
        tracing::trace!(%input, "groups");
        let mut effects = Vec::new();
        self.groups.lock().step(self.clock.instant(), input, &mut effects);
        effects.iter().for_each(|effect| tracing::trace!(%effect, "groups"));
        effects
    }

    pub(super) async fn join(&self, request: JoinGroup) -> Result<JoinedGroup> {
        self.check_open()?;
        let JoinGroup { group, member, topics, session_timeout } = request;
        let topics = topics.into_iter().map(|name| Ok((name.clone(), self.partitions_of(&name)?)));
        let topics = topics.collect::<Result<Vec<_>>>()?;
        let member = (!member.is_empty()).then_some(member);
        let effects = self.group_step(Input::Join { group, member, topics, session_timeout });
        self.timer.notify_one();
        for effect in effects {
            match effect {
                Effect::Joined { member, generation, assignment, .. } => {
                    return Ok(JoinedGroup { member, generation, assignment });
                }
                Effect::Refused(error) => return Err(error),
                _ => {}
            }
        }
        unreachable!("a join is answered")
    }

    fn partitions_of(&self, name: &TopicName) -> Result<PartitionIndex> {
        Ok(self.topic(name)?.partitions.len() as PartitionIndex)
    }

    pub(super) fn beat(&self, request: Heartbeat) -> Result<()> {
        self.check_open()?;
        let Heartbeat { group, member, generation } = request;
        refusal(self.group_step(Input::Heartbeat { group, member, generation }))
    }

    pub(super) fn leave(&self, request: LeaveGroup) -> Result<()> {
        self.check_open()?;
        refusal(self.group_step(Input::Leave { group: request.group, member: request.member }))
    }

    pub(super) async fn commit(&self, request: CommitOffsets) -> Result<()> {
        let CommitOffsets { group, member, offsets } = request;
        let stored = offsets.into_iter().map(|(partition, offset)| {
            if offset < 0 {
                return Err(Error::InvalidRequest { why: format!("{offset} is not an offset of {partition}") });
            }
            let topic_id = self.partition(&partition)?.topic_id;
            Ok(StoredOffset { partition, topic_id, offset })
        });
        let offsets = stored.collect::<Result<Vec<_>>>()?;
        self.persist(Input::Commit { group, member, offsets, at: self.clock.now() }).await
    }

    pub(super) async fn delete_consumer_group(&self, request: DeleteGroup) -> Result<()> {
        self.persist(Input::Delete { group: request.group }).await
    }

    /// Steps with an input that asks for a record, stores it, and tells the machine once it is durable.
    async fn persist(&self, input: Input) -> Result<()> {
        self.check_open()?;
        let topic = self.ensure_internal(CONSUMER_OFFSETS).await?;
        let log = topic.partition(0)?;
        let (record, appended) = {
            let mut effects = Vec::new();
            let mut groups = self.groups.lock();
            groups.step(self.clock.instant(), input, &mut effects);
            let mut record = None;
            for effect in effects {
                match effect {
                    Effect::Persist(wanted) => record = Some(wanted),
                    Effect::Refused(error) => return Err(error),
                    _ => {}
                }
            }
            let record = record.expect("a commit or a deletion is stored or refused");
            let appended = log.append(one_record(&record, self.clock.now()));
            (record, appended)
        };
        let position = appended.await?.last_offset;
        self.group_step(Input::Stored { record, position });
        Ok(())
    }

    /// Reads the committed offsets of topics that still exist.
    pub(super) fn replay_groups(&self) -> Result<()> {
        let Ok(topic) = self.topic(&TopicName::new(CONSUMER_OFFSETS)?) else { return Ok(()) };
        let present: BTreeSet<_> = self.topics.iter().map(|topic| topic.id).collect();
        replay(&topic.partition(0)?.reader, |position, value| {
            let mut record: GroupRecord = from_bincode(value)
                .map_err(|e| Error::Malformed { why: format!("{CONSUMER_OFFSETS} at offset {position}: {e}") })?;
            if let GroupRecord::Offsets { offsets, .. } = &mut record {
                offsets.retain(|stored| present.contains(&stored.topic_id));
            }
            self.group_step(Input::Stored { record, position });
            Ok(())
        })
    }

    pub(super) fn committed(&self, request: &CommittedOffsets) -> Vec<CommittedOffset> {
        let groups = self.groups.lock();
        let Some(group) = groups.group(&request.group) else { return Vec::new() };
        let current = group.offsets.iter().filter(|(partition, committed)| self.is_current(partition, committed));
        let committed = current.map(|(partition, committed)| CommittedOffset {
            partition: partition.clone(),
            offset: committed.offset,
            committed_at: committed.at,
        });
        committed.collect()
    }

    pub(super) fn groups(&self, request: &DescribeGroups) -> Result<Vec<GroupDescription>> {
        let mut described: Vec<_> = {
            let groups = self.groups.lock();
            let positions = |group: &crate::group::Group| {
                let assigned = group.members.values().flat_map(|member| member.assignment.iter());
                let mut positions: BTreeMap<TopicPartition, Option<Offset>> =
                    assigned.map(|tp| (tp.clone(), None)).collect();
                let current = group.offsets.iter().filter(|(tp, committed)| self.is_current(tp, committed));
                positions.extend(current.map(|(tp, committed)| (tp.clone(), Some(committed.offset))));
                positions
            };
            let of_group = |(id, group): (&GroupId, &crate::group::Group)| {
                let members = group.members.iter().map(|(member, state)| GroupMember {
                    member: member.clone(),
                    assignment: state.assignment.clone(),
                });
                (id.clone(), group.generation, members.collect::<Vec<_>>(), positions(group))
            };
            groups.iter().map(of_group).collect::<Vec<_>>()
        }
        .into_iter()
        .map(|(group, generation, members, positions)| GroupDescription {
            group,
            kind: GroupKind::Consumer,
            generation,
            members,
            partitions: positions.into_iter().filter_map(|(tp, at)| self.lag(tp, at)).collect(),
        })
        .collect();
        described.extend(self.share_groups());
        described.sort_by(|a: &GroupDescription, b| a.group.cmp(&b.group));
        let Some(wanted) = &request.groups else { return Ok(described) };
        for group in wanted {
            if !described.iter().any(|known| known.group == *group) {
                let names = described.iter().map(|known| known.group.to_string());
                let did_you_mean = nearest(group.as_str(), names);
                return Err(Error::UnknownGroup { group: group.to_string(), did_you_mean });
            }
        }
        described.retain(|known| wanted.contains(&known.group));
        Ok(described)
    }

    /// Whether the topic that an offset was committed for is there. A commit may become durable just after its topic
    /// was deleted, and counts for no other of that name.
    fn is_current(&self, partition: &TopicPartition, committed: &Committed) -> bool {
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
    pub(super) fn age(&self, at: crate::types::Timestamp) -> std::time::Duration {
        std::time::Duration::from_millis(u64::try_from(self.clock.now().0.saturating_sub(at.0)).unwrap_or(0))
    }
}

fn refusal(effects: Vec<Effect>) -> Result<()> {
    let refused = effects.into_iter().find_map(|effect| match effect {
        Effect::Refused(error) => Some(error),
        _ => None,
    });
    refused.map_or(Ok(()), Err)
}
