//! Consumer groups: gives the pure machine of `group` its clock, its topics and its log.
//!
//! ```text
//!   request ──▶ step ──▶ Persist ──▶ __consumer_offsets ── durable, in order ──▶ step(Stored) ──▶ Reply ──▶ request
//! ```
//! Records are submitted under the machine's lock, so their order in the log is the machine's, and it is told of them in
//! that order. What waits for the log is no part of a request, so that one that is given up leaves nothing half done; it
//! holds the broker weakly.
//!
//! Under a manual clock a record is durable when it is submitted, and everything happens within the request.

mod describe;
mod offsets;

use super::Broker;
use super::metadata::replay_records;
use super::topics::CONSUMER_OFFSETS;
use crate::config::BrokerSettings;
use crate::group::{Effect, GroupSettings, Groups, Input, Now, Record, Refused, Reply, RequestId};
use crate::record::{BatchBuilder, Compression};
use crate::service::{
    ConsumerHeartbeat, ConsumerHeartbeatAnswer, DeleteGroup, Heartbeat, JoinGroup, JoinedGroup, LeaveGroup, SyncGroup,
    SyncedGroup,
};
use crate::storage::Appended;
use crate::types::{ConfigResource, Error, GroupId, Instant, Result, TopicName};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;

/// The groups of a broker.
#[derive(Debug)]
pub(super) struct Coordinator {
    machine: Mutex<Groups>,
    waiting: Mutex<Waiting>,
    stores: Mutex<Stores>,
}

/// Requests that have no answer yet.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    by_request: HashMap<RequestId, oneshot::Sender<Result<Reply>>>,
}

/// What was submitted to the log and is not durable, in order.
#[derive(Default)]
struct Stores {
    submitted: VecDeque<(u64, BoxFuture<'static, Result<Appended>>)>,
    /// Somebody waits for the first of them.
    is_watched: bool,
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stores").field("submitted", &self.submitted.len()).finish_non_exhaustive()
    }
}

impl Coordinator {
    pub(super) fn new(run: u64, settings: &BrokerSettings) -> Self {
        let millis = |name: &str| Duration::from_millis(settings.parsed(name).unwrap_or_default());
        let minutes = settings.parsed::<u64>("offsets.retention.minutes").unwrap_or_default();
        let settings = GroupSettings {
            initial_delay: millis("group.initial.rebalance.delay.ms"),
            session_min: millis("group.min.session.timeout.ms"),
            session_max: millis("group.max.session.timeout.ms"),
            members_max: settings.parsed("group.max.size").unwrap_or(usize::MAX),
            // The longest that can be said is without an end.
            retention: (minutes < i32::MAX as u64).then(|| Duration::from_mins(minutes)),
        };
        Self { machine: Mutex::new(Groups::new(run, settings)), waiting: Mutex::default(), stores: Mutex::default() }
    }

    /// When something happens by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.machine.lock().next_deadline()
    }

    fn register(&self) -> (RequestId, oneshot::Receiver<Result<Reply>>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        waiting.last += 1;
        let request = RequestId(waiting.last);
        waiting.by_request.insert(request, sender);
        (request, receiver)
    }

    fn answer(&self, request: RequestId, result: Result<Reply>) {
        if let Some(waiting) = self.waiting.lock().by_request.remove(&request) {
            // Who asked may have gone.
            let _ = waiting.send(result);
        }
    }
}

impl Broker {
    /// Joins a group of the classic protocol; returns when all members have, or it is refused. Given up, the member stays
    /// until its session is over.
    pub(super) async fn join(&self, request: JoinGroup) -> Result<JoinedGroup> {
        self.check_open()?;
        self.ensure_compacted(CONSUMER_OFFSETS).await?;
        let reply = self.ask_groups(|id| Input::Join { request: id, join: Box::new(request) }).await?;
        match reply {
            Reply::Joined(joined) => Ok(joined),
            other => unreachable!("a join is not answered by {other}"),
        }
    }

    /// Hands in assignments, or waits for them.
    pub(super) async fn sync(&self, request: SyncGroup) -> Result<SyncedGroup> {
        self.check_open()?;
        let reply = self.ask_groups(|id| Input::Sync { request: id, sync: Box::new(request) }).await?;
        match reply {
            Reply::Synced(synced) => Ok(synced),
            other => unreachable!("a sync is not answered by {other}"),
        }
    }

    /// Notes that a member of the classic protocol lives.
    pub(super) async fn beat(&self, request: Heartbeat) -> Result<()> {
        self.check_open()?;
        let Heartbeat { group, who } = request;
        self.ask_groups(|request| Input::Heartbeat { request, group, who }).await.map(drop)
    }

    /// Takes members out, of either protocol: what became of each, in order.
    pub(super) async fn leave(&self, request: LeaveGroup) -> Result<Vec<Result<()>>> {
        self.check_open()?;
        let LeaveGroup { group, members } = request;
        let reply = self.ask_groups(|request| Input::Leave { request, group, members }).await?;
        match reply {
            Reply::Left(left) => {
                Ok(left.into_iter().map(|left| left.map_or(Ok(()), |Refused(error)| Err(error))).collect())
            }
            other => unreachable!("a leave is not answered by {other}"),
        }
    }

    /// A heartbeat of the consumer protocol, by which members join and leave too.
    pub(super) async fn consumer_beat(&self, request: ConsumerHeartbeat) -> Result<ConsumerHeartbeatAnswer> {
        self.check_open()?;
        self.ensure_compacted(CONSUMER_OFFSETS).await?;
        let settings = self.group_settings(&request.group);
        let (session_timeout, interval) = settings;
        let beat = Box::new(request);
        let reply = self.ask_groups(|request| Input::Beat { request, beat, session_timeout, interval }).await?;
        match reply {
            Reply::Beat(answer) => Ok(answer),
            other => unreachable!("a heartbeat is not answered by {other}"),
        }
    }

    /// The session timeout and the heartbeat interval of a group of the consumer protocol.
    fn group_settings(&self, group: &GroupId) -> (Duration, Duration) {
        let image = self.image.read();
        let own = image.configs(&ConfigResource::Group(group.clone()));
        let brokers = image.broker_settings(&self.started);
        let millis = |name: &str, of_broker: &str| {
            let own = own.get(name).and_then(|value| value.parse().ok());
            Duration::from_millis(own.or_else(|| brokers.parsed(of_broker)).unwrap_or_default())
        };
        (
            millis("consumer.session.timeout.ms", "group.consumer.session.timeout.ms"),
            millis("consumer.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms"),
        )
    }

    /// Forgets a group without members.
    pub(super) async fn delete_consumer_group(&self, request: DeleteGroup) -> Result<()> {
        self.check_open()?;
        self.ask_groups(|id| Input::Delete { request: id, group: request.group }).await.map(drop)
    }

    /// Looks at the groups.
    pub(super) fn with_groups<T>(&self, look: impl FnOnce(&Groups) -> T) -> T {
        look(&self.groups.machine.lock())
    }

    /// Asks the machine and waits for its answer.
    async fn ask_groups(&self, input: impl FnOnce(RequestId) -> Input) -> Result<Reply> {
        let (request, answer) = self.groups.register();
        self.group_step(input(request));
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or(Err(Error::Closed)),
            _ = closed.wait_for(|closed| *closed) => Err(Error::Closed),
        }
    }

    /// Steps the machine, submits what it wants stored, and answers who asked.
    pub(super) fn group_step(&self, input: Input) {
        tracing::trace!(%input, "groups");
        let mut effects = Vec::new();
        {
            let mut machine = self.groups.machine.lock();
            let before = machine.next_deadline();
            let now = Now { instant: self.clock.instant(), time: self.clock.now() };
            machine.step(now, input, &mut effects);
            if machine.next_deadline().is_some_and(|at| before.is_none_or(|before| at < before)) {
                self.timer.notify_one();
            }
            for effect in &effects {
                tracing::trace!(%effect, "groups");
                if let Effect::Persist { number, records } = effect {
                    let stored = self.store_groups(records);
                    self.groups.stores.lock().submitted.push_back((*number, stored));
                }
            }
        }
        for effect in effects {
            match effect {
                Effect::Persist { .. } => {}
                Effect::Reply { request, result } => self.groups.answer(request, result),
                Effect::Expired { group, member } => tracing::info!(%group, member, "a member was silent for too long"),
                Effect::Rebalanced { group, generation, members } => {
                    tracing::debug!(%group, generation, members, "a generation has begun");
                }
            }
        }
        self.tell_what_is_stored();
    }

    /// Submits records of `__consumer_offsets`, as one batch.
    fn store_groups(&self, records: &[Record]) -> BoxFuture<'static, Result<Appended>> {
        let mut batch = BatchBuilder::new(Compression::None);
        let timestamp = self.clock.now();
        for record in records {
            let (key, value) = record.to_bytes();
            let (key, value) = (key.map(Bytes::from), value.map(Bytes::from));
            batch.push(&crate::record::Record { key, value, timestamp, headers: Vec::new() });
        }
        let log = TopicName::new(CONSUMER_OFFSETS).and_then(|name| self.topic(&name));
        match log.and_then(|topic| topic.partition(0).cloned()) {
            Ok(log) => log.append_owned(batch.finish()).boxed(),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    /// Tells the machine of what is durable, in order; a task goes on when the log takes its time.
    fn tell_what_is_stored(&self) {
        loop {
            let (number, mut stored) = {
                let mut stores = self.groups.stores.lock();
                if stores.is_watched {
                    return;
                }
                let Some(first) = stores.submitted.pop_front() else { return };
                stores.is_watched = true;
                first
            };
            if let Some(result) = (&mut stored).now_or_never() {
                self.told(number, result);
                continue;
            }
            let broker = self.this.clone();
            tokio::spawn(async move {
                let result = stored.await;
                if let Some(broker) = broker.upgrade() {
                    broker.told(number, result);
                    broker.tell_what_is_stored();
                }
            });
            return;
        }
    }

    fn told(&self, number: u64, result: Result<Appended>) {
        let input = match result {
            Ok(_) => Input::Stored { number },
            Err(error) => {
                tracing::warn!(%error, "the state of a group was not stored");
                Input::NotStored { number, error }
            }
        };
        // Watched until the machine knows: what it answers by is told behind it.
        self.group_step(input);
        self.groups.stores.lock().is_watched = false;
    }

    /// Reads what is known of groups.
    pub(super) fn replay_groups(&self) -> Result<()> {
        for topic in self.open_topics() {
            let (name, id, partitions) = (topic.name.clone(), topic.id, topic.partitions.len() as u32);
            self.group_step(Input::Topic { name, id, partitions });
        }
        if let Ok(topic) = self.topic(&TopicName::new(CONSUMER_OFFSETS)?) {
            let present: std::collections::HashSet<_> = self.topics.iter().map(|topic| topic.id).collect();
            replay_records(&topic.partition(0)?.reader, |record| {
                let records = Record::read(record.key.as_deref(), record.value.as_deref());
                let records = records.map_err(|error| Error::Malformed {
                    why: format!("{CONSUMER_OFFSETS} at offset {}: {error}", record.offset),
                })?;
                let is_gone = |record: &Record| match record {
                    Record::Offset { state: Some(state), .. } => !present.contains(&state.topic_id),
                    _ => false,
                };
                let current = records.into_iter().filter(|record| !is_gone(record));
                current.for_each(|record| self.group_step(Input::Replay(record)));
                Ok(())
            })?;
        }
        self.group_step(Input::Replayed);
        Ok(())
    }
}
