//! The last batches that were appended, in memory: most reads are by consumers that are nearly caught up.
//!
//! One budget in bytes for all partitions of a data directory. Batches leave in the order in which they came, whatever
//! their partition: a busy partition has more of them and so loses more of them.
//!
//! A batch is kept as the bytes that were sent and the header with its offsets beside them: nothing is copied on an
//! append. A read copies what it returns into one piece, which costs less than a system call and a checksum of the same
//! bytes. Its bytes were checked when they came, so they are not checked again.

use super::buffers::Buffers;
use crate::record::BATCH_HEADER_BYTES;
use crate::types::Offset;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// The budget that all partitions share.
#[derive(Debug)]
pub(super) struct TailCache {
    budget: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    /// Whose batches came, in order.
    order: VecDeque<(Weak<Tail>, usize)>,
}

/// The cached end of one partition.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Without a gap between them.
    batches: Mutex<VecDeque<CachedBatch>>,
}

/// A batch with its place.
#[derive(Debug)]
pub(super) struct CachedBatch {
    pub(super) base_offset: Offset,
    pub(super) next_offset: Offset,
    pub(super) header: [u8; BATCH_HEADER_BYTES],
    /// What follows the header.
    pub(super) body: Bytes,
}

impl CachedBatch {
    fn len(&self) -> usize {
        BATCH_HEADER_BYTES + self.body.len()
    }
}

impl TailCache {
    /// A cache of at most `budget` bytes; 0 keeps nothing.
    pub(super) fn new(budget: usize) -> Self {
        Self { budget, state: Mutex::default() }
    }

    /// Adds batches that were appended to the partition of `tail`.
    pub(super) fn append(&self, tail: &Arc<Tail>, batches: impl IntoIterator<Item = CachedBatch>) {
        if self.budget == 0 {
            return;
        }
        let mut added = 0;
        {
            let mut cached = tail.batches.lock();
            for batch in batches {
                added += batch.len();
                cached.push_back(batch);
            }
        }
        let mut state = self.state.lock();
        state.bytes += added;
        state.order.push_back((Arc::downgrade(tail), added));
        while state.bytes > self.budget
            && let Some((tail, bytes)) = state.order.pop_front()
        {
            state.bytes -= bytes;
            if let Some(tail) = tail.upgrade() {
                tail.drop_oldest(bytes);
            }
        }
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.state.lock().bytes
    }
}

impl Tail {
    /// Whole batches from the one that holds `offset` on, all below `end`, at most `max_bytes` but at least one; `None` if
    /// that batch is not here.
    pub(super) fn read(&self, buffers: &Arc<Buffers>, offset: Offset, end: Offset, max_bytes: usize) -> Option<Bytes> {
        let mut bytes = 0;
        let picked: Vec<([u8; BATCH_HEADER_BYTES], Bytes)> = {
            let batches = self.batches.lock();
            let first = batches.partition_point(|batch| batch.next_offset <= offset);
            let holds = batches.get(first).is_some_and(|batch| batch.base_offset <= offset && batch.next_offset <= end);
            if !holds {
                return None;
            }
            let fits = |batch: &&CachedBatch| {
                let fits = bytes == 0 || bytes + batch.len() <= max_bytes;
                let takes = fits && batch.next_offset <= end;
                bytes += if takes { batch.len() } else { 0 };
                takes
            };
            batches.range(first..).take_while(fits).map(|batch| (batch.header, batch.body.clone())).collect()
        };
        // Not under the lock, which the writer takes too.
        let mut read = buffers.take(bytes);
        let mut rest = read.as_mut();
        for (header, body) in &picked {
            for part in [&header[..], body] {
                let (here, behind) = rest.split_at_mut(part.len());
                here.copy_from_slice(part);
                rest = behind;
            }
        }
        Some(read.freeze(0..bytes))
    }

    /// Forgets everything: the log was truncated. Its bytes leave the budget when their turn comes.
    pub(super) fn clear(&self) {
        self.batches.lock().clear();
    }

    /// Drops batches until `bytes` are gone; fewer if there are none left after a truncation.
    fn drop_oldest(&self, bytes: usize) {
        let mut batches = self.batches.lock();
        let mut dropped = 0;
        while dropped < bytes
            && let Some(batch) = batches.pop_front()
        {
            dropped += batch.len();
        }
    }
}
