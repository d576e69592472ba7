//! Takes the committed offsets of a group into a transaction (KIP-98).
//!
//! Versions:
//! - 4: `TRANSACTION_ABORTABLE` (KIP-890).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct AddOffsetsToTxnRequest {
        [0+] transactional_id: Str,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        [0+] group_id: Str,
    }

    /// The response.
    pub(crate) struct AddOffsetsToTxnResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
    }
}
