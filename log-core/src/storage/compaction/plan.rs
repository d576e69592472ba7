//! Whether a partition is to be compacted now, and which of its segments go together.

use super::super::retention::SegmentFacts;
use crate::types::{Offset, Timestamp};
use std::ops::Range;
use std::time::Duration;

/// How a topic is compacted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompactionSettings {
    /// The dirty part of the bytes from which on a pass is worth it (Kafka's `min.cleanable.dirty.ratio`).
    pub dirty_ratio: f64,
    /// How long a tombstone stays after a pass first met it.
    pub tombstone_delay: Duration,
    /// Segments are merged up to this size.
    pub segment_bytes: u64,
    /// Memory for keys.
    pub key_bytes_max: usize,
}

/// Whether a segment of this generation was compacted as a whole: every other one above 0. The others were rewritten all
/// the same, by a pass whose map was full before their end, or by a repair.
pub(in super::super) const fn is_compacted(generation: u32) -> bool {
    generation > 0 && generation.is_multiple_of(2)
}

/// The lowest generation above `generation` that says whether the segment was compacted as a whole; `None` if there is
/// none any more.
pub(in super::super) fn generation_above(generation: u32, is_whole: bool) -> Option<u32> {
    (1..=2).filter_map(|more| generation.checked_add(more)).find(|above| is_compacted(*above) == is_whole)
}

/// The segments of a pass: `[0, end)` are read and written, of which `[dirty, end)` were never compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) dirty: usize,
    pub(super) end: usize,
}

/// What a pass over `sealed` would do, if it is worth it: because enough of it is dirty, or because a delete horizon that
/// an earlier pass has set is over.
///
/// Everything below `cleaned_to` was compacted before; nothing at or above `stable_to` may be touched.
pub(super) fn plan(
    sealed: &[SegmentFacts],
    cleaned_to: Offset,
    stable_to: Offset,
    next_horizon: Option<Timestamp>,
    dirty_ratio: f64,
    now: Timestamp,
) -> Option<Plan> {
    let end = sealed.partition_point(|segment| segment.next_offset <= stable_to);
    let dirty = sealed[..end].partition_point(|segment| segment.next_offset <= cleaned_to);
    let bytes = |segments: &[SegmentFacts]| segments.iter().map(|segment| segment.bytes).sum::<u64>() as f64;
    let (clean_bytes, dirty_bytes) = (bytes(&sealed[..dirty]), bytes(&sealed[dirty..end]));
    let is_dirty = dirty_bytes > 0.0 && dirty_bytes / (clean_bytes + dirty_bytes) >= dirty_ratio;
    let is_due = end > 0 && next_horizon.is_some_and(|horizon| horizon <= now);
    (is_dirty || is_due).then_some(Plan { dirty, end })
}

/// Neighbours that are written as one segment: as many as have no more than `bytes_max` and `offsets_max` together.
pub(super) fn groups(segments: &[SegmentFacts], bytes_max: u64, offsets_max: i64) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (i, segment) in segments.iter().enumerate() {
        bytes += segment.bytes;
        match groups.last_mut() {
            Some(last) if bytes <= bytes_max && segment.next_offset - segments[last.start].base <= offsets_max => {
                last.end = i + 1;
            }
            _ => {
                groups.push(i..i + 1);
                bytes = segment.bytes;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(sizes: &[u64]) -> Vec<SegmentFacts> {
        let segment = |(base, bytes): (Offset, &u64)| SegmentFacts {
            base: base * 10,
            next_offset: (base + 1) * 10,
            bytes: *bytes,
            max_timestamp: None,
            last_append: Timestamp(0),
        };
        (0..).zip(sizes).map(segment).collect()
    }

    #[test]
    fn a_pass_waits_until_it_is_worth_it() {
        let sealed = segments(&[60, 20, 20]);
        let plan = |cleaned_to, stable_to, horizon: Option<i64>, ratio| {
            plan(&sealed, cleaned_to, stable_to, horizon.map(Timestamp), ratio, Timestamp(100))
        };
        assert_eq!(plan(0, 30, None, 0.5), Some(Plan { dirty: 0, end: 3 }));
        assert_eq!(plan(10, 30, None, 0.5), None, "40 of 100 bytes are dirty");
        assert_eq!(plan(10, 30, None, 0.4), Some(Plan { dirty: 1, end: 3 }));
        assert_eq!(plan(15, 30, None, 0.4), Some(Plan { dirty: 1, end: 3 }), "half of a segment is not clean");
        assert_eq!(plan(10, 29, None, 0.2), Some(Plan { dirty: 1, end: 2 }), "not above the last stable offset");
        assert_eq!(plan(30, 30, None, 0.0), None, "nothing is dirty");
        assert_eq!(plan(0, 9, None, 0.0), None, "nothing is stable");
        assert_eq!(plan(30, 30, Some(100), 0.5), Some(Plan { dirty: 3, end: 3 }), "a tombstone's time is over");
        assert_eq!(plan(30, 30, Some(101), 0.5), None);
        assert_eq!(plan(0, 9, Some(100), 0.5), None);
    }

    #[test]
    fn generations_grow_and_tell_what_was_compacted() {
        assert_eq!([0, 1, 2, 3, 4].map(is_compacted), [false, false, true, false, true]);
        assert_eq!([0, 1, 2].map(|g| generation_above(g, true)), [Some(2), Some(2), Some(4)]);
        assert_eq!([0, 1, 2].map(|g| generation_above(g, false)), [Some(1), Some(3), Some(3)]);
        assert_eq!(generation_above(u32::MAX, true), None);
    }

    #[test]
    fn small_neighbours_go_together() {
        let groups = |sizes: &[u64], bytes, offsets| super::groups(&segments(sizes), bytes, offsets);
        assert_eq!(groups(&[10, 10, 10, 50, 60, 1, 1], 50, 1000), [0..3, 3..4, 4..5, 5..7]);
        assert_eq!(groups(&[10, 10, 10], 50, 20), [0..2, 2..3]);
        assert!(groups(&[], 50, 20).is_empty());
    }
}
