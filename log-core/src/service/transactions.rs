//! The requests and responses of transactions (KIP-98, KIP-890).

use crate::types::{
    CommittedPosition, GroupId, Membership, ProducerIdentity, Timestamp, TopicPartition, TransactionState,
    TransactionVersion, TransactionalId,
};
use std::time::Duration;

/// Starts a producer (Kafka's InitProducerId): it gets an id, and an epoch that fences who was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerId {
    /// `None` for a producer that is idempotent and no more: it gets a producer id that nobody has.
    pub transactional_id: Option<TransactionalId>,
    /// A transaction that is open for longer is aborted, and its producer fenced. Only for a transactional id.
    pub transaction_timeout: Duration,
    /// Who the producer was, if it goes on after an error: so that it does not fence one that was started meanwhile.
    pub producer: Option<ProducerIdentity>,
}

/// What a transactional producer says of itself with every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionalProducer {
    /// Its transactional id.
    pub transactional_id: TransactionalId,
    /// Who it is.
    pub producer: ProducerIdentity,
}

/// Which transaction a batch is written in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceTransaction {
    /// Of the producer that the batch names.
    pub transactional_id: TransactionalId,
    /// Version 2 adds the partition to the transaction; version 1 wants it to be in it.
    pub version: TransactionVersion,
}

/// Adds partitions to a transaction before they are written to (Kafka's AddPartitionsToTxn).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTransaction {
    /// Whose transaction.
    pub producer: TransactionalProducer,
    /// What to add.
    pub partitions: Vec<TopicPartition>,
    /// Only say whether they are in it.
    pub verify_only: bool,
}

/// Adds a group's offsets to a transaction before they are committed in it (Kafka's AddOffsetsToTxn).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddOffsetsToTransaction {
    /// Whose transaction.
    pub producer: TransactionalProducer,
    /// The group.
    pub group: GroupId,
}

/// Commits positions of a group when the transaction is committed (Kafka's TxnOffsetCommit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTransactionOffsets {
    /// Whose transaction.
    pub producer: TransactionalProducer,
    /// Version 2 adds the group's offsets to the transaction; version 1 wants them to be in it.
    pub version: TransactionVersion,
    /// The group.
    pub group: GroupId,
    /// The member that read; refused if the group has moved on (KIP-447). `None` if nobody checks.
    pub member: Option<Membership>,
    /// The next offset to read of each partition, and what is to be remembered with it.
    pub offsets: Vec<(TopicPartition, CommittedPosition)>,
}

/// Ends a transaction (Kafka's EndTxn).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransaction {
    /// Whose transaction.
    pub producer: TransactionalProducer,
    /// Commit, or abort.
    pub commit: bool,
    /// Version 2 gives the producer another epoch.
    pub version: TransactionVersion,
}

/// Asks about transactional ids (Kafka's DescribeTransactions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeTransactions {
    /// Which.
    pub transactional_ids: Vec<TransactionalId>,
}

/// A transactional id as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionDescription {
    /// The transactional id.
    pub transactional_id: TransactionalId,
    /// Its producer.
    pub producer: ProducerIdentity,
    /// Where its transaction stands.
    pub state: TransactionState,
    /// A transaction that is open for longer is aborted.
    pub timeout: Duration,
    /// When the open transaction began.
    pub started: Option<Timestamp>,
    /// What it has written to.
    pub partitions: Vec<TopicPartition>,
}

/// Asks which transactional ids there are (Kafka's ListTransactions). An empty filter lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListTransactions {
    /// In one of these states.
    pub states: Vec<TransactionState>,
    /// Of one of these producers.
    pub producer_ids: Vec<i64>,
    /// Open for longer than this.
    pub open_for: Option<Duration>,
}
