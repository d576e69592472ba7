//! Group commit: one thread per data directory syncs what was appended since its last round, over all partitions.
//!
//! The next round starts when the last one ends; there is no timer. So at low load a record waits for one sync, and
//! at high load one sync pays for everything that was appended while the one before it ran.
//!
//! Under a manual clock there is no thread and whoever appended runs the round, so that a run is deterministic.

use super::partition::Partition;
use crate::storage::{Checkpoint, DurablePoint};
use crate::types::{PartitionIndex, TopicId};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

/// Files that are synced at the same time.
const PARALLEL_SYNCS: usize = 8;

/// Starts flush rounds.
#[derive(Debug)]
pub(super) struct Flusher {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// Held for a whole round, so that rounds do not overlap.
    checkpoint: Mutex<Checkpoint>,
}

#[derive(Debug)]
struct State {
    dirty: Vec<Arc<Partition>>,
    /// Callers run the rounds: there is no thread, or not any more.
    inline: bool,
}

impl Flusher {
    /// A flusher with its thread, or without when `inline`.
    pub(super) fn start(checkpoint: Checkpoint, inline: bool) -> std::io::Result<Self> {
        let state = Mutex::new(State { dirty: Vec::new(), inline });
        let shared = Arc::new(Shared { state, wake: Condvar::new(), checkpoint: Mutex::new(checkpoint) });
        let thread = if inline {
            None
        } else {
            let shared = shared.clone();
            Some(std::thread::Builder::new().name("tailwater-flush".into()).spawn(move || shared.run())?)
        };
        Ok(Self { shared, thread: Mutex::new(thread) })
    }

    /// Says that a partition has appended; it is synced in the next round.
    pub(super) fn dirty(&self, partition: &Arc<Partition>) {
        if partition.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.shared.state.lock();
        if state.inline {
            drop(state);
            self.shared.round(vec![partition.clone()]);
        } else {
            state.dirty.push(partition.clone());
            self.shared.wake.notify_one();
        }
    }

    /// Forgets the durable points of a deleted topic.
    pub(super) fn forget(&self, topic: TopicId) {
        if let Err(error) = self.shared.checkpoint.lock().forget(topic) {
            tracing::warn!(%topic, %error, "a deleted topic stays in the checkpoint");
        }
    }

    /// Ends the thread after what is dirty; later rounds are run by callers.
    fn stop(&self) {
        self.shared.state.lock().inline = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // It returns; a panic in it was told by the panic itself.
            let _ = thread.join();
        }
    }

    /// Ends the thread, lets `close_logs` close every log, records the points that it returns and closes the
    /// checkpoint. No round runs meanwhile, so no log has a sync under way when it is closed.
    pub(super) fn close(&self, close_logs: impl FnOnce() -> Vec<(TopicId, PartitionIndex, DurablePoint)>) {
        self.stop();
        let mut checkpoint = self.shared.checkpoint.lock();
        self.shared.note(&mut checkpoint, &close_logs());
        if let Err(error) = checkpoint.close() {
            tracing::warn!(%error, "the checkpoint was not compacted");
        }
    }

    /// Notes durable points, of logs that were just opened.
    pub(super) fn note(&self, points: &[(TopicId, PartitionIndex, DurablePoint)]) {
        self.shared.note(&mut self.shared.checkpoint.lock(), points);
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let dirty = {
                let mut state = self.state.lock();
                while state.dirty.is_empty() && !state.inline {
                    self.wake.wait(&mut state);
                }
                std::mem::take(&mut state.dirty)
            };
            if dirty.is_empty() {
                return;
            }
            self.round(dirty);
        }
    }

    fn round(&self, dirty: Vec<Arc<Partition>>) {
        let mut checkpoint = self.checkpoint.lock();
        let mut syncs: Vec<_> =
            dirty.iter().filter_map(|partition| Some((partition, partition.begin_sync()?, Ok(())))).collect();
        if let [(_, ticket, result)] = &mut syncs[..] {
            *result = ticket.run();
        } else {
            let chunk = syncs.len().div_ceil(PARALLEL_SYNCS).max(1);
            std::thread::scope(|scope| {
                for chunk in syncs.chunks_mut(chunk) {
                    scope.spawn(|| chunk.iter_mut().for_each(|(_, ticket, result)| *result = ticket.run()));
                }
            });
        }
        let mut points = Vec::with_capacity(syncs.len());
        for (partition, ticket, result) in syncs {
            if let Some(point) = partition.finish_sync(ticket, result) {
                points.push((partition.topic_id, partition.name.partition, point));
            }
        }
        self.note(&mut checkpoint, &points);
    }

    /// A checkpoint that is behind makes the next open scan more; it loses nothing.
    fn note(&self, checkpoint: &mut Checkpoint, points: &[(TopicId, PartitionIndex, DurablePoint)]) {
        if let Err(error) = checkpoint.record(points) {
            tracing::warn!(%error, "the checkpoint was not written");
        }
    }
}
