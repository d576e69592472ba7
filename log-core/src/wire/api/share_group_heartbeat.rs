//! The one request of a member of a share group (KIP-932): joins (epoch 0), stays, leaves (-1). `None` has not
//! changed.

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct ShareGroupHeartbeatRequest {
        [0+] group_id: Str,
        [0+] member_id: Str,
        [0+] member_epoch: i32,
        [0+] rack_id: Option<Str>,
        [0+] subscribed_topic_names: Option<Vec<Str>>,
    }

    /// The response.
    pub(crate) struct ShareGroupHeartbeatResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] member_id: Option<Str>,
        [0+] member_epoch: i32,
        [0+] heartbeat_interval_ms: i32,
        [0+] assignment: Option<Assignment>,
    }

    /// All that the member should read.
    pub(crate) struct Assignment {
        [0+] topic_partitions: Vec<TopicPartitions>,
    }

    /// A topic with partitions of it.
    pub(crate) struct TopicPartitions {
        [0+] topic_id: Uuid,
        [0+] partitions: Vec<i32>,
    }
}
