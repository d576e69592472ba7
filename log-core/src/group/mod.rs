//! Groups: who reads which partition, and up to where.
//!
//! A pure machine: [`Groups::step`] takes the moment, one [`Input`] and a list to append [`Effect`]s to. It reads no
//! clock, waits for nothing and stores nothing; the broker does, and tells it the outcome as another input.
//!
//! ```text
//!   Join, Sync, Beat, Commit … ──▶ Persist(#7, records) … the broker appends them … Stored(#7) ──▶ Reply
//!   silence ──▶ Expired, and a rebalance among the others
//!   open ──▶ Replay(record)… ──▶ Replayed: members have their whole session to be heard of again
//! ```
//! A group speaks one of two protocols: the classic one ([`classic`]), where members agree among themselves and the
//! coordinator keeps the barrier, and the consumer protocol of KIP-848 ([`consumer`]), where the coordinator assigns
//! ([`assignors`]) and leads each member to what it is to own ([`reconcile`]). Both keep positions alike ([`offsets`]). A
//! group without members takes up the protocol of whoever comes next.
//!
//! Invariants. In one generation a partition has at most one member, in the consumer protocol at any moment. A commit of
//! an older generation changes nothing. What is answered is durable, and the records lead to the same groups again
//! ([`records`]). Members change in memory at once; if their record cannot be stored, what it was about is stored with the
//! next record, or a second later, so that the log does not stay behind. Positions count when they are durable.
//!
//! Left out: streams groups; share groups are queues of our own (`share`); moving a group to the other protocol while it
//! has members.

mod assignors;
mod classic;
mod consumer;
mod messages;
mod offsets;
mod reconcile;
mod records;
#[cfg(test)]
mod tests;
mod turn;

pub(crate) use classic::{Classic, ClassicMember};
pub(crate) use consumer::{Consumer, ConsumerMember};
pub(crate) use messages::{Effect, Input, Now, Position, Refused, Reply, RequestId};
pub(crate) use offsets::Offsets;
pub(crate) use records::{Committed, Partitions, Record};
pub(crate) use turn::GroupSettings;

use crate::types::{
    ConsumerHeartbeat, Error, GroupId, GroupRefusal, GroupState, Instant, JoinGroup, Membership, ProducerIdentity,
    Result, Timestamp, TopicPartition,
};
use records::{GroupRecord, Key};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use turn::{MemberIds, Store, Stores, Then, Topics, Turn};

/// How often positions and groups that nobody uses are looked for (Kafka's `offsets.retention.check.interval.ms`).
const CLEANUP_EVERY: Duration = Duration::from_mins(10);
/// When what could not be stored is tried again.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// All groups of a broker.
#[derive(Debug)]
pub(crate) struct Groups {
    groups: BTreeMap<GroupId, Group>,
    /// By deadline, as each group has it.
    deadlines: BTreeSet<(Instant, GroupId)>,
    topics: Topics,
    settings: GroupSettings,
    ids: MemberIds,
    stores: Stores,
    /// What the log is behind in.
    owed: BTreeSet<Key>,
    store_again: Option<Instant>,
    /// When to look for what nobody uses; `None` before the first step.
    cleanup: Option<Instant>,
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) members: Members,
    pub(crate) offsets: Offsets,
    deadline: Option<Instant>,
}

/// The members of a group, by the protocol that they speak.
#[derive(Debug)]
pub(crate) enum Members {
    Classic(Classic),
    Consumer(Consumer),
}

impl Group {
    fn new(now: Timestamp) -> Self {
        Self { members: Members::Classic(Classic::new(now)), offsets: Offsets::default(), deadline: None }
    }

    /// How many members there are.
    pub(crate) fn size(&self) -> usize {
        match &self.members {
            Members::Classic(classic) => classic.members.len(),
            Members::Consumer(consumer) => consumer.members.len(),
        }
    }

    /// Where it stands.
    pub(crate) fn state(&self) -> GroupState {
        match &self.members {
            Members::Classic(classic) => classic.state,
            Members::Consumer(consumer) => consumer.state(),
        }
    }

    fn is_unused(&self) -> bool {
        match &self.members {
            Members::Classic(classic) => classic.is_unused(),
            Members::Consumer(consumer) => consumer.members.is_empty(),
        }
    }

    /// Nothing of it was ever stored, and nobody is in it.
    fn is_nothing(&self) -> bool {
        let is_new = matches!(&self.members, Members::Classic(classic) if classic.generation == 0);
        is_new && self.is_unused() && self.offsets.is_empty()
    }

    /// Whether positions may be committed.
    fn may_commit(&mut self, turn: &Turn<'_>, who: Option<&Membership>, in_transaction: bool) -> Result<()> {
        match &mut self.members {
            Members::Classic(classic) => classic.may_commit(turn, who, in_transaction),
            Members::Consumer(consumer) => consumer.may_commit(turn, who, in_transaction),
        }
    }

    fn expire(&mut self, turn: &mut Turn<'_>) {
        match &mut self.members {
            Members::Classic(classic) => classic.expire(turn),
            Members::Consumer(consumer) => consumer.expire(turn),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match &self.members {
            Members::Classic(classic) => classic.deadline(),
            Members::Consumer(consumer) => consumer.deadline(),
        }
    }
}

impl Groups {
    /// No groups. `run` differs from one start of the broker to the next.
    pub(crate) fn new(run: u64, settings: GroupSettings) -> Self {
        Self {
            groups: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            topics: Topics::default(),
            settings,
            ids: MemberIds { run, last: 0 },
            stores: Stores::default(),
            owed: BTreeSet::new(),
            store_again: None,
            cleanup: None,
        }
    }

    /// A group by name.
    pub(crate) fn group(&self, group: &GroupId) -> Option<&Group> {
        self.groups.get(group)
    }

    /// All groups by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupId, &Group)> {
        self.groups.iter()
    }

    /// The producers whose transactions have committed positions and are not known to have ended.
    pub(crate) fn pending_producers(&self) -> BTreeSet<ProducerIdentity> {
        let pending = self.groups.values().flat_map(|group| &group.offsets.pending);
        let identity = |(id, pending): (&i64, &BTreeMap<TopicPartition, records::Pending>)| {
            let epoch = pending.values().map(|pending| pending.producer_epoch).max().unwrap_or_default();
            ProducerIdentity { id: *id, epoch }
        };
        pending.map(identity).collect()
    }

    /// Whether a client that asks for positions is in the group as it says; only the consumer protocol is strict.
    pub(crate) fn may_read(&self, id: &GroupId, who: &Membership) -> Result<()> {
        let Some(Group { members: Members::Consumer(consumer), .. }) = self.groups.get(id) else { return Ok(()) };
        let group = id.to_string();
        match consumer.members.get(&who.member) {
            None => Err(Error::StaleMember { group, why: format!("it does not know member `{}`", who.member) }),
            Some(member) if member.epoch() != who.generation => {
                Err(Error::GroupRefused { group, refusal: GroupRefusal::StaleMemberEpoch })
            }
            Some(_) => Ok(()),
        }
    }

    /// When something is due; step with [`Input::Tick`] then.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let first = self.deadlines.first().map(|(at, _)| *at);
        let cleanup = self.cleanup.filter(|_| !self.groups.is_empty());
        [first, cleanup, self.store_again].into_iter().flatten().min()
    }

    /// Handles one input. What is due by `now` is done first.
    pub(crate) fn step(&mut self, now: Now, input: Input, effects: &mut Vec<Effect>) {
        let replays = matches!(input, Input::Replay(_) | Input::Topic { .. } | Input::TopicDeleted { .. });
        if !replays {
            self.tick(now, effects);
        }
        match input {
            Input::Tick => {}
            Input::Topic { name, id, partitions } => {
                self.topics.by_name.insert(name, (id, partitions));
                self.topics.version += 1;
            }
            Input::TopicDeleted { id } => {
                self.topics.by_name.retain(|_, (known, _)| *known != id);
                self.topics.version += 1;
                self.groups.values_mut().for_each(|group| group.offsets.forget_topic(id));
            }
            Input::Join { request, join } => self.join(now, request, *join, effects),
            Input::Sync { request, sync } => {
                let group = sync.group.clone();
                self.classic(now, request, &group, effects, |classic, turn| {
                    let who = sync.who.member.clone();
                    match classic {
                        Some(classic) => classic.sync(turn, request, *sync),
                        None => turn.refuse(request, turn.unknown_member(&who)),
                    }
                });
            }
            Input::Heartbeat { request, group, who } => {
                self.classic(now, request, &group, effects, |classic, turn| {
                    let alive = match classic {
                        Some(classic) => classic.heartbeat(turn, &who),
                        None => Err(turn.unknown_member(&who.member)),
                    };
                    turn.answer(request, alive.map(|()| Reply::Done));
                });
            }
            Input::Leave { request, group, members } => self.leave(now, request, &group, &members, effects),
            Input::Beat { request, beat, session_timeout, interval } => {
                self.beat(now, request, *beat, session_timeout, interval, effects);
            }
            Input::Commit { request, group, who, producer, positions } => {
                self.commit(now, request, group, who.as_ref(), producer, positions, effects);
            }
            Input::EndTransaction { request, producer_id, commit } => {
                let ended = self.groups.iter().flat_map(|(id, group)| group.offsets.end(id, producer_id, commit));
                let records: Vec<_> = ended.collect();
                let any = records.first().and_then(Record::key);
                let group = match any {
                    Some(Key::Offset(group, _) | Key::Pending(group, ..)) => group,
                    _ => return effects.push(Effect::Reply { request, result: Ok(Reply::Done) }),
                };
                self.turn(now, &group, effects).persist(records, Then::Reply(request, Box::new(Reply::Done)));
            }
            Input::DeleteOffsets { request, group, partitions } => {
                let records = self.groups.get(&group).map(|known| known.offsets.forget(&group, partitions.iter()));
                let mut turn = self.turn(now, &group, effects);
                match records {
                    Some(records) => turn.persist(records, Then::Reply(request, Box::new(Reply::Done))),
                    None => turn.refuse(request, unknown(&group)),
                }
            }
            Input::Delete { request, group } => self.delete(now, request, &group, effects),
            Input::Stored { number } => self.stored(now, number, effects),
            Input::NotStored { number, error } => self.not_stored(now, number, &error, effects),
            Input::Replay(record) => self.replay(now, &record),
            Input::Replayed => {
                for group in self.groups.values_mut() {
                    match &mut group.members {
                        Members::Classic(classic) => classic.begin_sessions(now.instant),
                        Members::Consumer(consumer) => consumer.begin_sessions(now.instant, &self.topics),
                    }
                }
                self.groups.keys().cloned().collect::<Vec<_>>().iter().for_each(|id| self.settle(id));
            }
        }
    }

    fn turn<'a>(&'a mut self, now: Now, group: &GroupId, effects: &'a mut Vec<Effect>) -> Turn<'a> {
        Turn {
            now: now.instant,
            time: now.time,
            group: group.clone(),
            settings: &self.settings,
            topics: &self.topics,
            ids: &mut self.ids,
            stores: &mut self.stores,
            effects,
        }
    }

    /// Works on one group, if it is there.
    fn with<T>(
        &mut self,
        now: Now,
        id: &GroupId,
        effects: &mut Vec<Effect>,
        work: impl FnOnce(Option<&mut Group>, &mut Turn<'_>) -> T,
    ) -> T {
        let mut group = self.groups.remove(id);
        let done = work(group.as_mut(), &mut self.turn(now, id, effects));
        if let Some(group) = group {
            self.groups.insert(id.clone(), group);
        }
        self.settle(id);
        done
    }

    /// Works on one group of the classic protocol; `None` of any other.
    fn classic(
        &mut self,
        now: Now,
        _: RequestId,
        id: &GroupId,
        effects: &mut Vec<Effect>,
        work: impl FnOnce(Option<&mut Classic>, &mut Turn<'_>),
    ) {
        self.with(now, id, effects, |group, turn| match group.map(|group| &mut group.members) {
            Some(Members::Classic(classic)) => work(Some(classic), turn),
            _ => work(None, turn),
        });
    }

    /// Notes when something is due in a group, and forgets one that came to nothing.
    fn settle(&mut self, id: &GroupId) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let deadline = group.next_deadline();
        if let Some(before) = group.deadline.filter(|before| Some(*before) != deadline) {
            self.deadlines.remove(&(before, id.clone()));
        }
        group.deadline = deadline;
        let (is_nothing, is_stored) = (group.is_nothing(), |store: &Store| store.group == *id);
        if let Some(at) = deadline {
            self.deadlines.insert((at, id.clone()));
        }
        if is_nothing && !self.stores.waiting.values().any(is_stored) {
            self.groups.remove(id);
        }
    }

    /// Lets happen what is due.
    fn tick(&mut self, now: Now, effects: &mut Vec<Effect>) {
        while let Some((at, id)) = self.deadlines.first().cloned() {
            if at > now.instant {
                break;
            }
            self.deadlines.pop_first();
            self.with(now, &id, effects, |group, turn| {
                if let Some(group) = group {
                    group.deadline = None;
                    group.expire(turn);
                }
            });
        }
        if self.store_again.is_some_and(|at| at <= now.instant) {
            self.store_again = None;
            self.store_owed(now, effects);
        }
        match self.cleanup {
            Some(at) if at > now.instant => {}
            at => {
                self.cleanup = Some(now.instant + CLEANUP_EVERY);
                if at.is_some() {
                    self.clean_up(now, effects);
                }
            }
        }
    }

    /// Forgets positions that were not renewed for too long, and groups that nobody is in and that have none.
    fn clean_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let ids: Vec<_> = self.groups.iter().filter(|(_, group)| group.is_unused()).map(|(id, _)| id.clone()).collect();
        for id in ids {
            let retention = self.settings.retention;
            let Some(group) = self.groups.get(&id) else { continue };
            let since = match &group.members {
                // A client that keeps its own partitions: each position has its own time.
                Members::Classic(classic) if classic.protocol_type.is_none() => Timestamp::MIN,
                Members::Classic(classic) => classic.empty_since,
                Members::Consumer(consumer) => consumer.empty_since,
            };
            let expired = retention.map(|retention| group.offsets.expired(now.time, since, retention));
            let expired = expired.unwrap_or_default();
            let mut records = group.offsets.forget(&id, expired.iter());
            if expired.len() == group.offsets.committed.len() && group.offsets.pending.is_empty() {
                records.push(Record::Group { group: id.clone(), state: None });
            }
            self.turn(now, &id, effects).persist(records, Then::Nothing);
        }
    }

    fn join(&mut self, now: Now, request: RequestId, join: JoinGroup, effects: &mut Vec<Effect>) {
        let (id, settings) = (join.group.clone(), self.settings.clone());
        let mut turn = self.turn(now, &id, effects);
        if !(settings.session_min..=settings.session_max).contains(&join.session_timeout) {
            return turn.refuse(request, turn.refused(GroupRefusal::InvalidSessionTimeout));
        }
        if !self.groups.contains_key(&id) {
            if !join.member.is_empty() {
                let mut turn = self.turn(now, &id, effects);
                return turn.refuse(request, turn.unknown_member(&join.member));
            }
            self.groups.insert(id.clone(), Group::new(now.time));
        }
        self.with(now, &id, effects, |group, turn| {
            let Some(group) = group else { return };
            if let Members::Consumer(consumer) = &group.members
                && consumer.members.is_empty()
            {
                group.members = Members::Classic(Classic::after(consumer.epoch, now.time));
            }
            match &mut group.members {
                Members::Classic(classic) => classic.join(turn, request, join),
                Members::Consumer(_) => turn.refuse(request, turn.refused(GroupRefusal::InconsistentProtocol)),
            }
        });
    }

    fn leave(
        &mut self,
        now: Now,
        request: RequestId,
        id: &GroupId,
        members: &[(String, Option<String>)],
        effects: &mut Vec<Effect>,
    ) {
        self.with(now, id, effects, |group, turn| {
            let Some(group) = group else { return turn.refuse(request, turn.unknown_member("")) };
            let mut records = Vec::new();
            let left = members.iter().map(|(member, instance)| match &mut group.members {
                Members::Classic(classic) => classic.leave(turn, member, instance.as_deref()),
                Members::Consumer(consumer) => {
                    consumer.remove(turn, member, instance.as_deref()).map(|more| records.extend(more))
                }
            });
            let left = Reply::Left(left.map(|left| left.err().map(Refused)).collect());
            turn.persist(records, Then::Reply(request, Box::new(left)));
        });
    }

    fn beat(
        &mut self,
        now: Now,
        request: RequestId,
        beat: ConsumerHeartbeat,
        session_timeout: Duration,
        interval: Duration,
        effects: &mut Vec<Effect>,
    ) {
        let id = beat.group.clone();
        if beat.epoch == 0 && !self.groups.contains_key(&id) {
            self.groups.insert(id.clone(), Group::new(now.time));
        }
        self.with(now, &id, effects, |group, turn| {
            let Some(group) = group else { return turn.refuse(request, unknown(&turn.group)) };
            if let Members::Classic(classic) = &group.members
                && classic.is_unused()
                && beat.epoch == 0
            {
                group.members = Members::Consumer(Consumer::new(classic.generation, now.time));
            }
            match &mut group.members {
                Members::Consumer(consumer) => consumer.beat(turn, request, beat, session_timeout, interval),
                Members::Classic(_) => turn.refuse(request, unknown(&turn.group)),
            }
        });
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of one input")]
    fn commit(
        &mut self,
        now: Now,
        request: RequestId,
        id: GroupId,
        who: Option<&Membership>,
        producer: Option<ProducerIdentity>,
        positions: Vec<Position>,
        effects: &mut Vec<Effect>,
    ) {
        if !self.groups.contains_key(&id) {
            if who.is_some() {
                let mut turn = self.turn(now, &id, effects);
                return turn.refuse(request, turn.refused(GroupRefusal::IllegalGeneration));
            }
            self.groups.insert(id.clone(), Group::new(now.time));
        }
        self.with(now, &id, effects, |group, turn| {
            let Some(group) = group else { return };
            if let Err(error) = group.may_commit(turn, who, producer.is_some()) {
                return turn.refuse(request, error);
            }
            let records = group.offsets.commit(&turn.group, producer, positions, turn.time);
            turn.persist(records, Then::Reply(request, Box::new(Reply::Done)));
        });
    }

    fn delete(&mut self, now: Now, request: RequestId, id: &GroupId, effects: &mut Vec<Effect>) {
        self.with(now, id, effects, |group, turn| {
            let Some(group) = group else { return turn.refuse(request, unknown(&turn.group)) };
            let members = group.size();
            if members > 0 {
                return turn.refuse(request, Error::GroupNotEmpty { group: turn.group.to_string(), members });
            }
            let mut records = group.offsets.forget(&turn.group, group.offsets.committed.keys());
            records.push(Record::Group { group: turn.group.clone(), state: None });
            turn.persist(records, Then::Reply(request, Box::new(Reply::Done)));
        });
    }

    fn stored(&mut self, now: Now, number: u64, effects: &mut Vec<Effect>) {
        let Some(Store { group: id, records, then }) = self.stores.waiting.remove(&number) else { return };
        for record in &records {
            self.apply(now, record);
            // It is newer than what failed before it.
            if let Some(key) = record.key() {
                self.owed.remove(&key);
            }
        }
        self.with(now, &id, effects, |group, turn| match then {
            Then::Nothing => {}
            Then::Reply(request, reply) => turn.reply(request, *reply),
            Then::Assign { generation, assignments } => {
                if let Some(Members::Classic(classic)) = group.map(|group| &mut group.members) {
                    classic.assign(turn, generation, assignments);
                }
            }
        });
        if !self.owed.is_empty() {
            self.store_owed(now, effects);
        }
    }

    /// What is durable counts. Members have changed before.
    fn apply(&mut self, now: Now, record: &Record) {
        match record {
            Record::Offset { group, state, .. } => {
                if state.is_some() || self.groups.contains_key(group) {
                    self.groups.entry(group.clone()).or_insert_with(|| Group::new(now.time)).offsets.apply(record);
                }
            }
            Record::Pending { group, .. } => {
                if let Some(group) = self.groups.get_mut(group) {
                    group.offsets.apply(record);
                }
            }
            Record::Group { group: id, state: None } => {
                // Somebody may have come while it was forgotten.
                if self.groups.get(id).is_some_and(|group| group.is_unused() && group.offsets.is_empty()) {
                    self.forget(id);
                }
            }
            Record::Group { .. } | Record::Member { .. } | Record::Forgotten { .. } => {}
        }
    }

    fn forget(&mut self, id: &GroupId) {
        if let Some(Group { deadline: Some(at), .. }) = self.groups.remove(id) {
            self.deadlines.remove(&(at, id.clone()));
        }
    }

    fn not_stored(&mut self, now: Now, number: u64, error: &Error, effects: &mut Vec<Effect>) {
        let Some(Store { group: id, records, then }) = self.stores.waiting.remove(&number) else { return };
        for record in &records {
            match record {
                // Only what has changed in memory already is owed.
                Record::Group { state: Some(_), .. } | Record::Member { .. } => self.owed.extend(record.key()),
                Record::Pending { group, .. } => {
                    if let Some(group) = self.groups.get_mut(group) {
                        group.offsets.take_back(record);
                    }
                }
                _ => {}
            }
        }
        self.with(now, &id, effects, |group, turn| match then {
            Then::Nothing => {}
            Then::Reply(request, _) => turn.refuse(request, error.clone()),
            Then::Assign { generation, .. } => {
                if let Some(Members::Classic(classic)) = group.map(|group| &mut group.members) {
                    classic.not_assigned(turn, generation);
                }
            }
        });
        if !self.owed.is_empty() {
            self.store_again = Some(now.instant + STORE_AGAIN);
        }
    }

    /// Stores what the log is behind in, as it is now.
    fn store_owed(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let owed = std::mem::take(&mut self.owed);
        let mut by_group: BTreeMap<GroupId, Vec<Record>> = BTreeMap::new();
        for key in owed {
            let record = match key {
                Key::Group(group) => {
                    let state = self.groups.get(&group).map(|known| match &known.members {
                        Members::Classic(classic) => classic.state_record(),
                        Members::Consumer(consumer) => consumer.state_record(),
                    });
                    Record::Group { group, state }
                }
                Key::Member(group, member) => {
                    let state = match self.groups.get(&group).map(|known| &known.members) {
                        Some(Members::Consumer(consumer)) => consumer.member_record(&member),
                        _ => None,
                    };
                    Record::Member { group, member, state }
                }
                Key::Offset(..) | Key::Pending(..) => continue,
            };
            if let Some(Key::Group(group) | Key::Member(group, _)) = record.key() {
                by_group.entry(group).or_default().push(record);
            }
        }
        for (group, records) in by_group {
            self.turn(now, &group, effects).persist(records, Then::Nothing);
        }
    }

    fn replay(&mut self, now: Now, record: &Record) {
        let (Record::Offset { group: id, .. }
        | Record::Pending { group: id, .. }
        | Record::Group { group: id, .. }
        | Record::Member { group: id, .. }
        | Record::Forgotten { group: id }) = record;
        let is_tombstone = matches!(record.to_bytes(), (_, None));
        if is_tombstone && !self.groups.contains_key(id) {
            return;
        }
        let group = self.groups.entry(id.clone()).or_insert_with(|| Group::new(now.time));
        match record {
            Record::Offset { .. } | Record::Pending { .. } | Record::Forgotten { .. } => group.offsets.apply(record),
            Record::Group { state: Some(state @ GroupRecord::Classic { .. }), .. } => {
                if let Some(classic) = Classic::replay(state.clone()) {
                    group.members = Members::Classic(classic);
                }
            }
            Record::Group { state: Some(state), .. } => group.consumer(now.time).replay(state),
            Record::Group { state: None, .. } => group.members = Members::Classic(Classic::new(now.time)),
            Record::Member { member, state, .. } => group.consumer(now.time).replay_member(member, state.clone()),
        }
        if self.groups.get(id).is_some_and(Group::is_nothing) {
            self.groups.remove(id);
        }
    }
}

impl Group {
    /// Its members as those of the consumer protocol, which a replay says that they are.
    fn consumer(&mut self, now: Timestamp) -> &mut Consumer {
        if let Members::Classic(classic) = &self.members {
            self.members = Members::Consumer(Consumer::new(classic.generation, now));
        }
        match &mut self.members {
            Members::Consumer(consumer) => consumer,
            Members::Classic(_) => unreachable!("it was made one above"),
        }
    }
}

fn unknown(group: &GroupId) -> Error {
    Error::UnknownGroup { group: group.to_string(), did_you_mean: None }
}
