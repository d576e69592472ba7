//! Reading as a member of a group.
//!
//! What to read comes from [`membership`](super::membership); this holds positions and records. Positions start where the
//! group has committed.
//!
//! Delivery is at least once: what was read and not committed when a partition goes to another member is read again.

use super::membership::{Change, GroupProtocol, Member, Wanted};
use crate::record::{StoredRecord, records_at};
use crate::service::{
    CommitOffsets, CommittedOffsets, DescribeTopics, Fetch, FetchPartition, ListOffsets, Membership, Service,
};
use crate::types::{
    Error, ErrorKind, GroupId, GroupRefusal, Isolation, Offset, OffsetSpec, Result, TopicName, TopicPartition, limits,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A member that is silent for longer is taken to be dead, unless the builder says otherwise.
const SESSION_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// How long members have to join again, unless the builder says otherwise (Kafka's `max.poll.interval.ms`).
const REBALANCE_TIMEOUT_DEFAULT: Duration = Duration::from_mins(5);
/// How long [`ConsumerBuilder::start`] waits for others to give up their part.
const START_WAIT: Duration = Duration::from_secs(3);
/// How long one fetch of [`Consumer::next`] waits before it asks again.
const NEXT_WAIT: Duration = Duration::from_secs(300);
/// A commit that crosses a new epoch of the member is sent again, so often.
const COMMITS_MAX: usize = 3;

/// Settings of a [`Consumer`].
#[derive(Clone, Debug)]
pub struct ConsumerBuilder {
    service: Arc<dyn Service>,
    group: String,
    topics: Vec<String>,
    regex: Option<String>,
    from: OffsetSpec,
    protocol: GroupProtocol,
    instance: Option<String>,
    session_timeout: Duration,
    rebalance_timeout: Duration,
}

impl ConsumerBuilder {
    pub(super) fn new(service: Arc<dyn Service>, group: &str) -> Self {
        Self {
            service,
            group: group.to_owned(),
            topics: Vec::new(),
            regex: None,
            from: OffsetSpec::Earliest,
            protocol: GroupProtocol::default(),
            instance: None,
            session_timeout: SESSION_TIMEOUT_DEFAULT,
            rebalance_timeout: REBALANCE_TIMEOUT_DEFAULT,
        }
    }

    /// The topics to read.
    pub fn topics<S: AsRef<str>>(mut self, topics: impl IntoIterator<Item = S>) -> Self {
        self.topics.extend(topics.into_iter().map(|topic| topic.as_ref().to_owned()));
        self
    }

    /// Reads all topics whose whole name this expression matches, those that come later too. Only by
    /// [`GroupProtocol::Consumer`].
    pub fn topics_matching(mut self, regex: impl Into<String>) -> Self {
        self.regex = Some(regex.into());
        self
    }

    /// Where to start on a partition that the group has not committed; the default is `Earliest`.
    pub fn from(mut self, spec: OffsetSpec) -> Self {
        self.from = spec;
        self
    }

    /// How the members agree on who reads what; all members of a group do it alike.
    pub fn protocol(mut self, protocol: GroupProtocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// A name that this member keeps over restarts: it gets the same partitions again, if it is back before its session is
    /// over (KIP-345).
    pub fn instance(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }

    /// A member that is silent for longer loses its partitions; the default is 10 s. In the consumer protocol the log
    /// decides (`consumer.session.timeout.ms`).
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.session_timeout = timeout;
        self
    }

    /// A member that does not call [`Consumer::poll`] for longer while the group rebalances loses its partitions; the
    /// default is 5 minutes.
    pub fn rebalance_timeout(mut self, timeout: Duration) -> Self {
        self.rebalance_timeout = timeout;
        self
    }

    /// Joins the group. The topics must exist. If other members have to give up their part first, what this one reads is
    /// known after a later [`Consumer::poll`].
    pub async fn start(self) -> Result<Consumer> {
        let group = GroupId::new(&self.group)?;
        let topics = self.topics.iter().map(TopicName::new).collect::<Result<Vec<_>>>()?;
        if topics.is_empty() && self.regex.is_none() {
            return Err(Error::InvalidRequest { why: "a consumer reads at least one topic".into() });
        }
        if self.regex.is_some() && self.protocol == GroupProtocol::Classic {
            let why = "topics are chosen by an expression in the consumer protocol alone";
            return Err(Error::InvalidRequest { why: why.into() });
        }
        let request = DescribeTopics { topics: Some(topics.clone()), include_internal: true };
        self.service.describe_topics(request).await?;
        let wanted = Wanted {
            group,
            instance: self.instance,
            topics,
            regex: self.regex,
            protocol: self.protocol,
            session_timeout: self.session_timeout,
            rebalance_timeout: self.rebalance_timeout,
        };
        let mut consumer = Consumer {
            member: Member::new(self.service.clone(), wanted),
            service: self.service,
            from: self.from,
            partitions: BTreeMap::new(),
            order: VecDeque::new(),
            paused: BTreeSet::new(),
        };
        consumer.live(START_WAIT).await?;
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
    member: Member,
    from: OffsetSpec,
    partitions: BTreeMap<TopicPartition, Position>,
    /// The partitions in the order in which their records are handed out next.
    order: VecDeque<TopicPartition>,
    /// Nothing is read from these.
    paused: BTreeSet<TopicPartition>,
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
            if !self.live(deadline.since(clock.instant())).await? {
                return Ok(Vec::new());
            }
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
    /// `StaleMember`, or `GroupRefused`, means that the group moved on and nothing was committed: the records since the
    /// last commit are read again, by this member or another.
    pub async fn commit(&mut self) -> Result<()> {
        let positions = self.partitions.iter().map(|(tp, position)| (tp.clone(), position.consumed.into()));
        let offsets: Vec<_> = positions.collect();
        for attempt in 1.. {
            let (group, member) = (self.member.group().clone(), Some(self.member.who()));
            let request = CommitOffsets { group, member, offsets: offsets.clone() };
            match self.service.commit_offsets(request).await {
                Err(Error::GroupRefused { refusal: GroupRefusal::StaleMemberEpoch, .. }) if attempt < COMMITS_MAX => {
                    // The member has another epoch since; what it reads goes on.
                    if let Change::Anew(_) = self.take_up(Duration::ZERO).await? {
                        let why = "it had to join again before its positions were committed".to_owned();
                        return Err(Error::StaleMember { group: self.member.group().to_string(), why });
                    }
                }
                Err(error) => {
                    if error.kind() == ErrorKind::Stale {
                        self.member.is_stale();
                    }
                    return Err(error);
                }
                Ok(()) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Moves the position of a partition that is assigned to this member.
    pub fn seek(&mut self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        let Some(position) = self.partitions.get_mut(partition) else {
            return Err(Error::InvalidRequest { why: format!("{partition} is not assigned to this member") });
        };
        *position = Position { consumed: offset, fetch: offset, buffered: VecDeque::new() };
        Ok(())
    }

    /// Moves the position of a partition that is assigned to this member to a place that the log looks up: its beginning,
    /// its end, or the first record of a time.
    pub async fn seek_to(&mut self, partition: &TopicPartition, spec: OffsetSpec) -> Result<Offset> {
        let request = ListOffsets { partitions: vec![(partition.clone(), spec)], isolation: Isolation::ReadCommitted };
        let listed = self.service.list_offsets(request).await?;
        let offset = listed.first().map_or(0, |listed| listed.offset);
        self.seek(partition, offset)?;
        Ok(offset)
    }

    /// Hands out no records of a partition until [`Consumer::resume`], or until it was assigned anew.
    pub fn pause(&mut self, partition: &TopicPartition) {
        if self.partitions.contains_key(partition) {
            self.paused.insert(partition.clone());
        }
    }

    /// Goes on with a partition that was paused.
    pub fn resume(&mut self, partition: &TopicPartition) {
        self.paused.remove(partition);
    }

    /// How many records are to be handed out of each partition, markers and gaps included.
    pub async fn lag(&self) -> Result<Vec<(TopicPartition, u64)>> {
        let partitions = self.partitions.keys().map(|tp| (tp.clone(), OffsetSpec::Latest)).collect();
        let listed = self.service.list_offsets(ListOffsets { partitions, isolation: Isolation::ReadCommitted }).await?;
        let lag = listed.into_iter().map(|end| {
            let position = self.partitions.get(&end.partition).map_or(0, |position| position.consumed);
            (end.partition, u64::try_from(end.offset - position).unwrap_or(0))
        });
        Ok(lag.collect())
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
    pub(super) fn membership(&self) -> (GroupId, Membership) {
        (self.member.group().clone(), self.member.who())
    }

    /// Leaves the group, so that others take over at once. Commits nothing.
    pub async fn leave(mut self) -> Result<()> {
        self.member.leave().await
    }

    /// Makes sure that this is a member of the present generation; false if others have to give up something first, and
    /// have not within `patience`.
    async fn live(&mut self, patience: Duration) -> Result<bool> {
        self.take_up(patience).await.map(|change| change != Change::Waits)
    }

    /// Takes up what is to be read now.
    async fn take_up(&mut self, patience: Duration) -> Result<Change> {
        let change = self.member.live(patience).await.inspect_err(|_| self.give_up())?;
        let (assigned, is_anew) = match &change {
            Change::None => return Ok(change),
            Change::Waits => {
                self.give_up();
                return Ok(change);
            }
            Change::Anew(assigned) => (assigned, true),
            Change::Moved(assigned) => (assigned, false),
        };
        self.member.begin_heartbeats();
        if is_anew {
            self.give_up();
        }
        self.partitions.retain(|partition, _| assigned.contains(partition));
        let fresh = assigned.iter().filter(|partition| !self.partitions.contains_key(*partition));
        match self.starts(fresh.cloned().collect()).await {
            Ok(starts) => self.partitions.extend(starts),
            Err(error) => {
                self.give_up();
                self.member.not_taken_up();
                return Err(error);
            }
        }
        self.paused.retain(|partition| self.partitions.contains_key(partition));
        self.order = self.partitions.keys().cloned().collect();
        Ok(change)
    }

    fn give_up(&mut self) {
        self.partitions.clear();
        self.order.clear();
        self.paused.clear();
    }

    /// Where to begin on partitions: what is committed, or where the builder says.
    async fn starts(&self, partitions: Vec<TopicPartition>) -> Result<Vec<(TopicPartition, Position)>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let committed = self.service.committed_offsets(CommittedOffsets::of(self.member.group().clone())).await?;
        let mut starts: BTreeMap<_, _> = committed.into_iter().map(|c| (c.partition, c.offset)).collect();
        let fresh = partitions.iter().filter(|partition| !starts.contains_key(*partition));
        let fresh: Vec<_> = fresh.map(|partition| (partition.clone(), self.from)).collect();
        if !fresh.is_empty() {
            let request = ListOffsets { partitions: fresh, isolation: Isolation::ReadCommitted };
            let listed = self.service.list_offsets(request).await?;
            starts.extend(listed.into_iter().map(|listed| (listed.partition, listed.offset)));
        }
        let position = |partition: TopicPartition| {
            let start = starts.get(&partition).copied().unwrap_or(0);
            (partition, Position { consumed: start, fetch: start, buffered: VecDeque::new() })
        };
        Ok(partitions.into_iter().map(position).collect())
    }

    /// Up to `max` buffered records, from the partition whose turn it is on.
    fn take(&mut self, max: usize) -> Vec<ConsumerRecord> {
        let mut taken = Vec::new();
        for _ in 0..self.order.len() {
            if taken.len() == max {
                break;
            }
            let partition = self.order.pop_front().expect("the loop runs once per partition");
            let is_paused = self.paused.contains(&partition);
            if let Some(position) = self.partitions.get_mut(&partition).filter(|_| !is_paused) {
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
        let wanted = self.order.iter().filter(|tp| !self.paused.contains(*tp));
        let partitions = wanted.map(|tp| FetchPartition {
            partition: tp.clone(),
            offset: self.partitions.get(tp).map_or(0, |position| position.fetch),
            max_bytes,
        });
        let isolation = Isolation::ReadCommitted;
        let request = Fetch { partitions: partitions.collect(), max_wait, min_bytes: 1, isolation };
        let fetched = tokio::select! {
            biased;
            fetched = self.service.fetch(request) => fetched,
            () = self.member.woken() => return Ok(false),
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
