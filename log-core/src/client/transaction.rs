//! Writing in transactions: records to any partitions, and the positions that they were made from, all or nothing.
//!
//! ```text
//!   start ──▶ TransactionalProducer ──begin──▶ Transaction ──send, send_offsets…──▶ commit │ abort
//!                    ▲                                                                  │
//!                    └──────────────────────────────────────────────────────────────────┘
//! ```
//! A [`Transaction`] borrows its producer, so there is one at a time, and `commit` and `abort` consume it, so nothing is
//! sent behind its end. One that is dropped is aborted before the next begins. The producer speaks version 2 (KIP-890):
//! each transaction has an epoch of its own.
//!
//! An error says what to do by its kind and its help: after [`Error::ProducerFenced`] the producer is of no more use,
//! because another one has its transactional id; after [`Error::TransactionAbortable`] the work is to be done again in a
//! new transaction.

use super::producer::ProducerBuilder;
use super::session::Session;
use super::{Consumer, Delivery, Producer};
use crate::record::Record;
use crate::service::{CommitTransactionOffsets, EndTransaction, InitProducerId, Membership, Service};
use crate::types::{
    Error, GroupId, Offset, PartitionIndex, ProducerIdentity, Result, TopicName, TopicPartition, TransactionVersion,
    TransactionalId,
};
use std::sync::Arc;
use std::time::Duration;

/// How long a transaction may be open, unless the builder says otherwise (Kafka's `transaction.timeout.ms`).
const TIMEOUT_DEFAULT: Duration = Duration::from_mins(1);
/// Pause before a log that is busy with the transaction before is asked again, and how often.
const PAUSE: Duration = Duration::from_millis(20);
const TRIES_MAX: u32 = 3000;

/// Settings of a [`TransactionalProducer`]; made by [`ProducerBuilder::transactional_id`].
#[derive(Clone, Debug)]
pub struct TransactionalProducerBuilder {
    producer: ProducerBuilder,
    transactional_id: String,
    timeout: Duration,
}

impl TransactionalProducerBuilder {
    pub(super) const fn new(producer: ProducerBuilder, transactional_id: String) -> Self {
        Self { producer, transactional_id, timeout: TIMEOUT_DEFAULT }
    }

    /// A transaction that is open for longer is aborted by the log and its producer fenced; 1 minute by default. Readers
    /// of committed records wait behind an open one.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The producer. Whoever had the transactional id before is fenced, and what it left open is aborted first.
    ///
    /// [`Error::InvalidTransactionTimeout`] for a timeout over the log's limit.
    pub async fn start(self) -> Result<TransactionalProducer> {
        let id = TransactionalId::new(&self.transactional_id)?;
        let service = self.producer.service().clone();
        let request =
            InitProducerId { transactional_id: Some(id.clone()), transaction_timeout: self.timeout, producer: None };
        let producer = patiently(&*service, || service.init_producer_id(request.clone())).await?;
        let session = Arc::new(Session::new(id.clone(), producer));
        let producer = self.producer.build_in(session.clone());
        Ok(TransactionalProducer { service, producer, session, id, timeout: self.timeout, must_abort: false })
    }
}

/// Sends records in transactions, under a transactional id that it keeps over restarts.
#[derive(Debug)]
pub struct TransactionalProducer {
    service: Arc<dyn Service>,
    producer: Producer,
    session: Arc<Session>,
    id: TransactionalId,
    timeout: Duration,
    /// A transaction was left as it was.
    must_abort: bool,
}

impl TransactionalProducer {
    /// Begins a transaction. Nothing is asked of the log, unless the one before was dropped: then that is aborted first.
    ///
    /// [`Error::ProducerFenced`] when another producer has taken the transactional id: this one is of no more use.
    pub async fn begin(&mut self) -> Result<Transaction<'_>> {
        if let Some(fenced) = self.session.fenced() {
            return Err(self.fenced(&fenced));
        }
        if self.must_abort {
            self.end(false).await?;
        }
        self.must_abort = true;
        Ok(Transaction { producer: self })
    }

    /// The transactional id.
    pub fn transactional_id(&self) -> &TransactionalId {
        &self.id
    }

    /// Ends what is open, and takes up who the producer is in the next transaction.
    async fn end(&mut self, commit: bool) -> Result<()> {
        // What was sent must have its place before the end, and what failed was told.
        let flushed = self.producer.flush().await;
        if commit {
            flushed.map_err(|error| self.abortable(&error))?;
        }
        if self.session.is_touched() {
            let request = EndTransaction { producer: self.session.who(), commit, version: TransactionVersion::V2 };
            let ended = patiently(&*self.service, || self.service.end_transaction(request.clone())).await;
            let next = match ended {
                // It was ended the other way: the answer to a commit was lost. Or there is nothing to abort.
                Err(Error::InvalidTransactionState { .. }) if !commit => self.start_again().await,
                ended => ended,
            };
            let next = next.map_err(|error| {
                self.session.note(&error);
                self.session.fenced().map_or(error, |fenced| self.fenced(&fenced))
            })?;
            self.session.next(next);
        }
        self.must_abort = false;
        Ok(())
    }

    async fn start_again(&self) -> Result<ProducerIdentity> {
        let request = InitProducerId {
            transactional_id: Some(self.id.clone()),
            transaction_timeout: self.timeout,
            producer: Some(self.session.producer()),
        };
        patiently(&*self.service, || self.service.init_producer_id(request.clone())).await
    }

    /// What a failure within a transaction means for it.
    fn abortable(&self, error: &Error) -> Error {
        self.session.note(error);
        match self.session.fenced() {
            Some(fenced) => self.fenced(&fenced),
            None => Error::TransactionAbortable { why: error.to_string() },
        }
    }

    /// The same for every reason that there is.
    fn fenced(&self, why: &Error) -> Error {
        match why {
            Error::ProducerFenced { .. } => why.clone(),
            other => Error::ProducerFenced {
                transactional_id: self.id.clone(),
                producer: self.session.producer(),
                why: other.to_string(),
            },
        }
    }
}

/// An open transaction. Readers of committed records see all of it when it is committed, and nothing of it otherwise.
///
/// Dropped without [`Transaction::commit`] it is aborted, before its producer's next one begins or when its timeout is
/// over.
#[derive(Debug)]
#[must_use = "a transaction that is not committed is aborted"]
pub struct Transaction<'a> {
    producer: &'a mut TransactionalProducer,
}

impl Transaction<'_> {
    /// As [`Producer::send`]. What goes wrong later is told by [`Transaction::commit`] too, so deliveries need not be
    /// awaited.
    pub async fn send(&self, topic: &TopicName, record: Record) -> Result<Delivery> {
        self.producer.session.touch();
        self.producer.producer.send(topic, record).await
    }

    /// As [`Producer::send_to`].
    pub async fn send_to(&self, topic: &TopicName, partition: PartitionIndex, record: Record) -> Result<Delivery> {
        self.producer.session.touch();
        self.producer.producer.send_to(topic, partition, record).await
    }

    /// Commits the positions of a consumer, behind every record that it has handed out, with this transaction.
    ///
    /// [`Error::StaleMember`] or [`Error::GroupRefused`] if the group has moved on: abort, the records are another
    /// member's now.
    pub async fn send_offsets(&self, consumer: &Consumer) -> Result<()> {
        let (group, member) = consumer.membership();
        self.commit_offsets(group, Some(member), consumer.positions()).await
    }

    /// The same for positions that the caller keeps; refused while the group has active members.
    pub async fn send_positions(&self, group: &GroupId, positions: Vec<(TopicPartition, Offset)>) -> Result<()> {
        self.commit_offsets(group.clone(), None, positions).await
    }

    async fn commit_offsets(
        &self,
        group: GroupId,
        member: Option<Membership>,
        offsets: Vec<(TopicPartition, Offset)>,
    ) -> Result<()> {
        let TransactionalProducer { service, session, .. } = &*self.producer;
        session.touch();
        let (producer, version) = (session.who(), TransactionVersion::V2);
        let offsets = offsets.into_iter().map(|(partition, offset)| (partition, offset.into())).collect();
        let request = CommitTransactionOffsets { producer, version, group, member, offsets };
        let committed = patiently(&**service, || service.commit_transaction_offsets(request.clone())).await;
        committed.inspect_err(|error| session.note(error))
    }

    /// Waits until what was sent has its place.
    #[cfg(test)]
    pub(crate) async fn producer_flushed(&self) {
        self.producer.producer.flush().await.expect("it is stored");
    }

    /// Sends what is buffered, and commits. All of it is durable and can be read when it returns.
    ///
    /// [`Error::TransactionAbortable`] if something of it was not stored: nothing is committed then, and the work is to
    /// be done again. [`Error::ProducerFenced`] if another producer has taken over, or it took longer than its timeout.
    pub async fn commit(self) -> Result<()> {
        self.producer.end(true).await
    }

    /// Takes back everything.
    pub async fn abort(self) -> Result<()> {
        self.producer.end(false).await
    }
}

/// Asks until the log is done with the transaction before. Under a manual clock, where nothing passes by waiting, others
/// get their turn instead.
pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(
    service: &dyn Service,
    mut ask: impl FnMut() -> F,
) -> Result<T> {
    for _ in 1..TRIES_MAX {
        match ask().await {
            Err(Error::ConcurrentTransactions { .. }) if service.clock().is_manual() => tokio::task::yield_now().await,
            Err(Error::ConcurrentTransactions { .. }) => tokio::time::sleep(PAUSE).await,
            other => return other,
        }
    }
    ask().await
}
