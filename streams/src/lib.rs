//! Typed stream processing on a Tailwater log.

#[cfg(test)]
mod bench;
mod data;
mod error;
mod operators;
mod runtime;
mod sim;
mod source;
mod state;
mod stream;
mod task;
mod time;
mod topic;
mod topology;

pub use data::{Data, Key, Value};
pub use error::{Error, Result};
pub use runtime::{App, InputProgress, Running, TaskProgress};
pub use sim::{Input, Output, Sim};
pub use source::Decode;
pub use stream::{KeyedStream, Stream, Table, WindowedStream};
pub use tailwater_log::{self as log, Codec, Json, Timestamp};
pub use tailwater_streams_derive::Record;
pub use time::{Emit, Tumbling, Watermarks, Windowed, hours, millis, minutes, seconds};
pub use topic::Topic;
pub use topology::Topology;
