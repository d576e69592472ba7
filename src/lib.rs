//! Tailwater: stream processing on its own durable log.
//!
//! One process gives you a durable, partitioned log with topics, consumer groups and queues ([`log`]), typed stream
//! processing on it ([`streams`]), and SQL over every topic ([`sql`]). The binary `tw` has all of it on the command
//! line; `tw demo` shows it on a real week of flights.
//!
//! ```
//! use tailwater::{Json, Log, Result, TopicSpec};
//!
//! # fn main() -> Result<()> { tokio::runtime::Runtime::new().expect("a runtime").block_on(run()) }
//! # async fn run() -> Result<()> {
//! # let dir = tempfile::tempdir().expect("a directory");
//! # let dir = dir.path();
//! let log = Log::open(dir).await?;
//! log.admin().create_topic(TopicSpec::new("jobs", 4)?).await?;
//! log.send("jobs", &Json("paint the fence".to_string())).await?; // durable when this returns
//!
//! let mut jobs = log.queue::<Json<String>>("jobs", "workers").await?;
//! if let Some(job) = jobs.next().await? {
//!     assert_eq!(job.0, "paint the fence");
//!     job.ack().await?; // done: no other worker gets it
//! }
//! log.close().await?;
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! - `streams` (default): typed stream processing.
//! - `sql` (default): SQL over topics; brings DataFusion, nine tenths of the build.
//! - `server` (default): `tw start`, a broker that speaks Kafka's protocol.

#[doc(inline)]
pub use tailwater_log as log;
#[cfg(feature = "sql")]
#[doc(inline)]
pub use tailwater_sql as sql;
#[cfg(feature = "streams")]
#[doc(inline)]
pub use tailwater_streams as streams;

#[cfg(feature = "streams")]
pub use tailwater_streams::{App, Record, Stream, Table, Topic, Topology};

pub use tailwater_log::{
    Admin, Codec, Consumer, ConsumerRecord, Error, ErrorKind, GroupId, Json, Log, Offset, OffsetSpec, PartitionIndex,
    Producer, Queue, Result, StoredRecord, Timestamp, TopicConfig, TopicName, TopicPartition, TopicSpec,
};

/// The README's example is compiled with the tests.
#[cfg(all(doctest, feature = "streams"))]
#[doc = include_str!("../README.md")]
struct Readme;
