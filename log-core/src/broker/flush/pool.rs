//! Threads that sync files side by side. They are started when there is use for them and kept.
//!
//! Who has tickets to run puts them up and runs them as well, so a thread that cannot be started makes a round slower
//! and nothing else.

use crate::storage::SyncTicket;
use crate::types::Result;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Files that are synced at the same time.
pub(super) const PARALLEL_SYNCS: usize = 16;

/// A ticket with what came of it.
pub(super) type Ran = (SyncTicket, Result<()>);

#[derive(Debug, Default)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Batches that have tickets left, oldest first.
    open: Mutex<Open>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    batches: VecDeque<Arc<Batch>>,
    closed: bool,
}

/// The tickets of one round.
#[derive(Debug)]
struct Batch {
    progress: Mutex<Progress>,
    done: Condvar,
}

#[derive(Debug)]
struct Progress {
    todo: Vec<(usize, SyncTicket)>,
    ran: Vec<Option<Ran>>,
    left: usize,
}

impl Pool {
    /// Runs tickets and returns them in their order with their results, when all have run.
    pub(super) fn run(&self, tickets: Vec<SyncTicket>) -> Vec<Ran> {
        let n = tickets.len();
        let todo = tickets.into_iter().enumerate().rev().collect();
        let ran = std::iter::repeat_with(|| None).take(n).collect();
        let batch = Arc::new(Batch { progress: Mutex::new(Progress { todo, ran, left: n }), done: Condvar::new() });
        if n > 1 {
            self.start(n.min(PARALLEL_SYNCS) - 1);
            self.shared.open.lock().batches.push_back(batch.clone());
            self.shared.work.notify_all();
        }
        while batch.run_one() {}
        let mut progress = batch.progress.lock();
        while progress.left > 0 {
            batch.done.wait(&mut progress);
        }
        progress.ran.drain(..).map(|ran| ran.expect("none is left")).collect()
    }

    /// Sees to it that there are `n` threads, as far as the system lets.
    fn start(&self, n: usize) {
        let mut threads = self.threads.lock();
        while threads.len() < n {
            let shared = self.shared.clone();
            let named = std::thread::Builder::new().name("tailwater-sync".into());
            match named.spawn(move || shared.work()) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    tracing::warn!(%error, threads = threads.len(), "no more threads to sync with");
                    return;
                }
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.open.lock().closed = true;
        self.shared.work.notify_all();
        for thread in self.threads.lock().drain(..) {
            // It returns; a panic in it was told by the panic itself.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut open = self.open.lock();
        while !open.closed {
            let Some(batch) = open.batches.front().cloned() else {
                self.work.wait(&mut open);
                continue;
            };
            drop(open);
            let more = batch.run_one();
            open = self.open.lock();
            if !more {
                open.batches.retain(|other| !Arc::ptr_eq(other, &batch));
            }
        }
    }
}

impl Batch {
    /// Runs one ticket; false when none is left to begin.
    fn run_one(&self) -> bool {
        let Some((at, ticket)) = self.progress.lock().todo.pop() else { return false };
        let result = ticket.run();
        let mut progress = self.progress.lock();
        progress.ran[at] = Some((ticket, result));
        progress.left -= 1;
        if progress.left == 0 {
            self.done.notify_all();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SimDisk;
    use crate::record::{BatchBuilder, Compression, Record};
    use crate::storage::{Known, LogConfig, PartitionLog, Resources};
    use crate::types::{Flush, Timestamp, TopicName, TopicPartition, limits};
    use std::path::Path;

    #[test]
    fn tickets_come_back_in_order_with_their_own_results() {
        let disk = SimDisk::default();
        let resources = Resources::new(Arc::new(disk.clone()), 10, 0);
        let pool = Pool::default();
        for n in [1, 2, 50] {
            let tickets = (0..n).map(|index| {
                let partition = TopicPartition::new(TopicName::new("lines").unwrap(), index);
                let config = LogConfig {
                    partition,
                    flush: Flush::Durable,
                    segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
                    segment_age: limits::SEGMENT_AGE_DEFAULT,
                };
                let dir = Path::new("/data").join(format!("{n}-{index}"));
                let mut log = PartitionLog::open(&resources, &dir, config, &Known::default()).unwrap().0;
                for _ in 0..=index {
                    let mut batch = BatchBuilder::new(Compression::None);
                    batch.push(&Record::default());
                    log.append(&batch.finish(), Timestamp(0)).unwrap();
                }
                log.begin_sync().unwrap()
            });
            let tickets = tickets.collect();
            disk.fail_sync_after(u64::from(n / 2));
            let ran = pool.run(tickets);
            assert!(ran.iter().map(|(ticket, _)| ticket.upto()).eq(1..=i64::from(n)));
            assert_eq!(ran.iter().filter(|(_, result)| result.is_err()).count(), 1);
        }
    }
}
