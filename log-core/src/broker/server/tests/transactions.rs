//! Producers with an identity, and their transactions, by every version that clients speak.

use super::{Client, Served};
use crate::record::{BatchBuilder, Compression, ProducerStamp, Record, records};
use crate::types::Timestamp;
use crate::wire::add_partitions_to_txn::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use crate::wire::describe_producers::TopicRequest;
use crate::wire::fetch::{FetchPartition, FetchTopic};
use crate::wire::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use crate::wire::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic};
use crate::wire::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, DescribeProducersRequest, DescribeTransactionsRequest,
    EndTxnRequest, EndTxnResponse, ErrorCode, FetchRequest, FindCoordinatorRequest, FindCoordinatorResponse,
    InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest, ListTransactionsResponse, ProduceRequest,
    Request, Response, WriteTxnMarkersRequest,
};
use bytes::Bytes;

/// Who a producer is.
type Who = (i64, i16);

async fn init(client: &mut Client, id: Option<&str>, who: Who, version: i16) -> InitProducerIdResponse {
    let (producer_id, producer_epoch) = who;
    let transactional_id = id.map(Into::into);
    let request =
        InitProducerIdRequest { transactional_id, transaction_timeout_ms: 60_000, producer_id, producer_epoch };
    let Response::InitProducerId(response) = client.ask(Request::InitProducerId(request), version).await else {
        panic!()
    };
    response
}

async fn started(client: &mut Client, id: &str) -> Who {
    let started = init(client, Some(id), (-1, -1), 4).await;
    assert_eq!(started.error_code, 0);
    (started.producer_id, started.producer_epoch)
}

fn stamped(who: Who, base_sequence: i32, value: &str, is_transactional: bool) -> Bytes {
    let (producer_id, producer_epoch) = who;
    let mut batch =
        BatchBuilder::new(Compression::None).stamp(ProducerStamp { producer_id, producer_epoch, base_sequence });
    if is_transactional {
        batch = batch.transactional();
    }
    let value = Some(Bytes::from(value.to_owned()));
    batch.push(&Record { key: None, value, timestamp: Timestamp(1000), headers: Vec::new() });
    batch.finish()
}

/// Sends a batch to partition 0 of `t`.
async fn produce(client: &mut Client, id: Option<&str>, batch: Bytes, version: i16) -> PartitionProduceResponse {
    let data = PartitionProduceData { index: 0, records: Some(batch) };
    let topic = TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
    let transactional_id = id.map(Into::into);
    let request = ProduceRequest { transactional_id, acks: -1, timeout_ms: 30_000, topic_data: vec![topic] };
    let Response::Produce(mut response) = client.ask(Request::Produce(request), version).await else { panic!() };
    response.responses.remove(0).partition_responses.remove(0)
}

/// Adds partitions of topics; the code of each.
async fn add(client: &mut Client, id: &str, who: Who, topics: &[(&str, &[i32])], version: i16) -> Vec<ErrorCode> {
    let topic = |(name, partitions): &(&str, &[i32])| AddPartitionsToTxnTopic {
        name: (*name).into(),
        partitions: partitions.to_vec(),
    };
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.into(),
        v3_and_below_producer_id: who.0,
        v3_and_below_producer_epoch: who.1,
        v3_and_below_topics: topics.iter().map(topic).collect(),
        ..Default::default()
    };
    let Response::AddPartitionsToTxn(added) = client.ask(Request::AddPartitionsToTxn(request), version).await else {
        panic!()
    };
    let each = added.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
    each.map(|one| ErrorCode::from_number(one.partition_error_code)).collect()
}

async fn end(client: &mut Client, id: &str, who: Who, committed: bool, version: i16) -> EndTxnResponse {
    let (producer_id, producer_epoch) = who;
    let request = EndTxnRequest { transactional_id: id.into(), producer_id, producer_epoch, committed };
    let Response::EndTxn(ended) = client.ask(Request::EndTxn(request), version).await else { panic!() };
    ended
}

/// What a reader of committed records sees of `t`, how far it is stable, and who was aborted.
async fn committed(client: &mut Client) -> (Vec<String>, i64, usize) {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { max_bytes: 1 << 20, isolation_level: 1, topics: vec![topic], ..Default::default() };
    let Response::Fetch(mut fetched) = client.ask(Request::Fetch(request), 11).await else { panic!() };
    let data = fetched.responses.remove(0).partitions.remove(0);
    assert_eq!(data.error_code, 0);
    let values = records(data.records.unwrap()).map(|record| record.unwrap().value.unwrap_or_default());
    let values = values.map(|value| String::from_utf8_lossy(&value).into_owned());
    (values.collect(), data.last_stable_offset, data.aborted_transactions.unwrap().len())
}

fn code(number: i16) -> ErrorCode {
    ErrorCode::from_number(number)
}

#[tokio::test]
async fn an_idempotent_producer_gets_an_identity_and_its_repeats_are_known() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let mut ids = Vec::new();
    for version in ApiKey::InitProducerId.versions() {
        let started = init(&mut client, None, (-1, -1), version).await;
        assert_eq!((started.error_code, started.producer_epoch), (0, 0));
        ids.push(started.producer_id);
    }
    ids.dedup();
    assert_eq!(ids.len(), ApiKey::InitProducerId.versions().count(), "none is given twice");
    let half = init(&mut client, None, (7, -1), 3).await;
    assert_eq!(code(half.error_code), ErrorCode::InvalidRequest);

    let who = (ids[0], 0);
    for (sequence, expected, offset) in [
        (0, ErrorCode::None, 0),
        (1, ErrorCode::None, 1),
        (0, ErrorCode::None, 0),
        (3, ErrorCode::OutOfOrderSequenceNumber, -1),
        (2, ErrorCode::None, 2),
    ] {
        let answer = produce(&mut client, None, stamped(who, sequence, "a", false), 9).await;
        assert_eq!((code(answer.error_code), answer.base_offset), (expected, offset), "sequence {sequence}");
    }
    let topic = |name: &str, partition_indexes| TopicRequest { name: name.into(), partition_indexes };
    let request = DescribeProducersRequest { topics: vec![topic("t", vec![0, 1]), topic("nowhere", vec![0])] };
    let Response::DescribeProducers(known) = client.ask(Request::DescribeProducers(request), 0).await else { panic!() };
    let [first, second] = &known.topics[0].partitions[..] else { panic!() };
    let [producer] = &first.active_producers[..] else { panic!("{first:?}") };
    assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (who.0, 0, 2));
    assert_eq!(producer.current_txn_start_offset, -1);
    assert_eq!(code(second.error_code), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(code(known.topics[1].partitions[0].error_code), ErrorCode::UnknownTopicOrPartition);
}

async fn find(client: &mut Client, keys: &[&str], key_type: i8, version: i16) -> FindCoordinatorResponse {
    let request = FindCoordinatorRequest {
        key: keys[0].into(),
        key_type,
        coordinator_keys: keys.iter().map(|key| (*key).into()).collect(),
    };
    let Response::FindCoordinator(found) = client.ask(Request::FindCoordinator(request), version).await else {
        panic!()
    };
    found
}

#[tokio::test]
async fn this_broker_coordinates_everything() {
    let served = Served::start().await;
    let mut client = served.client().await;
    let port = i32::from(served.address().port());
    for version in ApiKey::FindCoordinator.versions() {
        for key_type in 0..=i8::from(version > 0) {
            let found = find(&mut client, &["one", "two"], key_type, version).await;
            if version < 4 {
                assert_eq!((found.error_code, found.node_id, &*found.host, found.port), (0, 0, "127.0.0.1", port));
                continue;
            }
            let keys: Vec<_> = found.coordinators.iter().map(|one| (&*one.key, one.node_id, one.port)).collect();
            assert_eq!(keys, [("one", 0, port), ("two", 0, port)]);
        }
    }
    let names: Vec<_> = served.broker.open_topics().iter().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["__consumer_offsets", "__transaction_state"], "as Kafka makes them");
    let wrong = find(&mut client, &["one"], 7, 3).await;
    assert_eq!((code(wrong.error_code), wrong.node_id), (ErrorCode::InvalidRequest, -1));
    let share = "g:AAAAAAAAAAAAAAAAAAAAAA:0";
    let found = find(&mut client, &[share, "g"], 2, 6).await;
    let codes: Vec<_> = found.coordinators.iter().map(|one| code(one.error_code)).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::InvalidRequest]);
    let early = find(&mut client, &[share], 2, 5).await;
    assert_eq!(code(early.coordinators[0].error_code), ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn a_transaction_of_version_1_adds_writes_and_ends() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 2).await;
    let who = started(&mut client, "etl").await;
    for version in 0..=3 {
        let sequence = i32::from(version);
        let added = add(&mut client, "etl", who, &[("t", &[0, 1])], version).await;
        assert_eq!(added, [ErrorCode::None; 2], "version {version}");
        let is_commit = version % 2 == 0;
        let value = format!("{version}");
        let answer = produce(&mut client, Some("etl"), stamped(who, sequence, &value, true), 9).await;
        assert_eq!(answer.error_code, 0, "{answer:?}");
        let before = committed(&mut client).await;
        assert!(!before.0.contains(&value) && before.1 == answer.base_offset, "it is open: {before:?}");
        let ended = end(&mut client, "etl", who, is_commit, version).await;
        assert_eq!((ended.error_code, ended.producer_id), (0, -1));
        // The markers are there when the answer is.
        assert_eq!(committed(&mut client).await.1, answer.base_offset + 2);
        let again = end(&mut client, "etl", who, is_commit, version).await;
        assert_eq!(again.error_code, 0, "its answer may have been lost");
        let otherwise = end(&mut client, "etl", who, !is_commit, version).await;
        assert_eq!(code(otherwise.error_code), ErrorCode::InvalidTxnState);
    }
    assert_eq!(committed(&mut client).await.2, 2, "two were aborted");
}

#[tokio::test]
async fn a_transaction_of_version_2_adds_by_writing_and_has_an_epoch_of_its_own() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let who = started(&mut client, "etl").await;
    let batch = |who, value| stamped(who, 0, value, true);
    // Those who do not know that the broker adds have not added.
    let answer = produce(&mut client, Some("etl"), batch(who, "x"), 10).await;
    assert_eq!(code(answer.error_code), ErrorCode::InvalidTxnState);
    let answer = produce(&mut client, Some("etl"), batch(who, "x"), 11).await;
    assert_eq!(code(answer.error_code), ErrorCode::TransactionAbortable);

    assert_eq!(produce(&mut client, Some("etl"), batch(who, "a"), 12).await.error_code, 0);
    let ended = end(&mut client, "etl", who, true, 5).await;
    assert_eq!((ended.error_code, ended.producer_id, ended.producer_epoch), (0, who.0, who.1 + 1));
    let next = (ended.producer_id, ended.producer_epoch);
    let again = end(&mut client, "etl", who, true, 5).await;
    assert_eq!((again.error_code, again.producer_epoch), (0, next.1));
    assert_eq!(committed(&mut client).await.0[0], "a");

    // What comes late for the one before is not taken for this one.
    assert_eq!(produce(&mut client, Some("etl"), batch(next, "b"), 12).await.error_code, 0);
    let late = produce(&mut client, Some("etl"), stamped(who, 1, "late", true), 12).await;
    assert_eq!(code(late.error_code), ErrorCode::InvalidProducerEpoch);
    let ended = end(&mut client, "etl", next, false, 5).await;
    assert_eq!((ended.error_code, ended.producer_epoch), (0, next.1 + 1));
    assert_eq!(committed(&mut client).await.2, 1);
    let plain = produce(&mut client, None, batch((next.0, next.1 + 1), "c"), 12).await;
    assert_eq!(code(plain.error_code), ErrorCode::InvalidTxnState, "outside of a transaction");
}

#[tokio::test]
async fn who_is_fenced_learns_it_in_the_words_that_its_version_knows() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let old = started(&mut client, "etl").await;
    let new = started(&mut client, "etl").await;
    assert_eq!(new, (old.0, old.1 + 1));
    let known_from = |first, version| {
        if version < first { ErrorCode::InvalidProducerEpoch } else { ErrorCode::ProducerFenced }
    };
    for version in 0..=3 {
        let expected = known_from(2, version);
        assert_eq!(add(&mut client, "etl", old, &[("t", &[0])], version).await, [expected]);
        assert_eq!(code(end(&mut client, "etl", old, true, version).await.error_code), expected);
        let (producer_id, producer_epoch) = old;
        let request = AddOffsetsToTxnRequest {
            transactional_id: "etl".into(),
            producer_id,
            producer_epoch,
            group_id: "g".into(),
        };
        let Response::AddOffsetsToTxn(added) = client.ask(Request::AddOffsetsToTxn(request), version).await else {
            panic!()
        };
        assert_eq!(code(added.error_code), expected);
    }
    started(&mut client, "etl").await;
    for version in [3, 4] {
        assert_eq!(code(init(&mut client, Some("etl"), old, version).await.error_code), known_from(4, version));
    }
    let stranger = (old.0 + 77, 0);
    let added = add(&mut client, "etl", stranger, &[("t", &[0])], 3).await;
    assert_eq!(added, [ErrorCode::InvalidProducerIdMapping]);
    let request = InitProducerIdRequest {
        transactional_id: Some("etl".into()),
        transaction_timeout_ms: i32::MAX,
        ..Default::default()
    };
    let Response::InitProducerId(long) = client.ask(Request::InitProducerId(request), 4).await else { panic!() };
    assert_eq!(code(long.error_code), ErrorCode::InvalidTransactionTimeout);
    assert_eq!(code(init(&mut client, Some(""), (-1, -1), 4).await.error_code), ErrorCode::InvalidRequest);
}

#[tokio::test]
async fn partitions_are_added_all_or_none() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    find(&mut client, &["g"], 0, 3).await;
    let who = started(&mut client, "etl").await;
    let topics: &[(&str, &[i32])] = &[("t", &[0, 1]), ("nowhere", &[0]), ("__consumer_offsets", &[0])];
    let added = add(&mut client, "etl", who, topics, 3).await;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(added, [ErrorCode::OperationNotAttempted, unknown, unknown, ErrorCode::TopicAuthorizationFailed]);
    let answer = produce(&mut client, Some("etl"), stamped(who, 0, "a", true), 11).await;
    assert_eq!(code(answer.error_code), ErrorCode::TransactionAbortable, "it was not added");

    // As brokers ask, for many transactions at once.
    let one = |id: &str, verify_only| AddPartitionsToTxnTransaction {
        transactional_id: id.into(),
        producer_id: who.0,
        producer_epoch: who.1,
        verify_only,
        topics: vec![AddPartitionsToTxnTopic { name: "t".into(), partitions: vec![0] }],
    };
    for (version, expected) in [(4, ErrorCode::InvalidTxnState), (5, ErrorCode::TransactionAbortable)] {
        for (verify_only, expected) in [(true, expected), (false, ErrorCode::None), (true, ErrorCode::None)] {
            let transactions = vec![one("etl", verify_only), one("nobody", verify_only)];
            let request = AddPartitionsToTxnRequest { transactions, ..Default::default() };
            let Response::AddPartitionsToTxn(added) = client.ask(Request::AddPartitionsToTxn(request), version).await
            else {
                panic!()
            };
            let of = |n: usize| {
                code(added.results_by_transaction[n].topic_results[0].results_by_partition[0].partition_error_code)
            };
            assert_eq!((of(0), of(1)), (expected, ErrorCode::InvalidProducerIdMapping), "{verify_only}");
        }
        assert_eq!(end(&mut client, "etl", who, false, 3).await.error_code, 0);
    }
}

async fn list(client: &mut Client, request: ListTransactionsRequest, version: i16) -> ListTransactionsResponse {
    let Response::ListTransactions(listed) = client.ask(Request::ListTransactions(request), version).await else {
        panic!()
    };
    listed
}

#[tokio::test]
async fn transactions_are_described_and_listed() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 2).await;
    let open = started(&mut client, "open").await;
    started(&mut client, "idle").await;
    add(&mut client, "open", open, &[("t", &[1, 0])], 3).await;
    let ids = ["open", "idle", "nobody", ""].map(Into::into).to_vec();
    let request = DescribeTransactionsRequest { transactional_ids: ids };
    let Response::DescribeTransactions(told) = client.ask(Request::DescribeTransactions(request), 0).await else {
        panic!()
    };
    let [first, second, third, fourth] = &told.transaction_states[..] else { panic!() };
    assert_eq!(
        (&*first.transaction_state, first.producer_id, first.transaction_timeout_ms),
        ("Ongoing", open.0, 60_000)
    );
    assert!(first.transaction_start_time_ms > 0);
    assert_eq!((&*first.topics[0].topic, &first.topics[0].partitions[..]), ("t", &[0, 1][..]));
    assert_eq!((&*second.transaction_state, second.transaction_start_time_ms), ("Empty", -1));
    assert_eq!(code(third.error_code), ErrorCode::TransactionalIdNotFound);
    assert_eq!(code(fourth.error_code), ErrorCode::InvalidRequest);

    let ids = |listed: &ListTransactionsResponse| {
        listed.transaction_states.iter().map(|one| one.transactional_id.to_string()).collect::<Vec<_>>()
    };
    let all = ListTransactionsRequest::default;
    for version in ApiKey::ListTransactions.versions() {
        assert_eq!(ids(&list(&mut client, all(), version).await), ["idle", "open"]);
        let state_filters = vec!["Ongoing".into(), "Sleeping".into()];
        let listed = list(&mut client, ListTransactionsRequest { state_filters, ..all() }, version).await;
        assert_eq!((ids(&listed), &*listed.unknown_state_filters[0]), (vec!["open".to_owned()], "Sleeping"));
    }
    let nowhere = ListTransactionsRequest { state_filters: vec!["Sleeping".into()], ..all() };
    assert!(ids(&list(&mut client, nowhere, 0).await).is_empty());
    let of_producer = ListTransactionsRequest { producer_id_filters: vec![open.0], ..all() };
    assert_eq!(ids(&list(&mut client, of_producer, 0).await), ["open"]);
    let old = ListTransactionsRequest { duration_filter: 3_600_000, ..all() };
    assert!(ids(&list(&mut client, old, 1).await).is_empty());
    let like = |pattern: &str| ListTransactionsRequest { transactional_id_pattern: Some(pattern.into()), ..all() };
    assert_eq!(ids(&list(&mut client, like("i.*|pen"), 2).await), ["idle"], "the whole id has to match");
    assert_eq!(ids(&list(&mut client, like(""), 2).await).len(), 2);
    let wrong = list(&mut client, like("("), 2).await;
    assert_eq!(code(wrong.error_code), ErrorCode::InvalidRegularExpression);
}

#[tokio::test]
async fn an_operator_ends_what_hangs() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let who = started(&mut client, "etl").await;
    assert_eq!(produce(&mut client, Some("etl"), stamped(who, 0, "a", true), 12).await.error_code, 0);
    assert_eq!(committed(&mut client).await.1, 0);
    let marker = |coordinator_epoch, names: &[&str]| WritableTxnMarker {
        producer_id: who.0,
        producer_epoch: who.1,
        coordinator_epoch,
        topics: names
            .iter()
            .map(|name| WritableTxnMarkerTopic { name: (*name).into(), partition_indexes: vec![0] })
            .collect(),
        ..Default::default()
    };
    let names = &["__transaction_state", "nowhere", "t"];
    let request = WriteTxnMarkersRequest { markers: vec![marker(7, &["t"]), marker(0, names)] };
    let Response::WriteTxnMarkers(written) = client.ask(Request::WriteTxnMarkers(request), 1).await else { panic!() };
    let codes: Vec<_> = written
        .markers
        .iter()
        .flat_map(|marker| &marker.topics)
        .map(|topic| code(topic.partitions[0].error_code))
        .collect();
    let expected = [
        ErrorCode::InvalidRequest,
        ErrorCode::InvalidTopicException,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::None,
    ];
    assert_eq!(codes, expected);
    let (_, stable, aborted) = committed(&mut client).await;
    assert_eq!((stable, aborted), (2, 1));
}
