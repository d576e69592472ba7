//! The groups of a broker.
//!
//! Versions:
//! - 4: filtered by state (KIP-518). 5: filtered by type, classic, consumer, share or streams (KIP-848).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct ListGroupsRequest {
        [4+] states_filter: Vec<Str>,
        [5+] types_filter: Vec<Str>,
    }

    /// The response.
    pub(crate) struct ListGroupsResponse {
        [1+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] groups: Vec<ListedGroup>,
    }

    /// A group.
    pub(crate) struct ListedGroup {
        [0+] group_id: Str,
        [0+] protocol_type: Str,
        [4+] group_state: Str,
        [5+] group_type: Str,
    }
}
