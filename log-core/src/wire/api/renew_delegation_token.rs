//! Lets a delegation token live longer (KIP-48).

use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct RenewDelegationTokenRequest {
        [0+] hmac: Bytes,
        [0+] renew_period_ms: i64,
    }

    /// The response.
    pub(crate) struct RenewDelegationTokenResponse {
        [0+] error_code: i16,
        [0+] expiry_timestamp_ms: i64,
        [0+] throttle_time_ms: i32,
    }
}
