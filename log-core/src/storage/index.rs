//! The sparse index of one segment: where batches begin, and the latest timestamp up to there.
//!
//! Lives in memory only, 16 bytes per 32 KiB of log. It is derived from the segment and never evidence against it.

use crate::record::BatchHeader;
use crate::types::{Offset, Timestamp, limits};

/// The index of the segment that begins at `base`.
#[derive(Debug)]
pub(super) struct Index {
    base: Offset,
    entries: Vec<Entry>,
}

/// A block of batches: from `position` to the next entry's, or to the end of the segment.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Offset of the block's first batch, from the segment's base.
    delta: u32,
    position: u32,
    /// The latest timestamp of this block and all before it, so that entries are in order of it.
    max_timestamp: Timestamp,
}

const _: () = assert!(size_of::<Entry>() == 16);

/// Where a batch begins: its base offset and its position in the segment, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: Offset,
    pub(super) position: u64,
}

impl Index {
    pub(super) const fn new(base: Offset) -> Self {
        Self { base, entries: Vec::new() }
    }

    /// Adds the next batch of the segment. Segments are rolled before a delta or position could overflow.
    pub(super) fn push(&mut self, position: u64, header: &BatchHeader) {
        let last = self.entries.last_mut();
        let max_timestamp = last.as_ref().map_or(header.max_timestamp, |l| l.max_timestamp.max(header.max_timestamp));
        match last {
            Some(last) if position < u64::from(last.position) + u64::from(limits::INDEX_STEP_BYTES) => {
                last.max_timestamp = max_timestamp;
            }
            _ => {
                let delta = (header.base_offset - self.base) as u32;
                self.entries.push(Entry { delta, position: position as u32, max_timestamp });
            }
        }
    }

    /// A batch at or before the one that holds `offset`.
    pub(super) fn floor(&self, offset: Offset) -> Place {
        let after = self.entries.partition_point(|entry| self.base + i64::from(entry.delta) <= offset);
        self.place(after.saturating_sub(1))
    }

    /// A batch at or before the first one with a timestamp at or after `at`; `None` if no batch has one.
    pub(super) fn floor_of_time(&self, at: Timestamp) -> Option<Place> {
        let block = self.entries.partition_point(|entry| entry.max_timestamp < at);
        (block < self.entries.len()).then(|| self.place(block))
    }

    fn place(&self, entry: usize) -> Place {
        self.entries.get(entry).map_or(Place { offset: self.base, position: 0 }, |entry| Place {
            offset: self.base + i64::from(entry.delta),
            position: u64::from(entry.position),
        })
    }
}
