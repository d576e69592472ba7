//! Appending and reading: the requests that touch records.

use super::Broker;
use super::admission::{Admitted, admit};
use super::partition::Partition;
use super::poll::{Poll, Watching};
use super::retention::resolve;
use crate::service::{
    DescribeProducers, Fetch, FetchPartition, Fetched, ListOffsets, ListedOffset, Produce, Produced, ProducerState,
};
use crate::types::{Error, Instant, Offset, Result};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What a fetch has read of one partition.
struct Reading {
    partition: Arc<Partition>,
    offset: Offset,
    max_bytes: u32,
    /// The high watermark, from before it was read.
    seen: Offset,
    fetched: Fetched,
}

impl Reading {
    fn new(partition: Arc<Partition>, wanted: &FetchPartition) -> Result<Self> {
        let offsets = partition.offsets();
        let fetched = Fetched { partition: wanted.partition.clone(), offsets, batches: Bytes::new() };
        let FetchPartition { offset, max_bytes, .. } = *wanted;
        Ok(Self { partition, offset, max_bytes, seen: offsets.high_watermark, fetched })
    }

    /// Reads, instead of what was read before; returns how many bytes. Damage goes into `failed`.
    async fn read(&mut self, failed: &mut Option<Error>) -> Result<u64> {
        if let Some(error @ Error::UnknownTopic { .. }) = self.partition.failed() {
            return Err(error.clone());
        }
        self.seen = self.partition.offsets().high_watermark;
        self.fetched.batches = self.partition.read(self.offset, self.max_bytes).await.unwrap_or_else(|error| {
            failed.get_or_insert(error);
            Bytes::new()
        });
        self.fetched.offsets = self.partition.offsets();
        Ok(self.fetched.batches.len() as u64)
    }
}

impl Broker {
    pub(super) async fn append(&self, request: Produce) -> Result<Produced> {
        let Produce { partition: name, batch } = request;
        self.check_open()?;
        if name.topic.is_internal() {
            let why = format!("`{}` belongs to the system; it is read-only", name.topic);
            return Err(Error::InvalidRequest { why });
        }
        let topic = self.topic(&name.topic)?;
        let partition = topic.partition(name.partition)?;
        let (header, Admitted { batch, append_time }) = admit(&topic, batch, self.clock.now())?;
        if header.is_control || header.is_transactional {
            return Err(Error::InvalidRequest { why: "control and transactional batches are not taken yet".into() });
        }
        self.flush_what_is_due();
        let appended = partition.append(batch).await?;
        let append_time = append_time.filter(|_| !appended.duplicate);
        Ok(Produced { base_offset: appended.base_offset, duplicate: appended.duplicate, append_time })
    }

    pub(super) async fn read(&self, request: Fetch) -> Result<Vec<Fetched>> {
        let deadline = self.clock.instant() + request.max_wait;
        self.check_open()?;
        let readings = request.partitions.iter().map(|wanted| Reading::new(self.partition(&wanted.partition)?, wanted));
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
            poll.take(enough - bytes, &mut changed);
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
            let offset = resolve(&partition, *spec)?;
            Ok(ListedOffset { partition: name.clone(), offset })
        });
        listed.collect()
    }

    pub(super) fn producers(&self, request: &DescribeProducers) -> Result<Vec<ProducerState>> {
        let partition = self.partition(&request.partition)?;
        let producers = partition.producers()?;
        Ok(producers.into_iter().map(|(last, last_offset)| ProducerState { last, last_offset }).collect())
    }
}
