//! Producer, consumer, queue and admin, over [`crate::service::Service`].
//!
//! [`Log`] is the handle that opens all others. It is cheap to clone; the log closes when [`Log::close`] is called.
//! Nothing here knows whether the log is in this process or behind a socket.

mod admin;
mod consumer;
mod log;
mod producer;
mod queue;

pub use admin::Admin;
pub use consumer::{Consumer, ConsumerBuilder, ConsumerRecord};
pub use log::Log;
pub use producer::{Delivery, Producer, ProducerBuilder, SentTo};
pub use queue::{Job, Queue};
