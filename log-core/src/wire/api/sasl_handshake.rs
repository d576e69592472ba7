//! Chooses a SASL mechanism. No version is flexible.
//!
//! Versions:
//! - 0: the tokens follow as bare frames. 1: they come in SaslAuthenticate (KIP-152).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct SaslHandshakeRequest {
        [0+] mechanism: Str,
    }

    /// The response.
    pub(crate) struct SaslHandshakeResponse {
        [0+] error_code: i16,
        [0+] mechanisms: Vec<Str>,
    }
}
