//! Where a leader epoch ended: how followers (KIP-101) and consumers (KIP-320) notice that a log was truncated.
//!
//! Versions:
//! - 2: the asker's epoch fences. 3: the replica that asks; -2 is a consumer.

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct OffsetForLeaderEpochRequest {
        [3+] replica_id: i32 = -2,
        [0+] topics: Vec<OffsetForLeaderTopic>,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetForLeaderTopic {
        [0+] topic: Str,
        [0+] partitions: Vec<OffsetForLeaderPartition>,
    }

    /// A partition and the epoch that is asked about.
    pub(crate) struct OffsetForLeaderPartition {
        [0+] partition: i32,
        [2+] current_leader_epoch: i32 = -1,
        [0+] leader_epoch: i32,
    }

    /// The response.
    pub(crate) struct OffsetForLeaderEpochResponse {
        [2+] throttle_time_ms: i32,
        [0+] topics: Vec<OffsetForLeaderTopicResult>,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetForLeaderTopicResult {
        [0+] topic: Str,
        [0+] partitions: Vec<EpochEndOffset>,
    }

    /// The largest epoch that is not above the one asked about, and the offset where it ends.
    pub(crate) struct EpochEndOffset {
        [0+] error_code: i16,
        [0+] partition: i32,
        [1+] leader_epoch: i32 = -1,
        [0+] end_offset: i64 = -1,
    }
}
