//! What one partition's log may hold, said as naively as it can be: every batch that was ever sent, in order.
//!
//! Sure is what was acknowledged: the batches below `durable`, as sent, at their offsets. Behind it lies what may be lost
//! in a power cut but not replaced by anything that nobody sent: batches that were answered and not synced, and those
//! whose append failed and may yet be on the disk.

use super::super::sequences::{Event, Expected, Model};
use super::history::Send;
use super::{Checked, ensure};
use crate::record::{
    BatchBuilder, BatchHeader, Compression, ControlKind, ControlRecord, ProducerStamp, Record, stamp_offset,
};
use crate::storage::Appended;
use crate::types::{Error, Flush, Offset, Timestamp};
use bytes::Bytes;
use std::collections::BTreeMap;

/// The offset of a batch and the epoch of its leader are given by the log; what it was sent with lies behind them.
const BASE_OFFSET: std::ops::Range<usize> = 0..8;
const LEADER_EPOCH: std::ops::Range<usize> = 12..16;

/// One partition's log.
#[derive(Clone)]
pub(super) struct Expectation {
    pub(super) flush: Flush,
    /// Every batch in the log, deleted ones too.
    pub(super) log: Model,
    /// Their bytes, by base offset.
    pub(super) bytes: BTreeMap<Offset, Bytes>,
    /// What may be there instead of what is in the log, above `durable`.
    attempts: Vec<Attempt>,
    pub(super) durable: Offset,
    /// The log start, as the checkpoint knows it for sure, and as it may know it.
    pub(super) start: (Offset, Offset),
    /// Where the log may begin besides, while a truncation is not finished.
    start_before: Offset,
    /// A log start that could not be recorded came back: the epochs before it are forgotten.
    forgot_epochs: bool,
    pub(super) leader_epoch: i32,
    /// For values that differ.
    sent: u64,
}

/// A batch that may have been written.
#[derive(Clone)]
struct Attempt {
    bytes: Bytes,
    /// Its base offset lies between these.
    between: (Offset, Offset),
}

/// A batch as it was read from a log.
pub(super) type Read = (BatchHeader, Bytes);

impl Expectation {
    pub(super) fn new(flush: Flush) -> Self {
        Self {
            flush,
            log: Model::default(),
            bytes: BTreeMap::new(),
            attempts: Vec::new(),
            durable: 0,
            start: (0, 0),
            start_before: 0,
            forgot_epochs: false,
            leader_epoch: 0,
            sent: 0,
        }
    }

    pub(super) fn end(&self) -> Offset {
        self.log.end()
    }

    /// Where readers of committed records stop.
    pub(super) fn last_stable_offset(&self) -> Offset {
        self.log.last_stable_offset().max(self.start.1)
    }

    /// The batches that are sent, each knowing of those before it.
    pub(super) fn build(&mut self, sends: &[Send]) -> Vec<Bytes> {
        let before = self.log.events.len();
        let mut batches = Vec::new();
        for send in sends {
            let batch = self.build_one(*send);
            let event = self.event(&batch);
            if self.verdict(&event) == Expected::Append {
                self.log.events.push(event);
            }
            batches.push(batch);
        }
        self.log.events.truncate(before);
        batches
    }

    fn build_one(&mut self, send: Send) -> Bytes {
        let epoch = |producer| self.log.epoch(producer).unwrap_or(0);
        let stamp = |producer, epoch, sequence| ProducerStamp {
            producer_id: producer,
            producer_epoch: epoch,
            base_sequence: sequence,
        };
        let next = |producer| stamp(producer, epoch(producer), self.log.next_sequence(producer, epoch(producer)));
        let (stamp, transactional, records, bytes) = match send {
            Send::Plain { records, bytes } => (None, false, records, bytes),
            Send::Next { producer, records, transactional } => {
                let is_open = self.log.transactions().iter().any(|t| t.producer_id == producer && t.end.is_none());
                (Some(next(producer)), transactional || is_open, records, 20)
            }
            Send::Again { producer, back } => {
                let sent = self.log.batches(producer, epoch(producer));
                match sent.iter().nth_back(usize::from(back)).and_then(|header| self.bytes.get(&header.base_offset)) {
                    Some(bytes) => return bytes.clone(),
                    None => (Some(next(producer)), false, 1, 20),
                }
            }
            Send::Gap { producer } => {
                let next = next(producer);
                (Some(ProducerStamp { base_sequence: next.base_sequence + 3, ..next }), false, 1, 20)
            }
            Send::NewEpoch { producer } => (Some(stamp(producer, epoch(producer) + 1, 0)), true, 1, 20),
            Send::Marker { producer, commits } => {
                let kind = if commits { ControlKind::Commit } else { ControlKind::Abort };
                self.sent += 1;
                let at = Timestamp(1000 + self.sent as i64);
                return ControlRecord { kind, coordinator_epoch: 0 }.to_batch(producer, epoch(producer), at);
            }
        };
        let mut builder = BatchBuilder::new(Compression::None);
        if let Some(stamp) = stamp {
            builder = builder.stamp(stamp);
        }
        if transactional {
            builder = builder.transactional();
        }
        for _ in 0..records {
            self.sent += 1;
            // Not in order of time.
            let timestamp = Timestamp(1000 + (self.sent as i64 * 37) % 500);
            let value = Bytes::from(format!("{:>width$}", self.sent, width = usize::from(bytes)));
            builder.push(&Record { value: Some(value), timestamp, ..Record::default() });
        }
        builder.finish()
    }

    /// A batch as it would be in the log if it came next.
    fn event(&self, batch: &Bytes) -> Event {
        let header = BatchHeader::parse(batch).expect("it was built").expect("it is whole");
        let control = ControlRecord::parse(batch).expect("it was built").filter(|_| header.is_control);
        let header = BatchHeader { base_offset: self.end(), leader_epoch: self.leader_epoch, ..header };
        Event { header, control, at: Timestamp(0) }
    }

    fn verdict(&self, event: &Event) -> Expected {
        let is_stamped = event.header.producer_id >= 0;
        if is_stamped { self.log.expected(&event.header, event.control) } else { Expected::Append }
    }

    /// Takes in the answers to an append. `trouble` says of an error whether something that went wrong is the reason.
    pub(super) fn appended(
        &mut self,
        batches: &[Bytes],
        answers: Vec<crate::types::Result<Appended>>,
        trouble: impl Fn(&Error) -> bool,
    ) -> Checked {
        let from = self.end();
        let in_trouble = answers.iter().any(|answer| answer.as_ref().is_err_and(&trouble));
        let mut failed = Vec::new();
        let mut most = from;
        for (batch, answer) in batches.iter().zip(answers) {
            let event = self.event(batch);
            let expected = self.verdict(&event);
            most += i64::from(event.header.last_offset_delta) + 1;
            match answer {
                Ok(Appended { base_offset, last_offset, duplicate: false }) => {
                    ensure!(
                        expected == Expected::Append
                            && (base_offset, last_offset) == (event.header.base_offset, event.header.last_offset()),
                        "appended at [{base_offset}, {last_offset}] what was expected to be {expected:?} at {}",
                        event.header.base_offset
                    );
                    self.push(event, batch);
                }
                Ok(Appended { base_offset, last_offset, duplicate: true }) => ensure!(
                    expected == Expected::Duplicate(base_offset, last_offset),
                    "a duplicate of [{base_offset}, {last_offset}] where {expected:?} was expected"
                ),
                Err(error) if trouble(&error) => failed.push(batch.clone()),
                // What comes behind a batch that failed was judged as if it had not.
                Err(_) if in_trouble => {}
                Err(Error::OutOfOrderSequence { expected: next, .. }) => {
                    ensure!(expected == Expected::OutOfOrder(next), "{next} is next where {expected:?} was expected");
                }
                Err(
                    error @ (Error::InvalidRequest { .. }
                    | Error::InvalidTransactionState { .. }
                    | Error::StaleProducerEpoch { .. }),
                ) => {
                    ensure!(expected == Expected::Refused, "{error} where {expected:?} was expected");
                }
                Err(error) => return Err(format!("an append failed for no reason: {error}")),
            }
        }
        self.attempts.extend(failed.into_iter().map(|bytes| Attempt { bytes, between: (from, most) }));
        if self.flush == Flush::Os {
            self.log.high_watermark = self.end();
        }
        Ok(())
    }

    fn push(&mut self, event: Event, batch: &Bytes) {
        let mut bytes = batch.to_vec();
        stamp_offset(&mut bytes, event.header.base_offset, event.header.leader_epoch);
        self.bytes.insert(event.header.base_offset, bytes.into());
        self.log.events.push(event);
    }

    /// Everything below `upto` is durable.
    pub(super) fn synced(&mut self, upto: Offset) {
        self.durable = self.durable.max(upto);
        self.log.high_watermark = self.log.high_watermark.max(upto);
        self.attempts.retain(|attempt| attempt.between.1 >= upto);
    }

    /// A truncation to `offset` begins; where the log ends then. What is cut may come back until it is finished.
    pub(super) fn truncate(&mut self, offset: Offset) -> Offset {
        let kept = self.log.events.partition_point(|event| event.header.next_offset() <= offset);
        let cut: Vec<Event> = self.log.events.drain(kept..).collect();
        let end = cut.first().map_or_else(|| self.end(), |first| first.header.base_offset);
        for event in cut {
            let base = event.header.base_offset;
            let bytes = self.bytes.remove(&base).expect("every batch has its bytes");
            self.attempts.push(Attempt { bytes, between: (base, base) });
        }
        self.durable = self.durable.min(end);
        self.start_before = self.start.1;
        self.start = (self.start.0.min(end), self.start.1.min(end));
        // All of it is synced before.
        self.log.high_watermark = end;
        end
    }

    /// The truncation is finished: nothing of what was cut comes back, and what is left is durable.
    pub(super) fn truncated(&mut self) {
        self.attempts.clear();
        self.start_before = 0;
        self.durable = self.end();
    }

    /// The log was opened again, ends at `end` and has the batches `found`, from its start. `lost` is whether the power
    /// was off in between.
    pub(super) fn reopened(&mut self, start: Offset, end: Offset, found: &[Read], lost: bool) -> Checked {
        ensure!(end >= self.durable, "lost: it ends at {end} and was durable to {}", self.durable);
        ensure!(lost || end >= self.end(), "lost without a power cut: it ends at {end} and ended at {}", self.end());
        let (sure, maybe) = (self.start.0, self.start.1.max(self.start_before));
        // Without syncs nobody knows how far the log reached when its start was moved.
        let least = if self.flush == Flush::Os { sure.min(end) } else { sure };
        ensure!((least..=maybe.max(least)).contains(&start), "it starts at {start}, not in [{sure}, {maybe}]");
        let sure_end = if lost { self.durable } else { self.end() };
        let from = found.first().map_or(end, |(header, _)| header.base_offset);
        let mut log: Vec<Event> = Vec::new();
        log.extend(self.log.events.iter().take_while(|event| event.header.next_offset() <= from));
        let mut bytes: BTreeMap<Offset, Bytes> =
            self.bytes.range(..from).map(|(at, bytes)| (*at, bytes.clone())).collect();
        for (header, batch) in found {
            let base = header.base_offset;
            let known = self.bytes.get(&base).is_some_and(|known| known == batch);
            ensure!(known || base >= sure_end, "what is at {base} is not what was acknowledged there");
            ensure!(known || self.attempts.iter().any(|a| a.fits(base, batch)), "nobody sent what is at {base}");
            let control = ControlRecord::parse(batch).map_err(|e| e.to_string())?.filter(|_| header.is_control);
            log.push(Event { header: *header, control, at: Timestamp(0) });
            bytes.insert(base, batch.clone());
        }
        self.leader_epoch =
            found.last().map_or(self.leader_epoch, |(header, _)| self.leader_epoch.max(header.leader_epoch));
        (self.log.events, self.bytes) = (log, bytes);
        self.attempts.clear();
        (self.durable, self.log.high_watermark) = (end, end);
        self.forgot_epochs |= start < self.start.1;
        (self.start, self.start_before) = ((start, start), 0);
        Ok(())
    }

    /// The bytes that a reader finds from `from` up to the high watermark.
    pub(super) fn readable(&self, from: Offset) -> impl Iterator<Item = (&Event, &Bytes)> {
        let end = self.log.high_watermark;
        let events = self.log.events.iter();
        let readable = events.filter(move |e| e.header.next_offset() > from && e.header.next_offset() <= end);
        readable.map(|event| (event, &self.bytes[&event.header.base_offset]))
    }

    /// Where each epoch that has readable records ends.
    pub(super) fn ends_of_epochs(&self) -> BTreeMap<i32, Offset> {
        let mut ends = BTreeMap::new();
        if self.forgot_epochs {
            return ends;
        }
        let mut last = None;
        for event in self.log.events.iter().filter(|event| event.header.next_offset() > self.start.1) {
            let epoch = event.header.leader_epoch;
            if let Some(before) = last.filter(|before| *before != epoch) {
                ends.insert(before, event.header.base_offset);
            }
            last = Some(epoch);
        }
        ends.extend(last.map(|last| (last, self.end())));
        ends
    }

    /// The last offset of records of each producer, by producer id.
    pub(super) fn producers(&self) -> Vec<(i64, Offset)> {
        let mut ids: Vec<i64> = self.log.events.iter().map(|event| event.header.producer_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let last = |id: i64| Some((id, self.log.batches(id, self.log.epoch(id)?).last()?.last_offset()));
        ids.into_iter().filter(|id| *id >= 0).filter_map(last).collect()
    }

    /// Producer, first offset and marker's offset of the aborted transactions that a reader of `[from, to)` is told of.
    pub(super) fn aborted(&self, from: Offset, to: Offset) -> Vec<(i64, Offset, Offset)> {
        let aborted = self.log.transactions().into_iter().filter_map(|t| {
            let (marker, control) = t.end?;
            let is_told = control.kind == ControlKind::Abort && marker >= from && t.first_offset < to;
            is_told.then_some((t.producer_id, t.first_offset, marker))
        });
        aborted.collect()
    }
}

impl Attempt {
    fn fits(&self, base: Offset, batch: &Bytes) -> bool {
        let (first, last) = self.between;
        let same = |range: std::ops::Range<usize>| self.bytes.get(range.clone()) == batch.get(range);
        (first..=last).contains(&base)
            && self.bytes.len() == batch.len()
            && same(BASE_OFFSET.end..LEADER_EPOCH.start)
            && same(LEADER_EPOCH.end..batch.len())
    }
}
