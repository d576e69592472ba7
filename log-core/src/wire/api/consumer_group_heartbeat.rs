//! The one request of a member of the consumer protocol (KIP-848): joins (epoch 0), stays, leaves (-1, or -2 for a
//! static member that comes back), says what it subscribes to and owns, and is told what it should own.
//!
//! A field that is `None` has not changed since the last heartbeat.
//!
//! Versions:
//! - 1: a regular expression to subscribe by, and the member makes its own id (KIP-1082).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct ConsumerGroupHeartbeatRequest {
        [0+] group_id: Str,
        [0+] member_id: Str,
        [0+] member_epoch: i32,
        [0+] instance_id: Option<Str>,
        [0+] rack_id: Option<Str>,
        [0+] rebalance_timeout_ms: i32 = -1,
        [0+] subscribed_topic_names: Option<Vec<Str>>,
        [1+] subscribed_topic_regex: Option<Str>,
        [0+] server_assignor: Option<Str>,
        [0+] topic_partitions: Option<Vec<TopicPartitions>>,
    }

    /// A topic with partitions of it.
    pub(crate) struct TopicPartitions {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct ConsumerGroupHeartbeatResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] member_id: Option<Str>,
        [0+] member_epoch: i32,
        [0+] heartbeat_interval_ms: i32,
        [0+] assignment: Option<Assignment>,
    }

    /// All that the member should own.
    pub(crate) struct Assignment {
        [0+] topic_partitions: Vec<TopicPartitions>,
    }
}
