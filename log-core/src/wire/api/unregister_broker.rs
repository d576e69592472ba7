//! Takes a broker that is gone for good out of the cluster (KIP-631).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct UnregisterBrokerRequest {
        [0+] broker_id: i32,
    }

    /// The response.
    pub(crate) struct UnregisterBrokerResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
    }
}
