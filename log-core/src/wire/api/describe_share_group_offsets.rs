//! Where share groups are in their partitions (KIP-932).
//!
//! Versions:
//! - 1: the lag (KIP-1226).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct DescribeShareGroupOffsetsRequest {
        [0+] groups: Vec<DescribeShareGroupOffsetsRequestGroup>,
    }

    /// A group, with the topics that are asked about, or all.
    pub(crate) struct DescribeShareGroupOffsetsRequestGroup {
        [0+] group_id: Str,
        [0+] topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic>>,
    }

    /// A topic with its partitions.
    pub(crate) struct DescribeShareGroupOffsetsRequestTopic {
        [0+] topic_name: Str,
        [0+] partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct DescribeShareGroupOffsetsResponse {
        [0+] throttle_time_ms: i32,
        [0+] groups: Vec<DescribeShareGroupOffsetsResponseGroup>,
    }

    /// The offsets of one group.
    pub(crate) struct DescribeShareGroupOffsetsResponseGroup {
        [0+] group_id: Str,
        [0+] topics: Vec<DescribeShareGroupOffsetsResponseTopic>,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }

    /// A topic with its partitions.
    pub(crate) struct DescribeShareGroupOffsetsResponseTopic {
        [0+] topic_name: Str,
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<DescribeShareGroupOffsetsResponsePartition>,
    }

    /// Where the group is in one partition.
    pub(crate) struct DescribeShareGroupOffsetsResponsePartition {
        [0+] partition_index: i32,
        [0+] start_offset: i64,
        [0+] leader_epoch: i32,
        [1+] lag: i64 = -1,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
