//! What a topic is asked to be.

use super::{Error, PartitionIndex, Result, TopicName, limits};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When an acknowledged record is on disk. See `storage` for what each promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flush {
    /// Before it is acknowledged: nothing acknowledged is lost when the machine stops. The default.
    #[default]
    Durable,
    /// When the operating system likes: a process crash loses nothing, a power cut may.
    Os,
}

/// The settings of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicConfig {
    /// When a record is acknowledged.
    pub flush: Flush,
    /// Largest batch in bytes, header included (Kafka's `max.message.bytes`).
    pub batch_bytes_max: u32,
    /// A segment file rolls before it would grow over this many bytes.
    pub segment_bytes: u64,
    /// Deliveries of one queue record before it goes to the dead-letter topic.
    pub deliveries_max: u16,
    /// How long a queue worker holds a record before it is given to another.
    pub lease: Duration,
    /// The schema of the topic's values as JSON (a serialised [`crate::codec::Schema`]), if it is known.
    pub schema: Option<String>,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            flush: Flush::Durable,
            batch_bytes_max: limits::BATCH_BYTES_DEFAULT_MAX,
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            deliveries_max: limits::DELIVERIES_DEFAULT_MAX,
            lease: Duration::from_secs(30),
            schema: None,
        }
    }
}

/// A topic to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: TopicName,
    /// How many partitions; fixed for its life.
    pub partitions: PartitionIndex,
    /// Its settings.
    pub config: TopicConfig,
}

impl TopicSpec {
    /// A topic of that many partitions (1 to 10,000) with default settings.
    pub fn new(name: impl AsRef<str>, partitions: PartitionIndex) -> Result<Self> {
        let spec = Self { name: TopicName::new(name)?, partitions, config: TopicConfig::default() };
        spec.validate()?;
        Ok(spec)
    }

    /// Checks that every setting is within its limits.
    pub fn validate(&self) -> Result<()> {
        let invalid = |why: String| Err(Error::InvalidRequest { why });
        if self.partitions == 0 || self.partitions > limits::PARTITIONS_MAX {
            return invalid(format!("a topic has 1 to {} partitions, not {}", limits::PARTITIONS_MAX, self.partitions));
        }
        if !(1024..=limits::BATCH_BYTES_HARD_MAX).contains(&self.config.batch_bytes_max) {
            return invalid(format!("the batch limit is 1024 to {} bytes", limits::BATCH_BYTES_HARD_MAX));
        }
        if self.config.segment_bytes < 4096 {
            return invalid("a segment has at least 4096 bytes".into());
        }
        if self.config.deliveries_max == 0 {
            return invalid("a queue record is delivered at least once".into());
        }
        if self.config.lease < Duration::from_millis(1) {
            return invalid("a worker holds a queue record for 1 ms at least".into());
        }
        Ok(())
    }
}
