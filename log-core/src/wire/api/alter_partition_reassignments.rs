//! Moves partitions to other brokers, or stops that with `None` (KIP-455).
//!
//! Versions:
//! - 1: whether the number of replicas may change by it (KIP-860).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct AlterPartitionReassignmentsRequest {
        [0+] timeout_ms: i32 = 60000,
        [1+] allow_replication_factor_change: bool = true,
        [0+] topics: Vec<ReassignableTopic>,
    }

    /// A topic with its partitions.
    pub(crate) struct ReassignableTopic {
        [0+] name: Str,
        [0+] partitions: Vec<ReassignablePartition>,
    }

    /// A partition and its new brokers; `None` stops a move.
    pub(crate) struct ReassignablePartition {
        [0+] partition_index: i32,
        [0+] replicas: Option<Vec<i32>>,
    }

    /// The response.
    pub(crate) struct AlterPartitionReassignmentsResponse {
        [0+] throttle_time_ms: i32,
        [1+] allow_replication_factor_change: bool = true,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] responses: Vec<ReassignableTopicResponse>,
    }

    /// What became of the partitions of one topic.
    pub(crate) struct ReassignableTopicResponse {
        [0+] name: Str,
        [0+] partitions: Vec<ReassignablePartitionResponse>,
    }

    /// What became of one partition.
    pub(crate) struct ReassignablePartitionResponse {
        [0+] partition_index: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
