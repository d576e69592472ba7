//! Which partitions are being moved (KIP-455).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct ListPartitionReassignmentsRequest {
        [0+] timeout_ms: i32 = 60000,
        [0+] topics: Option<Vec<ListPartitionReassignmentsTopics>>,
    }

    /// A topic with its partitions.
    pub(crate) struct ListPartitionReassignmentsTopics {
        [0+] name: Str,
        [0+] partition_indexes: Vec<i32>,
    }

    /// The response.
    pub(crate) struct ListPartitionReassignmentsResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] topics: Vec<OngoingTopicReassignment>,
    }

    /// A topic with the partitions that are being moved.
    pub(crate) struct OngoingTopicReassignment {
        [0+] name: Str,
        [0+] partitions: Vec<OngoingPartitionReassignment>,
    }

    /// A partition that is being moved.
    pub(crate) struct OngoingPartitionReassignment {
        [0+] partition_index: i32,
        [0+] replicas: Vec<i32>,
        [0+] adding_replicas: Vec<i32>,
        [0+] removing_replicas: Vec<i32>,
    }
}
