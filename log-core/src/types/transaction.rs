//! Transactions' names and states: who writes, under which identity, and what readers see of it.

use super::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The name that a transactional producer keeps over restarts, so that a new one can end what the one before it left
/// open, and fence it. 1 to 1024 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TransactionalId(Arc<str>);

impl TransactionalId {
    /// Checks `id` against the rule above.
    pub fn new(id: impl AsRef<str>) -> Result<Self> {
        let id = id.as_ref();
        if id.is_empty() || id.len() > limits::TRANSACTIONAL_ID_BYTES_MAX || id.chars().any(char::is_control) {
            let max = limits::TRANSACTIONAL_ID_BYTES_MAX;
            let why = format!("a transactional id has 1 to {max} bytes and no control characters");
            return Err(Error::InvalidRequest { why });
        }
        Ok(Self(id.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TransactionalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TransactionalId {
    type Error = Error;
    fn try_from(id: String) -> Result<Self> {
        Self::new(id)
    }
}

impl From<TransactionalId> for String {
    fn from(id: TransactionalId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// Who writes: a producer id, and the epoch that fences whoever wrote under it before. Displayed as `7:0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProducerIdentity {
    /// Given out by the log, never twice.
    pub id: i64,
    /// From 0; grows.
    pub epoch: i16,
}

impl fmt::Display for ProducerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.id, self.epoch)
    }
}

/// Which rules a client follows in transactions (Kafka's feature `transaction.version`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionVersion {
    /// The client adds each partition before it writes to it, and keeps its epoch from one transaction to the next.
    V1,
    /// Writing adds the partition, and every transaction has an epoch of its own (KIP-890): what comes late for one
    /// cannot be taken for the next.
    V2,
}

/// Where the transaction of a transactional id stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TransactionState {
    /// There was none under the present producer.
    Empty,
    /// Partitions are in it.
    Ongoing,
    /// It was decided to commit it; markers are being written.
    PrepareCommit,
    /// It was decided to abort it; markers are being written.
    PrepareAbort,
    /// It is committed, in every partition.
    CompleteCommit,
    /// It is aborted, in every partition.
    CompleteAbort,
}

impl TransactionState {
    /// Kafka's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    /// The state of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        const ALL: [TransactionState; 6] = [
            TransactionState::Empty,
            TransactionState::Ongoing,
            TransactionState::PrepareCommit,
            TransactionState::PrepareAbort,
            TransactionState::CompleteCommit,
            TransactionState::CompleteAbort,
        ];
        ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for TransactionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a reader sees (Kafka's isolation level).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// Up to the high watermark.
    #[default]
    ReadUncommitted,
    /// Up to the last stable offset, and not what was aborted below it.
    ReadCommitted,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_states_found_by_name() {
        assert!(TransactionalId::new("etl-0").is_ok());
        for bad in [String::new(), "a\nb".into(), "x".repeat(1025)] {
            assert!(TransactionalId::new(&bad).is_err(), "{bad:?}");
        }
        assert_eq!(TransactionState::by_name("PrepareAbort"), Some(TransactionState::PrepareAbort));
        assert_eq!(TransactionState::by_name("Dead"), None);
    }
}
