//! Reads batches from partitions, as a consumer or a follower; waits until there are `min_bytes` or `max_wait_ms` is
//! over. Most tagged fields are for followers and the metadata quorum; consumers leave them alone.
//!
//! Versions:
//! - 4: `isolation_level` and aborted transactions (KIP-98). 5: log start offset (KIP-107). 7: sessions, in which only
//!   what changes is said (KIP-227). 9: leader epochs fence (KIP-320). 10: zstd (KIP-110). 11: the rack, to be sent to
//!   a nearer replica (KIP-392). 12: divergence is told (KIP-595).
//! - 13: topics by id (KIP-516). 15: the replica's epoch (KIP-903). 16: leaders' addresses (KIP-951). 17: the
//!   replica's directory (KIP-853). 18: the follower's high watermark (KIP-1166).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct FetchRequest {
        [12+ tag 0] cluster_id: Option<Str>,
        [0-14]      replica_id: i32 = -1,
        [15+ tag 1] replica_state: ReplicaState,
        [0+]        max_wait_ms: i32,
        [0+]        min_bytes: i32,
        [3+]        max_bytes: i32 = i32::MAX,
        [4+]        isolation_level: i8,
        [7+]        session_id: i32,
        [7+]        session_epoch: i32 = -1,
        [0+]        topics: Vec<FetchTopic>,
        [7+]        forgotten_topics_data: Vec<ForgottenTopic>,
        [11+]       rack_id: Str,
    }

    /// The follower that asks; a consumer leaves it alone.
    pub(crate) struct ReplicaState {
        [15+] replica_id: i32 = -1,
        [15+] replica_epoch: i64 = -1,
    }

    /// A topic with its partitions.
    pub(crate) struct FetchTopic {
        [0-12] topic: Str,
        [13+]  topic_id: Uuid,
        [0+]   partitions: Vec<FetchPartition>,
    }

    /// A partition and where to read in it.
    pub(crate) struct FetchPartition {
        [0+]        partition: i32,
        [9+]        current_leader_epoch: i32 = -1,
        [0+]        fetch_offset: i64,
        [12+]       last_fetched_epoch: i32 = -1,
        [5+]        log_start_offset: i64 = -1,
        [0+]        partition_max_bytes: i32,
        [17+ tag 0] replica_directory_id: Uuid,
        [18+ tag 1] high_watermark: i64 = i64::MAX,
    }

    /// Partitions to take out of the session.
    pub(crate) struct ForgottenTopic {
        [7-12] topic: Str,
        [13+]  topic_id: Uuid,
        [7+]   partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct FetchResponse {
        [1+]        throttle_time_ms: i32,
        [7+]        error_code: i16,
        [7+]        session_id: i32,
        [0+]        responses: Vec<FetchableTopicResponse>,
        [16+ tag 0] node_endpoints: Vec<NodeEndpoint>,
    }

    /// A topic with its partitions.
    pub(crate) struct FetchableTopicResponse {
        [0-12] topic: Str,
        [13+]  topic_id: Uuid,
        [0+]   partitions: Vec<PartitionData>,
    }

    /// What was read from one partition. In a session, partitions without news are left out.
    pub(crate) struct PartitionData {
        [0+]        partition_index: i32,
        [0+]        error_code: i16,
        [0+]        high_watermark: i64,
        [4+]        last_stable_offset: i64 = -1,
        [5+]        log_start_offset: i64 = -1,
        [12+ tag 0] diverging_epoch: EpochEndOffset,
        [12+ tag 1] current_leader: LeaderIdAndEpoch,
        [12+ tag 2] snapshot_id: SnapshotId,
        [4+]        aborted_transactions: Option<Vec<AbortedTransaction>>,
        [11+]       preferred_read_replica: i32 = -1,
        [0+]        records: Option<Bytes>,
    }

    /// Where the follower's log and the leader's part.
    pub(crate) struct EpochEndOffset {
        [12+] epoch: i32 = -1,
        [12+] end_offset: i64 = -1,
    }

    /// The leader, for who asked the wrong broker.
    pub(crate) struct LeaderIdAndEpoch {
        [12+] leader_id: i32 = -1,
        [12+] leader_epoch: i32 = -1,
    }

    /// A snapshot to load instead, for followers in the metadata quorum.
    pub(crate) struct SnapshotId {
        [0+] end_offset: i64 = -1,
        [0+] epoch: i32 = -1,
    }

    /// A transaction that was aborted: skip its records from `first_offset` to its marker. Sorted by that.
    pub(crate) struct AbortedTransaction {
        [4+] producer_id: i64,
        [4+] first_offset: i64,
    }

    /// The address of a leader that is named above.
    pub(crate) struct NodeEndpoint {
        [16+] node_id: i32,
        [16+] host: Str,
        [16+] port: i32,
        [16+] rack: Option<Str>,
    }
}
