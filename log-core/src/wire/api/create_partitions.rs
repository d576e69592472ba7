//! Raises the number of partitions of topics (KIP-195).
//!
//! Versions:
//! - 3: `THROTTLING_QUOTA_EXCEEDED` (KIP-599).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct CreatePartitionsRequest {
        [0+] topics: Vec<CreatePartitionsTopic>,
        [0+] timeout_ms: i32,
        [0+] validate_only: bool,
    }

    /// A topic with the number of partitions that it shall have.
    pub(crate) struct CreatePartitionsTopic {
        [0+] name: Str,
        [0+] count: i32,
        [0+] assignments: Option<Vec<CreatePartitionsAssignment>>,
    }

    /// The brokers of one new partition.
    pub(crate) struct CreatePartitionsAssignment {
        [0+] broker_ids: Vec<i32>,
    }

    /// The response.
    pub(crate) struct CreatePartitionsResponse {
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<CreatePartitionsTopicResult>,
    }

    /// What became of one topic.
    pub(crate) struct CreatePartitionsTopicResult {
        [0+] name: Str,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
