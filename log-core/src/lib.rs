//! The log.
pub mod client;
pub mod codec;
pub mod env;
mod open;
pub mod record;
pub mod service;
pub mod storage;
pub mod types;

pub use client::{Admin, Consumer, ConsumerRecord, Delivery, Job, Log, Producer, Queue, SentTo};
pub use codec::{Codec, DecodeError, Json};
pub use record::{Compression, Header, Record, StoredRecord};
pub use types::{
    Error, ErrorKind, GroupId, Offset, OffsetSpec, PartitionIndex, Result, Timestamp, TopicConfig, TopicName,
    TopicPartition, TopicSpec,
};
