//! Commits offsets of a group as a part of a transaction (KIP-98).
//!
//! Versions:
//! - 2: leader epochs (KIP-320). 3: the member, which is fenced as in OffsetCommit (KIP-447). 4:
//!   `TRANSACTION_ABORTABLE`. 5: the broker adds the group to the transaction itself (KIP-890, part 2).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct TxnOffsetCommitRequest {
        [0+] transactional_id: Str,
        [0+] group_id: Str,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        [3+] generation_id: i32 = -1,
        [3+] member_id: Str,
        [3+] group_instance_id: Option<Str>,
        [0+] topics: Vec<TxnOffsetCommitRequestTopic>,
    }

    /// A topic with its partitions.
    pub(crate) struct TxnOffsetCommitRequestTopic {
        [0+] name: Str,
        [0+] partitions: Vec<TxnOffsetCommitRequestPartition>,
    }

    /// A partition and the position in it.
    pub(crate) struct TxnOffsetCommitRequestPartition {
        [0+] partition_index: i32,
        [0+] committed_offset: i64,
        [2+] committed_leader_epoch: i32 = -1,
        [0+] committed_metadata: Option<Str>,
    }

    /// The response.
    pub(crate) struct TxnOffsetCommitResponse {
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<TxnOffsetCommitResponseTopic>,
    }

    /// What became of the partitions of one topic.
    pub(crate) struct TxnOffsetCommitResponseTopic {
        [0+] name: Str,
        [0+] partitions: Vec<TxnOffsetCommitResponsePartition>,
    }

    /// What became of one partition.
    pub(crate) struct TxnOffsetCommitResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: i16,
    }
}
