//! What a topic is asked to be.

use super::{Compression, Error, PartitionIndex, Result, TimestampType, TopicName, limits};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// When an acknowledged record is on disk. See `storage` for what each promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flush {
    /// Before it is acknowledged: nothing acknowledged is lost when the machine stops. The default.
    #[default]
    Durable,
    /// When the operating system likes: a process crash loses nothing, a power cut may.
    Os,
    /// At least every so often, and not before it is acknowledged: a power cut loses what came since. Not zero.
    Interval(Duration),
}

/// What [`Flush`] displays.
impl std::str::FromStr for Flush {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let interval = |text: &str| text.strip_prefix("interval:")?.strip_suffix("ms")?.parse().ok();
        match (text, interval(text)) {
            ("durable", _) => Ok(Self::Durable),
            ("os", _) => Ok(Self::Os),
            (_, Some(ms)) if ms > 0 => Ok(Self::Interval(Duration::from_millis(ms))),
            _ => Err(Error::InvalidRequest {
                why: format!("`{text}` is not durable, os or an interval: interval:200ms"),
            }),
        }
    }
}

impl Flush {
    /// Whether a record is on disk before anyone is told of it or reads it.
    pub const fn is_durable(self) -> bool {
        matches!(self, Self::Durable)
    }
}

/// As the command line takes it: `durable`, `interval:200ms`, `os`.
impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable => f.write_str("durable"),
            Self::Os => f.write_str("os"),
            Self::Interval(every) => write!(f, "interval:{}ms", every.as_millis()),
        }
    }
}

/// What becomes of records that are no longer needed. See `storage` for how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cleanup {
    /// Whole segments go when they are older or the partition is larger than the topic's retention allows. The
    /// default; with the default retention nothing ever goes.
    #[default]
    Delete,
    /// The last record of each key stays for ever, the earlier ones go. Every record has a key; one without a value,
    /// a tombstone, deletes its key and goes itself after `tombstone_delay`.
    Compact,
    /// Both: the last record of each key, for as long as the retention says.
    CompactAndDelete,
}

impl Cleanup {
    /// Whether the last record of each key is all that stays, so that every record needs a key.
    pub const fn compacts(self) -> bool {
        matches!(self, Self::Compact | Self::CompactAndDelete)
    }

    /// Whether retention by time and size applies.
    pub const fn deletes(self) -> bool {
        matches!(self, Self::Delete | Self::CompactAndDelete)
    }
}

/// The settings of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// When a record is acknowledged.
    pub flush: Flush,
    /// Largest batch in bytes, header included (Kafka's `max.message.bytes`).
    pub batch_bytes_max: u32,
    /// A segment file rolls before it would grow over this many bytes.
    pub segment_bytes: u64,
    /// A segment also rolls when its first record was appended that long ago (Kafka's `segment.ms`): only what was
    /// rolled can be deleted or compacted.
    pub segment_age: Duration,
    /// What becomes of records that are no longer needed.
    pub cleanup: Cleanup,
    /// Whose clock stamps records (Kafka's `message.timestamp.type`).
    pub timestamps: TimestampType,
    /// How far a record's timestamp may lie before the broker's clock; `None` is without a bound.
    pub timestamp_before: Option<Duration>,
    /// How far it may lie ahead of it; `None` is without a bound.
    pub timestamp_after: Option<Duration>,
    /// The codec that batches are kept in; `None` is that of the producer (Kafka's `compression.type`).
    pub compression: Option<Compression>,
    /// Replicas that have to be in sync for an append with acks=all to be taken (Kafka's `min.insync.replicas`).
    pub replicas_in_sync_min: u16,
    /// The part of a partition that has to be dirty before it is compacted, in thousandths (Kafka's
    /// `min.cleanable.dirty.ratio`).
    pub dirty_permille: u16,
    /// How long records are kept at least; `None` is for ever. Not for a topic that is only compacted.
    pub retention: Option<Duration>,
    /// Bytes of one partition above which its oldest segments go; `None` is without a bound. Not for a topic that is
    /// only compacted.
    pub retention_bytes: Option<u64>,
    /// How long a compacted topic keeps a tombstone after a compaction first met it (Kafka's `delete.retention.ms`):
    /// a reader that is no further behind than that learns of every deletion.
    pub tombstone_delay: Duration,
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
            segment_age: limits::SEGMENT_AGE_DEFAULT,
            cleanup: Cleanup::Delete,
            timestamps: TimestampType::CreateTime,
            timestamp_before: None,
            timestamp_after: None,
            compression: None,
            replicas_in_sync_min: 1,
            dirty_permille: 500,
            retention: None,
            retention_bytes: None,
            tombstone_delay: limits::TOMBSTONE_DELAY_DEFAULT,
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
        if self.config.segment_age < limits::SEGMENT_AGE_MIN {
            return invalid(format!("a segment rolls after {} s at the soonest", limits::SEGMENT_AGE_MIN.as_secs()));
        }
        let (retention, bytes) = (self.config.retention, self.config.retention_bytes);
        if retention.is_some_and(|span| span < Duration::from_millis(1)) {
            return invalid("records are kept for 1 ms at least; leave the retention out to keep them for ever".into());
        }
        if bytes == Some(0) {
            return invalid("a partition keeps at least 1 byte; leave the limit out to keep everything".into());
        }
        if !self.config.cleanup.deletes() && (retention.is_some() || bytes.is_some()) {
            return invalid("a topic that is only compacted has no retention; use compact,delete to have both".into());
        }
        if self.config.deliveries_max == 0 {
            return invalid("a queue record is delivered at least once".into());
        }
        if matches!(self.config.flush, Flush::Interval(every) if every < Duration::from_millis(1)) {
            return invalid("an interval between flushes is 1 ms at least; for less there is flush durable".into());
        }
        if self.config.lease < Duration::from_millis(1) {
            return invalid("a worker holds a queue record for 1 ms at least".into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_cleanup_are_checked() {
        let with = |change: &dyn Fn(&mut TopicConfig)| {
            let mut spec = TopicSpec::new("t", 1).unwrap();
            change(&mut spec.config);
            spec.validate()
        };
        let week = Some(Duration::from_secs(7 * 86_400));
        assert!(with(&|c| (c.retention, c.retention_bytes) = (week, Some(1))).is_ok());
        assert!(with(&|c| (c.cleanup, c.retention) = (Cleanup::CompactAndDelete, week)).is_ok());
        assert!(with(&|c| c.cleanup = Cleanup::Compact).is_ok());
        assert!(with(&|c| c.tombstone_delay = Duration::ZERO).is_ok());
        assert!(with(&|c| (c.cleanup, c.retention) = (Cleanup::Compact, week)).is_err());
        assert!(with(&|c| (c.cleanup, c.retention_bytes) = (Cleanup::Compact, Some(1))).is_err());
        assert!(with(&|c| c.retention = Some(Duration::ZERO)).is_err());
        assert!(with(&|c| c.retention_bytes = Some(0)).is_err());
        assert!(with(&|c| c.segment_age = Duration::from_millis(999)).is_err());
    }

    #[test]
    fn an_interval_of_zero_is_refused() {
        let mut spec = TopicSpec::new("lines", 1).unwrap();
        spec.config.flush = Flush::Interval(Duration::ZERO);
        assert!(matches!(spec.validate(), Err(Error::InvalidRequest { .. })));
        spec.config.flush = Flush::Interval(Duration::from_millis(200));
        spec.validate().unwrap();
        assert_eq!(spec.config.flush.to_string(), "interval:200ms");
    }
}
