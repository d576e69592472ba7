//! State and members of groups of the classic protocol.
//!
//! Versions:
//! - 3: what the principal may do (KIP-430). 4: static members (KIP-345). 6: a group that is not there is an error
//!   (KIP-1043).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct DescribeGroupsRequest {
        [0+] groups: Vec<Str>,
        [3+] include_authorized_operations: bool,
    }

    /// The response.
    pub(crate) struct DescribeGroupsResponse {
        [1+] throttle_time_ms: i32,
        [0+] groups: Vec<DescribedGroup>,
    }

    /// A group.
    pub(crate) struct DescribedGroup {
        [0+] error_code: i16,
        [6+] error_message: Option<Str>,
        [0+] group_id: Str,
        [0+] group_state: Str,
        [0+] protocol_type: Str,
        [0+] protocol_data: Str,
        [0+] members: Vec<DescribedGroupMember>,
        [3+] authorized_operations: i32 = i32::MIN,
    }

    /// A member, with its bytes as JoinGroup and SyncGroup had them.
    pub(crate) struct DescribedGroupMember {
        [0+] member_id: Str,
        [4+] group_instance_id: Option<Str>,
        [0+] client_id: Str,
        [0+] client_host: Str,
        [0+] member_metadata: Bytes,
        [0+] member_assignment: Bytes,
    }
}
