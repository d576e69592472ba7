//! One task and its ends in the log.

use super::Options;
use super::progress::{InputProgress, TaskProgress};
use super::setup::Layout;
use crate::task::epoch::Restore;
use crate::task::{Fetched, Task, TaskId};
use crate::topology::plan::Plan;
use crate::{Error, Result};
use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tailwater_log::record::records_at;
use tailwater_log::service::{CommitOffsets, CommittedOffsets, Fetch, FetchPartition, ListOffsets};
use tailwater_log::types::{Instant, Isolation};
use tailwater_log::{
    Delivery, Log, Offset, OffsetSpec, PartitionIndex, Producer, Record, Timestamp, TopicName, TopicPartition,
};
use tokio::sync::watch;

/// Records that are processed before the outbox is sent.
const STEP_RECORDS: usize = 4096;

/// Times that empty inputs are fetched again because others got data; see `task::watermark` for why.
const PASSES_MAX: usize = 3;

pub(crate) struct Runner {
    log: Log,
    plan: Arc<Plan>,
    options: Options,
    task: Task,
    producer: Producer,
    outputs: Vec<TopicName>,
    changelog: Option<TopicPartition>,
    pass: u64,
    /// Records processed since the last commit.
    uncommitted: usize,
    last_commit: Instant,
    /// Each input's position as last committed to the group. Empty at the start, so the first commit is always written:
    /// a table that was read to its end once is from then on merged by time, also after a crash.
    committed: Vec<Offset>,
    commits: u64,
    progress: watch::Sender<TaskProgress>,
}

/// The error of a record that was turned away at once, as one over the limit is; all others come out of `flush`,
/// before anything is committed.
fn refused(delivery: Delivery) -> Result<()> {
    match delivery.now_or_never() {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

/// What a panic said.
pub(super) fn panic_message(panic: &(dyn Any + Send)) -> String {
    (panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

impl Runner {
    /// Builds the task and brings it to its last commit.
    pub(crate) async fn start(
        log: &Log,
        plan: &Arc<Plan>,
        layout: &Layout,
        options: Options,
        id: TaskId,
    ) -> Result<(Self, watch::Receiver<TaskProgress>)> {
        let sub = &plan.subs[id.sub];
        let task = Task::new(plan, id, &layout.partitions, &layout.outputs[id.sub], &layout.topics);
        let (progress, watcher) = watch::channel(TaskProgress { task: id.to_string(), ..TaskProgress::default() });
        let mut runner = Self {
            log: log.clone(),
            plan: plan.clone(),
            options,
            // Idempotent, because such a producer stops at the first batch that fails: a later one would leave a hole
            // before it that a repartition topic's reader takes for repeats, or cut rows out of an epoch.
            producer: log.producer().idempotent(id.producer(&plan.app)).build(),
            outputs: sub.outputs.iter().map(|output| output.topic.clone()).collect(),
            changelog: sub.changelog.clone().map(|topic| TopicPartition::new(topic, id.partition)),
            pass: 0,
            uncommitted: 0,
            last_commit: log.clock().instant(),
            committed: Vec::new(),
            commits: 0,
            progress,
            task,
        };
        runner.restore().await?;
        runner.publish();
        Ok((runner, watcher))
    }

    fn positions(&self) -> Vec<Offset> {
        self.task.inputs.iter().map(|input| input.position).collect()
    }

    async fn restore(&mut self) -> Result<()> {
        let starts = self.list(OffsetSpec::Earliest).await?;
        for (input, start) in self.task.inputs.iter_mut().zip(&starts) {
            input.seek(*start);
        }
        let known: Vec<TopicPartition> = match self.changelog.clone() {
            Some(changelog) => self.restore_state(&changelog).await?,
            None => self.restore_positions().await?,
        };
        let mut fresh = false;
        for (index, start) in starts.iter().enumerate() {
            let input = &self.task.inputs[index];
            if !input.table {
                continue;
            }
            if known.contains(&input.partition) {
                self.rebuild_table(index, *start).await?;
            } else {
                self.pass += 1;
                while self.fetch_inputs(&[index], Duration::ZERO).await? {}
                fresh = true;
            }
        }
        if fresh {
            self.guarded(Task::step_tables)?;
        }
        Ok(())
    }

    /// Reads the changelog back; the partitions whose positions it has.
    async fn restore_state(&mut self, changelog: &TopicPartition) -> Result<Vec<TopicPartition>> {
        let bad = |why: String| Error::BadState { changelog: changelog.to_string(), why };
        let (mut offset, mut restore) = (0, Restore::default());
        loop {
            let Fetched { records, next, high_watermark } = self.read(changelog, offset).await?;
            for record in records {
                let at = record.offset;
                let restored = self.guarded(|task| Ok(task.restore_record(&mut restore, record)))?;
                restored.map_err(|e| bad(format!("offset {at}: {}", e.why)))?;
            }
            offset = next;
            if offset >= high_watermark {
                break;
            }
        }
        Ok(restore.commit.map(|commit| self.task.resume(&commit)).unwrap_or_default())
    }

    /// Without state, positions are those of the group.
    async fn restore_positions(&mut self) -> Result<Vec<TopicPartition>> {
        let request = CommittedOffsets::of(self.plan.group.clone());
        let committed = self.log.service().committed_offsets(request).await?;
        let mut known = Vec::new();
        for input in &mut self.task.inputs {
            if let Some(row) = committed.iter().find(|row| row.partition == input.partition) {
                input.seek(row.offset.max(input.position));
                known.push(row.partition.clone());
            }
        }
        Ok(known)
    }

    /// Reads a table's topic up to the position that its task committed.
    async fn rebuild_table(&mut self, index: usize, start: Offset) -> Result<()> {
        let (partition, until) = (self.task.inputs[index].partition.clone(), self.task.inputs[index].position);
        let mut offset = start;
        while offset < until {
            let Fetched { mut records, next, .. } = self.read(&partition, offset).await?;
            records.retain(|record| record.offset < until);
            self.guarded(|task| task.rebuild(index, records))?;
            if next == offset {
                break;
            }
            offset = next;
        }
        Ok(())
    }

    async fn list(&self, spec: OffsetSpec) -> Result<Vec<Offset>> {
        let partitions = self.task.inputs.iter().map(|input| (input.partition.clone(), spec)).collect();
        let listed =
            self.log.service().list_offsets(ListOffsets { partitions, isolation: Isolation::ReadCommitted }).await?;
        Ok(listed.into_iter().map(|at| at.offset).collect())
    }

    /// The records of one partition from `offset` on, as many as one fetch gives.
    async fn read(&self, partition: &TopicPartition, offset: Offset) -> Result<Fetched> {
        let mut fetched = self.fetch(vec![(partition.clone(), offset)], Duration::ZERO).await?;
        Ok(fetched.pop().expect("a fetch answers for every partition"))
    }

    async fn fetch(&self, from: Vec<(TopicPartition, Offset)>, max_wait: Duration) -> Result<Vec<Fetched>> {
        let starts: Vec<Offset> = from.iter().map(|(_, offset)| *offset).collect();
        let partitions = from.into_iter().map(|(partition, offset)| FetchPartition {
            partition,
            offset,
            max_bytes: self.options.fetch_bytes,
        });
        let isolation = Isolation::ReadCommitted;
        let request = Fetch { partitions: partitions.collect(), max_wait, min_bytes: 1, isolation };
        let fetched = self.log.service().fetch(request).await?;
        let mut answers = Vec::with_capacity(fetched.len());
        for (answer, mut next) in fetched.into_iter().zip(starts) {
            let records = records_at(answer.committed()?, &mut next).collect::<Result<_, _>>()?;
            // Behind the last stable offset there is nothing for a reader of committed records.
            answers.push(Fetched { records, next, high_watermark: answer.offsets.last_stable_offset });
        }
        Ok(answers)
    }

    /// Fetches some inputs once, all at about the same time. Whether any moved on.
    async fn fetch_inputs(&mut self, inputs: &[usize], max_wait: Duration) -> Result<bool> {
        if inputs.is_empty() {
            return Ok(false);
        }
        let from = inputs.iter().map(|index| {
            let input = &self.task.inputs[*index];
            (input.partition.clone(), input.fetched)
        });
        let answers = self.fetch(from.collect(), max_wait).await?;
        let mut got = false;
        for (index, fetched) in inputs.iter().zip(answers) {
            got |= fetched.next != self.task.inputs[*index].fetched;
            self.task.offer(*index, fetched, self.pass);
        }
        Ok(got)
    }

    /// Fetches until every input has records or is at its end, tables after streams and to their end, so that a
    /// record meets a table that is as fresh as when the record was fetched.
    async fn fetch_all(&mut self, max_wait: Duration) -> Result<bool> {
        let (mut got_any, mut wait) = (false, max_wait);
        for _ in 0..PASSES_MAX {
            self.pass += 1;
            let of = |task: &Task, table: bool| -> Vec<usize> {
                let inputs = task.inputs.iter().enumerate();
                inputs.filter(|(_, i)| i.table == table && (table || i.buffer.is_empty())).map(|(n, _)| n).collect()
            };
            let (streams, tables) = (of(&self.task, false), of(&self.task, true));
            let mut got = match wait.is_zero() {
                false => {
                    let all: Vec<usize> = tables.iter().chain(&streams).copied().collect();
                    self.fetch_inputs(&all, std::mem::take(&mut wait)).await?
                }
                true => self.fetch_inputs(&streams, Duration::ZERO).await?,
            };
            while self.fetch_inputs(&tables, Duration::ZERO).await? {
                got = true;
            }
            if !got {
                break;
            }
            got_any = true;
        }
        Ok(got_any)
    }

    /// Waits for records, or until the time is up. May be dropped at any moment.
    pub(crate) async fn wait(&mut self, max_wait: Duration) -> Result<()> {
        if self.log.clock().is_manual() {
            tokio::task::yield_now().await;
        }
        self.fetch_all(max_wait).await.map(drop)
    }

    /// Runs user code; a panic becomes an error.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Task) -> Result<T>) -> Result<T> {
        let task = &mut self.task;
        std::panic::catch_unwind(AssertUnwindSafe(|| work(task))).unwrap_or_else(|panic| {
            Err(Error::Panicked { task: self.task.id.to_string(), message: panic_message(&*panic) })
        })
    }

    /// One round: fetch what there is, process it, send what came of it, and commit if that is due. Whether
    /// anything happened.
    pub(crate) async fn round(&mut self) -> Result<bool> {
        let got = self.fetch_all(Duration::ZERO).await?;
        let done = self.process(STEP_RECORDS).await?;
        let due = self.commit_is_due();
        if due {
            self.commit().await?;
        }
        Ok(got || done > 0 || due)
    }

    async fn process(&mut self, max: usize) -> Result<usize> {
        let done = self.guarded(|task| task.step(max))?;
        self.uncommitted += done;
        self.send().await?;
        Ok(done)
    }

    async fn send(&mut self) -> Result<()> {
        for out in self.task.take_outbox() {
            let topic = &self.outputs[out.output];
            match out.partition {
                Some(partition) => self.send_to(topic, partition, out.record).await?,
                None => refused(self.producer.send(topic, out.record).await?)?,
            };
        }
        Ok(())
    }

    async fn send_to(&self, topic: &TopicName, partition: PartitionIndex, record: Record) -> Result<()> {
        refused(self.producer.send_to(topic, partition, record).await?)
    }

    /// How long until a commit is due; `None` when there is nothing to commit.
    pub(crate) fn commit_due_in(&self) -> Option<Duration> {
        if !self.task.has_changed() {
            return None;
        }
        let clock = self.log.clock();
        let since = clock.instant().since(self.last_commit);
        // A manual clock does not pass by itself: commit when there is nothing left to do.
        let caught_up = clock.is_manual() && !self.task.has_buffered() && !self.task.is_starved();
        let due = caught_up || self.uncommitted >= self.options.commit_records;
        Some(if due { Duration::ZERO } else { self.options.commit_every.saturating_sub(since) })
    }

    fn commit_is_due(&self) -> bool {
        self.commit_due_in().is_some_and(|due| due.is_zero())
    }

    /// Commits: outputs, then the epoch, then the group's offsets, each durable before the next.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        for out in self.task.announce() {
            let (topic, partition) = (&self.outputs[out.output], out.partition.unwrap_or_default());
            self.send_to(topic, partition, out.record).await?;
        }
        self.producer.flush().await?;
        let now = self.log.clock().now();
        let epoch = self.guarded(|task| Ok(task.commit(now)))?;
        if let Some(changelog) = &self.changelog {
            for record in epoch {
                self.send_to(&changelog.topic, changelog.partition, record).await?;
            }
            self.producer.flush().await?;
        }
        let positions = self.positions();
        if positions != self.committed {
            let inputs = self.task.inputs.iter().map(|input| (input.partition.clone(), input.position.into()));
            let request = CommitOffsets { group: self.plan.group.clone(), member: None, offsets: inputs.collect() };
            self.log.service().commit_offsets(request).await?;
            self.committed = positions;
        }
        self.uncommitted = 0;
        self.last_commit = self.log.clock().instant();
        self.commits += 1;
        self.publish();
        Ok(())
    }

    /// Finishes what was fetched and commits it.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        while self.process(STEP_RECORDS).await? > 0 {}
        if self.task.has_changed() {
            self.commit().await?;
        }
        Ok(())
    }

    fn publish(&self) {
        let counters = self.task.counters();
        let (state_rows, state_bytes) = self.task.state_size();
        let inputs = self.task.inputs.iter().map(|input| InputProgress {
            partition: input.partition.clone(),
            position: input.position,
            high_watermark: input.high_watermark.unwrap_or(input.position),
        });
        self.progress.send_replace(TaskProgress {
            task: self.task.id.to_string(),
            inputs: inputs.collect(),
            watermark: (self.task.watermark() > Timestamp::MIN).then(|| self.task.watermark()),
            records_in: counters.records_in,
            records_out: counters.records_out,
            late: counters.late,
            skipped: counters.skipped,
            state_rows,
            state_bytes,
            commits: self.commits,
            idle: self.task.is_idle(),
        });
    }
}
