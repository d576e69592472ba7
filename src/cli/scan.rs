//! Reading a bounded part of a topic in one order.
//!
//! A scan covers a range of offsets of each partition, pinned when it starts, so it ends even while others write. Its
//! order is a merge of the partitions by (timestamp, partition): within a partition records come by offset, across
//! partitions by time as far as partitions allow. Memory is one fetch per partition.
//!
//! Damage in one partition does not hide what is intact: the scan ends with the error when all that can be read was.

use super::{Error, Result};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tailwater::log::record;
use tailwater::log::service::{Fetch, FetchPartition, Service, TopicDescription};
use tailwater::log::types::{Isolation, OffsetRange, PartitionIndex};
use tailwater::log::{Error as LogError, Log, StoredRecord, Timestamp, TopicPartition};

/// What one fetch of one partition asks for.
const FETCH_BYTES: u32 = 512 * 1024;

/// Fails if the topic, or the one partition that was asked for, is damaged: a reader that shows what is intact ends with
/// this, so that nobody takes a part for the whole.
pub(crate) fn intact(topic: &TopicDescription, only: Option<PartitionIndex>) -> Result<()> {
    let asked = topic.partitions.iter().filter(|p| only.is_none_or(|only| only == p.partition));
    match asked.filter_map(|p| p.damage.as_ref().map(|damage| (p.partition, damage))).next() {
        Some((partition, damage)) => {
            Err(Error::from(damage.clone()).at(format!("partition {partition} of `{}`", topic.name)))
        }
        None => Ok(()),
    }
}

/// One partition of a scan.
#[derive(Debug)]
struct Lane {
    partition: TopicPartition,
    left: OffsetRange,
    buffer: VecDeque<StoredRecord>,
}

/// A merge of pinned ranges.
#[derive(Debug)]
pub(crate) struct Scan {
    service: Arc<dyn Service>,
    lanes: Vec<Lane>,
    /// The head of each lane that has one.
    heads: BinaryHeap<Reverse<(Timestamp, usize)>>,
    started: bool,
    /// The first damage that was met.
    damage: Option<Error>,
}

impl Scan {
    /// Will read these ranges.
    pub(crate) fn new(log: &Log, ranges: impl IntoIterator<Item = (TopicPartition, OffsetRange)>) -> Self {
        let lane = |(partition, left)| Lane { partition, left, buffer: VecDeque::new() };
        let lanes: Vec<_> = ranges.into_iter().map(lane).collect();
        Self {
            service: Arc::clone(log.service()),
            heads: BinaryHeap::with_capacity(lanes.len()),
            lanes,
            started: false,
            damage: None,
        }
    }

    /// How many records the ranges span.
    pub(crate) fn len(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.left.len() + lane.buffer.len() as u64).sum()
    }

    /// The next record with its partition; `None` when all ranges are read, or once the damage that they have.
    pub(crate) async fn next(&mut self) -> Result<Option<(TopicPartition, StoredRecord)>> {
        if !self.started {
            self.started = true;
            for index in 0..self.lanes.len() {
                self.refill(index).await?;
            }
        }
        let Some(Reverse((_, index))) = self.heads.pop() else { return self.damage.take().map_or(Ok(None), Err) };
        let lane = &mut self.lanes[index];
        let Some(record) = lane.buffer.pop_front() else { return Ok(None) };
        let partition = lane.partition.clone();
        self.refill(index).await?;
        Ok(Some((partition, record)))
    }

    /// Makes sure that a lane with records left has a head.
    async fn refill(&mut self, index: usize) -> Result<()> {
        let lane = &mut self.lanes[index];
        while lane.buffer.is_empty() && !lane.left.is_empty() {
            let wanted =
                FetchPartition { partition: lane.partition.clone(), offset: lane.left.start, max_bytes: FETCH_BYTES };
            let isolation = Isolation::ReadCommitted;
            let request = Fetch { partitions: vec![wanted], max_wait: Duration::ZERO, min_bytes: 1, isolation };
            let fetched = match self.service.fetch(request).await {
                Ok(fetched) => fetched,
                Err(error @ LogError::Corrupt { .. }) => {
                    let TopicPartition { topic, partition } = &lane.partition;
                    let place = format!("partition {partition} of `{topic}`");
                    self.damage.get_or_insert(Error::from(error).at(place));
                    Vec::new()
                }
                Err(error) => return Err(error.into()),
            };
            let before = lane.left.start;
            for fetched in fetched {
                for stored in record::records_at(fetched.committed()?, &mut lane.left.start) {
                    let stored = stored?;
                    if stored.offset >= lane.left.end {
                        break;
                    }
                    lane.buffer.push_back(stored);
                }
            }
            if lane.left.start == before {
                // Nothing readable is left below the pinned end.
                lane.left.start = lane.left.end;
            }
        }
        if let Some(head) = lane.buffer.front() {
            self.heads.push(Reverse((head.timestamp, index)));
        }
        Ok(())
    }
}
