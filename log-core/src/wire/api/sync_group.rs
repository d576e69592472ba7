//! Second step of a rebalance of the classic protocol: the leader hands in all assignments, each member gets its own.
//!
//! Versions:
//! - 3: static members (KIP-345). 5: protocol type and name, to be checked by both sides (KIP-559).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct SyncGroupRequest {
        [0+] group_id: Str,
        [0+] generation_id: i32,
        [0+] member_id: Str,
        [3+] group_instance_id: Option<Str>,
        [5+] protocol_type: Option<Str>,
        [5+] protocol_name: Option<Str>,
        [0+] assignments: Vec<SyncGroupRequestAssignment>,
    }

    /// What a member gets, in bytes that only members understand.
    pub(crate) struct SyncGroupRequestAssignment {
        [0+] member_id: Str,
        [0+] assignment: Bytes,
    }

    /// The response.
    pub(crate) struct SyncGroupResponse {
        [1+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [5+] protocol_type: Option<Str>,
        [5+] protocol_name: Option<Str>,
        [0+] assignment: Bytes,
    }
}
