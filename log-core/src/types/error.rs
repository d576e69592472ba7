//! What can go wrong, why, and what to do about it.
//!
//! Each variant has a stable code (`TW0101`) that `tw explain` documents, a message that says what happened and
//! why, and where there is one a remedy. [`ErrorKind`] is the prescriptive side: what should the caller do?

use super::{Offset, PartitionIndex, ProducerIdentity, TopicName, TopicPartition, TransactionalId};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A result with the log's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Change the request; the same one will fail again.
    InvalidInput,
    /// The named thing does not exist; create it or correct the name.
    NotFound,
    /// The named thing exists already.
    AlreadyExists,
    /// Not for this principal: authenticate as another, or have it allowed.
    Denied,
    /// Someone else has it now; try again when they are done.
    Busy,
    /// Try again; nothing was changed. A full disk is of this kind: make room first.
    Retriable,
    /// Membership or position has moved on; join or look up again, then continue.
    Stale,
    /// Stored bytes are not what was written; see the message for what is still readable.
    Corrupt,
    /// The log refuses writes until it is opened again.
    Fenced,
    /// The handle was closed.
    Closed,
    /// The operating system said no; see the source.
    Io,
}

/// An error of the log. Cloned freely: one failed flush is told to everyone who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// TW0101: a name that breaks Kafka's rule for topics.
    #[error("`{name}` is not a topic name: {why}")]
    InvalidTopicName {
        /// The name, its first 64 characters.
        name: String,
        /// Which part of the rule.
        why: String,
    },
    /// TW0102: no topic has this name.
    #[error("there is no topic `{name}`")]
    UnknownTopic {
        /// As it was asked for.
        name: String,
        /// The nearest name that exists, if one is near.
        did_you_mean: Option<String>,
    },
    /// TW0103: the name is taken.
    #[error("topic `{name}` already exists")]
    TopicExists {
        /// The topic that is there.
        name: TopicName,
    },
    /// TW0104: the topic has fewer partitions.
    #[error("topic `{topic}` has no partition {partition}; it has {partitions}")]
    UnknownPartition {
        /// The topic.
        topic: TopicName,
        /// The partition that was asked for.
        partition: PartitionIndex,
        /// How many it has, from 0 on.
        partitions: PartitionIndex,
    },
    /// TW0105: the record, alone in a batch, is over the topic's `batch_bytes_max`.
    #[error("the record has {bytes} bytes in its batch and `{topic}` takes at most {max}")]
    RecordTooLarge {
        /// Where it was sent.
        topic: TopicName,
        /// Size of the batch, header included.
        bytes: u64,
        /// The limit in bytes.
        max: u64,
    },
    /// TW0106: nothing can be read there.
    #[error("offset {offset} of {partition} is outside [{start}, {end})")]
    OffsetOutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The offset that was asked for.
        offset: Offset,
        /// The first that is readable.
        start: Offset,
        /// The end of what is readable.
        end: Offset,
    },
    /// TW0107: the request makes no sense.
    #[error("{why}")]
    InvalidRequest {
        /// What is wrong with it.
        why: String,
    },
    /// TW0108: a name that no group can have.
    #[error("`{group}` is not a group name: it must have 1 to 249 bytes and no control characters")]
    InvalidGroup {
        /// The name, its first 64 characters.
        group: String,
    },
    /// TW0109: no group has this name.
    #[error("there is no group `{group}`")]
    UnknownGroup {
        /// As it was asked for.
        group: String,
        /// The nearest name that exists, if one is near.
        did_you_mean: Option<String>,
    },
    /// TW0110: the member has lost its place, or the group moved on to another generation.
    #[error("group `{group}`: {why}")]
    StaleMember {
        /// The group.
        group: String,
        /// What has happened.
        why: String,
    },
    /// TW0111: not while members are active.
    #[error("group `{group}` has {members} active members")]
    GroupNotEmpty {
        /// The group.
        group: String,
        /// How many are active.
        members: usize,
    },
    /// TW0112: the lease has run out, or the record is finished.
    #[error("the lease on {partition} offset {offset} is not yours any more: {why}")]
    LeaseLost {
        /// The partition.
        partition: TopicPartition,
        /// The record.
        offset: Offset,
        /// What has become of it.
        why: String,
    },
    /// TW0113: an idempotent producer left out records, or sent them in the wrong order (KIP-98).
    #[error("producer {producer_id} sent sequence {got} to {partition}, which expected {expected}")]
    OutOfOrderSequence {
        /// Where it sent to.
        partition: TopicPartition,
        /// Who sent.
        producer_id: i64,
        /// The batch's first sequence.
        got: i32,
        /// The sequence that would have followed.
        expected: i32,
    },
    /// TW0114: a Kafka broker said no, with a code that no other error here stands for.
    #[error("{subject}: {why} ({name})")]
    Refused {
        /// Kafka's number for it.
        code: i16,
        /// Kafka's name for it.
        name: &'static str,
        /// What was asked about: a topic, a group, a transactional id.
        subject: String,
        /// What the broker said, or what the code means.
        why: String,
        /// What the caller should do.
        kind: ErrorKind,
    },
    /// TW0115: a group does not take the request, and says what is in the way.
    #[error("group `{group}`: {refusal}")]
    GroupRefused {
        /// The group.
        group: String,
        /// What is in the way.
        refusal: super::GroupRefusal,
    },
    /// TW0151: a setting that does not exist, or a value that it cannot have.
    #[error("`{name}`: {why}")]
    InvalidConfig {
        /// The setting.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// TW0152: a topic cannot have that many partitions.
    #[error("{why}")]
    InvalidPartitions {
        /// What is wrong.
        why: String,
    },
    /// TW0153: there are not so many brokers.
    #[error("a replication factor of {factor} needs {factor} brokers and there are {brokers}")]
    InvalidReplicationFactor {
        /// What was asked for.
        factor: i16,
        /// How many brokers there are.
        brokers: usize,
    },
    /// TW0154: partitions were assigned to brokers in a way that cannot be.
    #[error("{why}")]
    InvalidReplicaAssignment {
        /// What is wrong.
        why: String,
    },
    /// TW0155: no topic has this identity; it may have been deleted.
    #[error("there is no topic with the id {id}")]
    UnknownTopicId {
        /// The identity.
        id: super::TopicId,
    },
    /// TW0156: the principal may not do this.
    #[error("{principal} may not {operation} {resource_type} `{resource}`")]
    NotAuthorized {
        /// Who asked.
        principal: String,
        /// What for.
        operation: super::AclOperation,
        /// The kind of resource.
        resource_type: super::ResourceType,
        /// Its name.
        resource: String,
    },
    /// TW0157: it is not who it says it is. Deliberately without a reason that would help to guess.
    #[error("authentication failed: {why}")]
    AuthenticationFailed {
        /// What is told to the peer.
        why: String,
    },
    /// TW0158: a credential that cannot be stored.
    #[error("{why}")]
    UnacceptableCredential {
        /// What is wrong.
        why: String,
    },
    /// TW0159: what is to be changed is not there: a user, a credential, a feature.
    #[error("there is no {what}")]
    ResourceNotFound {
        /// What was asked for.
        what: String,
    },
    /// TW0160: a request names the same thing twice.
    #[error("{what} is named twice in one request")]
    DuplicateResource {
        /// What.
        what: String,
    },
    /// TW0161: records that the topic does not take.
    #[error("{why}")]
    InvalidRecord {
        /// What is wrong with the batch.
        why: String,
        /// Which records, from 0, and what is wrong with each; empty when it is all of them.
        records: Vec<(u32, String)>,
    },
    /// TW0162: a record's time is further from the broker's clock than the topic allows.
    #[error("{why}")]
    InvalidTimestamp {
        /// Which bound was broken, and by what.
        why: String,
    },
    /// TW0163: the leader is the preferred one already.
    #[error("{partition} has its preferred leader")]
    ElectionNotNeeded {
        /// The partition.
        partition: TopicPartition,
    },
    /// TW0164: there is no reassignment that could be cancelled.
    #[error("{partition} is not being reassigned")]
    NoReassignment {
        /// The partition.
        partition: TopicPartition,
    },
    /// TW0165: a feature cannot be set to that level.
    #[error("the feature `{feature}` {why}")]
    FeatureUpdateFailed {
        /// The feature.
        feature: String,
        /// Why not.
        why: String,
    },
    /// TW0166: the service does not offer this.
    #[error("{what} is not offered here")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// TW0167: fewer replicas are in sync than the topic asks for. Nothing was appended.
    #[error("{in_sync} replicas are in sync and the topic asks for {needed} (`min.insync.replicas`)")]
    NotEnoughReplicas {
        /// How many are.
        in_sync: u16,
        /// How many there have to be.
        needed: u16,
    },
    /// TW0141: a newer producer has the transactional id, or the log has aborted its transaction (Kafka's
    /// `PRODUCER_FENCED`, and `INVALID_PRODUCER_EPOCH` in versions that do not know that).
    #[error("producer {producer} of transactional id `{transactional_id}` is fenced: {why}")]
    ProducerFenced {
        /// The transactional id.
        transactional_id: TransactionalId,
        /// Who asked.
        producer: ProducerIdentity,
        /// What has happened.
        why: String,
    },
    /// TW0142: the partition has seen a newer epoch of this producer (Kafka's `INVALID_PRODUCER_EPOCH`).
    #[error("producer {producer} may not write to {partition} any more: it has moved on to epoch {current}")]
    StaleProducerEpoch {
        /// Where it sent to.
        partition: TopicPartition,
        /// Who sent.
        producer: ProducerIdentity,
        /// The epoch that may write.
        current: i16,
    },
    /// TW0143: the transactional id has another producer id, or is not known (Kafka's `INVALID_PRODUCER_ID_MAPPING`).
    #[error("producer {producer} does not belong to transactional id `{transactional_id}`: {why}")]
    UnknownProducer {
        /// The transactional id.
        transactional_id: TransactionalId,
        /// Who asked.
        producer: ProducerIdentity,
        /// What the log knows instead.
        why: String,
    },
    /// TW0144: another change of the transaction is under way (Kafka's `CONCURRENT_TRANSACTIONS`).
    #[error("transactional id `{transactional_id}` is busy: {why}")]
    ConcurrentTransactions {
        /// The transactional id.
        transactional_id: TransactionalId,
        /// What is under way.
        why: String,
    },
    /// TW0145: the transaction is not in a state for it (Kafka's `INVALID_TXN_STATE`).
    #[error("{why}")]
    InvalidTransactionState {
        /// What was asked for, and what state it is in.
        why: String,
    },
    /// TW0146: a transaction timeout outside of its limits (Kafka's `INVALID_TRANSACTION_TIMEOUT`).
    #[error("a transaction may take more than 0 ms and at most {} ms, not {} ms", max.as_millis(), timeout.as_millis())]
    InvalidTransactionTimeout {
        /// What was asked for.
        timeout: Duration,
        /// The most that is allowed.
        max: Duration,
    },
    /// TW0147: the transaction cannot go on, and can be aborted (Kafka's `TRANSACTION_ABORTABLE`).
    #[error("the transaction cannot go on: {why}")]
    TransactionAbortable {
        /// What stands in its way.
        why: String,
    },
    /// TW0148: no transactional id has this name (Kafka's `TRANSACTIONAL_ID_NOT_FOUND`).
    #[error("there is no transactional id `{transactional_id}`")]
    UnknownTransactionalId {
        /// As it was asked for.
        transactional_id: TransactionalId,
    },
    /// TW0201: another process has the data directory.
    #[error("the data directory {} is in use by process {pid}", path.display())]
    DirectoryInUse {
        /// The directory.
        path: PathBuf,
        /// Its process, as far as the lock file tells.
        pid: String,
    },
    /// TW0202: the data was written by another version.
    #[error("{} has format version {found}; this build reads {supported}", path.display())]
    UnsupportedFormat {
        /// The directory.
        path: PathBuf,
        /// The version that its `format` file names.
        found: String,
        /// The version that this build reads.
        supported: u32,
    },
    /// TW0203: the append did not fit. Nothing has changed; it can be sent again.
    #[error("no space left on the disk of {}; {needed} more bytes were needed", path.display())]
    DiskFull {
        /// The file that was to grow.
        path: PathBuf,
        /// Bytes of the append.
        needed: u64,
    },
    /// TW0204: stored bytes below the durable point are not what was written.
    #[error("{} is damaged at byte {position} (offset {offset}): {why}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The byte at which the bad batch begins.
        position: u64,
        /// The first offset that cannot be read.
        offset: Offset,
        /// What is wrong there.
        why: String,
    },
    /// TW0205: bytes that are not a record batch, or not a whole one.
    #[error("malformed bytes: {why}")]
    Malformed {
        /// What is wrong, and where.
        why: String,
    },
    /// TW0206: a flush failed, so nothing is known of what it was to make durable.
    #[error("the log stopped taking writes: {why}")]
    Fenced {
        /// What has failed.
        why: String,
    },
    /// TW0207: the handle outlived its log.
    #[error("the log is closed")]
    Closed,
    /// TW0209: another process listens there.
    #[error("cannot listen on {address}: the port is in use")]
    AddressInUse {
        /// The address.
        address: String,
    },
    /// TW0210: everyone who can reach it could do everything.
    #[error("{address} can be reached from other machines, and nobody would have to authenticate there")]
    ExposedListener {
        /// The address.
        address: String,
    },
    /// TW0216: a broker cannot be spoken to.
    #[error("cannot reach {address}: {why}")]
    Unreachable {
        /// The broker, or the first that was named.
        address: String,
        /// What stood in the way.
        why: String,
    },
    /// TW0208: the operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as in "cannot _read_".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What it said.
        source: Arc<std::io::Error>,
    },
}

impl Error {
    /// The stable code that `tw explain` takes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidTopicName { .. } => "TW0101",
            Self::UnknownTopic { .. } => "TW0102",
            Self::TopicExists { .. } => "TW0103",
            Self::UnknownPartition { .. } => "TW0104",
            Self::RecordTooLarge { .. } => "TW0105",
            Self::OffsetOutOfRange { .. } => "TW0106",
            Self::InvalidRequest { .. } => "TW0107",
            Self::InvalidGroup { .. } => "TW0108",
            Self::UnknownGroup { .. } => "TW0109",
            Self::StaleMember { .. } => "TW0110",
            Self::GroupNotEmpty { .. } => "TW0111",
            Self::LeaseLost { .. } => "TW0112",
            Self::OutOfOrderSequence { .. } => "TW0113",
            Self::Refused { .. } => "TW0114",
            Self::GroupRefused { .. } => "TW0115",
            Self::InvalidConfig { .. } => "TW0151",
            Self::InvalidPartitions { .. } => "TW0152",
            Self::InvalidReplicationFactor { .. } => "TW0153",
            Self::InvalidReplicaAssignment { .. } => "TW0154",
            Self::UnknownTopicId { .. } => "TW0155",
            Self::NotAuthorized { .. } => "TW0156",
            Self::AuthenticationFailed { .. } => "TW0157",
            Self::UnacceptableCredential { .. } => "TW0158",
            Self::ResourceNotFound { .. } => "TW0159",
            Self::DuplicateResource { .. } => "TW0160",
            Self::InvalidRecord { .. } => "TW0161",
            Self::InvalidTimestamp { .. } => "TW0162",
            Self::ElectionNotNeeded { .. } => "TW0163",
            Self::NoReassignment { .. } => "TW0164",
            Self::FeatureUpdateFailed { .. } => "TW0165",
            Self::Unsupported { .. } => "TW0166",
            Self::NotEnoughReplicas { .. } => "TW0167",
            Self::ProducerFenced { .. } => "TW0141",
            Self::StaleProducerEpoch { .. } => "TW0142",
            Self::UnknownProducer { .. } => "TW0143",
            Self::ConcurrentTransactions { .. } => "TW0144",
            Self::InvalidTransactionState { .. } => "TW0145",
            Self::InvalidTransactionTimeout { .. } => "TW0146",
            Self::TransactionAbortable { .. } => "TW0147",
            Self::UnknownTransactionalId { .. } => "TW0148",
            Self::DirectoryInUse { .. } => "TW0201",
            Self::UnsupportedFormat { .. } => "TW0202",
            Self::DiskFull { .. } => "TW0203",
            Self::Corrupt { .. } => "TW0204",
            Self::Malformed { .. } => "TW0205",
            Self::Fenced { .. } => "TW0206",
            Self::Closed => "TW0207",
            Self::Io { .. } => "TW0208",
            Self::AddressInUse { .. } => "TW0209",
            Self::ExposedListener { .. } => "TW0210",
            Self::Unreachable { .. } => "TW0216",
        }
    }

    /// What the caller should do.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidTopicName { .. }
            | Self::RecordTooLarge { .. }
            | Self::InvalidRequest { .. }
            | Self::InvalidGroup { .. }
            | Self::OutOfOrderSequence { .. }
            | Self::InvalidConfig { .. }
            | Self::InvalidPartitions { .. }
            | Self::InvalidReplicationFactor { .. }
            | Self::InvalidReplicaAssignment { .. }
            | Self::UnacceptableCredential { .. }
            | Self::DuplicateResource { .. }
            | Self::InvalidRecord { .. }
            | Self::InvalidTimestamp { .. }
            | Self::FeatureUpdateFailed { .. }
            | Self::Unsupported { .. }
            | Self::InvalidTransactionState { .. }
            | Self::InvalidTransactionTimeout { .. }
            | Self::ExposedListener { .. }
            | Self::UnsupportedFormat { .. } => ErrorKind::InvalidInput,
            Self::NotAuthorized { .. } | Self::AuthenticationFailed { .. } => ErrorKind::Denied,
            Self::UnknownTopicId { .. } | Self::ResourceNotFound { .. } | Self::NoReassignment { .. } => {
                ErrorKind::NotFound
            }
            Self::ElectionNotNeeded { .. } => ErrorKind::AlreadyExists,
            Self::UnknownTopic { .. }
            | Self::UnknownPartition { .. }
            | Self::UnknownGroup { .. }
            | Self::UnknownTransactionalId { .. } => ErrorKind::NotFound,
            Self::TopicExists { .. } => ErrorKind::AlreadyExists,
            Self::DirectoryInUse { .. }
            | Self::AddressInUse { .. }
            | Self::GroupNotEmpty { .. }
            | Self::ConcurrentTransactions { .. } => ErrorKind::Busy,
            Self::DiskFull { .. } | Self::NotEnoughReplicas { .. } | Self::Unreachable { .. } => ErrorKind::Retriable,
            Self::OffsetOutOfRange { .. }
            | Self::StaleMember { .. }
            | Self::LeaseLost { .. }
            | Self::ProducerFenced { .. }
            | Self::StaleProducerEpoch { .. }
            | Self::UnknownProducer { .. }
            | Self::TransactionAbortable { .. } => ErrorKind::Stale,
            Self::Corrupt { .. } | Self::Malformed { .. } => ErrorKind::Corrupt,
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::Refused { kind, .. } => *kind,
            Self::GroupRefused { refusal, .. } => refusal.kind(),
            Self::Closed => ErrorKind::Closed,
            Self::Io { .. } => ErrorKind::Io,
        }
    }

    /// The remedy, in words and where possible as a command.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::InvalidTopicName { .. } => "use 1 to 249 of a-z A-Z 0-9 . _ -".into(),
            Self::UnknownTopic { did_you_mean: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownTopic { name, .. } => {
                format!("create it with   tw topic create {name}   or list what there is with   tw topic list")
            }
            Self::TopicExists { name } => format!("look at it with   tw topic describe {name}"),
            Self::UnknownPartition { topic, .. } => format!("see its partitions with   tw topic describe {topic}"),
            Self::RecordTooLarge { .. } => "send smaller records, or create the topic with a larger batch limit".into(),
            Self::OffsetOutOfRange { partition, .. } => {
                format!("see what is readable with   tw topic describe {}", partition.topic)
            }
            Self::UnknownGroup { did_you_mean: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::UnknownGroup { .. } => "list the groups with   tw group list".into(),
            Self::StaleMember { .. } => "join again and continue from the committed offsets".into(),
            Self::GroupRefused { refusal, .. } if matches!(refusal.kind(), ErrorKind::Stale) => {
                "join again and continue from the committed offsets".into()
            }
            Self::GroupNotEmpty { .. } => "stop its members first".into(),
            Self::LeaseLost { .. } => "drop this delivery: the record has gone to another worker or is finished".into(),
            Self::NotAuthorized { .. } => "have an access control entry made that allows it".into(),
            Self::ProducerFenced { .. } => {
                "let this producer go; if it is the one that should write, make a new one and begin again from the \
                 committed offsets"
                    .into()
            }
            Self::StaleProducerEpoch { .. } | Self::UnknownProducer { .. } => {
                "make a new producer and begin again".into()
            }
            Self::ConcurrentTransactions { .. } => "try again in a moment".into(),
            Self::TransactionAbortable { .. } => "abort the transaction and do its work again in a new one".into(),
            Self::InvalidTransactionTimeout { .. } => "choose a shorter transaction timeout".into(),
            Self::DirectoryInUse { pid, .. } => {
                format!("stop process {pid} first, or use another directory with   --data DIR")
            }
            Self::UnsupportedFormat { .. } => "open it with the version that wrote it".into(),
            Self::AddressInUse { .. } => {
                "stop what listens there, or use another port with   --listen HOST:PORT".into()
            }
            Self::ExposedListener { .. } => {
                "listen on 127.0.0.1, ask for passwords with   --listen SASL_TLS://HOST:PORT   or say that this is what \
                 you want with   --insecure-listen"
                    .into()
            }
            Self::Unreachable { .. } => "check the address, and that the broker runs:   tw start".into(),
            Self::DiskFull { .. } => "make room on the disk, then send again; nothing acknowledged was lost".into(),
            Self::Corrupt { offset, .. } => format!(
                "records before offset {offset} are intact and readable; see the rest with   tw doctor   and restore the file from a copy, or see what a repair would lose with   tw repair TOPIC"
            ),
            Self::Fenced { .. } => {
                "check the disk, then open the log again; it recovers to the last durable record".into()
            }
            _ => return None,
        })
    }

    /// Whether the same call may succeed later without a change.
    pub const fn is_retriable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Retriable | ErrorKind::Busy)
    }

    /// An operating system error with what was being done to what.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(source) }
    }
}
