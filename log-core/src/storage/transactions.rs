//! Transactions as a log sees them: which keep readers of committed records back, and which were aborted.
//!
//! ```text
//!   offset   10     11     12     13      14      15     16      17
//!            A      B      A      abort A B       A      commit B …        high watermark 18
//!            └──────┼──────┴──────┘ aborted: first 10, last 13, last stable offset 11
//!                   └──────────────────────┴─────────────┘                 A is open since 15
//!                                                 └── last stable offset: 15
//! ```
//! A transaction is the batches of one producer from the first transactional one to a marker. Readers of committed
//! records see what lies below the last stable offset, less the records of the aborted transactions that they are
//! told of. A transaction that has ended still holds that offset until its marker is below the high watermark: before
//! that the marker can be lost with its leader, and the transaction can end the other way.
//!
//! Invariants. Aborted transactions are kept in the order of their markers, so `last_offset` grows and
//! `last_stable_offset` never falls; all that end later begin at or above the `last_stable_offset` of an entry.

use crate::types::{Offset, OffsetRange};
use std::collections::BTreeMap;

/// One aborted transaction (Kafka's `AbortedTxn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose records are not to be read.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first_offset: Offset,
    /// The offset of its marker.
    pub last_offset: Offset,
    /// The first offset of the transactions that were open behind it, or the offset after its marker.
    pub last_stable_offset: Offset,
}

/// Adds to `found` those of `aborted`, which is in the order of markers, that a reader of `range` has to be told of.
/// Whether that is all: if not, transactions whose markers lie in later segments may be needed too.
pub(super) fn collect_overlapping(
    aborted: &[AbortedTransaction],
    range: OffsetRange,
    found: &mut Vec<AbortedTransaction>,
) -> bool {
    let from = aborted.partition_point(|transaction| transaction.last_offset < range.start);
    for transaction in &aborted[from..] {
        if transaction.first_offset < range.end {
            found.push(*transaction);
        }
        if transaction.last_stable_offset >= range.end {
            return true;
        }
    }
    false
}

/// Those of `segments`, each in the order of markers and older ones first, that a reader of `range` has to be told
/// of, by first offset as Kafka's clients want them.
#[cfg(test)]
pub(super) fn overlapping<'a>(
    segments: impl IntoIterator<Item = &'a [AbortedTransaction]>,
    range: OffsetRange,
) -> Vec<AbortedTransaction> {
    let mut found = Vec::new();
    let _ = segments.into_iter().any(|aborted| collect_overlapping(aborted, range, &mut found));
    found.sort_unstable_by_key(|transaction| transaction.first_offset);
    found
}

/// The transactions above which nothing is stable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unstable {
    /// Not ended: producer ids by first offset.
    ongoing: BTreeMap<Offset, i64>,
    /// Ended: the offsets of their markers, by first offset.
    decided: BTreeMap<Offset, Offset>,
}

impl Unstable {
    pub(super) const fn new() -> Self {
        Self { ongoing: BTreeMap::new(), decided: BTreeMap::new() }
    }

    pub(super) fn begin(&mut self, producer_id: i64, first_offset: Offset) {
        self.ongoing.insert(first_offset, producer_id);
    }

    /// Ends the transaction that began at `first_offset`; the last stable offset behind it.
    pub(super) fn end(&mut self, first_offset: Offset, marker_offset: Offset) -> Offset {
        self.ongoing.remove(&first_offset);
        self.decided.insert(first_offset, marker_offset);
        self.ongoing.first_key_value().map_or(marker_offset + 1, |(&first, _)| first)
    }

    pub(super) fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.decided.retain(|_, marker_offset| *marker_offset >= high_watermark);
    }

    /// The first offset that is not stable.
    pub(super) fn first_offset(&self) -> Option<Offset> {
        let ongoing = self.ongoing.first_key_value().map(|(&first, _)| first);
        let decided = self.decided.first_key_value().map(|(&first, _)| first);
        ongoing.into_iter().chain(decided).min()
    }

    /// Whether a transaction that began at `first_offset` is open.
    pub(super) fn is_ongoing(&self, first_offset: Offset) -> bool {
        self.ongoing.contains_key(&first_offset)
    }

    /// First offset and marker's offset of the ended ones that still hold, by first offset.
    pub(super) fn decided(&self) -> impl ExactSizeIterator<Item = (Offset, Offset)> {
        self.decided.iter().map(|(&first, &marker)| (first, marker))
    }

    /// One of what [`Unstable::decided`] gave. `false` if it cannot be.
    pub(super) fn restore_decided(&mut self, first_offset: Offset, marker_offset: Offset) -> bool {
        let follows = self.decided.last_key_value().is_none_or(|(&last, _)| last < first_offset);
        follows && first_offset <= marker_offset && self.decided.insert(first_offset, marker_offset).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A log of transactions: the records of each, its marker, whether it aborts. By their own rule.
    #[derive(Debug)]
    struct Transaction {
        producer_id: i64,
        first_offset: Offset,
        marker: Option<(Offset, bool)>,
    }

    proptest! {
        /// Each step is one record, or a marker, of one of five producers.
        #[test]
        fn what_a_reader_is_told_is_what_a_search_of_all_transactions_finds(
            steps in prop::collection::vec((0..5i64, 0..6u8), 1..60),
            cuts in prop::collection::vec(0..60usize, 0..4),
            high_watermarks in prop::collection::vec(0..60i64, 60),
        ) {
            let (mut unstable, mut segments) = (Unstable::new(), vec![Vec::new()]);
            let (mut all, mut high_watermark) = (Vec::<Transaction>::new(), 0);
            for (offset, &(producer_id, what)) in steps.iter().enumerate() {
                if cuts.contains(&offset) {
                    segments.push(Vec::new());
                }
                let offset = offset as Offset;
                let open = all.iter_mut().find(|t| t.producer_id == producer_id && t.marker.is_none());
                match open {
                    None => {
                        unstable.begin(producer_id, offset);
                        all.push(Transaction { producer_id, first_offset: offset, marker: None });
                    }
                    Some(open) if what < 2 => {
                        open.marker = Some((offset, what == 0));
                        let first_offset = open.first_offset;
                        let last_stable_offset = unstable.end(first_offset, offset);
                        if what == 0 {
                            segments.last_mut().unwrap().push(AbortedTransaction {
                                producer_id,
                                first_offset,
                                last_offset: offset,
                                last_stable_offset,
                            });
                        }
                    }
                    Some(_) => {}
                }
                let end = offset + 1;
                high_watermark = high_watermarks[offset as usize].min(end).max(high_watermark);
                unstable.on_high_watermark(high_watermark);
                let holds = |t: &&Transaction| t.marker.is_none_or(|(marker, _)| marker >= high_watermark);
                let expected = all.iter().filter(holds).map(|t| t.first_offset).min();
                prop_assert_eq!(unstable.first_offset(), expected);
            }
            let end = steps.len() as Offset;
            let stable = unstable.first_offset().unwrap_or(end).min(end);
            for from in 0..end {
                for to in from + 1..=stable {
                    let told = overlapping(segments.iter().map(Vec::as_slice), OffsetRange::new(from, to));
                    // All are needed whose records and marker have an offset in common with [from, to).
                    let aborts = |t: &&Transaction| t.marker.is_some_and(|(marker, aborts)| aborts && marker >= from);
                    let needed: Vec<_> = (all.iter().filter(aborts))
                        .filter(|t| t.first_offset < to)
                        .map(|t| (t.first_offset, t.producer_id))
                        .collect();
                    let told: Vec<_> = told.iter().map(|t| (t.first_offset, t.producer_id)).collect();
                    prop_assert_eq!(told, needed, "of [{}, {})", from, to);
                }
            }
        }
    }

    #[test]
    fn the_search_ends_where_nothing_more_can_come() {
        let transaction = |first_offset, last_offset, last_stable_offset| AbortedTransaction {
            producer_id: 1,
            first_offset,
            last_offset,
            last_stable_offset,
        };
        let aborted = [transaction(0, 5, 2), transaction(6, 9, 10)];
        let mut found = Vec::new();
        assert!(!collect_overlapping(&aborted[..1], OffsetRange::new(0, 4), &mut found), "one is open since 2");
        assert!(collect_overlapping(&aborted, OffsetRange::new(6, 8), &mut found));
        assert_eq!(found, aborted);
    }
}
