//! State and partitions of transactions, by transactional id (KIP-664).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct DescribeTransactionsRequest {
        [0+] transactional_ids: Vec<Str>,
    }

    /// The response.
    pub(crate) struct DescribeTransactionsResponse {
        [0+] throttle_time_ms: i32,
        [0+] transaction_states: Vec<TransactionState>,
    }

    /// A transaction.
    pub(crate) struct TransactionState {
        [0+] error_code: i16,
        [0+] transactional_id: Str,
        [0+] transaction_state: Str,
        [0+] transaction_timeout_ms: i32,
        [0+] transaction_start_time_ms: i64,
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        [0+] topics: Vec<TopicData>,
    }

    /// A topic with the partitions that are in the transaction.
    pub(crate) struct TopicData {
        [0+] topic: Str,
        [0+] partitions: Vec<i32>,
    }
}
