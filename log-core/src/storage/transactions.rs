//! Transactions that were aborted: what a reader of committed records has to skip.

use crate::types::Offset;

/// An aborted transaction. Its records lie between these offsets, among those of other producers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AbortedTransaction {
    pub(super) producer_id: i64,
    /// The offset of its first record.
    pub(super) first_offset: Offset,
    /// The offset of its abort marker.
    pub(super) last_offset: Offset,
    /// The last stable offset when the marker was appended: where a search for aborted transactions may stop.
    pub(super) last_stable_offset: Offset,
}
