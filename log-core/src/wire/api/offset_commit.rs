//! Commits a group's positions. A generation of -1 without a member is a commit from outside of the group.
//!
//! Versions:
//! - 2 to 4 carry a retention, which is ignored since offsets stay as long as the group (KIP-211). 6: leader epochs
//!   (KIP-320). 7: static members (KIP-345). 9: members of the consumer protocol (KIP-848). 10: topics by id.

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct OffsetCommitRequest {
        [0+]  group_id: Str,
        [1+]  generation_id_or_member_epoch: i32 = -1,
        [1+]  member_id: Str,
        [7+]  group_instance_id: Option<Str>,
        [2-4] retention_time_ms: i64 = -1,
        [0+]  topics: Vec<OffsetCommitRequestTopic>,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetCommitRequestTopic {
        [0-9] name: Str,
        [10+] topic_id: Uuid,
        [0+]  partitions: Vec<OffsetCommitRequestPartition>,
    }

    /// A partition and the position in it.
    pub(crate) struct OffsetCommitRequestPartition {
        [0+] partition_index: i32,
        [0+] committed_offset: i64,
        [6+] committed_leader_epoch: i32 = -1,
        [0+] committed_metadata: Option<Str>,
    }

    /// The response.
    pub(crate) struct OffsetCommitResponse {
        [3+] throttle_time_ms: i32,
        [0+] topics: Vec<OffsetCommitResponseTopic>,
    }

    /// What became of the partitions of one topic.
    pub(crate) struct OffsetCommitResponseTopic {
        [0-9] name: Str,
        [10+] topic_id: Uuid,
        [0+]  partitions: Vec<OffsetCommitResponsePartition>,
    }

    /// What became of one partition.
    pub(crate) struct OffsetCommitResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: i16,
    }
}
