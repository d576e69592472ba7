//! Joins a group of the classic protocol, and waits until all members have. The leader's answer lists them.
//!
//! Versions:
//! - 1: a timeout for the rebalance; before it is the session's (KIP-62). 4: the first join is answered with an id to
//!   join with (KIP-394). 5: static members (KIP-345). 7: protocol type (KIP-559). 8: a reason (KIP-800). 9: a static
//!   leader is told that nothing is to be assigned (KIP-814).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct JoinGroupRequest {
        [0+] group_id: Str,
        [0+] session_timeout_ms: i32,
        [1+] rebalance_timeout_ms: i32 = -1,
        [0+] member_id: Str,
        [5+] group_instance_id: Option<Str>,
        [0+] protocol_type: Str,
        [0+] protocols: Vec<JoinGroupRequestProtocol>,
        [8+] reason: Option<Str>,
    }

    /// A protocol (an assignor's name) that the member can do, the preferred first, with what it says in it.
    pub(crate) struct JoinGroupRequestProtocol {
        [0+] name: Str,
        [0+] metadata: Bytes,
    }

    /// The response.
    pub(crate) struct JoinGroupResponse {
        [2+]         throttle_time_ms: i32,
        [0+]         error_code: i16,
        [0+]         generation_id: i32 = -1,
        [7+]         protocol_type: Option<Str>,
        [0+ null 7+] protocol_name: Option<Str>,
        [0+]         leader: Str,
        [9+]         skip_assignment: bool,
        [0+]         member_id: Str,
        [0+]         members: Vec<JoinGroupResponseMember>,
    }

    /// A member, as the leader needs to know it.
    pub(crate) struct JoinGroupResponseMember {
        [0+] member_id: Str,
        [5+] group_instance_id: Option<Str>,
        [0+] metadata: Bytes,
    }
}
