//! Appending and reading: the requests that touch records.
//!
//! A transactional batch is appended only while its transaction is open and has the partition in it, so that none is left
//! behind by an end that came before it (KIP-890): asking and submitting happen in one turn, under the partition's
//! `transactional`, which a marker takes alone.

use super::Broker;
use super::admission::{Admitted, admit};
use super::partition::Partition;
use super::poll::{Poll, Watching};
use super::retention::resolve;
use crate::record::{AbortedTransaction, BatchHeader, ProducerStamp};
use crate::service::{
    DescribeProducers, Fetch, FetchPartition, Fetched, ListOffsets, ListedOffset, Produce, ProduceTransaction,
    Produced, ProducerState,
};
use crate::shard::Acks;
use crate::storage::{Appended, ProducerDescription};
use crate::types::{Error, Instant, Isolation, LogOffsets, Offset, ProducerIdentity, Result, TransactionVersion};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Reads of several partitions, each of which succeeds or fails by itself (a [`Fetch`] fails as a whole).
#[derive(Clone, Debug)]
pub(super) struct FetchEach {
    pub(super) partitions: Vec<FetchPartition>,
    pub(super) max_wait: Duration,
    pub(super) min_bytes: u32,
    /// Bytes over all partitions. The first that has any returns one batch at least, even if it is larger (KIP-74).
    pub(super) max_bytes: u32,
    pub(super) isolation: Isolation,
}

/// What was read of one partition, and why it is nothing.
#[derive(Clone, Debug)]
pub(super) struct FetchedEach {
    pub(super) fetched: Fetched,
    pub(super) error: Option<Error>,
}

/// What a fetch has read of one partition.
struct Reading {
    partition: Arc<Partition>,
    offset: Offset,
    max_bytes: u32,
    isolation: Isolation,
    /// The high watermark, from before it was read.
    seen: Offset,
    read: FetchedEach,
}

/// What a fetch has read in all.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    bytes: u64,
    /// Nothing is gained by waiting: a partition has failed, or has a batch for which there is no room.
    is_enough: bool,
}

impl Reading {
    fn new(partition: Arc<Partition>, wanted: &FetchPartition, isolation: Isolation) -> Self {
        let offsets = partition.offsets();
        let (name, aborted) = (wanted.partition.clone(), Vec::new());
        let fetched = Fetched { partition: name, offsets, batches: Bytes::new(), aborted };
        let FetchPartition { offset, max_bytes, .. } = *wanted;
        let read = FetchedEach { fetched, error: None };
        Self { partition, offset, max_bytes, isolation, seen: offsets.high_watermark, read }
    }

    /// Whether there is something that an open transaction keeps it from seeing: it may see much when a marker comes,
    /// which has few bytes itself.
    fn is_held_back(&self) -> bool {
        let offsets = self.partition.offsets();
        self.isolation == Isolation::ReadCommitted && offsets.last_stable_offset < offsets.high_watermark
    }

    /// Reads, instead of what was read before, so that there is not more than `max` in all.
    async fn read(&mut self, progress: &mut Progress, max: u32) {
        let others = progress.bytes - self.read.fetched.batches.len() as u64;
        let room = u64::from(max).saturating_sub(others);
        self.seen = self.partition.offsets().high_watermark;
        let max_bytes = u64::from(self.max_bytes).min(room) as u32;
        let read = match self.partition.failed() {
            Some(error @ Error::UnknownTopic { .. }) => Err(error.clone()),
            _ => self.partition.read(self.offset, max_bytes, self.isolation).await,
        };
        let (batches, aborted) = match read {
            Ok((batches, _)) if others > 0 && batches.len() as u64 > room => {
                progress.is_enough = true;
                Default::default()
            }
            Ok(read) => read,
            Err(error) => {
                progress.is_enough = true;
                self.read.error.get_or_insert(error);
                Default::default()
            }
        };
        progress.bytes = others + batches.len() as u64;
        self.read.fetched.batches = batches;
        let told = |aborted: crate::storage::AbortedTransaction| AbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        };
        self.read.fetched.aborted = aborted.into_iter().map(told).collect();
        self.read.fetched.offsets = self.partition.offsets();
    }
}

impl Broker {
    /// Appends a batch; answers when it is written, or when it is as durable as the topic asks for. Its place in the log is
    /// decided when this is polled first, but for that of a transactional one, which is always answered when it is durable.
    pub(super) async fn append(&self, request: Produce, acks: Acks) -> Result<Produced> {
        let Produce { partition: name, batch, transaction } = request;
        self.check_open()?;
        if name.topic.is_internal() {
            let why = format!("`{}` belongs to the system; it is read-only", name.topic);
            return Err(Error::InvalidRequest { why });
        }
        let topic = self.topic(&name.topic)?;
        let partition = topic.partition(name.partition)?;
        let (header, Admitted { batch, append_time }) = admit(&topic, batch, self.clock.now())?;
        self.flush_what_is_due();
        let appended = if header.is_transactional {
            self.append_in_transaction(partition, &header, batch, transaction).await?
        } else {
            partition.append_with(batch, acks).await?
        };
        let append_time = append_time.filter(|_| !appended.duplicate);
        Ok(Produced { base_offset: appended.base_offset, duplicate: appended.duplicate, append_time })
    }

    async fn append_in_transaction(
        &self,
        partition: &Arc<Partition>,
        header: &BatchHeader,
        batch: Bytes,
        transaction: Option<ProduceTransaction>,
    ) -> Result<Appended> {
        let (Some(stamp), Some(transaction)) = (header.stamp(), transaction) else {
            let why = "a transactional batch needs a producer id, and its request a transactional id".into();
            return Err(Error::InvalidTransactionState { why });
        };
        let ProducerStamp { producer_id, producer_epoch, .. } = stamp;
        let producer = ProducerIdentity { id: producer_id, epoch: producer_epoch };
        let ProduceTransaction { transactional_id: id, version } = transaction;
        loop {
            let pending = {
                let _until_submitted = partition.transactional.read();
                let may_write = self.transactions.may_write(&id, producer, &partition.name)?;
                may_write.then(|| partition.append_owned(batch.clone()))
            };
            match pending {
                Some(pending) => return pending.await,
                None if version == TransactionVersion::V2 => {
                    self.add_to_transaction(&id, producer, [partition.name.clone()].into()).await?;
                }
                None => {
                    let why = format!("{} was not added to it before it was written to", partition.name);
                    return Err(Error::TransactionAbortable { why });
                }
            }
        }
    }

    pub(super) async fn read(&self, request: Fetch) -> Result<Vec<Fetched>> {
        let Fetch { partitions, max_wait, min_bytes, isolation } = request;
        let each = FetchEach { partitions, max_wait, min_bytes, max_bytes: u32::MAX, isolation };
        let each = self.read_each(each).await?;
        let is_nothing = each.iter().all(|read| read.fetched.batches.is_empty());
        let is_unknown = |error: &&Error| matches!(error, Error::UnknownTopic { .. } | Error::UnknownPartition { .. });
        let mut errors = each.iter().filter_map(|read| read.error.as_ref());
        // One partition that cannot be read does not keep the others from being read; when there is nothing else to
        // return it is told.
        let told = errors.clone().find(is_unknown).or_else(|| errors.next().filter(|_| is_nothing));
        match told {
            Some(error) => Err(error.clone()),
            None => Ok(each.into_iter().map(|read| read.fetched).collect()),
        }
    }

    /// Reads several partitions, in the order in which they stand. What is wrong with one of them is told at once.
    pub(super) async fn read_each(&self, request: FetchEach) -> Result<Vec<FetchedEach>> {
        let deadline = self.clock.instant() + request.max_wait;
        self.check_open()?;
        let (mut readings, mut missing) = (Vec::with_capacity(request.partitions.len()), Vec::new());
        for (index, wanted) in request.partitions.iter().enumerate() {
            match self.partition(&wanted.partition) {
                Ok(partition) => readings.push(Reading::new(partition, wanted, request.isolation)),
                Err(error) => missing.push((index, error)),
            }
        }
        let room = request.partitions.iter().map(|wanted| u64::from(wanted.max_bytes)).sum::<u64>();
        let enough = u64::from(request.min_bytes).min(room).min(request.max_bytes.into());
        let mut progress = Progress { bytes: 0, is_enough: !missing.is_empty() };
        for reading in &mut readings {
            reading.read(&mut progress, request.max_bytes).await;
        }
        let may_wait = !request.max_wait.is_zero() && !self.clock.is_manual();
        if progress.bytes < enough && !progress.is_enough && may_wait {
            self.wait_for_bytes(&mut readings, progress, enough, request.max_bytes, deadline).await?;
        }
        let mut each: Vec<_> = readings.into_iter().map(|reading| reading.read).collect();
        for (index, error) in missing {
            let (partition, offsets) = (request.partitions[index].partition.clone(), LogOffsets::default());
            let fetched = Fetched { partition, offsets, batches: Bytes::new(), aborted: Vec::new() };
            each.insert(index, FetchedEach { fetched, error: Some(error) });
        }
        Ok(each)
    }

    /// Waits until `readings`, which have come as far as `progress` says, have `enough` bytes, one of them fails, or it is
    /// `deadline`.
    async fn wait_for_bytes(
        &self,
        readings: &mut [Reading],
        mut progress: Progress,
        enough: u64,
        max_bytes: u32,
        deadline: Instant,
    ) -> Result<()> {
        let poll = Poll::new(readings.len());
        let partitions: Vec<_> = readings.iter().map(|reading| reading.partition.clone()).collect();
        let mut watching = Watching::new(&poll);
        for (index, (partition, reading)) in (0..).zip(partitions.iter().zip(readings.iter())) {
            watching.add(&partition.watchers, index);
            // What came since it was read was told to nobody.
            if partition.offsets().high_watermark != reading.seen || partition.failed().is_some() {
                poll.mark(index, 0);
            }
        }
        let (mut changed, mut in_time) = (Vec::new(), true);
        loop {
            let is_held_back = readings.iter().any(Reading::is_held_back);
            poll.take(if is_held_back { 1 } else { enough - progress.bytes }, &mut changed);
            if changed.is_empty() {
                if !in_time {
                    return Ok(());
                }
                let left = deadline.since(self.clock.instant());
                in_time = self.rung(&poll, left).await;
                self.check_open()?;
            }
            for index in changed.drain(..) {
                readings[index as usize].read(&mut progress, max_bytes).await;
            }
            if progress.bytes >= enough || progress.is_enough {
                return Ok(());
            }
        }
    }

    /// Sleeps until `poll` rings or the broker closes; false if that takes longer than `max`.
    pub(super) async fn rung(&self, poll: &Poll, max: Duration) -> bool {
        let mut closed = self.closed.subscribe();
        let either = async {
            tokio::select! {
                () = poll.rung() => {}
                _ = closed.wait_for(|closed| *closed) => {}
            }
        };
        tokio::time::timeout(max, either).await.is_ok()
    }

    pub(super) fn list(&self, request: &ListOffsets) -> Result<Vec<ListedOffset>> {
        let listed = request.partitions.iter().map(|(name, spec)| {
            let partition = self.partition(name)?;
            let offset = resolve(&partition, *spec, request.isolation)?;
            Ok(ListedOffset { partition: name.clone(), offset })
        });
        listed.collect()
    }

    pub(super) fn producers(&self, request: &DescribeProducers) -> Result<Vec<ProducerState>> {
        let partition = self.partition(&request.partition)?;
        let producers = partition.producers()?;
        let state = |described: ProducerDescription| ProducerState {
            last: ProducerStamp {
                producer_id: described.producer.id,
                producer_epoch: described.producer.epoch,
                base_sequence: described.last_sequence,
            },
            last_offset: described.last_offset,
            last_timestamp: described.last_use,
            coordinator_epoch: described.coordinator_epoch,
            transaction_start: described.transaction_start,
        };
        Ok(producers.into_iter().map(state).collect())
    }
}
