//! Which broker coordinates a group (key type 0), a transactional id (1) or a partition of a share group (2).
//!
//! Versions:
//! - 1: key types (KIP-98). 4: many keys at once (KIP-699). 5: `TRANSACTION_ABORTABLE` (KIP-890). 6: key type 2, with
//!   keys of the form `group:topic id:partition` (KIP-932).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct FindCoordinatorRequest {
        [0-3] key: Str,
        [1+]  key_type: i8,
        [4+]  coordinator_keys: Vec<Str>,
    }

    /// The response.
    pub(crate) struct FindCoordinatorResponse {
        [1+]  throttle_time_ms: i32,
        [0-3] error_code: i16,
        [1-3] error_message: Option<Str>,
        [0-3] node_id: i32,
        [0-3] host: Str,
        [0-3] port: i32,
        [4+]  coordinators: Vec<Coordinator>,
    }

    /// Who coordinates one key.
    pub(crate) struct Coordinator {
        [4+] key: Str,
        [4+] node_id: i32,
        [4+] host: Str,
        [4+] port: i32,
        [4+] error_code: i16,
        [4+] error_message: Option<Str>,
    }
}
