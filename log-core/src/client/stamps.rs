//! What batches are stamped with: who their producer is, and the sequence of their first record.
//!
//! ```text
//!   Own              an id from the log, on first use; a lane whose batch failed goes on in a new epoch, from 0
//!   Chosen           a fixed id; sequences go on from what the partition remembers
//!   Transactional    who the transactional id's producer is in the open transaction; each begins at 0
//! ```
//! Sequences count the records of one producer and epoch in one partition, from 0, and wrap after `i32::MAX`.

use super::session::Session;
use crate::record::ProducerStamp;
use crate::service::{DescribeProducers, InitProducerId, Service};
use crate::types::{ProducerIdentity, Result, TopicPartition};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// Whom a producer writes as.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// Shared by its lanes, each of which may be in an epoch of its own.
    Own(Arc<OnceCell<ProducerIdentity>>),
    Chosen(i64),
    Transactional(Arc<Session>),
}

impl Identity {
    /// Whether a partition must hold the beginning of what was sent to it: after a failure nothing more is taken until
    /// somebody was told.
    pub(super) const fn is_strict(&self) -> bool {
        !matches!(self, Self::Own(_))
    }

    /// The id that was chosen.
    pub(super) const fn chosen(&self) -> Option<i64> {
        match self {
            Self::Chosen(id) => Some(*id),
            _ => None,
        }
    }
}

/// The stamps of one lane.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    /// Of the next batch, if it is known.
    next: Option<(ProducerIdentity, i32)>,
}

impl Stamps {
    /// The stamp of the next batch.
    pub(super) async fn next(
        &mut self,
        service: &dyn Service,
        identity: &Identity,
        partition: &TopicPartition,
    ) -> Result<ProducerStamp> {
        let next = match (identity, self.next) {
            (Identity::Transactional(session), next) => {
                let producer = session.producer();
                next.filter(|(known, _)| *known == producer).unwrap_or((producer, 0))
            }
            (_, Some(next)) => next,
            (Identity::Own(own), None) => (*own.get_or_try_init(|| fresh(service)).await?, 0),
            (Identity::Chosen(id), None) => {
                let last = last_sequence(service, partition.clone(), *id).await?;
                (ProducerIdentity { id: *id, epoch: 0 }, last.map_or(0, |last| sequence_after(last, 1)))
            }
        };
        self.next = Some(next);
        let (producer, base_sequence) = next;
        Ok(ProducerStamp { producer_id: producer.id, producer_epoch: producer.epoch, base_sequence })
    }

    /// A batch of so many records was stored.
    pub(super) fn stored(&mut self, records: i32) {
        self.next = self.next.map(|(producer, sequence)| (producer, sequence_after(sequence, records)));
    }

    /// A batch was not stored, as far as is known.
    pub(super) async fn failed(&mut self, service: Option<&dyn Service>, identity: &Identity) {
        self.next = match (identity, self.next, service) {
            // What may still come of the last epoch is refused from the first batch of the next one on.
            (Identity::Own(_), Some((producer, _)), _) if producer.epoch < i16::MAX => {
                Some((ProducerIdentity { epoch: producer.epoch + 1, ..producer }, 0))
            }
            (Identity::Own(_), Some(_), Some(service)) => fresh(service).await.ok().map(|producer| (producer, 0)),
            // Transactional: the next transaction has another identity. Chosen: the partition is asked.
            _ => None,
        };
    }
}

/// The last sequence that a partition remembers of a producer, in the epoch that is there.
pub(super) async fn last_sequence(service: &dyn Service, partition: TopicPartition, id: i64) -> Result<Option<i32>> {
    let producers = service.describe_producers(DescribeProducers { partition }).await?;
    let of_id = producers.iter().find(|p| p.last.producer_id == id);
    Ok(of_id.map(|p| p.last.base_sequence).filter(|last| *last >= 0))
}

async fn fresh(service: &dyn Service) -> Result<ProducerIdentity> {
    let request = InitProducerId { transactional_id: None, transaction_timeout: Duration::ZERO, producer: None };
    service.init_producer_id(request).await
}

const fn sequence_after(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
}
