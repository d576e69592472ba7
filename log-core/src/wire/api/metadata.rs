//! Brokers, and topics with their partitions and leaders. How a client finds its way.
//!
//! Versions:
//! - 0: no topics means all. 1: `None` means all, and no topics means none. 4: whether to create what is missing.
//! - 5: offline replicas (KIP-112). 7: leader epochs (KIP-320). 8: what the principal may do (KIP-430); for the
//!   cluster that is DescribeCluster's from 11 on (KIP-700).
//! - 10: topic ids; 12: asked for by id (KIP-516). 13: an error of the whole answer, `REBOOTSTRAP_REQUIRED`
//!   (KIP-1102).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct MetadataRequest {
        [0+ null 1+] topics: Option<Vec<MetadataRequestTopic>>,
        [4+]         allow_auto_topic_creation: bool = true,
        [8-10]       include_cluster_authorized_operations: bool,
        [8+]         include_topic_authorized_operations: bool,
    }

    /// A topic, by name or by id.
    pub(crate) struct MetadataRequestTopic {
        [10+]         topic_id: Uuid,
        [0+ null 10+] name: Option<Str>,
    }

    /// The response.
    pub(crate) struct MetadataResponse {
        [3+]   throttle_time_ms: i32,
        [0+]   brokers: Vec<MetadataResponseBroker>,
        [2+]   cluster_id: Option<Str>,
        [1+]   controller_id: i32 = -1,
        [0+]   topics: Vec<MetadataResponseTopic>,
        [8-10] cluster_authorized_operations: i32 = i32::MIN,
        [13+]  error_code: i16,
    }

    /// A broker and its address.
    pub(crate) struct MetadataResponseBroker {
        [0+] node_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        [1+] rack: Option<Str>,
    }

    /// A topic.
    pub(crate) struct MetadataResponseTopic {
        [0+]          error_code: i16,
        [0+ null 12+] name: Option<Str>,
        [10+]         topic_id: Uuid,
        [1+]          is_internal: bool,
        [0+]          partitions: Vec<MetadataResponsePartition>,
        [8+]          topic_authorized_operations: i32 = i32::MIN,
    }

    /// A partition, its leader and its replicas.
    pub(crate) struct MetadataResponsePartition {
        [0+] error_code: i16,
        [0+] partition_index: i32,
        [0+] leader_id: i32,
        [7+] leader_epoch: i32 = -1,
        [0+] replica_nodes: Vec<i32>,
        [0+] isr_nodes: Vec<i32>,
        [5+] offline_replicas: Vec<i32>,
    }
}
