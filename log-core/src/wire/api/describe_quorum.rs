//! The metadata quorum: its leader, its voters, how far each is (KIP-595).
//!
//! Versions:
//! - 1: when each has fetched (KIP-836). 2: directories, listeners and messages (KIP-853).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct DescribeQuorumRequest {
        [0+] topics: Vec<TopicData>,
    }

    /// The topic of the metadata log.
    pub(crate) struct TopicData {
        [0+] topic_name: Str,
        [0+] partitions: Vec<PartitionData>,
    }

    /// A partition; there is one.
    pub(crate) struct PartitionData {
        [0+] partition_index: i32,
    }

    /// The response.
    pub(crate) struct DescribeQuorumResponse {
        [0+] error_code: i16,
        [2+] error_message: Option<Str>,
        [0+] topics: Vec<TopicDataResult>,
        [2+] nodes: Vec<Node>,
    }

    /// The topic of the metadata log.
    pub(crate) struct TopicDataResult {
        [0+] topic_name: Str,
        [0+] partitions: Vec<PartitionDataResult>,
    }

    /// The quorum of one partition; there is one.
    pub(crate) struct PartitionDataResult {
        [0+] partition_index: i32,
        [0+] error_code: i16,
        [2+] error_message: Option<Str>,
        [0+] leader_id: i32,
        [0+] leader_epoch: i32,
        [0+] high_watermark: i64,
        [0+] current_voters: Vec<ReplicaState>,
        [0+] observers: Vec<ReplicaState>,
    }

    /// A replica of the quorum and how far it is.
    pub(crate) struct ReplicaState {
        [0+] replica_id: i32,
        [2+] replica_directory_id: Uuid,
        [0+] log_end_offset: i64,
        [1+] last_fetch_timestamp: i64 = -1,
        [1+] last_caught_up_timestamp: i64 = -1,
    }

    /// A voter's addresses.
    pub(crate) struct Node {
        [2+] node_id: i32,
        [2+] listeners: Vec<Listener>,
    }

    /// An address, with the name of the listener.
    pub(crate) struct Listener {
        [2+] name: Str,
        [2+] host: Str,
        [2+] port: u16,
    }
}
