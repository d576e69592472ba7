//! Commits or aborts a transaction (KIP-98).
//!
//! Versions:
//! - 5: each transaction has an epoch of its own; the answer has the next one (KIP-890, part 2).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct EndTxnRequest {
        [0+] transactional_id: Str,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        [0+] committed: bool,
    }

    /// The response.
    pub(crate) struct EndTxnResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [5+] producer_id: i64 = -1,
        [5+] producer_epoch: i16 = -1,
    }
}
