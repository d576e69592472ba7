//! Committed offsets of a group: of some partitions, or of all of them.
//!
//! Versions:
//! - 2: `None` for all topics (KIP-88). 5: leader epochs (KIP-320). 7: `require_stable`, to wait for open transactions
//!   (KIP-447). 8: many groups at once (KIP-709). 9: a member and its epoch, to be checked (KIP-848). 10: topics by
//!   id.

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct OffsetFetchRequest {
        [0-7]         group_id: Str,
        [0-7 null 2+] topics: Option<Vec<OffsetFetchRequestTopic>>,
        [8+]          groups: Vec<OffsetFetchRequestGroup>,
        [7+]          require_stable: bool,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetFetchRequestTopic {
        [0-7] name: Str,
        [0-7] partition_indexes: Vec<i32>,
    }

    /// A group, with the topics that are asked about, or all.
    pub(crate) struct OffsetFetchRequestGroup {
        [8+] group_id: Str,
        [9+] member_id: Option<Str>,
        [9+] member_epoch: i32 = -1,
        [8+] topics: Option<Vec<OffsetFetchRequestTopics>>,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetFetchRequestTopics {
        [8-9] name: Str,
        [10+] topic_id: Uuid,
        [8+]  partition_indexes: Vec<i32>,
    }

    /// The response.
    pub(crate) struct OffsetFetchResponse {
        [3+]  throttle_time_ms: i32,
        [0-7] topics: Vec<OffsetFetchResponseTopic>,
        [2-7] error_code: i16,
        [8+]  groups: Vec<OffsetFetchResponseGroup>,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetFetchResponseTopic {
        [0-7] name: Str,
        [0-7] partitions: Vec<OffsetFetchResponsePartition>,
    }

    /// What is committed of one partition; -1 is nothing.
    pub(crate) struct OffsetFetchResponsePartition {
        [0-7] partition_index: i32,
        [0-7] committed_offset: i64,
        [5-7] committed_leader_epoch: i32 = -1,
        [0-7] metadata: Option<Str>,
        [0-7] error_code: i16,
    }

    /// The offsets of one group.
    pub(crate) struct OffsetFetchResponseGroup {
        [8+] group_id: Str,
        [8+] topics: Vec<OffsetFetchResponseTopics>,
        [8+] error_code: i16,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetFetchResponseTopics {
        [8-9] name: Str,
        [10+] topic_id: Uuid,
        [8+]  partitions: Vec<OffsetFetchResponsePartitions>,
    }

    /// What is committed of one partition; -1 is nothing.
    pub(crate) struct OffsetFetchResponsePartitions {
        [8+] partition_index: i32,
        [8+] committed_offset: i64,
        [8+] committed_leader_epoch: i32 = -1,
        [8+] metadata: Option<Str>,
        [8+] error_code: i16,
    }
}
