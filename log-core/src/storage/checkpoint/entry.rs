//! An entry: one thing that a frame says. A payload is entries, one after the other. Big-endian:
//!
//! ```text
//!             0      1          17          21
//!             ├──────┼──────────┼───────────┼────────
//!   opened    │  1   │   the file is in use from here on
//!   closed    │  2   │   everything was closed in order; the last entry of a file that was
//!   damaged   │  3   │   damage was found, and not every partition was looked after since
//!   forget    │  4   │ topic id │   the topic was deleted
//!   durable   │  5   │ topic id │ partition │ flags u8 │ offset i64 │ segment base i64 │ position u64 │
//!   log start │  6   │ topic id │ partition │ offset i64 │
//!   segments  │  7   │ topic id │ partition │ from i64 │ to i64 │ count u32 │ count sealed segments │
//!
//!   a sealed segment    │ base i64 │ generation u32 │ bytes u64 │ next offset i64 │
//!   flags               1 = closed in order; the others are 0
//! ```
//! A payload that is not made of such entries to its last byte is refused as a whole.

use super::point::DurablePoint;
use super::state::{Change, SealedSegment};
use crate::types::{PartitionIndex, TopicId};
use uuid::Uuid;

const OPENED: u8 = 1;
const CLOSED: u8 = 2;
const DAMAGED: u8 = 3;
const FORGET: u8 = 4;
const DURABLE: u8 = 5;
const LOG_START: u8 = 6;
const SEGMENTS: u8 = 7;

const CLEAN: u8 = 1;

/// Kind, topic id and partition of a change.
const CHANGE_BYTES: usize = 1 + 16 + 4;
const DURABLE_BYTES: usize = CHANGE_BYTES + 1 + 8 + 8 + 8;
const LOG_START_BYTES: usize = CHANGE_BYTES + 8;
const SEGMENTS_BYTES: usize = CHANGE_BYTES + 8 + 8 + 4;
const SEALED_BYTES: usize = 8 + 4 + 8 + 8;
const _: () = assert!(DURABLE_BYTES == 46 && LOG_START_BYTES == 29 && SEGMENTS_BYTES == 41 && SEALED_BYTES == 28);

/// One thing that a frame says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Opened,
    Closed,
    Damaged,
    Forget(TopicId),
    Change(TopicId, PartitionIndex, Change),
}

impl Entry {
    /// Appends the entry to a payload.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Opened => out.push(OPENED),
            Self::Closed => out.push(CLOSED),
            Self::Damaged => out.push(DAMAGED),
            Self::Forget(topic) => {
                out.push(FORGET);
                out.extend_from_slice(topic.0.as_bytes());
            }
            Self::Change(topic, partition, change) => put_change(out, *topic, *partition, change),
        }
    }
}

/// Appends a change to a payload.
pub(super) fn put_change(out: &mut Vec<u8>, topic: TopicId, partition: PartitionIndex, change: &Change) {
    out.push(match change {
        Change::Durable(_) => DURABLE,
        Change::LogStart(_) => LOG_START,
        Change::Segments { .. } => SEGMENTS,
    });
    out.extend_from_slice(topic.0.as_bytes());
    out.extend_from_slice(&partition.to_be_bytes());
    match change {
        Change::Durable(point) => {
            out.push(if point.clean { CLEAN } else { 0 });
            out.extend_from_slice(&point.offset.to_be_bytes());
            out.extend_from_slice(&point.segment_base.to_be_bytes());
            out.extend_from_slice(&point.position.to_be_bytes());
        }
        Change::LogStart(offset) => out.extend_from_slice(&offset.to_be_bytes()),
        Change::Segments { from, to, with } => {
            out.extend_from_slice(&from.to_be_bytes());
            out.extend_from_slice(&to.to_be_bytes());
            out.extend_from_slice(&(with.len() as u32).to_be_bytes());
            for segment in with {
                out.extend_from_slice(&segment.base.to_be_bytes());
                out.extend_from_slice(&segment.generation.to_be_bytes());
                out.extend_from_slice(&segment.bytes.to_be_bytes());
                out.extend_from_slice(&segment.next_offset.to_be_bytes());
            }
        }
    }
}

/// The entries of a payload; `None` if it is not made of valid ones.
pub(super) fn decode(mut payload: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !payload.is_empty() {
        entries.push(take_entry(&mut payload)?);
    }
    Some(entries)
}

/// Bytes of a partition's shortest history: its log start, its durable point and its sealed segments.
pub(super) fn encoded_len(has_durable: bool, sealed: usize) -> u64 {
    let durable = if has_durable { DURABLE_BYTES } else { 0 };
    let segments = if sealed > 0 { SEGMENTS_BYTES + sealed * SEALED_BYTES } else { 0 };
    (LOG_START_BYTES + durable + segments) as u64
}

fn take_entry(rest: &mut &[u8]) -> Option<Entry> {
    let [kind] = take(rest)?;
    match kind {
        OPENED => Some(Entry::Opened),
        CLOSED => Some(Entry::Closed),
        DAMAGED => Some(Entry::Damaged),
        FORGET => Some(Entry::Forget(take_topic(rest)?)),
        _ => {
            let (topic, partition) = (take_topic(rest)?, u32::from_be_bytes(take(rest)?));
            let change = take_change(kind, rest).filter(Change::is_valid)?;
            Some(Entry::Change(topic, partition, change))
        }
    }
}

fn take_change(kind: u8, rest: &mut &[u8]) -> Option<Change> {
    match kind {
        DURABLE => {
            let [flags] = take(rest)?;
            let point = DurablePoint {
                offset: i64::from_be_bytes(take(rest)?),
                segment_base: i64::from_be_bytes(take(rest)?),
                position: u64::from_be_bytes(take(rest)?),
                clean: flags == CLEAN,
            };
            (flags & !CLEAN == 0).then_some(Change::Durable(point))
        }
        LOG_START => Some(Change::LogStart(i64::from_be_bytes(take(rest)?))),
        SEGMENTS => {
            let (from, to) = (i64::from_be_bytes(take(rest)?), i64::from_be_bytes(take(rest)?));
            let count = u32::from_be_bytes(take(rest)?) as usize;
            // Nothing is allocated for segments that the payload cannot hold.
            if count > rest.len() / SEALED_BYTES {
                return None;
            }
            let with = (0..count).map(|_| take_sealed(rest)).collect::<Option<_>>()?;
            Some(Change::Segments { from, to, with })
        }
        _ => None,
    }
}

fn take_sealed(rest: &mut &[u8]) -> Option<SealedSegment> {
    Some(SealedSegment {
        base: i64::from_be_bytes(take(rest)?),
        generation: u32::from_be_bytes(take(rest)?),
        bytes: u64::from_be_bytes(take(rest)?),
        next_offset: i64::from_be_bytes(take(rest)?),
    })
}

fn take_topic(rest: &mut &[u8]) -> Option<TopicId> {
    Some(TopicId(Uuid::from_bytes(take(rest)?)))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(*taken)
}
