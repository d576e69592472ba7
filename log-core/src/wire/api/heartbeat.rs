//! Keeps a member of the classic protocol alive, and tells it when the group rebalances.
//!
//! Versions:
//! - 3: static members (KIP-345).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct HeartbeatRequest {
        [0+] group_id: Str,
        [0+] generation_id: i32,
        [0+] member_id: Str,
        [3+] group_instance_id: Option<Str>,
    }

    /// The response.
    pub(crate) struct HeartbeatResponse {
        [1+] throttle_time_ms: i32,
        [0+] error_code: i16,
    }
}
