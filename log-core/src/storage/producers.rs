//! What a partition remembers of idempotent producers, so that a batch that is sent again is answered and not
//! appended again (KIP-98).
//!
//! Sequences count records per producer and partition, from 0, and wrap after `i32::MAX`. The last five batches of
//! each producer are kept, as many as Kafka's clients have in flight. Derived from the log when it is opened.
//!
//! Left out: expiry of producers that are silent for long (each costs about 200 bytes).

use crate::record::{BatchHeader, ProducerStamp};
use crate::types::{Error, Offset, Result, TopicPartition};
use std::collections::{BTreeMap, VecDeque};

/// Batches remembered of each producer.
const BATCHES_REMEMBERED: usize = 5;

/// The idempotent producers of one partition, by producer id.
#[derive(Debug, Default)]
pub(super) struct Producers(BTreeMap<i64, Producer>);

#[derive(Debug)]
struct Producer {
    epoch: i16,
    /// Never empty; the latest is last.
    batches: VecDeque<Remembered>,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    base_sequence: i32,
    last_sequence: i32,
    base_offset: Offset,
    last_offset: Offset,
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

impl Producers {
    /// Whether a batch continues where its producer left off. Changes nothing.
    ///
    /// A producer that is not known starts at sequence 0; one with a newer epoch starts where it likes.
    /// [`Error::OutOfOrderSequence`] for a gap, [`Error::InvalidRequest`] for an epoch that was superseded.
    pub(super) fn check(&self, partition: &TopicPartition, header: &BatchHeader) -> Result<Verdict> {
        let Some(stamp) = header.stamp() else { return Ok(Verdict::Append) };
        let out_of_order = |expected| {
            let partition = partition.clone();
            let (producer_id, got) = (stamp.producer_id, stamp.base_sequence);
            Err(Error::OutOfOrderSequence { partition, producer_id, got, expected })
        };
        let Some(known) = self.0.get(&stamp.producer_id) else {
            return if stamp.base_sequence == 0 { Ok(Verdict::Append) } else { out_of_order(0) };
        };
        if stamp.producer_epoch > known.epoch {
            return Ok(Verdict::Append);
        }
        if stamp.producer_epoch < known.epoch {
            let why = format!(
                "producer {} has moved on to epoch {}; epoch {} may not write any more",
                stamp.producer_id, known.epoch, stamp.producer_epoch
            );
            return Err(Error::InvalidRequest { why });
        }
        let last_sequence = sequence_after(stamp.base_sequence, header.last_offset_delta);
        let same = |b: &&Remembered| b.base_sequence == stamp.base_sequence && b.last_sequence == last_sequence;
        if let Some(batch) = known.batches.iter().find(same) {
            return Ok(Verdict::Duplicate { base_offset: batch.base_offset, last_offset: batch.last_offset });
        }
        let expected = sequence_after(known.last().last_sequence, 1);
        if stamp.base_sequence == expected { Ok(Verdict::Append) } else { out_of_order(expected) }
    }

    /// Remembers a batch that is in the log now; `header` has its offsets.
    pub(super) fn remember(&mut self, header: &BatchHeader) {
        let Some(stamp) = header.stamp() else { return };
        let batch = Remembered {
            base_sequence: stamp.base_sequence,
            last_sequence: sequence_after(stamp.base_sequence, header.last_offset_delta),
            base_offset: header.base_offset,
            last_offset: header.last_offset(),
        };
        let known = self.0.entry(stamp.producer_id);
        let known = known.or_insert_with(|| Producer { epoch: stamp.producer_epoch, batches: VecDeque::new() });
        if known.epoch != stamp.producer_epoch {
            known.epoch = stamp.producer_epoch;
            known.batches.clear();
        }
        if known.batches.len() == BATCHES_REMEMBERED {
            known.batches.pop_front();
        }
        known.batches.push_back(batch);
    }

    /// The last record that each producer appended, by producer id: its sequence (as `base_sequence`) and offset.
    pub(super) fn describe(&self) -> Vec<(ProducerStamp, Offset)> {
        let describe = |(&producer_id, producer): (&i64, &Producer)| {
            let last = producer.last();
            let stamp =
                ProducerStamp { producer_id, producer_epoch: producer.epoch, base_sequence: last.last_sequence };
            (stamp, last.last_offset)
        };
        self.0.iter().map(describe).collect()
    }
}

impl Producer {
    fn last(&self) -> &Remembered {
        self.batches.back().expect("a producer is known by a batch")
    }
}

/// The sequence `by` records after `sequence`; 0 follows `i32::MAX`.
const fn sequence_after(sequence: i32, by: u32) -> i32 {
    ((sequence as i64 + by as i64) & i32::MAX as i64) as i32
}
