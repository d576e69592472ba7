//! Every API on every listener, asked by those who may not: refused each time, and answered to those who may.
//!
//! | | no credentials | wrong ones | expired ones | no entry that allows it | one that does |
//! |---|---|---|---|---|---|
//! | PLAINTEXT, TLS | are anonymous | | | refused | answered |
//! | SASL_PLAINTEXT, SASL_TLS | closed | closed | closed | refused | answered |
//! | TLS with certificates of clients | no TLS | no TLS | no TLS | refused | answered |
//!
//! The walk is along what is served, so an API that is new has to say here what becomes of it.

use super::sasl::plain;
use super::tls::{Authority, BOTH, DAY, NOW, Signed, connect_to};
use super::{Client, Served, batch};
use crate::broker::Broker;
use crate::broker::server::authentication::is_asked_before;
use crate::broker::server::dispatch::SERVED;
use crate::broker::server::{ListenerConfig, Security, Server, ServerConfig, ServerLimits, TlsConfig};
use crate::client::Log;
use crate::env::{Clock, SimDisk};
use crate::types::{
    AclBinding, AclOperation, AclPermission, CLUSTER_NAME, OffsetSpec, PatternType, ResourceType, TopicSpec, WILDCARD,
};
use crate::wire::*;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

const TOPIC: &str = "secret";
const GROUP: &str = "secret-group";
const TRANSACTION: &str = "secret-transaction";
const LIFETIME: &str = "3600000";

/// What becomes of a request that nothing allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// There is an error that says so.
    Refused,
    /// The answer does not speak of what is secret.
    Hidden,
    /// It is for everyone who is let in.
    Open,
}

/// A request about something that is protected, the version to ask it in, and what becomes of it.
fn probe(key: ApiKey) -> (Request, i16, Outcome) {
    use Outcome::{Hidden, Open, Refused};
    let newest = *key.versions().end();
    let name = || Str::from(TOPIC);
    let group = || Str::from(GROUP);
    let transaction = || Str::from(TRANSACTION);
    let (request, version, outcome) = match key {
        ApiKey::Produce => {
            let data = produce::PartitionProduceData { index: 0, records: Some(batch(&["x"])) };
            let topic = produce::TopicProduceData { name: name(), partition_data: vec![data], ..Default::default() };
            let request = ProduceRequest { acks: 1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() };
            (Request::Produce(request), 9, Refused)
        }
        ApiKey::Fetch => {
            let partition = fetch::FetchPartition { partition_max_bytes: 1000, ..Default::default() };
            let topic = fetch::FetchTopic { topic: name(), partitions: vec![partition], ..Default::default() };
            (Request::Fetch(FetchRequest { topics: vec![topic], ..Default::default() }), 11, Refused)
        }
        ApiKey::ListOffsets => {
            let partition = list_offsets::ListOffsetsPartition { timestamp: -1, ..Default::default() };
            let topic = list_offsets::ListOffsetsTopic { name: name(), partitions: vec![partition] };
            (Request::ListOffsets(ListOffsetsRequest { topics: vec![topic], ..Default::default() }), newest, Refused)
        }
        ApiKey::Metadata => {
            let topic = metadata::MetadataRequestTopic { name: Some(name()), ..Default::default() };
            let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
            (Request::Metadata(request), newest, Refused)
        }
        ApiKey::OffsetCommit => {
            let partitions = vec![offset_commit::OffsetCommitRequestPartition::default()];
            let topic = offset_commit::OffsetCommitRequestTopic { name: name(), partitions, ..Default::default() };
            let request = OffsetCommitRequest { group_id: group(), topics: vec![topic], ..Default::default() };
            (Request::OffsetCommit(request), 9, Refused)
        }
        ApiKey::OffsetFetch => {
            let wanted = offset_fetch::OffsetFetchRequestGroup { group_id: group(), ..Default::default() };
            (Request::OffsetFetch(OffsetFetchRequest { groups: vec![wanted], ..Default::default() }), 9, Refused)
        }
        ApiKey::FindCoordinator => {
            let request = FindCoordinatorRequest { coordinator_keys: vec![group()], ..Default::default() };
            (Request::FindCoordinator(request), newest, Refused)
        }
        ApiKey::JoinGroup => {
            let request = JoinGroupRequest { group_id: group(), session_timeout_ms: 10_000, ..Default::default() };
            (Request::JoinGroup(request), newest, Refused)
        }
        ApiKey::Heartbeat => {
            (Request::Heartbeat(HeartbeatRequest { group_id: group(), ..Default::default() }), newest, Refused)
        }
        ApiKey::LeaveGroup => {
            (Request::LeaveGroup(LeaveGroupRequest { group_id: group(), ..Default::default() }), newest, Refused)
        }
        ApiKey::SyncGroup => {
            (Request::SyncGroup(SyncGroupRequest { group_id: group(), ..Default::default() }), newest, Refused)
        }
        ApiKey::DescribeGroups => {
            let request = DescribeGroupsRequest { groups: vec![group()], ..Default::default() };
            (Request::DescribeGroups(request), newest, Refused)
        }
        ApiKey::ListGroups => (Request::ListGroups(Default::default()), newest, Hidden),
        ApiKey::SaslHandshake => (Request::SaslHandshake(Default::default()), newest, Open),
        ApiKey::ApiVersions => (Request::ApiVersions(Default::default()), 0, Open),
        ApiKey::CreateTopics => {
            let topic =
                create_topics::CreatableTopic { name: "secret-new".into(), num_partitions: 1, ..Default::default() };
            (Request::CreateTopics(CreateTopicsRequest { topics: vec![topic], ..Default::default() }), newest, Refused)
        }
        ApiKey::DeleteTopics => {
            let request = DeleteTopicsRequest { topic_names: vec!["secret-gone".into()], ..Default::default() };
            (Request::DeleteTopics(request), 5, Refused)
        }
        ApiKey::DeleteRecords => {
            let partitions = vec![delete_records::DeleteRecordsPartition::default()];
            let topic = delete_records::DeleteRecordsTopic { name: name(), partitions };
            (
                Request::DeleteRecords(DeleteRecordsRequest { topics: vec![topic], ..Default::default() }),
                newest,
                Refused,
            )
        }
        ApiKey::InitProducerId => {
            let request = InitProducerIdRequest { transactional_id: Some("secret-new".into()), ..Default::default() };
            (Request::InitProducerId(request), newest, Refused)
        }
        ApiKey::OffsetForLeaderEpoch => {
            let partitions = vec![offset_for_leader_epoch::OffsetForLeaderPartition::default()];
            let topic = offset_for_leader_epoch::OffsetForLeaderTopic { topic: name(), partitions };
            let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
            (Request::OffsetForLeaderEpoch(request), newest, Refused)
        }
        ApiKey::AddPartitionsToTxn => {
            let topic = add_partitions_to_txn::AddPartitionsToTxnTopic { name: name(), partitions: vec![0] };
            let request = AddPartitionsToTxnRequest {
                v3_and_below_transactional_id: transaction(),
                v3_and_below_topics: vec![topic],
                ..Default::default()
            };
            (Request::AddPartitionsToTxn(request), 3, Refused)
        }
        ApiKey::AddOffsetsToTxn => {
            let request =
                AddOffsetsToTxnRequest { transactional_id: transaction(), group_id: group(), ..Default::default() };
            (Request::AddOffsetsToTxn(request), newest, Refused)
        }
        ApiKey::EndTxn => {
            let request = EndTxnRequest { transactional_id: transaction(), producer_id: 4711, ..Default::default() };
            (Request::EndTxn(request), newest, Refused)
        }
        ApiKey::WriteTxnMarkers => {
            let topic = write_txn_markers::WritableTxnMarkerTopic { name: name(), partition_indexes: vec![0] };
            let marker =
                write_txn_markers::WritableTxnMarker { producer_id: 4711, topics: vec![topic], ..Default::default() };
            (Request::WriteTxnMarkers(WriteTxnMarkersRequest { markers: vec![marker] }), newest, Refused)
        }
        ApiKey::TxnOffsetCommit => {
            let request = TxnOffsetCommitRequest {
                transactional_id: transaction(),
                group_id: group(),
                topics: vec![txn_offset_commit::TxnOffsetCommitRequestTopic {
                    name: name(),
                    partitions: vec![Default::default()],
                }],
                ..Default::default()
            };
            (Request::TxnOffsetCommit(request), newest, Refused)
        }
        ApiKey::DescribeAcls => {
            let any = DescribeAclsRequest {
                resource_type_filter: 1,
                pattern_type_filter: 1,
                operation: 1,
                permission_type: 1,
                ..Default::default()
            };
            (Request::DescribeAcls(any), newest, Refused)
        }
        ApiKey::CreateAcls => {
            let creation = create_acls::AclCreation {
                resource_type: 2,
                resource_name: "other".into(),
                principal: "User:nobody".into(),
                host: "*".into(),
                operation: 3,
                permission_type: 3,
                ..Default::default()
            };
            (Request::CreateAcls(CreateAclsRequest { creations: vec![creation] }), newest, Refused)
        }
        ApiKey::DeleteAcls => {
            let filter = delete_acls::DeleteAclsFilter {
                resource_type_filter: 2,
                resource_name_filter: Some("nothing".into()),
                operation: 1,
                permission_type: 1,
                ..Default::default()
            };
            (Request::DeleteAcls(DeleteAclsRequest { filters: vec![filter] }), newest, Refused)
        }
        ApiKey::DescribeConfigs => {
            let resource = describe_configs::DescribeConfigsResource {
                resource_type: 2,
                resource_name: name(),
                configuration_keys: None,
            };
            let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
            (Request::DescribeConfigs(request), newest, Refused)
        }
        ApiKey::AlterConfigs => {
            let resource =
                alter_configs::AlterConfigsResource { resource_type: 2, resource_name: name(), ..Default::default() };
            (
                Request::AlterConfigs(AlterConfigsRequest { resources: vec![resource], validate_only: true }),
                newest,
                Refused,
            )
        }
        ApiKey::IncrementalAlterConfigs => {
            let resource = incremental_alter_configs::AlterConfigsResource {
                resource_type: 2,
                resource_name: name(),
                ..Default::default()
            };
            let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: true };
            (Request::IncrementalAlterConfigs(request), newest, Refused)
        }
        ApiKey::AlterReplicaLogDirs => {
            let topic = alter_replica_log_dirs::AlterReplicaLogDirTopic { name: name(), partitions: vec![0] };
            let dir = alter_replica_log_dirs::AlterReplicaLogDir { path: "/elsewhere".into(), topics: vec![topic] };
            (Request::AlterReplicaLogDirs(AlterReplicaLogDirsRequest { dirs: vec![dir] }), newest, Refused)
        }
        ApiKey::DescribeLogDirs => (Request::DescribeLogDirs(Default::default()), newest, Hidden),
        ApiKey::SaslAuthenticate => (Request::SaslAuthenticate(Default::default()), newest, Open),
        ApiKey::CreatePartitions => {
            let topic = create_partitions::CreatePartitionsTopic { name: name(), count: 9, ..Default::default() };
            let request = CreatePartitionsRequest { topics: vec![topic], validate_only: true, ..Default::default() };
            (Request::CreatePartitions(request), newest, Refused)
        }
        // There are none, and everybody is told so.
        ApiKey::CreateDelegationToken => (Request::CreateDelegationToken(Default::default()), newest, Open),
        ApiKey::RenewDelegationToken => (Request::RenewDelegationToken(Default::default()), newest, Open),
        ApiKey::ExpireDelegationToken => (Request::ExpireDelegationToken(Default::default()), newest, Open),
        ApiKey::DescribeDelegationToken => (Request::DescribeDelegationToken(Default::default()), newest, Open),
        ApiKey::DeleteGroups => {
            let request = DeleteGroupsRequest { groups_names: vec!["secret-gone".into()] };
            (Request::DeleteGroups(request), newest, Refused)
        }
        ApiKey::ElectLeaders => (Request::ElectLeaders(Default::default()), newest, Refused),
        ApiKey::AlterPartitionReassignments => {
            (Request::AlterPartitionReassignments(Default::default()), newest, Refused)
        }
        ApiKey::ListPartitionReassignments => {
            (Request::ListPartitionReassignments(Default::default()), newest, Refused)
        }
        ApiKey::OffsetDelete => {
            (Request::OffsetDelete(OffsetDeleteRequest { group_id: group(), ..Default::default() }), newest, Refused)
        }
        ApiKey::DescribeClientQuotas => (Request::DescribeClientQuotas(Default::default()), newest, Refused),
        ApiKey::AlterClientQuotas => {
            let entity = alter_client_quotas::EntityData { entity_type: "user".into(), entity_name: Some("x".into()) };
            let entry = alter_client_quotas::EntryData { entity: vec![entity], ops: Vec::new() };
            let request = AlterClientQuotasRequest { entries: vec![entry], validate_only: true };
            (Request::AlterClientQuotas(request), newest, Refused)
        }
        ApiKey::DescribeUserScramCredentials => {
            (Request::DescribeUserScramCredentials(Default::default()), newest, Refused)
        }
        ApiKey::AlterUserScramCredentials => {
            let deletion =
                alter_user_scram_credentials::ScramCredentialDeletion { name: "nobody".into(), mechanism: 1 };
            let request = AlterUserScramCredentialsRequest { deletions: vec![deletion], ..Default::default() };
            (Request::AlterUserScramCredentials(request), newest, Refused)
        }
        ApiKey::DescribeQuorum => {
            let topic = describe_quorum::TopicData {
                topic_name: "__cluster_metadata".into(),
                partitions: vec![Default::default()],
            };
            (Request::DescribeQuorum(DescribeQuorumRequest { topics: vec![topic] }), newest, Refused)
        }
        ApiKey::UpdateFeatures => (Request::UpdateFeatures(Default::default()), newest, Refused),
        // As with Kafka: where brokers are is no secret to whoever is let in.
        ApiKey::DescribeCluster => (Request::DescribeCluster(DescribeClusterRequest::default()), newest, Open),
        ApiKey::DescribeProducers => {
            let topic = describe_producers::TopicRequest { name: name(), partition_indexes: vec![0] };
            (Request::DescribeProducers(DescribeProducersRequest { topics: vec![topic] }), newest, Refused)
        }
        ApiKey::UnregisterBroker => {
            (Request::UnregisterBroker(UnregisterBrokerRequest { broker_id: 77 }), newest, Refused)
        }
        ApiKey::DescribeTransactions => {
            let request = DescribeTransactionsRequest { transactional_ids: vec![transaction()] };
            (Request::DescribeTransactions(request), newest, Refused)
        }
        ApiKey::ListTransactions => (Request::ListTransactions(Default::default()), newest, Hidden),
        ApiKey::ConsumerGroupHeartbeat => {
            let request = ConsumerGroupHeartbeatRequest { group_id: group(), ..Default::default() };
            (Request::ConsumerGroupHeartbeat(request), newest, Refused)
        }
        ApiKey::ConsumerGroupDescribe => {
            let request = ConsumerGroupDescribeRequest { group_ids: vec![group()], ..Default::default() };
            (Request::ConsumerGroupDescribe(request), newest, Refused)
        }
        ApiKey::ListConfigResources => (Request::ListConfigResources(Default::default()), newest, Refused),
        ApiKey::DescribeTopicPartitions => {
            let topics = vec![describe_topic_partitions::TopicRequest { name: name() }];
            let request = DescribeTopicPartitionsRequest { topics, ..Default::default() };
            (Request::DescribeTopicPartitions(request), newest, Refused)
        }
        other => panic!("{other} is served, so it has a place here"),
    };
    (request, version, outcome)
}

/// Whether an answer says that its sender may not.
fn is_refusal(response: &Response) -> bool {
    let refusals = [
        ErrorCode::TopicAuthorizationFailed,
        ErrorCode::GroupAuthorizationFailed,
        ErrorCode::ClusterAuthorizationFailed,
        ErrorCode::TransactionalIdAuthorizationFailed,
    ];
    let mut found = false;
    response.codes(&mut |code| found |= refusals.contains(&ErrorCode::from_number(code)));
    found
}

/// A server with something to hide, and the two who come: one who may do everything and one who may nothing.
struct World {
    served: Served,
    clock: Clock,
    authority: Authority,
    alice: Signed,
    mallory: Signed,
    shows: bool,
}

impl World {
    async fn new(listeners: &[Security], shows: bool) -> Self {
        let (authority, of_clients) = (Authority::new("authority"), Authority::new("clients"));
        let own = authority.sign("server", 2090);
        let tls = TlsConfig {
            certificates: own.certificate.into_bytes(),
            key: own.key.into_bytes(),
            client_authorities: shows.then(|| of_clients.pem.clone().into_bytes()),
        };
        let limits = ServerLimits { failed_authentication: Duration::ZERO, ..ServerLimits::default() };
        let at = "127.0.0.1:0".parse().unwrap();
        let listeners = listeners.iter().map(|security| ListenerConfig::new(*security, at)).collect();
        let config = ServerConfig { listeners, tls: Some(tls), limits, ..ServerConfig::default() };
        let settings = [("connections.max.reauth.ms".to_owned(), LIFETIME.to_owned())].into();
        let clock = Clock::manual(NOW);
        let disk = Arc::new(SimDisk::default());
        let broker = Broker::open_with(disk, clock.clone(), Path::new("/data"), settings).unwrap();
        let log = Log::over(broker.clone());
        log.admin().create_topic(TopicSpec::new(TOPIC, 1).unwrap()).await.unwrap();
        log.admin().reset_group(GROUP, TOPIC, OffsetSpec::Earliest).await.unwrap();
        log.producer().transactional_id(TRANSACTION).start().await.unwrap();
        for user in ["alice", "mallory"] {
            log.admin().set_user(user, "pencil").await.unwrap();
        }
        let server = Server::start(broker.clone(), config).await.unwrap();
        let served = Served { server, broker };
        let world = Self {
            served,
            clock,
            alice: of_clients.sign("alice", 2031),
            mallory: of_clients.sign("mallory", 2031),
            authority,
            shows,
        };
        for principal in ["User:alice", "User:CN=alice,O=Example"] {
            world.allow(principal).await;
        }
        world
    }

    /// Allows somebody everything.
    async fn allow(&self, principal: &str) {
        let of = |(resource_type, resource_name): (ResourceType, &str)| AclBinding {
            resource_type,
            pattern_type: PatternType::Literal,
            resource_name: resource_name.into(),
            principal: principal.into(),
            host: WILDCARD.into(),
            operation: AclOperation::All,
            permission: AclPermission::Allow,
        };
        let all = [
            (ResourceType::Topic, WILDCARD),
            (ResourceType::Group, WILDCARD),
            (ResourceType::TransactionalId, WILDCARD),
            (ResourceType::Cluster, CLUSTER_NAME),
        ];
        Log::over(self.served.broker.clone()).admin().add_acls(all.map(of).to_vec()).await.unwrap();
    }

    fn listeners(&self) -> Vec<(Security, SocketAddr)> {
        let known = self.served.server.listeners.iter();
        known.map(|(listener, address)| (listener.security, *address)).collect()
    }

    async fn connect(&self, (security, at): (Security, SocketAddr), shown: Option<&Signed>) -> std::io::Result<Client> {
        if !security.encrypts() {
            return Ok(Client::over(TcpStream::connect(at).await?));
        }
        connect_to(at, &self.authority, shown.filter(|_| self.shows), BOTH).await
    }

    /// A connection of a user who has said who it is, by whatever the listener wants.
    async fn enter(&self, listener: (Security, SocketAddr), user: &str) -> Client {
        let shown = if user == "alice" { &self.alice } else { &self.mallory };
        let mut client = self.connect(listener, Some(shown)).await.unwrap();
        if listener.0.asks_for_sasl() {
            assert_eq!(client.choose("PLAIN").await, ErrorCode::None);
            assert_eq!(client.token(plain(user, "pencil")).await.error_code, 0);
        }
        client
    }
}

/// Whether a request of this API gets an answer.
async fn is_answered(client: std::io::Result<Client>, key: ApiKey) -> bool {
    let Ok(mut client) = client else { return false };
    let (request, version, _) = probe(key);
    client.send(&request, version).await;
    client.frame().await.is_some()
}

async fn ask(client: &mut Client, key: ApiKey) -> (Response, Outcome) {
    let (request, version, outcome) = probe(key);
    (client.ask(request, version).await, outcome)
}

async fn walk(world: &World) {
    for listener in world.listeners() {
        let (security, _) = listener;
        for &key in SERVED {
            // Nobody knows who asks.
            if security.asks_for_sasl() && !is_asked_before(key) {
                let none = world.connect(listener, Some(&world.alice)).await;
                assert!(!is_answered(none, key).await, "{key} without credentials on {security:?}");
                let mut wrong = world.connect(listener, Some(&world.alice)).await.unwrap();
                assert_eq!(wrong.choose("PLAIN").await, ErrorCode::None);
                let told = wrong.token(plain("alice", "crayon")).await;
                assert_eq!(told.error_code, ErrorCode::SaslAuthenticationFailed.number());
                assert!(!is_answered(Ok(wrong), key).await, "{key} with a wrong password on {security:?}");
                let expired = world.enter(listener, "alice").await;
                world.clock.advance(Duration::from_millis(LIFETIME.parse().unwrap()));
                assert!(!is_answered(Ok(expired), key).await, "{key} in a session that is over on {security:?}");
            }
            if security.encrypts() && world.shows {
                assert!(!is_answered(world.connect(listener, None).await, key).await, "{key} without a certificate");
                let forged = Authority::new("clients").sign("alice", 2031);
                let forged = world.connect(listener, Some(&forged)).await;
                assert!(!is_answered(forged, key).await, "{key} with a certificate of nobody known");
            }
            // Somebody who may nothing.
            let mut stranger = world.enter(listener, "mallory").await;
            let (response, outcome) = ask(&mut stranger, key).await;
            match outcome {
                Outcome::Refused => assert!(is_refusal(&response), "{key} on {security:?}: {response:?}"),
                Outcome::Hidden => assert!(!format!("{response:?}").contains("secret"), "{key}: {response:?}"),
                Outcome::Open => assert!(!is_refusal(&response), "{key} on {security:?}: {response:?}"),
            }
        }
    }
    // From here on those who say nothing of themselves may too.
    world.allow("User:ANONYMOUS").await;
    for listener in world.listeners() {
        for &key in SERVED.iter().filter(|key| !is_asked_before(**key)) {
            let mut client = world.enter(listener, "alice").await;
            let (response, outcome) = ask(&mut client, key).await;
            assert!(!is_refusal(&response), "{key} on {listener:?}: {response:?}");
            let is_told = format!("{response:?}").contains("secret");
            assert!(outcome != Outcome::Hidden || is_told, "{key} on {listener:?}: {response:?}");
        }
    }
}

#[tokio::test]
async fn listeners_that_know_users_by_password_or_not_at_all() {
    walk(&World::new(&Security::ALL, false).await).await;
}

#[tokio::test]
async fn listeners_that_ask_for_a_certificate() {
    let world = World::new(&[Security::Tls, Security::SaslTls], true).await;
    walk(&world).await;
    world.clock.advance(366 * DAY);
    for listener in world.listeners() {
        for &key in SERVED {
            let expired = world.connect(listener, Some(&world.alice)).await;
            assert!(!is_answered(expired, key).await, "{key} with a certificate that has expired");
        }
    }
}
