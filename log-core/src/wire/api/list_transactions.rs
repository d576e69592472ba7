//! The transactions of a coordinator (KIP-664).
//!
//! Versions:
//! - 1: those older than a time (KIP-994). 2: those whose id matches a pattern (KIP-1152).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct ListTransactionsRequest {
        [0+] state_filters: Vec<Str>,
        [0+] producer_id_filters: Vec<i64>,
        [1+] duration_filter: i64 = -1,
        [2+] transactional_id_pattern: Option<Str>,
    }

    /// The response.
    pub(crate) struct ListTransactionsResponse {
        [0+] throttle_time_ms: i32,
        [0+] error_code: i16,
        [0+] unknown_state_filters: Vec<Str>,
        [0+] transaction_states: Vec<TransactionState>,
    }

    /// A transaction.
    pub(crate) struct TransactionState {
        [0+] transactional_id: Str,
        [0+] producer_id: i64,
        [0+] transaction_state: Str,
    }
}
