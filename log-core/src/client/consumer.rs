//! Reading as a member of a group.
//!
//! A task beside the consumer says that the member lives, so that slow processing does not end its session. It only
//! raises a flag when the group has moved on; joining again happens in the next `poll`, on the caller's task. Under a
//! manual clock there is no such task and every `poll` says it instead.
//!
//! Delivery is at least once: after a rebalance, positions go back to what was committed.

use crate::record::{StoredRecord, records_at};
use crate::service::{
    CommitOffsets, CommittedOffsets, Fetch, FetchPartition, Heartbeat, JoinGroup, LeaveGroup, ListOffsets, Service,
};
use crate::types::{Error, GroupId, Isolation, Offset, OffsetSpec, Result, TopicName, TopicPartition, limits};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A member that is silent for longer is taken to be dead, unless the builder says otherwise.
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// How long one fetch of [`Consumer::next`] waits before it asks again.
const NEXT_WAIT: Duration = Duration::from_secs(300);

/// Settings of a [`Consumer`].
#[derive(Clone, Debug)]
pub struct ConsumerBuilder {
    service: Arc<dyn Service>,
    group: String,
    topics: Vec<String>,
    from: OffsetSpec,
    session_timeout: Duration,
}

impl ConsumerBuilder {
    pub(super) fn new(service: Arc<dyn Service>, group: &str) -> Self {
        Self {
            service,
            group: group.to_owned(),
            topics: Vec::new(),
            from: OffsetSpec::Earliest,
            session_timeout: SESSION_TIMEOUT_DEFAULT,
        }
    }

    /// The topics to read.
    pub fn topics<S: AsRef<str>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.topics.extend(topics.into_iter().map(|topic| topic.as_ref().to_owned()));
        self
    }

    /// Where to start on a partition that the group has not committed; the default is `Earliest`.
    pub fn from(mut self, spec: OffsetSpec) -> Self {
        self.from = spec;
        self
    }

    /// A member that is silent for longer loses its partitions; the default is 10 s.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// Joins the group. The topics must exist.
    pub async fn start(self) -> Result<Consumer> {
        let group = GroupId::new(&self.group)?;
        let topics = self.topics.iter().map(TopicName::new).collect::<Result<Vec<_>>>()?;
        if topics.is_empty() {
            return Err(Error::InvalidRequest { why: "a consumer reads at least one topic".into() });
        }
        let mut consumer = Consumer {
            service: self.service,
            group,
            topics,
            from: self.from,
            session_timeout: self.session_timeout,
            member: String::new(),
            generation: 0,
            partitions: BTreeMap::new(),
            order: VecDeque::new(),
            stale: Arc::default(),
            heartbeats: None,
        };
        consumer.join().await?;
        Ok(consumer)
    }
}

/// A record with where it came from.
#[derive(Clone, Debug)]
pub struct ConsumerRecord {
    /// The partition it was read from.
    pub partition: TopicPartition,
    /// The record, with its offset and timestamp.
    pub record: StoredRecord,
}

/// A member of a consumer group. Reads its partitions in order; positions are committed when asked.
///
/// Dropped without [`Consumer::leave`], its partitions go to others when its session expires.
#[derive(Debug)]
pub struct Consumer {
    service: Arc<dyn Service>,
    group: GroupId,
    topics: Vec<TopicName>,
    from: OffsetSpec,
    session_timeout: Duration,
    member: String,
    generation: u32,
    partitions: BTreeMap<TopicPartition, Position>,
    /// The partitions in the order in which their records are handed out next.
    order: VecDeque<TopicPartition>,
    stale: Arc<Stale>,
    heartbeats: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Position {
    /// Behind the last record handed out: what a commit commits.
    consumed: Offset,
    /// Where the next fetch reads.
    fetch: Offset,
    buffered: VecDeque<StoredRecord>,
}

impl Position {
    /// With nothing left to hand out, what lies between the last record and the next fetch is consumed as well: gaps
    /// that compaction has left, and markers.
    fn pass_gap(&mut self) {
        if self.buffered.is_empty() {
            self.consumed = self.fetch;
        }
    }
}

/// Raised by the heartbeat task when the member must join again.
#[derive(Debug, Default)]
struct Stale {
    flag: AtomicBool,
    wake: Notify,
}

impl Consumer {
    /// The next records, up to `max`; empty when none came within `wait` (at once under a manual clock).
    ///
    /// Joins again by itself when the group has moved on. Records are handed out partition by partition, each in
    /// order, in turn.
    ///
    /// Records that retention or a deletion took away before they were read are passed over.
    ///
    /// Fails with `Corrupt` when a partition cannot be read any further, and goes on with the
    /// others when it is called again.
    pub async fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<ConsumerRecord>> {
        let clock = self.service.clock();
        let deadline = clock.instant() + wait;
        loop {
            self.live().await?;
            let taken = self.take(max);
            let left = deadline.since(clock.instant());
            if !taken.is_empty() || max == 0 {
                return Ok(taken);
            }
            let fetched = self.fetch(left).await?;
            if !fetched && (clock.is_manual() || clock.instant() >= deadline) {
                return Ok(Vec::new());
            }
        }
    }

    /// The next record; waits for it. Under a manual clock, where nothing comes by waiting, call
    /// [`Consumer::poll`] instead: this fails with `InvalidRequest` when there is no record.
    pub async fn next(&mut self) -> Result<ConsumerRecord> {
        loop {
            if let Some(record) = self.poll(1, NEXT_WAIT).await?.pop() {
                return Ok(record);
            }
            if self.service.clock().is_manual() {
                return Err(Error::InvalidRequest { why: "no record is there and the clock stands still".into() });
            }
        }
    }

    /// The records as a stream, which ends after the first error.
    pub fn into_stream(self) -> impl futures::Stream<Item = Result<ConsumerRecord>> {
        futures::stream::unfold(Some(self), |consumer| async {
            let mut consumer = consumer?;
            let next = consumer.next().await;
            let again = next.is_ok().then_some(consumer);
            Some((next, again))
        })
    }

    /// Commits the position after every record that was returned. Durable when it returns.
    ///
    /// `StaleMember` means that the group moved on and nothing was committed: the records since the last commit are
    /// read again, by this member or another.
    pub async fn commit(&mut self) -> Result<()> {
        let offsets = self.partitions.iter().map(|(tp, position)| (tp.clone(), position.consumed)).collect();
        let member = Some((self.member.clone(), self.generation));
        let committed = self.service.commit_offsets(CommitOffsets { group: self.group.clone(), member, offsets }).await;
        if let Err(Error::StaleMember { .. }) = &committed {
            self.stale.flag.store(true, Ordering::Release);
        }
        committed
    }

    /// Moves the position of a partition that is assigned to this member.
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        let Some(position) = self.partitions.get_mut(partition) else {
            return Err(Error::InvalidRequest { why: format!("{partition} is not assigned to this member") });
        };
        *position = Position { consumed: offset, fetch: offset, buffered: VecDeque::new() };
        Ok(())
    }

    /// The partitions this member reads now, in order.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.partitions.keys().cloned().collect()
    }

    /// The next offset to be handed out of each partition.
    pub fn positions(&self) -> Vec<(TopicPartition, Offset)> {
        self.partitions.iter().map(|(tp, position)| (tp.clone(), position.consumed)).collect()
    }

    /// The group, and the place in it.
    pub(super) fn membership(&self) -> (GroupId, (String, u32)) {
        (self.group.clone(), (self.member.clone(), self.generation))
    }

    /// Leaves the group, so that others take over at once. Commits nothing.
    pub async fn leave(mut self) -> Result<()> {
        self.stop_heartbeats();
        self.service.leave_group(LeaveGroup { group: self.group.clone(), member: self.member.clone() }).await
    }

    /// Makes sure that this is a member of the present generation.
    async fn live(&mut self) -> Result<()> {
        if self.service.clock().is_manual() {
            match self.service.heartbeat(self.heartbeat()).await {
                Err(Error::StaleMember { .. }) => self.stale.flag.store(true, Ordering::Release),
                other => other?,
            }
        }
        if self.stale.flag.load(Ordering::Acquire) { self.join().await } else { Ok(()) }
    }

    fn heartbeat(&self) -> Heartbeat {
        Heartbeat { group: self.group.clone(), member: self.member.clone(), generation: self.generation }
    }

    /// Joins, or joins again, and takes up the committed positions of what is assigned.
    async fn join(&mut self) -> Result<()> {
        self.stop_heartbeats();
        // Until all of it is done; a join that fails or is given up half-way starts again in the next `poll`.
        self.stale.flag.store(true, Ordering::Release);
        let mut request = JoinGroup {
            group: self.group.clone(),
            member: self.member.clone(),
            topics: self.topics.clone(),
            session_timeout: self.session_timeout,
        };
        let joined = match self.service.join_group(request.clone()).await {
            Err(Error::StaleMember { .. }) if !request.member.is_empty() => {
                request.member.clear();
                self.service.join_group(request).await?
            }
            other => other?,
        };
        self.member = joined.member;
        self.generation = joined.generation;
        let committed = self.service.committed_offsets(CommittedOffsets { group: self.group.clone() }).await?;
        let committed: BTreeMap<_, _> = committed.into_iter().map(|c| (c.partition, c.offset)).collect();
        let fresh = joined.assignment.iter().filter(|tp| !committed.contains_key(tp));
        let partitions: Vec<_> = fresh.map(|tp| (tp.clone(), self.from)).collect();
        let mut starts = committed;
        if !partitions.is_empty() {
            let listed =
                self.service.list_offsets(ListOffsets { partitions, isolation: Isolation::ReadCommitted }).await?;
            starts.extend(listed.into_iter().map(|listed| (listed.partition, listed.offset)));
        }
        self.partitions.clear();
        for tp in &joined.assignment {
            let start = starts.get(tp).copied().unwrap_or(0);
            let position = Position { consumed: start, fetch: start, buffered: VecDeque::new() };
            self.partitions.insert(tp.clone(), position);
        }
        self.order = joined.assignment.into();
        self.stale = Arc::default();
        self.start_heartbeats();
        Ok(())
    }

    fn start_heartbeats(&mut self) {
        let clock = self.service.clock();
        if clock.is_manual() {
            return;
        }
        // Weak, so that a forgotten consumer does not keep the log open.
        let service = Arc::downgrade(&self.service);
        let (stale, request) = (self.stale.clone(), self.heartbeat());
        let every = (self.session_timeout / 10).clamp(Duration::from_millis(10), Duration::from_secs(1));
        self.heartbeats = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(service) = service.upgrade() else { return };
                match service.heartbeat(request.clone()).await {
                    Ok(()) => {}
                    Err(error) if error.is_retriable() => {}
                    Err(_) => {
                        stale.flag.store(true, Ordering::Release);
                        stale.wake.notify_one();
                        return;
                    }
                }
            }
        }));
    }

    fn stop_heartbeats(&mut self) {
        if let Some(task) = self.heartbeats.take() {
            task.abort();
        }
    }

    /// Up to `max` buffered records, from the partition whose turn it is on.
    fn take(&mut self, max: usize) -> Vec<ConsumerRecord> {
        let mut taken = Vec::new();
        for _ in 0..self.order.len() {
            if taken.len() == max {
                break;
            }
            let partition = self.order.pop_front().expect("the loop runs once per partition");
            if let Some(position) = self.partitions.get_mut(&partition) {
                let n = position.buffered.len().min(max - taken.len());
                for record in position.buffered.drain(..n) {
                    position.consumed = record.offset + 1;
                    taken.push(ConsumerRecord { partition: partition.clone(), record });
                }
                position.pass_gap();
            }
            self.order.push_back(partition);
        }
        taken
    }

    /// Goes on at the log start if the position lies before it: what was there has been deleted.
    fn skip_deleted(&mut self, partition: &TopicPartition, log_start_offset: Offset) -> bool {
        match self.partitions.get_mut(partition) {
            Some(position) if position.fetch < log_start_offset => {
                let from = position.fetch;
                tracing::warn!(%partition, from, to = log_start_offset, "records were deleted before they were read");
                position.fetch = log_start_offset;
                position.pass_gap();
                true
            }
            _ => false,
        }
    }

    /// Fetches from all partitions; whether any position moved. Ends early when the member must join again.
    async fn fetch(&mut self, max_wait: Duration) -> Result<bool> {
        let max_bytes = (8 * limits::FETCH_BYTES_DEFAULT / self.order.len().max(1) as u32)
            .clamp(limits::FETCH_BYTES_DEFAULT / 16, limits::FETCH_BYTES_DEFAULT);
        let partitions = self.order.iter().map(|tp| FetchPartition {
            partition: tp.clone(),
            offset: self.partitions.get(tp).map_or(0, |position| position.fetch),
            max_bytes,
        });
        let isolation = Isolation::ReadCommitted;
        let request = Fetch { partitions: partitions.collect(), max_wait, min_bytes: 1, isolation };
        let fetched = tokio::select! {
            biased;
            fetched = self.service.fetch(request) => fetched,
            () = self.stale.wake.notified() => return Ok(false),
        };
        let fetched = match fetched {
            Err(Error::OffsetOutOfRange { partition, offset, start, .. }) if offset < start => {
                self.skip_deleted(&partition, start);
                return Ok(true);
            }
            other => other?,
        };
        let (mut any, mut silent) = (false, None);
        for answer in fetched {
            any |= self.skip_deleted(&answer.partition, answer.offsets.log_start_offset);
            let Some(position) = self.partitions.get_mut(&answer.partition) else { continue };
            if answer.batches.is_empty() && position.fetch < answer.offsets.last_stable_offset {
                let (partition, offset) = (answer.partition.clone(), position.fetch);
                silent.get_or_insert(FetchPartition { partition, offset, max_bytes });
            }
            let before = position.fetch;
            for record in records_at(answer.committed()?, &mut position.fetch) {
                position.buffered.push_back(record?);
            }
            position.pass_gap();
            any |= position.fetch != before;
        }
        if let Some(partition) = silent {
            // Next to partitions that have records, one that cannot be read says nothing; asked alone, it says why.
            let request = Fetch { partitions: vec![partition], max_wait: Duration::ZERO, min_bytes: 0, isolation };
            self.service.fetch(request).await?;
        }
        Ok(any)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.stop_heartbeats();
    }
}
