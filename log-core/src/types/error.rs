//! What can go wrong, why, and what to do about it.
//!
//! Each variant has a stable code (`TW0101`) that `tw explain` documents, a message that says what happened and
//! why, and where there is one a remedy. [`ErrorKind`] is the prescriptive side: what should the caller do?

use super::{Offset, PartitionIndex, TopicName, TopicPartition};
use std::path::PathBuf;
use std::sync::Arc;

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
    #[error("`{name}` is not a topic name: {why}")]
    InvalidTopicName { name: String, why: String },
    #[error("there is no topic `{name}`")]
    UnknownTopic { name: String, did_you_mean: Option<String> },
    #[error("topic `{name}` exists already")]
    TopicExists { name: TopicName },
    #[error("topic `{topic}` has no partition {partition}; it has {partitions}")]
    UnknownPartition { topic: TopicName, partition: PartitionIndex, partitions: PartitionIndex },
    #[error("the record has {bytes} bytes in its batch and `{topic}` takes at most {max}")]
    RecordTooLarge { topic: TopicName, bytes: u64, max: u64 },
    #[error("offset {offset} of {partition} is outside [{start}, {end})")]
    OffsetOutOfRange { partition: TopicPartition, offset: Offset, start: Offset, end: Offset },
    #[error("{why}")]
    InvalidRequest { why: String },
    #[error("`{group}` is not a group name: it must have 1 to 249 bytes and no control characters")]
    InvalidGroup { group: String },
    #[error("there is no group `{group}`")]
    UnknownGroup { group: String, did_you_mean: Option<String> },
    #[error("group `{group}`: {why}")]
    StaleMember { group: String, why: String },
    #[error("group `{group}` has {members} active members")]
    GroupNotEmpty { group: String, members: usize },
    #[error("the lease on {partition} offset {offset} is not yours any more: {why}")]
    LeaseLost { partition: TopicPartition, offset: Offset, why: String },
    #[error("producer {producer_id} sent sequence {got} to {partition}, which expected {expected}")]
    OutOfOrderSequence { partition: TopicPartition, producer_id: i64, got: i32, expected: i32 },
    #[error("the data directory {} is in use by process {pid}", path.display())]
    DirectoryInUse { path: PathBuf, pid: String },
    #[error("{} has format version {found}; this build reads {supported}", path.display())]
    UnsupportedFormat { path: PathBuf, found: String, supported: u32 },
    #[error("no space left on the disk of {}; {needed} more bytes were needed", path.display())]
    DiskFull { path: PathBuf, needed: u64 },
    #[error("{} is damaged at byte {position} (offset {offset}): {why}", path.display())]
    Corrupt { path: PathBuf, position: u64, offset: Offset, why: String },
    #[error("malformed bytes: {why}")]
    Malformed { why: String },
    #[error("the log stopped taking writes: {why}")]
    Fenced { why: String },
    #[error("the log is closed")]
    Closed,
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: Arc<std::io::Error> },
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
            Self::DirectoryInUse { .. } => "TW0201",
            Self::UnsupportedFormat { .. } => "TW0202",
            Self::DiskFull { .. } => "TW0203",
            Self::Corrupt { .. } => "TW0204",
            Self::Malformed { .. } => "TW0205",
            Self::Fenced { .. } => "TW0206",
            Self::Closed => "TW0207",
            Self::Io { .. } => "TW0208",
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
            | Self::UnsupportedFormat { .. } => ErrorKind::InvalidInput,
            Self::UnknownTopic { .. } | Self::UnknownPartition { .. } | Self::UnknownGroup { .. } => {
                ErrorKind::NotFound
            }
            Self::TopicExists { .. } => ErrorKind::AlreadyExists,
            Self::DirectoryInUse { .. } | Self::GroupNotEmpty { .. } => ErrorKind::Busy,
            Self::DiskFull { .. } => ErrorKind::Retriable,
            Self::OffsetOutOfRange { .. } | Self::StaleMember { .. } | Self::LeaseLost { .. } => ErrorKind::Stale,
            Self::Corrupt { .. } | Self::Malformed { .. } => ErrorKind::Corrupt,
            Self::Fenced { .. } => ErrorKind::Fenced,
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
            Self::GroupNotEmpty { .. } => "stop its members first".into(),
            Self::LeaseLost { .. } => "drop this delivery: the record has gone to another worker or is finished".into(),
            Self::DirectoryInUse { pid, .. } => {
                format!("stop process {pid} first, or use another directory with   --data DIR")
            }
            Self::UnsupportedFormat { .. } => "open it with the version that wrote it".into(),
            Self::DiskFull { .. } => "make room on the disk, then send again; nothing acknowledged was lost".into(),
            Self::Corrupt { offset, .. } => format!(
                "records before offset {offset} are intact and readable; copy them with   tw dump   and restore the file from a copy"
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
