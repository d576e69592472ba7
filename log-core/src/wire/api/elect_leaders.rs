//! Elects leaders of partitions: the preferred ones (0), or any at all, at the price of records (1).
//!
//! Versions:
//! - 0: preferred only (KIP-183). 1: both kinds (KIP-460).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct ElectLeadersRequest {
        [1+] election_type: i8,
        [0+] topic_partitions: Option<Vec<TopicPartitions>>,
        [0+] timeout_ms: i32 = 60000,
    }

    /// A topic with partitions of it.
    pub(crate) struct TopicPartitions {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct ElectLeadersResponse {
        [0+] throttle_time_ms: i32,
        [1+] error_code: i16,
        [0+] replica_election_results: Vec<ReplicaElectionResult>,
    }

    /// What became of the elections of one topic.
    pub(crate) struct ReplicaElectionResult {
        [0+] topic: Str,
        [0+] partition_result: Vec<PartitionResult>,
    }

    /// What became of one election.
    pub(crate) struct PartitionResult {
        [0+] partition_id: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
