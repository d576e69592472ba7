//! Says what has become of the records that a member of a share group has leased (KIP-932).
//!
//! The types are those of [`share_fetch`](super::share_fetch).
//!
//! Versions:
//! - 2: renewing (KIP-1222).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct ShareAcknowledgeRequest {
        [0+] group_id: Option<Str>,
        [0+] member_id: Option<Str>,
        [0+] share_session_epoch: i32,
        [2+] is_renew_ack: bool,
        [0+] topics: Vec<AcknowledgeTopic>,
    }

    /// A topic with the partitions that something is acknowledged in.
    pub(crate) struct AcknowledgeTopic {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<AcknowledgePartition>,
    }

    /// The acknowledgements of one partition.
    pub(crate) struct AcknowledgePartition {
        [0+] partition_index: i32,
        [0+] acknowledgement_batches: Vec<AcknowledgementBatch>,
    }

    /// What became of the records `[first_offset, last_offset]`: one type each, or one for all.
    pub(crate) struct AcknowledgementBatch {
        [0+] first_offset: i64,
        [0+] last_offset: i64,
        [0+] acknowledge_types: Vec<i8>,
    }

    /// The response.
    pub(crate) struct ShareAcknowledgeResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [2+] acquisition_lock_timeout_ms: i32,
        [0+] responses: Vec<ShareAcknowledgeTopicResponse>,
        [0+] node_endpoints: Vec<NodeEndpoint>,
    }

    /// What became of the acknowledgements of one topic.
    pub(crate) struct ShareAcknowledgeTopicResponse {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// What became of the acknowledgements of one partition.
    pub(crate) struct PartitionData {
        [0+] partition_index: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] current_leader: LeaderIdAndEpoch,
    }

    /// The leader, for who asked the wrong broker.
    pub(crate) struct LeaderIdAndEpoch {
        [0+] leader_id: i32,
        [0+] leader_epoch: i32,
    }

    /// The address of a leader that is named above.
    pub(crate) struct NodeEndpoint {
        [0+] node_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        [0+] rack: Option<Str>,
    }
}
