//! The one request of a member of a streams group (KIP-1071): joins with its topology, stays, leaves, and is told its
//! tasks.
//!
//! A field that is `None` has not changed since the last heartbeat.

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct StreamsGroupHeartbeatRequest {
        [0+] group_id: Str,
        [0+] member_id: Str,
        [0+] member_epoch: i32,
        [0+] endpoint_information_epoch: i32,
        [0+] instance_id: Option<Str>,
        [0+] rack_id: Option<Str>,
        [0+] rebalance_timeout_ms: i32 = -1,
        [0+] topology: Option<Topology>,
        [0+] active_tasks: Option<Vec<TaskIds>>,
        [0+] standby_tasks: Option<Vec<TaskIds>>,
        [0+] warmup_tasks: Option<Vec<TaskIds>>,
        [0+] process_id: Option<Str>,
        [0+] user_endpoint: Option<Endpoint>,
        [0+] client_tags: Option<Vec<KeyValue>>,
        [0+] task_offsets: Option<Vec<TaskOffset>>,
        [0+] task_end_offsets: Option<Vec<TaskOffset>>,
        [0+] shutdown_application: bool,
    }

    /// What the application does, in parts that can run apart from each other.
    pub(crate) struct Topology {
        [0+] epoch: i32,
        [0+] subtopologies: Vec<Subtopology>,
    }

    /// A part of the topology: where it reads, what it writes, which topics it keeps its state in.
    pub(crate) struct Subtopology {
        [0+] subtopology_id: Str,
        [0+] source_topics: Vec<Str>,
        [0+] source_topic_regex: Vec<Str>,
        [0+] state_changelog_topics: Vec<TopicInfo>,
        [0+] repartition_sink_topics: Vec<Str>,
        [0+] repartition_source_topics: Vec<TopicInfo>,
        [0+] copartition_groups: Vec<CopartitionGroup>,
    }

    /// A topic that the application owns, and what it has to be like.
    pub(crate) struct TopicInfo {
        [0+] name: Str,
        [0+] partitions: i32,
        [0+] replication_factor: i16,
        [0+] topic_configs: Vec<KeyValue>,
    }

    /// A name and a value.
    pub(crate) struct KeyValue {
        [0+] key: Str,
        [0+] value: Str,
    }

    /// Topics that must have the same partitions, as indexes into the lists of the subtopology.
    pub(crate) struct CopartitionGroup {
        [0+] source_topics: Vec<i16>,
        [0+] source_topic_regex: Vec<i16>,
        [0+] repartition_source_topics: Vec<i16>,
    }

    /// Tasks: the partitions of a subtopology.
    pub(crate) struct TaskIds {
        [0+] subtopology_id: Str,
        [0+] partitions: Vec<i32>,
    }

    /// An address at which an application answers queries.
    pub(crate) struct Endpoint {
        [0+] host: Str,
        [0+] port: u16,
    }

    /// How far a task is.
    pub(crate) struct TaskOffset {
        [0+] subtopology_id: Str,
        [0+] partition: i32,
        [0+] offset: i64,
    }

    /// The response.
    pub(crate) struct StreamsGroupHeartbeatResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] member_id: Str,
        [0+] member_epoch: i32,
        [0+] heartbeat_interval_ms: i32,
        [0+] acceptable_recovery_lag: i32,
        [0+] task_offset_interval_ms: i32,
        [0+] status: Option<Vec<Status>>,
        [0+] active_tasks: Option<Vec<TaskIds>>,
        [0+] standby_tasks: Option<Vec<TaskIds>>,
        [0+] warmup_tasks: Option<Vec<TaskIds>>,
        [0+] endpoint_information_epoch: i32,
        [0+] partitions_by_user_endpoint: Option<Vec<EndpointToPartitions>>,
    }

    /// Something that keeps the application from running as it should.
    pub(crate) struct Status {
        [0+] status_code: i8,
        [0+] status_detail: Str,
    }

    /// Which partitions the application at an address has.
    pub(crate) struct EndpointToPartitions {
        [0+] user_endpoint: Endpoint,
        [0+] active_partitions: Vec<TopicPartition>,
        [0+] standby_partitions: Vec<TopicPartition>,
    }

    /// A topic with partitions of it.
    pub(crate) struct TopicPartition {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }
}
