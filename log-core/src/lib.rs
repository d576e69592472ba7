//! A durable, partitioned log in a directory: topics, producers, consumer groups, queues.
//!
//! ```text
//!   client     Log ─ Producer, Consumer, Queue, PartitionReader, Admin
//!      │  Service: a typed request in, a typed response out
//!   broker     the shell: topics, group commit, long polls, timers (tokio)
//!      ├──▶ group, share, txn   pure machines: step(now, input, &mut effects)
//!      ├──▶ access, config  who may do what; the table of settings (pure)
//!      ├──▶ shard           who writes to which partition; batching
//!      │      └──▶ replica  up to where records are safe, and who is told so (pure)
//!      └──▶ storage         segments, recovery, checkpoint (synchronous)
//!             ├──▶ record   Kafka record batches, byte for byte
//!             └──▶ env      disk, clock, chance: real or simulated
//!   wire       Kafka's protocol, bytes to messages and back
//!   types      names, offsets, moments, limits, errors: what all of them speak
//! ```
//! A record is acknowledged when it is on disk ([`TopicConfig::flush`](types::TopicConfig) says otherwise). A log that
//! was killed recovers to everything it has acknowledged when it is opened again.
//!
//! ```
//! use std::time::Duration;
//! use tailwater_log::types::TopicSpec;
//! use tailwater_log::{Log, Result};
//!
//! # fn main() -> Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path();
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! # runtime.block_on(async {
//! let log = Log::open(dir).await?;
//! log.admin().ensure_topic(TopicSpec::new("greetings", 3)?).await?;
//!
//! // Returns when the record is durable.
//! let sent = log.send("greetings", &"hello".to_string()).await?;
//! assert_eq!(sent.offset, 0);
//!
//! let mut consumer = log.consumer("readers").topics(["greetings"]).start().await?;
//! for read in consumer.poll(100, Duration::from_secs(10)).await? {
//!     assert_eq!(read.record.value.as_deref(), Some(&b"hello"[..]));
//! }
//! consumer.commit().await?;
//! consumer.leave().await?;
//!
//! // The same topic as a queue: each record to one worker, until it is acknowledged.
//! let mut jobs = log.queue::<String>("greetings", "workers").await?;
//! let job = jobs.next().await?.expect("the log is open");
//! assert_eq!((job.as_str(), job.delivery()), ("hello", 1));
//! job.ack().await?;
//!
//! log.close().await
//! # })
//! # }
//! ```

mod access;
mod broker;
pub mod client;
pub mod codec;
mod config;
pub mod doctor;
pub mod env;
#[doc = include_str!("format.md")]
pub mod format {}
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod group;
mod mutants;
mod open;
pub mod record;
mod replica;
pub mod service;
mod shard;
mod share;
pub mod storage;
mod txn;
pub mod types;
mod wire;

pub use broker::{ListenerConfig, Security, Server, ServerConfig, ServerLimits, TlsConfig};
pub use client::{
    Admin, Connector, Consumer, ConsumerBuilder, ConsumerRecord, Delivery, GroupProtocol, Job, Log, PartitionReader,
    Producer, ProducerBuilder, Queue, SaslMechanism, SentTo, Transaction, TransactionalProducer,
    TransactionalProducerBuilder,
};
pub use codec::{Codec, DecodeError, Json};
pub use record::{Compression, Header, Record, StoredRecord};
pub use types::{
    Error, ErrorKind, GroupId, Offset, OffsetSpec, PartitionIndex, Result, Timestamp, TopicConfig, TopicId, TopicName,
    TopicPartition, TopicSpec, TransactionalId,
};
