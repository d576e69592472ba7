//! Removes a voter from the metadata quorum (KIP-853).

use crate::wire::Str;
use crate::wire::declare::wire;
use uuid::Uuid;

wire! {
    /// The request.
    pub(crate) struct RemoveRaftVoterRequest {
        [0+] cluster_id: Option<Str>,
        [0+] voter_id: i32,
        [0+] voter_directory_id: Uuid,
    }

    /// The response.
    pub(crate) struct RemoveRaftVoterResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
