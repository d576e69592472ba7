//! A topic as a queue: each record to one worker, under a lease, until acknowledged.
//!
//! A worker takes one record at a time unless [`Queue::prefetch`] says otherwise, because a taking counts as a
//! delivery even when the record then waits here and is given back unseen. Each taking is a durable write, so quick
//! jobs gain by taking several. The broker hands out a record that was delivered before alone, so that a record that
//! kills its worker does not take its neighbours to the dead-letter topic with it. While jobs wait here their leases
//! are renewed as they age.

use crate::codec::Codec;
use crate::record::StoredRecord;
use crate::service::{LeasedRecord, Service, ShareAcknowledge, ShareFetch, ShareOutcome};
use crate::types::{Error, GroupId, Instant, Offset, Result, TopicName, TopicPartition};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long one fetch of [`Queue::next`] waits before it asks again.
const NEXT_WAIT: Duration = Duration::from_secs(300);

/// Numbers the workers of this process.
static WORKERS: AtomicU64 = AtomicU64::new(0);

/// One worker's end of a queue. Dropped, it gives back what it had taken and not handed out, as far as it can.
#[derive(Debug)]
pub struct Queue<T> {
    worker: Arc<Worker>,
    /// Records taken at once.
    prefetch: u32,
    taken: VecDeque<LeasedRecord>,
    /// When the oldest lease in `taken` was last known to be fresh.
    fresh_at: Instant,
    value: PhantomData<fn() -> T>,
}

/// Who takes leases: the same for a queue and the jobs it has handed out.
#[derive(Debug)]
struct Worker {
    service: Arc<dyn Service>,
    topic: TopicName,
    group: GroupId,
    member: String,
}

impl Worker {
    async fn acknowledge(&self, outcomes: Vec<(TopicPartition, Offset, ShareOutcome)>) -> Result<()> {
        let (group, member) = (self.group.clone(), self.member.clone());
        self.service.share_acknowledge(ShareAcknowledge { group, member, outcomes }).await
    }
}

impl<T: Codec> Queue<T> {
    pub(super) async fn open(service: Arc<dyn Service>, topic: TopicName, group: GroupId) -> Result<Self> {
        let member = format!("worker-{}-{}", std::process::id(), WORKERS.fetch_add(1, Ordering::Relaxed));
        let worker = Arc::new(Worker { service, topic, group, member });
        let fresh_at = worker.service.clock().instant();
        let queue = Self { worker, prefetch: 1, taken: VecDeque::new(), fresh_at, value: PhantomData };
        // Asks for nothing, so that an unknown topic fails here.
        queue.fetch(0, Duration::ZERO).await?;
        Ok(queue)
    }

    /// Takes up to `records` at once, at least 1, the default. More is faster for quick jobs, as one durable write
    /// leases them all, but those that this worker did not come to when it ends have used up one of their deliveries.
    #[must_use]
    pub fn prefetch(mut self, records: u32) -> Self {
        self.prefetch = records.max(1);
        self
    }

    /// The next job; waits for one. `None` once the log is closed. A record that does not decode is rejected to
    /// the dead-letter topic and skipped.
    ///
    /// Under a manual clock, where nothing comes by waiting, `None` also means that there is no job now.
    pub async fn next(&mut self) -> Result<Option<Job<T>>> {
        loop {
            match self.next_within(NEXT_WAIT).await {
                Ok(None) if !self.worker.service.clock().is_manual() => {}
                Err(Error::Closed) => return Ok(None),
                other => return other,
            }
        }
    }

    /// The next job, or `None` when none came within `wait` (at once under a manual clock).
    pub async fn next_within(&mut self, wait: Duration) -> Result<Option<Job<T>>> {
        let clock = self.worker.service.clock();
        let deadline = clock.instant() + wait;
        loop {
            self.renew_aging().await?;
            let Some(leased) = self.taken.pop_front() else {
                self.fresh_at = clock.instant();
                self.taken = self.fetch(self.prefetch, deadline.since(clock.instant())).await?.into();
                if self.taken.is_empty() && (clock.is_manual() || clock.instant() >= deadline) {
                    return Ok(None);
                }
                continue;
            };
            let LeasedRecord { partition, record, delivery, .. } = leased;
            match T::decode(record.value.as_deref().unwrap_or_default()) {
                Ok(value) => {
                    return Ok(Some(Job { value, record, partition, delivery, worker: self.worker.clone() }));
                }
                Err(error) => {
                    tracing::warn!(%partition, offset = record.offset, %error, "a job does not decode; rejected");
                    match self.worker.acknowledge(vec![(partition, record.offset, ShareOutcome::Reject)]).await {
                        Ok(()) | Err(Error::LeaseLost { .. }) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    async fn fetch(&self, max_records: u32, max_wait: Duration) -> Result<Vec<LeasedRecord>> {
        let Worker { service, topic, group, member } = &*self.worker;
        let (topic, group, member) = (topic.clone(), group.clone(), member.clone());
        service.share_fetch(ShareFetch { group, topic, member, max_records, max_wait }).await
    }

    /// Renews the leases of the jobs that wait here once a third of their time is over; drops those that were lost.
    async fn renew_aging(&mut self) -> Result<()> {
        let now = self.worker.service.clock().instant();
        let Some(oldest) = self.taken.front() else { return Ok(()) };
        if now.since(self.fresh_at) < oldest.lease / 3 {
            return Ok(());
        }
        let mut kept = VecDeque::new();
        for leased in self.taken.drain(..) {
            let renew = vec![(leased.partition.clone(), leased.record.offset, ShareOutcome::Renew)];
            match self.worker.acknowledge(renew).await {
                Ok(()) => kept.push_back(leased),
                Err(Error::LeaseLost { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.taken = kept;
        self.fresh_at = now;
        Ok(())
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        let taken = self.taken.drain(..);
        let outcomes: Vec<_> = taken.map(|l| (l.partition, l.record.offset, ShareOutcome::Release)).collect();
        // Without a runtime, or when this fails, the leases run out by themselves.
        if let (false, Ok(runtime)) = (outcomes.is_empty(), tokio::runtime::Handle::try_current()) {
            let worker = self.worker.clone();
            runtime.spawn(async move { worker.acknowledge(outcomes).await });
        }
    }
}

/// A leased record. Dropped without a word, it is delivered again when its lease ends.
#[derive(Debug)]
pub struct Job<T> {
    value: T,
    record: StoredRecord,
    partition: TopicPartition,
    delivery: u16,
    worker: Arc<Worker>,
}

impl<T> std::ops::Deref for Job<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Job<T> {
    /// 1 for the first delivery.
    pub fn delivery(&self) -> u16 {
        self.delivery
    }

    /// The record with its offset, key, timestamp and headers.
    pub fn record(&self) -> &StoredRecord {
        &self.record
    }

    /// Where the record lies.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Done: it is not delivered again. Durable when it returns. `LeaseLost` when the lease had ended before.
    pub async fn ack(self) -> Result<()> {
        self.outcome(ShareOutcome::Accept).await
    }

    /// Deliver it again now, to anyone; after the topic's `deliveries_max` it is dead-lettered.
    pub async fn retry(self) -> Result<()> {
        self.outcome(ShareOutcome::Release).await
    }

    /// It can never be processed: to the dead-letter topic, `<topic>.dead`.
    pub async fn reject(self) -> Result<()> {
        self.outcome(ShareOutcome::Reject).await
    }

    /// Starts the lease anew, for work that takes long.
    pub async fn renew(&self) -> Result<()> {
        self.outcome(ShareOutcome::Renew).await
    }

    async fn outcome(&self, outcome: ShareOutcome) -> Result<()> {
        self.worker.acknowledge(vec![(self.partition.clone(), self.record.offset, outcome)]).await
    }
}
