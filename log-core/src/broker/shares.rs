//! Queues: gives the pure machine of `share` its clock, its records and its log.
//!
//! There is one machine per group and partition, behind a short lock. A change of its durable state is appended to
//! the internal topic `__share_state` under that lock and waited for without it, so that many workers share a flush.
//! What a worker is told has always been durable first.
//!
//! A record that ran out of deliveries, or was rejected, is copied to `<topic>.dead` (one partition, made on demand)
//! with what is known of its death in headers; when the copy is durable the record is finished. A crash between the
//! two leaves it unfinished and it is copied again: dead letters are at least once.

use super::Broker;
use super::metadata::{one_record, replay};
use super::partition::Partition;
use super::poll::{Poll, WatchList, Watching};
use super::topics::{SHARE_STATE, Topic};
use crate::codec::from_bincode;
use crate::record::{BatchBuilder, Compression, Header, Record, StoredRecord, records_at};
use crate::service::{
    DeleteGroup, GroupDescription, GroupKind, GroupPartition, LeasedRecord, ShareAcknowledge, ShareFetch, ShareOutcome,
};
use crate::share::{Change, Effect, Input, SharePartition, ShareRecord};
use crate::types::{
    Cleanup, Error, GroupId, GroupState, Instant, Offset, OffsetRange, Result, TopicConfig, TopicId, TopicName,
    TopicPartition, TopicSpec, limits,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::Notify;

/// What the name of a queue's topic gets to name its dead letters.
const DEAD_SUFFIX: &str = ".dead";
/// Room for the headers of a dead letter, in bytes.
const DEAD_HEADERS_BYTES: u32 = 4096;
/// Changes of a queue's state after which the whole is stored.
const SNAPSHOT_EVERY: u64 = 1000;
/// Bytes that one read of leased records takes.
const READ_BYTES: u32 = 1024 * 1024;

/// All queues of a broker.
#[derive(Debug, Default)]
pub(super) struct Shares {
    queues: Mutex<BTreeMap<(GroupId, TopicPartition), Arc<Queue>>>,
    /// Where the next fetch begins, so that all partitions get their turn.
    turn: AtomicU64,
}

/// One group's queue on one partition.
#[derive(Debug)]
struct Queue {
    group: GroupId,
    partition: Arc<Partition>,
    machine: Mutex<SharePartition>,
    /// Changes since the last snapshot.
    changes: AtomicU64,
    /// Workers that wait until a record can be had again.
    bell: WatchList,
    /// The group was deleted: nothing is stored for this queue any more. Set under the machine's lock.
    retired: AtomicBool,
}

/// A record that is to be copied to the dead-letter topic. Dropped unburied, that is tried again later.
struct Dying {
    queue: Arc<Queue>,
    offset: Offset,
    deliveries: u16,
    reason: &'static str,
    buried: bool,
    now: Instant,
    /// Rings when it is to be tried again.
    timer: Arc<Notify>,
}

impl Drop for Dying {
    fn drop(&mut self) {
        if !self.buried {
            let input = Input::DeadLetterFailed { offset: self.offset };
            self.queue.machine.lock().step(self.now, input, &mut Vec::new());
            self.timer.notify_one();
        }
    }
}

/// Leases that were taken for a worker that does not know of them yet. Dropped before it does, because the request was
/// given up or storing them failed, they are given back.
struct Untold<'a> {
    broker: &'a Broker,
    queue: &'a Arc<Queue>,
    member: &'a str,
    offsets: OffsetRange,
    told: bool,
}

impl Drop for Untold<'_> {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let outcomes = (self.offsets.start..self.offsets.end).map(|offset| (offset, ShareOutcome::Release)).collect();
        let mut dying = Vec::new();
        let mut machine = self.queue.machine.lock();
        let mut effects = Vec::new();
        let release = Input::Acknowledge { member: self.member.to_owned(), outcomes };
        machine.step(self.broker.clock.instant(), release, &mut effects);
        self.broker.sort_out(self.queue, effects, &mut dying);
        drop(machine);
        // Those that were on their last delivery are buried a little later.
        drop(dying);
    }
}

/// Records that a worker has leased and that it will be told of once that is durable, below `position`.
struct Acquired<'a> {
    read: Vec<StoredRecord>,
    position: Offset,
    delivery: u16,
    untold: Untold<'a>,
}

impl Shares {
    pub(super) fn forget_topic(&self, topic: TopicId) {
        self.queues.lock().retain(|_, queue| queue.partition.topic_id != topic);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queues.lock().values().filter_map(|queue| queue.machine.lock().next_deadline()).min()
    }

    /// The queue of a group on a partition. Fails for a partition whose topic was deleted: a request that was under
    /// way then must not leave a queue behind for the next topic of that name.
    fn queue(&self, group: &GroupId, partition: &Arc<Partition>, config: &TopicConfig) -> Result<Arc<Queue>> {
        let key = (group.clone(), partition.name.clone());
        let fresh = || {
            let start = partition.offsets().log_start_offset;
            let (name, lease) = (partition.name.clone(), config.lease);
            let machine = SharePartition::new(name, start, config.deliveries_max, lease);
            Arc::new(Queue {
                group: group.clone(),
                partition: partition.clone(),
                machine: Mutex::new(machine),
                changes: AtomicU64::new(0),
                bell: WatchList::default(),
                retired: AtomicBool::new(false),
            })
        };
        let mut queues = self.queues.lock();
        // Looked at under the lock: a deletion closes the partition first and forgets its queues then.
        match partition.failed() {
            Some(error @ Error::UnknownTopic { .. }) => Err(error.clone()),
            _ => Ok(queues.entry(key).or_insert_with(fresh).clone()),
        }
    }
}

impl Broker {
    pub(super) async fn lease(&self, request: ShareFetch) -> Result<Vec<LeasedRecord>> {
        let ShareFetch { group, topic, member, max_records, max_wait } = request;
        self.check_open()?;
        let topic = self.topic(&topic)?;
        if topic.name.is_internal() || topic.name.as_str().len() + DEAD_SUFFIX.len() > limits::TOPIC_NAME_BYTES_MAX {
            let why = format!("`{}` cannot be a queue: its dead letters would have no valid topic name", topic.name);
            return Err(Error::InvalidRequest { why });
        }
        if max_records == 0 {
            return Ok(Vec::new());
        }
        let state = self.ensure_internal(SHARE_STATE).await?;
        let deadline = self.clock.instant() + max_wait;
        let turn = self.shares.turn.fetch_add(1, Ordering::Relaxed) as usize;
        let n = topic.partitions.len();
        'registered: loop {
            let queue = |i| self.shares.queue(&group, &topic.partitions[(turn + i) % n], &topic.config);
            let queues = (0..n).map(queue).collect::<Result<Vec<_>>>()?;
            // Registered before it looks, so that nothing that comes meanwhile is slept through.
            let poll = Poll::new(n);
            let mut watching = Watching::new(&poll);
            for (index, queue) in (0..).zip(&queues) {
                watching.add(&queue.partition.watchers, index);
                watching.add(&queue.bell, index);
            }
            let mut changed: Vec<u32> = (0..n as u32).collect();
            loop {
                for queue in changed.drain(..).map(|index| &queues[index as usize]) {
                    self.check_open()?;
                    if !Arc::ptr_eq(queue, &self.shares.queue(&group, &queue.partition, &topic.config)?) {
                        // The group was deleted, and begins anew.
                        continue 'registered;
                    }
                    let leased = self.lease_from(&state, queue, &member, max_records, topic.config.lease).await?;
                    if !leased.is_empty() {
                        return Ok(leased);
                    }
                }
                let left = deadline.since(self.clock.instant());
                if left.is_zero() || self.clock.is_manual() {
                    return Ok(Vec::new());
                }
                poll.take(1, &mut changed);
                if changed.is_empty() {
                    self.rung(&poll, left).await;
                    poll.take(1, &mut changed);
                }
            }
        }
    }

    async fn lease_from(
        &self,
        state: &Topic,
        queue: &Arc<Queue>,
        member: &str,
        max: u32,
        lease: std::time::Duration,
    ) -> Result<Vec<LeasedRecord>> {
        loop {
            let mut dying = Vec::new();
            let acquired = self.lease_once(state, queue, member, max, &mut dying);
            self.bury_all(state, dying).await;
            let Some(Acquired { read, position, delivery, mut untold }) = acquired? else {
                return Ok(Vec::new());
            };
            self.timer.notify_one();
            self.stored(state, position).await?;
            untold.told = true;
            if read.is_empty() {
                // All of it was compacted away or deleted; there may be records behind it.
                continue;
            }
            let partition = &queue.partition.name;
            let leased = |record| LeasedRecord { partition: partition.clone(), record, delivery, lease };
            return Ok(read.into_iter().map(leased).collect());
        }
    }

    /// Leases a range of offsets, of which those that hold no record are finished at once. Not durable yet.
    fn lease_once<'a>(
        &'a self,
        state: &Topic,
        queue: &'a Arc<Queue>,
        member: &'a str,
        max: u32,
        dying: &mut Vec<Dying>,
    ) -> Result<Option<Acquired<'a>>> {
        let now = self.clock.instant();
        let mut machine = queue.machine.lock();
        let offsets = queue.partition.offsets();
        self.finish_missing(state, queue, &mut machine, vec![OffsetRange::new(0, offsets.log_start_offset)], dying)?;
        let high_watermark = offsets.high_watermark;
        let mut effects = Vec::new();
        machine.step(now, Input::Acquire { member: member.to_owned(), max, high_watermark }, &mut effects);
        let (Some(change), _) = self.sort_out(queue, effects, dying) else { return Ok(None) };
        let wanted = OffsetRange::new(change.ranges[0].start, change.ranges[0].end);
        // Read before the delivery counts: a record that cannot be read is not delivered.
        let read = read_records(&queue.partition, wanted);
        let stored = read.and_then(|read| Ok((read, self.store(state, queue, &machine, change)?)));
        let (read, position) = stored.inspect_err(|_| machine.step(now, Input::NotPersisted, &mut Vec::new()))?;
        let mut effects = Vec::new();
        machine.step(now, Input::Persisted, &mut effects);
        let delivery = effects.iter().find_map(|effect| match effect {
            Effect::Leased { deliveries, .. } => Some(*deliveries),
            _ => None,
        });
        let delivery = delivery.expect("an acquisition leases");
        // If that is not stored, their leases run out and the next worker finds out again.
        let missing = self.finish_missing(state, queue, &mut machine, gaps(&read, wanted), dying);
        let position = missing.ok().flatten().unwrap_or(position);
        let untold = Untold { broker: self, queue, member, offsets: wanted, told: false };
        Ok(Some(Acquired { read, position, delivery, untold }))
    }

    /// Finishes offsets that hold no record; where the change is in the log, if there is one.
    fn finish_missing(
        &self,
        state: &Topic,
        queue: &Arc<Queue>,
        machine: &mut SharePartition,
        ranges: Vec<OffsetRange>,
        dying: &mut Vec<Dying>,
    ) -> Result<Option<Offset>> {
        let now = self.clock.instant();
        let mut effects = Vec::new();
        machine.step(now, Input::Missing { ranges }, &mut effects);
        let (Some(change), _) = self.sort_out(queue, effects, dying) else { return Ok(None) };
        let stored = self.store(state, queue, machine, change);
        let answer = if stored.is_ok() { Input::Persisted } else { Input::NotPersisted };
        machine.step(now, answer, &mut Vec::new());
        stored.map(Some)
    }

    pub(super) async fn acknowledge(&self, request: ShareAcknowledge) -> Result<()> {
        let ShareAcknowledge { group, member, outcomes } = request;
        self.check_open()?;
        let state = self.ensure_internal(SHARE_STATE).await?;
        let mut by_partition: BTreeMap<TopicPartition, Vec<(Offset, ShareOutcome)>> = BTreeMap::new();
        for (partition, offset, outcome) in outcomes {
            by_partition.entry(partition).or_default().push((offset, outcome));
        }
        let (mut refused, mut dying, mut last) = (None, Vec::new(), None);
        for (partition, outcomes) in by_partition {
            let topic = self.topic(&partition.topic)?;
            let queue = self.shares.queue(&group, topic.partition(partition.partition)?, &topic.config)?;
            let mut machine = queue.machine.lock();
            let now = self.clock.instant();
            let mut effects = Vec::new();
            machine.step(now, Input::Acknowledge { member: member.clone(), outcomes }, &mut effects);
            let (change, error) = self.sort_out(&queue, effects, &mut dying);
            if let Some(change) = change {
                match self.store(&state, &queue, &machine, change) {
                    Ok(position) => {
                        last = Some(position);
                        machine.step(now, Input::Persisted, &mut Vec::new());
                        // The window may have been full.
                        queue.ring();
                    }
                    Err(error) => {
                        machine.step(now, Input::NotPersisted, &mut Vec::new());
                        refused.get_or_insert(error);
                    }
                }
            }
            refused = refused.or(error);
        }
        self.timer.notify_one();
        for dying in dying {
            if let Err(error) = self.bury(&state, dying).await {
                refused.get_or_insert(error);
            }
        }
        if let Some(position) = last {
            self.stored(&state, position).await?;
        }
        refused.map_or(Ok(()), Err)
    }

    /// Takes what effects ask for: the change to store, the refusal to return, records to bury, workers to wake.
    fn sort_out(
        &self,
        queue: &Arc<Queue>,
        effects: Vec<Effect>,
        dying: &mut Vec<Dying>,
    ) -> (Option<Change>, Option<Error>) {
        let (mut change, mut refused, mut ring) = (None, None, false);
        for effect in effects {
            tracing::trace!(group = %queue.group, partition = %queue.partition.name, %effect, "queue");
            match effect {
                Effect::Persist(wanted) => change = Some(wanted),
                Effect::Refused(error) => refused = refused.or(Some(error)),
                Effect::Available { .. } | Effect::Finished { .. } => ring = true,
                Effect::DeadLetter { offset, deliveries, reason } => {
                    let (queue, now, timer) = (queue.clone(), self.clock.instant(), self.timer.clone());
                    dying.push(Dying { queue, offset, deliveries, reason, buried: false, now, timer });
                }
                Effect::Leased { .. } => {}
            }
        }
        if ring {
            queue.ring();
        }
        (change, refused)
    }

    /// Appends a change of a queue's state; returns where. Now and then the whole state before it.
    fn store(&self, state: &Topic, queue: &Queue, machine: &SharePartition, change: Change) -> Result<Offset> {
        let log = state.partition(0)?;
        let (group, partition) = (queue.group.clone(), queue.partition.name.clone());
        if queue.retired.load(Ordering::Relaxed) {
            return Err(Error::UnknownGroup { group: group.to_string(), did_you_mean: None });
        }
        let topic_id = queue.partition.topic_id;
        if queue.changes.fetch_add(1, Ordering::Relaxed) % SNAPSHOT_EVERY == SNAPSHOT_EVERY - 1 {
            let (group, partition, change) = (group.clone(), partition.clone(), machine.snapshot());
            let snapshot = ShareRecord::Snapshot { group, partition, topic_id, change };
            log.append_now(one_record(&snapshot, self.clock.now()))?;
        }
        let record = ShareRecord::Change { group, partition, topic_id, change };
        let appended = log.append_now(one_record(&record, self.clock.now()))?;
        Ok(appended.last_offset)
    }

    /// Waits until the queue state is durable up to `position`.
    async fn stored(&self, state: &Topic, position: Offset) -> Result<()> {
        let log = state.partition(0)?;
        log.acknowledged(position + 1).await
    }

    async fn bury_all(&self, state: &Topic, dying: Vec<Dying>) {
        for dying in dying {
            let (partition, offset) = (dying.queue.partition.name.clone(), dying.offset);
            if let Err(error) = self.bury(state, dying).await {
                tracing::warn!(%partition, offset, %error, "a dead letter was not written; trying again");
            }
        }
    }

    /// Copies a record to the dead-letter topic and finishes it, both durable when it returns.
    async fn bury(&self, state: &Topic, mut dying: Dying) -> Result<()> {
        let queue = dying.queue.clone();
        let source = &queue.partition;
        let found = read_records(source, OffsetRange::new(dying.offset, dying.offset + 1))?;
        if let Some(record) = found.into_iter().next() {
            let config = self.topic(&source.name.topic)?.config.clone();
            let dead = self.dead_topic(&source.name.topic, &config).await?;
            let mut batch = BatchBuilder::new(Compression::None);
            batch.push(&dead_letter(source, record, &dying));
            let log = dead.partition(0)?;
            log.append(batch.finish()).await?;
        }
        let position = {
            let mut machine = queue.machine.lock();
            let mut effects = Vec::new();
            let (now, offset) = (self.clock.instant(), dying.offset);
            machine.step(now, Input::DeadLettered { offset }, &mut effects);
            // Other records may have run out of leases in the same step.
            let mut more = Vec::new();
            let (change, _) = self.sort_out(&queue, effects, &mut more);
            let stored = change.map(|change| self.store(state, &queue, &machine, change)).transpose();
            match &stored {
                Ok(Some(_)) => machine.step(now, Input::Persisted, &mut Vec::new()),
                Ok(None) => {}
                Err(_) => machine.step(now, Input::NotPersisted, &mut Vec::new()),
            }
            dying.buried = true;
            drop(machine);
            // Dropped, they are tried again a little later.
            drop(more);
            stored?
        };
        queue.ring();
        self.timer.notify_one();
        match position {
            Some(position) => self.stored(state, position).await,
            None => Ok(()),
        }
    }

    async fn dead_topic(&self, name: &TopicName, config: &TopicConfig) -> Result<Arc<Topic>> {
        let mut spec = TopicSpec::new(format!("{name}{DEAD_SUFFIX}"), 1)?;
        spec.config = config.clone();
        // A dead letter is no newer version of another with the same key.
        spec.config.cleanup = Cleanup::Delete;
        let roomy = config.batch_bytes_max.saturating_add(DEAD_HEADERS_BYTES);
        spec.config.batch_bytes_max = roomy.min(limits::BATCH_BYTES_HARD_MAX);
        self.ensure(spec).await
    }

    /// Ends leases that have run out and tries dead letters again.
    pub(super) async fn tick_shares(&self) -> Result<()> {
        let now = self.clock.instant();
        let queues: Vec<_> = self.shares.queues.lock().values().cloned().collect();
        let mut dying = Vec::new();
        for queue in queues {
            let mut machine = queue.machine.lock();
            if machine.next_deadline().is_some_and(|at| at <= now) {
                let mut effects = Vec::new();
                machine.step(now, Input::Tick, &mut effects);
                self.sort_out(&queue, effects, &mut dying);
            }
        }
        if !dying.is_empty() {
            let state = self.ensure_internal(SHARE_STATE).await?;
            self.bury_all(&state, dying).await;
        }
        Ok(())
    }

    /// Reads the state of queues on topics that still exist.
    pub(super) fn replay_shares(&self) -> Result<()> {
        let Ok(topic) = self.topic(&TopicName::new(SHARE_STATE)?) else { return Ok(()) };
        replay(&topic.partition(0)?.reader, |position, value| {
            let record: ShareRecord = from_bincode(value)
                .map_err(|e| Error::Malformed { why: format!("{SHARE_STATE} at offset {position}: {e}") })?;
            let (group, partition, topic_id, change, whole) = match record {
                ShareRecord::Change { group, partition, topic_id, change } => {
                    (group, partition, topic_id, change, false)
                }
                ShareRecord::Snapshot { group, partition, topic_id, change } => {
                    (group, partition, topic_id, change, true)
                }
                ShareRecord::Deleted { group } => {
                    self.shares.queues.lock().retain(|(of, _), _| *of != group);
                    return Ok(());
                }
            };
            let Ok(topic) = self.topic(&partition.topic) else { return Ok(()) };
            if topic.id == topic_id {
                if whole {
                    self.shares.queues.lock().remove(&(group.clone(), partition.clone()));
                }
                let queue = self.shares.queue(&group, topic.partition(partition.partition)?, &topic.config)?;
                queue.machine.lock().replay(&change);
            }
            Ok(())
        })
    }

    pub(super) async fn delete_share_group(&self, request: &DeleteGroup) -> Result<()> {
        let state = self.ensure_internal(SHARE_STATE).await?;
        let position = {
            let mut queues = self.shares.queues.lock();
            let of_group: Vec<_> = queues.values().filter(|queue| queue.group == request.group).cloned().collect();
            // Held until the record is in the log, so that no change of these queues comes behind it.
            let machines: Vec<_> = of_group.iter().map(|queue| queue.machine.lock()).collect();
            let leased: u64 = machines.iter().map(|machine| machine.leased()).sum();
            if leased > 0 {
                let (group, members) = (request.group.to_string(), leased as usize);
                return Err(Error::GroupNotEmpty { group, members });
            }
            let record = ShareRecord::Deleted { group: request.group.clone() };
            let position = state.partition(0)?.append_now(one_record(&record, self.clock.now()))?.last_offset;
            queues.retain(|(group, _), _| *group != request.group);
            for queue in &of_group {
                queue.retired.store(true, Ordering::Relaxed);
                queue.ring();
            }
            position
        };
        self.stored(&state, position).await
    }

    pub(super) fn has_share_group(&self, group: &GroupId) -> bool {
        self.shares.queues.lock().keys().any(|(of, _)| of == group)
    }

    pub(super) fn share_groups(&self) -> Vec<GroupDescription> {
        let queues: Vec<_> = self.shares.queues.lock().values().cloned().collect();
        let mut groups: BTreeMap<GroupId, Vec<GroupPartition>> = BTreeMap::new();
        for queue in queues {
            let high_watermark = queue.partition.offsets().high_watermark;
            let (position, lag_records, leased) = {
                let machine = queue.machine.lock();
                (machine.start_offset(), machine.unfinished(high_watermark), machine.leased())
            };
            let oldest = (lag_records > 0).then(|| queue.partition.timestamp_at(position)).flatten();
            groups.entry(queue.group.clone()).or_default().push(GroupPartition {
                partition: queue.partition.name.clone(),
                position,
                lag_records,
                lag: oldest.map(|at| self.age(at)),
                leased,
            });
        }
        let describe = |(group, partitions)| GroupDescription {
            group,
            kind: GroupKind::Share,
            state: GroupState::Stable,
            generation: 0,
            members: Vec::new(),
            partitions,
        };
        groups.into_iter().map(describe).collect()
    }
}

impl Queue {
    /// Wakes workers that wait for a record.
    fn ring(&self) {
        self.bell.wake();
    }
}

/// The parts of `wanted` that have no record in `read`, which is in order.
fn gaps(read: &[StoredRecord], wanted: OffsetRange) -> Vec<OffsetRange> {
    let mut gaps = Vec::new();
    let mut next = wanted.start;
    for offset in read.iter().map(|record| record.offset).chain([wanted.end]) {
        if next < offset {
            gaps.push(OffsetRange::new(next, offset));
        }
        next = offset + 1;
    }
    gaps
}

/// The records that there are in a range: fewer than it has offsets where some were deleted or compacted away.
fn read_records(partition: &Partition, wanted: OffsetRange) -> Result<Vec<StoredRecord>> {
    let mut read = Vec::new();
    let mut position = wanted.start.max(partition.offsets().log_start_offset);
    while position < wanted.end {
        let before = position;
        for record in records_at(partition.read_now(position, READ_BYTES)?, &mut position) {
            let record = record?;
            if record.offset >= wanted.end {
                return Ok(read);
            }
            read.push(record);
        }
        if position == before {
            break;
        }
    }
    Ok(read)
}

/// A record as it lies in the dead-letter topic.
fn dead_letter(source: &Partition, record: StoredRecord, dying: &Dying) -> Record {
    let header = |key: &str, value: String| Header { key: key.to_owned(), value: Some(Bytes::from(value)) };
    let mut headers = record.headers;
    headers.push(header("tw.dead.topic", source.name.topic.to_string()));
    headers.push(header("tw.dead.partition", source.name.partition.to_string()));
    headers.push(header("tw.dead.offset", dying.offset.to_string()));
    headers.push(header("tw.dead.deliveries", dying.deliveries.to_string()));
    headers.push(header("tw.dead.reason", dying.reason.to_owned()));
    Record { key: record.key, value: record.value, timestamp: record.timestamp, headers }
}
