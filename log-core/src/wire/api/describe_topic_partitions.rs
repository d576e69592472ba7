//! Partitions of topics, page by page, with the replicas that may be elected (KIP-966).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct DescribeTopicPartitionsRequest {
        [0+] topics: Vec<TopicRequest>,
        [0+] response_partition_limit: i32 = 2000,
        [0+] cursor: Option<Cursor>,
    }

    /// A topic that is asked about.
    pub(crate) struct TopicRequest {
        [0+] name: Str,
    }

    /// Where a page begins.
    pub(crate) struct Cursor {
        [0+] topic_name: Str,
        [0+] partition_index: i32,
    }

    /// The response.
    pub(crate) struct DescribeTopicPartitionsResponse {
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<DescribeTopicPartitionsResponseTopic>,
        [0+] next_cursor: Option<Cursor>,
    }

    /// A topic.
    pub(crate) struct DescribeTopicPartitionsResponseTopic {
        [0+] error_code: i16,
        [0+] name: Option<Str>,
        [0+] topic_id: Uuid,
        [0+] is_internal: bool,
        [0+] partitions: Vec<DescribeTopicPartitionsResponsePartition>,
        [0+] topic_authorized_operations: i32 = i32::MIN,
    }

    /// A partition, its leader and its replicas.
    pub(crate) struct DescribeTopicPartitionsResponsePartition {
        [0+] error_code: i16,
        [0+] partition_index: i32,
        [0+] leader_id: i32,
        [0+] leader_epoch: i32 = -1,
        [0+] replica_nodes: Vec<i32>,
        [0+] isr_nodes: Vec<i32>,
        [0+] eligible_leader_replicas: Option<Vec<i32>>,
        [0+] last_known_elr: Option<Vec<i32>>,
        [0+] offline_replicas: Vec<i32>,
    }
}
