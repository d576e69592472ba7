//! Consumer groups: who reads which partition, and up to where.
//!
//! A pure machine: [`Groups::step`] takes the moment, one [`Input`] and a list to append [`Effect`]s to. It reads no
//! clock, waits for nothing and stores nothing; the broker does, and tells it the outcome as another input.
//!
//! ```text
//!   Join ──▶ generation + 1, partitions assigned by range ──▶ Joined
//!   Heartbeat, Commit with an older generation ──▶ Refused(StaleMember) ──▶ the client joins again
//!   silence longer than the session timeout ──▶ Expired, generation + 1
//!   Commit ──▶ Persist(record) … the broker appends it, waits until it is durable … Stored(record) ──▶ readable
//! ```
//!
//! Invariants: in one generation a partition has at most one member. A commit from an older generation changes
//! nothing. Committed offsets are what the log of `__consumer_offsets` says, applied in its order.
//!
//! Left out: a rebalance has no barrier. A member that loses a partition learns so at its next heartbeat or commit,
//! and what it processes until then is read again by the new owner (delivery is at least once). Members are not
//! durable: after a restart every member joins again, and only the offsets remain.

mod assignor;
mod messages;
#[cfg(test)]
mod tests;

pub(crate) use messages::{Effect, GroupRecord, Input, StoredOffset};

use crate::types::{Error, GroupId, Instant, Offset, PartitionIndex, Timestamp, TopicId, TopicName, TopicPartition};
use std::collections::BTreeMap;
use std::time::Duration;

/// All consumer groups of a broker.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: BTreeMap<GroupId, Group>,
    /// Numbers members, so that no id is used twice.
    members: u64,
    /// Sets the members of one run of the broker apart from those of another.
    run: u64,
}

/// One consumer group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// Grows whenever the assignment changes.
    pub(crate) generation: u32,
    /// By member id.
    pub(crate) members: BTreeMap<String, Member>,
    /// What was committed, by partition.
    pub(crate) offsets: BTreeMap<TopicPartition, Committed>,
}

/// A live member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    topics: BTreeMap<TopicName, PartitionIndex>,
    session_timeout: Duration,
    expires: Instant,
    /// The partitions it reads in this generation.
    pub(crate) assignment: Vec<TopicPartition>,
}

/// A committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The next offset to read.
    pub(crate) offset: Offset,
    /// The topic that it belongs to: one made again under the same name starts without commits.
    pub(crate) topic_id: TopicId,
    /// When it was committed.
    pub(crate) at: Timestamp,
    /// The position of the commit in `__consumer_offsets`; a later one wins.
    position: Offset,
}

impl Groups {
    /// No groups. `run` differs from one start of the broker to the next.
    pub(crate) fn new(run: u64) -> Self {
        Self { run, ..Self::default() }
    }

    /// A group by name.
    pub(crate) fn group(&self, group: &GroupId) -> Option<&Group> {
        self.groups.get(group)
    }

    /// All groups by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupId, &Group)> {
        self.groups.iter()
    }

    /// When the first member expires; step with [`Input::Tick`] then.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.groups.values().flat_map(|group| group.members.values()).map(|member| member.expires).min()
    }

    /// Handles one input. Members that expired by `now` are removed first.
    pub(crate) fn step(&mut self, now: Instant, input: Input, effects: &mut Vec<Effect>) {
        self.expire(now, effects);
        match input {
            Input::Tick => {}
            Input::Join { group, member, topics, session_timeout } => {
                self.join(now, group, member, topics, session_timeout, effects);
            }
            Input::Heartbeat { group, member, generation } => {
                effects.push(match self.live(now, &group, &member, generation) {
                    Ok(()) => Effect::Alive,
                    Err(error) => Effect::Refused(error),
                });
            }
            Input::Leave { group, member } => self.leave(&group, &member, effects),
            Input::Commit { group, member, offsets, at } => {
                let allowed = match member {
                    Some((member, generation)) => self.live(now, &group, &member, generation),
                    None => self.without_members(&group),
                };
                effects.push(match allowed {
                    Ok(()) => Effect::Persist(GroupRecord::Offsets { group, offsets, at }),
                    Err(error) => Effect::Refused(error),
                });
            }
            Input::Delete { group } => {
                let known = self.groups.contains_key(&group);
                effects.push(match self.without_members(&group) {
                    Ok(()) if known => Effect::Persist(GroupRecord::Deleted { group }),
                    Ok(()) => Effect::Refused(Error::UnknownGroup { group: group.to_string(), did_you_mean: None }),
                    Err(error) => Effect::Refused(error),
                });
            }
            Input::Stored { record, position } => self.apply(record, position),
            Input::TopicDeleted { topic_id } => {
                for group in self.groups.values_mut() {
                    group.offsets.retain(|_, committed| committed.topic_id != topic_id);
                }
                self.groups.retain(|_, group| !group.is_forgotten());
            }
        }
    }

    fn join(
        &mut self,
        now: Instant,
        id: GroupId,
        member: Option<String>,
        topics: Vec<(TopicName, PartitionIndex)>,
        session_timeout: Duration,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(member) = &member
            && self.groups.get(&id).is_none_or(|group| !group.members.contains_key(member))
        {
            effects.push(Effect::Refused(stale(&id, format!("it does not know member {member}"))));
            return;
        }
        let member = member.unwrap_or_else(|| {
            self.members += 1;
            format!("{id}-{:x}-{}", self.run, self.members)
        });
        let group = self.groups.entry(id.clone()).or_default();
        let topics: BTreeMap<_, _> = topics.into_iter().collect();
        let changes = group.members.get(&member).is_none_or(|known| known.topics != topics);
        let assignment = group.members.remove(&member).map(|known| known.assignment).unwrap_or_default();
        let expires = now + session_timeout;
        group.members.insert(member.clone(), Member { topics, session_timeout, expires, assignment });
        if changes {
            group.rebalance(&id, effects);
        }
        let assignment = group.members[&member].assignment.clone();
        effects.push(Effect::Joined { group: id, member, generation: group.generation, assignment });
    }

    fn leave(&mut self, id: &GroupId, member: &str, effects: &mut Vec<Effect>) {
        let left = self.groups.get_mut(id).is_some_and(|group| group.members.remove(member).is_some());
        if !left {
            effects.push(Effect::Refused(stale(id, format!("it does not know member {member}"))));
            return;
        }
        effects.push(Effect::Left { group: id.clone(), member: member.to_owned() });
        self.after_removal(id, effects);
    }

    fn expire(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let mut changed = Vec::new();
        for (id, group) in &mut self.groups {
            let before = group.members.len();
            group.members.retain(|member, state| {
                let lives = state.expires > now;
                if !lives {
                    effects.push(Effect::Expired { group: id.clone(), member: member.clone() });
                }
                lives
            });
            if group.members.len() < before {
                changed.push(id.clone());
            }
        }
        for id in changed {
            self.after_removal(&id, effects);
        }
    }

    fn after_removal(&mut self, id: &GroupId, effects: &mut Vec<Effect>) {
        if let Some(group) = self.groups.get_mut(id) {
            group.rebalance(id, effects);
            if group.is_forgotten() {
                self.groups.remove(id);
            }
        }
    }

    /// Renews a member's session; refuses one that is unknown or of another generation.
    fn live(&mut self, now: Instant, id: &GroupId, member: &str, generation: u32) -> Result<(), Error> {
        let group = self.groups.get_mut(id);
        let Some((current, state)) = group.and_then(|g| Some((g.generation, g.members.get_mut(member)?))) else {
            return Err(stale(id, format!("it does not know member {member}; its session may have expired")));
        };
        state.expires = now + state.session_timeout;
        if current == generation {
            Ok(())
        } else {
            Err(stale(id, format!("it is in generation {current} and member {member} in {generation}")))
        }
    }

    fn without_members(&self, id: &GroupId) -> Result<(), Error> {
        match self.groups.get(id).map_or(0, |group| group.members.len()) {
            0 => Ok(()),
            members => Err(Error::GroupNotEmpty { group: id.to_string(), members }),
        }
    }

    fn apply(&mut self, record: GroupRecord, position: Offset) {
        match record {
            GroupRecord::Offsets { group, offsets, at } => {
                let group = self.groups.entry(group).or_default();
                for StoredOffset { partition, topic_id, offset } in offsets {
                    let committed = Committed { offset, topic_id, at, position };
                    let known = group.offsets.entry(partition).or_insert(committed);
                    // Two commits may become durable together and be told in the other order.
                    if known.position <= position {
                        *known = committed;
                    }
                }
            }
            GroupRecord::Deleted { group: id } => {
                if let Some(group) = self.groups.get_mut(&id) {
                    group.offsets.retain(|_, committed| committed.position > position);
                    if group.is_forgotten() {
                        self.groups.remove(&id);
                    }
                }
            }
        }
    }
}

impl Group {
    /// A new generation with a new assignment.
    fn rebalance(&mut self, id: &GroupId, effects: &mut Vec<Effect>) {
        self.generation += 1;
        let subscriptions = self.members.iter().map(|(member, state)| (member.as_str(), &state.topics));
        let mut assigned = assignor::range(subscriptions);
        for (member, state) in &mut self.members {
            state.assignment = assigned.remove(member).unwrap_or_default();
        }
        let members = self.members.len();
        effects.push(Effect::Rebalanced { group: id.clone(), generation: self.generation, members });
    }

    fn is_forgotten(&self) -> bool {
        self.members.is_empty() && self.offsets.is_empty()
    }
}

fn stale(group: &GroupId, why: String) -> Error {
    Error::StaleMember { group: group.to_string(), why }
}
