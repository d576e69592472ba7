//! A place in a group, by either protocol: what the member is to read, and that it lives.
//!
//! A task beside the consumer says that it lives, so that slow processing does not end its session. It raises a flag when
//! there is something to do; that happens in the next `poll`, on the caller's task. Under a manual clock there is no such
//! task and every `poll` says it instead.
//!
//! ```text
//!   classic    join (all members, the leader assigns) ──▶ sync ──▶ Place     heartbeats … rebalance ──▶ join
//!   consumer   heartbeat ──▶ what to own ──▶ given up and taken over ──▶ heartbeat, with what is owned
//! ```
//! In the classic protocol a member gives up all that it has when it joins again; in the consumer protocol only what
//! goes to others. A join waits for other members, so it is kept and driven on by the next `poll` if there is no time.

use super::assignment::{self, RANGE};
use crate::env::secret;
use crate::service::{
    ConsumerHeartbeat, DescribeTopics, GroupClient, Heartbeat, JoinGroup, LeaveGroup, Membership, Service, SyncGroup,
};
use crate::types::{
    Error, ErrorKind, GroupId, GroupRefusal, OwnedPartitions, PartitionIndex, Result, TopicId, TopicName,
    TopicPartition,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Builder;

/// What the protocol type of consumers is called.
const CONSUMER: &str = "consumer";
/// How this client is called in descriptions of groups.
const CLIENT: &str = "tailwater";
/// A heartbeat that brings a change is answered by another; so often at a time.
const STEPS_MAX: usize = 8;

/// How members of a group agree on who reads what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProtocol {
    /// All members join again when one comes or goes, and one of them assigns.
    #[default]
    Classic,
    /// The log assigns, and only what changes hands is given up (KIP-848).
    Consumer,
}

/// What a member wants of its group.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) group: GroupId,
    pub(super) instance: Option<String>,
    pub(super) topics: Vec<TopicName>,
    pub(super) regex: Option<String>,
    pub(super) protocol: GroupProtocol,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
}

/// A member of a group.
pub(super) struct Member {
    service: Arc<dyn Service>,
    wanted: Wanted,
    /// Empty before the first join.
    id: String,
    /// The generation, or the member's epoch.
    generation: i32,
    /// What it is to read.
    assigned: Vec<TopicPartition>,
    /// The names of topics that were assigned by identity.
    names: BTreeMap<TopicId, TopicName>,
    /// A join that waits for others. Locked by nobody: a member that is lent out must not be touched from elsewhere.
    joining: Mutex<Option<Joining>>,
    /// What it is to read could not be taken up.
    is_untaken: bool,
    shared: Arc<Shared>,
    heartbeats: Option<JoinHandle<()>>,
}

/// A join on its way: the member's id, and where it has led to.
type Joining = BoxFuture<'static, (String, Result<Place>)>;

/// Where a join has led to.
#[derive(Debug)]
struct Place {
    generation: i32,
    assigned: Vec<TopicPartition>,
}

/// What has changed since it was last asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// A join waits for others: nothing is to be read meanwhile.
    Waits,
    /// All that was assigned before was given up. This is to be read now.
    Anew(Vec<TopicPartition>),
    /// This is to be read now; what was there before goes on.
    Moved(Vec<TopicPartition>),
}

/// Between the consumer and the task beside it.
#[derive(Debug, Default)]
struct Shared {
    /// The member has to do something.
    stale: AtomicBool,
    /// Rings then.
    wake: Notify,
    /// What a heartbeat of the consumer protocol has brought.
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    epoch: i32,
    assignment: Option<OwnedPartitions>,
    is_out: bool,
}

impl Shared {
    fn raise(&self) {
        self.stale.store(true, Ordering::Release);
        self.wake.notify_one();
    }
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wanted, id, generation, assigned, .. } = self;
        f.debug_struct("Member")
            .field("wanted", wanted)
            .field("id", id)
            .field("generation", generation)
            .field("assigned", assigned)
            .finish_non_exhaustive()
    }
}

impl Member {
    pub(super) fn new(service: Arc<dyn Service>, wanted: Wanted) -> Self {
        // A member of the consumer protocol makes its own id; under a manual clock all that happens must be foreseen.
        let id = match wanted.protocol {
            GroupProtocol::Consumer if !service.clock().is_manual() => {
                Builder::from_random_bytes(secret()).into_uuid().to_string()
            }
            _ => String::new(),
        };
        let shared = Arc::new(Shared::default());
        shared.stale.store(true, Ordering::Release);
        Self {
            service,
            wanted,
            id,
            generation: 0,
            assigned: Vec::new(),
            names: BTreeMap::new(),
            joining: Mutex::default(),
            is_untaken: false,
            shared,
            heartbeats: None,
        }
    }

    pub(super) const fn group(&self) -> &GroupId {
        &self.wanted.group
    }

    /// Who this is, in requests.
    pub(super) fn who(&self) -> Membership {
        let generation = match self.wanted.protocol {
            GroupProtocol::Classic => self.generation,
            GroupProtocol::Consumer => self.shared.told.lock().epoch,
        };
        Membership { member: self.id.clone(), instance: self.wanted.instance.clone(), generation }
    }

    /// Returns when there is something to do.
    pub(super) async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    /// The group does not know this member as it is: it joins again in the next `poll`.
    pub(super) fn is_stale(&self) {
        if self.wanted.protocol == GroupProtocol::Consumer {
            self.shared.told.lock().is_out = true;
        }
        self.shared.raise();
    }

    /// What has changed meanwhile, waiting for at most `patience` if others have to give up something first; under a
    /// manual clock not at all.
    pub(super) async fn live(&mut self, patience: Duration) -> Result<Change> {
        let change = match self.wanted.protocol {
            GroupProtocol::Classic => self.live_classic(patience).await?,
            GroupProtocol::Consumer => self.live_consumer().await?,
        };
        let is_untaken = std::mem::take(&mut self.is_untaken);
        Ok(match change {
            Change::None | Change::Moved(_) if is_untaken => Change::Anew(self.assigned.clone()),
            change => change,
        })
    }

    /// What it is to read could not be taken up: it is told again.
    pub(super) fn not_taken_up(&mut self) {
        self.is_untaken = true;
    }

    async fn live_classic(&mut self, patience: Duration) -> Result<Change> {
        let is_manual = self.service.clock().is_manual();
        let is_joining = self.joining.get_mut().is_some();
        if is_manual && !is_joining && !self.is_flagged() {
            let request = Heartbeat { group: self.wanted.group.clone(), who: self.who() };
            match self.service.heartbeat(request).await {
                Err(error) if is_over(&error) => self.shared.raise(),
                other => other?,
            }
        }
        if !is_joining {
            if !self.is_flagged() {
                return Ok(Change::None);
            }
            self.stop();
            let joining = join(self.service.clone(), self.wanted.clone(), self.id.clone()).boxed();
            *self.joining.get_mut() = Some(joining);
        }
        let Some(joining) = self.joining.get_mut() else { return Ok(Change::None) };
        let joined =
            if is_manual { joining.now_or_never() } else { tokio::time::timeout(patience, joining).await.ok() };
        let Some((id, place)) = joined else { return Ok(Change::Waits) };
        *self.joining.get_mut() = None;
        self.id = id;
        let Place { generation, assigned } = place?;
        (self.generation, self.assigned) = (generation, assigned);
        self.shared = Arc::default();
        Ok(Change::Anew(self.assigned.clone()))
    }

    fn is_flagged(&self) -> bool {
        self.shared.stale.load(Ordering::Acquire)
    }

    /// What is to be read was taken up: says that the member lives from here on.
    pub(super) fn begin_heartbeats(&mut self) {
        if self.service.clock().is_manual() || self.heartbeats.is_some() {
            return;
        }
        // Weak, so that a forgotten consumer does not keep the log open.
        let service = Arc::downgrade(&self.service);
        let (shared, who, group) = (self.shared.clone(), self.who(), self.wanted.group.clone());
        let every = (self.wanted.session_timeout / 10).clamp(Duration::from_millis(10), Duration::from_secs(1));
        let quiet = self.quiet();
        let protocol = self.wanted.protocol;
        self.heartbeats = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(service) = service.upgrade() else { return };
                let beaten = match protocol {
                    GroupProtocol::Classic => {
                        service.heartbeat(Heartbeat { group: group.clone(), who: who.clone() }).await
                    }
                    GroupProtocol::Consumer => {
                        let epoch = shared.told.lock().epoch;
                        let answered = service.consumer_heartbeat(ConsumerHeartbeat { epoch, ..quiet.clone() }).await;
                        answered.map(|answer| shared.note(epoch, answer.epoch, answer.assignment))
                    }
                };
                match beaten {
                    Ok(()) => {}
                    Err(error) if error.is_retriable() => {}
                    // It has as long as it takes to rebalance, as long as it lives.
                    Err(Error::GroupRefused { refusal: GroupRefusal::RebalanceInProgress, .. }) => shared.raise(),
                    Err(_) => {
                        shared.told.lock().is_out = true;
                        shared.raise();
                        return;
                    }
                }
            }
        }));
    }

    /// A heartbeat that says nothing new.
    fn quiet(&self) -> ConsumerHeartbeat {
        ConsumerHeartbeat {
            group: self.wanted.group.clone(),
            member: self.id.clone(),
            epoch: 0,
            instance: self.wanted.instance.clone(),
            rack: None,
            client: GroupClient { id: CLIENT.into(), host: String::new() },
            rebalance_timeout: None,
            topics: None,
            regex: None,
            assignor: None,
            owned: None,
        }
    }

    async fn live_consumer(&mut self) -> Result<Change> {
        let is_manual = self.service.clock().is_manual();
        let mut change = Change::None;
        for _ in 0..STEPS_MAX {
            let (epoch, assignment, is_out) = {
                let mut told = self.shared.told.lock();
                (told.epoch, told.assignment.take(), std::mem::take(&mut told.is_out))
            };
            let is_joining = epoch == 0 || is_out;
            if let Some(assignment) = assignment.filter(|_| !is_joining) {
                let assigned = self.named(&assignment).await?;
                if assigned != self.assigned {
                    self.assigned.clone_from(&assigned);
                    change = match change {
                        Change::Anew(_) => Change::Anew(assigned),
                        _ => Change::Moved(assigned),
                    };
                }
                // Says that what is no longer its own was given up: the caller does not read it any more.
                self.beat(epoch, Some(assignment)).await?;
                continue;
            }
            if is_joining {
                self.stop();
                self.shared = Arc::default();
                self.assigned.clear();
                change = Change::Anew(Vec::new());
                self.beat(0, Some(Vec::new())).await.inspect_err(|_| self.is_stale())?;
                continue;
            }
            self.shared.stale.store(false, Ordering::Release);
            if !is_manual {
                break;
            }
            self.beat(epoch, None).await?;
            let told = self.shared.told.lock();
            if told.assignment.is_none() && !told.is_out {
                break;
            }
        }
        Ok(change)
    }

    /// Says a heartbeat and notes what it brings.
    async fn beat(&mut self, epoch: i32, owned: Option<OwnedPartitions>) -> Result<()> {
        let is_joining = epoch == 0;
        let Wanted { topics, regex, rebalance_timeout, .. } = &self.wanted;
        let request = ConsumerHeartbeat {
            epoch,
            rebalance_timeout: is_joining.then_some(*rebalance_timeout),
            topics: is_joining.then(|| topics.clone()),
            regex: regex.clone().filter(|_| is_joining),
            owned,
            ..self.quiet()
        };
        match self.service.consumer_heartbeat(request).await {
            Ok(answer) => {
                self.id = answer.member;
                self.shared.note(epoch, answer.epoch, answer.assignment);
                Ok(())
            }
            Err(error) if is_over(&error) && !is_joining => {
                self.is_stale();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Partitions by the names of their topics; those that are gone are left out.
    async fn named(&mut self, assignment: &OwnedPartitions) -> Result<Vec<TopicPartition>> {
        if assignment.iter().any(|(id, _)| !self.names.contains_key(id)) {
            let all = self.service.describe_topics(DescribeTopics { topics: None, include_internal: true }).await?;
            self.names = all.into_iter().map(|topic| (topic.id, topic.name)).collect();
        }
        let mut named: Vec<_> = assignment
            .iter()
            .filter_map(|(id, partitions)| Some((self.names.get(id)?, partitions)))
            .flat_map(|(name, all)| all.iter().map(|index| TopicPartition::new(name.clone(), *index)))
            .collect();
        named.sort();
        Ok(named)
    }

    /// Leaves, so that others take over at once.
    pub(super) async fn leave(&mut self) -> Result<()> {
        self.stop();
        *self.joining.get_mut() = None;
        if self.wanted.protocol == GroupProtocol::Consumer {
            let left = ConsumerHeartbeat { epoch: -1, ..self.quiet() };
            return self.service.consumer_heartbeat(left).await.map(drop);
        }
        let members = vec![(self.id.clone(), self.wanted.instance.clone())];
        let request = LeaveGroup { group: self.wanted.group.clone(), members };
        self.service.leave_group(request).await?.pop().unwrap_or(Ok(()))
    }

    fn stop(&mut self) {
        if let Some(task) = self.heartbeats.take() {
            task.abort();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Notes what the answer to a heartbeat with epoch `asked` has brought.
    fn note(&self, asked: i32, epoch: i32, assignment: Option<OwnedPartitions>) {
        let mut told = self.told.lock();
        // The other of the two who say heartbeats was faster.
        if told.epoch == asked || asked == 0 {
            told.epoch = epoch;
        }
        if assignment.is_some() {
            told.assignment = assignment;
            drop(told);
            self.raise();
        }
    }
}

/// Whether the member has to join again.
fn is_over(error: &Error) -> bool {
    matches!(error, Error::StaleMember { .. } | Error::UnknownGroup { .. })
        || matches!(error, Error::GroupRefused { refusal, .. } if refusal.kind() == ErrorKind::Stale)
}

/// Joins a classic group, and returns when it is settled what to read; with the member's id, whatever becomes of it.
async fn join(service: Arc<dyn Service>, wanted: Wanted, mut member: String) -> (String, Result<Place>) {
    loop {
        match try_join(&*service, &wanted, &mut member).await {
            Ok(Some(place)) => return (member, Ok(place)),
            Ok(None) => {}
            Err(error) => return (member, Err(error)),
        }
    }
}

/// `None` if it has to be done again.
async fn try_join(service: &dyn Service, wanted: &Wanted, member: &mut String) -> Result<Option<Place>> {
    let request = JoinGroup {
        group: wanted.group.clone(),
        member: member.clone(),
        instance: wanted.instance.clone(),
        client: GroupClient { id: CLIENT.into(), host: String::new() },
        protocol_type: CONSUMER.into(),
        protocols: vec![(RANGE.into(), assignment::subscription(&wanted.topics)?)],
        session_timeout: wanted.session_timeout,
        rebalance_timeout: wanted.rebalance_timeout,
        takes_member_id: true,
        takes_skip: true,
    };
    let joined = match service.join_group(request).await {
        Err(error) => return again(error, member),
        Ok(joined) => joined,
    };
    member.clone_from(&joined.member);
    let leads = joined.leader == joined.member && !joined.skip_assignment;
    let assignments = if leads {
        let mut topics = BTreeMap::new();
        for name in assignment::subscribed(&joined.members).into_values().flatten() {
            if let std::collections::btree_map::Entry::Vacant(entry) = topics.entry(name) {
                let names = Some(vec![entry.key().clone()]);
                // A topic that is not there has no partitions yet.
                let found = service.describe_topics(DescribeTopics { topics: names, include_internal: true }).await;
                let count = found.ok().and_then(|found| Some(found.first()?.partitions.len() as PartitionIndex));
                entry.insert(count.unwrap_or(0));
            }
        }
        assignment::range(&joined.members, &topics)?
    } else {
        Vec::new()
    };
    let who = Membership { member: joined.member, instance: wanted.instance.clone(), generation: joined.generation };
    let (protocol_type, protocol) = (Some(joined.protocol_type), Some(joined.protocol));
    let request = SyncGroup { group: wanted.group.clone(), who, protocol_type, protocol, assignments };
    match service.sync_group(request).await {
        Ok(synced) => {
            let assigned = assignment::assigned(synced.assignment)?;
            Ok(Some(Place { generation: joined.generation, assigned }))
        }
        Err(error) => again(error, member),
    }
}

/// What makes a member join once more, and what ends it.
fn again(error: Error, member: &mut String) -> Result<Option<Place>> {
    match error {
        Error::GroupRefused { refusal: GroupRefusal::MemberIdRequired { member: id }, .. } => *member = id,
        Error::GroupRefused {
            refusal: GroupRefusal::RebalanceInProgress | GroupRefusal::IllegalGeneration, ..
        } => {}
        // A place that was lost is taken anew.
        Error::StaleMember { .. } if !member.is_empty() => member.clear(),
        error => return Err(error),
    }
    Ok(None)
}
