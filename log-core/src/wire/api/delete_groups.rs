//! Deletes groups without members, with their offsets (KIP-229).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DeleteGroupsRequest {
        [0+] groups_names: Vec<Str>,
    }

    /// The response.
    pub(crate) struct DeleteGroupsResponse {
        [0+] throttle_time_ms: i32,
        [0+] results: Vec<DeletableGroupResult>,
    }

    /// What became of one group.
    pub(crate) struct DeletableGroupResult {
        [0+] group_id: Str,
        [0+] error_code: i16,
    }
}
