//! Moves a share group without members to other offsets (KIP-932).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct AlterShareGroupOffsetsRequest {
        [0+] group_id: Str,
        [0+] topics: Vec<AlterShareGroupOffsetsRequestTopic>,
    }

    /// A topic with its partitions.
    pub(crate) struct AlterShareGroupOffsetsRequestTopic {
        [0+] topic_name: Str,
        [0+] partitions: Vec<AlterShareGroupOffsetsRequestPartition>,
    }

    /// A partition and the offset to go on from.
    pub(crate) struct AlterShareGroupOffsetsRequestPartition {
        [0+] partition_index: i32,
        [0+] start_offset: i64,
    }

    /// The response.
    pub(crate) struct AlterShareGroupOffsetsResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] responses: Vec<AlterShareGroupOffsetsResponseTopic>,
    }

    /// What became of the partitions of one topic.
    pub(crate) struct AlterShareGroupOffsetsResponseTopic {
        [0+] topic_name: Str,
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<AlterShareGroupOffsetsResponsePartition>,
    }

    /// What became of one partition.
    pub(crate) struct AlterShareGroupOffsetsResponsePartition {
        [0+] partition_index: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
