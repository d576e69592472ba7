//! One batch in, at most one batch out.
//!
//! | record                                             | goes                                          |
//! |----------------------------------------------------|-----------------------------------------------|
//! | a later record of its key is known                 | at once                                       |
//! | of an aborted transaction                          | at once                                       |
//! | a tombstone, the last of its key                   | when its batch's delete horizon is over       |
//! | a transaction's marker                             | when its records are gone, and its horizon over |
//! | any other, also one without a key                  | never                                         |
//!
//! A batch from which all goes is left out, unless its offsets are needed: then its header stays.

use super::super::transactions::AbortedTransaction;
use super::keys::KeyMap;
use super::transactions::{Marker, Transactions};
use crate::mutants::{self, Mutant};
use crate::record::{Batch, BatchHeader, ControlRecord, StoredRecord, rebuild, records_from};
use crate::types::{Offset, Result, Timestamp};
use std::collections::HashMap;
use std::time::Duration;

/// What decides in one pass.
#[derive(Debug)]
pub(super) struct Rules {
    /// The last record of each key, as far as the pass knows.
    pub(super) keys: KeyMap,
    /// From here on the map knows nothing, and nothing is changed.
    pub(super) covered_to: Offset,
    pub(super) now: Timestamp,
    pub(super) tombstone_delay: Duration,
    /// The last offset of each producer that is remembered, by producer id.
    pub(super) last_of_producers: HashMap<i64, Offset>,
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cleaned {
    /// It stays as it is.
    Same,
    /// This takes its place.
    Changed(bytes::Bytes),
    /// Nothing does.
    Gone,
}

/// Cleans the batches of a partition in order, from its start.
#[derive(Debug)]
pub(super) struct Cleaner {
    pub(super) rules: Rules,
    transactions: Transactions,
    /// Those whose marker stays because records of them were there.
    pub(super) aborted: Vec<AbortedTransaction>,
    /// The earliest delete horizon of what stays: when another pass has something to take out.
    pub(super) next_horizon: Option<Timestamp>,
}

impl Cleaner {
    pub(super) fn new(rules: Rules, transactions: Transactions) -> Self {
        Self { rules, transactions, aborted: Vec::new(), next_horizon: None }
    }

    /// Cleans the next batch; `is_last` if the segment ends with it. Checks the checksum of what it decodes.
    pub(super) fn clean(&mut self, batch: &Batch, is_last: bool) -> Result<Cleaned> {
        let header = &batch.header;
        let is_needed = (is_last && !mutants::active(Mutant::DropLastBatch))
            || self.rules.last_of_producers.get(&header.producer_id) == Some(&header.last_offset());
        let cleaned = if header.is_control { self.control(batch, is_needed)? } else { self.records(batch, is_needed)? };
        let horizon = match &cleaned {
            Cleaned::Same => header.delete_horizon(),
            Cleaned::Changed(bytes) => BatchHeader::parse(bytes)?.and_then(|header| header.delete_horizon()),
            Cleaned::Gone => None,
        };
        // One that is over was kept for its offsets only.
        let horizon = horizon.filter(|horizon| *horizon > self.rules.now);
        self.next_horizon = [self.next_horizon, horizon].into_iter().flatten().min();
        Ok(cleaned)
    }

    fn records(&mut self, batch: &Batch, is_needed: bool) -> Result<Cleaned> {
        let Rules { keys, covered_to, now, .. } = &self.rules;
        let header = &batch.header;
        let is_aborted = self.transactions.on_records(header);
        if header.last_offset() >= *covered_to {
            return Ok(Cleaned::Same);
        }
        let tombstones_stay =
            header.delete_horizon().is_none_or(|horizon| *now < horizon) && !mutants::active(Mutant::DropTombstones);
        let stays = |record: &StoredRecord| {
            let is_superseded = record.key.as_ref().is_some_and(|key| keys.is_superseded(key, record.offset));
            !is_aborted && !is_superseded && (record.value.is_some() || record.key.is_none() || tombstones_stay)
        };
        let (mut staying, mut has_tombstones) = (0, false);
        for record in records_from(batch)? {
            let record = record?;
            if stays(&record) {
                staying += 1;
                has_tombstones |= record.value.is_none() && record.key.is_some();
            }
        }
        if staying == 0 && !is_needed {
            return Ok(Cleaned::Gone);
        }
        let horizon = (has_tombstones && !header.has_delete_horizon).then(|| self.horizon());
        if staying == header.records_count && horizon.is_none() {
            return Ok(Cleaned::Same);
        }
        Ok(rebuild(batch, horizon, stays)?.map_or(Cleaned::Same, Cleaned::Changed))
    }

    fn control(&mut self, batch: &Batch, is_needed: bool) -> Result<Cleaned> {
        let header = &batch.header;
        let marker = match ControlRecord::parse(&batch.bytes)? {
            Some(record) => self.transactions.on_marker(header, record.kind),
            None => Marker::Empty,
        };
        match marker {
            Marker::Needed(aborted) => {
                self.aborted.extend(aborted);
                Ok(Cleaned::Same)
            }
            Marker::Empty if header.last_offset() >= self.rules.covered_to => Ok(Cleaned::Same),
            Marker::Empty => match header.delete_horizon() {
                None => {
                    let rebuilt = rebuild(batch, Some(self.horizon()), |_| true)?;
                    Ok(rebuilt.map_or(Cleaned::Same, Cleaned::Changed))
                }
                Some(horizon) if horizon <= self.rules.now && !is_needed => Ok(Cleaned::Gone),
                Some(_) => Ok(Cleaned::Same),
            },
        }
    }

    /// Until when what is met now for the first time stays.
    fn horizon(&self) -> Timestamp {
        self.rules.now + self.rules.tombstone_delay
    }
}
