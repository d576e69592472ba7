//! What follows from the batches of a log and has to be known to append the next one: its producers, their
//! transactions and the leader epochs.
//!
//! [`State::apply`] takes in one batch that is in the log, at append and at recovery alike, so a state that was
//! snapshotted at an offset and replayed from there is the state that was there before. It cannot fail and asks for no
//! permission: before the append, `producers.check` and `producers.check_marker` do.
//!
//! Exceptions from "follows from the batches", all of them kept in a snapshot: when a producer was last used, which
//! producers have expired, epochs without a batch, and how far the high watermark was.

use super::epochs::LeaderEpochs;
use super::producers::Producers;
use super::transactions::AbortedTransaction;
use crate::record::{BatchHeader, ControlRecord};
use crate::types::{Offset, Timestamp};

/// The state of a log at an offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Everything below it has been applied.
    pub(super) next_offset: Offset,
    pub(super) producers: Producers,
    pub(super) epochs: LeaderEpochs,
    /// Those with a marker in the segment of the last batch, in the order of markers. So a snapshot that is written when a
    /// segment ends speaks for that one, which goes on should the next one be lost.
    pub(super) aborted: Vec<AbortedTransaction>,
}

impl State {
    /// Takes in a batch that is in the log. `control` is its record if it is a control batch. A transaction that it
    /// aborts is returned and kept until [`State::roll`].
    pub(super) fn apply(
        &mut self,
        header: &BatchHeader,
        control: Option<ControlRecord>,
        now: Timestamp,
    ) -> Option<AbortedTransaction> {
        self.next_offset = header.next_offset();
        self.epochs.assign(header.leader_epoch, header.base_offset);
        self.producers.remember(header, now);
        let marker = control.filter(|_| header.is_control)?;
        let BatchHeader { producer_id, producer_epoch, .. } = *header;
        let aborted = self.producers.end_transaction(producer_id, producer_epoch, marker, header.last_offset(), now)?;
        self.aborted.push(aborted);
        Some(aborted)
    }

    /// A new segment begins: the aborted transactions of the one before, for its footer. A replay over several
    /// segments calls it where each ends.
    pub(super) fn roll(&mut self) -> Vec<AbortedTransaction> {
        std::mem::take(&mut self.aborted)
    }

    /// Where readers of committed records stop, held to the log start offset, which may have passed the first record
    /// of an open transaction.
    pub(super) fn last_stable_offset(&self, log_start_offset: Offset, high_watermark: Offset) -> Offset {
        self.producers.last_stable_offset(high_watermark).max(log_start_offset)
    }

    /// Everything below `high_watermark` will not be lost.
    pub(super) fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.producers.on_high_watermark(high_watermark);
    }

    /// The log begins at `start` now. Producers stay: they may go on.
    pub(super) fn truncate_from_start(&mut self, start: Offset) {
        self.epochs.truncate_from_start(start);
    }
}
