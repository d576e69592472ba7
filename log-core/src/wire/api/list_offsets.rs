//! The offset of a time in a partition, or of a named place: -1 the end, -2 the start, -3 the highest timestamp.
//!
//! Versions:
//! - 2: isolation level: the end is the last stable offset (KIP-98). 4: leader epochs (KIP-320). 7: -3 (KIP-734).
//! - 8: -4, the start of what is local (KIP-405). 9: -5, the end of what is tiered (KIP-1005). 10: a timeout for what
//!   has to be looked up far away (KIP-1075). 11: -6, the start of what is not yet tiered (KIP-1023).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct ListOffsetsRequest {
        [0+]  replica_id: i32,
        [2+]  isolation_level: i8,
        [0+]  topics: Vec<ListOffsetsTopic>,
        [10+] timeout_ms: i32,
    }

    /// A topic with its partitions.
    pub(crate) struct ListOffsetsTopic {
        [0+] name: Str,
        [0+] partitions: Vec<ListOffsetsPartition>,
    }

    /// A partition and the time, or named place, in it.
    pub(crate) struct ListOffsetsPartition {
        [0+] partition_index: i32,
        [4+] current_leader_epoch: i32 = -1,
        [0+] timestamp: i64,
    }

    /// The response.
    pub(crate) struct ListOffsetsResponse {
        [2+] throttle_time_ms: i32,
        [0+] topics: Vec<ListOffsetsTopicResponse>,
    }

    /// A topic with its partitions.
    pub(crate) struct ListOffsetsTopicResponse {
        [0+] name: Str,
        [0+] partitions: Vec<ListOffsetsPartitionResponse>,
    }

    /// The offset that was found, with the time of its record.
    pub(crate) struct ListOffsetsPartitionResponse {
        [0+] partition_index: i32,
        [0+] error_code: i16,
        [1+] timestamp: i64 = -1,
        [1+] offset: i64 = -1,
        [4+] leader_epoch: i32 = -1,
    }
}
