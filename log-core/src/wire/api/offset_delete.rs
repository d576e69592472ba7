//! Deletes committed offsets of a group (KIP-496). Not flexible.

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct OffsetDeleteRequest {
        [0+] group_id: Str,
        [0+] topics: Vec<OffsetDeleteRequestTopic>,
    }

    /// A topic with its partitions.
    pub(crate) struct OffsetDeleteRequestTopic {
        [0+] name: Str,
        [0+] partitions: Vec<OffsetDeleteRequestPartition>,
    }

    /// A partition to forget.
    pub(crate) struct OffsetDeleteRequestPartition {
        [0+] partition_index: i32,
    }

    /// The response.
    pub(crate) struct OffsetDeleteResponse {
        [0+] error_code: i16,
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<OffsetDeleteResponseTopic>,
    }

    /// What became of the partitions of one topic.
    pub(crate) struct OffsetDeleteResponseTopic {
        [0+] name: Str,
        [0+] partitions: Vec<OffsetDeleteResponsePartition>,
    }

    /// What became of one partition.
    pub(crate) struct OffsetDeleteResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: i16,
    }
}
