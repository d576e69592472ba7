//! The test driver: the real engine on a simulated disk and a clock that tests move.
//!
//! A [`Sim`] holds a whole log in memory and runs the job's tasks one after the other, in an order drawn from a seed.
//! Nothing in it is a stand-in: the same tasks, commits and restores run in production. The disk can crash, which
//! loses what was not made durable, and the job then restarts from its last commit.
//!
//! ```
//! use tailwater_streams::{Sim, Topic, Topology};
//! use tailwater_streams::Timestamp;
//!
//! const WORDS: Topic<String, String> = Topic::new("words");
//! const COUNTS: Topic<String, u64> = Topic::new("counts");
//!
//! let sim = Sim::new(|t: &Topology| t.stream(WORDS).group_by_key().count("counts").changes().to(COUNTS)).seed(7);
//! sim.input(WORDS).send_at(Timestamp(0), "a".into(), "one".into()).send_at(Timestamp(1), "a".into(), "two".into());
//! assert_eq!(sim.output(COUNTS).drain(), [("a".to_string(), 1), ("a".to_string(), 2)]);
//! ```
//!
//! Every method panics when the job or the log fails: a test wants to stop there. [`Sim::try_run`] gives the error.

use super::Options;
use super::runner::Runner;
use super::setup::{Layout, prepare};
use crate::data::is_keyless;
use crate::task::TaskId;
use crate::topology::plan::Plan;
use crate::{Codec, Result, TaskProgress, Topic, Topology};
use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tailwater_log::env::{Clock, Rng, SimDisk};
use tailwater_log::record::{partition_for_key, records_at};
use tailwater_log::service::{Fetch, FetchPartition};
use tailwater_log::types::Isolation;
use tailwater_log::{Log, Offset, Producer, Record, StoredRecord, Timestamp, TopicName, TopicPartition, TopicSpec};
use tokio::sync::watch;

/// A job on a simulated disk, for tests. See the module's example.
pub struct Sim {
    world: RefCell<World>,
}

type BuildTopology = Rc<dyn Fn(&Topology)>;

struct World {
    runtime: tokio::runtime::Runtime,
    build: BuildTopology,
    options: Options,
    partitions: u32,
    rng: Rng,
    disk: SimDisk,
    clock: Clock,
    log: Option<(Log, Producer)>,
    job: Option<Job>,
    /// The next offset to drain of each output partition.
    drained: BTreeMap<TopicPartition, Offset>,
}

struct Job {
    runners: Vec<Runner>,
    progress: Vec<watch::Receiver<TaskProgress>>,
}

impl Sim {
    /// A job that does what `build` says, on an empty disk. Input topics have one partition unless
    /// [`partitions`](Self::partitions) says otherwise.
    pub fn new(build: impl Fn(&Topology) + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without input or output");
        let world = World {
            runtime,
            build: Rc::new(build),
            options: Options::default(),
            partitions: 1,
            rng: Rng::seeded(0),
            disk: SimDisk::default(),
            clock: Clock::manual(Timestamp(0)),
            log: None,
            job: None,
            drained: BTreeMap::new(),
        };
        Self { world: RefCell::new(world) }
    }

    /// What draws the order in which tasks run, where commits fall, when a crash comes and what it leaves.
    pub fn seed(self, seed: u64) -> Self {
        let mut world = self.world.borrow_mut();
        world.rng = Rng::seeded(seed);
        world.options.commit_records = 1 + world.rng.below(40) as usize;
        world.options.fetch_bytes = 64 << world.rng.below(12);
        drop(world);
        self
    }

    /// The number of partitions of every input and output topic. Call it before the first input.
    pub fn partitions(self, partitions: u32) -> Self {
        self.world.borrow_mut().partitions = partitions;
        self
    }

    /// A topic to write to.
    pub fn input<K: Codec + 'static, V: Codec>(&self, topic: Topic<K, V>) -> Input<'_, K, V> {
        let name = TopicName::new(topic.name()).expect("a topic name");
        self.world().ensure_topic(&name);
        Input { sim: self, name, types: PhantomData }
    }

    /// Runs until nothing is left to do.
    pub fn run(&self) {
        self.try_run().unwrap_or_else(|error| panic!("the job failed: {error} ({})", error.code()));
    }

    /// Runs until nothing is left to do, or the job fails.
    pub fn try_run(&self) -> Result<()> {
        self.world().settle()
    }

    /// Moves the clock, then runs until nothing is left to do.
    pub fn advance(&self, by: Duration) {
        self.run();
        self.world().clock.advance(by);
        self.run();
    }

    /// Runs a part of what there is to do, drawn from the seed, crashes the disk, and starts the log and the job again
    /// from what was durable.
    pub fn crash_and_recover(&self) {
        self.world().crash().unwrap_or_else(|error| panic!("the job failed: {error} ({})", error.code()));
    }

    /// Drains, stops and starts the job again, as an orderly restart does.
    pub fn restart(&self) {
        let mut world = self.world();
        let job = world.job.take();
        world
            .run_to(async |_| {
                for mut runner in job.into_iter().flat_map(|job| job.runners) {
                    runner.drain().await?;
                }
                Ok(())
            })
            .unwrap_or_else(|error| panic!("the job failed: {error} ({})", error.code()));
    }

    /// A topic to read from. Draining runs the job first.
    pub fn output<K: Codec, V: Codec>(&self, topic: Topic<K, V>) -> Output<'_, K, V> {
        Output { sim: self, name: TopicName::new(topic.name()).expect("a topic name"), types: PhantomData }
    }

    /// How far each task is.
    pub fn progress(&self) -> Vec<TaskProgress> {
        self.run();
        let world = self.world();
        world.job.iter().flat_map(|job| &job.progress).map(|progress| progress.borrow().clone()).collect()
    }

    /// The disk, to inject faults.
    #[cfg(test)]
    pub(super) fn disk(&self) -> SimDisk {
        self.world().disk.clone()
    }

    /// Deletes a topic and makes it again, empty, under the same name.
    #[cfg(test)]
    pub(super) fn recreate<K, V>(&self, topic: Topic<K, V>) {
        let name = TopicName::new(topic.name()).expect("a topic name");
        let mut world = self.world();
        world.job = None;
        world.run_to(async |log| Ok(log.admin().delete_topic(&name).await?)).expect("a topic to delete");
        world.ensure_topic(&name);
    }

    /// Crashes the disk now and opens the log again.
    #[cfg(test)]
    pub(super) fn lose_power(&self) {
        self.world().lose_power();
    }

    fn world(&self) -> RefMut<'_, World> {
        self.world.borrow_mut()
    }
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sim")
    }
}

impl World {
    /// Runs a future against the open log.
    fn run_to<T>(&mut self, work: impl AsyncFnOnce(&Log) -> Result<T>) -> Result<T> {
        self.open()?;
        let (log, _) = self.log.as_ref().expect("opened");
        self.runtime.block_on(work(log))
    }

    fn open(&mut self) -> Result<()> {
        if self.log.is_none() {
            let (disk, clock) = (Arc::new(self.disk.clone()), self.clock.clone());
            let log = self.runtime.block_on(async {
                let log = Log::open_on(disk, clock, "/sim").await?;
                let producer = log.producer().build();
                Ok::<_, tailwater_log::Error>((log, producer))
            })?;
            self.log = Some(log);
        }
        Ok(())
    }

    fn ensure_topic(&mut self, name: &TopicName) {
        let spec = TopicSpec::new(name, self.partitions).expect("a number of partitions");
        self.run_to(async |log| Ok(log.admin().ensure_topic(spec).await?)).expect("a topic");
    }

    fn send(&mut self, topic: &TopicName, record: Record) {
        let partitions = self.partitions;
        self.open().expect("a log");
        let (_, producer) = self.log.as_ref().expect("opened");
        let sent = self.runtime.block_on(async {
            let delivery = match &record.key {
                Some(key) => {
                    let partition = partition_for_key(key, partitions);
                    producer.send_to(topic, partition, record).await?
                }
                // By round robin, so that a test's records without keys do not depend on how batches fell.
                None => {
                    let next = self.rng.below(partitions.into()) as u32;
                    producer.send_to(topic, next, record).await?
                }
            };
            producer.flush().await?;
            delivery.await
        });
        sent.expect("a record is stored");
    }

    /// Starts the job unless it runs.
    fn start(&mut self) -> Result<()> {
        if self.job.is_some() {
            return Ok(());
        }
        let build = self.build.clone();
        let plan = Arc::new(Plan::of("sim", move |t| build(t))?);
        let sources = plan.subs.iter().flat_map(|sub| &sub.inputs).filter(|input| input.writer.is_none());
        for topic in sources.map(|input| input.topic.clone()).collect::<Vec<_>>() {
            self.ensure_topic(&topic);
        }
        let options = self.options;
        let job = self.run_to(async |log| {
            let layout: Layout = prepare(log, &plan, &options).await?;
            let (mut runners, mut progress) = (Vec::new(), Vec::new());
            for (sub, partitions) in layout.partitions.iter().enumerate() {
                for partition in 0..*partitions {
                    let id = TaskId { sub, partition };
                    let (runner, watcher) = Runner::start(log, &plan, &layout, options, id).await?;
                    runners.push(runner);
                    progress.push(watcher);
                }
            }
            Ok(Job { runners, progress })
        })?;
        self.job = Some(job);
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        // Each sweep runs every task once; nothing is left when no task did anything.
        while self.sweep(usize::MAX)? {}
        Ok(())
    }

    /// Runs each task for one round, in an order drawn from the seed, but at most `rounds` of them.
    fn sweep(&mut self, rounds: usize) -> Result<bool> {
        self.start()?;
        let mut job = self.job.take().expect("started");
        let mut order: Vec<usize> = (0..job.runners.len()).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, self.rng.below(last as u64 + 1) as usize);
        }
        let result = self.run_to(async |_| {
            let mut progressed = false;
            for index in order.into_iter().take(rounds) {
                progressed |= job.runners[index].round().await?;
            }
            Ok(progressed)
        });
        // A job that failed has stopped: it starts again from its last commit.
        if result.is_ok() {
            self.job = Some(job);
        }
        result
    }

    fn crash(&mut self) -> Result<()> {
        let mut rounds = self.rng.below(24) as usize;
        while rounds > 0 {
            let some = 1 + self.rng.below(4) as usize;
            self.sweep(some.min(rounds))?;
            rounds = rounds.saturating_sub(some);
        }
        // A crash in the middle of a round: some disk operation of it is the last.
        self.start()?;
        let within = self.rng.below(60);
        self.disk.crash_at(self.disk.ops() + within);
        while self.sweep(usize::MAX).is_ok_and(|progressed| progressed) {}
        self.lose_power();
        self.start()
    }

    fn lose_power(&mut self) {
        let seed = self.rng.next_u64();
        self.disk = self.disk.crash(seed);
        self.job = None;
        self.log = None;
        // A dropped log lets go of its directory when its tasks are gone.
        self.runtime.block_on(tokio::task::yield_now());
    }

    fn drain(&mut self, topic: &TopicName) -> Result<Vec<StoredRecord>> {
        self.settle()?;
        let drained = self.drained.clone();
        let parts = self.run_to(async |log| {
            let described = log.admin().describe_topic(topic).await?;
            let mut parts = Vec::new();
            for partition in 0..described.partitions.len() as u32 {
                let partition = TopicPartition::new(topic.clone(), partition);
                let mut offset = drained.get(&partition).copied().unwrap_or(0);
                let mut read = Vec::new();
                loop {
                    let from = FetchPartition { partition: partition.clone(), offset, max_bytes: 1 << 20 };
                    let request = Fetch {
                        partitions: vec![from],
                        max_wait: Duration::ZERO,
                        min_bytes: 1,
                        isolation: Isolation::ReadCommitted,
                    };
                    let answer = log.service().fetch(request).await?.pop().expect("an answer");
                    for record in records_at(answer.committed()?, &mut offset) {
                        read.push(record?);
                    }
                    if offset >= answer.offsets.last_stable_offset {
                        break;
                    }
                }
                parts.push((partition, offset, read));
            }
            Ok(parts)
        })?;
        let mut all = Vec::new();
        for (partition, offset, read) in parts {
            self.drained.insert(partition, offset);
            all.push(read.into_iter().collect::<std::collections::VecDeque<_>>());
        }
        Ok(merge(all))
    }
}

/// Partitions merged by the timestamps of their next records; each partition keeps its order.
fn merge(mut parts: Vec<std::collections::VecDeque<StoredRecord>>) -> Vec<StoredRecord> {
    let mut merged = Vec::new();
    loop {
        let heads = parts.iter().enumerate().filter_map(|(index, part)| Some((part.front()?.timestamp, index)));
        let Some((_, first)) = heads.min() else { return merged };
        merged.extend(parts[first].pop_front());
    }
}

/// The writing end of an input topic.
pub struct Input<'a, K, V> {
    sim: &'a Sim,
    name: TopicName,
    types: PhantomData<fn(K, V)>,
}

impl<K: Codec + 'static, V: Codec> Input<'_, K, V> {
    /// Writes a record with this timestamp, to the partition of its key.
    pub fn send_at(&self, timestamp: Timestamp, key: K, value: V) -> &Self {
        self.send_bytes(timestamp, &key, Some(value.to_bytes()))
    }

    /// Writes a record without a value, which removes the key from a table.
    pub fn remove_at(&self, timestamp: Timestamp, key: K) -> &Self {
        self.send_bytes(timestamp, &key, None)
    }

    /// Writes a record whose value is any bytes: what a foreign program might have sent.
    pub fn send_raw_at(&self, timestamp: Timestamp, key: K, value: &[u8]) -> &Self {
        self.send_bytes(timestamp, &key, Some(value.to_vec()))
    }

    fn send_bytes(&self, timestamp: Timestamp, key: &K, value: Option<Vec<u8>>) -> &Self {
        let has_key = !is_keyless::<K>();
        let key = has_key.then(|| key.to_bytes().into());
        let record = Record { key, value: value.map(Into::into), timestamp, headers: Vec::new() };
        self.sim.world().send(&self.name, record);
        self
    }
}

/// The reading end of an output topic.
pub struct Output<'a, K, V> {
    sim: &'a Sim,
    name: TopicName,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Codec, V: Codec> Output<'_, K, V> {
    /// Runs the job, then takes what was written since the last drain: each partition in its order, partitions merged
    /// by timestamp. Records without a value are left out; see [`drain_records`](Self::drain_records).
    pub fn drain(&self) -> Vec<(K, V)> {
        let decoded = self.drain_records().into_iter().filter_map(|record| {
            let key = K::decode(record.key.as_deref().unwrap_or_default()).expect("a key of the topic's type");
            Some((key, V::decode(record.value.as_deref()?).expect("a value of the topic's type")))
        });
        decoded.collect()
    }

    /// The same as stored records, with timestamps and headers.
    pub fn drain_records(&self) -> Vec<StoredRecord> {
        let drained = self.sim.world().drain(&self.name);
        drained.unwrap_or_else(|error| panic!("the job failed: {error} ({})", error.code()))
    }
}

impl<K, V> std::fmt::Debug for Input<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({})", self.name)
    }
}

impl<K, V> std::fmt::Debug for Output<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Output({})", self.name)
    }
}
