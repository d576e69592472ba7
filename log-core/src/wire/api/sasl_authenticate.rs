//! One token of the SASL exchange in each direction (KIP-152).
//!
//! Versions:
//! - 1: how long the session lasts before it has to be authenticated again (KIP-368).

use crate::wire::Str;
use crate::wire::declare::wire;
use bytes::Bytes;

wire! {
    /// The request.
    pub(crate) struct SaslAuthenticateRequest {
        [0+] auth_bytes: Bytes,
    }

    /// The response.
    pub(crate) struct SaslAuthenticateResponse {
        [0+] error_code: i16,
        [0+] error_message: Option<Str>,
        [0+] auth_bytes: Bytes,
        [1+] session_lifetime_ms: i64,
    }
}
