//! What a broker's log directories hold (KIP-113).
//!
//! Versions:
//! - 3: an error of the whole answer. 4: size and room of the disk (KIP-827). 5: whether a directory takes no new
//!   partitions (KIP-1066).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeLogDirsRequest {
        [0+] topics: Option<Vec<DescribableLogDirTopic>>,
    }

    /// A topic with the partitions that are asked about.
    pub(crate) struct DescribableLogDirTopic {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct DescribeLogDirsResponse {
        [0+] throttle_time_ms: i32,
        [3+] error_code: i16,
        [0+] results: Vec<DescribeLogDirsResult>,
    }

    /// A directory.
    pub(crate) struct DescribeLogDirsResult {
        [0+] error_code: i16,
        [0+] log_dir: Str,
        [0+] topics: Vec<DescribeLogDirsTopic>,
        [4+] total_bytes: i64 = -1,
        [4+] usable_bytes: i64 = -1,
        [5+] is_cordoned: bool,
    }

    /// A topic with its replicas in the directory.
    pub(crate) struct DescribeLogDirsTopic {
        [0+] name: Str,
        [0+] partitions: Vec<DescribeLogDirsPartition>,
    }

    /// A replica in the directory; `is_future_key` is one that is being moved there.
    pub(crate) struct DescribeLogDirsPartition {
        [0+] partition_index: i32,
        [0+] partition_size: i64,
        [0+] offset_lag: i64,
        [0+] is_future_key: bool,
    }
}
