//! Producers and their transactions against a model that keeps every event and searches all of them.

use super::*;
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, ControlKind, ControlRecord, TimestampType};
use crate::storage::producers::{Producers, Verdict};
use crate::types::Error;
use proptest::prelude::*;

/// The header of a batch of `count` records; of a control batch if `base_sequence` is -1.
pub(super) fn header(stamp: ProducerStamp, base_offset: Offset, count: u32, is_transactional: bool) -> BatchHeader {
    let ProducerStamp { producer_id, producer_epoch, base_sequence } = stamp;
    BatchHeader {
        base_offset,
        batch_length: BATCH_HEADER_BYTES as u32,
        leader_epoch: 0,
        crc: 0,
        compression: Compression::None,
        timestamp_type: TimestampType::CreateTime,
        is_transactional,
        is_control: base_sequence == -1,
        has_delete_horizon: false,
        last_offset_delta: count - 1,
        base_timestamp: Timestamp(0),
        max_timestamp: Timestamp(0),
        producer_id,
        producer_epoch,
        base_sequence,
        records_count: count,
    }
}

pub(super) fn marker(commits: bool, coordinator_epoch: i32) -> ControlRecord {
    ControlRecord { kind: if commits { ControlKind::Commit } else { ControlKind::Abort }, coordinator_epoch }
}

/// What a producer sends next.
#[derive(Clone, Debug)]
pub(super) enum Send {
    /// What follows on its last batch.
    Next {
        count: u32,
        is_transactional: bool,
    },
    /// One of its last batches again, or something like it.
    Again {
        back: usize,
        longer: u32,
    },
    /// A sequence out of the blue.
    Gap(i32),
    Marker {
        commits: bool,
        coordinator_epoch: i32,
    },
}

pub(super) fn send() -> impl Strategy<Value = Send> {
    // Some so long that sequences wrap.
    let count = prop_oneof![4 => 1..4u32, 1 => (i32::MAX as u32 - 3)..=i32::MAX as u32];
    prop_oneof![
        6 => (count, any::<bool>()).prop_map(|(count, is_transactional)| Send::Next { count, is_transactional }),
        3 => (0..7usize, 0..8u32).prop_map(|(back, longer)| Send::Again { back, longer: longer / 7 }),
        1 => (0..i32::MAX).prop_map(Send::Gap),
        3 => (any::<bool>(), 0..6i32).prop_map(|(commits, epoch)| {
            Send::Marker { commits, coordinator_epoch: epoch / 4 }
        }),
    ]
}

/// An event that is in the log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Event {
    pub(super) header: BatchHeader,
    pub(super) control: Option<ControlRecord>,
    pub(super) at: Timestamp,
}

/// Every event in the log, and all that can be said by searching them.
#[derive(Clone, Default)]
pub(super) struct Model {
    pub(super) events: Vec<Event>,
    pub(super) high_watermark: Offset,
}

/// One transaction; its marker's offset and the marker, if it has ended.
pub(super) struct Transaction {
    pub(super) producer_id: i64,
    pub(super) first_offset: Offset,
    pub(super) end: Option<(Offset, ControlRecord)>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Expected {
    Append,
    Duplicate(Offset, Offset),
    OutOfOrder(i32),
    Refused,
}

impl Model {
    pub(super) fn end(&self) -> Offset {
        self.events.last().map_or(0, |event| event.header.next_offset())
    }

    fn of(&self, producer_id: i64) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(move |event| event.header.producer_id == producer_id)
    }

    pub(super) fn epoch(&self, producer_id: i64) -> Option<i16> {
        self.of(producer_id).map(|event| event.header.producer_epoch).max()
    }

    /// The last batches of one epoch, oldest first.
    pub(super) fn batches(&self, producer_id: i64, epoch: i16) -> Vec<BatchHeader> {
        let batches = self.of(producer_id).filter(|e| e.control.is_none() && e.header.producer_epoch == epoch);
        batches.map(|event| event.header).collect()
    }

    /// All transactions, by first offset.
    pub(super) fn transactions(&self) -> Vec<Transaction> {
        let mut all: Vec<Transaction> = Vec::new();
        for Event { header, control, .. } in &self.events {
            let (producer_id, first_offset) = (header.producer_id, header.base_offset);
            let open = all.iter_mut().find(|t| t.producer_id == producer_id && t.end.is_none());
            match (open, control) {
                (Some(open), Some(marker)) => open.end = Some((header.base_offset, *marker)),
                (None, None) if header.is_transactional => {
                    all.push(Transaction { producer_id, first_offset, end: None });
                }
                _ => {}
            }
        }
        all
    }

    pub(super) fn next_sequence(&self, producer_id: i64, epoch: i16) -> i32 {
        let follows = |last: &BatchHeader| {
            ((i64::from(last.base_sequence) + i64::from(last.last_offset_delta) + 1) % (1 << 31)) as i32
        };
        self.batches(producer_id, epoch).last().map_or(0, follows)
    }

    /// The header that a producer sends, and its marker.
    pub(super) fn sent(&self, producer_id: i64, epoch: i16, send: &Send) -> (BatchHeader, Option<ControlRecord>) {
        let stamp = |base_sequence| ProducerStamp { producer_id, producer_epoch: epoch, base_sequence };
        let (mut next, mut control, end) = (stamp(self.next_sequence(producer_id, epoch)), None, self.end());
        let header = match *send {
            Send::Next { count, is_transactional } => header(next, end, count, is_transactional),
            Send::Again { back, longer } => match self.batches(producer_id, epoch).iter().nth_back(back) {
                Some(batch) => {
                    let count = (batch.records_count + longer).min(i32::MAX as u32);
                    header(stamp(batch.base_sequence), end, count, batch.is_transactional)
                }
                None => header(next, end, 1, false),
            },
            Send::Gap(sequence) => header(stamp(sequence), end, 1, false),
            Send::Marker { commits, coordinator_epoch } => {
                control = Some(marker(commits, coordinator_epoch));
                next.base_sequence = -1;
                header(next, end, 1, true)
            }
        };
        (header, control)
    }

    pub(super) fn expected(&self, header: &BatchHeader, control: Option<ControlRecord>) -> Expected {
        let BatchHeader { producer_id, producer_epoch, .. } = *header;
        if self.epoch(producer_id).is_some_and(|epoch| producer_epoch < epoch) {
            return Expected::Refused;
        }
        if let Some(marker) = control {
            let newer = |event: &Event| event.control.is_some_and(|c| c.coordinator_epoch > marker.coordinator_epoch);
            return if self.of(producer_id).any(newer) { Expected::Refused } else { Expected::Append };
        }
        let batches = self.batches(producer_id, producer_epoch);
        let same =
            |b: &&BatchHeader| (b.base_sequence, b.records_count) == (header.base_sequence, header.records_count);
        if let Some(first) = batches.iter().rev().take(5).find(same) {
            return Expected::Duplicate(first.base_offset, first.last_offset());
        }
        let next = self.next_sequence(producer_id, producer_epoch);
        if header.base_sequence != next {
            return Expected::OutOfOrder(next);
        }
        let is_open = self.transactions().iter().any(|t| t.producer_id == producer_id && t.end.is_none());
        if is_open && !header.is_transactional { Expected::Refused } else { Expected::Append }
    }

    pub(super) fn last_stable_offset(&self) -> Offset {
        let holds = |t: &&Transaction| t.end.is_none_or(|(marker, _)| marker >= self.high_watermark);
        let transactions = self.transactions();
        let first = transactions.iter().filter(holds).map(|t| t.first_offset).min();
        first.unwrap_or(self.high_watermark).min(self.high_watermark)
    }
}

pub(super) fn check(producers: &Producers, header: &BatchHeader, control: Option<ControlRecord>) -> Expected {
    let partition = config(1).partition;
    let verdict = match control {
        Some(marker) => producers.check_marker(&partition, header, &marker).map(|()| Verdict::Append),
        None => producers.check(&partition, header),
    };
    match verdict {
        Ok(Verdict::Append) => Expected::Append,
        Ok(Verdict::Duplicate { base_offset, last_offset }) => Expected::Duplicate(base_offset, last_offset),
        Err(Error::OutOfOrderSequence { expected, .. }) => Expected::OutOfOrder(expected),
        Err(_) => Expected::Refused,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn producers_do_what_a_search_of_all_events_says(
        steps in prop::collection::vec((0..3i64, 0..9i16, send(), 0..4i64, 0..20u8), 1..80),
    ) {
        let (mut producers, mut model) = (Producers::default(), Model::default());
        for (now, (producer_id, epoch, send, lag, expires)) in steps.into_iter().enumerate() {
            let now = Timestamp(now as i64);
            // Mostly the same epoch.
            let (header, control) = model.sent(producer_id, epoch / 4, &send);
            let expected = model.expected(&header, control);
            prop_assert_eq!(check(&producers, &header, control), expected, "{:?}", header);
            if model.expected(&header, control) == Expected::Append {
                match control {
                    Some(marker) => {
                        let transactions = model.transactions();
                        let open = transactions.iter().find(|t| t.producer_id == producer_id && t.end.is_none());
                        let others = transactions.iter().filter(|t| t.producer_id != producer_id && t.end.is_none());
                        let stable = others.map(|t| t.first_offset).min().unwrap_or(header.next_offset());
                        let open = open.filter(|_| marker.kind == ControlKind::Abort);
                        let expected = open.map(|open| AbortedTransaction {
                            producer_id,
                            first_offset: open.first_offset,
                            last_offset: header.base_offset,
                            last_stable_offset: stable,
                        });
                        let epoch = header.producer_epoch;
                        let aborted = producers.end_transaction(producer_id, epoch, marker, header.base_offset, now);
                        prop_assert_eq!(aborted, expected);
                    }
                    None => producers.remember(&header, now),
                }
                model.events.push(Event { header, control, at: now });
            }
            model.high_watermark = model.high_watermark.max(model.end() - lag);
            producers.on_high_watermark(model.high_watermark);
            prop_assert_eq!(producers.last_stable_offset(model.high_watermark), model.last_stable_offset());
            let described = producers.describe();
            let described: Vec<_> = described.iter().map(|(stamp, last)| (stamp.producer_id, *last)).collect();
            let expected: Vec<_> = (0..3)
                .filter_map(|id| Some((id, model.batches(id, model.epoch(id)?).last()?.last_offset())))
                .collect();
            prop_assert_eq!(described, expected);
            if expires == 0 {
                let before = Timestamp(now.0 - 4);
                let transactions = model.transactions();
                let open = transactions.iter().filter(|t| t.end.is_none());
                let open: Vec<i64> = open.map(|t| t.producer_id).collect();
                let idle = |id: &i64| !open.contains(id) && model.of(*id).last().is_some_and(|last| last.at < before);
                let gone: Vec<i64> = (0..3).filter(idle).collect();
                prop_assert_eq!(producers.expire(before), gone.len());
                // What a forgotten producer did is forgotten, but not the transactions that it ended.
                for event in model.events.iter_mut().filter(|event| gone.contains(&event.header.producer_id)) {
                    event.header.producer_id += 100 * (now.0 + 1);
                }
            }
        }
    }
}

/// A batch of one record of a producer at `offset`, in its first epoch.
fn first_batch(producer_id: i64, offset: Offset, is_transactional: bool) -> BatchHeader {
    header(ProducerStamp { producer_id, producer_epoch: 0, base_sequence: 0 }, offset, 1, is_transactional)
}

#[test]
fn the_least_recent_producers_outside_of_transactions_make_room() {
    let mut producers = Producers::with_budget(3);
    // The first is in a transaction; the second is the oldest, then appends again.
    for id in 0..3 {
        producers.remember(&first_batch(id, id, id == 0), Timestamp(0));
    }
    let again = header(ProducerStamp { producer_id: 1, producer_epoch: 0, base_sequence: 1 }, 3, 1, false);
    producers.remember(&again, Timestamp(0));
    let ids = |producers: &Producers| producers.iter().map(|(id, _)| id).collect::<Vec<_>>();
    producers.remember(&first_batch(7, 4, false), Timestamp(0));
    assert_eq!(ids(&producers), [0, 1, 7]);
    for id in 8..20 {
        producers.remember(&first_batch(id, id, true), Timestamp(0));
    }
    // Only those in transactions are left, more than the budget. A newcomer is remembered until the next one comes.
    producers.remember(&first_batch(5, 30, false), Timestamp(0));
    assert_eq!(producers.iter().len(), 14);
    producers.remember(&first_batch(6, 31, false), Timestamp(0));
    assert!(!ids(&producers).contains(&5) && ids(&producers).contains(&6));
    // Restoring forgets nobody.
    let mut restored = Producers::with_budget(3);
    assert!(producers.iter().all(|(id, producer)| restored.restore(id, *producer)));
    assert_eq!(restored, producers);
    assert_eq!(producers.expire(Timestamp::MAX), 1, "never one in a transaction");
    assert_eq!(producers.last_stable_offset(40), 0);
}

#[test]
fn a_flood_of_producers_stops_at_the_limit() {
    let mut producers = Producers::default();
    let max = crate::types::limits::PRODUCERS_PER_PARTITION_MAX as i64;
    for id in 0..max + 500 {
        producers.remember(&first_batch(id, id, false), Timestamp(id));
    }
    assert_eq!(producers.iter().len() as i64, max);
    assert_eq!(producers.iter().next().unwrap().0, 500);
    assert_eq!(producers.expire(Timestamp(1000)), 500);
}
