//! State and members of share groups (KIP-932).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct ShareGroupDescribeRequest {
        [0+] group_ids: Vec<Str>,
        [0+] include_authorized_operations: bool,
    }

    /// The response.
    pub(crate) struct ShareGroupDescribeResponse {
        [0+] throttle_time_ms: i32,
        [0+] groups: Vec<DescribedGroup>,
    }

    /// A group.
    pub(crate) struct DescribedGroup {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] group_id: Str,
        [0+] group_state: Str,
        [0+] group_epoch: i32,
        [0+] assignment_epoch: i32,
        [0+] assignor_name: Str,
        [0+] members: Vec<Member>,
        [0+] authorized_operations: i32 = i32::MIN,
    }

    /// A member and what it reads.
    pub(crate) struct Member {
        [0+] member_id: Str,
        [0+] rack_id: Option<Str>,
        [0+] member_epoch: i32,
        [0+] client_id: Str,
        [0+] client_host: Str,
        [0+] subscribed_topic_names: Vec<Str>,
        [0+] assignment: Assignment,
    }

    /// Partitions, topic by topic.
    pub(crate) struct Assignment {
        [0+] topic_partitions: Vec<TopicPartitions>,
    }

    /// A topic with partitions of it.
    pub(crate) struct TopicPartitions {
        [0+] topic_id: Uuid,
        [0+] topic_name: Str,
        [0+] partitions: Vec<i32>,
    }
}
