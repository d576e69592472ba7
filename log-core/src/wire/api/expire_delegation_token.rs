//! Ends a delegation token, at once with a negative period (KIP-48).

use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct ExpireDelegationTokenRequest {
        [0+] hmac: Bytes,
        [0+] expiry_time_period_ms: i64,
    }

    /// The response.
    pub(crate) struct ExpireDelegationTokenResponse {
        [0+] error_code: i16,
        [0+] expiry_timestamp_ms: i64,
        [0+] throttle_time_ms: i32,
    }
}
