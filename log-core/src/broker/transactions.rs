//! Transactions: gives the pure machine of `txn` its clock, its log and its markers.
//!
//! ```text
//!   request ──▶ step ──▶ Persist ──▶ __transaction_state ── durable ──▶ step(Stored) ──▶ Reply ──▶ request
//!                   └──▶ WriteMarkers ──▶ a control batch for each partition ── durable ──▶ step(MarkersWritten)
//! ```
//! What is known of a transactional id is a record under it in the internal topic `__transaction_state`, which is
//! compacted and has one partition, replayed at open. Records are submitted under the machine's lock, so their order in
//! the log is the machine's; what waits for them is a task of its own, so that a request that is given up leaves nothing
//! half done. Such a task holds the broker weakly: one that was dropped goes, and the next open ends what was decided.
//!
//! A group's offsets are a partition of the transaction too: that of `__consumer_offsets`. Positions wait there, durable,
//! for its "marker", which is told to the groups.
//!
//! No transaction hangs. Batches are let into a partition only while their transaction is open there
//! ([`super::produce`]), and its end writes to every partition that was added. What is left are markers that a power cut
//! took from topics that are not flushed at every write: at open, a partition with a transaction that the coordinator
//! does not know as open gets the marker that it lacks.

use super::Broker;
use super::metadata::{keyed_record, replay_records};
use super::partition::Partition;
use super::topics::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::codec::from_bincode;
use crate::record::{ControlKind, ControlRecord};
use crate::service::{
    AddOffsetsToTransaction, AddPartitionsToTransaction, CommitTransactionOffsets, DescribeTransactions,
    EndTransaction, InitProducerId, ListTransactions, TransactionDescription, TransactionalProducer,
};
use crate::storage::Appended;
use crate::txn::{Effect, Input, RequestId, Transaction, Transactions};
use crate::types::{
    Error, Instant, ProducerIdentity, Result, Timestamp, TopicName, TopicPartition, TransactionState, TransactionalId,
    limits,
};
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tokio::sync::oneshot;

/// There is one coordinator, and it does not move.
const COORDINATOR_EPOCH: i32 = 0;

/// The transaction coordinator of a broker.
#[derive(Debug)]
pub(super) struct Coordinator {
    machine: Mutex<Transactions>,
    waiting: Mutex<Waiting>,
    /// Held while producer ids are taken from the metadata log, so that one block is taken at a time.
    taking_ids: tokio::sync::Mutex<()>,
}

/// Requests that have no answer yet.
#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    by_request: HashMap<RequestId, oneshot::Sender<Result<ProducerIdentity>>>,
}

impl Coordinator {
    pub(super) fn new() -> Self {
        Self {
            machine: Mutex::new(Transactions::new(limits::TRANSACTION_TIMEOUT_MAX)),
            waiting: Mutex::default(),
            taking_ids: tokio::sync::Mutex::default(),
        }
    }

    /// As [`Transactions::may_write`].
    pub(super) fn may_write(
        &self,
        id: &TransactionalId,
        producer: ProducerIdentity,
        partition: &TopicPartition,
    ) -> Result<bool> {
        self.machine.lock().may_write(id, producer, partition)
    }

    /// When something happens by itself, on the clock that says that it is `now` and `instant`.
    pub(super) fn next_deadline(&self, now: Timestamp, instant: Instant) -> Option<Instant> {
        let at = self.machine.lock().next_deadline()?;
        let left = u64::try_from(at.0.saturating_sub(now.0)).unwrap_or(0);
        Some(instant + std::time::Duration::from_millis(left))
    }

    fn register(&self) -> (RequestId, oneshot::Receiver<Result<ProducerIdentity>>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        waiting.last += 1;
        let request = RequestId(waiting.last);
        waiting.by_request.insert(request, sender);
        (request, receiver)
    }

    fn answer(&self, request: RequestId, result: Result<ProducerIdentity>) {
        if let Some(waiting) = self.waiting.lock().by_request.remove(&request) {
            // Who asked may have gone.
            let _ = waiting.send(result);
        }
    }
}

impl Broker {
    pub(super) async fn init_producer(&self, request: InitProducerId) -> Result<ProducerIdentity> {
        let InitProducerId { transactional_id, transaction_timeout: timeout, producer: expected } = request;
        self.check_open()?;
        let Some(id) = transactional_id else {
            self.take_producer_ids().await?;
            let id = self.transactions.machine.lock().take_producer_id();
            let id = id.ok_or_else(|| Error::InvalidRequest { why: "no producer id is left".into() })?;
            return Ok(ProducerIdentity { id, epoch: 0 });
        };
        self.transact(|request| Input::InitProducerId { request, id, timeout, expected }).await
    }

    pub(super) async fn add_partitions(&self, request: AddPartitionsToTransaction) -> Vec<Result<()>> {
        let AddPartitionsToTransaction { producer, partitions, verify_only } = request;
        let (id, producer) = (producer.transactional_id, producer.producer);
        if verify_only {
            let verify = |partition: &TopicPartition| match self.transactions.may_write(&id, producer, partition)? {
                true => Ok(()),
                false => Err(Error::TransactionAbortable { why: format!("{partition} was not added to it") }),
            };
            return partitions.iter().map(verify).collect();
        }
        let found: Vec<_> = partitions.iter().map(|partition| self.partition(partition).map(drop)).collect();
        if found.iter().any(Result::is_err) {
            let why = "nothing was added, because another partition of the request is not there";
            let skipped = |found: Result<()>| found.and(Err(Error::InvalidRequest { why: why.into() }));
            return found.into_iter().map(skipped).collect();
        }
        let added = self.add_to_transaction(&id, producer, partitions.iter().cloned().collect()).await;
        partitions.iter().map(|_| added.clone()).collect()
    }

    pub(super) async fn add_offsets(&self, request: AddOffsetsToTransaction) -> Result<()> {
        let AddOffsetsToTransaction { producer, group: _ } = request;
        self.ensure_compacted(CONSUMER_OFFSETS).await?;
        self.add_to_transaction(&producer.transactional_id, producer.producer, [offsets_partition()].into()).await
    }

    /// Adds partitions, durably. They are there, or have been a moment ago.
    pub(super) async fn add_to_transaction(
        &self,
        id: &TransactionalId,
        producer: ProducerIdentity,
        partitions: BTreeSet<TopicPartition>,
    ) -> Result<()> {
        let id = id.clone();
        self.transact(|request| Input::AddPartitions { request, id, producer, partitions }).await.map(drop)
    }

    pub(super) async fn commit_in_transaction(&self, request: CommitTransactionOffsets) -> Result<()> {
        let CommitTransactionOffsets { producer, version, group, member, offsets } = request;
        let TransactionalProducer { transactional_id: id, producer } = producer;
        self.commit_in(id, producer, version, (group, member), offsets).await
    }

    pub(super) async fn finish_transaction(&self, request: EndTransaction) -> Result<ProducerIdentity> {
        let EndTransaction { producer, commit, version } = request;
        let (id, producer) = (producer.transactional_id, producer.producer);
        self.transact(|request| Input::End { request, id, producer, commit, version }).await
    }

    pub(super) async fn transactions_named(
        &self,
        request: DescribeTransactions,
    ) -> Vec<Result<TransactionDescription>> {
        self.due().await;
        let machine = self.transactions.machine.lock();
        let describe = |id: TransactionalId| match machine.transaction(&id) {
            Some(transaction) => Ok(description(&id, transaction)),
            None => Err(Error::UnknownTransactionalId { transactional_id: id }),
        };
        request.transactional_ids.into_iter().map(describe).collect()
    }

    pub(super) async fn transactions_like(&self, request: ListTransactions) -> Result<Vec<TransactionDescription>> {
        self.check_open()?;
        self.due().await;
        let ListTransactions { states, producer_ids, open_for } = request;
        let now = self.clock.now();
        let is_wanted = |transaction: &Transaction| {
            let is_old = |open_for| transaction.started != Timestamp::MIN && transaction.started < now - open_for;
            (states.is_empty() || states.contains(&transaction.state))
                && (producer_ids.is_empty() || producer_ids.contains(&transaction.producer.id))
                && open_for.is_none_or(is_old)
        };
        let machine = self.transactions.machine.lock();
        let wanted = machine.iter().filter(|(_, transaction)| is_wanted(transaction));
        Ok(wanted.map(|(id, transaction)| description(id, transaction)).collect())
    }

    /// Asks the machine and waits for its answer.
    async fn transact(&self, input: impl FnOnce(RequestId) -> Input) -> Result<ProducerIdentity> {
        self.check_open()?;
        self.ensure_compacted(TRANSACTION_STATE).await?;
        self.due().await;
        self.take_producer_ids().await?;
        let (request, answer) = self.transactions.register();
        self.transaction_step(input(request));
        answer.await.unwrap_or(Err(Error::Closed))
    }

    /// Steps the machine, submits what it wants stored and written, and answers who asked.
    pub(super) fn transaction_step(&self, input: Input) {
        tracing::trace!(%input, "transactions");
        let (mut effects, mut stores) = (Vec::new(), Vec::new());
        {
            let mut machine = self.transactions.machine.lock();
            let before = machine.next_deadline();
            machine.step(self.clock.now(), input, &mut effects);
            if machine.next_deadline().is_some_and(|at| before.is_none_or(|before| at < before)) {
                self.timer.notify_one();
            }
            for effect in &effects {
                tracing::trace!(%effect, "transactions");
                if let Effect::Persist { id, number, record } = effect {
                    stores.push((id.clone(), *number, self.store_transaction(id, record.as_ref())));
                }
            }
        }
        for (id, number, stored) in stores {
            let broker = self.this.clone();
            tokio::spawn(async move {
                let input = match stored.await {
                    Ok(_) => Input::Stored { id, number },
                    Err(error) => Input::NotStored { id, number, error },
                };
                broker.upgrade().inspect(|broker| broker.transaction_step(input));
            });
        }
        for effect in effects {
            match effect {
                Effect::Persist { .. } => {}
                Effect::Reply { request, result } => self.transactions.answer(request, result),
                Effect::WriteMarkers { id, producer, commit, partitions } => {
                    self.write_markers(id, producer, commit, partitions);
                }
            }
        }
    }

    /// Submits a record of `__transaction_state`.
    fn store_transaction(
        &self,
        id: &TransactionalId,
        record: Option<&Transaction>,
    ) -> BoxFuture<'static, Result<Appended>> {
        let batch = keyed_record(Bytes::copy_from_slice(id.as_str().as_bytes()), record, self.clock.now());
        let log = TopicName::new(TRANSACTION_STATE).and_then(|name| self.topic(&name));
        match log.and_then(|topic| topic.partition(0).cloned()) {
            Ok(log) => log.append_owned(batch).boxed(),
            Err(error) => std::future::ready(Err(error)).boxed(),
        }
    }

    /// Ends what a producer has open in one partition, as an operator says: for what no coordinator will end. Durable when
    /// it returns.
    pub(super) async fn write_marker(
        &self,
        name: &TopicPartition,
        producer: ProducerIdentity,
        commit: bool,
        coordinator_epoch: i32,
    ) -> Result<()> {
        self.check_open()?;
        // One of a newer coordinator would keep this one from ending anything there.
        if coordinator_epoch > COORDINATOR_EPOCH || producer.id < 0 || producer.epoch < 0 {
            let why = format!("no coordinator of epoch {coordinator_epoch} ends transactions of producer {producer}");
            return Err(Error::InvalidRequest { why });
        }
        append_marker(&self.partition(name)?, producer, commit, self.clock.now()).await.map(drop)
    }

    /// Submits a marker to every partition, and tells the machine when all are durable, or that one is not.
    fn write_markers(
        &self,
        id: TransactionalId,
        producer: ProducerIdentity,
        commit: bool,
        partitions: BTreeSet<TopicPartition>,
    ) {
        let offsets = offsets_partition();
        let mut written: Vec<BoxFuture<'static, Result<()>>> = Vec::with_capacity(partitions.len());
        for name in partitions {
            match self.partition(&name) {
                Ok(partition) if name == offsets => {
                    let _after_all_commits = partition.transactional.write();
                    written.push(self.end_offsets(producer.id, commit));
                }
                Ok(partition) => {
                    let appended = append_marker(&partition, producer, commit, self.clock.now());
                    written.push(async move { passed_over(&partition, appended.await) }.boxed());
                }
                // With the partition its records are gone too.
                Err(error) => tracing::debug!(partition = %name, %error, "a marker has no place to go"),
            }
        }
        let broker = self.this.clone();
        tokio::spawn(async move {
            let failed = join_all(written).await.into_iter().find_map(Result::err);
            let input = match failed {
                None => Input::MarkersWritten { id, producer },
                Some(error) => {
                    tracing::warn!(%id, %producer, %error, "markers wait for the next try");
                    Input::MarkersFailed { id, producer }
                }
            };
            broker.upgrade().inspect(|broker| broker.transaction_step(input));
        });
    }

    /// Makes sure that producer ids are at hand, for this request and those that wait.
    async fn take_producer_ids(&self) -> Result<()> {
        let is_enough = || self.transactions.machine.lock().producer_ids_left() > limits::PARKED_REQUESTS_MAX as u64;
        if is_enough() {
            return Ok(());
        }
        let _one_block_at_a_time = self.transactions.taking_ids.lock().await;
        if !is_enough() {
            let block = self.producer_id_block().await?;
            self.transaction_step(Input::ProducerIds(block));
        }
        Ok(())
    }

    /// Reads what is known of transactional ids, and ends what was decided or cannot be known any more.
    pub(super) fn replay_transactions(&self) -> Result<()> {
        if let Ok(topic) = self.topic(&TopicName::new(TRANSACTION_STATE)?) {
            replay_records(&topic.partition(0)?.reader, |record| {
                let malformed = |why: String| Error::Malformed {
                    why: format!("{TRANSACTION_STATE} at offset {}: {why}", record.offset),
                };
                let key = std::str::from_utf8(record.key.as_deref().unwrap_or_default());
                let id =
                    key.map_err(|e| e.to_string()).and_then(|key| TransactionalId::new(key).map_err(|e| e.to_string()));
                let id = id.map_err(malformed)?;
                let record = record.value.as_deref().map(from_bincode::<Transaction>).transpose();
                let record = record.map_err(|e| malformed(e.to_string()))?;
                self.transaction_step(Input::Replay { id, record });
                Ok(())
            })?;
        }
        self.end_what_nobody_knows();
        self.transaction_step(Input::Replayed);
        Ok(())
    }

    /// Writes markers that a power cut has taken away.
    fn end_what_nobody_knows(&self) {
        let offsets = offsets_partition();
        for producer in self.with_groups(crate::group::Groups::pending_producers) {
            let lacks = self.transactions.machine.lock().lacks_marker(producer, &offsets);
            if let Some((_, commit)) = lacks {
                tracing::warn!(%producer, commit, "positions of a transaction lack its end and get it");
                drop(self.end_offsets(producer.id, commit));
            }
        }
        let topics: Vec<_> = self.topics.iter().map(|topic| topic.clone()).collect();
        for partition in topics.iter().flat_map(|topic| &topic.partitions) {
            let offsets = partition.offsets();
            if offsets.last_stable_offset >= offsets.high_watermark {
                continue;
            }
            for open in partition.producers().unwrap_or_default() {
                let lacks = |producer| self.transactions.machine.lock().lacks_marker(producer, &partition.name);
                if let (Some(_), Some((producer, commit))) = (open.transaction_start, lacks(open.producer)) {
                    let name = &partition.name;
                    tracing::warn!(partition = %name, %producer, commit, "a transaction lacks its end and gets it");
                    drop(append_marker(partition, producer, commit, self.clock.now()));
                }
            }
        }
    }
}

/// Submits a marker: its place is behind everything that was let into the transaction.
fn append_marker(
    partition: &Arc<Partition>,
    producer: ProducerIdentity,
    commit: bool,
    now: Timestamp,
) -> impl Future<Output = Result<Appended>> + use<> {
    let kind = if commit { ControlKind::Commit } else { ControlKind::Abort };
    let marker = ControlRecord { kind, coordinator_epoch: COORDINATOR_EPOCH };
    let batch = marker.to_batch(producer.id, producer.epoch, now);
    let _after_all_batches = partition.transactional.write();
    partition.append_owned(batch)
}

/// What is no reason to write a marker again: its partition is gone, or a newer epoch was there before.
fn passed_over(partition: &Partition, appended: Result<Appended>) -> Result<()> {
    match appended {
        Ok(_) | Err(Error::UnknownTopic { .. }) => Ok(()),
        Err(error @ Error::StaleProducerEpoch { .. }) => {
            tracing::warn!(partition = %partition.name, %error, "a marker came too late");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The partition that holds the offsets of groups.
fn offsets_partition() -> TopicPartition {
    TopicPartition::new(TopicName::new(CONSUMER_OFFSETS).expect("it is a topic name"), 0)
}

fn description(id: &TransactionalId, transaction: &Transaction) -> TransactionDescription {
    let is_open = transaction.state == TransactionState::Ongoing || transaction.started != Timestamp::MIN;
    TransactionDescription {
        transactional_id: id.clone(),
        producer: transaction.producer,
        state: transaction.state,
        timeout: transaction.timeout,
        started: is_open.then_some(transaction.started),
        partitions: transaction.partitions.iter().cloned().collect(),
    }
}
