//! Takes records of a share group, leased for a while, and acknowledges earlier ones (KIP-932).
//!
//! An acknowledgement has a type for each record, or one for all: 0 gap, 1 accept, 2 release, 3 reject, 4 renew.
//!
//! Versions:
//! - 2: whether to take exactly so many records (KIP-1206); renewing (KIP-1222).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct ShareFetchRequest {
        [0+] group_id: Option<Str>,
        [0+] member_id: Option<Str>,
        [0+] share_session_epoch: i32,
        [0+] max_wait_ms: i32,
        [0+] min_bytes: i32,
        [0+] max_bytes: i32 = i32::MAX,
        [1+] max_records: i32,
        [1+] batch_size: i32,
        [2+] share_acquire_mode: i8,
        [2+] is_renew_ack: bool,
        [0+] topics: Vec<FetchTopic>,
        [0+] forgotten_topics_data: Vec<ForgottenTopic>,
    }

    /// A topic with its partitions.
    pub(crate) struct FetchTopic {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<FetchPartition>,
    }

    /// A partition, with what to acknowledge in it.
    pub(crate) struct FetchPartition {
        [0+] partition_index: i32,
        [0+] acknowledgement_batches: Vec<AcknowledgementBatch>,
    }

    /// What became of the records `[first_offset, last_offset]`: one type each, or one for all.
    pub(crate) struct AcknowledgementBatch {
        [0+] first_offset: i64,
        [0+] last_offset: i64,
        [0+] acknowledge_types: Vec<i8>,
    }

    /// Partitions to take out of the share session.
    pub(crate) struct ForgottenTopic {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct ShareFetchResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [1+] acquisition_lock_timeout_ms: i32,
        [0+] responses: Vec<ShareFetchableTopicResponse>,
        [0+] node_endpoints: Vec<NodeEndpoint>,
    }

    /// A topic with its partitions.
    pub(crate) struct ShareFetchableTopicResponse {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<PartitionData>,
    }

    /// The records of one partition and which of them are leased; the others are not this member's.
    pub(crate) struct PartitionData {
        [0+] partition_index: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] acknowledge_error_code: i16,
        [0+] acknowledge_error_message: Option<Str>,
        [0+] current_leader: LeaderIdAndEpoch,
        [0+] records: Bytes,
        [0+] acquired_records: Vec<AcquiredRecords>,
    }

    /// The leader, for who asked the wrong broker.
    pub(crate) struct LeaderIdAndEpoch {
        [0+] leader_id: i32,
        [0+] leader_epoch: i32,
    }

    /// The records `[first_offset, last_offset]` are leased; how often they were delivered, this time included.
    pub(crate) struct AcquiredRecords {
        [0+] first_offset: i64,
        [0+] last_offset: i64,
        [0+] delivery_count: i16,
    }

    /// The address of a leader that is named above.
    pub(crate) struct NodeEndpoint {
        [0+] node_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        [0+] rack: Option<Str>,
    }
}
