//! State, topology and members of streams groups (KIP-1071).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct StreamsGroupDescribeRequest {
        [0+] group_ids: Vec<Str>,
        [0+] include_authorized_operations: bool,
    }

    /// The response.
    pub(crate) struct StreamsGroupDescribeResponse {
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
        [0+] topology: Option<Topology>,
        [0+] members: Vec<Member>,
        [0+] authorized_operations: i32 = i32::MIN,
    }

    /// What the application does, in parts that can run apart from each other.
    pub(crate) struct Topology {
        [0+] epoch: i32,
        [0+] subtopologies: Option<Vec<Subtopology>>,
    }

    /// A part of the topology: where it reads, what it writes, which topics it keeps its state in.
    pub(crate) struct Subtopology {
        [0+] subtopology_id: Str,
        [0+] source_topics: Vec<Str>,
        [0+] repartition_sink_topics: Vec<Str>,
        [0+] state_changelog_topics: Vec<TopicInfo>,
        [0+] repartition_source_topics: Vec<TopicInfo>,
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

    /// A member, the tasks that it has and those that it should have.
    pub(crate) struct Member {
        [0+] member_id: Str,
        [0+] member_epoch: i32,
        [0+] instance_id: Option<Str>,
        [0+] rack_id: Option<Str>,
        [0+] client_id: Str,
        [0+] client_host: Str,
        [0+] topology_epoch: i32,
        [0+] process_id: Str,
        [0+] user_endpoint: Option<Endpoint>,
        [0+] client_tags: Vec<KeyValue>,
        [0+] task_offsets: Vec<TaskOffset>,
        [0+] task_end_offsets: Vec<TaskOffset>,
        [0+] assignment: Assignment,
        [0+] target_assignment: Assignment,
        [0+] is_classic: bool,
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

    /// Tasks: those that run, their copies, and copies that are catching up.
    pub(crate) struct Assignment {
        [0+] active_tasks: Vec<TaskIds>,
        [0+] standby_tasks: Vec<TaskIds>,
        [0+] warmup_tasks: Vec<TaskIds>,
    }

    /// Tasks: the partitions of a subtopology.
    pub(crate) struct TaskIds {
        [0+] subtopology_id: Str,
        [0+] partitions: Vec<i32>,
    }
}
