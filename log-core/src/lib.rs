//! The log.
mod broker;
pub mod client;
pub mod codec;
pub mod env;
mod group;
mod open;
pub mod record;
pub mod service;
mod share;
pub mod storage;
pub mod types;

pub use client::{
    Admin, Consumer, ConsumerBuilder, ConsumerRecord, Delivery, Job, Log, PartitionReader, Producer, ProducerBuilder,
    Queue, SentTo,
};
pub use codec::{Codec, DecodeError, Json};
pub use record::{Compression, Header, Record, StoredRecord};
pub use types::{
    Error, ErrorKind, GroupId, Offset, OffsetSpec, PartitionIndex, Result, Timestamp, TopicConfig, TopicName,
    TopicPartition, TopicSpec,
};
