//! The delegation tokens of some owners, or of all (KIP-48).
//!
//! Versions:
//! - 3: who asked for each (KIP-373).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct DescribeDelegationTokenRequest {
        [0+] owners: Option<Vec<DescribeDelegationTokenOwner>>,
    }

    /// A principal that tokens belong to.
    pub(crate) struct DescribeDelegationTokenOwner {
        [0+] principal_type: Str,
        [0+] principal_name: Str,
    }

    /// The response.
    pub(crate) struct DescribeDelegationTokenResponse {
        [0+] error_code: i16,
        [0+] tokens: Vec<DescribedDelegationToken>,
        [0+] throttle_time_ms: i32,
    }

    /// A token. Its `hmac` is a secret.
    pub(crate) struct DescribedDelegationToken {
        [0+] principal_type: Str,
        [0+] principal_name: Str,
        [3+] token_requester_principal_type: Str,
        [3+] token_requester_principal_name: Str,
        [0+] issue_timestamp: i64,
        [0+] expiry_timestamp: i64,
        [0+] max_timestamp: i64,
        [0+] token_id: Str,
        [0+] hmac: Bytes,
        [0+] renewers: Vec<DescribedDelegationTokenRenewer>,
    }

    /// A principal that may renew the token.
    pub(crate) struct DescribedDelegationTokenRenewer {
        [0+] principal_type: Str,
        [0+] principal_name: Str,
    }
}
