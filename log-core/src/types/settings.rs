//! Settings by name, as Kafka's DescribeConfigs and AlterConfigs speak of them: the vocabulary. The table of settings and
//! what can be done to them is in `config`.

use super::{GroupId, TopicName};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a setting belongs to. Stored by position: new variants come last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// A broker by its id, or all of them: their default.
    Broker(Option<i32>),
    /// A group.
    Group(GroupId),
}

impl ConfigResource {
    /// Kafka's code of the kind.
    pub const fn code(&self) -> i8 {
        match self {
            Self::Topic(_) => 2,
            Self::Broker(_) => 4,
            Self::Group(_) => 32,
        }
    }

    /// Kafka's name of it; the default of all brokers has none.
    pub fn name(&self) -> String {
        match self {
            Self::Topic(name) => name.to_string(),
            Self::Broker(id) => id.map(|id| id.to_string()).unwrap_or_default(),
            Self::Group(group) => group.to_string(),
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(Some(id)) => write!(f, "broker {id}"),
            Self::Broker(None) => f.write_str("all brokers"),
            Self::Group(group) => write!(f, "group {group}"),
        }
    }
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// A number of 32 bits.
    Int,
    /// A number of 64 bits.
    Long,
    /// A number with a fraction.
    Double,
    /// Texts with commas between.
    List,
}

impl ConfigType {
    /// Kafka's code.
    pub const fn code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::String => 2,
            Self::Int => 3,
            Self::Long => 5,
            Self::Double => 6,
            Self::List => 7,
        }
    }
}

/// Where a value comes from: what is further up goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set for the topic.
    Topic,
    /// Set for the group.
    Group,
    /// Set for this broker while it ran.
    Broker,
    /// Set for all brokers while they ran.
    DefaultBroker,
    /// Given to the broker when it was started.
    Started,
    /// Nobody has set it.
    Default,
}

impl ConfigSource {
    /// Kafka's code.
    pub const fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::Broker => 2,
            Self::DefaultBroker => 3,
            Self::Started => 4,
            Self::Default => 5,
            Self::Group => 8,
        }
    }
}

/// What is done to one setting (KIP-339).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigOperation {
    /// Give it a value.
    Set,
    /// Take its value away: the next source holds.
    Delete,
    /// Add to a list.
    Append,
    /// Take out of a list.
    Subtract,
}

impl ConfigOperation {
    /// The operation of Kafka's code.
    pub const fn from_code(code: i8) -> Option<Self> {
        Some(match code {
            0 => Self::Set,
            1 => Self::Delete,
            2 => Self::Append,
            3 => Self::Subtract,
            _ => return None,
        })
    }
}

/// A change of one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigChange {
    /// The setting, by Kafka's name or ours (`tailwater.…`).
    pub name: String,
    /// What is done.
    pub operation: ConfigOperation,
    /// The value; not for `Delete`.
    pub value: Option<String>,
}
