//! What a transactional producer and its lanes share: who the producer is now, and what has gone wrong.

use crate::service::{ProduceTransaction, TransactionalProducer};
use crate::types::{Error, ProducerIdentity, TransactionVersion, TransactionalId};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The session of one transactional producer.
#[derive(Debug)]
pub(super) struct Session {
    id: TransactionalId,
    producer: Mutex<ProducerIdentity>,
    /// Something was sent in the open transaction.
    touched: AtomicBool,
    /// It is over: somebody else has the transactional id.
    fenced: Mutex<Option<Error>>,
}

impl Session {
    pub(super) fn new(id: TransactionalId, producer: ProducerIdentity) -> Self {
        Self { id, producer: Mutex::new(producer), touched: AtomicBool::new(false), fenced: Mutex::default() }
    }

    pub(super) fn producer(&self) -> ProducerIdentity {
        *self.producer.lock()
    }

    /// The next transaction is this producer's.
    pub(super) fn next(&self, producer: ProducerIdentity) {
        *self.producer.lock() = producer;
        self.touched.store(false, Ordering::Release);
    }

    pub(super) fn touch(&self) {
        self.touched.store(true, Ordering::Release);
    }

    pub(super) fn is_touched(&self) -> bool {
        self.touched.load(Ordering::Acquire)
    }

    /// Notes an error, if it is one after which nothing of this producer is taken any more.
    pub(super) fn note(&self, error: &Error) {
        let is_over = matches!(
            error,
            Error::ProducerFenced { .. } | Error::StaleProducerEpoch { .. } | Error::UnknownProducer { .. }
        );
        if is_over {
            self.fenced.lock().get_or_insert_with(|| error.clone());
        }
    }

    pub(super) fn fenced(&self) -> Option<Error> {
        self.fenced.lock().clone()
    }

    /// What a batch is produced in.
    pub(super) fn transaction(&self) -> ProduceTransaction {
        ProduceTransaction { transactional_id: self.id.clone(), version: TransactionVersion::V2 }
    }

    /// Who asks, in requests.
    pub(super) fn who(&self) -> TransactionalProducer {
        TransactionalProducer { transactional_id: self.id.clone(), producer: self.producer() }
    }
}
