//! Which records belong to aborted transactions, and which markers are needed no more, along one pass.
//!
//! The batches of a partition are shown in order, from its start. An aborted transaction is known beforehand, from the
//! footers, by its first offset; from there on to its marker every transactional batch of its producer belongs to it.

use super::super::transactions::AbortedTransaction;
use crate::record::{BatchHeader, ControlKind};
use std::collections::{HashMap, HashSet, VecDeque};

/// Transactions that the pass is inside of.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Aborted ones that begin further on, in order of their first offset.
    coming: VecDeque<AbortedTransaction>,
    /// By producer: an aborted transaction, and whether any record of it was there.
    aborted: HashMap<i64, (AbortedTransaction, bool)>,
    /// Producers with a record that is no part of an aborted transaction, since their last marker.
    committed: HashSet<i64>,
}

impl Transactions {
    /// Begins before all of these.
    pub(super) fn new(mut aborted: Vec<AbortedTransaction>) -> Self {
        aborted.sort_by_key(|transaction| (transaction.first_offset, transaction.last_offset));
        aborted.dedup();
        Self { coming: aborted.into(), ..Self::default() }
    }

    /// Takes in a batch of records; whether it is part of an aborted transaction.
    pub(super) fn on_records(&mut self, header: &BatchHeader) -> bool {
        self.move_to(header);
        if !header.is_transactional {
            return false;
        }
        // A batch that is kept for its offsets only needs no marker.
        let has_records = header.records_count > 0;
        match self.aborted.get_mut(&header.producer_id) {
            Some((transaction, is_seen)) if header.base_offset < transaction.last_offset => {
                *is_seen |= has_records;
                true
            }
            // It ended before, with a marker that is gone.
            _ => {
                self.aborted.remove(&header.producer_id);
                if has_records {
                    self.committed.insert(header.producer_id);
                }
                false
            }
        }
    }

    /// Takes in a marker; what it is still needed for.
    pub(super) fn on_marker(&mut self, header: &BatchHeader, kind: ControlKind) -> Marker {
        self.move_to(header);
        match kind {
            ControlKind::Commit if self.committed.remove(&header.producer_id) => Marker::Needed(None),
            ControlKind::Abort => match self.aborted.remove(&header.producer_id) {
                Some((transaction, true)) => Marker::Needed(Some(transaction)),
                _ if self.committed.remove(&header.producer_id) => Marker::Needed(None),
                _ => Marker::Empty,
            },
            ControlKind::Commit => Marker::Empty,
            // Not of a transaction.
            ControlKind::Other(_) => Marker::Needed(None),
        }
    }

    fn move_to(&mut self, header: &BatchHeader) {
        while let Some(next) = self.coming.front().copied()
            && next.first_offset <= header.last_offset()
        {
            self.coming.pop_front();
            self.aborted.insert(next.producer_id, (next, false));
        }
    }
}

/// Whether a marker ends a transaction that has records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    /// It has; the transaction, if it was aborted.
    Needed(Option<AbortedTransaction>),
    /// Its records are gone.
    Empty,
}
