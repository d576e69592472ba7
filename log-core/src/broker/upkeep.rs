//! What a broker does for its partitions in the background: retention, compaction, forgetting, and tidying up.
//!
//! ```text
//!   every 10 s    each partition   roll, if the active segment is old ──▶ retention ──▶ files go
//!                 the node         files that nobody used are closed, room is held back again
//!   in between    one compaction   begin ──▶ step, pause, step … Replace: recorded, synced, files go ──▶ step … Done
//! ```
//! One thread, `tailwater-upkeep`, does it all, one thing at a time, so that all of it together takes no more than one
//! key map of memory and a bounded part of the disk's time. Under a manual clock there is no thread: [`Upkeep::tick`]
//! does whatever is due.
//!
//! A partition with nothing to do costs a question that is answered from memory: its files stay closed.
//!
//! Invariants.
//! - What a partition gives out to be removed is recorded in the checkpoint, synced, before files go, and before the
//!   next step of a compaction. If it cannot be recorded it is tried again, and the partition is not compacted before.
//! - A damaged partition is left as it is until it was repaired and opened again.
//! - A compaction that ends early, because of an error or because the broker closes, leaves the log as it was after its
//!   last replacement, and no unfinished file.
//! - After a failed sync nothing is written any more.
//! - The thread does not keep the broker alive: a broker that is closed or dropped waits for it, for a step at most.
//!
//! Left out: a rate that follows the load; the scrub of sealed segments.

use super::logs::Logs;
use super::partition::Partition;
use super::retention::remove;
use super::topics::Topic;
use crate::env::Clock;
use crate::storage::{CompactionPass, CompactionSettings, CompactionStep, DataDir, Deletion, Retention};
use crate::types::{Error, Instant, PartitionIndex, Result, TopicConfig, TopicId, TopicName, limits};
use dashmap::DashMap;
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often every partition is looked at.
const ROUND: Duration = Duration::from_secs(10);
/// Files that were not used for so long are closed.
const IDLE: Duration = Duration::from_secs(30);
/// How often producers are forgotten.
const EXPIRE_EVERY: Duration = Duration::from_mins(10);
/// How long a partition is left alone after an error, and all compaction after the disk was full.
const REST: Duration = Duration::from_mins(5);
/// Bytes of one step of a compaction.
const STEP_BYTES: u64 = 1024 * 1024;
/// Bytes that a compaction reads in a second at most: a part of what a disk does, so that others find it free.
const BYTES_PER_SECOND: u64 = 64 * 1024 * 1024;

/// The background work of a broker.
#[derive(Debug)]
pub(super) struct Upkeep {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The parts of a broker that upkeep works on.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) clock: Clock,
    pub(super) topics: Arc<DashMap<TopicName, Arc<Topic>>>,
    pub(super) logs: Arc<Logs>,
    pub(super) dir: Arc<RwLock<Option<DataDir>>>,
}

#[derive(Debug)]
struct Shared {
    node: Node,
    work: Mutex<Work>,
    stopped: Mutex<bool>,
    /// Rings when it is stopped.
    bell: Condvar,
}

/// What is done and when.
#[derive(Debug)]
struct Work {
    next_round: Instant,
    next_tidying: Instant,
    next_expiry: Instant,
    /// No compaction begins before: the disk was full.
    next_compaction: Instant,
    compaction: Option<Compaction>,
    /// Those that may have something to compact, in turn.
    candidates: VecDeque<(Arc<Partition>, CompactionSettings)>,
    /// What the checkpoint could not be told yet.
    unrecorded: Vec<(Arc<Partition>, Box<Deletion>)>,
    /// Partitions that are left alone, and until when.
    resting: HashMap<(TopicId, PartitionIndex), Instant>,
}

/// A compaction under way.
#[derive(Debug)]
struct Compaction {
    partition: Arc<Partition>,
    pass: Box<CompactionPass>,
}

impl Upkeep {
    /// Starts the thread, unless the clock is moved by hand.
    pub(super) fn start(node: Node) -> io::Result<Self> {
        let (now, is_manual) = (node.clock.instant(), node.clock.is_manual());
        let work = Work {
            next_round: now + ROUND,
            next_tidying: now + IDLE,
            next_expiry: now,
            next_compaction: now,
            compaction: None,
            candidates: VecDeque::new(),
            unrecorded: Vec::new(),
            resting: HashMap::new(),
        };
        let bell = Condvar::new();
        let shared = Arc::new(Shared { node, work: Mutex::new(work), stopped: Mutex::new(false), bell });
        let spawn = || {
            let shared = shared.clone();
            std::thread::Builder::new().name("tailwater-upkeep".into()).spawn(move || shared.run())
        };
        let thread = if is_manual { None } else { Some(spawn()?) };
        Ok(Self { shared, thread: Mutex::new(thread) })
    }

    /// Under a manual clock: does all that is due.
    pub(super) fn tick(&self) {
        let mut work = self.shared.work.lock();
        while !self.shared.is_stopped() && work.go_on(&self.shared).is_some() {}
    }

    /// Ends it, and waits for the step that is under way.
    pub(super) fn stop(&self) {
        *self.shared.stopped.lock() = true;
        self.shared.bell.notify_all();
        if let Some(thread) = self.thread.lock().take() {
            // It returns; a panic in it was told by the panic itself.
            let _ = thread.join();
        }
        let mut work = self.shared.work.lock();
        work.compaction = None;
        work.candidates.clear();
        work.unrecorded.clear();
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// The thread.
    fn run(&self) {
        loop {
            let wait = {
                let mut work = self.work.lock();
                let pause = work.go_on(self);
                pause.unwrap_or_else(|| work.next_round.since(self.node.clock.instant()))
            };
            let mut stopped = self.stopped.lock();
            if !*stopped && !wait.is_zero() {
                self.bell.wait_for(&mut stopped, wait);
            }
            if *stopped {
                return;
            }
        }
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.lock()
    }
}

impl Work {
    /// Does one thing that is due; after what pause there is more to do. `None` when there is nothing before the next
    /// round.
    fn go_on(&mut self, shared: &Shared) -> Option<Duration> {
        let now = shared.node.clock.instant();
        if now >= self.next_round {
            self.next_round = now + ROUND;
            self.round(shared, now);
            return Some(Duration::ZERO);
        }
        if let Some(compaction) = self.compaction.take() {
            self.step(&shared.node, now, compaction);
            return Some(Duration::from_secs(1) * STEP_BYTES as u32 / BYTES_PER_SECOND as u32);
        }
        let (partition, settings) = self.candidates.pop_front()?;
        if !self.is_left_alone(&partition) && self.unrecorded.iter().all(|(other, _)| !Arc::ptr_eq(other, &partition)) {
            match partition.begin_compaction(settings) {
                Ok(pass) => self.compaction = pass.map(|pass| Compaction { partition, pass }),
                Err(error) => self.failed(now, &partition, &error),
            }
        }
        Some(Duration::ZERO)
    }

    /// Looks at the node and at every partition.
    fn round(&mut self, shared: &Shared, now: Instant) {
        let node = &shared.node;
        let is_tidying = now >= self.next_tidying;
        if is_tidying {
            self.next_tidying = now + IDLE;
            node.dir.read().iter().for_each(|dir| dir.resources().close_idle_files());
        }
        if node.logs.flusher.failed().is_some() {
            self.compaction = None;
            self.candidates.clear();
            self.unrecorded.clear();
            return;
        }
        if is_tidying {
            node.dir.read().iter().for_each(DataDir::hold_ballast);
        }
        let expires = now >= self.next_expiry;
        if expires {
            self.next_expiry = now + EXPIRE_EVERY;
        }
        self.resting.retain(|_, until| *until > now);
        for (partition, deletion) in std::mem::take(&mut self.unrecorded) {
            let _in_order = partition.deleting.lock();
            self.remove(node, now, &partition, deletion);
        }
        // Not before all had their turn.
        let wants_candidates = self.candidates.is_empty() && now >= self.next_compaction;
        let mut topics: Vec<_> = node.topics.iter().map(|topic| topic.clone()).collect();
        topics.sort_by_key(|topic| topic.id);
        for topic in topics {
            for partition in &topic.partitions {
                if shared.is_stopped() {
                    return;
                }
                if self.is_left_alone(partition) {
                    continue;
                }
                if let Err(error) = self.look_after(node, now, &topic.config, partition, expires) {
                    self.failed(now, partition, &error);
                } else if wants_candidates && topic.config.cleanup.compacts() {
                    self.candidates.push_back((partition.clone(), settings_of(&topic.config)));
                }
            }
        }
    }

    fn look_after(
        &mut self,
        node: &Node,
        now: Instant,
        config: &TopicConfig,
        partition: &Arc<Partition>,
        expires: bool,
    ) -> Result<()> {
        if let Some(age) = age_of_segments(config) {
            partition.roll(age)?;
        }
        if expires {
            partition.expire_producers(node.clock.now() - limits::PRODUCER_IDLE)?;
        }
        let retention = Retention { time: config.retention, bytes: config.retention_bytes };
        if config.cleanup.deletes() && retention != Retention::default() {
            let _in_order = partition.deleting.lock();
            if let Some(deletion) = partition.retain(retention)? {
                let log_start_offset = partition.offsets().log_start_offset;
                tracing::debug!(partition = %partition.name, log_start_offset, "old records go");
                self.remove(node, now, partition, deletion);
            }
        }
        Ok(())
    }

    /// Goes on with a compaction; it is put back unless it is over.
    fn step(&mut self, node: &Node, now: Instant, mut compaction: Compaction) {
        let partition = compaction.partition.clone();
        let is_over = match compaction.pass.step(STEP_BYTES) {
            Ok(CompactionStep::More) => Ok(false),
            Ok(CompactionStep::Replace(replacement)) => {
                let _in_order = partition.deleting.lock();
                let replaced = partition.replace(replacement);
                replaced.map(|deletion| !deletion.is_none_or(|deletion| self.remove(node, now, &partition, deletion)))
            }
            Ok(CompactionStep::Done(report)) => {
                tracing::debug!(partition = %partition.name, "compacted");
                partition.finish_compaction(report).map(|()| true)
            }
            Err(error) => Err(error),
        };
        match is_over {
            Ok(false) => self.compaction = Some(compaction),
            Ok(true) => {}
            Err(error) => self.failed(now, &partition, &error),
        }
    }

    /// Records and removes what a partition has given out, or keeps it for the next round; whether it was done.
    fn remove(&mut self, node: &Node, now: Instant, partition: &Arc<Partition>, deletion: Box<Deletion>) -> bool {
        let removed = remove(&node.logs, &node.dir, partition, &deletion);
        if let Err(error) = &removed {
            self.failed(now, partition, error);
            if partition.failed().is_none() {
                self.unrecorded.push((partition.clone(), deletion));
            }
        }
        removed.is_ok()
    }

    /// Whether there is nothing to be done for a partition: it is closed, deleted, damaged, or had an error lately.
    fn is_left_alone(&self, partition: &Partition) -> bool {
        partition.failed().is_some()
            || partition.damage().is_some()
            || self.resting.contains_key(&(partition.topic_id, partition.name.partition))
    }

    /// What becomes of a partition after an error.
    fn failed(&mut self, now: Instant, partition: &Partition, error: &Error) {
        let name = &partition.name;
        match error {
            // It was closed or deleted meanwhile, or a sync has failed, which was told.
            _ if partition.failed().is_some() => tracing::debug!(partition = %name, %error, "upkeep ends"),
            Error::Closed | Error::UnknownTopic { .. } | Error::Fenced { .. } => {
                tracing::debug!(partition = %name, %error, "upkeep ends");
            }
            Error::Corrupt { .. } => partition.found_damage(error),
            Error::DiskFull { .. } => {
                tracing::warn!(partition = %name, %error, "the disk is full; compaction waits");
                self.next_compaction = now + REST;
                self.candidates.clear();
            }
            error => {
                tracing::warn!(partition = %name, %error, "upkeep leaves a partition alone for a while");
                self.resting.insert((partition.topic_id, name.partition), now + REST);
            }
        }
    }
}

/// From what age on an active segment is sealed, if anyone waits for it: it can be deleted and compacted only then.
fn age_of_segments(config: &TopicConfig) -> Option<Duration> {
    let retention = config.retention.filter(|_| config.cleanup.deletes());
    let is_wanted = retention.is_some() || config.cleanup.compacts();
    let age = retention.map_or(config.segment_age, |retention| retention.min(config.segment_age));
    is_wanted.then(|| age.max(limits::SEGMENT_AGE_MIN))
}

fn settings_of(config: &TopicConfig) -> CompactionSettings {
    CompactionSettings {
        dirty_ratio: f64::from(config.dirty_permille) / 1000.0,
        tombstone_delay: config.tombstone_delay,
        segment_bytes: config.segment_bytes,
        key_bytes_max: limits::COMPACTION_KEY_BYTES_MAX,
    }
}
