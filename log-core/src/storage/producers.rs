//! What a partition remembers of idempotent producers, so that a batch that is sent again is answered and not
//! appended again, and of their transactions (KIP-98).
//!
//! Sequences count records per producer and partition, from 0, and wrap after `i32::MAX`. The last five batches of
//! each producer are kept, as many as Kafka's clients have in flight. A producer whose epoch has grown begins again at
//! 0 (KIP-360), and what comes of an older epoch, a batch or a marker, is refused.
//!
//! Everything follows from the batches of the log in their order: [`Producers::check`] and
//! [`Producers::check_marker`] say whether one may be appended, [`Producers::remember`] and
//! [`Producers::end_transaction`] take in one that is in the log, at append and at recovery alike.
//!
//! A producer costs 120 bytes (asserted below), about 200 with its places in maps that are two thirds full. A client
//! that asks for a new producer id with every connection would fill memory with them (KIP-936), so no more than
//! [`limits::PRODUCERS_PER_PARTITION_MAX`] are remembered: the ones that go are those that appended least recently
//! and are not in a transaction. By offset, not by time, so that every replica forgets the same ones. One that is
//! forgotten and comes back is told that its sequence is out of order, and begins a new epoch.
//!
//! Left out: a bound on transactions that are open at once; their coordinator ends each after its timeout.

use super::transactions::{AbortedTransaction, Unstable};
use crate::mutants::{self, Mutant};
use crate::record::{BatchHeader, ControlKind, ControlRecord, ProducerStamp};
use crate::types::{Error, Offset, ProducerIdentity, Result, Timestamp, TopicPartition, limits};
use std::collections::BTreeMap;

/// Batches remembered of each producer.
pub(super) const BATCHES_REMEMBERED: usize = 5;

/// The idempotent producers of one partition, by producer id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Producers {
    known: BTreeMap<i64, Producer>,
    /// Those that are not in a transaction, by the offset of what they appended last.
    idle: BTreeMap<Offset, i64>,
    unstable: Unstable,
    /// How many are remembered, but for those in transactions.
    pub(super) max: usize,
}

/// One producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Producer {
    pub(super) epoch: i16,
    /// Of the last marker; -1 before.
    pub(super) coordinator_epoch: i32,
    /// By the clock of the broker that appended or recovered it.
    pub(super) last_use: Timestamp,
    pub(super) standing: Standing,
    /// Of this epoch.
    pub(super) batches: RememberedBatches,
}

/// Whether a producer is in a transaction, and the offset that it is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// No transaction is open; `last` is the last offset that it appended, a marker's included.
    Idle { last: Offset },
    /// Its transaction began at `first`.
    InTransaction { first: Offset },
}

/// A batch in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remembered {
    pub(super) last_offset: Offset,
    pub(super) last_sequence: i32,
    /// Its records, less one.
    pub(super) last_offset_delta: u32,
}

/// Up to five batches, oldest first, without a heap allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RememberedBatches {
    batches: [Remembered; BATCHES_REMEMBERED],
    len: u8,
}

const _: () = assert!(size_of::<Producer>() == 120);

/// What is told of a producer (Kafka's DescribeProducers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// Who it is.
    pub producer: ProducerIdentity,
    /// Of the last record that it appended in this epoch; -1 if there is none.
    pub last_sequence: i32,
    /// The same.
    pub last_offset: Offset,
    /// When it appended last, by the broker's clock.
    pub last_use: Timestamp,
    /// Of the coordinator that wrote its last marker; -1 before.
    pub coordinator_epoch: i32,
    /// Where its open transaction began.
    pub transaction_start: Option<Offset>,
}

/// What to do with a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// It is in the log already, at these offsets.
    Duplicate {
        base_offset: Offset,
        last_offset: Offset,
    },
}

impl Default for Producers {
    fn default() -> Self {
        Self::with_budget(limits::PRODUCERS_PER_PARTITION_MAX)
    }
}

impl Producers {
    /// None, and no more than `max` later on.
    pub(super) const fn with_budget(max: usize) -> Self {
        Self { known: BTreeMap::new(), idle: BTreeMap::new(), unstable: Unstable::new(), max }
    }

    /// Whether a batch of records continues where its producer left off. Changes nothing. A control batch has no
    /// sequence to check; see [`Producers::check_marker`].
    ///
    /// A producer that is not known, or has a newer epoch, starts at sequence 0. [`Error::OutOfOrderSequence`] for a
    /// gap; [`Error::StaleProducerEpoch`] for an epoch that was superseded; [`Error::InvalidTransactionState`] for records
    /// outside of the transaction that their producer has open.
    pub(super) fn check(&self, partition: &TopicPartition, header: &BatchHeader) -> Result<Verdict> {
        let Some(stamp) = header.stamp().filter(|_| !header.is_control) else { return Ok(Verdict::Append) };
        let known = self.known.get(&stamp.producer_id);
        if let Some(known) = known {
            known.check_epoch(partition, stamp.producer_id, stamp.producer_epoch)?;
        }
        let current = known.filter(|known| known.epoch == stamp.producer_epoch);
        let batches = current.map_or(&[][..], |current| current.batches.as_slice());
        let last_sequence = sequence_after(stamp.base_sequence, header.last_offset_delta);
        let same = |batch: &&Remembered| {
            batch.last_sequence == last_sequence && batch.last_offset_delta == header.last_offset_delta
        };
        if mutants::active(Mutant::ReuseSequence) && batches.iter().any(|batch| same(&batch)) {
            return Ok(Verdict::Append);
        }
        if let Some(batch) = batches.iter().find(same) {
            return Ok(Verdict::Duplicate { base_offset: batch.base_offset(), last_offset: batch.last_offset });
        }
        let expected = batches.last().map_or(0, |last| sequence_after(last.last_sequence, 1));
        if stamp.base_sequence != expected {
            let (producer_id, got) = (stamp.producer_id, stamp.base_sequence);
            return Err(Error::OutOfOrderSequence { partition: partition.clone(), producer_id, got, expected });
        }
        if !header.is_transactional && known.is_some_and(|known| known.first_in_transaction().is_some()) {
            let why = format!(
                "producer {} has a transaction open in {partition}; end it before sending records outside of one",
                stamp.producer_id
            );
            return Err(Error::InvalidTransactionState { why });
        }
        Ok(Verdict::Append)
    }

    /// Whether a transaction marker may be appended: not if its producer or its coordinator was superseded
    /// ([`Error::StaleProducerEpoch`], [`Error::InvalidRequest`]).
    pub(super) fn check_marker(
        &self,
        partition: &TopicPartition,
        header: &BatchHeader,
        marker: &ControlRecord,
    ) -> Result<()> {
        let Some(known) = self.known.get(&header.producer_id) else { return Ok(()) };
        known.check_epoch(partition, header.producer_id, header.producer_epoch)?;
        if marker.coordinator_epoch < known.coordinator_epoch {
            let why = format!(
                "the coordinator of producer {} has moved on to epoch {}; epoch {} may not end its transactions",
                header.producer_id, known.coordinator_epoch, marker.coordinator_epoch
            );
            return Err(Error::InvalidRequest { why });
        }
        Ok(())
    }

    /// Remembers a batch of records that is in the log now; `header` has its offsets. `now` counts as its producer's
    /// last use. A transactional batch opens a transaction if none is open.
    pub(super) fn remember(&mut self, header: &BatchHeader, now: Timestamp) {
        let Some(stamp) = header.stamp().filter(|_| !header.is_control) else { return };
        let batch = Remembered {
            last_offset: header.last_offset(),
            last_sequence: sequence_after(stamp.base_sequence, header.last_offset_delta),
            last_offset_delta: header.last_offset_delta,
        };
        let mut producer = self.take(stamp.producer_id).unwrap_or_else(|| Producer::new(stamp.producer_epoch));
        producer.set_epoch(stamp.producer_epoch);
        producer.batches.push(batch);
        producer.last_use = now;
        if producer.first_in_transaction().is_none() {
            producer.standing = if header.is_transactional {
                Standing::InTransaction { first: header.base_offset }
            } else {
                Standing::Idle { last: header.last_offset() }
            };
        }
        self.put(stamp.producer_id, producer);
    }

    /// Takes in a marker that is in the log now, at `marker_offset`: ends its producer's transaction and fences older
    /// epochs of it. What was aborted, if it says so and there was anything. One of an older epoch, or one that is not
    /// about transactions, does nothing.
    pub(super) fn end_transaction(
        &mut self,
        producer_id: i64,
        epoch: i16,
        marker: ControlRecord,
        marker_offset: Offset,
        now: Timestamp,
    ) -> Option<AbortedTransaction> {
        let is_superseded = self.known.get(&producer_id).is_some_and(|known| epoch < known.epoch);
        if matches!(marker.kind, ControlKind::Other(_)) || producer_id < 0 || is_superseded {
            return None;
        }
        let mut producer = self.take(producer_id).unwrap_or_else(|| Producer::new(epoch));
        let first_offset = producer.first_in_transaction();
        producer.set_epoch(epoch);
        producer.coordinator_epoch = producer.coordinator_epoch.max(marker.coordinator_epoch);
        producer.last_use = now;
        producer.standing = Standing::Idle { last: marker_offset };
        let ended = first_offset.map(|first| (first, self.unstable.end(first, marker_offset)));
        self.put(producer_id, producer);
        let (first_offset, last_stable_offset) = ended.filter(|_| marker.kind == ControlKind::Abort)?;
        Some(AbortedTransaction { producer_id, first_offset, last_offset: marker_offset, last_stable_offset })
    }

    /// Where readers of committed records stop: at the first transaction that is open, or whose end may yet be lost,
    /// and at the high watermark. The caller holds it to the log start offset, which may have passed an open one.
    pub(super) fn last_stable_offset(&self, high_watermark: Offset) -> Offset {
        self.unstable.first_offset().map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// Everything below `high_watermark` will not be lost, markers too.
    pub(super) fn on_high_watermark(&mut self, high_watermark: Offset) {
        self.unstable.on_high_watermark(high_watermark);
    }

    /// Forgets producers without an open transaction whose last use was before `before`; how many.
    pub(super) fn expire(&mut self, before: Timestamp) -> usize {
        let Self { known, idle, .. } = self;
        let remembered = idle.len();
        // All are looked at: a clock that was set back must not make one hide the others.
        idle.retain(|_, producer_id| {
            let is_used = known.get(producer_id).is_some_and(|producer| producer.last_use >= before);
            if !is_used {
                known.remove(producer_id);
            }
            is_used
        });
        remembered - idle.len()
    }

    /// The last record that each producer appended, by producer id: its sequence (as `base_sequence`) and offset.
    pub(super) fn describe(&self) -> Vec<(ProducerStamp, Offset)> {
        let describe = |(producer_id, producer): (i64, &Producer)| {
            let last = producer.batches.as_slice().last()?;
            let stamp =
                ProducerStamp { producer_id, producer_epoch: producer.epoch, base_sequence: last.last_sequence };
            Some((stamp, last.last_offset))
        };
        self.iter().filter_map(describe).collect()
    }

    /// The same with all that is known of them, and where the transaction of each began that has one open.
    pub(super) fn describe_all(&self) -> Vec<ProducerDescription> {
        let describe = |(id, producer): (i64, &Producer)| {
            let last = producer.batches.as_slice().last();
            ProducerDescription {
                producer: ProducerIdentity { id, epoch: producer.epoch },
                last_sequence: last.map_or(-1, |last| last.last_sequence),
                last_offset: last.map_or(-1, |last| last.last_offset),
                last_use: producer.last_use,
                coordinator_epoch: producer.coordinator_epoch,
                transaction_start: producer.first_in_transaction(),
            }
        };
        self.iter().map(describe).collect()
    }

    /// All producers, by producer id.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Producer)> {
        self.known.iter().map(|(&producer_id, producer)| (producer_id, producer))
    }

    /// The transactions that have ended and still hold the last stable offset.
    pub(super) const fn unstable(&self) -> &Unstable {
        &self.unstable
    }

    /// One of what [`Producers::iter`] gave, in that order. `false` if it cannot be.
    pub(super) fn restore(&mut self, producer_id: i64, producer: Producer) -> bool {
        let follows = self.known.last_key_value().map_or(producer_id >= 0, |(&last, _)| last < producer_id);
        let is_free = match producer.standing {
            Standing::Idle { last } => !self.idle.contains_key(&last),
            Standing::InTransaction { first } => !self.unstable.is_ongoing(first),
        };
        if follows && is_free {
            self.insert(producer_id, producer);
        }
        follows && is_free
    }

    /// As [`Unstable::restore_decided`].
    pub(super) fn restore_decided(&mut self, first_offset: Offset, marker_offset: Offset) -> bool {
        self.unstable.restore_decided(first_offset, marker_offset)
    }

    /// Takes a producer out of the indexes, to be changed and put back.
    fn take(&mut self, producer_id: i64) -> Option<Producer> {
        let producer = *self.known.get(&producer_id)?;
        if let Standing::Idle { last } = producer.standing {
            self.idle.remove(&last);
        }
        Some(producer)
    }

    fn insert(&mut self, producer_id: i64, producer: Producer) {
        self.known.insert(producer_id, producer);
        match producer.standing {
            Standing::Idle { last } => drop(self.idle.insert(last, producer_id)),
            Standing::InTransaction { first } => self.unstable.begin(producer_id, first),
        }
    }

    /// Puts a producer in, and forgets the least recent if that is one too many.
    fn put(&mut self, producer_id: i64, producer: Producer) {
        self.insert(producer_id, producer);
        if self.known.len() > self.max
            && let Some(entry) = self.idle.first_entry()
            && *entry.get() != producer_id
        {
            self.known.remove(&entry.remove());
        }
    }
}

impl Producer {
    fn new(epoch: i16) -> Self {
        let standing = Standing::Idle { last: 0 };
        let batches = RememberedBatches::default();
        Self { epoch, coordinator_epoch: -1, last_use: Timestamp::MIN, standing, batches }
    }

    fn check_epoch(&self, partition: &TopicPartition, id: i64, epoch: i16) -> Result<()> {
        if epoch >= self.epoch {
            return Ok(());
        }
        let (partition, producer) = (partition.clone(), ProducerIdentity { id, epoch });
        Err(Error::StaleProducerEpoch { partition, producer, current: self.epoch })
    }

    fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches = RememberedBatches::default();
        }
    }

    const fn first_in_transaction(&self) -> Option<Offset> {
        match self.standing {
            Standing::InTransaction { first } => Some(first),
            Standing::Idle { .. } => None,
        }
    }
}

impl Remembered {
    const fn base_offset(&self) -> Offset {
        self.last_offset - self.last_offset_delta as i64
    }
}

impl RememberedBatches {
    pub(super) fn as_slice(&self) -> &[Remembered] {
        &self.batches[..usize::from(self.len)]
    }

    /// Adds one; the oldest goes if there are five.
    pub(super) fn push(&mut self, batch: Remembered) {
        if usize::from(self.len) == BATCHES_REMEMBERED {
            self.batches.rotate_left(1);
            self.len -= 1;
        }
        self.batches[usize::from(self.len)] = batch;
        self.len += 1;
    }
}

/// The sequence `by` records after `sequence`; 0 follows `i32::MAX`.
const fn sequence_after(sequence: i32, by: u32) -> i32 {
    ((sequence as i64 + by as i64) & i32::MAX as i64) as i32
}
