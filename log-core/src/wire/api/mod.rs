//! The APIs that a Kafka 4.3 broker serves on an ordinary listener: one table, and one file with the messages of each.
//!
//! The table gives each API's key, name, messages, the versions that can be read and written, and the version from which
//! it is flexible (KIP-482). Everything that has to tell APIs apart is made from it: [`ApiKey`],
//! [`Request`](super::Request) and [`Response`](super::Response), and the tests, which visit every API in every version.
//!
//! A message is [`wire!`](super::declare)d with Kafka's names. Parts of messages whose names are used in several APIs
//! (`TopicPartitions`) are reached through their module; the messages themselves are named here.
//!
//! The header of each file says what the API does and what each version brought.
//!
//! Left out: what only controllers and brokers say to each other, client telemetry (71, 72), the share coordinator's
//! internal calls (83 to 87), and versions that Kafka 4 dropped or has not declared stable.

pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod add_raft_voter;
pub(crate) mod alter_client_quotas;
pub(crate) mod alter_configs;
pub(crate) mod alter_partition_reassignments;
pub(crate) mod alter_replica_log_dirs;
pub(crate) mod alter_share_group_offsets;
pub(crate) mod alter_user_scram_credentials;
pub(crate) mod api_versions;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
pub(crate) mod consumer_protocol_assignment;
pub(crate) mod consumer_protocol_subscription;
pub(crate) mod create_acls;
pub(crate) mod create_delegation_token;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_acls;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_share_group_offsets;
pub(crate) mod delete_topics;
pub(crate) mod describe_acls;
pub(crate) mod describe_client_quotas;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_delegation_token;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_quorum;
pub(crate) mod describe_share_group_offsets;
pub(crate) mod describe_topic_partitions;
pub(crate) mod describe_transactions;
pub(crate) mod describe_user_scram_credentials;
pub(crate) mod elect_leaders;
pub(crate) mod end_txn;
pub(crate) mod expire_delegation_token;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_partition_reassignments;
pub(crate) mod list_transactions;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod remove_raft_voter;
pub(crate) mod renew_delegation_token;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod share_acknowledge;
pub(crate) mod share_fetch;
pub(crate) mod share_group_describe;
pub(crate) mod share_group_heartbeat;
pub(crate) mod streams_group_describe;
pub(crate) mod streams_group_heartbeat;
pub(crate) mod sync_group;
pub(crate) mod txn_offset_commit;
pub(crate) mod unregister_broker;
pub(crate) mod update_features;
pub(crate) mod write_txn_markers;

use super::version::Version;
pub(crate) use consumer_protocol_assignment::ConsumerProtocolAssignment;
pub(crate) use consumer_protocol_subscription::ConsumerProtocolSubscription;
use std::fmt;
use std::ops::RangeInclusive;

/// No version of the API is flexible.
const NEVER: i16 = i16::MAX;

/// Hands the table to the macro `$then`: `key Name(module::Request, Response) versions => flexible from;`.
macro_rules! each_api {
    ($then:ident) => {
        $then! {
             0 Produce(produce::ProduceRequest, ProduceResponse) 3..=13 => 9;
             1 Fetch(fetch::FetchRequest, FetchResponse) 4..=18 => 12;
             2 ListOffsets(list_offsets::ListOffsetsRequest, ListOffsetsResponse) 1..=11 => 6;
             3 Metadata(metadata::MetadataRequest, MetadataResponse) 0..=13 => 9;
             8 OffsetCommit(offset_commit::OffsetCommitRequest, OffsetCommitResponse) 2..=10 => 8;
             9 OffsetFetch(offset_fetch::OffsetFetchRequest, OffsetFetchResponse) 1..=10 => 6;
            10 FindCoordinator(find_coordinator::FindCoordinatorRequest, FindCoordinatorResponse) 0..=6 => 3;
            11 JoinGroup(join_group::JoinGroupRequest, JoinGroupResponse) 0..=9 => 6;
            12 Heartbeat(heartbeat::HeartbeatRequest, HeartbeatResponse) 0..=4 => 4;
            13 LeaveGroup(leave_group::LeaveGroupRequest, LeaveGroupResponse) 0..=5 => 4;
            14 SyncGroup(sync_group::SyncGroupRequest, SyncGroupResponse) 0..=5 => 4;
            15 DescribeGroups(describe_groups::DescribeGroupsRequest, DescribeGroupsResponse) 0..=6 => 5;
            16 ListGroups(list_groups::ListGroupsRequest, ListGroupsResponse) 0..=5 => 3;
            17 SaslHandshake(sasl_handshake::SaslHandshakeRequest, SaslHandshakeResponse) 0..=1 => NEVER;
            18 ApiVersions(api_versions::ApiVersionsRequest, ApiVersionsResponse) 0..=4 => 3;
            19 CreateTopics(create_topics::CreateTopicsRequest, CreateTopicsResponse) 2..=7 => 5;
            20 DeleteTopics(delete_topics::DeleteTopicsRequest, DeleteTopicsResponse) 1..=6 => 4;
            21 DeleteRecords(delete_records::DeleteRecordsRequest, DeleteRecordsResponse) 0..=2 => 2;
            22 InitProducerId(init_producer_id::InitProducerIdRequest, InitProducerIdResponse) 0..=5 => 2;
            23 OffsetForLeaderEpoch(offset_for_leader_epoch::OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse) 2..=4 => 4;
            24 AddPartitionsToTxn(add_partitions_to_txn::AddPartitionsToTxnRequest, AddPartitionsToTxnResponse) 0..=5 => 3;
            25 AddOffsetsToTxn(add_offsets_to_txn::AddOffsetsToTxnRequest, AddOffsetsToTxnResponse) 0..=4 => 3;
            26 EndTxn(end_txn::EndTxnRequest, EndTxnResponse) 0..=5 => 3;
            27 WriteTxnMarkers(write_txn_markers::WriteTxnMarkersRequest, WriteTxnMarkersResponse) 1..=2 => 1;
            28 TxnOffsetCommit(txn_offset_commit::TxnOffsetCommitRequest, TxnOffsetCommitResponse) 0..=5 => 3;
            29 DescribeAcls(describe_acls::DescribeAclsRequest, DescribeAclsResponse) 1..=3 => 2;
            30 CreateAcls(create_acls::CreateAclsRequest, CreateAclsResponse) 1..=3 => 2;
            31 DeleteAcls(delete_acls::DeleteAclsRequest, DeleteAclsResponse) 1..=3 => 2;
            32 DescribeConfigs(describe_configs::DescribeConfigsRequest, DescribeConfigsResponse) 1..=4 => 4;
            33 AlterConfigs(alter_configs::AlterConfigsRequest, AlterConfigsResponse) 0..=2 => 2;
            34 AlterReplicaLogDirs(alter_replica_log_dirs::AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse) 1..=2 => 2;
            35 DescribeLogDirs(describe_log_dirs::DescribeLogDirsRequest, DescribeLogDirsResponse) 1..=5 => 2;
            36 SaslAuthenticate(sasl_authenticate::SaslAuthenticateRequest, SaslAuthenticateResponse) 0..=2 => 2;
            37 CreatePartitions(create_partitions::CreatePartitionsRequest, CreatePartitionsResponse) 0..=3 => 2;
            38 CreateDelegationToken(create_delegation_token::CreateDelegationTokenRequest, CreateDelegationTokenResponse) 1..=3 => 2;
            39 RenewDelegationToken(renew_delegation_token::RenewDelegationTokenRequest, RenewDelegationTokenResponse) 1..=2 => 2;
            40 ExpireDelegationToken(expire_delegation_token::ExpireDelegationTokenRequest, ExpireDelegationTokenResponse) 1..=2 => 2;
            41 DescribeDelegationToken(describe_delegation_token::DescribeDelegationTokenRequest, DescribeDelegationTokenResponse) 1..=3 => 2;
            42 DeleteGroups(delete_groups::DeleteGroupsRequest, DeleteGroupsResponse) 0..=2 => 2;
            43 ElectLeaders(elect_leaders::ElectLeadersRequest, ElectLeadersResponse) 0..=2 => 2;
            44 IncrementalAlterConfigs(incremental_alter_configs::IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse) 0..=1 => 1;
            45 AlterPartitionReassignments(alter_partition_reassignments::AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse) 0..=1 => 0;
            46 ListPartitionReassignments(list_partition_reassignments::ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse) 0..=0 => 0;
            47 OffsetDelete(offset_delete::OffsetDeleteRequest, OffsetDeleteResponse) 0..=0 => NEVER;
            48 DescribeClientQuotas(describe_client_quotas::DescribeClientQuotasRequest, DescribeClientQuotasResponse) 0..=1 => 1;
            49 AlterClientQuotas(alter_client_quotas::AlterClientQuotasRequest, AlterClientQuotasResponse) 0..=1 => 1;
            50 DescribeUserScramCredentials(describe_user_scram_credentials::DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse) 0..=0 => 0;
            51 AlterUserScramCredentials(alter_user_scram_credentials::AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse) 0..=0 => 0;
            55 DescribeQuorum(describe_quorum::DescribeQuorumRequest, DescribeQuorumResponse) 0..=2 => 0;
            57 UpdateFeatures(update_features::UpdateFeaturesRequest, UpdateFeaturesResponse) 0..=2 => 0;
            60 DescribeCluster(describe_cluster::DescribeClusterRequest, DescribeClusterResponse) 0..=2 => 0;
            61 DescribeProducers(describe_producers::DescribeProducersRequest, DescribeProducersResponse) 0..=0 => 0;
            64 UnregisterBroker(unregister_broker::UnregisterBrokerRequest, UnregisterBrokerResponse) 0..=0 => 0;
            65 DescribeTransactions(describe_transactions::DescribeTransactionsRequest, DescribeTransactionsResponse) 0..=0 => 0;
            66 ListTransactions(list_transactions::ListTransactionsRequest, ListTransactionsResponse) 0..=2 => 0;
            68 ConsumerGroupHeartbeat(consumer_group_heartbeat::ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse) 0..=1 => 0;
            69 ConsumerGroupDescribe(consumer_group_describe::ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse) 0..=1 => 0;
            74 ListConfigResources(list_config_resources::ListConfigResourcesRequest, ListConfigResourcesResponse) 0..=1 => 0;
            75 DescribeTopicPartitions(describe_topic_partitions::DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse) 0..=0 => 0;
            76 ShareGroupHeartbeat(share_group_heartbeat::ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse) 1..=1 => 0;
            77 ShareGroupDescribe(share_group_describe::ShareGroupDescribeRequest, ShareGroupDescribeResponse) 1..=1 => 0;
            78 ShareFetch(share_fetch::ShareFetchRequest, ShareFetchResponse) 1..=2 => 0;
            79 ShareAcknowledge(share_acknowledge::ShareAcknowledgeRequest, ShareAcknowledgeResponse) 1..=2 => 0;
            80 AddRaftVoter(add_raft_voter::AddRaftVoterRequest, AddRaftVoterResponse) 0..=1 => 0;
            81 RemoveRaftVoter(remove_raft_voter::RemoveRaftVoterRequest, RemoveRaftVoterResponse) 0..=0 => 0;
            88 StreamsGroupHeartbeat(streams_group_heartbeat::StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse) 0..=0 => 0;
            89 StreamsGroupDescribe(streams_group_describe::StreamsGroupDescribeRequest, StreamsGroupDescribeResponse) 0..=0 => 0;
            90 DescribeShareGroupOffsets(describe_share_group_offsets::DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse) 0..=1 => 0;
            91 AlterShareGroupOffsets(alter_share_group_offsets::AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse) 0..=0 => 0;
            92 DeleteShareGroupOffsets(delete_share_group_offsets::DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse) 0..=0 => 0;
        }
    };
}
pub(super) use each_api;

macro_rules! keys {
    ($($key:literal $name:ident($module:ident::$request:ident, $response:ident) $versions:expr => $flexible:expr;)+) => {
        $( pub(crate) use $module::{$request, $response}; )+

        /// An API of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub(crate) enum ApiKey {
            $( $name = $key, )+
        }

        impl ApiKey {
            /// All of them, by number.
            pub(crate) const ALL: &[Self] = &[$( Self::$name, )+];

            /// The API of this number, if it is in the table.
            pub(crate) const fn from_number(number: i16) -> Option<Self> {
                match number {
                    $( $key => Some(Self::$name), )+
                    _ => None,
                }
            }

            pub(crate) const fn name(self) -> &'static str {
                match self {
                    $( Self::$name => stringify!($name), )+
                }
            }

            /// The versions that are read and written.
            pub(crate) const fn versions(self) -> RangeInclusive<i16> {
                match self {
                    $( Self::$name => $versions, )+
                }
            }

            const fn flexible_from(self) -> i16 {
                match self {
                    $( Self::$name => $flexible, )+
                }
            }
        }
    };
}
each_api!(keys);

impl ApiKey {
    pub(crate) const fn number(self) -> i16 {
        self as i16
    }

    /// The versions that ApiVersions tells. Produce begins at 0 there, as with Kafka: librdkafka before 2.8 gives up on a
    /// broker that does not (KAFKA-18659). Versions 0 to 2 are not read all the same.
    pub(crate) fn advertised(self) -> RangeInclusive<i16> {
        match self {
            Self::Produce => 0..=*self.versions().end(),
            _ => self.versions(),
        }
    }

    /// Version `number`, if it is spoken.
    pub(crate) fn version(self, number: i16) -> Option<Version> {
        self.versions().contains(&number).then(|| Version::new(number, self.flexible_from()))
    }

    /// Whether version `number` is flexible, spoken or not: a header has to be read before that is decided.
    pub(super) const fn is_flexible(self, number: i16) -> bool {
        number >= self.flexible_from()
    }
}

/// Kafka's name, as `Produce`.
impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
