//! Administration: decides on the image of the metadata, proposes, applies.
//!
//! ```text
//!   create    topics: checks, defaults, assignments; partitions that are added
//!   configs   settings: described, changed, and made to hold on open partitions
//!   cluster   the cluster, data directories, leaders, moves, features, producer ids
//!   access    entries of access control, users, quotas
//! ```
//! Invariant: all changes are made one after the other, under `topology`; what a change was decided on is what it is
//! applied to.

mod access;
mod cluster;
mod configs;
mod create;

use super::Broker;
use super::metadata::{MetadataImage, MetadataRecord};
use crate::storage::METADATA;
use crate::types::{Error, Result};

impl Broker {
    /// Makes a change: what `decide` says of the image is proposed, and applied once it is decided.
    pub(super) async fn change<T>(
        &self,
        decide: impl FnOnce(&MetadataImage) -> Result<(Vec<MetadataRecord>, T)>,
    ) -> Result<T> {
        let _one_at_a_time = self.topology.lock().await;
        self.check_open()?;
        let (records, answer) = decide(&self.image.read())?;
        self.decide(records)?;
        Ok(answer)
    }

    /// Makes records durable and applies them. The caller holds `topology`.
    pub(super) fn decide(&self, records: Vec<MetadataRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        records.iter().for_each(|record| tracing::debug!(%record, "proposing"));
        if let Some(error) = self.logs.flusher.failed() {
            return Err(error.clone());
        }
        let changes = self.quorum.propose(&records, self.clock.now()).inspect_err(|error| {
            if matches!(error, Error::Fenced { .. }) {
                self.logs.flusher.fence(error.clone());
            }
        })?;
        let changes: Vec<_> = changes.into_iter().map(|change| (METADATA, 0, change)).collect();
        self.logs.flusher.note(&changes);
        let mut image = self.image.write();
        records.into_iter().for_each(|record| image.apply(record));
        Ok(())
    }
}
