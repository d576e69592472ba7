//! Group commit: rounds of syncs over all partitions of a data directory.
//!
//! ```text
//!                          lane "now"    flush = durable: the next round starts when the last one ends
//!   Flush effects ──▶  dirty partitions                                        ┌─ fdatasync, side by side
//!                          lane "later"  interval, os: when they are due ──▶ round
//!                                                                              └─ one syncfs, where it is cheaper
//!   round ends ──▶ shards: Synced ──▶ checkpoint: one frame ──▶ synced now and then
//! ```
//! There is no timer for durable topics: at low load a record waits for one sync, and at high load one sync pays for
//! everything that was appended while the one before it ran. It waits no longer than it takes those who were answered
//! together to come again together (`gather`). Topics that nobody waits for have a lane and a thread of
//! their own, so that their large syncs do not stand in the way.
//!
//! The checkpoint is written after each round and synced after [`CHECKPOINT_BYTES`] of log or when nothing happens
//! for [`CHECKPOINT_IDLE`]: it may be behind, and nobody waits for it.
//!
//! A failed sync says nothing of what is on the disk, and a second one may succeed without having written anything.
//! So nothing is synced or appended again in this data directory, in any partition, until it is opened again.
//!
//! Under a manual clock there are no threads and whoever appended runs the round, so that a run is deterministic.

mod costs;
mod gather;
mod pool;

use super::histogram::Histogram;
use super::partition::Partition;
use crate::env::{Clock, Disk};
use crate::shard::Shards;
use crate::storage::{Change, Checkpoint, CheckpointReport, Known, SyncTicket};
use crate::types::{Error, Instant, PartitionIndex, Result, TopicId};
use costs::{Costs, Method};
use gather::Gather;
use parking_lot::{Condvar, Mutex, MutexGuard};
use pool::{Pool, Ran};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of log that are synced before the checkpoint is: what recovery scans for nothing after a power cut.
const CHECKPOINT_BYTES: u64 = 8 * 1024 * 1024;
/// Or so long after the last round.
const CHECKPOINT_IDLE: Duration = Duration::from_millis(50);

/// What the checkpoint is to know of partitions.
pub(super) type Changes = Vec<(TopicId, PartitionIndex, Change)>;

/// Starts flush rounds.
#[derive(Debug)]
pub(super) struct Flusher {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the flusher's threads share with those who have something to flush.
#[derive(Debug)]
pub(super) struct Shared {
    clock: Clock,
    disk: Arc<dyn Disk>,
    root: PathBuf,
    now: Lane,
    later: Lane,
    pool: Pool,
    costs: Mutex<Costs>,
    /// How long rounds took.
    rounds: Histogram,
    book: Mutex<Book>,
    /// The checkpoint was written to since it was synced.
    checkpoint_dirty: AtomicBool,
    shards: OnceLock<Weak<Shards>>,
    /// The logs are being closed: no more rounds begin.
    closing: AtomicBool,
    /// Why nothing is synced any more.
    failed: OnceLock<Error>,
}

/// Partitions that are synced in the same rounds.
#[derive(Debug)]
struct Lane {
    state: Mutex<LaneState>,
    wake: Condvar,
}

#[derive(Debug)]
struct LaneState {
    dirty: Vec<(Instant, Arc<Partition>)>,
    /// Callers run the rounds: there is no thread, or not any more.
    inline: bool,
    /// How many have to be dirty for the thread to be woken.
    wake_at: usize,
    gather: Gather,
}

/// What a lane's thread does next.
enum Next {
    Round(Vec<Arc<Partition>>),
    Checkpoint,
    Stop(Vec<Arc<Partition>>),
}

/// The checkpoint, and how much it does not know for sure.
#[derive(Debug)]
struct Book {
    checkpoint: Checkpoint,
    /// Bytes of log that were synced since the checkpoint was.
    bytes: u64,
}

impl Flusher {
    /// A flusher of the data directory `root`, with its threads, or without when the clock is moved by hand.
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        root: PathBuf,
        clock: Clock,
        checkpoint: Checkpoint,
    ) -> std::io::Result<Self> {
        let inline = clock.is_manual();
        let lane = || Lane { state: Mutex::new(LaneState::new(inline)), wake: Condvar::new() };
        let shared = Arc::new(Shared {
            clock,
            disk,
            root,
            now: lane(),
            later: lane(),
            pool: Pool::default(),
            costs: Mutex::default(),
            rounds: Histogram::default(),
            book: Mutex::new(Book { checkpoint, bytes: 0 }),
            checkpoint_dirty: AtomicBool::new(false),
            shards: OnceLock::new(),
            closing: AtomicBool::new(false),
            failed: OnceLock::new(),
        });
        let flusher = Self { shared, threads: Mutex::default() };
        if !inline {
            flusher.spawn("tailwater-flush", |shared| &shared.now)?;
            flusher.spawn("tailwater-flush-later", |shared| &shared.later)?;
        }
        Ok(flusher)
    }

    fn spawn(&self, name: &str, lane: fn(&Shared) -> &Lane) -> std::io::Result<()> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || shared.run(lane(&shared)))?;
        self.threads.lock().push(thread);
        Ok(())
    }

    /// For those who have something to flush.
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Which shards stop when a sync fails.
    pub(super) fn guard(&self, shards: &Arc<Shards>) {
        self.shared.shards.set(Arc::downgrade(shards)).expect("a flusher serves one data directory");
    }

    /// Ends all writing to the data directory: a sync has failed elsewhere.
    pub(super) fn fence(&self, error: Error) {
        self.shared.fence(error);
    }

    /// The sync that failed, if one has: nothing may be written any more.
    pub(super) fn failed(&self) -> Option<&Error> {
        self.shared.failed.get()
    }

    /// Under a manual clock: runs the rounds that have come due.
    pub(super) fn tick(&self) {
        self.shared.run_due(&self.shared.later);
    }

    /// Forgets the durable points of a deleted topic.
    pub(super) fn forget(&self, topic: TopicId) {
        if let Err(error) = self.shared.book.lock().checkpoint.forget(topic) {
            tracing::warn!(%error, "the checkpoint still knows a topic that was deleted");
        }
        self.shared.checkpoint_dirty.store(true, Ordering::Relaxed);
    }

    /// What the checkpoint, which was opened with `report`, knows of a partition.
    pub(super) fn known(&self, report: &CheckpointReport, topic: TopicId, partition: PartitionIndex) -> Known {
        Known::of(&self.shared.book.lock().checkpoint, report, topic, partition)
    }

    /// Notes what was found when all logs were opened, durably: whoever starts from here is to find the same. If none
    /// of them is damaged, damage of the checkpoint is done with.
    pub(super) fn opened(&self, changes: &[(TopicId, PartitionIndex, Change)], is_damaged: bool) -> Result<()> {
        let mut book = self.shared.book.lock();
        book.checkpoint.append(changes)?;
        book.checkpoint.sync()?;
        if is_damaged { Ok(()) } else { book.checkpoint.reconciled() }
    }

    /// Appends changes to the checkpoint and syncs it: what has to be known before a file is removed.
    pub(super) fn record(&self, changes: &[(TopicId, PartitionIndex, Change)]) -> Result<()> {
        if let Some(error) = self.failed() {
            return Err(error.clone());
        }
        let mut book = self.shared.book.lock();
        book.checkpoint.append(changes)?;
        let synced = book.checkpoint.sync();
        drop(book);
        synced.inspect_err(|error| {
            self.fence(Error::Fenced { why: format!("a sync of the checkpoint failed: {error}") });
        })
    }

    /// How long rounds of syncs took.
    pub(super) fn rounds(&self) -> &Histogram {
        &self.shared.rounds
    }

    /// Runs a round over `partitions`, while no thread does.
    pub(super) fn settle(&self, partitions: &[Arc<Partition>]) {
        self.shared.round(partitions.to_vec());
    }

    /// Notes changes of a log that the caller has synced.
    pub(super) fn note(&self, changes: &[(TopicId, PartitionIndex, Change)]) {
        self.shared.note(changes, 0);
    }

    /// Ends the threads after what is dirty, lets `close_logs` close every log, appends the changes that it returns and
    /// closes the checkpoint. No round runs meanwhile, so no log has a sync under way when it is closed. On a full disk
    /// `make_room` is asked for some, once.
    ///
    /// A checkpoint that was closed is believed without a look at the files. So it is not closed after a failed sync, nor
    /// if a log was not closed (`None`) or its changes could not be appended: then the next open recovers as after a crash.
    pub(super) fn close(&self, close_logs: impl FnOnce() -> Option<Changes>, make_room: impl Fn() -> bool) {
        // Whoever still appends is synced by the closing of its log.
        self.shared.closing.store(true, Ordering::Release);
        self.stop();
        let Some(changes) = close_logs().filter(|_| self.failed().is_none()) else { return };
        let checkpoint = &mut self.shared.book.lock().checkpoint;
        let appended = match checkpoint.append(&changes) {
            Err(Error::DiskFull { .. }) if make_room() => checkpoint.append(&changes),
            other => other,
        };
        let closed = appended.and_then(|()| match checkpoint.close() {
            Err(Error::DiskFull { .. }) if make_room() => checkpoint.close(),
            other => other,
        });
        if let Err(error) = closed {
            tracing::warn!(%error, "the checkpoint was not closed; the next open recovers as after a crash");
        }
    }

    /// Ends the threads after what is dirty; later rounds are run by callers.
    fn stop(&self) {
        for lane in [&self.shared.now, &self.shared.later] {
            lane.state.lock().inline = true;
            lane.wake.notify_one();
        }
        for thread in self.threads.lock().drain(..) {
            // It returns; a panic in it was told by the panic itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.stop();
        for lane in [&self.shared.now, &self.shared.later] {
            lane.state.lock().dirty.clear();
        }
    }
}

impl Shared {
    /// Says that a partition has bytes to sync, within that time.
    pub(super) fn dirty(&self, partition: Arc<Partition>, within: Duration) {
        let lane = if partition.is_durable() { &self.now } else { &self.later };
        if self.closing.load(Ordering::Acquire) {
            return;
        }
        let due = if within.is_zero() { Instant::default() } else { self.clock.instant() + within };
        let (inline, wakes) = {
            let mut state = lane.state.lock();
            state.dirty.push((due, partition));
            (state.inline, state.dirty.len() >= state.wake_at)
        };
        if inline {
            self.run_due(lane);
        } else if wakes {
            lane.wake.notify_one();
        }
    }

    /// Runs a round over what is due, if there is any.
    fn run_due(&self, lane: &Lane) {
        if !self.closing.load(Ordering::Acquire) {
            let due = lane.state.lock().take_due(self.clock.instant());
            self.round(due);
        }
    }

    /// A lane's thread.
    fn run(&self, lane: &Lane) {
        loop {
            match self.next(lane) {
                Next::Round(due) => {
                    let who: Vec<usize> = due.iter().map(|partition| Arc::as_ptr(partition).addr()).collect();
                    let began = self.clock.instant();
                    self.round(due);
                    lane.state.lock().gather.note(who, self.clock.instant().since(began));
                }
                Next::Checkpoint => self.sync_checkpoint(&mut self.book.lock()),
                Next::Stop(rest) => return self.round(rest),
            }
        }
    }

    /// Waits for something to do.
    fn next(&self, lane: &Lane) -> Next {
        let mut state = lane.state.lock();
        loop {
            if state.inline {
                return Next::Stop(state.take_due(Instant(u64::MAX)));
            }
            let now = self.clock.instant();
            // Nobody waits for those in the other lane.
            if std::ptr::eq(lane, &self.now) && !state.dirty.is_empty() {
                self.gather(lane, &mut state);
            }
            let due = state.take_due(now);
            if !due.is_empty() {
                return Next::Round(due);
            }
            let next = state.dirty.iter().map(|(due, _)| due.since(now)).min();
            let idle = self.checkpoint_dirty.load(Ordering::Relaxed).then_some(CHECKPOINT_IDLE);
            let Some(wait) = next.into_iter().chain(idle).min() else {
                lane.wake.wait(&mut state);
                continue;
            };
            if lane.wake.wait_for(&mut state, wait).timed_out() && idle == Some(wait) {
                return Next::Checkpoint;
            }
        }
    }

    /// Waits for those who are about to come.
    fn gather(&self, lane: &Lane, state: &mut MutexGuard<'_, LaneState>) {
        let (expected, pause) = (state.gather.expected(), state.gather.pause());
        let deadline = self.clock.instant() + state.gather.patience();
        state.wake_at = expected;
        while state.dirty.len() < expected && !state.inline && self.clock.instant() < deadline {
            let before = state.dirty.len();
            if lane.wake.wait_for(state, pause).timed_out() && state.dirty.len() == before {
                break;
            }
        }
        state.wake_at = 1;
    }

    /// Makes what partitions have written durable, and tells them.
    fn round(&self, dirty: Vec<Arc<Partition>>) {
        if self.failed.get().is_some() {
            return;
        }
        let (tickets, partitions): (Vec<_>, Vec<_>) =
            dirty.into_iter().filter_map(|partition| Some((partition.begin_sync()?, partition))).unzip();
        if tickets.is_empty() {
            return;
        }
        let began = self.clock.instant();
        let ran = self.sync(tickets);
        self.rounds.note(self.clock.instant().since(began));
        let (mut changes, mut synced, mut failures) = (Vec::with_capacity(ran.len()), 0, Vec::new());
        for (partition, (ticket, result)) in partitions.into_iter().zip(ran) {
            match result {
                Ok(()) => {
                    let (of_log, bytes) = partition.finish_sync(ticket, Ok(()));
                    let key = |change| (partition.topic_id, partition.name.partition, change);
                    changes.extend(of_log.into_iter().map(key));
                    synced += bytes;
                }
                // The topic was deleted meanwhile, with its files: nobody waits for them.
                Err(_) if matches!(partition.failed(), Some(Error::UnknownTopic { .. })) => {
                    partition.finish_sync(ticket, Ok(()));
                }
                Err(error) => failures.push((partition, ticket, error)),
            }
        }
        self.note(&changes, synced);
        for (partition, ticket, error) in failures {
            self.fence(Error::Fenced { why: format!("a sync of {} failed: {error}", partition.name) });
            partition.finish_sync(ticket, Err(error));
        }
    }

    /// Ends all writing to the data directory, because of a sync that failed.
    fn fence(&self, error: Error) {
        if self.failed.set(error.clone()).is_ok() {
            tracing::error!(%error, "nothing more is written to this data directory until it is opened again");
            if let Some(shards) = self.shards.get().and_then(Weak::upgrade) {
                shards.fence(&error);
            }
        }
    }

    /// Runs tickets by the method that is cheaper for so many files.
    fn sync(&self, tickets: Vec<SyncTicket>) -> Vec<Ran> {
        let files = tickets.iter().map(SyncTicket::files).sum();
        let mut method = self.costs.lock().choose(files);
        let began = self.clock.instant();
        let synced_all = match method {
            Method::Each => None,
            Method::All => match self.disk.sync_all(&self.root) {
                Ok(()) => Some(Ok(())),
                Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                    self.costs.lock().without_all();
                    method = Method::Each;
                    None
                }
                Err(error) => Some(Err(Error::io("sync the file system of", &self.root, error))),
            },
        };
        let ran = match synced_all {
            None => self.pool.run(tickets),
            // Names too.
            Some(Ok(())) => tickets.into_iter().map(|ticket| (ticket, Ok(()))).collect(),
            Some(Err(error)) => tickets.into_iter().map(|ticket| (ticket, Err(error.clone()))).collect(),
        };
        self.costs.lock().note(files, method, self.clock.instant().since(began));
        ran
    }

    /// Appends changes to the checkpoint. One that is behind makes the next open scan more; it loses nothing.
    fn note(&self, changes: &[(TopicId, PartitionIndex, Change)], bytes: u64) {
        if changes.is_empty() {
            return;
        }
        let mut book = self.book.lock();
        if let Err(error) = book.checkpoint.append(changes) {
            tracing::warn!(%error, "the checkpoint was not written");
            return;
        }
        self.checkpoint_dirty.store(true, Ordering::Relaxed);
        book.bytes += bytes;
        if book.bytes >= CHECKPOINT_BYTES {
            self.sync_checkpoint(&mut book);
        }
    }

    fn sync_checkpoint(&self, book: &mut Book) {
        if !self.checkpoint_dirty.swap(false, Ordering::Relaxed) || self.failed.get().is_some() {
            return;
        }
        book.bytes = 0;
        if let Err(error) = book.checkpoint.sync() {
            self.fence(Error::Fenced { why: format!("a sync of the checkpoint failed: {error}") });
        }
    }
}

impl LaneState {
    fn new(inline: bool) -> Self {
        Self { dirty: Vec::new(), inline, wake_at: 1, gather: Gather::default() }
    }

    /// Takes the partitions that are due by `now`.
    fn take_due(&mut self, now: Instant) -> Vec<Arc<Partition>> {
        self.dirty.extract_if(.., |(due, _)| *due <= now).map(|(_, partition)| partition).collect()
    }
}
