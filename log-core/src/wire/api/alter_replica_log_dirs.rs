//! Moves replicas to another log directory of their broker (KIP-113).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct AlterReplicaLogDirsRequest {
        [0+] dirs: Vec<AlterReplicaLogDir>,
    }

    /// A directory with the replicas that shall be there.
    pub(crate) struct AlterReplicaLogDir {
        [0+] path: Str,
        [0+] topics: Vec<AlterReplicaLogDirTopic>,
    }

    /// A topic with the partitions to move.
    pub(crate) struct AlterReplicaLogDirTopic {
        [0+] name: Str,
        [0+] partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct AlterReplicaLogDirsResponse {
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<AlterReplicaLogDirTopicResult>,
    }

    /// What became of the replicas of one topic.
    pub(crate) struct AlterReplicaLogDirTopicResult {
        [0+] topic_name: Str,
        [0+] partitions: Vec<AlterReplicaLogDirPartitionResult>,
    }

    /// What became of one replica.
    pub(crate) struct AlterReplicaLogDirPartitionResult {
        [0+] partition_index: i32,
        [0+] error_code: i16,
    }
}
