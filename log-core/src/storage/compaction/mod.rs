//! Compaction: of each key the last record stays, the earlier ones go, and offsets stay what they are.
//!
//! ```text
//!   sealed segments                                              active
//!   ├─ clean ──────────┬─ dirty ───────────────────────────────┤├───────
//!   log start     cleaned to                             last stable offset at the latest
//!
//!   1  keys     the dirty part is read: the offset of the last record of each key, in a bounded map
//!   2  clean    all segments are read again, oldest first; a record goes if the map knows a later one of its key
//!   3  swap     neighbours that became small are written as one segment of the next generation, synced with its footer,
//!               and take the place of the old ones in the checkpoint before those are removed
//! ```
//! A [`Pass`] works on files that nobody changes and without the log, in steps of a bounded number of bytes; the log
//! takes each finished segment in.
//!
//! Invariants:
//! - The last record of each key below the end of the pass stays, unless it is a tombstone whose time is over.
//! - What stays is as it was: offset, timestamp, bytes, order. Batches from which nothing goes are copied verbatim.
//! - Nothing at or above the last stable offset or the high watermark is touched, nor the active segment.
//! - A segment is swapped only after all before it were, so at no moment does a record lie in the log whose later version
//!   or tombstone is gone.
//! - The last batch of a segment and the last of each producer that is remembered stay, emptied if need be: readers learn
//!   from it where the next segment begins, and a producer's state can be read from the log.
//! - Damage stops the pass: what cannot be verified byte by byte (batch and block checksums) is not written anew.
//!
//! A tombstone stays until the delete horizon that the first pass over it has set (KIP-534), so that a reader who is not
//! further behind than the topic's delay learns of every deletion. A transaction's marker stays as long as one of its
//! records, and then for the same delay. Records of aborted transactions go at once.
//!
//! If the map is full before the end of the first dirty segment, that segment is cleaned with what the map knows, and goes
//! on being dirty: its generation is odd, while those that were compacted as a whole have even ones ([`is_compacted`]).
//!
//! Left out: dropping records below the log start inside a segment, which retention removes as a whole later.

mod clean;
mod keys;
pub(super) mod output;
mod pass;
mod plan;
#[cfg(test)]
mod tests;
mod transactions;

pub use pass::{Pass, Replacement, Report, Step};
pub(super) use pass::{Request, Source};
pub use plan::CompactionSettings;
pub(super) use plan::{generation_above, is_compacted};
