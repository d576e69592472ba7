//! How one member of the consumer protocol comes from what it owns to what it is to own.
//!
//! ```text
//!   owns ∖ target ──▶ to give up first ──── the member says that it has ──▶ free for others
//!   target ∖ owns ──▶ owned by others? waits : owns
//! ```
//! A member enters the epoch of the target when it has given up what is not its own any more; what it waits for comes
//! later, as others give it up. So a partition never has two owners.

use super::records::Partitions;
use crate::types::{PartitionIndex, TopicId};
use std::collections::BTreeSet;

/// Where a member stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Current {
    pub(super) epoch: i32,
    pub(super) assigned: Partitions,
    /// It has to give these up before it enters the next epoch.
    pub(super) revoking: Partitions,
    /// Others have to give up something for it.
    pub(super) is_waiting: bool,
}

impl Current {
    /// The next step towards `target`, of `target_epoch`. `owned` is what the member says that it owns, if it does;
    /// `is_free` whether nobody else owns a partition.
    pub(super) fn next(
        &self,
        target: &Partitions,
        target_epoch: i32,
        owned: Option<&Partitions>,
        is_free: impl Fn(TopicId, PartitionIndex) -> bool,
    ) -> Self {
        if !self.revoking.is_empty() && still_owns(owned, &self.revoking) {
            return self.clone();
        }
        if self.revoking.is_empty() && !self.is_waiting && self.epoch == target_epoch {
            return self.clone();
        }
        let (mut assigned, mut revoking) = (Partitions::new(), Partitions::new());
        for (topic, partitions) in &self.assigned {
            for partition in partitions {
                let stays = target.get(topic).is_some_and(|wanted| wanted.contains(partition));
                let into = if stays { &mut assigned } else { &mut revoking };
                into.entry(*topic).or_default().insert(*partition);
            }
        }
        if !revoking.is_empty() && still_owns(owned, &revoking) {
            return Self { epoch: self.epoch, assigned, revoking, is_waiting: false };
        }
        let mut is_waiting = false;
        for (topic, partitions) in target {
            for partition in partitions {
                let has = self.assigned.get(topic).is_some_and(|mine| mine.contains(partition));
                if !has && !is_free(*topic, *partition) {
                    is_waiting = true;
                } else {
                    assigned.entry(*topic).or_default().insert(*partition);
                }
            }
        }
        Self { epoch: target_epoch, assigned, revoking: Partitions::new(), is_waiting }
    }

    /// Whether it has all that it is to own.
    pub(super) fn is_stable(&self, target_epoch: i32) -> bool {
        self.epoch == target_epoch && self.revoking.is_empty() && !self.is_waiting
    }

    /// What it owns, or has not given up.
    pub(super) fn holds(&self) -> impl Iterator<Item = (TopicId, PartitionIndex)> {
        self.assigned
            .iter()
            .chain(&self.revoking)
            .flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
    }
}

/// Whether the member may still own some of `partitions`: it says so, or says nothing.
fn still_owns(owned: Option<&Partitions>, partitions: &Partitions) -> bool {
    let Some(owned) = owned else { return true };
    let mine = |topic: &TopicId| owned.get(topic);
    partitions.iter().any(|(topic, revoked)| mine(topic).is_some_and(|mine| !mine.is_disjoint(revoked)))
}

/// Whether all of `some` is in `all`.
pub(super) fn is_within(some: &Partitions, all: &Partitions) -> bool {
    let nothing = BTreeSet::new();
    some.iter().all(|(topic, partitions)| partitions.is_subset(all.get(topic).unwrap_or(&nothing)))
}
