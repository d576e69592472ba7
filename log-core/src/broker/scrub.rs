//! The scrub: sealed segments are read in the background, so that damage is found while there is still a copy elsewhere,
//! and not when somebody needs the records.
//!
//! One segment at a time, in order of topic, partition and offset, [`STEP_BYTES`] every [`PAUSE`]; when all were read it
//! rests until [`EVERY`] has gone by since it began. Damage is remembered with the partition, told in the log, and seen in
//! the description of the topic. Where it has got to is forgotten at the end of the process.
//!
//! No lock is held while the disk reads: whoever takes a step takes the work with it. Under a manual clock steps are taken
//! by requests, when they are due.

use super::Broker;
use super::partition::Partition;
use crate::storage::SegmentScrub;
use crate::types::{Instant, Offset, PartitionIndex, TopicName};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

/// A process that lives shorter than this does not scrub.
const FIRST: Duration = Duration::from_secs(60);
/// Bytes that are read at once, and how often: 8 MiB/s.
const STEP_BYTES: u64 = 1024 * 1024;
const PAUSE: Duration = Duration::from_millis(125);
/// From one beginning to the next. At that rate it is enough for 4 TiB.
const EVERY: Duration = Duration::from_hours(7 * 24);

/// The scrub of a data directory. `None` while someone takes a step.
#[derive(Debug)]
pub(super) struct Scrub(Mutex<Option<Work>>);

#[derive(Debug)]
struct Work {
    due: Instant,
    began: Instant,
    /// Where the next segment is looked for; `None` before the first.
    next: Option<(TopicName, PartitionIndex, Offset)>,
    current: Option<(Arc<Partition>, SegmentScrub)>,
}

impl Scrub {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Some(Work { due: now + FIRST, began: now + FIRST, next: None, current: None })))
    }
}

impl Broker {
    /// Takes the next step of the scrub if it is due, and returns how long it is until the one after. Blocks while the disk
    /// reads.
    pub(super) fn scrub(&self) -> Duration {
        let now = self.clock.instant();
        let Some(mut work) = self.scrub.0.lock().take() else { return PAUSE };
        if work.due <= now {
            work.due = if work.step(self) { now + PAUSE } else { work.rest(now) };
        }
        let wait = work.due.since(now);
        *self.scrub.0.lock() = Some(work);
        wait
    }

    /// The partition at or behind a place in the order of names, and how far it is scrubbed.
    fn partition_from(&self, next: Option<&(TopicName, PartitionIndex, Offset)>) -> Option<(Arc<Partition>, Offset)> {
        let topics = self.topics.iter();
        let topics =
            topics.filter(|topic| next.is_none_or(|(name, ..)| topic.name >= *name)).map(|topic| topic.clone());
        let mut topics: Vec<_> = topics.collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics.iter().find_map(|topic| {
            let (from, offset) = match next {
                Some((name, partition, offset)) if *name == topic.name => (*partition, *offset),
                _ => (0, 0),
            };
            topic.partitions.get(from as usize).map(|partition| (partition.clone(), offset))
        })
    }
}

impl Work {
    /// Reads a little; false when all was read.
    fn step(&mut self, broker: &Broker) -> bool {
        let Some((partition, mut scrub)) = self.current.take().or_else(|| self.find(broker)) else { return false };
        let scrubbed = scrub.step(STEP_BYTES);
        if let Some(damage) = &scrubbed.damage {
            partition.found_damage(damage);
        }
        if !scrubbed.done {
            self.current = Some((partition, scrub));
        }
        true
    }

    /// The next segment to read.
    fn find(&mut self, broker: &Broker) -> Option<(Arc<Partition>, SegmentScrub)> {
        loop {
            let (partition, offset) = broker.partition_from(self.next.as_ref())?;
            let (topic, index) = (partition.name.topic.clone(), partition.name.partition);
            match partition.reader.scrub(offset) {
                Ok(Some(scrub)) => {
                    self.next = Some((topic, index, scrub.next_offset()));
                    return Some((partition, scrub));
                }
                Ok(None) => self.next = Some((topic, index + 1, 0)),
                Err(damage) => {
                    partition.found_damage(&damage);
                    self.next = Some((topic, index + 1, 0));
                }
            }
        }
    }

    /// Begins again when it is time.
    fn rest(&mut self, now: Instant) -> Instant {
        let next = self.began + EVERY;
        self.began = if next > now { next } else { now + PAUSE };
        self.next = None;
        self.began
    }
}

/// Starts the task that scrubs on the machine's clock. It ends when the broker is closed or dropped.
pub(super) fn start(broker: &Arc<Broker>) {
    let (weak, mut closed) = (Arc::downgrade(broker), broker.closed.subscribe());
    tokio::spawn(async move {
        let mut wait = FIRST;
        // It ends early when the broker is closed or gone.
        while tokio::time::timeout(wait, closed.changed()).await.is_err() {
            let Some(broker) = weak.upgrade() else { return };
            let stepped = tokio::task::spawn_blocking(move || broker.scrub()).await;
            let Ok(next) = stepped else { return };
            wait = next;
        }
    });
}
