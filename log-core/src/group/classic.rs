//! A group of the classic protocol.
//!
//! ```text
//!            a join            all have joined, or time is up      the leader's assignment is durable
//!   Empty ──────────▶ PreparingRebalance ──▶ CompletingRebalance ──▶ Stable
//!     ▲                 ▲    │                     │                   │
//!     │  nobody came    │    │   joins, leaves,    │                   │
//!     └─────────────────┼────┘   silence           ▼                   ▼
//!                       └──────────────────────────┴───────────────────┘
//! ```
//! Who joins waits until all have (the barrier). Members agree on a protocol by vote; the leader, who joined first,
//! assigns. The coordinator does not look into what members say to each other, so every assignor works with it, the
//! cooperative ones too.
//!
//! Static members (KIP-345) keep their place over a restart: one that comes back under its instance id takes over the
//! place and the assignment of the one before, and fences it. They are removed by silence or by name only.
//!
//! Invariants. In one generation every member has the same protocol, and an assignment of that generation or none. A
//! generation is never used twice. Somebody joins in each generation: if only static members are left and none of them
//! has come, the group waits on.

use super::messages::{Effect, Reply, RequestId};
use super::records::{ClassicMemberRecord, GroupRecord, Record};
use super::turn::{Then, Turn};
use crate::types::{
    Error, GroupClient, GroupRefusal, GroupState, Instant, JoinGroup, JoinedGroup, JoinedMember, Membership, Result,
    SyncGroup, SyncedGroup, Timestamp,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// Members have at least so long to join again, whatever they say.
const REBALANCE_MIN: Duration = Duration::from_millis(10);

/// The members of a group of the classic protocol.
#[derive(Debug)]
pub(crate) struct Classic {
    pub(crate) state: GroupState,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<String>,
    pub(crate) members: BTreeMap<String, ClassicMember>,
    /// Since when there are no members.
    pub(super) empty_since: Timestamp,
    /// Ids that were given out, until they are used to join.
    promised: BTreeMap<String, Instant>,
    joining: Option<Joining>,
    /// Members that have not synced until then are removed.
    sync_deadline: Option<Instant>,
    /// Numbers members in the order in which they came.
    arrivals: u64,
}

/// The group waits for its members to join.
#[derive(Debug)]
struct Joining {
    deadline: Instant,
    /// Nobody has to join: it only waits for more.
    initial: Option<Initial>,
}

#[derive(Debug)]
struct Initial {
    /// How much longer it may wait.
    left: Duration,
    /// Whether somebody came meanwhile.
    grew: bool,
}

/// A member of the classic protocol.
#[derive(Debug)]
pub(crate) struct ClassicMember {
    pub(crate) instance: Option<String>,
    pub(crate) client: GroupClient,
    session_timeout: Duration,
    rebalance_timeout: Duration,
    protocols: Vec<(String, Bytes)>,
    pub(crate) assignment: Bytes,
    join: Option<RequestId>,
    sync: Option<RequestId>,
    has_synced: bool,
    /// `None` while it waits for an answer: that it does so shows that it lives.
    expires: Option<Instant>,
    arrival: u64,
}

impl ClassicMember {
    /// What it says in a protocol.
    pub(crate) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let said = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        said.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    fn knows(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }
}

impl Classic {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            state: GroupState::Empty,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            empty_since: now,
            promised: BTreeMap::new(),
            joining: None,
            sync_deadline: None,
            arrivals: 0,
        }
    }

    /// As a record had it.
    pub(super) fn replay(record: GroupRecord) -> Option<Self> {
        let GroupRecord::Classic { generation, protocol_type, protocol, leader, empty_since, members } = record else {
            return None;
        };
        let state = if members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        let arrivals = members.len() as u64;
        let member = |(record, arrival): (ClassicMemberRecord, u64)| {
            let protocols = record.protocols.into_iter().map(|(name, metadata)| (name, metadata.into()));
            let member = ClassicMember {
                instance: record.instance,
                client: record.client,
                session_timeout: record.session_timeout,
                rebalance_timeout: record.rebalance_timeout,
                protocols: protocols.collect(),
                assignment: record.assignment.into(),
                join: None,
                sync: None,
                has_synced: true,
                expires: None,
                arrival,
            };
            (record.member, member)
        };
        let members = members.into_iter().zip(0..).map(member).collect();
        let base = Self::new(empty_since);
        Some(Self { state, generation, protocol_type, protocol, leader, members, arrivals, ..base })
    }

    /// After a replay: sessions begin.
    pub(super) fn begin_sessions(&mut self, now: Instant) {
        self.members.values_mut().for_each(|member| member.expires = Some(now + member.session_timeout));
    }

    /// Takes the place of a group of the other protocol that had no members.
    pub(super) fn after(epoch: i32, now: Timestamp) -> Self {
        Self { generation: epoch, ..Self::new(now) }
    }

    /// What is stored.
    fn record(&self, turn: &Turn<'_>, assignments: Option<&BTreeMap<String, Bytes>>) -> Record {
        Record::Group { group: turn.group.clone(), state: Some(self.record_with(assignments)) }
    }

    /// As it is now.
    pub(super) fn state_record(&self) -> GroupRecord {
        self.record_with(None)
    }

    /// With these assignments instead of those that the members have.
    fn record_with(&self, assignments: Option<&BTreeMap<String, Bytes>>) -> GroupRecord {
        let member = |(id, member): (&String, &ClassicMember)| {
            let given = assignments.map(|all| all.get(id).cloned().unwrap_or_default());
            ClassicMemberRecord {
                member: id.clone(),
                instance: member.instance.clone(),
                client: member.client.clone(),
                session_timeout: member.session_timeout,
                rebalance_timeout: member.rebalance_timeout,
                protocols: member.protocols.iter().map(|(name, said)| (name.clone(), said.to_vec())).collect(),
                assignment: given.unwrap_or_else(|| member.assignment.clone()).to_vec(),
            }
        };
        let mut members: Vec<_> = self.members.iter().collect();
        members.sort_by_key(|(_, member)| member.arrival);
        GroupRecord::Classic {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            empty_since: self.empty_since,
            members: members.into_iter().map(member).collect(),
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let sessions = self.members.values().filter_map(|member| member.expires);
        let joining = self.joining.as_ref().map(|joining| joining.deadline);
        sessions.chain(self.promised.values().copied()).chain(joining).chain(self.sync_deadline).min()
    }

    /// Nobody is in it, and nobody has been promised a place.
    pub(super) fn is_unused(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty()
    }

    pub(super) fn join(&mut self, turn: &mut Turn<'_>, request: RequestId, join: JoinGroup) {
        if !self.has_room(turn, &join.member) {
            return turn.refuse(request, turn.refused(GroupRefusal::Full));
        }
        if !self.takes(&join) {
            return turn.refuse(request, turn.refused(GroupRefusal::InconsistentProtocol));
        }
        if join.member.is_empty() {
            return self.join_anew(turn, request, join);
        }
        if self.promised.contains_key(&join.member) && join.instance.is_none() {
            self.promised.remove(&join.member);
            let member = join.member.clone();
            return self.add(turn, request, member, join);
        }
        if let Err(error) = self.check(turn, &join.member, join.instance.as_deref()) {
            return turn.refuse(request, error);
        }
        let is_same = self.members.get(&join.member).is_some_and(|member| member.protocols == join.protocols);
        let is_leader = self.leader.as_ref() == Some(&join.member);
        match self.state {
            // Its answer was lost. A leader asks again to have partitions assigned anew.
            GroupState::CompletingRebalance if is_same => self.tell(turn, request, &join.member),
            GroupState::Stable if is_same && !is_leader => self.tell(turn, request, &join.member),
            _ => {
                self.update(turn, request, join);
                self.rebalance(turn);
            }
        }
    }

    /// A member without an id.
    fn join_anew(&mut self, turn: &mut Turn<'_>, request: RequestId, join: JoinGroup) {
        let Some(instance) = join.instance.clone() else {
            let member = turn.ids.next(&join.client.id);
            if join.takes_member_id {
                self.promised.insert(member.clone(), turn.now + join.session_timeout);
                return turn.refuse(request, turn.refused(GroupRefusal::MemberIdRequired { member }));
            }
            return self.add(turn, request, member, join);
        };
        let member = turn.ids.next(&instance);
        let before = self.members.iter().find(|(_, known)| known.instance.as_ref() == Some(&instance));
        match before.map(|(id, _)| id.clone()) {
            Some(before) => self.take_over(turn, request, &before, member, join),
            None => self.add(turn, request, member, join),
        }
    }

    fn has_room(&self, turn: &Turn<'_>, member: &str) -> bool {
        let is_joining = self.state == GroupState::PreparingRebalance;
        let counted = self.members.values().filter(|member| !is_joining || member.join.is_some()).count();
        let known = self.members.get(member).is_some_and(|member| !is_joining || member.join.is_some());
        known || counted < turn.settings.members_max
    }

    /// Whether the member has a protocol in common with all the others.
    fn takes(&self, join: &JoinGroup) -> bool {
        if self.members.is_empty() {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join.protocols.iter().any(|(name, _)| self.members.values().all(|member| member.knows(name)))
    }

    /// Whether this is a member, and the one that has the instance id.
    fn check(&self, turn: &Turn<'_>, member: &str, instance: Option<&str>) -> Result<()> {
        if let Some(instance) = instance {
            let owner = self.members.iter().find(|(_, known)| known.instance.as_deref() == Some(instance));
            return match owner {
                None => Err(turn.unknown_member(member)),
                Some((id, _)) if id != member => Err(turn.refused(GroupRefusal::FencedInstance)),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(turn.unknown_member(member)) }
    }

    fn check_generation(&self, turn: &Turn<'_>, who: &Membership) -> Result<()> {
        self.check(turn, &who.member, who.instance.as_deref())?;
        if who.generation == self.generation {
            return Ok(());
        }
        Err(turn.refused(GroupRefusal::IllegalGeneration))
    }

    fn add(&mut self, turn: &mut Turn<'_>, request: RequestId, id: String, join: JoinGroup) {
        self.arrivals += 1;
        let member = ClassicMember {
            instance: join.instance,
            client: join.client,
            session_timeout: join.session_timeout,
            rebalance_timeout: join.rebalance_timeout,
            protocols: join.protocols,
            assignment: Bytes::new(),
            join: Some(request),
            sync: None,
            has_synced: false,
            expires: None,
            arrival: self.arrivals,
        };
        self.leader.get_or_insert_with(|| id.clone());
        self.protocol_type = Some(join.protocol_type);
        self.members.insert(id, member);
        if let Some(Joining { initial: Some(initial), .. }) = &mut self.joining {
            initial.grew = true;
        }
        self.rebalance(turn);
    }

    /// A member says anew what it can, and waits for the next generation.
    fn update(&mut self, turn: &mut Turn<'_>, request: RequestId, join: JoinGroup) {
        let Some(member) = self.members.get_mut(&join.member) else { return };
        member.session_timeout = join.session_timeout;
        member.rebalance_timeout = join.rebalance_timeout;
        member.protocols = join.protocols;
        member.client = join.client;
        member.expires = None;
        if let Some(earlier) = member.join.replace(request) {
            turn.refuse(earlier, turn.refused(GroupRefusal::RebalanceInProgress));
        }
    }

    /// A static member comes back, without the id that it had.
    fn take_over(&mut self, turn: &mut Turn<'_>, request: RequestId, before: &str, id: String, join: JoinGroup) {
        let Some(mut member) = self.members.remove(before) else { return };
        for waiting in [member.join.take(), member.sync.take()].into_iter().flatten() {
            turn.refuse(waiting, turn.refused(GroupRefusal::FencedInstance));
        }
        let was_leader = self.leader.as_deref() == Some(before);
        member.client = join.client;
        member.session_timeout = join.session_timeout;
        member.rebalance_timeout = join.rebalance_timeout;
        member.protocols = join.protocols;
        member.expires = Some(turn.now + member.session_timeout);
        self.members.insert(id.clone(), member);
        if was_leader {
            self.leader = Some(id.clone());
        }
        if self.state == GroupState::Stable && self.vote() == self.protocol {
            // Everything stays as it is. A leader that does not know that it may skip must not learn that it leads.
            let mut joined = self.joined(&id);
            if was_leader && join.takes_skip {
                joined.skip_assignment = true;
            } else if was_leader {
                joined.leader = before.to_owned();
                joined.members = Vec::new();
            }
            let records = vec![self.record(turn, None)];
            return turn.persist(records, Then::Reply(request, Box::new(Reply::Joined(joined))));
        }
        if let Some(member) = self.members.get_mut(&id) {
            (member.join, member.expires) = (Some(request), None);
        }
        self.rebalance(turn);
    }

    /// Where the group stands, for one who is in it.
    fn tell(&mut self, turn: &mut Turn<'_>, request: RequestId, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.expires = Some(turn.now + member.session_timeout);
        }
        turn.reply(request, Reply::Joined(self.joined(id)));
    }

    fn joined(&self, id: &str) -> JoinedGroup {
        let protocol = self.protocol.clone().unwrap_or_default();
        let leader = self.leader.clone().unwrap_or_default();
        let told = |(id, member): (&String, &ClassicMember)| JoinedMember {
            member: id.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(Some(&protocol)),
        };
        let members = if leader == id { self.members.iter().map(told).collect() } else { Vec::new() };
        JoinedGroup {
            member: id.to_owned(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol,
            leader,
            skip_assignment: false,
            members,
        }
    }

    /// Begins a rebalance, or ends it if this was the last to be waited for.
    fn rebalance(&mut self, turn: &mut Turn<'_>) {
        if self.state == GroupState::PreparingRebalance {
            return self.complete_if_all_came(turn);
        }
        self.refuse_syncs(turn, || GroupRefusal::RebalanceInProgress);
        let was_empty = self.state == GroupState::Empty;
        (self.state, self.sync_deadline) = (GroupState::PreparingRebalance, None);
        let timeout = self.rebalance_timeout();
        let delay = turn.settings.initial_delay.min(timeout);
        if was_empty && !delay.is_zero() {
            let initial = Some(Initial { left: timeout.saturating_sub(delay), grew: false });
            self.joining = Some(Joining { deadline: turn.now + delay, initial });
            return;
        }
        self.joining = Some(Joining { deadline: turn.now + timeout, initial: None });
        self.complete_if_all_came(turn);
    }

    /// Members that wait for an assignment do not get one.
    fn refuse_syncs(&mut self, turn: &mut Turn<'_>, refusal: impl Fn() -> GroupRefusal) {
        let is_completing = self.state == GroupState::CompletingRebalance;
        for member in self.members.values_mut() {
            if is_completing {
                member.assignment = Bytes::new();
            }
            if let Some(request) = member.sync.take() {
                member.expires = Some(turn.now + member.session_timeout);
                turn.refuse(request, turn.refused(refusal()));
            }
        }
    }

    fn rebalance_timeout(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default().max(REBALANCE_MIN)
    }

    fn complete_if_all_came(&mut self, turn: &mut Turn<'_>) {
        let waits = self.joining.as_ref().is_some_and(|joining| joining.initial.is_some() && !self.members.is_empty());
        let all = self.members.values().all(|member| member.join.is_some()) && self.promised.is_empty();
        if !waits && all {
            self.complete(turn);
        }
    }

    /// A generation begins with those who have come.
    fn complete(&mut self, turn: &mut Turn<'_>) {
        let gone = |member: &ClassicMember| member.join.is_none() && member.instance.is_none();
        let gone: Vec<_> = self.members.iter().filter(|(_, member)| gone(member)).map(|(id, _)| id.clone()).collect();
        for id in gone {
            turn.effects.push(Effect::Expired { group: turn.group.clone(), member: id.clone() });
            self.take_out(turn, &id);
        }
        let came = self.members.iter().filter(|(_, member)| member.join.is_some());
        let first = came.min_by_key(|(_, member)| member.arrival).map(|(id, _)| id.clone());
        if first.is_none() && !self.members.is_empty() {
            self.joining = Some(Joining { deadline: turn.now + self.rebalance_timeout(), initial: None });
            return;
        }
        let leads = |id: &String| self.members.get(id).is_some_and(|member| member.join.is_some());
        if !self.leader.as_ref().is_some_and(leads) {
            self.leader = first;
        }
        self.joining = None;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.protocol = self.vote();
        let (group, members) = (turn.group.clone(), self.members.len());
        turn.effects.push(Effect::Rebalanced { group, generation: self.generation, members });
        if self.members.is_empty() {
            (self.state, self.leader, self.empty_since) = (GroupState::Empty, None, turn.time);
            let records = vec![self.record(turn, None)];
            return turn.persist(records, Then::Nothing);
        }
        self.state = GroupState::CompletingRebalance;
        self.sync_deadline = Some(turn.now + self.rebalance_timeout());
        let mut answers = Vec::new();
        for (id, member) in &mut self.members {
            (member.has_synced, member.assignment) = (false, Bytes::new());
            if let Some(request) = member.join.take() {
                member.expires = Some(turn.now + member.session_timeout);
                answers.push((request, id.clone()));
            }
        }
        for (request, id) in answers {
            turn.reply(request, Reply::Joined(self.joined(&id)));
        }
    }

    /// The protocol that most members prefer among those that all know.
    fn vote(&self) -> Option<String> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let known = member.protocols.iter().map(|(name, _)| name.as_str());
            let mut common = known.filter(|name| self.members.values().all(|other| other.knows(name)));
            *votes.entry(common.next()?).or_default() += 1;
        }
        let most = votes.values().max().copied()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name.to_owned())
    }

    pub(super) fn sync(&mut self, turn: &mut Turn<'_>, request: RequestId, sync: SyncGroup) {
        if let Err(error) = self.check_generation(turn, &sync.who) {
            return turn.refuse(request, error);
        }
        let differs = |said: &Option<String>, is: &Option<String>| said.is_some() && said != is;
        if differs(&sync.protocol_type, &self.protocol_type) || differs(&sync.protocol, &self.protocol) {
            return turn.refuse(request, turn.refused(GroupRefusal::InconsistentProtocol));
        }
        let id = sync.who.member;
        let is_leader = self.leader.as_ref() == Some(&id);
        let Some(member) = self.members.get_mut(&id) else { return };
        match self.state {
            GroupState::CompletingRebalance => {
                (member.has_synced, member.expires) = (true, None);
                if let Some(earlier) = member.sync.replace(request) {
                    turn.refuse(earlier, turn.refused(GroupRefusal::RebalanceInProgress));
                }
                if is_leader {
                    let assignments: BTreeMap<_, _> = sync.assignments.into_iter().collect();
                    let records = vec![self.record(turn, Some(&assignments))];
                    turn.persist(records, Then::Assign { generation: self.generation, assignments });
                }
            }
            GroupState::Stable => {
                member.has_synced = true;
                member.expires = Some(turn.now + member.session_timeout);
                let assignment = member.assignment.clone();
                turn.reply(request, self.synced(assignment));
            }
            GroupState::PreparingRebalance => turn.refuse(request, turn.refused(GroupRefusal::RebalanceInProgress)),
            _ => turn.refuse(request, turn.unknown_member(&id)),
        }
    }

    fn synced(&self, assignment: Bytes) -> Reply {
        let protocol_type = self.protocol_type.clone().unwrap_or_default();
        Reply::Synced(SyncedGroup { protocol_type, protocol: self.protocol.clone().unwrap_or_default(), assignment })
    }

    /// The leader's assignment is durable.
    pub(super) fn assign(&mut self, turn: &mut Turn<'_>, generation: i32, mut assignments: BTreeMap<String, Bytes>) {
        if self.state != GroupState::CompletingRebalance || generation != self.generation {
            return;
        }
        self.state = GroupState::Stable;
        let mut answers = Vec::new();
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            if let Some(request) = member.sync.take() {
                member.expires = Some(turn.now + member.session_timeout);
                answers.push((request, member.assignment.clone()));
            }
        }
        for (request, assignment) in answers {
            turn.reply(request, self.synced(assignment));
        }
    }

    /// The leader's assignment could not be stored.
    pub(super) fn not_assigned(&mut self, turn: &mut Turn<'_>, generation: i32) {
        if self.state == GroupState::CompletingRebalance && generation == self.generation {
            self.refuse_syncs(turn, || GroupRefusal::NotAvailable);
            self.rebalance(turn);
        }
    }

    pub(super) fn heartbeat(&mut self, turn: &mut Turn<'_>, who: &Membership) -> Result<()> {
        self.check_generation(turn, who)?;
        if self.state == GroupState::Empty {
            return Err(turn.unknown_member(&who.member));
        }
        self.lives(turn, &who.member);
        match self.state {
            GroupState::PreparingRebalance => Err(turn.refused(GroupRefusal::RebalanceInProgress)),
            _ => Ok(()),
        }
    }

    fn lives(&mut self, turn: &Turn<'_>, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.expires = member.expires.map(|_| turn.now + member.session_timeout);
        }
    }

    pub(super) fn leave(&mut self, turn: &mut Turn<'_>, member: &str, instance: Option<&str>) -> Result<()> {
        if instance.is_none() && self.promised.remove(member).is_some() {
            if self.state == GroupState::PreparingRebalance {
                self.complete_if_all_came(turn);
            }
            return Ok(());
        }
        let by_instance = |name: &str| {
            let found = self.members.iter().find(|(_, member)| member.instance.as_deref() == Some(name));
            found.map(|(id, _)| id.clone())
        };
        let id = match instance {
            Some(name) if member.is_empty() => by_instance(name).ok_or_else(|| turn.unknown_member(name))?,
            _ => {
                self.check(turn, member, instance)?;
                member.to_owned()
            }
        };
        self.take_out(turn, &id);
        self.rebalance(turn);
        Ok(())
    }

    /// Takes a member out, and nothing more.
    fn take_out(&mut self, turn: &mut Turn<'_>, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        for waiting in [member.join, member.sync].into_iter().flatten() {
            turn.refuse(waiting, turn.unknown_member(id));
        }
        if self.leader.as_deref() == Some(id) {
            let first = self.members.iter().min_by_key(|(_, member)| member.arrival);
            self.leader = first.map(|(id, _)| id.clone());
        }
    }

    /// Whether positions may be committed.
    pub(super) fn may_commit(&mut self, turn: &Turn<'_>, who: Option<&Membership>, in_transaction: bool) -> Result<()> {
        match who {
            Some(who) => {
                self.check_generation(turn, who)?;
                self.lives(turn, &who.member);
            }
            None if self.members.is_empty() || in_transaction => return Ok(()),
            None => {
                let (group, members) = (turn.group.to_string(), self.members.len());
                return Err(Error::GroupNotEmpty { group, members });
            }
        }
        if !in_transaction && self.state == GroupState::CompletingRebalance {
            // It has joined and not yet heard what it reads: it has read nothing in this generation.
            return Err(turn.refused(GroupRefusal::RebalanceInProgress));
        }
        Ok(())
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, turn: &mut Turn<'_>) {
        let promised = self.promised.len();
        self.promised.retain(|_, until| *until > turn.now);
        let mut changed = promised != self.promised.len() && self.state == GroupState::PreparingRebalance;
        let late = |member: &ClassicMember| member.expires.is_some_and(|at| at <= turn.now);
        let mut silent: Vec<_> = self.members.iter().filter(|(_, m)| late(m)).map(|(id, _)| id.clone()).collect();
        if self.sync_deadline.is_some_and(|at| at <= turn.now) {
            self.sync_deadline = None;
            let slow = self.members.iter().filter(|(id, member)| !member.has_synced && !silent.contains(id));
            let slow: Vec<_> = slow.map(|(id, _)| id.clone()).collect();
            silent.extend(slow);
        }
        for id in silent {
            turn.effects.push(Effect::Expired { group: turn.group.clone(), member: id.clone() });
            self.take_out(turn, &id);
            changed = true;
        }
        if changed {
            self.rebalance(turn);
        }
        let Some(joining) = self.joining.as_mut().filter(|joining| joining.deadline <= turn.now) else { return };
        match &mut joining.initial {
            Some(initial) if initial.grew && !initial.left.is_zero() => {
                let more = turn.settings.initial_delay.min(initial.left);
                *initial = Initial { left: initial.left - more, grew: false };
                joining.deadline = turn.now + more;
            }
            _ => self.complete(turn),
        }
    }
}
