//! Leaves a group, or takes members out of it.
//!
//! Versions:
//! - 3: many members at once, by instance id too (KIP-345). 5: a reason (KIP-800).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct LeaveGroupRequest {
        [0+]  group_id: Str,
        [0-2] member_id: Str,
        [3+]  members: Vec<MemberIdentity>,
    }

    /// A member, by its id, its instance id or both.
    pub(crate) struct MemberIdentity {
        [3+] member_id: Str,
        [3+] group_instance_id: Option<Str>,
        [5+] reason: Option<Str>,
    }

    /// The response.
    pub(crate) struct LeaveGroupResponse {
        [1+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [3+] members: Vec<MemberResponse>,
    }

    /// What became of one member.
    pub(crate) struct MemberResponse {
        [3+] member_id: Str,
        [3+] group_instance_id: Option<Str>,
        [3+] error_code: i16,
    }
}
