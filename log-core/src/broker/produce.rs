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
use crate::storage::{Appended, ProducerDescription};
use crate::types::{Error, Instant, Isolation, Offset, ProducerIdentity, Result, TransactionVersion};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What a fetch has read of one partition.
struct Reading {
    partition: Arc<Partition>,
    offset: Offset,
    max_bytes: u32,
    isolation: Isolation,
    /// The high watermark, from before it was read.
    seen: Offset,
    fetched: Fetched,
}

impl Reading {
    fn new(partition: Arc<Partition>, wanted: &FetchPartition, isolation: Isolation) -> Result<Self> {
        let offsets = partition.offsets();
        let (name, aborted) = (wanted.partition.clone(), Vec::new());
        let fetched = Fetched { partition: name, offsets, batches: Bytes::new(), aborted };
        let FetchPartition { offset, max_bytes, .. } = *wanted;
        Ok(Self { partition, offset, max_bytes, isolation, seen: offsets.high_watermark, fetched })
    }

    /// Whether there is something that an open transaction keeps it from seeing: it may see much when a marker comes,
    /// which has few bytes itself.
    fn is_held_back(&self) -> bool {
        let offsets = self.partition.offsets();
        self.isolation == Isolation::ReadCommitted && offsets.last_stable_offset < offsets.high_watermark
    }

    /// Reads, instead of what was read before; returns how many bytes. Damage goes into `failed`.
    async fn read(&mut self, failed: &mut Option<Error>) -> Result<u64> {
        if let Some(error @ Error::UnknownTopic { .. }) = self.partition.failed() {
            return Err(error.clone());
        }
        self.seen = self.partition.offsets().high_watermark;
        let read = self.partition.read(self.offset, self.max_bytes, self.isolation).await;
        let (batches, aborted) = read.unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Default::default()
        });
        self.fetched.batches = batches;
        let told = |aborted: crate::storage::AbortedTransaction| AbortedTransaction {
            producer_id: aborted.producer_id,
            first_offset: aborted.first_offset,
        };
        self.fetched.aborted = aborted.into_iter().map(told).collect();
        self.fetched.offsets = self.partition.offsets();
        Ok(self.fetched.batches.len() as u64)
    }
}

impl Broker {
    pub(super) async fn append(&self, request: Produce) -> Result<Produced> {
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
            partition.append(batch).await?
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
        let deadline = self.clock.instant() + request.max_wait;
        self.check_open()?;
        let readings = request
            .partitions
            .iter()
            .map(|wanted| Reading::new(self.partition(&wanted.partition)?, wanted, request.isolation));
        let mut readings = readings.collect::<Result<Vec<_>>>()?;
        let room = request.partitions.iter().map(|wanted| u64::from(wanted.max_bytes)).sum();
        let enough = u64::from(request.min_bytes).min(room);
        let (mut bytes, mut failed) = (0, None);
        for reading in &mut readings {
            bytes += reading.read(&mut failed).await?;
        }
        if bytes < enough && failed.is_none() && !request.max_wait.is_zero() && !self.clock.is_manual() {
            (bytes, failed) = self.wait_for_bytes(&mut readings, bytes, enough, deadline).await?;
        }
        match failed {
            // One partition that cannot be read does not keep the others from being read; when there is nothing else
            // to return it is told.
            Some(error) if bytes == 0 => Err(error),
            _ => Ok(readings.into_iter().map(|reading| reading.fetched).collect()),
        }
    }

    /// Waits until `readings`, which have `bytes` now, have `enough`, one of them fails, or it is `deadline`. Returns
    /// how much they have then, and the failure.
    async fn wait_for_bytes(
        &self,
        readings: &mut [Reading],
        mut bytes: u64,
        enough: u64,
        deadline: Instant,
    ) -> Result<(u64, Option<Error>)> {
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
        let (mut changed, mut failed, mut in_time) = (Vec::new(), None, true);
        loop {
            let need = if readings.iter().any(Reading::is_held_back) { 1 } else { enough - bytes };
            poll.take(need, &mut changed);
            if changed.is_empty() {
                if !in_time {
                    return Ok((bytes, failed));
                }
                let left = deadline.since(self.clock.instant());
                in_time = self.rung(&poll, left).await;
                self.check_open()?;
            }
            for index in changed.drain(..) {
                let reading = &mut readings[index as usize];
                bytes -= reading.fetched.batches.len() as u64;
                bytes += reading.read(&mut failed).await?;
            }
            if bytes >= enough || failed.is_some() {
                return Ok((bytes, failed));
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
