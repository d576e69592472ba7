//! One input of a task: a partition, what was fetched of it, and how far it is.

use super::epoch::InputCommit;
use super::hop::{Repeats, source_hash};
use super::source::{Arrival, Ingest, InputSide};
use super::watermark::{PartitionClock, Writers};
use crate::Result;
use crate::operators::{Cx, Edges};
use crate::topology::graph::{Kind, NodeId};
use std::collections::VecDeque;
use std::time::Duration;
use tailwater_log::{Offset, PartitionIndex, StoredRecord, Timestamp, TopicId, TopicPartition};

/// What one fetch gave of a partition.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// In order, none before the offset that was asked for.
    pub(crate) records: Vec<StoredRecord>,
    /// Where the next fetch reads. Behind the last record, and further where offsets have gaps.
    pub(crate) next: Offset,
    /// At the fetch.
    pub(crate) high_watermark: Offset,
}

pub(crate) struct Input {
    pub(crate) partition: TopicPartition,
    /// Positions and origins are of this topic, and not of one that is made later under the same name.
    pub(crate) topic_id: TopicId,
    pub(crate) table: bool,
    /// The nodes that read the source's edges.
    pub(crate) readers: Vec<NodeId>,
    /// Fetched and not yet processed.
    pub(crate) buffer: VecDeque<StoredRecord>,
    /// The next offset to process.
    pub(crate) position: Offset,
    /// The next offset to fetch.
    pub(crate) fetched: Offset,
    /// As last observed; nothing until the first fetch.
    pub(crate) high_watermark: Option<Offset>,
    /// The pass that last observed the high watermark.
    proof_pass: u64,
    /// The pass that last brought records.
    pub(crate) data_pass: u64,
    clock: PartitionClock,
    /// For a repartition topic: what its writers announced.
    pub(crate) writers: Option<Writers>,
    pub(crate) repeats: Repeats,
    source: u64,
    ingest: Box<dyn Ingest>,
}

impl Input {
    pub(super) fn new(
        input: &crate::topology::plan::Input,
        kind: &Kind,
        partition: PartitionIndex,
        topic_id: TopicId,
        writers: Option<u32>,
        ingest: Box<dyn Ingest>,
    ) -> Self {
        let partition = TopicPartition::new(input.topic.clone(), partition);
        let (watermarks, disorder) = match kind {
            Kind::Source(spec) => (spec.watermarks, spec.disorder),
            _ => (crate::Watermarks::EventTime, Duration::ZERO),
        };
        Self {
            source: source_hash(topic_id, partition.partition),
            partition,
            topic_id,
            table: input.table,
            readers: input.readers.clone(),
            buffer: VecDeque::new(),
            position: 0,
            fetched: 0,
            high_watermark: None,
            proof_pass: 0,
            data_pass: 0,
            clock: PartitionClock::new(watermarks, disorder),
            writers: writers.map(Writers::new),
            repeats: Repeats::default(),
            ingest,
        }
    }

    /// Takes what a fetch gave. Passes are numbered from 1; all inputs fetched in one pass are fetched at about the
    /// same time, so a high watermark is proof against another input's data only from a later pass.
    pub(super) fn offer(&mut self, fetched: Fetched, pass: u64) {
        let Fetched { records, next, high_watermark } = fetched;
        if !records.is_empty() {
            self.data_pass = pass;
        }
        self.fetched = next;
        self.buffer.extend(records);
        self.pass_gap();
        self.high_watermark = Some(high_watermark);
        self.proof_pass = pass;
    }

    /// With nothing left to process, what lies between the last record and the next fetch is processed as well: gaps
    /// that compaction has left, and markers of transactions.
    pub(super) fn pass_gap(&mut self) {
        if self.buffer.is_empty() {
            self.position = self.fetched;
        }
    }

    /// Whether there is more in the log than in an empty buffer.
    pub(super) fn is_starved(&self) -> bool {
        self.buffer.is_empty() && self.high_watermark.is_none_or(|high| self.fetched < high)
    }

    /// The input's watermark and whether it is idle, given when the other inputs last got data.
    pub(super) fn time(&self, others_data_pass: u64) -> (Timestamp, bool) {
        match &self.writers {
            Some(writers) => writers.combined(),
            None => {
                let drained = self.buffer.is_empty() && !self.is_starved();
                (self.clock.watermark, drained && self.proof_pass > others_data_pass)
            }
        }
    }

    pub(super) fn ingest(&mut self, batch: Vec<Arrival>, edges: &mut Edges, cx: &mut Cx) -> Result<()> {
        let side = InputSide { partition: &self.partition, source: self.source, clock: &mut self.clock };
        self.ingest.ingest(batch, side, edges, cx)
    }

    /// Starts at `offset`.
    pub(crate) fn seek(&mut self, offset: Offset) {
        self.position = offset;
        self.fetched = offset;
    }

    pub(super) fn commit(&self) -> InputCommit {
        InputCommit {
            topic_id: self.topic_id,
            position: self.position,
            watermark: self.clock.watermark.0,
            repeats: self.repeats.rows(),
        }
    }

    pub(super) fn resume(&mut self, row: &InputCommit) {
        self.seek(row.position);
        self.clock.watermark = Timestamp(row.watermark);
        self.repeats = Repeats::restore(row.repeats.iter().copied());
    }
}
