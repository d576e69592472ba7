//! Adds a voter to the metadata quorum (KIP-853).
//!
//! Versions:
//! - 1: whether to answer before the change is committed (KIP-1186).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct AddRaftVoterRequest {
        [0+] cluster_id: Option<Str>,
        [0+] timeout_ms: i32,
        [0+] voter_id: i32,
        [0+] voter_directory_id: Uuid,
        [0+] listeners: Vec<Listener>,
        [1+] ack_when_committed: bool = true,
    }

    /// An address, with the name of the listener.
    pub(crate) struct Listener {
        [0+] name: Str,
        [0+] host: Str,
        [0+] port: u16,
    }

    /// The response.
    pub(crate) struct AddRaftVoterResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
