//! Producers' identities and transactions, at the coordinators of their transactional ids.
//!
//! Callers follow the rules of version 2 (KIP-890). Where a cluster has not agreed on it, as Kafka before 4.0, this speaks
//! version 1 for them: a partition is added before the first batch of a transaction goes to it, and the offsets of a
//! group before they are committed. There a producer keeps its epoch, but for one whose transaction was aborted: what
//! it wrote last may be unknown, so it gets another epoch and its sequences begin anew (KIP-360).
//!
//! Which broker coordinates is asked once, and again when it says that it does not.

use super::Remote;
use super::cluster::{Target, answer, call};
use super::peer::{Call, Lane};
use super::retry::{REQUEST_LIMIT, Trouble, persist};
use crate::service::{
    AddOffsetsToTransaction, AddPartitionsToTransaction, CommitTransactionOffsets, DescribeTransactions,
    EndTransaction, InitProducerId, ListTransactions, TransactionDescription, TransactionalProducer,
};
use crate::types::{
    Error, GroupId, ProducerIdentity, Result, Timestamp, TopicName, TopicPartition, TransactionState,
    TransactionVersion, TransactionalId,
};
use crate::wire::add_partitions_to_txn::AddPartitionsToTxnTopic;
use crate::wire::txn_offset_commit::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use crate::wire::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest, ErrorCode,
    FindCoordinatorRequest, InitProducerIdRequest, ListTransactionsRequest, Request, Response, TxnOffsetCommitRequest,
};
use futures::future::join_all;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The last version of AddPartitionsToTxn that is for clients.
const ADD_TO: i16 = 3;
/// The first versions of the second rules.
const END_V2_FROM: i16 = 5;
const COMMIT_V2_FROM: i16 = 5;

/// What is coordinated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Coordinated {
    Group = 0,
    Transaction = 1,
}

/// What is known of coordinators, and of the transactions that go through here.
#[derive(Debug, Default)]
pub(super) struct Coordinators {
    known: Mutex<HashMap<(Coordinated, String), i32>>,
    sessions: Mutex<HashMap<TransactionalId, Session>>,
}

/// A transactional id that is used here.
#[derive(Debug)]
struct Session {
    by_writing: bool,
    producer: ProducerIdentity,
    /// Version 1: what was added to the open transaction.
    partitions: BTreeSet<TopicPartition>,
    groups: BTreeSet<GroupId>,
}

impl Session {
    const fn new(by_writing: bool, producer: ProducerIdentity) -> Self {
        Self { by_writing, producer, partitions: BTreeSet::new(), groups: BTreeSet::new() }
    }
}

impl Remote {
    /// Asks the coordinator of a group or a transactional id, once.
    pub(super) async fn ask_coordinator(&self, of: Coordinated, key: &str, call: Call) -> Result<Response, Trouble> {
        let node = self.coordinator(of, key).await?;
        let asked = self.cluster.ask(Target::Node(node), call).await;
        asked.map_err(|lost| {
            self.forget_coordinator(of, key);
            lost.into()
        })
    }

    async fn coordinator(&self, of: Coordinated, key: &str) -> Result<i32, Trouble> {
        let known = self.coordinators.known.lock().get(&(of, key.to_owned())).copied();
        if let Some(node) = known {
            return Ok(node);
        }
        let request =
            FindCoordinatorRequest { key: key.into(), key_type: of as i8, coordinator_keys: vec![key.into()] };
        let least = if of == Coordinated::Group { 0 } else { 1 };
        let call = Call { versions: least..=i16::MAX, ..call(Request::FindCoordinator(request)) };
        let told = answer!(self.cluster.ask(Target::Any, call).await, FindCoordinator)?;
        let (code, message, node, host, port) = match told.coordinators.into_iter().next() {
            Some(one) => (one.error_code, one.error_message, one.node_id, one.host, one.port),
            None => (told.error_code, told.error_message, told.node_id, told.host, told.port),
        };
        Trouble::check(code, key, message.as_deref())?;
        self.cluster.learn(node, &host, port);
        self.coordinators.known.lock().insert((of, key.to_owned()), node);
        Ok(node)
    }

    pub(super) fn forget_coordinator(&self, of: Coordinated, key: &str) {
        self.coordinators.known.lock().remove(&(of, key.to_owned()));
    }

    /// What an answer of a coordinator means. One that is none any more is looked up again.
    pub(super) fn checked_coordinator(
        &self,
        of: Coordinated,
        key: &str,
        code: i16,
        message: Option<&str>,
    ) -> Result<(), Trouble> {
        if matches!(ErrorCode::from_number(code), ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) {
            self.forget_coordinator(of, key);
        }
        Trouble::check(code, key, message)
    }

    /// The same for transactions, with what is known of who asks.
    fn checked_transaction(&self, id: &TransactionalId, who: ProducerIdentity, code: i16) -> Result<(), Trouble> {
        let why = || ErrorCode::from_number(code).message().to_owned();
        match ErrorCode::from_number(code) {
            ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch => {
                Err(Trouble::Final(Error::ProducerFenced { transactional_id: id.clone(), producer: who, why: why() }))
            }
            ErrorCode::InvalidProducerIdMapping => {
                Err(Trouble::Final(Error::UnknownProducer { transactional_id: id.clone(), producer: who, why: why() }))
            }
            _ => self.checked_coordinator(Coordinated::Transaction, id.as_str(), code, None),
        }
    }

    pub(super) async fn start_producer(&self, request: InitProducerId) -> Result<ProducerIdentity> {
        let InitProducerId { transactional_id, transaction_timeout, producer } = request;
        let before = producer.unwrap_or(ProducerIdentity { id: -1, epoch: -1 });
        let timeout = if transactional_id.is_some() { millis(transaction_timeout) } else { i32::MAX };
        let asked = InitProducerIdRequest {
            transactional_id: transactional_id.as_ref().map(|id| id.as_str().into()),
            transaction_timeout_ms: timeout,
            producer_id: before.id,
            producer_epoch: before.epoch,
        };
        let Some(id) = transactional_id else {
            return persist!(self.cluster.patience(REQUEST_LIMIT), async {
                let call = call(Request::InitProducerId(asked.clone()));
                let told = answer!(self.cluster.ask(Target::Any, call).await, InitProducerId)?;
                Trouble::check(told.error_code, "a producer", None)?;
                Ok::<_, Trouble>(ProducerIdentity { id: told.producer_id, epoch: told.producer_epoch })
            });
        };
        // Whoever goes on says who it was, and is not to be taken for a new one.
        let versions = if producer.is_some() { 3..=i16::MAX } else { 0..=i16::MAX };
        let started = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = Call { versions: versions.clone(), ..call(Request::InitProducerId(asked.clone())) };
            let told =
                answer!(self.ask_coordinator(Coordinated::Transaction, id.as_str(), call).await, InitProducerId)?;
            if ErrorCode::from_number(told.error_code) == ErrorCode::InvalidTransactionTimeout {
                let error = ErrorCode::InvalidTransactionTimeout.error(id.as_str(), None).unwrap_or(Error::Closed);
                return Err(Trouble::Final(error));
            }
            self.checked_transaction(&id, before, told.error_code)?;
            let by_writing = self.cluster.versions(Target::Any).await?.has_transactions_v2();
            Ok((ProducerIdentity { id: told.producer_id, epoch: told.producer_epoch }, by_writing))
        });
        let (producer, by_writing) = started?;
        self.coordinators.sessions.lock().insert(id, Session::new(by_writing, producer));
        Ok(producer)
    }

    /// Whether writing adds partitions to a transaction; what was added to the present one before is forgotten if it is
    /// another's.
    async fn adds_by_writing(&self, id: &TransactionalId, producer: ProducerIdentity) -> Result<bool> {
        let known = self.coordinators.sessions.lock().get(id).map(|session| (session.by_writing, session.producer));
        if let Some((by_writing, known)) = known
            && known == producer
        {
            return Ok(by_writing);
        }
        let versions = persist!(self.cluster.patience(REQUEST_LIMIT), self.cluster.versions(Target::Any))?;
        let by_writing = versions.has_transactions_v2();
        self.coordinators.sessions.lock().insert(id.clone(), Session::new(by_writing, producer));
        Ok(by_writing)
    }

    /// Makes sure that a batch for a partition will be in the transaction. Returns whether writing it does that.
    pub(super) async fn join_transaction(
        &self,
        id: &TransactionalId,
        producer: ProducerIdentity,
        partition: &TopicPartition,
    ) -> Result<bool> {
        if self.adds_by_writing(id, producer).await? {
            return Ok(true);
        }
        let is_in = |session: &Session| session.partitions.contains(partition);
        if !self.coordinators.sessions.lock().get(id).is_some_and(is_in) {
            let producer = TransactionalProducer { transactional_id: id.clone(), producer };
            let partitions = vec![partition.clone()];
            let request = AddPartitionsToTransaction { producer, partitions, verify_only: false };
            self.add_partitions(request).await.pop().unwrap_or(Err(Error::Closed))?;
        }
        Ok(false)
    }

    pub(super) async fn add_partitions(&self, request: AddPartitionsToTransaction) -> Vec<Result<()>> {
        let AddPartitionsToTransaction { producer, partitions, verify_only } = request;
        let TransactionalProducer { transactional_id: id, producer } = producer;
        if verify_only {
            let what = "asking what is in a transaction";
            return partitions.iter().map(|_| Err(Error::Unsupported { what })).collect();
        }
        let mut topics = BTreeMap::<&str, Vec<i32>>::new();
        for partition in &partitions {
            let index = i32::try_from(partition.partition).unwrap_or(i32::MAX);
            topics.entry(partition.topic.as_str()).or_default().push(index);
        }
        let topic = |(name, partitions): (&str, Vec<i32>)| AddPartitionsToTxnTopic { name: name.into(), partitions };
        let asked = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: id.as_str().into(),
            v3_and_below_producer_id: producer.id,
            v3_and_below_producer_epoch: producer.epoch,
            v3_and_below_topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        let added = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = Call { versions: 0..=ADD_TO, ..call(Request::AddPartitionsToTxn(asked.clone())) };
            let told =
                answer!(self.ask_coordinator(Coordinated::Transaction, id.as_str(), call).await, AddPartitionsToTxn)?;
            let mut codes = HashMap::new();
            for topic in &told.results_by_topic_v3_and_below {
                for one in &topic.results_by_partition {
                    // Those that were not tried say so, and another says why.
                    match ErrorCode::from_number(one.partition_error_code) {
                        ErrorCode::OperationNotAttempted => {}
                        code if code.is_retriable() || code == ErrorCode::ProducerFenced => {
                            self.checked_transaction(&id, producer, one.partition_error_code)?;
                        }
                        _ => {}
                    }
                    codes.insert((topic.name.to_string(), one.partition_index), one.partition_error_code);
                }
            }
            Ok(codes)
        });
        let codes = match added {
            Ok(codes) => codes,
            Err(error) => return partitions.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut sessions = self.coordinators.sessions.lock();
        let result = |partition: TopicPartition| {
            let key = (partition.topic.to_string(), i32::try_from(partition.partition).unwrap_or(i32::MAX));
            let code = codes.get(&key).copied().unwrap_or(ErrorCode::UnknownServerError.number());
            match self.checked_transaction(&id, producer, code) {
                Ok(()) => {
                    if let Some(session) = sessions.get_mut(&id).filter(|session| session.producer == producer) {
                        session.partitions.insert(partition);
                    }
                    Ok(())
                }
                Err(trouble) => Err(trouble.error()),
            }
        };
        partitions.into_iter().map(result).collect()
    }

    pub(super) async fn add_offsets(&self, request: AddOffsetsToTransaction) -> Result<()> {
        let AddOffsetsToTransaction { producer: TransactionalProducer { transactional_id: id, producer }, group } =
            request;
        let asked = AddOffsetsToTxnRequest {
            transactional_id: id.as_str().into(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            group_id: group.as_str().into(),
        };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::AddOffsetsToTxn(asked.clone()));
            let told =
                answer!(self.ask_coordinator(Coordinated::Transaction, id.as_str(), call).await, AddOffsetsToTxn)?;
            self.checked_transaction(&id, producer, told.error_code)
        })?;
        if let Some(session) = self.coordinators.sessions.lock().get_mut(&id) {
            session.groups.insert(group);
        }
        Ok(())
    }

    pub(super) async fn commit_in_transaction(&self, request: CommitTransactionOffsets) -> Result<()> {
        let CommitTransactionOffsets { producer: who, group, member, offsets, .. } = request;
        let TransactionalProducer { transactional_id: id, producer } = who.clone();
        let by_writing = self.adds_by_writing(&id, producer).await?;
        let is_in = |session: &Session| session.groups.contains(&group);
        if !by_writing && !self.coordinators.sessions.lock().get(&id).is_some_and(is_in) {
            self.add_offsets(AddOffsetsToTransaction { producer: who, group: group.clone() }).await?;
        }
        let mut topics = BTreeMap::<String, Vec<TxnOffsetCommitRequestPartition>>::new();
        for (partition, position) in offsets {
            topics.entry(partition.topic.to_string()).or_default().push(TxnOffsetCommitRequestPartition {
                partition_index: i32::try_from(partition.partition).unwrap_or(i32::MAX),
                committed_offset: position.offset,
                committed_leader_epoch: position.leader_epoch.unwrap_or(-1),
                committed_metadata: Some(position.metadata.into()),
            });
        }
        let topic =
            |(name, partitions): (String, Vec<_>)| TxnOffsetCommitRequestTopic { name: name.into(), partitions };
        let (member_id, generation_id, instance) = match &member {
            Some(who) => (who.member.as_str().into(), who.generation, who.instance.clone()),
            None => (Default::default(), -1, None),
        };
        let asked = TxnOffsetCommitRequest {
            transactional_id: id.as_str().into(),
            group_id: group.as_str().into(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            generation_id,
            member_id,
            group_instance_id: instance.map(Into::into),
            topics: topics.into_iter().map(topic).collect(),
        };
        // Before version 3 nobody checks the member.
        let versions = match (by_writing, &member) {
            (true, _) => COMMIT_V2_FROM..=i16::MAX,
            (false, Some(_)) => 3..=COMMIT_V2_FROM - 1,
            (false, None) => 0..=COMMIT_V2_FROM - 1,
        };
        persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let request = Request::TxnOffsetCommit(asked.clone());
            let call = Call { versions: versions.clone(), lane: Lane::Group, ..call(request) };
            let told = answer!(self.ask_coordinator(Coordinated::Group, group.as_str(), call).await, TxnOffsetCommit)?;
            for one in told.topics.iter().flat_map(|topic| &topic.partitions) {
                let code = ErrorCode::from_number(one.error_code);
                match code {
                    ErrorCode::ProducerFenced
                    | ErrorCode::InvalidProducerEpoch
                    | ErrorCode::InvalidProducerIdMapping => self.checked_transaction(&id, producer, one.error_code)?,
                    // Of the transaction, not of the group.
                    ErrorCode::ConcurrentTransactions => Trouble::check(one.error_code, id.as_str(), None)?,
                    _ => self.checked_coordinator(Coordinated::Group, group.as_str(), one.error_code, None)?,
                }
            }
            Ok(())
        })
    }

    pub(super) async fn finish_transaction(&self, request: EndTransaction) -> Result<ProducerIdentity> {
        let EndTransaction { producer: TransactionalProducer { transactional_id: id, producer }, commit, version } =
            request;
        let by_writing = self.adds_by_writing(&id, producer).await? && version == TransactionVersion::V2;
        let is_empty = |session: &Session| session.partitions.is_empty() && session.groups.is_empty();
        if !by_writing && self.coordinators.sessions.lock().get(&id).is_some_and(is_empty) {
            return Ok(producer);
        }
        let asked = EndTxnRequest {
            transactional_id: id.as_str().into(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            committed: commit,
        };
        let versions = if by_writing { END_V2_FROM..=i16::MAX } else { 0..=END_V2_FROM - 1 };
        let ended = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = Call { versions: versions.clone(), ..call(Request::EndTxn(asked.clone())) };
            let told = answer!(self.ask_coordinator(Coordinated::Transaction, id.as_str(), call).await, EndTxn)?;
            self.checked_transaction(&id, producer, told.error_code)?;
            Ok::<_, Trouble>(told)
        });
        let told = ended?;
        let next = match told.producer_id {
            0.. if by_writing => ProducerIdentity { id: told.producer_id, epoch: told.producer_epoch },
            _ => producer,
        };
        self.coordinators.sessions.lock().insert(id.clone(), Session::new(by_writing, next));
        if by_writing || commit {
            return Ok(next);
        }
        // The timeout is not asked for again by a producer that goes on.
        let timeout = Duration::from_mins(1);
        let again =
            InitProducerId { transactional_id: Some(id), transaction_timeout: timeout, producer: Some(producer) };
        super::super::transaction::patiently(self, || self.start_producer(again.clone())).await
    }

    pub(super) async fn look_at_transactions(
        &self,
        request: DescribeTransactions,
    ) -> Vec<Result<TransactionDescription>> {
        join_all(request.transactional_ids.into_iter().map(|id| self.look_at_transaction(id))).await
    }

    async fn look_at_transaction(&self, id: TransactionalId) -> Result<TransactionDescription> {
        let asked = DescribeTransactionsRequest { transactional_ids: vec![id.as_str().into()] };
        let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
            let call = call(Request::DescribeTransactions(asked.clone()));
            let told =
                answer!(self.ask_coordinator(Coordinated::Transaction, id.as_str(), call).await, DescribeTransactions)?;
            let told = told.transaction_states.into_iter().next().unwrap_or_default();
            self.checked_coordinator(Coordinated::Transaction, id.as_str(), told.error_code, None)?;
            Ok::<_, Trouble>(told)
        })?;
        let unknown = || Error::Malformed { why: format!("`{id}` is in a state that is not known here") };
        let partition = |topic: &str, index: &i32| {
            Some(TopicPartition::new(TopicName::new(topic).ok()?, u32::try_from(*index).ok()?))
        };
        let partitions = told.topics.iter().flat_map(|t| t.partitions.iter().filter_map(|i| partition(&t.topic, i)));
        let state = TransactionState::by_name(&told.transaction_state).ok_or_else(unknown)?;
        // Kafka tells of the last one when none is open.
        let is_open = !matches!(
            state,
            TransactionState::Empty | TransactionState::CompleteCommit | TransactionState::CompleteAbort
        );
        Ok(TransactionDescription {
            state,
            producer: ProducerIdentity { id: told.producer_id, epoch: told.producer_epoch },
            timeout: Duration::from_millis(u64::try_from(told.transaction_timeout_ms).unwrap_or(0)),
            started: Some(Timestamp(told.transaction_start_time_ms)).filter(|started| is_open && started.0 >= 0),
            partitions: partitions.collect(),
            transactional_id: id,
        })
    }

    pub(super) async fn find_transactions(&self, request: ListTransactions) -> Result<Vec<TransactionDescription>> {
        let ListTransactions { states, producer_ids, open_for } = request;
        let asked = ListTransactionsRequest {
            state_filters: states.iter().map(|state| state.name().into()).collect(),
            producer_id_filters: producer_ids,
            duration_filter: open_for.map_or(-1, |span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
            transactional_id_pattern: None,
        };
        let versions = if open_for.is_some() { 1..=i16::MAX } else { 0..=i16::MAX };
        // Each coordinator knows its own.
        let nodes: Vec<_> = self.cluster.image.lock().brokers.keys().copied().collect();
        let mut ids = BTreeSet::new();
        for node in nodes {
            let told = persist!(self.cluster.patience(REQUEST_LIMIT), async {
                let call = Call { versions: versions.clone(), ..call(Request::ListTransactions(asked.clone())) };
                let told = answer!(self.cluster.ask(Target::Node(node), call).await, ListTransactions)?;
                Trouble::check(told.error_code, "transactions", None)?;
                Ok::<_, Trouble>(told)
            })?;
            ids.extend(
                told.transaction_states.iter().filter_map(|one| TransactionalId::new(&*one.transactional_id).ok()),
            );
        }
        let transactional_ids = ids.into_iter().collect();
        let described = self.look_at_transactions(DescribeTransactions { transactional_ids }).await;
        // One may have been forgotten since.
        Ok(described.into_iter().flatten().collect())
    }
}

fn millis(span: Duration) -> i32 {
    i32::try_from(span.as_millis()).unwrap_or(i32::MAX)
}
