//! Typed stream processing on a Tailwater log.
//!
//! A job is a function that says what becomes of the records of some topics. It is typed from end to end, keeps its
//! state in memory and in a changelog, takes time from the records, and goes on from its last commit after a crash.
//!
//! ```
//! use tailwater_log::{Log, TopicSpec};
//! use tailwater_streams::{App, Result, Topic, Topology};
//!
//! const LINES: Topic<(), String> = Topic::new("lines");
//! const COUNTS: Topic<String, u64> = Topic::new("word-counts");
//!
//! fn word_count(t: &Topology) {
//!     t.stream(LINES)
//!         .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
//!         .key_by("by-word", |_, word| word.clone()) // the only repartition, and it has a name
//!         .group_by_key()
//!         .count("counts")
//!         .changes()
//!         .to(COUNTS);
//! }
//!
//! # fn main() -> Result { tokio::runtime::Runtime::new().unwrap().block_on(run()) }
//! # async fn run() -> Result {
//! # let dir = tempfile::tempdir().unwrap();
//! # let dir = dir.path();
//! let log = Log::open(dir).await?;
//! log.admin().create_topic(TopicSpec::new("lines", 2)?).await?;
//! log.send("lines", &"the quick fox and the lazy dog".to_string()).await?;
//!
//! // `run` goes on until Ctrl-C; this stops when all that is there has been processed.
//! App::new("word-count", word_count).run_to_end(log.clone()).await?;
//!
//! let mut counts = log.consumer("reader").topics(["word-counts"]).start().await?;
//! let mut the = 0;
//! while the < 2 {
//!     let record = counts.next().await?.record;
//!     if record.key.as_deref() == Some(b"the") {
//!         the = String::from_utf8_lossy(&record.value.unwrap()).parse().unwrap();
//!     }
//! }
//! counts.leave().await?;
//! log.close().await?;
//! # Ok(()) }
//! ```
//!
//! # What there is
//!
//! | On a [`Stream`] | |
//! |---|---|
//! | one record at a time | [`filter`](Stream::filter), [`map`](Stream::map), [`flat_map`](Stream::flat_map), [`inspect`](Stream::inspect), [`for_each`](Stream::for_each), … |
//! | several streams | [`branch`](Stream::branch), [`merge`](Stream::merge) |
//! | keys | [`key_by`](Stream::key_by), [`group_by_key`](Stream::group_by_key) |
//! | state | [`count`](KeyedStream::count), [`reduce`](KeyedStream::reduce), [`aggregate`](KeyedStream::aggregate), [`join`](Stream::join), [`left_join`](Stream::left_join) |
//! | time | [`window`](KeyedStream::window), [`late`](WindowedStream::late), [`emit`](WindowedStream::emit) |
//! | ends | [`to`](Stream::to), [`Table::to`], [`Table::changes`] |
//!
//! # What is promised
//!
//! * State reflects every record of the sources exactly once, also across crashes: changed rows and input positions
//!   are committed together, and what is written twice to a repartition topic is dropped. The exception is a `key_by`
//!   behind a `count`, `reduce` or `aggregate`: after a crash it gets their results since the last commit again, so
//!   what stands behind it should take the last value of a key, not add values up.
//! * Output topics get every result at least once: after a crash, those since the last commit are written again.
//! * Closures must be deterministic: after a crash they see some records again and must say the same.
//! * Time is event time. A record is late when the watermark of its own source partition had passed its window as it
//!   was read, so what is late is a function of the log.
//!
//! [`Sim`] tests a job on the real engine with a simulated disk that crashes.

#[cfg(test)]
mod bench;
mod data;
mod error;
mod operators;
#[cfg(test)]
mod record_tests;
mod runtime;
mod source;
mod state;
mod stream;
mod task;
mod time;
mod topic;
mod topology;

pub use data::{Data, Key, Value};
pub use error::{Error, Result};
pub use runtime::{App, Input, InputProgress, Output, Running, Sim, TaskProgress};
pub use source::Decode;
pub use stream::{KeyedStream, Stream, Table, WindowedStream};
pub use tailwater_log::{self as log, Codec, Json, Timestamp};
pub use tailwater_streams_derive::Record;
pub use time::{Emit, Tumbling, Watermarks, Windowed, hours, millis, minutes, seconds};
pub use topic::Topic;
pub use topology::Topology;

/// The derive's front page, whose example needs this crate.
#[cfg(doctest)]
#[doc = include_str!("../derive/src/example.md")]
struct DeriveFrontPage;
