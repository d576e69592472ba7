//! A task: one sub-topology on one partition of its inputs, as a machine without clock, network or disk.
//!
//! The runtime offers fetched records and asks the task to [`step`](Task::step); the task merges its inputs, runs its
//! operators and leaves records in its outbox. Now and then the runtime takes a commit: the outbox is empty and
//! acknowledged by then, so outputs come before the state that they follow from, and the state before the offsets of
//! the consumer group. After a crash the task goes on at the positions that its state reflects: state sees every
//! record once, outputs are written at least once.
//!
//! **Merge order.** Of the inputs' next records the task takes the one that is first by (record timestamp, tables
//! before streams, topic, offset), and it waits while an input has more below its high watermark than was fetched.
//! A batch is a run of records of one input, and control records end it.

pub(crate) mod epoch;
pub(crate) mod hop;
mod input;
pub(crate) mod source;
pub(crate) mod watermark;

pub(crate) use input::{Fetched, Input};

use crate::operators::{Build, Built, Counters, Cx, Edges, Operator, Outgoing};
use crate::topology::graph::NodeId;
use crate::topology::plan::Plan;
use crate::{Error, Result};
use epoch::{Commit, InputCommit, Restore};
use hop::{Announcement, Hop};
use source::Arrival;
use std::collections::BTreeMap;
use std::time::Duration;
use tailwater_log::{PartitionIndex, Record, StoredRecord, Timestamp, TopicId, TopicName, TopicPartition};

/// The most records in one batch, unless a join reads a table that is made from the same records.
const BATCH_RECORDS_MAX: usize = 1024;

/// Which task: displayed as `sub-topology/partition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId {
    pub(crate) sub: usize,
    pub(crate) partition: PartitionIndex,
}

impl TaskId {
    /// The id under which the task's producer writes: the same whenever the task of this app runs.
    pub(crate) fn producer(self, app: &str) -> i64 {
        (hop::hash(format!("{app}\0{self}").bytes()) >> 1) as i64
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.sub, self.partition)
    }
}

pub(crate) struct Task {
    pub(crate) id: TaskId,
    /// Tables first, then by topic: the order in which equal timestamps are merged.
    pub(crate) inputs: Vec<Input>,
    operators: Vec<Node>,
    edges: Edges,
    cx: Cx,
    watermark: Timestamp,
    /// Whether every input is idle.
    idle: bool,
    epoch: u64,
    /// Whether anything happened since the last commit.
    changed: bool,
    writers: Vec<Writer>,
    /// The most records in one batch.
    batch_max: usize,
}

struct Node {
    id: NodeId,
    /// How far behind the task's watermark what reaches this operator may lie.
    hold: Duration,
    operator: Box<dyn Operator>,
}

/// A repartition topic that the task writes.
struct Writer {
    output: usize,
    partitions: u32,
    hold: Duration,
    /// What was announced last.
    said: Option<(Timestamp, bool)>,
}

impl Task {
    /// The task in its first state. `partitions` has the partitions of every sub-topology, `output_partitions` those
    /// of this one's outputs, `topics` the identities of the inputs' topics.
    pub(crate) fn new(
        plan: &Plan,
        id: TaskId,
        partitions: &[u32],
        output_partitions: &[u32],
        topics: &BTreeMap<TopicName, TopicId>,
    ) -> Self {
        let sub = &plan.subs[id.sub];
        let (mut edges, mut cx) = (Edges::default(), Cx { watermark: Timestamp::MIN, ..Cx::default() });
        for &node in &sub.nodes {
            (0..plan.graph.nodes[node].inputs.len()).for_each(|index| edges.declare(node, index));
        }
        let (mut operators, mut sources, mut store_of) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for &node in &sub.nodes {
            let definition = &plan.graph.nodes[node];
            let mut build = Build {
                plan,
                sub,
                node,
                edges: &mut edges,
                stores: &mut cx.stores,
                store_of: &mut store_of,
                output_partitions,
            };
            match (definition.build)(&mut build) {
                Built::Operator(operator) => {
                    operators.push(Node { id: node, hold: plan.graph.input_hold(node), operator })
                }
                Built::Source(source) => drop(sources.insert(node, source)),
            }
        }
        let input = |input: &crate::topology::plan::Input| {
            let source = sources.remove(&input.node).expect("every input is a source");
            let writers = input.writer.map(|writer| partitions[writer]);
            let topic_id = topics[&input.topic];
            Input::new(input, &plan.graph.nodes[input.node].kind, id.partition, topic_id, writers, source)
        };
        let mut inputs: Vec<Input> = sub.inputs.iter().map(input).collect();
        inputs.sort_by(|a, b| (!a.table, &a.partition.topic).cmp(&(!b.table, &b.partition.topic)));
        let writers = (sub.outputs.iter().enumerate())
            .filter_map(|(output, to)| {
                let hold = plan.graph.input_hold(to.rekey?);
                Some(Writer { output, partitions: output_partitions[output], hold, said: None })
            })
            .collect();
        let watermark = Timestamp::MIN;
        let batch_max =
            if sub.nodes.iter().any(|node| plan.graph.reads_its_own(*node)) { 1 } else { BATCH_RECORDS_MAX };
        Self { id, inputs, operators, edges, cx, watermark, idle: false, epoch: 0, changed: true, writers, batch_max }
    }

    /// Gives the task what was fetched of one input. `pass` numbers the fetches; see [`Input::offer`].
    pub(crate) fn offer(&mut self, input: usize, fetched: Fetched, pass: u64) {
        self.inputs[input].offer(fetched, pass);
    }

    /// Whether an input has to be fetched before the task can go on.
    pub(crate) fn is_starved(&self) -> bool {
        self.inputs.iter().any(Input::is_starved)
    }

    /// Whether records wait to be processed.
    pub(crate) fn has_buffered(&self) -> bool {
        self.inputs.iter().any(|input| !input.buffer.is_empty())
    }

    /// Processes up to about `max` records, in merge order, until an input has to be fetched or nothing is left.
    /// Returns how many.
    pub(crate) fn step(&mut self, max: usize) -> Result<usize> {
        let mut done = 0;
        while done < max && !self.is_starved() {
            match self.next_run(|_| true, (max - done).min(self.batch_max)) {
                Some((input, run)) => {
                    done += run.len();
                    self.process(input, run)?;
                }
                None => break,
            }
        }
        self.follow_watermark()?;
        Ok(done)
    }

    /// Processes what is buffered of the tables: done once before the first record of a stream, so that streams meet
    /// tables as they are when the job is first started.
    pub(crate) fn step_tables(&mut self) -> Result<()> {
        while let Some((input, run)) = self.next_run(|input| input.table, self.batch_max) {
            self.process(input, run)?;
        }
        Ok(())
    }

    /// The next run of the merge: as many records of one input as come before the heads of all others.
    fn next_run(&mut self, of: impl Fn(&Input) -> bool, max: usize) -> Option<(usize, Vec<StoredRecord>)> {
        let mut heads: Vec<(Timestamp, usize)> = (self.inputs.iter().enumerate())
            .filter(|(_, input)| of(input))
            .filter_map(|(index, input)| Some((input.buffer.front()?.timestamp, index)))
            .collect();
        heads.sort_unstable();
        let &(_, first) = heads.first()?;
        let second = heads.get(1).copied();
        let buffer = &mut self.inputs[first].buffer;
        let mut run = Vec::new();
        while let Some(head) = buffer.front()
            && run.len() < max
            && second.is_none_or(|second| (head.timestamp, first) < second)
        {
            run.push(buffer.pop_front().expect("it has a front"));
        }
        Some((first, run))
    }

    fn process(&mut self, index: usize, run: Vec<StoredRecord>) -> Result<()> {
        self.changed = true;
        let mut batch = Vec::with_capacity(run.len());
        for record in run {
            let input = &mut self.inputs[index];
            input.position = record.offset + 1;
            let Some(writers) = &mut input.writers else {
                batch.push(Arrival { record, hop: None });
                continue;
            };
            match hop::read(&record) {
                Hop::Record(header) if input.repeats.is_new(&header) => {
                    batch.push(Arrival { record, hop: Some(header) })
                }
                Hop::Record(_) => self.cx.counters.repeats += 1,
                Hop::Control(said) => {
                    writers.announce(&said);
                    self.work(index, std::mem::take(&mut batch))?;
                    self.follow_watermark()?;
                }
                Hop::Foreign => {
                    let why = "it was not written by this job".into();
                    return Err(Error::Undecodable { partition: input.partition.clone(), offset: record.offset, why });
                }
            }
        }
        self.work(index, batch)?;
        self.inputs[index].pass_gap();
        self.follow_watermark()
    }

    /// Sends a batch through the operators.
    fn work(&mut self, index: usize, batch: Vec<Arrival>) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        self.cx.counters.records_in += batch.len() as u64;
        self.inputs[index].ingest(batch, &mut self.edges, &mut self.cx)?;
        for node in &mut self.operators {
            self.cx.watermark = self.watermark - node.hold;
            node.operator.run(&mut self.edges, &mut self.cx)?;
        }
        Ok(())
    }

    /// Moves the task's watermark to where its inputs are and lets windows close.
    fn follow_watermark(&mut self) -> Result<()> {
        let (watermark, idle) = self.combined();
        if idle != self.idle {
            self.idle = idle;
            self.changed = true;
        }
        if watermark <= self.watermark {
            return Ok(());
        }
        self.changed = true;
        for node in &mut self.operators {
            // What a window above sends on now is judged by the watermark before.
            self.cx.watermark = self.watermark - node.hold;
            node.operator.run(&mut self.edges, &mut self.cx)?;
            node.operator.advance(watermark - node.hold, &mut self.edges, &mut self.cx)?;
        }
        self.watermark = watermark;
        Ok(())
    }

    fn combined(&self) -> (Timestamp, bool) {
        let streams = self.inputs.iter().any(|input| !input.table);
        let parts = |input: &Input| {
            let others = self.inputs.iter().filter(|other| other.partition != input.partition);
            input.time(others.map(|other| other.data_pass).max().unwrap_or(0))
        };
        // A table is merged in by time and holds nobody back; it counts only where there is nothing else.
        watermark::combine(self.inputs.iter().filter(|input| input.table != streams).map(parts))
    }

    /// Takes the records to send, in order.
    pub(crate) fn take_outbox(&mut self) -> Vec<Outgoing> {
        std::mem::take(&mut self.cx.outbox)
    }

    /// Whether a commit would say anything new.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed || self.writers.iter().any(|writer| writer.said.is_none())
    }

    /// The control records for the tasks behind the repartition topics, where there is news.
    pub(crate) fn announce(&mut self) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        for writer in &mut self.writers {
            let now = (self.watermark - writer.hold, self.idle);
            if writer.said == Some(now) {
                continue;
            }
            writer.said = Some(now);
            let said = Announcement { task: self.id.partition, watermark: now.0, idle: now.1 };
            outgoing.extend((0..writer.partitions).map(|partition| Outgoing {
                output: writer.output,
                partition: Some(partition),
                record: said.record(),
            }));
        }
        outgoing
    }

    /// The next epoch's records. The task counts it as committed.
    pub(crate) fn commit(&mut self, now: Timestamp) -> Vec<Record> {
        self.epoch += 1;
        self.changed = false;
        let inputs = self.inputs.iter().map(Input::commit).collect();
        let commit = Commit { epoch: self.epoch, watermark: self.watermark.0, inputs };
        epoch::records(&commit, self.cx.stores.drain_dirty(), now)
    }

    /// Puts back one record of the changelog.
    pub(crate) fn restore_record(
        &mut self,
        restore: &mut Restore,
        record: StoredRecord,
    ) -> Result<(), tailwater_log::DecodeError> {
        restore.record(record.key, record.value, &mut self.cx.stores)
    }

    /// Goes to where a commit was made and returns the inputs that it names. Any other is new, or its topic was made
    /// anew, and starts at its beginning.
    pub(crate) fn resume(&mut self, commit: &Commit) -> Vec<TopicPartition> {
        self.epoch = commit.epoch;
        self.watermark = Timestamp(commit.watermark);
        let mut known = Vec::new();
        for input in &mut self.inputs {
            if let Some(row) = commit.inputs.iter().find(|row: &&InputCommit| row.topic_id == input.topic_id) {
                input.resume(row);
                known.push(input.partition.clone());
            }
        }
        known
    }

    /// Puts back rows of a table from its topic, up to the position that was committed; nothing is sent on.
    pub(crate) fn rebuild(&mut self, index: usize, records: Vec<StoredRecord>) -> Result<()> {
        let counters = self.cx.counters;
        let batch = records.into_iter().map(|record| Arrival { record, hop: None }).collect();
        let (input, outbox) = (&mut self.inputs[index], self.cx.outbox.len());
        input.ingest(batch, &mut self.edges, &mut self.cx)?;
        self.cx.rebuilding = true;
        for node in self.operators.iter_mut().filter(|node| input.readers.contains(&node.id)) {
            node.operator.run(&mut self.edges, &mut self.cx)?;
        }
        self.cx.rebuilding = false;
        self.cx.outbox.truncate(outbox);
        self.cx.counters = counters;
        Ok(())
    }

    pub(crate) const fn counters(&self) -> Counters {
        self.cx.counters
    }

    /// Whether the task has seen all there is.
    pub(crate) const fn is_idle(&self) -> bool {
        self.idle
    }

    pub(crate) const fn watermark(&self) -> Timestamp {
        self.watermark
    }

    /// Rows and bytes of all stores.
    pub(crate) fn state_size(&self) -> (u64, u64) {
        (self.cx.stores.rows(), self.cx.stores.bytes())
    }
}
