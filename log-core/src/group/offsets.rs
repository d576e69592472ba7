//! The positions of one group: committed, and waiting for the end of a transaction.
//!
//! A committed position is there when its record is durable. One of a transaction is noted when its record is submitted,
//! so that the transaction's end finds it whatever comes in between, and taken back if that fails.
//!
//! A transaction's end writes the positions as committed and forgets the waiting ones in one batch: after a crash either
//! both has happened or neither, and the transaction coordinator asks again.

use super::messages::Position;
use super::records::{Committed, Pending, Record};
use crate::types::{GroupId, ProducerIdentity, Timestamp, TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::time::Duration;

/// The positions of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) committed: BTreeMap<TopicPartition, Committed>,
    /// By producer id.
    pub(crate) pending: BTreeMap<i64, BTreeMap<TopicPartition, Pending>>,
}

impl Offsets {
    pub(super) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// Whether a transaction is open that has committed a position of this partition.
    pub(crate) fn is_unstable(&self, partition: &TopicPartition) -> bool {
        self.pending.values().any(|pending| pending.contains_key(partition))
    }

    /// The records that commit positions.
    pub(super) fn commit(
        &mut self,
        group: &GroupId,
        producer: Option<ProducerIdentity>,
        positions: Vec<Position>,
        at: Timestamp,
    ) -> Vec<Record> {
        let record = |Position { partition, topic_id, position }| {
            let committed = Committed { position, topic_id, at };
            match producer {
                None => Record::Offset { group: group.clone(), partition, state: Some(committed) },
                Some(ProducerIdentity { id: producer_id, epoch: producer_epoch }) => {
                    let state = Some(Pending { producer_epoch, committed });
                    Record::Pending { group: group.clone(), producer_id, partition, state }
                }
            }
        };
        let records: Vec<_> = positions.into_iter().map(record).collect();
        records.iter().filter(|record| matches!(record, Record::Pending { .. })).for_each(|record| self.apply(record));
        records
    }

    /// The records that end a producer's transaction.
    pub(super) fn end(&self, group: &GroupId, producer_id: i64, commit: bool) -> Vec<Record> {
        let pending = self.pending.get(&producer_id).into_iter().flatten();
        pending
            .flat_map(|(partition, pending)| {
                let (group, partition) = (group.clone(), partition.clone());
                let committed = commit.then(|| {
                    let state = Some(pending.committed.clone());
                    Record::Offset { group: group.clone(), partition: partition.clone(), state }
                });
                committed.into_iter().chain([Record::Pending { group, producer_id, partition, state: None }])
            })
            .collect()
    }

    /// The records that forget what was committed for these partitions.
    pub(super) fn forget<'a>(
        &self,
        group: &GroupId,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Vec<Record> {
        let known = partitions.filter(|partition| self.committed.contains_key(*partition));
        known
            .map(|partition| Record::Offset { group: group.clone(), partition: partition.clone(), state: None })
            .collect()
    }

    /// The partitions whose positions have not been renewed for `retention`, if nobody reads any more since `since`.
    pub(super) fn expired(&self, now: Timestamp, since: Timestamp, retention: Duration) -> Vec<TopicPartition> {
        let is_old = |committed: &Committed| committed.at.max(since) + retention <= now;
        let old =
            self.committed.iter().filter(|(partition, committed)| is_old(committed) && !self.is_unstable(partition));
        old.map(|(partition, _)| partition.clone()).collect()
    }

    /// What is durable, or replayed.
    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Offset { partition, state: Some(committed), .. } => {
                self.committed.insert(partition.clone(), committed.clone());
            }
            Record::Offset { partition, state: None, .. } => {
                self.committed.remove(partition);
            }
            Record::Pending { producer_id, partition, state: Some(pending), .. } => {
                self.pending.entry(*producer_id).or_default().insert(partition.clone(), pending.clone());
            }
            Record::Pending { producer_id, partition, state: None, .. } => {
                if let Some(pending) = self.pending.get_mut(producer_id) {
                    pending.remove(partition);
                    if pending.is_empty() {
                        self.pending.remove(producer_id);
                    }
                }
            }
            Record::Forgotten { .. } => self.committed.clear(),
            Record::Group { .. } | Record::Member { .. } => {}
        }
    }

    /// What was noted and is not durable.
    pub(super) fn take_back(&mut self, record: &Record) {
        if let Record::Pending { group, producer_id, partition, state: Some(pending) } = record {
            let noted = self.pending.get(producer_id).and_then(|noted| noted.get(partition));
            // A later one has taken its place, or stands beside it.
            if noted == Some(pending) {
                let (group, partition) = (group.clone(), partition.clone());
                self.apply(&Record::Pending { group, producer_id: *producer_id, partition, state: None });
            }
        }
    }

    /// Forgets what belongs to a topic that is gone.
    pub(super) fn forget_topic(&mut self, id: TopicId) {
        self.committed.retain(|_, committed| committed.topic_id != id);
        for pending in self.pending.values_mut() {
            pending.retain(|_, pending| pending.committed.topic_id != id);
        }
        self.pending.retain(|_, pending| !pending.is_empty());
    }
}
