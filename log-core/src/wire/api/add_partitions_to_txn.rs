//! Takes partitions into a transaction before they are written to (KIP-98).
//!
//! Versions:
//! - 0 to 3: clients, one transaction. 4: brokers, many transactions, and `verify_only`, which asks whether a
//!   partition is in one (KIP-890). 5: `TRANSACTION_ABORTABLE`.

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct AddPartitionsToTxnRequest {
        [4+]  transactions: Vec<AddPartitionsToTxnTransaction>,
        [0-3] v3_and_below_transactional_id: Str,
        [0-3] v3_and_below_producer_id: i64,
        [0-3] v3_and_below_producer_epoch: i16,
        [0-3] v3_and_below_topics: Vec<AddPartitionsToTxnTopic>,
    }

    /// A transaction with what to take into it.
    pub(crate) struct AddPartitionsToTxnTransaction {
        [4+] transactional_id: Str,
        [4+] producer_id: i64,
        [4+] producer_epoch: i16,
        [4+] verify_only: bool,
        [4+] topics: Vec<AddPartitionsToTxnTopic>,
    }

    /// A topic with the partitions to take in.
    pub(crate) struct AddPartitionsToTxnTopic {
        [0+] name: Str,
        [0+] partitions: Vec<i32>,
    }

    /// The response.
    pub(crate) struct AddPartitionsToTxnResponse {
        [0+]  throttle_time_ms: i32,
        [4+]  error_code: i16,
        [4+]  results_by_transaction: Vec<AddPartitionsToTxnResult>,
        [0-3] results_by_topic_v3_and_below: Vec<AddPartitionsToTxnTopicResult>,
    }

    /// What became of one transaction.
    pub(crate) struct AddPartitionsToTxnResult {
        [4+] transactional_id: Str,
        [4+] topic_results: Vec<AddPartitionsToTxnTopicResult>,
    }

    /// What became of the partitions of one topic.
    pub(crate) struct AddPartitionsToTxnTopicResult {
        [0+] name: Str,
        [0+] results_by_partition: Vec<AddPartitionsToTxnPartitionResult>,
    }

    /// What became of one partition.
    pub(crate) struct AddPartitionsToTxnPartitionResult {
        [0+] partition_index: i32,
        [0+] partition_error_code: i16,
    }
}
