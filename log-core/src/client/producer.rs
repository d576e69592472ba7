//! Sending: batches per partition, one in flight each, so that order holds.
//!
//! ```text
//!   send ──▶ route (topic's partitions) ──▶ lane (one per partition) ──▶ Service::produce, one batch at a time
//! ```
//! A lane is an [`Accumulator`](super::accumulator) and one task that drains it. While a batch is on its way the
//! next one gathers: at low load a record goes at once, at high load one flush pays for many records.
//!
//! What waits in all lanes is bounded by `buffer_bytes`; `send` waits for room. Every producer is idempotent: what
//! arrives twice on its way to the log is stored once. What failed was told to its deliveries, and sending it again is
//! the caller's.

use super::accumulator::{Accumulator, Gathered};
use super::completion::{Completion, Delivery};
use super::session::Session;
use super::stamps::{Identity, Stamps, last_sequence};
use super::transaction::{TransactionalProducerBuilder, patiently};
use crate::record::{Compression, Record, partition_for_key, restamp};
use crate::service::{DescribeTopics, Produce, Service};
use crate::types::{Error, ErrorKind, Offset, PartitionIndex, Result, TopicName, TopicPartition, limits};
use dashmap::DashMap;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};

/// Bytes of one batch unless the builder says otherwise.
const BATCH_BYTES_DEFAULT: u32 = 1024 * 1024;
/// Bytes of unsent records at which `send` waits, unless the builder says otherwise.
const BUFFER_BYTES_DEFAULT: usize = 32 * 1024 * 1024;
/// What a record costs beyond its key, value and headers, at most.
const RECORD_OVERHEAD_BYTES: usize = 64;

/// Settings of a [`Producer`].
#[derive(Clone, Debug)]
pub struct ProducerBuilder {
    service: Arc<dyn Service>,
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    linger: Duration,
    batch_bytes: u32,
    buffer_bytes: u32,
    compression: Compression,
    identity: Identity,
}

impl ProducerBuilder {
    pub(super) fn new(service: Arc<dyn Service>) -> Self {
        let settings = Settings {
            linger: Duration::ZERO,
            batch_bytes: BATCH_BYTES_DEFAULT,
            buffer_bytes: BUFFER_BYTES_DEFAULT as u32,
            compression: Compression::None,
            identity: Identity::Own(Arc::default()),
        };
        Self { service, settings }
    }

    /// How long to wait for a batch to fill. Zero (the default) sends at once whatever has gathered while the
    /// previous batch of that partition was in flight. Under a manual clock nothing lingers.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.settings.linger = linger;
        self
    }

    /// Bytes (before compression) at which a batch is sent without waiting: 1 MiB by default, and never more than
    /// the topic's batch limit.
    pub fn batch_bytes(mut self, bytes: u32) -> Self {
        self.settings.batch_bytes = bytes.max(1);
        self
    }

    /// Bytes of unsent records at which `send` waits for room: 32 MiB by default, 4 GiB at most.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.settings.buffer_bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        self
    }

    /// How batches are compressed; not at all by default.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.settings.compression = compression;
        self
    }

    /// Writes under a fixed producer id, so that a batch sent twice, also after a restart, is stored once.
    /// Sequences continue from what each partition remembers, see [`Producer::last_sequence`].
    ///
    /// After a batch has failed, that partition refuses records until [`Producer::flush`] has returned the failure:
    /// what a partition holds is always the beginning of what was sent to it.
    pub fn idempotent(mut self, producer_id: i64) -> Self {
        self.settings.identity = Identity::Chosen(producer_id);
        self
    }

    /// Writes in transactions, under a name that it keeps over restarts; finish with `.start().await`.
    pub fn transactional_id(self, id: impl AsRef<str>) -> TransactionalProducerBuilder {
        TransactionalProducerBuilder::new(self, id.as_ref().to_owned())
    }

    pub(super) fn service(&self) -> &Arc<dyn Service> {
        &self.service
    }

    /// The producer that a session sends with.
    pub(super) fn build_in(mut self, session: Arc<Session>) -> Producer {
        self.settings.identity = Identity::Transactional(session);
        self.build()
    }

    /// The producer. Its lanes are tasks: sending must happen within a tokio runtime.
    pub fn build(mut self) -> Producer {
        // A builder that is used twice makes two producers.
        if let Identity::Own(own) = &mut self.settings.identity {
            *own = Arc::default();
        }
        let common = Common {
            permits: Semaphore::new(self.settings.buffer_bytes as usize),
            settings: self.settings,
            routes: DashMap::new(),
            failure: Mutex::new(None),
        };
        Producer(Arc::new(Shared { service: self.service, common: Arc::new(common) }))
    }
}

/// Sends records. Cheap to clone; clones share batches. What was sent still goes out when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Producer(Arc<Shared>);

/// Where a record went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentTo {
    /// The partition, chosen by key, by turn, or by the sender.
    pub partition: PartitionIndex,
    /// The record's offset in it.
    pub offset: Offset,
}

impl Producer {
    /// Puts a record into its partition's batch: by key (Kafka's murmur2), or round robin by batch without one.
    /// Waits only while the buffer is full. Await the [`Delivery`] to know that it is durable.
    ///
    /// Fails for an unknown topic. What goes wrong later is told to the delivery: a record over the topic's limit
    /// fails alone, a failed append fails the records of its batch.
    pub async fn send(&self, topic: &TopicName, record: Record) -> Result<Delivery> {
        loop {
            let route = self.route(topic).await?;
            let partition = match &record.key {
                Some(key) => partition_for_key(key, route.lanes.len() as PartitionIndex),
                None => route.turn.load(Ordering::Relaxed) % route.lanes.len() as PartitionIndex,
            };
            if let Some(delivery) = self.push(&route, partition, &record).await? {
                return Ok(delivery);
            }
        }
    }

    /// The same to a chosen partition.
    pub async fn send_to(&self, topic: &TopicName, partition: PartitionIndex, record: Record) -> Result<Delivery> {
        loop {
            let route = self.route(topic).await?;
            if partition as usize >= route.lanes.len() {
                let partitions = route.lanes.len() as PartitionIndex;
                return Err(Error::UnknownPartition { topic: topic.clone(), partition, partitions });
            }
            if let Some(delivery) = self.push(&route, partition, &record).await? {
                return Ok(delivery);
            }
        }
    }

    /// Sends what is buffered and returns when all of it is acknowledged; the first failure since the last flush if
    /// there was one. An idempotent producer's partitions take records again after it.
    pub async fn flush(&self) -> Result<()> {
        let common = &self.0.common;
        let lanes: Vec<_> = common.routes.iter().flat_map(|route| route.lanes.clone()).collect();
        let mut waiting = Vec::new();
        for lane in &lanes {
            let mut state = lane.state.lock();
            let last = state.queue.last().or(state.in_flight.as_ref()).cloned();
            if let Some(last) = last {
                state.hurry = !state.queue.is_empty();
                waiting.push(Delivery::in_batch(last, 0, 0));
                lane.wake.notify_one();
            }
        }
        for delivery in waiting {
            // Failures are gathered in `common.failure`, in the order they happened.
            let _ = delivery.await;
        }
        for lane in lanes {
            lane.state.lock().refused = None;
        }
        common.failure.lock().take().map_or(Ok(()), Err)
    }

    /// The sequence of the last record that a partition holds of the id that this producer was given; `None` when it
    /// holds none, and always for a producer that was given none. Sequences count from 0 per partition, so a loader
    /// that sends the same records in the same order again skips the first `last + 1` of them.
    pub async fn last_sequence(&self, topic: &TopicName, partition: PartitionIndex) -> Result<Option<i32>> {
        let Some(producer_id) = self.0.common.settings.identity.chosen() else { return Ok(None) };
        let partition = TopicPartition::new(topic.clone(), partition);
        last_sequence(&*self.0.service, partition, producer_id).await
    }

    /// The lanes of a topic, looked up once.
    async fn route(&self, topic: &TopicName) -> Result<Arc<Route>> {
        let common = &self.0.common;
        if let Some(route) = common.routes.get(topic) {
            return Ok(route.clone());
        }
        if topic.is_internal() {
            return Err(Error::InvalidRequest { why: format!("`{topic}` belongs to the system; it is read-only") });
        }
        let request = DescribeTopics { topics: Some(vec![topic.clone()]), include_internal: true };
        let described = self.0.service.describe_topics(request).await?;
        let Some(described) = described.into_iter().next() else {
            return Err(Error::UnknownTopic { name: topic.to_string(), did_you_mean: None });
        };
        let route = common.routes.entry(topic.clone()).or_insert_with(|| {
            let lanes = (0..described.partitions.len() as PartitionIndex)
                .map(|p| Lane::new(&common.settings, TopicPartition::new(topic.clone(), p), &described.config))
                .collect();
            Arc::new(Route { lanes, turn: AtomicU32::new(0) })
        });
        Ok(route.clone())
    }

    /// Buffers a record; `None` when the lane has closed meanwhile and the route must be looked up again.
    async fn push(&self, route: &Arc<Route>, partition: PartitionIndex, record: &Record) -> Result<Option<Delivery>> {
        let common = &self.0.common;
        let permits = buffered_bytes(record).min(common.settings.buffer_bytes as usize);
        match common.permits.try_acquire_many(permits as u32) {
            Ok(room) => room.forget(),
            Err(_) => common.permits.acquire_many(permits as u32).await.map_err(|_| Error::Closed)?.forget(),
        }
        let lane = &route.lanes[partition as usize];
        let mut state = lane.state.lock();
        let pushed = if state.closed {
            None
        } else if let Some(error) = &state.refused {
            Some(Delivery::failed(error.clone()))
        } else {
            if !state.running {
                state.running = true;
                tokio::spawn(drain(lane.clone(), route.clone(), Arc::downgrade(&self.0.service), common.clone()));
            }
            let was_empty = state.queue.is_empty();
            match state.queue.push(record, permits) {
                Ok((batch, index)) => {
                    if was_empty || state.queue.has_full() {
                        lane.wake.notify_one();
                    }
                    return Ok(Some(Delivery::in_batch(batch, index, partition)));
                }
                Err(bytes) => {
                    let topic = lane.partition.topic.clone();
                    Some(Delivery::failed(Error::RecordTooLarge { topic, bytes, max: lane.batch_bytes_max }))
                }
            }
        };
        drop(state);
        common.permits.add_permits(permits);
        Ok(pushed)
    }
}

#[derive(Debug)]
struct Shared {
    service: Arc<dyn Service>,
    common: Arc<Common>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        for route in &self.common.routes {
            for lane in &route.lanes {
                let mut state = lane.state.lock();
                // The lane's task holds the service only weakly, so that a forgotten producer does not keep a log
                // open; what was sent before the drop still goes out.
                if !state.queue.is_empty() {
                    state.keep = Some(self.service.clone());
                }
                state.hurry = true;
                state.closed = true;
                lane.wake.notify_one();
            }
        }
        self.common.routes.clear();
    }
}

/// What the lanes of a producer share.
#[derive(Debug)]
struct Common {
    settings: Settings,
    routes: DashMap<TopicName, Arc<Route>>,
    /// Room in the buffer, in bytes.
    permits: Semaphore,
    /// The first failure since the last flush.
    failure: Mutex<Option<Error>>,
}

/// The lanes of one topic.
#[derive(Debug)]
struct Route {
    lanes: Vec<Arc<Lane>>,
    /// The partition that takes records without a key now; moves on with every batch.
    turn: AtomicU32,
}

/// One partition's batches, and the task that sends them.
#[derive(Debug)]
struct Lane {
    partition: TopicPartition,
    batch_bytes_max: u64,
    state: Mutex<LaneState>,
    wake: Notify,
}

#[derive(Debug)]
struct LaneState {
    queue: Accumulator,
    in_flight: Option<Arc<Completion>>,
    /// The task runs.
    running: bool,
    /// Send now, do not linger.
    hurry: bool,
    /// An idempotent lane that failed takes nothing until a flush has told so.
    refused: Option<Error>,
    /// The task ends when the queue is empty, and nothing is pushed any more.
    closed: bool,
    keep: Option<Arc<dyn Service>>,
}

impl LaneState {
    /// Whether the batch that gathers may wait for more records.
    fn lingers(&self) -> bool {
        !(self.queue.is_empty() || self.queue.has_full() || self.hurry || self.closed)
    }
}

impl Lane {
    fn new(settings: &Settings, partition: TopicPartition, config: &crate::types::TopicConfig) -> Arc<Self> {
        let max = config.batch_bytes_max.min(limits::BATCH_BYTES_HARD_MAX);
        let state = LaneState {
            queue: Accumulator::new(settings.compression, settings.batch_bytes as usize, max as usize),
            in_flight: None,
            running: false,
            hurry: false,
            refused: None,
            closed: false,
            keep: None,
        };
        Arc::new(Self { partition, batch_bytes_max: u64::from(max), state: Mutex::new(state), wake: Notify::new() })
    }
}

/// Sends a lane's batches, one at a time, until the lane is closed and empty.
async fn drain(lane: Arc<Lane>, route: Arc<Route>, service: Weak<dyn Service>, common: Arc<Common>) {
    let mut stamps = Stamps::default();
    loop {
        if !common.settings.linger.is_zero() && service.upgrade().is_some_and(|service| !service.clock().is_manual()) {
            // A record that comes meanwhile wakes it too, and does not end the wait.
            let worth_sending = async {
                while lane.state.lock().lingers() {
                    lane.wake.notified().await;
                }
            };
            // Either there is reason to send or the time is over: both send.
            let _ = tokio::time::timeout(common.settings.linger, worth_sending).await;
        }
        gather(&lane).await;
        let (batch, keep) = {
            let mut state = lane.state.lock();
            let batch = state.queue.take();
            state.in_flight = batch.as_ref().map(|batch| batch.completion.clone());
            state.hurry &= !state.queue.is_empty();
            if batch.is_none() && state.closed {
                return;
            }
            (batch, state.keep.clone())
        };
        let Some(batch) = batch else {
            lane.wake.notified().await;
            continue;
        };
        let n = route.lanes.len() as PartitionIndex;
        if route.turn.load(Ordering::Relaxed) % n == lane.partition.partition {
            route.turn.store((lane.partition.partition + 1) % n, Ordering::Relaxed);
        }
        let Gathered { builder, completion, permits } = batch;
        let records = builder.len() as i32;
        let service = keep.or_else(|| service.upgrade());
        let sent = match &service {
            Some(service) => send(&**service, &lane, &common.settings, builder, &mut stamps).await,
            None => Err(Error::Closed),
        };
        if let Err(error) = &sent {
            stamps.failed(service.as_deref(), &common.settings.identity).await;
            fail(&lane, &common, error);
        } else {
            stamps.stored(records);
        }
        drop(service);
        common.permits.add_permits(permits);
        lane.state.lock().in_flight = None;
        completion.complete(sent);
    }
}

/// Lets a batch grow for as long as records keep coming, each time that another task had its turn. Where nothing is
/// waited for, as under `flush = os`, batches would else be sent with a record or two, and each would cost a wake-up.
async fn gather(lane: &Lane) {
    let mut before = 0;
    loop {
        {
            let state = lane.state.lock();
            if !state.lingers() || state.queue.open_records() == before {
                return;
            }
            before = state.queue.open_records();
        }
        tokio::task::yield_now().await;
    }
}

async fn send(
    service: &dyn Service,
    lane: &Lane,
    settings: &Settings,
    builder: crate::record::BatchBuilder,
    stamps: &mut Stamps,
) -> Result<Offset> {
    let mut builder = builder.stamp(stamps.next(service, &settings.identity, &lane.partition).await?);
    let transaction = match &settings.identity {
        Identity::Transactional(session) => {
            builder = builder.transactional();
            Some(session.transaction())
        }
        _ => None,
    };
    let mut request = Produce { partition: lane.partition.clone(), batch: builder.finish(), transaction };
    let mut produced = patiently(service, || service.produce(request.clone())).await;
    if let (Identity::Own(_), Err(Error::OutOfOrderSequence { .. })) = (&settings.identity, &produced) {
        // The partition has forgotten a producer that was idle for long. Everything before was acknowledged, so nothing
        // is lost by beginning anew.
        stamps.failed(Some(service), &settings.identity).await;
        let stamp = stamps.next(service, &settings.identity, &lane.partition).await?;
        request.batch = restamp(&request.batch, stamp);
        produced = service.produce(request).await;
    }
    Ok(produced?.base_offset)
}

/// Remembers a failure; drops a route that is out of date; stops an idempotent lane.
fn fail(lane: &Lane, common: &Common, error: &Error) {
    tracing::debug!(partition = %lane.partition, %error, "a batch was not stored");
    common.failure.lock().get_or_insert(error.clone());
    if error.kind() == ErrorKind::NotFound
        && let Some((_, route)) = common.routes.remove(&lane.partition.topic)
    {
        for lane in &route.lanes {
            lane.state.lock().closed = true;
            lane.wake.notify_one();
        }
    }
    if common.settings.identity.is_strict() {
        let mut state = lane.state.lock();
        state.refused = Some(error.clone());
        while let Some(batch) = state.queue.take() {
            common.permits.add_permits(batch.permits);
            batch.completion.complete(Err(error.clone()));
        }
    }
}

/// What a record holds of the buffer: about what it will have in its batch.
fn buffered_bytes(record: &Record) -> usize {
    let len = |bytes: &Option<bytes::Bytes>| bytes.as_ref().map_or(0, bytes::Bytes::len);
    let headers: usize = record.headers.iter().map(|h| h.key.len() + len(&h.value) + 16).sum();
    (RECORD_OVERHEAD_BYTES + len(&record.key) + len(&record.value)).saturating_add(headers)
}
