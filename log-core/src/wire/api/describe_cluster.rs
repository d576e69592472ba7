//! The brokers and the controller of the cluster (KIP-700).
//!
//! Versions:
//! - 1: brokers (1) or controllers (2) (KIP-919). 2: fenced brokers too (KIP-1073).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeClusterRequest {
        [0+] include_cluster_authorized_operations: bool,
        [1+] endpoint_type: i8 = 1,
        [2+] include_fenced_brokers: bool,
    }

    /// The response.
    pub(crate) struct DescribeClusterResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [1+] endpoint_type: i8 = 1,
        [0+] cluster_id: Str,
        [0+] controller_id: i32 = -1,
        [0+] brokers: Vec<DescribeClusterBroker>,
        [0+] cluster_authorized_operations: i32 = i32::MIN,
    }

    /// A broker and its address.
    pub(crate) struct DescribeClusterBroker {
        [0+] broker_id: i32,
        [0+] host: Str,
        [0+] port: i32,
        [0+] rack: Option<Str>,
        [2+] is_fenced: bool,
    }
}
