//! Deletes the records of partitions before an offset; -1 is the high watermark (KIP-107).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DeleteRecordsRequest {
        [0+] topics: Vec<DeleteRecordsTopic>,
        [0+] timeout_ms: i32,
    }

    /// A topic with its partitions.
    pub(crate) struct DeleteRecordsTopic {
        [0+] name: Str,
        [0+] partitions: Vec<DeleteRecordsPartition>,
    }

    /// A partition and the offset before which records go.
    pub(crate) struct DeleteRecordsPartition {
        [0+] partition_index: i32,
        [0+] offset: i64,
    }

    /// The response.
    pub(crate) struct DeleteRecordsResponse {
        [0+] throttle_time_ms: i32,
        [0+] topics: Vec<DeleteRecordsTopicResult>,
    }

    /// What became of the partitions of one topic.
    pub(crate) struct DeleteRecordsTopicResult {
        [0+] name: Str,
        [0+] partitions: Vec<DeleteRecordsPartitionResult>,
    }

    /// What became of one partition: its log start offset.
    pub(crate) struct DeleteRecordsPartitionResult {
        [0+] partition_index: i32,
        [0+] low_watermark: i64,
        [0+] error_code: i16,
    }
}
