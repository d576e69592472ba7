//! Names of things: topics, their identities, partitions, groups.

use super::{Error, Result, limits};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// The topics of the system, in order. Kafka's rule: other names may begin with `__` too, and do (`__debezium-heartbeat`).
const INTERNAL: &[&str] =
    &["__consumer_offsets", "__metadata", "__share_group_state", "__share_state", "__transaction_state"];

/// A partition's number within its topic, from 0.
pub type PartitionIndex = u32;

/// A valid topic name: 1 to 249 of `a-z A-Z 0-9 . _ -`, and neither `.` nor `..` (Kafka's rule).
/// Cheap to clone. A name never becomes a path; see [`TopicId`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicName(Arc<str>);

impl TopicName {
    /// Checks `name` against the rule above.
    pub fn new(name: impl AsRef<str>) -> Result<Self> {
        let name = name.as_ref();
        let why = if name.is_empty() {
            "it is empty".to_string()
        } else if name.len() > limits::TOPIC_NAME_BYTES_MAX {
            format!("it has {} bytes and the limit is {}", name.len(), limits::TOPIC_NAME_BYTES_MAX)
        } else if name == "." || name == ".." {
            "it would name a directory".to_string()
        } else if let Some(bad) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c))) {
            format!("it holds {bad:?}")
        } else {
            return Ok(Self(name.into()));
        };
        Err(Error::InvalidTopicName { name: name.chars().take(64).collect(), why })
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the topic belongs to the system (`__consumer_offsets`); users may read it, not write it.
    pub fn is_internal(&self) -> bool {
        INTERNAL.binary_search(&&*self.0).is_ok()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TopicName {
    type Error = Error;
    fn try_from(name: String) -> Result<Self> {
        Self::new(name)
    }
}

impl TryFrom<&str> for TopicName {
    type Error = Error;
    fn try_from(name: &str) -> Result<Self> {
        Self::new(name)
    }
}

impl From<TopicName> for String {
    fn from(name: TopicName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// A topic's identity. A topic that is deleted and made again has a new one, so data can never mix;
/// directories are named after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicId(pub Uuid);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// One partition of one topic; displayed as `topic-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicPartition {
    /// The topic.
    pub topic: TopicName,
    /// Its number within the topic, from 0.
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// The partition of that number.
    pub fn new(topic: TopicName, partition: PartitionIndex) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// The name of a consumer group or of a queue's workers: 1 to 249 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupId(Arc<str>);

impl GroupId {
    /// Checks `id` against the rule above.
    pub fn new(id: impl AsRef<str>) -> Result<Self> {
        let id = id.as_ref();
        if id.is_empty() || id.len() > limits::GROUP_ID_BYTES_MAX || id.chars().any(char::is_control) {
            return Err(Error::InvalidGroup { group: id.chars().take(64).collect() });
        }
        Ok(Self(id.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for GroupId {
    type Error = Error;
    fn try_from(id: String) -> Result<Self> {
        Self::new(id)
    }
}

impl From<GroupId> for String {
    fn from(id: GroupId) -> Self {
        id.0.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rule() {
        for good in ["a", "flights.v1", "word-counts", "__offsets", &"x".repeat(249)] {
            assert!(TopicName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "naïve", "a b", "x\n", &"x".repeat(250)] {
            assert!(TopicName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_systems_own_topics_are_internal() {
        for name in INTERNAL {
            assert!(TopicName::new(name).unwrap().is_internal(), "{name}");
        }
        for name in ["__debezium-heartbeat", "__test_produce", "__", "consumer_offsets", "__consumer_offsets2"] {
            assert!(!TopicName::new(name).unwrap().is_internal(), "{name}");
        }
    }
}
