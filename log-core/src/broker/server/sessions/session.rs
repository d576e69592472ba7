//! One session: the partitions that a client reads, and what it was told of each.

use crate::types::{Instant, Offset};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// How requests name a topic: by name, or by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) enum Topic {
    Name(Arc<str>),
    Id(Uuid),
}

/// A partition of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in super::super) struct Key {
    pub(in super::super) topic: Topic,
    pub(in super::super) index: i32,
}

/// What a client wants of a partition, until it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Wanted {
    pub(in super::super) key: Key,
    pub(in super::super) offset: Offset,
    pub(in super::super) max_bytes: i32,
    /// The leader epoch that it knows; -1 is none.
    pub(in super::super) leader_epoch: i32,
}

/// What was found in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Seen {
    pub(in super::super) has_error: bool,
    pub(in super::super) has_records: bool,
    pub(in super::super) high_watermark: Offset,
    pub(in super::super) last_stable_offset: Offset,
    pub(in super::super) log_start_offset: Offset,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) by_id: bool,
    /// Of its next request.
    pub(super) epoch: i32,
    pub(super) begun: Instant,
    pub(super) used: Instant,
    /// In the order in which they are read.
    partitions: BTreeMap<u64, Partition>,
    places: HashMap<Key, u64>,
    next_place: u64,
}

#[derive(Debug)]
struct Partition {
    wanted: Wanted,
    /// High watermark, last stable offset and log start, as the client was told last; `None` before, and after an error.
    told: Option<[Offset; 3]>,
}

impl Session {
    pub(super) fn new(by_id: bool, now: Instant, epoch: i32) -> Self {
        let (partitions, places) = (BTreeMap::new(), HashMap::new());
        Self { by_id, epoch, begun: now, used: now, partitions, places, next_place: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// All that it reads, in order.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        self.partitions.values().map(|partition| partition.wanted.clone()).collect()
    }

    /// Takes up what a request says: what is new goes behind the rest, what is known stays where it is.
    pub(super) fn update(&mut self, wanted: Vec<Wanted>, forgotten: &[Key]) {
        for wanted in wanted {
            let known = self.places.get(&wanted.key).and_then(|place| self.partitions.get_mut(place));
            match known {
                Some(partition) => partition.wanted = wanted,
                None => self.push(Partition { wanted, told: None }),
            }
        }
        for key in forgotten {
            if let Some(place) = self.places.remove(key) {
                self.partitions.remove(&place);
            }
        }
    }

    /// Whether the client has to be told of what was found; it counts as told then.
    pub(super) fn tell(&mut self, key: &Key, seen: &Seen) -> bool {
        let Some(place) = self.places.get(key).copied() else { return false };
        let Some(partition) = self.partitions.get_mut(&place) else { return false };
        if seen.has_error {
            partition.told = None;
            return true;
        }
        let now = Some([seen.high_watermark, seen.last_stable_offset, seen.log_start_offset]);
        let is_new = std::mem::replace(&mut partition.told, now) != now;
        if seen.has_records
            && let Some(partition) = self.partitions.remove(&place)
        {
            self.push(partition);
        }
        is_new || seen.has_records
    }

    fn push(&mut self, partition: Partition) {
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert(partition.wanted.key.clone(), place);
        self.partitions.insert(place, partition);
    }
}
