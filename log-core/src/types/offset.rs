//! Positions in a partition's log.
//!
//! ```text
//!   log_start_offset ≤ last_stable_offset ≤ high_watermark ≤ log_end_offset
//!         │                  │                  │                │
//!   ──────[──────────────────)··················)················)──▶
//!         first readable     first of an        first not yet    next to be
//!         record             open transaction   durable          assigned
//! ```
//! On one node a record is replicated when it is durable, so the high watermark is the durable point.

use std::fmt;

/// The position of one record in its partition. Offsets start at 0, grow by one, and are never reused.
pub type Offset = i64;

/// A half-open range of offsets, `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetRange {
    /// The first offset in it.
    pub start: Offset,
    /// The first offset behind it.
    pub end: Offset,
}

impl OffsetRange {
    /// `[start, end)`; empty when `end` is not above `start`.
    pub const fn new(start: Offset, end: Offset) -> Self {
        Self { start, end }
    }
    /// Whether the offset is in it.
    pub const fn contains(&self, offset: Offset) -> bool {
        self.start <= offset && offset < self.end
    }
    /// How many offsets the range spans; 0 when it is empty or inverted.
    pub const fn len(&self) -> u64 {
        if self.end > self.start { (self.end - self.start) as u64 } else { 0 }
    }
    /// Whether no offset is in it.
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }
}

impl fmt::Display for OffsetRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.start, self.end)
    }
}

/// The offset ladder of one partition; see the module's drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct LogOffsets {
    /// First readable record.
    pub log_start_offset: Offset,
    /// First offset that a reader of committed records does not see: the first record of the earliest transaction that
    /// has not ended, or else the high watermark.
    pub last_stable_offset: Offset,
    /// First offset that is not yet durable; readers see records below it.
    pub high_watermark: Offset,
    /// Next offset to be assigned.
    pub log_end_offset: Offset,
}

impl LogOffsets {
    /// Whether the ladder's inequalities hold.
    pub const fn is_valid(&self) -> bool {
        0 <= self.log_start_offset
            && self.log_start_offset <= self.last_stable_offset
            && self.last_stable_offset <= self.high_watermark
            && self.high_watermark <= self.log_end_offset
    }
    /// The records that a reader of committed records may see, but for those that were aborted.
    pub const fn committed(&self) -> OffsetRange {
        OffsetRange::new(self.log_start_offset, self.last_stable_offset)
    }
    /// The records that a reader may see.
    pub const fn readable(&self) -> OffsetRange {
        OffsetRange::new(self.log_start_offset, self.high_watermark)
    }
}

/// Where to start reading, before it is resolved to an offset (Kafka's ListOffsets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The log start offset.
    Earliest,
    /// The high watermark: only records that are not there yet.
    Latest,
    /// The first record whose timestamp is at or after this moment; the high watermark if there is none.
    At(super::Timestamp),
    /// This very offset, held to the readable range.
    Exactly(Offset),
}
