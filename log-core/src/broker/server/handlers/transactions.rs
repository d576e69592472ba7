//! AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, WriteTxnMarkers, DescribeTransactions, ListTransactions.
//!
//! As with Kafka, a transaction takes all the partitions of a request or none: those that are fine beside one that is
//! not were not attempted. Requests with many transactions, and markers, are between brokers and for operators.

use super::{each_once, fenced, partition, topic};
use crate::broker::server::context::{Context, Resource};
use crate::service::{
    AddOffsetsToTransaction, AddPartitionsToTransaction, DescribeTransactions, EndTransaction, ListTransactions,
    Service, TransactionDescription, TransactionalProducer,
};
use crate::types::{
    AclOperation, GroupId, ProducerIdentity, TopicName, TopicPartition, TransactionVersion, TransactionalId,
};
use crate::wire::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult, AddPartitionsToTxnTransaction,
};
use crate::wire::describe_transactions::{self, TopicData};
use crate::wire::list_transactions;
use crate::wire::write_txn_markers::{
    WritableTxnMarker, WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use crate::wire::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, ErrorCode,
    ListTransactionsRequest, ListTransactionsResponse, Str, Version, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use regex::RegexBuilder;
use std::collections::BTreeMap;
use std::time::Duration;

/// The first version of AddPartitionsToTxn that has many transactions, which brokers send.
const MANY_FROM: i16 = 4;
/// The first version of it that knows `TRANSACTION_ABORTABLE`.
const ABORTABLE_FROM: i16 = 5;
/// The first version of these requests that knows `PRODUCER_FENCED` (KIP-588).
const FENCED_FROM: i16 = 2;
/// The first version of EndTxn by which each transaction has an epoch of its own (KIP-890).
const V2_FROM: i16 = 5;
/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

pub(in crate::broker::server) async fn add_partitions(
    context: &Context,
    request: AddPartitionsToTxnRequest,
    version: Version,
) -> AddPartitionsToTxnResponse {
    if version.number < MANY_FROM {
        let transaction = AddPartitionsToTxnTransaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        let results = add(context, &transaction, version).await;
        return AddPartitionsToTxnResponse { results_by_topic_v3_and_below: results, ..Default::default() };
    }
    if !context.may(AclOperation::ClusterAction, Resource::Cluster) {
        let error_code = ErrorCode::ClusterAuthorizationFailed.number();
        return AddPartitionsToTxnResponse { error_code, ..Default::default() };
    }
    let mut results = Vec::with_capacity(request.transactions.len());
    for transaction in request.transactions {
        let topic_results = add(context, &transaction, version).await;
        let transactional_id = transaction.transactional_id;
        results.push(AddPartitionsToTxnResult { transactional_id, topic_results });
    }
    AddPartitionsToTxnResponse { results_by_transaction: results, ..Default::default() }
}

/// What becomes of the partitions of one transaction, in their order.
async fn add(
    context: &Context,
    transaction: &AddPartitionsToTxnTransaction,
    version: Version,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let asked =
        || transaction.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |index| (topic, *index)));
    let all = |code: ErrorCode| asked().map(|_| code).collect::<Vec<_>>();
    let codes = match who(context, &transaction.transactional_id, version.number < MANY_FROM) {
        Err(code) => all(code),
        Ok(transactional_id) => {
            let found: Vec<_> = asked().map(|(topic, index)| find(context, topic, index, version)).collect();
            if found.iter().any(Result::is_err) {
                let skipped = |found: &Result<_, ErrorCode>| found.clone().err();
                let codes = found.iter().map(|found| skipped(found).unwrap_or(ErrorCode::OperationNotAttempted));
                codes.collect()
            } else {
                let producer = ProducerIdentity { id: transaction.producer_id, epoch: transaction.producer_epoch };
                let request = AddPartitionsToTransaction {
                    producer: TransactionalProducer { transactional_id, producer },
                    partitions: found.into_iter().flatten().collect(),
                    verify_only: transaction.verify_only,
                };
                let added = context.broker().add_partitions_to_transaction(request).await;
                let code = |added: Result<(), _>| match added.map_err(|error| ErrorCode::of(&error)) {
                    Ok(()) => ErrorCode::None,
                    Err(ErrorCode::TransactionAbortable) if version.number < ABORTABLE_FROM => {
                        ErrorCode::InvalidTxnState
                    }
                    Err(code) => fenced(code, version, FENCED_FROM),
                };
                added.into_iter().map(code).collect()
            }
        }
    };
    let mut codes = codes.into_iter();
    let result = |topic: &AddPartitionsToTxnTopic| {
        let each = topic.partitions.iter().zip(codes.by_ref()).map(|(index, code)| AddPartitionsToTxnPartitionResult {
            partition_index: *index,
            partition_error_code: code.number(),
        });
        AddPartitionsToTxnTopicResult { name: topic.name.clone(), results_by_partition: each.collect() }
    };
    transaction.topics.iter().map(result).collect()
}

/// The transactional id, if the peer may write under it; brokers need not ask for others.
fn who(context: &Context, id: &str, asks: bool) -> Result<TransactionalId, ErrorCode> {
    if asks && !context.may(AclOperation::Write, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    TransactionalId::new(id).map_err(|error| ErrorCode::of(&error))
}

/// A partition to be added, if a client may write to it.
fn find(
    context: &Context,
    asked: &AddPartitionsToTxnTopic,
    index: i32,
    version: Version,
) -> Result<TopicPartition, ErrorCode> {
    let of_client = version.number < MANY_FROM;
    if of_client {
        let topic = topic(context, &asked.name, None, AclOperation::Write)?;
        if topic.name.is_internal() {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
        return partition(&topic, index, -1).map(|(name, _)| name);
    }
    let name = TopicName::new(&asked.name).map_err(|error| ErrorCode::of(&error))?;
    let topic = context.broker().topic(&name).map_err(|error| ErrorCode::of(&error))?;
    partition(&topic, index, -1).map(|(name, _)| name)
}

pub(in crate::broker::server) async fn add_offsets(
    context: &Context,
    request: AddOffsetsToTxnRequest,
    version: Version,
) -> AddOffsetsToTxnResponse {
    let added = async {
        let transactional_id = who(context, &request.transactional_id, true)?;
        if !context.may(AclOperation::Read, Resource::Group(&request.group_id)) {
            return Err(ErrorCode::GroupAuthorizationFailed);
        }
        let group = GroupId::new(&request.group_id).map_err(|error| ErrorCode::of(&error))?;
        let producer = ProducerIdentity { id: request.producer_id, epoch: request.producer_epoch };
        let producer = TransactionalProducer { transactional_id, producer };
        let request = AddOffsetsToTransaction { producer, group };
        context.broker().add_offsets_to_transaction(request).await.map_err(|error| ErrorCode::of(&error))
    };
    let code = added.await.err().map_or(ErrorCode::None, |code| fenced(code, version, FENCED_FROM));
    AddOffsetsToTxnResponse { error_code: code.number(), ..Default::default() }
}

pub(in crate::broker::server) async fn end(
    context: &Context,
    request: EndTxnRequest,
    version: Version,
) -> EndTxnResponse {
    let ended = async {
        let transactional_id = who(context, &request.transactional_id, true)?;
        let producer = ProducerIdentity { id: request.producer_id, epoch: request.producer_epoch };
        let request = EndTransaction {
            producer: TransactionalProducer { transactional_id, producer },
            commit: request.committed,
            version: if version.number >= V2_FROM { TransactionVersion::V2 } else { TransactionVersion::V1 },
        };
        context.broker().end_transaction(request).await.map_err(|error| ErrorCode::of(&error))
    };
    match ended.await {
        Ok(ProducerIdentity { id, epoch }) => {
            EndTxnResponse { producer_id: id, producer_epoch: epoch, ..Default::default() }
        }
        Err(code) => EndTxnResponse { error_code: fenced(code, version, FENCED_FROM).number(), ..Default::default() },
    }
}

pub(in crate::broker::server) async fn write_markers(
    context: &Context,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let may = |operation| context.may(operation, Resource::Cluster);
    let is_allowed = may(AclOperation::ClusterAction) || may(AclOperation::Alter);
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        let mut topics = Vec::with_capacity(marker.topics.len());
        for asked in &marker.topics {
            let mut partitions = Vec::with_capacity(asked.partition_indexes.len());
            for &partition_index in &asked.partition_indexes {
                let written = match is_allowed {
                    true => write_marker(context, &marker, &asked.name, partition_index).await,
                    false => Err(ErrorCode::ClusterAuthorizationFailed),
                };
                let error_code = written.err().map_or(0, ErrorCode::number);
                partitions.push(WritableTxnMarkerPartitionResult { partition_index, error_code });
            }
            topics.push(WritableTxnMarkerTopicResult { name: asked.name.clone(), partitions });
        }
        markers.push(WritableTxnMarkerResult { producer_id: marker.producer_id, topics });
    }
    WriteTxnMarkersResponse { markers }
}

/// Ends what a producer has open in one partition, as an operator says.
async fn write_marker(context: &Context, marker: &WritableTxnMarker, name: &str, index: i32) -> Result<(), ErrorCode> {
    let broker = context.broker();
    let name = TopicName::new(name).map_err(|error| ErrorCode::of(&error))?;
    if name.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let topic = broker.topic(&name).map_err(|error| ErrorCode::of(&error))?;
    let (name, _) = partition(&topic, index, -1)?;
    let producer = ProducerIdentity { id: marker.producer_id, epoch: marker.producer_epoch };
    let written = broker.write_marker(&name, producer, marker.transaction_result, marker.coordinator_epoch);
    written.await.map_err(|error| ErrorCode::of(&error))
}

pub(in crate::broker::server) async fn describe(
    context: &Context,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let ids = each_once(request.transactional_ids, Clone::clone);
    let mut transaction_states = Vec::with_capacity(ids.len());
    for transactional_id in ids {
        let state = describe_one(context, &transactional_id).await.unwrap_or_else(|code| {
            describe_transactions::TransactionState { error_code: code.number(), ..Default::default() }
        });
        transaction_states.push(describe_transactions::TransactionState { transactional_id, ..state });
    }
    DescribeTransactionsResponse { transaction_states, ..Default::default() }
}

async fn describe_one(context: &Context, id: &str) -> Result<describe_transactions::TransactionState, ErrorCode> {
    if !context.may(AclOperation::Describe, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let id = TransactionalId::new(id).map_err(|error| ErrorCode::of(&error))?;
    let request = DescribeTransactions { transactional_ids: vec![id] };
    let mut described = context.broker().describe_transactions(request).await;
    let described = described.pop().ok_or(ErrorCode::UnknownServerError)?;
    let TransactionDescription { producer, state, timeout, started, partitions, .. } =
        described.map_err(|error| ErrorCode::of(&error))?;
    let mut topics = BTreeMap::<TopicName, Vec<i32>>::new();
    for partition in partitions {
        // Topics that the peer may not know of are left out.
        if context.may(AclOperation::Describe, Resource::Topic(partition.topic.as_str())) {
            topics.entry(partition.topic).or_default().push(partition.partition as i32);
        }
    }
    let topics = topics.into_iter().map(|(topic, partitions)| TopicData { topic: topic.as_str().into(), partitions });
    Ok(describe_transactions::TransactionState {
        transaction_state: state.name().into(),
        transaction_timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        transaction_start_time_ms: started.map_or(-1, |started| started.0),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics: topics.collect(),
        ..Default::default()
    })
}

pub(in crate::broker::server) async fn list(
    context: &Context,
    request: ListTransactionsRequest,
) -> ListTransactionsResponse {
    let state = |name: &Str| crate::types::TransactionState::by_name(name).ok_or_else(|| name.clone());
    let (states, unknown): (Vec<_>, Vec<_>) = request.state_filters.iter().map(state).partition(Result::is_ok);
    let states: Vec<_> = states.into_iter().flatten().collect();
    let unknown_state_filters: Vec<_> = unknown.into_iter().filter_map(Result::err).collect();
    // What was asked for is in no state that there is.
    let is_none = states.is_empty() && !request.state_filters.is_empty();
    let response = ListTransactionsResponse { unknown_state_filters, ..Default::default() };
    let pattern = match pattern(request.transactional_id_pattern.as_deref()) {
        Ok(pattern) => pattern,
        Err(code) => return ListTransactionsResponse { error_code: code.number(), ..response },
    };
    let filter = ListTransactions {
        states,
        producer_ids: request.producer_id_filters,
        open_for: u64::try_from(request.duration_filter).ok().map(Duration::from_millis),
    };
    let listed = match context.broker().list_transactions(filter).await {
        Ok(listed) => listed,
        Err(error) => {
            return ListTransactionsResponse { error_code: ErrorCode::of(&error).number(), ..response };
        }
    };
    let is_wanted = |transaction: &TransactionDescription| {
        let id = transaction.transactional_id.as_str();
        pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
            && context.may(AclOperation::Describe, Resource::TransactionalId(id))
    };
    let states = listed.into_iter().filter(|one| !is_none && is_wanted(one)).map(|transaction| {
        list_transactions::TransactionState {
            transactional_id: transaction.transactional_id.as_str().into(),
            producer_id: transaction.producer.id,
            transaction_state: transaction.state.name().into(),
        }
    });
    ListTransactionsResponse { transaction_states: states.collect(), ..response }
}

/// What ids have to be, as a whole (KIP-1152); an empty pattern lets all through.
fn pattern(pattern: Option<&str>) -> Result<Option<regex::Regex>, ErrorCode> {
    let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else { return Ok(None) };
    let whole = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(PATTERN_BYTES_MAX).build();
    whole.map(Some).map_err(|_| ErrorCode::InvalidRegularExpression)
}
