//! The idempotent producers that a partition remembers (KIP-664).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeProducersRequest {
        [0+] topics: Vec<TopicRequest>,
    }

    /// A topic that is asked about.
    pub(crate) struct TopicRequest {
        [0+] name: Str,
        [0+] partition_indexes: Vec<i32>,
    }

    /// The response.
    pub(crate) struct DescribeProducersResponse {
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<TopicResponse>,
    }

    /// A topic with its partitions.
    pub(crate) struct TopicResponse {
        [0+] name: Str,
        [0+] partitions: Vec<PartitionResponse>,
    }

    /// The producers of one partition.
    pub(crate) struct PartitionResponse {
        [0+] partition_index: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] active_producers: Vec<ProducerState>,
    }

    /// An idempotent producer, as the partition remembers it.
    pub(crate) struct ProducerState {
        [0+] producer_id: i64,
        [0+] producer_epoch: i32,
        [0+] last_sequence: i32 = -1,
        [0+] last_timestamp: i64 = -1,
        [0+] coordinator_epoch: i32,
        [0+] current_txn_start_offset: i64 = -1,
    }
}
