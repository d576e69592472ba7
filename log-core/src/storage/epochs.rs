//! The leader epochs of a log: which leader wrote which offsets (KIP-101, KIP-279).
//!
//! ```text
//!   entries  (epoch 1, from 0)   (epoch 4, from 120)   (epoch 5, from 300)       log end 340
//!            [0 ······· 120)     [120 ····· 300)       [300 ···· 340)
//! ```
//! Two replicas whose logs differ find the place where they parted by asking each other where an epoch ended: a
//! follower with records of epoch 3 learns from this log that epoch 1 ended at 120, and cuts what it has behind that.
//! So a new leader assigns its epoch before it has written anything.
//!
//! Invariants: epochs and start offsets grow from entry to entry. Derived from the batches of the log, except an
//! epoch in which nothing was written; the next one that begins at the same offset takes its place.

use crate::types::{Offset, OffsetRange};

/// The epochs of one log, each with the offset at which it began, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LeaderEpochs(Vec<(i32, Offset)>);

impl LeaderEpochs {
    /// From entries, if they grow as they must.
    pub(super) fn from_entries(entries: Vec<(i32, Offset)>) -> Option<Self> {
        let grows = |pair: &[(i32, Offset)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        let starts_well = entries.first().is_none_or(|&(epoch, start)| epoch >= 0 && start >= 0);
        (starts_well && entries.windows(2).all(grows)).then_some(Self(entries))
    }

    /// All entries, oldest first.
    pub(super) fn entries(&self) -> &[(i32, Offset)] {
        &self.0
    }

    /// The entries that reach into `range`: for a segment's footer.
    pub(super) fn within(&self, range: OffsetRange) -> &[(i32, Offset)] {
        let from = self.0.partition_point(|&(_, start)| start <= range.start).saturating_sub(1);
        let to = self.0.partition_point(|&(_, start)| start < range.end);
        &self.0[from.min(to)..to]
    }

    /// What is written from `start_offset` on is of `epoch`. The latest epoch again, an older one or a negative one
    /// changes nothing: whoever appends refuses those. Entries from `start_offset` on have lost their records.
    pub(super) fn assign(&mut self, epoch: i32, start_offset: Offset) {
        if epoch < 0 || start_offset < 0 || self.latest().is_some_and(|latest| epoch <= latest) {
            return;
        }
        self.truncate_from_end(start_offset);
        self.0.push((epoch, start_offset));
    }

    /// The epoch of the last entry.
    pub(super) fn latest(&self) -> Option<i32> {
        self.0.last().map(|&(epoch, _)| epoch)
    }

    /// The epoch in which the record at `offset` was written, or would be. `None` below the first entry.
    pub(super) fn epoch_at(&self, offset: Offset) -> Option<i32> {
        let upto = self.0.partition_point(|&(_, start)| start <= offset);
        Some(self.0[upto.checked_sub(1)?].0)
    }

    /// Where `epoch` ended in this log, and which epoch that is: `epoch` itself or the largest below it (Kafka's
    /// OffsetsForLeaderEpoch). The latest ends at `log_end`. `None` if it is negative or above the latest.
    ///
    /// Below the first entry it is `epoch` and where the first begins: the records before that are gone, and whoever
    /// asks has to begin there.
    pub(super) fn end_offset_for(&self, epoch: i32, log_end: Offset) -> Option<(i32, Offset)> {
        if epoch < 0 {
            return None;
        }
        if self.latest() == Some(epoch) {
            return Some((epoch, log_end));
        }
        let higher = self.0.partition_point(|&(known, _)| known <= epoch);
        let &(_, end_offset) = self.0.get(higher)?;
        let floor = higher.checked_sub(1).map_or(epoch, |floor| self.0[floor].0);
        Some((floor, end_offset))
    }

    /// The log was cut to `end`: epochs that began there or later are gone.
    pub(super) fn truncate_from_end(&mut self, end: Offset) {
        self.0.truncate(self.0.partition_point(|&(_, start)| start < end));
    }

    /// The log begins at `start` now: epochs that ended before are gone, and the one that holds `start` begins there.
    pub(super) fn truncate_from_start(&mut self, start: Offset) {
        let upto = self.0.partition_point(|&(_, began)| began <= start);
        if let Some(floor) = upto.checked_sub(1) {
            self.0.drain(..floor);
            self.0[0].1 = start;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn epochs(entries: &[(i32, Offset)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        entries.iter().for_each(|&(epoch, offset)| epochs.assign(epoch, offset));
        epochs
    }

    /// The cases of Kafka's LeaderEpochFileCacheTest.
    #[test]
    fn an_epochs_end_is_found_as_kafka_finds_it() {
        let drawn = epochs(&[(1, 0), (4, 120), (5, 300)]);
        assert_eq!(drawn.end_offset_for(5, 340), Some((5, 340)), "the latest ends where the log does");
        assert_eq!(drawn.end_offset_for(4, 340), Some((4, 300)));
        assert_eq!(drawn.end_offset_for(3, 340), Some((1, 120)), "one that this log has not seen");
        assert_eq!(drawn.end_offset_for(6, 340), None, "above the latest");
        assert_eq!(drawn.end_offset_for(-1, 340), None);
        assert_eq!(epochs(&[]).end_offset_for(0, 340), None);
        assert_eq!(epochs(&[(3, 7), (5, 9)]).end_offset_for(0, 12), Some((0, 7)), "below the first");
        assert_eq!(drawn.epoch_at(119), Some(1));
        assert_eq!(drawn.epoch_at(120), Some(4));
        assert_eq!(epochs(&[(3, 7)]).epoch_at(6), None);
    }

    #[test]
    fn epochs_only_grow_and_one_without_records_gives_way() {
        assert_eq!(epochs(&[(1, 0), (1, 5), (0, 9), (-1, 9)]).entries(), [(1, 0)]);
        assert_eq!(epochs(&[(1, 0), (2, 9), (3, 9)]).entries(), [(1, 0), (3, 9)]);
        assert_eq!(epochs(&[(1, 0), (2, 9), (3, 9)]).end_offset_for(2, 9), Some((1, 9)));
    }

    #[test]
    fn truncation_keeps_the_floor() {
        let mut cut = epochs(&[(2, 6), (3, 8), (4, 11)]);
        cut.truncate_from_start(5);
        assert_eq!(cut.entries(), [(2, 6), (3, 8), (4, 11)], "nothing lies before the first");
        cut.truncate_from_start(9);
        assert_eq!(cut.entries(), [(3, 9), (4, 11)]);
        cut.truncate_from_end(11);
        assert_eq!(cut.entries(), [(3, 9)]);
        cut.truncate_from_start(20);
        assert_eq!(cut.entries(), [(3, 20)]);
        cut.truncate_from_end(20);
        assert_eq!(cut.entries(), []);
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// A leader of a later epoch begins, and writes so many records.
        Lead {
            later: i32,
            records: i64,
        },
        CutEnd(i64),
        CutStart(i64),
    }

    proptest! {
        /// The model is the epoch of every record, by offset.
        #[test]
        fn any_history_is_what_an_array_of_epochs_says(
            steps in prop::collection::vec(prop_oneof![
                4 => (1..3i32, 0..4i64).prop_map(|(later, records)| Step::Lead { later, records }),
                1 => (0..12i64).prop_map(Step::CutEnd),
                1 => (0..12i64).prop_map(Step::CutStart),
            ], 0..20),
        ) {
            let (mut epochs, mut model, mut start, mut epoch) = (LeaderEpochs::default(), Vec::<i32>::new(), 0, 0);
            for step in steps {
                let end = model.len() as i64;
                match step {
                    Step::Lead { later, records } => {
                        epoch += later;
                        epochs.assign(epoch, end);
                        for offset in end..end + records {
                            epochs.assign(epoch, offset);
                            model.push(epoch);
                        }
                    }
                    Step::CutEnd(back) => {
                        model.truncate((end - back).max(start) as usize);
                        epochs.truncate_from_end(model.len() as i64);
                    }
                    Step::CutStart(ahead) => {
                        start = (start + ahead).min(end);
                        epochs.truncate_from_start(start);
                    }
                }
                let end = model.len() as i64;
                let (from, to) = (start + (end - start) / 3, end - (end - start) / 3);
                let mut reach = model[from as usize..to as usize].to_vec();
                reach.dedup();
                let within = epochs.within(OffsetRange::new(from, to));
                prop_assert_eq!(within.iter().map(|entry| entry.0).collect::<Vec<_>>(), reach);
                let live = &model[start as usize..];
                for offset in start..end {
                    prop_assert_eq!(epochs.epoch_at(offset), Some(model[offset as usize]), "at {}", offset);
                }
                for asked in live.first().copied().unwrap_or(i32::MAX)..live.last().copied().unwrap_or(0) {
                    let ended = live.iter().position(|of| *of > asked).expect("the last is larger") as i64 + start;
                    let of = live.iter().copied().filter(|of| *of <= asked).max().expect("the first is not larger");
                    prop_assert_eq!(epochs.end_offset_for(asked, end), Some((of, ended)), "of {}", asked);
                }
                prop_assert_eq!(LeaderEpochs::from_entries(epochs.0.clone()), Some(epochs.clone()));
            }
        }
    }
}
