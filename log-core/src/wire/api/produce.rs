//! Appends batches to partitions. With acks 0 there is no answer; an error then closes the connection.
//!
//! Versions:
//! - 3: record batches of format v2 (KIP-98) and the transactional id. 7: zstd (KIP-110). 8: which record was wrong
//!   (KIP-467).
//! - 10: an answer of the wrong broker names the leader (KIP-951). 11: `TRANSACTION_ABORTABLE` (KIP-890). 12: the
//!   broker adds partitions to the transaction itself (KIP-890, part 2). 13: topics by id (KIP-516).
//! - 0 to 2 are advertised and not read: see [`ApiKey::advertised`](super::ApiKey::advertised).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct ProduceRequest {
        [3+] transactional_id: Option<Str>,
        [0+] acks: i16,
        [0+] timeout_ms: i32,
        [0+] topic_data: Vec<TopicProduceData>,
    }

    /// A topic with the batches for its partitions.
    pub(crate) struct TopicProduceData {
        [0-12] name: Str,
        [13+]  topic_id: Uuid,
        [0+]   partition_data: Vec<PartitionProduceData>,
    }

    /// The batch for one partition.
    pub(crate) struct PartitionProduceData {
        [0+] index: i32,
        [0+] records: Option<Bytes>,
    }

    /// The response.
    pub(crate) struct ProduceResponse {
        [0+]        responses: Vec<TopicProduceResponse>,
        [1+]        throttle_time_ms: i32,
        [10+ tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    /// What became of the batches of one topic.
    pub(crate) struct TopicProduceResponse {
        [0-12] name: Str,
        [13+]  topic_id: Uuid,
        [0+]   partition_responses: Vec<PartitionProduceResponse>,
    }

    /// What became of one partition's batch.
    pub(crate) struct PartitionProduceResponse {
        [0+]        index: i32,
        [0+]        error_code: i16,
        [0+]        base_offset: i64,
        [2+]        log_append_time_ms: i64 = -1,
        [5+]        log_start_offset: i64 = -1,
        [8+]        record_errors: Vec<BatchIndexAndErrorMessage>,
        [8+]        error_message: Option<Str>,
        [10+ tag 0] current_leader: LeaderIdAndEpoch,
    }

    /// Which record of the batch was wrong, and why.
    pub(crate) struct BatchIndexAndErrorMessage {
        [8+] batch_index: i32,
        [8+] batch_index_error_message: Option<Str>,
    }

    /// The leader, for who asked the wrong broker.
    pub(crate) struct LeaderIdAndEpoch {
        [10+] leader_id: i32 = -1,
        [10+] leader_epoch: i32 = -1,
    }

    /// The address of a leader that is named above.
    pub(crate) struct NodeEndpoint {
        [10+] node_id: i32,
        [10+] host: Str,
        [10+] port: i32,
        [10+] rack: Option<Str>,
    }
}
