//! What the checkpoint knows of each partition, and the changes that it is made of.
//!
//! A state is the sum of its changes, in order; [`PartitionState::changes`] gives the shortest history with the same
//! sum, which is what a compacted checkpoint holds.

use super::entry::encoded_len;
use super::point::DurablePoint;
use crate::types::{Offset, PartitionIndex, TopicId};
use std::collections::BTreeMap;

/// A segment that is not appended to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedSegment {
    /// The offset that its file is named by.
    pub base: Offset,
    /// 0 as it was appended; higher when it was rewritten.
    pub generation: u32,
    /// Bytes of its file.
    pub bytes: u64,
    /// The offset behind its last batch.
    pub next_offset: Offset,
}

/// What is known of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionState {
    /// How far it is durable; `None` if no point was recorded, which is as good as offset 0.
    pub durable: Option<DurablePoint>,
    /// The first offset that may be read.
    pub log_start_offset: Offset,
    /// Its sealed segments, in order of base offset.
    pub sealed: Vec<SealedSegment>,
}

/// One change of a partition's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is durable up to here.
    Durable(DurablePoint),
    /// Nothing below this offset may be read any more.
    LogStart(Offset),
    /// Sealed segments whose base lies in `[from, to)` are replaced by `with`, at once. One that lies below the log start,
    /// or in one of a higher generation that is there, is late news and counts for nothing.
    Segments {
        /// The first base that is replaced.
        from: Offset,
        /// The first base that is not.
        to: Offset,
        /// In order of base, each base in `[from, to)`.
        with: Vec<SealedSegment>,
    },
}

impl Change {
    /// Whether the change can be applied to any state: offsets are not negative, segments are in order and in range.
    pub(super) fn is_valid(&self) -> bool {
        match self {
            Self::Durable(point) => point.offset >= 0 && point.segment_base >= 0,
            Self::LogStart(offset) => *offset >= 0,
            Self::Segments { from, to, with } => {
                let in_order = with.windows(2).all(|pair| pair[0].base < pair[1].base);
                let in_range = |s: &SealedSegment| (*from..*to).contains(&s.base) && s.next_offset >= s.base;
                (0..=*to).contains(from) && in_order && with.iter().all(in_range)
            }
        }
    }
}

impl PartitionState {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Durable(point) => self.durable = Some(point),
            Change::LogStart(offset) => self.log_start_offset = offset,
            Change::Segments { from, to, mut with } => {
                // Whoever tells of a sealed segment may be late: after it was rewritten, or deleted (below).
                let is_rewritten = |new: &SealedSegment| {
                    let holds = |old: &SealedSegment| (old.base..old.next_offset).contains(&new.base);
                    self.sealed.iter().any(|old| old.generation > new.generation && holds(old))
                };
                let told = with.len();
                with.retain(|new| !is_rewritten(new));
                if with.is_empty() && told > 0 {
                    return;
                }
                let start = self.sealed.partition_point(|segment| segment.base < from);
                let end = self.sealed.partition_point(|segment| segment.base < to);
                self.sealed.splice(start..end, with);
            }
        }
        let start = self.log_start_offset;
        self.sealed.retain(|segment| segment.next_offset > start || start == 0);
    }

    /// The changes that make this state from nothing; there is always one, so that the partition stays known.
    fn changes(&self) -> impl Iterator<Item = Change> {
        let durable = self.durable.map(Change::Durable);
        let with = self.sealed.clone();
        let sealed = (!with.is_empty()).then_some(Change::Segments { from: 0, to: Offset::MAX, with });
        [Some(Change::LogStart(self.log_start_offset)), durable, sealed].into_iter().flatten()
    }

    /// Bytes of its changes in a compacted checkpoint.
    fn encoded_len(&self) -> u64 {
        encoded_len(self.durable.is_some(), self.sealed.len())
    }
}

/// The states of all partitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct States {
    by_partition: BTreeMap<(TopicId, PartitionIndex), PartitionState>,
    /// What they take in a compacted checkpoint, without the headers of frames.
    encoded_len: u64,
}

impl States {
    pub(super) fn of(&self, topic: TopicId, partition: PartitionIndex) -> Option<&PartitionState> {
        self.by_partition.get(&(topic, partition))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TopicId, PartitionIndex, &PartitionState)> {
        self.by_partition.iter().map(|((topic, partition), state)| (*topic, *partition, state))
    }

    /// The shortest history that leads here.
    pub(super) fn changes(&self) -> impl Iterator<Item = (TopicId, PartitionIndex, Change)> {
        self.iter().flat_map(|(topic, partition, state)| state.changes().map(move |c| (topic, partition, c)))
    }

    pub(super) fn encoded_len(&self) -> u64 {
        self.encoded_len
    }

    /// Applies a valid change.
    pub(super) fn apply(&mut self, topic: TopicId, partition: PartitionIndex, change: Change) {
        let mut before = 0;
        let state = self.by_partition.entry((topic, partition));
        let state = state.and_modify(|state| before = state.encoded_len()).or_default();
        state.apply(change);
        self.encoded_len = self.encoded_len - before + state.encoded_len();
    }

    pub(super) fn forget(&mut self, topic: TopicId) {
        let encoded_len = &mut self.encoded_len;
        self.by_partition.retain(|(of, _), state| {
            let stays = *of != topic;
            *encoded_len -= if stays { 0 } else { state.encoded_len() };
            stays
        });
    }
}
