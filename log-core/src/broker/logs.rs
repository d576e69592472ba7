//! The logs of a broker: which shard has which, and what becomes of the shards' effects.

use super::flush::{self, Flusher};
use super::partition::Partition;
use crate::env::Clock;
use crate::shard::{Command, Effect, Reply, Shards, Slot};
use crate::storage::PartitionLog;
use crate::types::{Flush, Result, TopicId, TopicPartition};
use parking_lot::RwLock;
use std::sync::{Arc, Weak};

/// Shards that whoever submits drives. One core serves appends about as fast as the disk takes them; more of them
/// keep partitions that are written at the same time from waiting for each other's system calls.
const SHARDS_MAX: usize = 4;

/// The shards, and what serves them.
#[derive(Debug)]
pub(super) struct Logs {
    shards: Arc<Shards>,
    places: Arc<Places>,
    pub(super) flusher: Flusher,
}

impl Logs {
    pub(super) fn new(flusher: Flusher, clock: &Clock) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let n = if clock.is_manual() { 1 } else { cores.min(SHARDS_MAX) };
        let places = Arc::new(Places((0..n).map(|_| RwLock::default()).collect()));
        let sink = {
            let (places, flusher) = (places.clone(), flusher.shared());
            Box::new(move |shard, effect| carry_out(&places, &flusher, shard, effect))
        };
        let shards = Arc::new(Shards::inline(n, clock, sink));
        flusher.guard(&shards);
        Self { shards, places, flusher }
    }

    /// Gives a log to its shard.
    pub(super) fn open(
        &self,
        name: TopicPartition,
        topic_id: TopicId,
        flush: Flush,
        log: PartitionLog,
    ) -> Result<Arc<Partition>> {
        let (number, shard) = self.shards.of(topic_id, name.partition);
        let (reader, damage) = (log.reader(), log.damage().cloned());
        let log = Box::new(log);
        let slot = match shard.ask(|token| Command::Open { token, log, flush }).wait()? {
            Reply::Opened(slot) => slot,
            other => unreachable!("an open is not answered by {other}"),
        };
        let partition = Arc::new(Partition::new(name, topic_id, flush, reader, shard.clone(), slot));
        if let Some(damage) = damage {
            partition.found_damage(&damage);
        }
        self.places.put(number, &partition);
        Ok(partition)
    }
}

/// Which partition is in which slot, by shard.
#[derive(Debug)]
struct Places(Vec<RwLock<Vec<Weak<Partition>>>>);

impl Places {
    fn put(&self, shard: usize, partition: &Arc<Partition>) {
        let (index, mut places) = (partition.slot.index as usize, self.0[shard].write());
        if places.len() <= index {
            places.resize(index + 1, Weak::new());
        }
        places[index] = Arc::downgrade(partition);
    }

    fn at(&self, shard: usize, slot: Slot) -> Option<Arc<Partition>> {
        let partition = self.0[shard].read().get(slot.index as usize)?.upgrade()?;
        (partition.slot == slot).then_some(partition)
    }
}

fn carry_out(places: &Places, flusher: &flush::Shared, shard: usize, effect: Effect) {
    let (Effect::Flush { slot, .. } | Effect::Progress { slot, .. } | Effect::Failed { slot, .. }) = effect else {
        return;
    };
    // It may just have been deleted.
    let Some(partition) = places.at(shard, slot) else { return };
    match effect {
        Effect::Flush { within, .. } => flusher.dirty(partition, within),
        Effect::Progress { bytes, .. } => partition.advanced(bytes),
        Effect::Failed { error, .. } => partition.fail(error),
        Effect::Replied { .. } => {}
    }
}
