//! How far a partition is durable, and what follows from it for the bytes of its log.
//!
//! A point is written down after what it speaks of was synced, so it may be too low after a power cut, never too high:
//! recovery cuts nothing below it.

use crate::storage::index::Place;
use crate::types::Offset;

/// How far one partition is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurablePoint {
    /// Every record below it was synced.
    pub offset: Offset,
    /// The base offset of the segment that was active.
    pub segment_base: Offset,
    /// Where in that segment, in bytes.
    pub position: u64,
    /// Whether the log was closed in order at this point.
    pub clean: bool,
}

impl DurablePoint {
    /// Whether what lies at `place` of a segment is below this point. Both the offset and the position have a say, so
    /// that a damaged header that claims too many or too few offsets cannot lift its successors above the point.
    pub(in crate::storage) fn is_above(&self, segment_base: Offset, place: Place) -> bool {
        place.offset < self.offset || (segment_base, place.position) < (self.segment_base, self.position)
    }

    /// Why a batch below this point that ends at `end` of a segment cannot be right, if it cannot.
    pub(in crate::storage) fn contradicts(&self, segment_base: Offset, end: Place) -> Option<String> {
        let there = (segment_base, end.position) == (self.segment_base, self.position);
        // Or the segment was full and its successor empty.
        let at_its_start = (self.offset, 0) == (self.segment_base, self.position);
        let possible = end.offset < self.offset || (end.offset == self.offset && (there || at_its_start));
        (!possible).then(|| {
            let Place { offset, position } = end;
            format!("a batch ends before offset {offset} at byte {position}; the log was durable to {}", self.offset)
        })
    }
}
