//! The coordinator's decision, sent to the leaders of the partitions of a transaction (KIP-98). Between brokers.
//!
//! Versions:
//! - 2: which version of transactions the producer speaks (KIP-1228).

use crate::wire::Str;
use crate::wire::declare::wire;

wire! {
    /// The request.
    pub(crate) struct WriteTxnMarkersRequest {
        [0+] markers: Vec<WritableTxnMarker>,
    }

    /// The markers of one transaction: `true` commits it.
    pub(crate) struct WritableTxnMarker {
        [0+] producer_id: i64,
        [0+] producer_epoch: i16,
        [0+] transaction_result: bool,
        [0+] topics: Vec<WritableTxnMarkerTopic>,
        [0+] coordinator_epoch: i32,
        [2+] transaction_version: i8,
    }

    /// A topic with the partitions to mark.
    pub(crate) struct WritableTxnMarkerTopic {
        [0+] name: Str,
        [0+] partition_indexes: Vec<i32>,
    }

    /// The response.
    pub(crate) struct WriteTxnMarkersResponse {
        [0+] markers: Vec<WritableTxnMarkerResult>,
    }

    /// What became of the markers of one transaction.
    pub(crate) struct WritableTxnMarkerResult {
        [0+] producer_id: i64,
        [0+] topics: Vec<WritableTxnMarkerTopicResult>,
    }

    /// What became of the markers of one topic.
    pub(crate) struct WritableTxnMarkerTopicResult {
        [0+] name: Str,
        [0+] partitions: Vec<WritableTxnMarkerPartitionResult>,
    }

    /// What became of one marker.
    pub(crate) struct WritableTxnMarkerPartitionResult {
        [0+] partition_index: i32,
        [0+] error_code: i16,
    }
}
