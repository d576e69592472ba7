//! Once there is a user, who is none may do nothing, and is told so with Kafka's word for it.

use super::Served;
use crate::service::{AlterScramUsers, ScramUpsertion, Service as _};
use crate::types::ScramMechanism;
use crate::wire::ErrorCode::{
    self, ClusterAuthorizationFailed as Cluster, GroupAuthorizationFailed as Group, None as Fine,
    TopicAuthorizationFailed as Topic, TransactionalIdAuthorizationFailed as Transactional,
};
use crate::wire::*;

/// The codes of a response, from the outside in.
fn codes(response: Response) -> Vec<i16> {
    match response {
        Response::InitProducerId(told) => vec![told.error_code],
        Response::FindCoordinator(told) => told.coordinators.iter().map(|one| one.error_code).collect(),
        Response::AddPartitionsToTxn(told) => {
            let each = told.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
            [told.error_code].into_iter().chain(each.map(|one| one.partition_error_code)).collect()
        }
        Response::AddOffsetsToTxn(told) => vec![told.error_code],
        Response::EndTxn(told) => vec![told.error_code],
        Response::WriteTxnMarkers(told) => vec![told.markers[0].topics[0].partitions[0].error_code],
        Response::DescribeProducers(told) => vec![told.topics[0].partitions[0].error_code],
        Response::DescribeTransactions(told) => vec![told.transaction_states[0].error_code],
        Response::ListTransactions(told) => vec![told.error_code, told.transaction_states.len() as i16],
        Response::DescribeConfigs(told) => told.results.iter().map(|one| one.error_code).collect(),
        Response::AlterConfigs(told) => told.responses.iter().map(|one| one.error_code).collect(),
        Response::IncrementalAlterConfigs(told) => told.responses.iter().map(|one| one.error_code).collect(),
        Response::ListConfigResources(told) => vec![told.error_code],
        Response::DescribeAcls(told) => vec![told.error_code],
        Response::CreateAcls(told) => vec![told.results[0].error_code],
        Response::DeleteAcls(told) => vec![told.filter_results[0].error_code],
        Response::DescribeUserScramCredentials(told) => vec![told.error_code],
        Response::AlterUserScramCredentials(told) => vec![told.results[0].error_code],
        Response::DescribeClientQuotas(told) => vec![told.error_code],
        Response::AlterClientQuotas(told) => vec![told.entries[0].error_code],
        Response::DescribeLogDirs(told) => vec![told.error_code],
        Response::AlterReplicaLogDirs(told) => vec![told.results[0].partitions[0].error_code],
        Response::ElectLeaders(told) => vec![told.error_code],
        Response::AlterPartitionReassignments(told) => vec![told.error_code],
        Response::ListPartitionReassignments(told) => vec![told.error_code],
        Response::DescribeQuorum(told) => vec![told.error_code],
        Response::UpdateFeatures(told) => vec![told.error_code],
        Response::UnregisterBroker(told) => vec![told.error_code],
        Response::Produce(told) => vec![told.responses[0].partition_responses[0].error_code],
        other => panic!("{other}"),
    }
}

/// A request in a version, and what its sender is told.
type Case = (Request, i16, &'static [ErrorCode]);

fn of_transactions() -> Vec<Case> {
    let id = || "etl".into();
    let partitions = add_partitions_to_txn::AddPartitionsToTxnTopic { name: "t".into(), partitions: vec![0] };
    let add = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id(),
        v3_and_below_topics: vec![partitions],
        ..Default::default()
    };
    let topic = write_txn_markers::WritableTxnMarkerTopic { name: "t".into(), partition_indexes: vec![0] };
    let marker = write_txn_markers::WritableTxnMarker { topics: vec![topic], ..Default::default() };
    let find = |key_type, key: &str| {
        let coordinator_keys = vec![key.into()];
        Request::FindCoordinator(FindCoordinatorRequest { key_type, coordinator_keys, ..Default::default() })
    };
    let init =
        |transactional_id| Request::InitProducerId(InitProducerIdRequest { transactional_id, ..Default::default() });
    let asked = describe_producers::TopicRequest { name: "t".into(), partition_indexes: vec![0] };
    let produce = |transactional_id| {
        let data = produce::PartitionProduceData { index: 0, records: Some(super::batch(&["a"])) };
        let topic = produce::TopicProduceData { name: "t".into(), partition_data: vec![data], ..Default::default() };
        Request::Produce(ProduceRequest { transactional_id, acks: 1, topic_data: vec![topic], ..Default::default() })
    };
    vec![
        (produce(None), 9, &[Topic]),
        (init(Some(id())), 4, &[Transactional]),
        (init(None), 4, &[Cluster]),
        (find(0, "g"), 4, &[Group]),
        (find(1, "etl"), 4, &[Transactional]),
        (find(2, "g:AAAAAAAAAAAAAAAAAAAAAA:0"), 6, &[Cluster]),
        (Request::AddPartitionsToTxn(add), 3, &[Fine, Transactional]),
        (Request::AddPartitionsToTxn(Default::default()), 4, &[Cluster]),
        (
            Request::AddOffsetsToTxn(AddOffsetsToTxnRequest { transactional_id: id(), ..Default::default() }),
            3,
            &[Transactional],
        ),
        (Request::EndTxn(EndTxnRequest { transactional_id: id(), ..Default::default() }), 3, &[Transactional]),
        (Request::WriteTxnMarkers(WriteTxnMarkersRequest { markers: vec![marker] }), 1, &[Cluster]),
        (Request::DescribeProducers(DescribeProducersRequest { topics: vec![asked] }), 0, &[Topic]),
        (
            Request::DescribeTransactions(DescribeTransactionsRequest { transactional_ids: vec![id()] }),
            0,
            &[Transactional],
        ),
        (Request::ListTransactions(Default::default()), 0, &[Fine, Fine]),
    ]
}

fn of_administration() -> Vec<Case> {
    let kinds = [2, 4, 8, 16, 32];
    let described = |resource_type| describe_configs::DescribeConfigsResource {
        resource_type,
        resource_name: "t".into(),
        configuration_keys: None,
    };
    let describe = DescribeConfigsRequest { resources: kinds.map(described).into(), ..Default::default() };
    let altered = |resource_type| alter_configs::AlterConfigsResource {
        resource_type,
        resource_name: "t".into(),
        configs: Vec::new(),
    };
    let alter = AlterConfigsRequest { resources: kinds.map(altered).into(), ..Default::default() };
    let changed = |resource_type| incremental_alter_configs::AlterConfigsResource {
        resource_type,
        resource_name: "t".into(),
        configs: Vec::new(),
    };
    let change = IncrementalAlterConfigsRequest { resources: kinds.map(changed).into(), ..Default::default() };
    let user = alter_user_scram_credentials::ScramCredentialDeletion { name: "root".into(), mechanism: 1 };
    let users = AlterUserScramCredentialsRequest { deletions: vec![user], upsertions: Vec::new() };
    let quotas = AlterClientQuotasRequest { entries: vec![Default::default()], ..Default::default() };
    let topic = alter_replica_log_dirs::AlterReplicaLogDirTopic { name: "t".into(), partitions: vec![0] };
    let dir = alter_replica_log_dirs::AlterReplicaLogDir { path: "/data".into(), topics: vec![topic] };
    const KINDS: &[ErrorCode] = &[Topic, Cluster, Cluster, Cluster, Group];
    vec![
        (Request::DescribeConfigs(describe), 4, KINDS),
        (Request::AlterConfigs(alter), 2, KINDS),
        (Request::IncrementalAlterConfigs(change), 1, KINDS),
        (Request::ListConfigResources(Default::default()), 1, &[Cluster]),
        (Request::DescribeAcls(Default::default()), 3, &[Cluster]),
        (Request::CreateAcls(CreateAclsRequest { creations: vec![Default::default()] }), 3, &[Cluster]),
        (Request::DeleteAcls(DeleteAclsRequest { filters: vec![Default::default()] }), 3, &[Cluster]),
        (Request::DescribeUserScramCredentials(Default::default()), 0, &[Cluster]),
        (Request::AlterUserScramCredentials(users), 0, &[Cluster]),
        (Request::DescribeClientQuotas(Default::default()), 1, &[Cluster]),
        (Request::AlterClientQuotas(quotas), 1, &[Cluster]),
        (Request::DescribeLogDirs(Default::default()), 4, &[Cluster]),
        (Request::AlterReplicaLogDirs(AlterReplicaLogDirsRequest { dirs: vec![dir] }), 2, &[Cluster]),
        (Request::ElectLeaders(Default::default()), 2, &[Cluster]),
        (Request::AlterPartitionReassignments(Default::default()), 0, &[Cluster]),
        (Request::ListPartitionReassignments(Default::default()), 0, &[Cluster]),
        (Request::DescribeQuorum(Default::default()), 2, &[Cluster]),
        (Request::UpdateFeatures(Default::default()), 2, &[Cluster]),
        (Request::UnregisterBroker(Default::default()), 0, &[Cluster]),
    ]
}

#[tokio::test]
async fn who_may_nothing_is_told_so() {
    let served = Served::start().await;
    let mut client = served.with_topic("t", 1).await;
    let root = ScramUpsertion {
        user: "root".into(),
        mechanism: ScramMechanism::Sha256,
        iterations: 4096,
        salt: vec![1; 16],
        salted_password: vec![7; 32],
    };
    let users = AlterScramUsers { upsertions: vec![root], ..Default::default() };
    served.broker.alter_scram_users(users).await.unwrap().remove(0).1.unwrap();
    for (request, version, expected) in of_transactions().into_iter().chain(of_administration()) {
        let what = request.to_string();
        let told: Vec<_> = codes(client.ask(request, version).await).into_iter().map(ErrorCode::from_number).collect();
        assert_eq!(told, expected, "{what}");
    }
}
