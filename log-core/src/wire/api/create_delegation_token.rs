//! Makes a token with which others may act as a principal (KIP-48).
//!
//! Versions:
//! - 3: for another owner than who asks (KIP-373).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct CreateDelegationTokenRequest {
        [3+] owner_principal_type: Option<Str>,
        [3+] owner_principal_name: Option<Str>,
        [0+] renewers: Vec<CreatableRenewers>,
        [0+] max_lifetime_ms: i64,
    }

    /// A principal that may renew the token.
    pub(crate) struct CreatableRenewers {
        [0+] principal_type: Str,
        [0+] principal_name: Str,
    }

    /// The response.
    pub(crate) struct CreateDelegationTokenResponse {
        [0+] error_code: i16,
        [0+] principal_type: Str,
        [0+] principal_name: Str,
        [3+] token_requester_principal_type: Str,
        [3+] token_requester_principal_name: Str,
        [0+] issue_timestamp_ms: i64,
        [0+] expiry_timestamp_ms: i64,
        [0+] max_timestamp_ms: i64,
        [0+] token_id: Str,
        [0+] hmac: Bytes,
        [0+] throttle_time_ms: i32,
    }
}
