//! A group of the consumer protocol (KIP-848): one request by which members live, say what they want and learn what to
//! own, and the coordinator assigns.
//!
//! ```text
//!   members, subscriptions, topics change ──▶ the group's epoch grows
//!   the next heartbeat ──▶ a target assignment for that epoch ──▶ each member is led to it (`reconcile`)
//! ```
//! There is no barrier: members that keep what they have go on reading. A member that is silent, or does not give up
//! what it should within its rebalance timeout, is removed and has to join anew.
//!
//! Static members that leave for a while (epoch -2) keep what they own, until their session is over or they come back
//! under another member id.
//!
//! Invariants. A partition is owned by one member, until that one has said that it gave it up, or was removed. A member's
//! epoch is never above the group's. Who shows an epoch that is not its own changes nothing.
//!
//! Left out: assignment by racks, and members of the classic protocol in a group of this one: a group changes its
//! protocol when it has no members.

use super::assignors::{ASSIGNORS, Subscriber, assign};
use super::messages::{Effect, Reply, RequestId};
use super::reconcile::{Current, is_within};
use super::records::{GroupRecord, MemberRecord, Partitions, Record};
use super::turn::{Then, Topics, Turn};
use crate::types::{
    ConsumerHeartbeat, ConsumerHeartbeatAnswer, Error, GroupClient, GroupRefusal, GroupState, Instant, Membership,
    PartitionIndex, Result, Timestamp, TopicId, TopicName,
};
use regex::RegexBuilder;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Leaves.
const LEAVES: i32 = -1;
/// A static member that leaves for a while.
const AWAY: i32 = -2;
/// Bytes that a compiled expression may take.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

/// The members of a group of the consumer protocol.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) epoch: i32,
    pub(crate) assignment_epoch: i32,
    pub(crate) members: BTreeMap<String, ConsumerMember>,
    /// Since when there are no members.
    pub(super) empty_since: Timestamp,
    /// The topics that members read, as they were for the present epoch.
    subscribed: BTreeMap<TopicName, (TopicId, PartitionIndex)>,
    /// The topics' version that `subscribed` was made from.
    seen: Option<u64>,
    /// Who owns what, or has not given it up.
    owners: BTreeMap<(TopicId, PartitionIndex), String>,
}

/// A member of the consumer protocol.
#[derive(Debug)]
pub(crate) struct ConsumerMember {
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client: GroupClient,
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) regex: Option<String>,
    assignor: Option<String>,
    rebalance_timeout: Duration,
    session_timeout: Duration,
    previous_epoch: i32,
    current: Current,
    pub(crate) target: Partitions,
    expires: Option<Instant>,
    /// Until when it has to give up what it should.
    gives_up_by: Option<Instant>,
    /// The topics that its expression stands for.
    resolved: BTreeSet<TopicName>,
}

impl ConsumerMember {
    pub(crate) const fn epoch(&self) -> i32 {
        self.current.epoch
    }

    pub(crate) const fn assigned(&self) -> &Partitions {
        &self.current.assigned
    }

    fn record(&self) -> MemberRecord {
        MemberRecord {
            instance: self.instance.clone(),
            rack: self.rack.clone(),
            client: self.client.clone(),
            epoch: self.current.epoch,
            previous_epoch: self.previous_epoch,
            topics: self.topics.clone(),
            regex: self.regex.clone(),
            assignor: self.assignor.clone(),
            rebalance_timeout: self.rebalance_timeout,
            session_timeout: self.session_timeout,
            assigned: self.current.assigned.clone(),
            revoking: self.current.revoking.clone(),
            is_waiting: self.current.is_waiting,
            target: self.target.clone(),
        }
    }

    fn replay(record: MemberRecord) -> Self {
        let MemberRecord { epoch, assigned, revoking, is_waiting, .. } = record;
        Self {
            instance: record.instance,
            rack: record.rack,
            client: record.client,
            topics: record.topics,
            regex: record.regex,
            assignor: record.assignor,
            rebalance_timeout: record.rebalance_timeout,
            session_timeout: record.session_timeout,
            previous_epoch: record.previous_epoch,
            current: Current { epoch, assigned, revoking, is_waiting },
            target: record.target,
            expires: None,
            gives_up_by: None,
            resolved: BTreeSet::new(),
        }
    }

    /// Takes up what a heartbeat says anew; whether that changes what is to be assigned.
    fn update(&mut self, beat: &ConsumerHeartbeat, topics: &Topics) -> Result<bool, GroupRefusal> {
        let regex = match beat.regex.as_deref() {
            None => self.regex.clone(),
            Some("") => None,
            Some(regex) => Some(regex.to_owned()),
        };
        let has_other_regex = regex != self.regex;
        if has_other_regex {
            self.resolved = resolve(regex.as_deref(), topics)?;
            self.regex = regex;
        }
        let subscribed = beat.topics.as_ref().map(|topics| topics.iter().cloned().collect());
        let has_other_topics = subscribed.as_ref().is_some_and(|topics| *topics != self.topics);
        self.topics = subscribed.unwrap_or_else(|| std::mem::take(&mut self.topics));
        let has_other_assignor = beat.assignor.is_some() && beat.assignor != self.assignor;
        if has_other_assignor {
            self.assignor.clone_from(&beat.assignor);
        }
        self.rack = beat.rack.clone().or_else(|| self.rack.take());
        self.rebalance_timeout = beat.rebalance_timeout.unwrap_or(self.rebalance_timeout);
        self.client.clone_from(&beat.client);
        Ok(has_other_regex || has_other_topics || has_other_assignor)
    }

    /// The topics that it reads, by name and by expression.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.union(&self.resolved)
    }
}

/// The topics whose whole name an expression matches; not those of the system.
fn resolve(regex: Option<&str>, topics: &Topics) -> Result<BTreeSet<TopicName>, GroupRefusal> {
    let Some(regex) = regex else { return Ok(BTreeSet::new()) };
    // Alone first, so that an unbalanced parenthesis does not find its partner in ours.
    let whole = RegexBuilder::new(regex)
        .size_limit(REGEX_BYTES_MAX)
        .build()
        .and_then(|_| RegexBuilder::new(&format!("^(?:{regex})$")).size_limit(REGEX_BYTES_MAX).build());
    let whole = whole.map_err(|_| GroupRefusal::InvalidRegex)?;
    let names = topics.by_name.keys().filter(|name| !name.is_internal() && whole.is_match(name.as_str()));
    Ok(names.cloned().collect())
}

fn partitions(owned: &[(TopicId, Vec<PartitionIndex>)]) -> Partitions {
    let mut all = Partitions::new();
    for (topic, partitions) in owned.iter().filter(|(_, partitions)| !partitions.is_empty()) {
        all.entry(*topic).or_default().extend(partitions);
    }
    all
}

impl Consumer {
    /// A group without members, whose next epoch is behind `epoch`.
    pub(super) fn new(epoch: i32, now: Timestamp) -> Self {
        Self {
            epoch,
            assignment_epoch: epoch,
            members: BTreeMap::new(),
            empty_since: now,
            subscribed: BTreeMap::new(),
            seen: None,
            owners: BTreeMap::new(),
        }
    }

    /// What a record says of the group, its members aside.
    pub(super) fn replay(&mut self, record: &GroupRecord) {
        if let GroupRecord::Consumer { epoch, assignment_epoch, empty_since } = *record {
            (self.epoch, self.assignment_epoch, self.empty_since) = (epoch, assignment_epoch, empty_since);
        }
    }

    /// What a record says of a member.
    pub(super) fn replay_member(&mut self, id: &str, record: Option<MemberRecord>) {
        self.owners.retain(|_, owner| owner != id);
        match record {
            None => drop(self.members.remove(id)),
            Some(record) => {
                let member = ConsumerMember::replay(record);
                self.owners.extend(member.current.holds().map(|partition| (partition, id.to_owned())));
                self.members.insert(id.to_owned(), member);
            }
        }
    }

    /// After a replay: sessions begin.
    pub(super) fn begin_sessions(&mut self, now: Instant, topics: &Topics) {
        for member in self.members.values_mut() {
            member.expires = Some(now + member.session_timeout);
            if !member.current.revoking.is_empty() {
                member.gives_up_by = Some(now + member.rebalance_timeout);
            }
            member.resolved = resolve(member.regex.as_deref(), topics).unwrap_or_default();
        }
        // Topics that have changed and that nobody has heard of are seen at the next heartbeat.
        let subscribed = self.subscriptions(topics);
        let expected = subscribed.values().flat_map(|(id, count)| (0..*count).map(|partition| (*id, partition)));
        let targets = self.members.values().flat_map(|member| &member.target);
        let assigned = targets.flat_map(|(id, partitions)| partitions.iter().map(|partition| (*id, *partition)));
        if expected.collect::<BTreeSet<_>>() == assigned.collect() {
            self.subscribed = subscribed;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.members.values().flat_map(|member| [member.expires, member.gives_up_by]).flatten().min()
    }

    pub(crate) fn state(&self) -> GroupState {
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.epoch > self.assignment_epoch {
            GroupState::Assigning
        } else if self.members.values().all(|member| member.current.is_stable(self.assignment_epoch)) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// The assignor that most members would like.
    pub(crate) fn assignor(&self) -> &'static str {
        let votes = |name: &str| self.members.values().filter(|m| m.assignor.as_deref() == Some(name)).count();
        let mut best = ASSIGNORS[0];
        for name in ASSIGNORS {
            if votes(name) > votes(best) {
                best = name;
            }
        }
        best
    }

    /// Handles a heartbeat; everything that it changes is stored before it is answered.
    pub(super) fn beat(
        &mut self,
        turn: &mut Turn<'_>,
        request: RequestId,
        beat: ConsumerHeartbeat,
        session_timeout: Duration,
        interval: Duration,
    ) {
        let handled = match beat.epoch {
            LEAVES | AWAY => self.leave(turn, &beat),
            _ => self.live(turn, &beat, session_timeout),
        };
        match handled {
            Ok(Changed { records, member, epoch, assignment }) => {
                let answer = ConsumerHeartbeatAnswer { member, epoch, interval, assignment };
                turn.persist(records, Then::Reply(request, Box::new(Reply::Beat(answer))));
            }
            Err(error) => turn.refuse(request, error),
        }
    }

    fn live(&mut self, turn: &mut Turn<'_>, beat: &ConsumerHeartbeat, session_timeout: Duration) -> Result<Changed> {
        if beat.assignor.as_deref().is_some_and(|name| !ASSIGNORS.contains(&name)) {
            return Err(turn.refused(GroupRefusal::UnsupportedAssignor));
        }
        let owned = beat.owned.as_deref().map(partitions);
        let mut before = self.find(turn, beat, owned.as_ref())?;
        let id = if beat.member.is_empty() { turn.ids.next(&beat.client.id) } else { beat.member.clone() };
        let mut records = Vec::new();
        let (mut is_new, is_back) = (false, before.as_ref().is_some_and(|before| *before != id));
        if before.is_none() {
            if self.members.len() >= turn.settings.members_max {
                return Err(turn.refused(GroupRefusal::Full));
            }
            let member = MemberRecord {
                instance: beat.instance.clone(),
                rack: None,
                client: beat.client.clone(),
                epoch: 0,
                previous_epoch: 0,
                topics: BTreeSet::new(),
                regex: None,
                assignor: None,
                rebalance_timeout: session_timeout,
                session_timeout,
                assigned: Partitions::new(),
                revoking: Partitions::new(),
                is_waiting: false,
                target: Partitions::new(),
            };
            let mut member = ConsumerMember::replay(member);
            member.update(beat, turn.topics).map_err(|refusal| turn.refused(refusal))?;
            self.members.insert(id.clone(), member);
            (is_new, before) = (true, Some(id.clone()));
        }
        let before = before.unwrap_or_default();
        if is_back {
            // A static member comes back: it takes the place of the one that left.
            if let Some(mut member) = self.members.remove(&before) {
                if let Err(refusal) = member.update(beat, turn.topics) {
                    self.members.insert(before, member);
                    return Err(turn.refused(refusal));
                }
                member.current = Current { epoch: 0, revoking: Partitions::new(), ..member.current };
                self.replay_member(&before, None);
                self.replay_member(&id, Some(member.record()));
                records.push(Record::Member { group: turn.group.clone(), member: before, state: None });
            }
        }
        let stored = self.members.get(&id).map(ConsumerMember::record).filter(|_| !is_new && !is_back);
        let mut changes = is_new;
        if let Some(member) = self.members.get_mut(&id) {
            changes |= member.update(beat, turn.topics).map_err(|refusal| turn.refused(refusal))?;
            if is_back {
                member.resolved = resolve(member.regex.as_deref(), turn.topics).unwrap_or_default();
            }
            (member.session_timeout, member.expires) = (session_timeout, Some(turn.now + session_timeout));
            if beat.epoch == 0 && !is_new {
                // It begins anew and owns nothing: what it is told next is all of it.
                member.current.epoch = 0;
            }
        }
        self.renew(turn, changes, &mut records);
        self.retarget(turn, &id, &mut records);
        let had = self.members.get(&id).map(|member| member.current.assigned.clone()).unwrap_or_default();
        self.reconcile(turn, &id, owned.as_ref(), beat.epoch == 0);
        let Some(member) = self.members.get(&id) else { return Err(turn.unknown_member(&id)) };
        let record = member.record();
        if stored.as_ref() != Some(&record) {
            records.push(Record::Member { group: turn.group.clone(), member: id.clone(), state: Some(record) });
        }
        let says_all =
            beat.rebalance_timeout.is_some() && (beat.topics.is_some() || beat.regex.is_some()) && beat.owned.is_some();
        let tells = beat.epoch == 0 || says_all || member.current.assigned != had;
        let listed = |(topic, partitions): (&TopicId, &BTreeSet<_>)| (*topic, partitions.iter().copied().collect());
        let assignment = tells.then(|| member.current.assigned.iter().map(listed).collect());
        Ok(Changed { records, member: id, epoch: member.current.epoch, assignment })
    }

    /// The member that a heartbeat is of, by the id that the group knows it by; `None` for a new one.
    fn find(&self, turn: &Turn<'_>, beat: &ConsumerHeartbeat, owned: Option<&Partitions>) -> Result<Option<String>> {
        let is_joining = beat.epoch == 0;
        let id = match &beat.instance {
            None => beat.member.clone(),
            Some(instance) => {
                let owner = self.members.iter().find(|(_, member)| member.instance.as_ref() == Some(instance));
                match owner {
                    Some((id, member)) if *id != beat.member => {
                        return match (is_joining, member.current.epoch == AWAY) {
                            (true, true) => Ok(Some(id.clone())),
                            (true, false) => Err(turn.refused(GroupRefusal::UnreleasedInstance)),
                            (false, _) => Err(turn.refused(GroupRefusal::FencedInstance)),
                        };
                    }
                    _ => beat.member.clone(),
                }
            }
        };
        let Some(member) = self.members.get(&id).filter(|_| !id.is_empty()) else {
            return if is_joining { Ok(None) } else { Err(turn.unknown_member(&id)) };
        };
        let epoch = member.current.epoch;
        // The answer that brought the epoch was lost.
        let is_behind = || {
            beat.epoch == member.previous_epoch && owned.is_some_and(|owned| is_within(owned, &member.current.assigned))
        };
        if is_joining || beat.epoch == epoch || (beat.epoch < epoch && is_behind()) {
            return Ok(Some(id));
        }
        Err(turn.refused(GroupRefusal::FencedMemberEpoch))
    }

    fn subscriptions(&self, topics: &Topics) -> BTreeMap<TopicName, (TopicId, PartitionIndex)> {
        let read: BTreeSet<_> = self.members.values().flat_map(ConsumerMember::reads).collect();
        read.into_iter().filter_map(|name| Some((name.clone(), *topics.by_name.get(name)?))).collect()
    }

    /// Begins another epoch, if members, subscriptions or the topics that they are to have changed.
    fn renew(&mut self, turn: &Turn<'_>, mut changes: bool, records: &mut Vec<Record>) {
        let is_newer = self.seen != Some(turn.topics.version);
        if is_newer {
            for member in self.members.values_mut().filter(|member| member.regex.is_some()) {
                member.resolved = resolve(member.regex.as_deref(), turn.topics).unwrap_or_default();
            }
            self.seen = Some(turn.topics.version);
        }
        if is_newer || changes {
            let subscribed = self.subscriptions(turn.topics);
            changes |= subscribed != self.subscribed;
            self.subscribed = subscribed;
        }
        if changes {
            self.epoch += 1;
            records.push(self.record(turn));
        }
    }

    /// Makes the target assignment of the present epoch. That of `member` alone is stored by who asks.
    fn retarget(&mut self, turn: &mut Turn<'_>, member: &str, records: &mut Vec<Record>) {
        if self.assignment_epoch == self.epoch {
            return;
        }
        let topics = self.subscribed.values().copied().collect();
        let subscribers = self.members.iter().map(|(id, member)| Subscriber {
            member: id,
            instance: member.instance.as_deref(),
            topics: member.reads().filter_map(|name| Some(self.subscribed.get(name)?.0)).collect(),
            before: &member.target,
        });
        let mut assigned = assign(self.assignor(), &subscribers.collect::<Vec<_>>(), &topics);
        for (id, state) in &mut self.members {
            let target = assigned.remove(id).unwrap_or_default();
            if target != state.target {
                state.target = target;
                if id != member {
                    let (group, state) = (turn.group.clone(), Some(state.record()));
                    records.push(Record::Member { group, member: id.clone(), state });
                }
            }
        }
        self.assignment_epoch = self.epoch;
        records.retain(|record| !matches!(record, Record::Group { .. }));
        records.push(self.record(turn));
        let (group, members) = (turn.group.clone(), self.members.len());
        turn.effects.push(Effect::Rebalanced { group, generation: self.epoch, members });
    }

    /// Leads a member one step further. One that begins anew owns nothing any more.
    fn reconcile(&mut self, turn: &Turn<'_>, id: &str, owned: Option<&Partitions>, is_anew: bool) {
        let nothing = Partitions::new();
        let owned = if is_anew { Some(&nothing) } else { owned };
        let Some(member) = self.members.get_mut(id) else { return };
        let is_free = |topic, partition| self.owners.get(&(topic, partition)).is_none_or(|owner| owner == id);
        let next = member.current.next(&member.target, self.assignment_epoch, owned, is_free);
        if next == member.current {
            return;
        }
        if next.epoch != member.current.epoch {
            member.previous_epoch = member.current.epoch;
        }
        member.gives_up_by = (!next.revoking.is_empty()).then(|| {
            let begun = member.gives_up_by.filter(|_| next.revoking == member.current.revoking);
            begun.unwrap_or(turn.now + member.rebalance_timeout)
        });
        for partition in member.current.holds() {
            self.owners.remove(&partition);
        }
        self.owners.extend(next.holds().map(|partition| (partition, id.to_owned())));
        member.current = next;
    }

    fn record(&self, turn: &Turn<'_>) -> Record {
        Record::Group { group: turn.group.clone(), state: Some(self.state_record()) }
    }

    /// The group as it is now, its members aside.
    pub(super) fn state_record(&self) -> GroupRecord {
        let Self { epoch, assignment_epoch, empty_since, .. } = *self;
        GroupRecord::Consumer { epoch, assignment_epoch, empty_since }
    }

    /// A member as it is now.
    pub(super) fn member_record(&self, member: &str) -> Option<MemberRecord> {
        self.members.get(member).map(ConsumerMember::record)
    }

    fn leave(&mut self, turn: &mut Turn<'_>, beat: &ConsumerHeartbeat) -> Result<Changed> {
        let by_instance = || {
            let instance = beat.instance.as_ref()?;
            self.members.iter().find(|(_, member)| member.instance.as_ref() == Some(instance))
        };
        let id = match by_instance() {
            Some((id, _)) if *id != beat.member => return Err(turn.refused(GroupRefusal::FencedInstance)),
            _ => beat.member.clone(),
        };
        let Some(member) = self.members.get_mut(&id) else { return Err(turn.unknown_member(&id)) };
        let records = if beat.epoch == AWAY && member.instance.is_some() {
            // Its session goes on: until then it may come back and have what it had.
            for partition in member.current.revoking.iter().flat_map(|(id, all)| all.iter().map(|p| (*id, *p))) {
                self.owners.remove(&partition);
            }
            member.current.revoking.clear();
            (member.current.epoch, member.gives_up_by) = (AWAY, None);
            vec![Record::Member { group: turn.group.clone(), member: id.clone(), state: Some(member.record()) }]
        } else {
            self.take_out(turn, &id)
        };
        Ok(Changed { records, member: id, epoch: beat.epoch, assignment: None })
    }

    /// Takes a member out: its partitions are free.
    fn take_out(&mut self, turn: &Turn<'_>, id: &str) -> Vec<Record> {
        self.replay_member(id, None);
        self.epoch += 1;
        if self.members.is_empty() {
            self.empty_since = turn.time;
        }
        self.subscribed = self.subscriptions(turn.topics);
        let gone = Record::Member { group: turn.group.clone(), member: id.to_owned(), state: None };
        vec![gone, self.record(turn)]
    }

    /// Takes out a member by name, as an administrator does.
    pub(super) fn remove(&mut self, turn: &mut Turn<'_>, member: &str, instance: Option<&str>) -> Result<Vec<Record>> {
        let found = self.members.iter().find(|(id, known)| match instance {
            Some(instance) => known.instance.as_deref() == Some(instance) && (member.is_empty() || *id == member),
            None => *id == member,
        });
        let id = found.map(|(id, _)| id.clone()).ok_or_else(|| turn.unknown_member(member))?;
        Ok(self.take_out(turn, &id))
    }

    /// Whether positions may be committed.
    pub(super) fn may_commit(&self, turn: &Turn<'_>, who: Option<&Membership>, in_transaction: bool) -> Result<()> {
        let Some(who) = who else {
            if self.members.is_empty() || in_transaction {
                return Ok(());
            }
            return Err(Error::GroupNotEmpty { group: turn.group.to_string(), members: self.members.len() });
        };
        let member = self.members.get(&who.member).ok_or_else(|| turn.unknown_member(&who.member))?;
        if who.generation == member.current.epoch {
            return Ok(());
        }
        Err(turn.refused(GroupRefusal::StaleMemberEpoch))
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= turn.now);
        let late = self.members.iter().filter(|(_, member)| is_due(member.expires) || is_due(member.gives_up_by));
        for id in late.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            turn.effects.push(Effect::Expired { group: turn.group.clone(), member: id.clone() });
            let records = self.take_out(turn, &id);
            turn.persist(records, Then::Nothing);
        }
    }
}

/// What a heartbeat has led to.
struct Changed {
    records: Vec<Record>,
    member: String,
    epoch: i32,
    assignment: Option<Vec<(TopicId, Vec<PartitionIndex>)>>,
}
