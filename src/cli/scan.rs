//! Reading a bounded part of a topic in one order.
//!
//! A scan covers a range of offsets of each partition, pinned when it starts, so it ends even while others write. Its
//! order is a merge of the partitions by (timestamp, partition): within a partition records come by offset, across
//! partitions by time as far as partitions allow. Memory is one fetch per partition.

use super::Result;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tailwater::log::record;
use tailwater::log::service::{Fetch, FetchPartition, Service};
use tailwater::log::types::OffsetRange;
use tailwater::log::{Log, StoredRecord, Timestamp, TopicPartition};

/// What one fetch of one partition asks for.
const FETCH_BYTES: u32 = 512 * 1024;

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
        }
    }

    /// How many records the ranges span.
    pub(crate) fn len(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.left.len() + lane.buffer.len() as u64).sum()
    }

    /// The next record with its partition; `None` when all ranges are read.
    pub(crate) async fn next(&mut self) -> Result<Option<(TopicPartition, StoredRecord)>> {
        if !self.started {
            self.started = true;
            for index in 0..self.lanes.len() {
                self.refill(index).await?;
            }
        }
        let Some(Reverse((_, index))) = self.heads.pop() else { return Ok(None) };
        let lane = &mut self.lanes[index];
        let Some(record) = lane.buffer.pop_front() else { return Ok(None) };
        let partition = lane.partition.clone();
        self.refill(index).await?;
        Ok(Some((partition, record)))
    }

    /// Makes sure that a lane with records left has a head.
    async fn refill(&mut self, index: usize) -> Result<()> {
        let lane = &mut self.lanes[index];
        if lane.buffer.is_empty() && !lane.left.is_empty() {
            let wanted =
                FetchPartition { partition: lane.partition.clone(), offset: lane.left.start, max_bytes: FETCH_BYTES };
            let request = Fetch { partitions: vec![wanted], max_wait: Duration::ZERO, min_bytes: 1 };
            for fetched in self.service.fetch(request).await? {
                for stored in record::records(fetched.batches) {
                    let stored = stored?;
                    if lane.left.contains(stored.offset) {
                        lane.left.start = stored.offset + 1;
                        lane.buffer.push_back(stored);
                    }
                }
            }
            if lane.buffer.is_empty() {
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
