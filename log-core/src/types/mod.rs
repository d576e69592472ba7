//! The vocabulary: names, positions, moments, limits and errors that every other layer speaks.
//!
//! These types follow Kafka's terms of art, one meaning each. This layer imports nothing of ours.

mod config;
mod error;
pub mod limits;
mod offset;
mod share;
mod timestamp;
mod topic;

pub use config::{Cleanup, Flush, TopicConfig, TopicSpec};
pub use error::{Error, ErrorKind, Result};
pub use offset::{LogOffsets, Offset, OffsetRange, OffsetSpec};
pub use share::ShareOutcome;
pub use timestamp::{Instant, Timestamp};
pub use topic::{GroupId, PartitionIndex, TopicId, TopicName, TopicPartition};
