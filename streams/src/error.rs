//! What can go wrong with a stream job, why, and what to do about it.

use tailwater_log::TopicPartition;

/// The result of anything a stream job does.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// An error of a stream job. Cloned freely: one failed task is told to everyone who waits for the job.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The topology cannot be built as written.
    #[error("the topology is not valid: {why}")]
    InvalidTopology {
        /// What is wrong, with the operator's name.
        why: String,
    },
    /// Inputs that are read together have different numbers of partitions.
    #[error("topics that are read together must have the same number of partitions: {}", list_topics(topics))]
    NotCoPartitioned {
        /// The topics with their numbers of partitions.
        topics: Vec<(String, u32)>,
    },
    /// A topic that the job reads does not exist.
    #[error("the job reads topic `{topic}`, which does not exist")]
    MissingSource {
        /// The missing topic.
        topic: String,
        /// An existing topic with a similar name.
        did_you_mean: Option<String>,
    },
    /// A record does not decode and the source's policy is to fail.
    #[error("record {partition}@{offset} does not decode: {why}")]
    Undecodable {
        /// Where the record is.
        partition: TopicPartition,
        /// Its offset.
        offset: i64,
        /// What the codec expected and found.
        why: String,
    },
    /// User code panicked.
    #[error("user code panicked in task {task}: {message}")]
    Panicked {
        /// The task, as `sub-topology/partition`.
        task: String,
        /// The panic's message.
        message: String,
    },
    /// A topic of the job was made by an earlier version of it with another number of partitions.
    #[error("`{topic}` has {found} partitions and the job needs {wanted}")]
    PartitionsChanged {
        /// The job's own topic.
        topic: String,
        /// How many it has.
        found: u32,
        /// How many the job needs now.
        wanted: u32,
    },
    /// Saved state cannot be read back.
    #[error("the state in `{changelog}` cannot be read: {why}")]
    BadState {
        /// The changelog partition.
        changelog: String,
        /// What was expected and found.
        why: String,
    },
    /// The job has been stopped.
    #[error("the job has stopped")]
    Stopped,
    /// The machine could not start a thread or a signal handler.
    #[error("cannot run the job: {why}")]
    Runtime {
        /// What the operating system said.
        why: String,
    },
    /// An error of the log below.
    #[error(transparent)]
    Log(#[from] tailwater_log::Error),
}

fn list_topics(topics: &[(String, u32)]) -> String {
    topics.iter().map(|(topic, n)| format!("`{topic}` has {n}")).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// The stable code that `tw explain` takes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::InvalidTopology { .. } => "TW0401",
            Self::NotCoPartitioned { .. } => "TW0402",
            Self::MissingSource { .. } => "TW0403",
            Self::Undecodable { .. } => "TW0404",
            Self::Panicked { .. } => "TW0405",
            Self::PartitionsChanged { .. } => "TW0406",
            Self::BadState { .. } => "TW0407",
            Self::Stopped => "TW0408",
            Self::Runtime { .. } => "TW0409",
            Self::Log(error) => error.code(),
        }
    }

    /// Every code that this crate defines, for `tw explain`.
    pub const CODES: &'static [&'static str] =
        &["TW0401", "TW0402", "TW0403", "TW0404", "TW0405", "TW0406", "TW0407", "TW0408", "TW0409"];

    /// The remedy, in words and where possible as a command.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::InvalidTopology { .. } => "change the topology; Topology::describe() prints how it is understood".into(),
            Self::NotCoPartitioned { .. } => {
                "re-key one side with .key_by(\"name\", ..): its repartition topic takes the other side's number of partitions".into()
            }
            Self::MissingSource { did_you_mean: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::MissingSource { topic, .. } => format!("create it with   tw topic create {topic}"),
            Self::Undecodable { partition, offset, .. } => format!(
                "look at it with   tw tail {} --partition {} --from {offset} -n 1   and choose what happens to such records with .decode(Decode::Skip) or .decode(Decode::DeadLetter(\"topic\"))",
                partition.topic, partition.partition
            ),
            Self::Panicked { .. } => {
                "fix the code and run again: the job goes on from its last commit, before the record that panicked".into()
            }
            Self::PartitionsChanged { topic, .. } => {
                format!("give the key_by or the store a new name, or delete   tw topic delete {topic}   and let the job rebuild it")
            }
            Self::BadState { .. } => {
                "if the type of a store or its key changed, give the store a new name; the job then rebuilds it".into()
            }
            Self::Log(error) => return error.help(),
            Self::Stopped | Self::Runtime { .. } => return None,
        })
    }
}
