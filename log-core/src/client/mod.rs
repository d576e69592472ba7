//! Producer, consumer, queue and admin, over [`crate::service::Service`].
//!
//! [`Log`] is the handle that opens all others. It is cheap to clone; the log closes when [`Log::close`] is called.
//! But for `remote`, which is the other end of a connection, nothing here knows whether the log is in this process or
//! behind a socket.

mod accumulator;
mod admin;
mod administration;
mod assignment;
mod completion;
mod consumer;
mod log;
mod membership;
mod producer;
mod queue;
mod reader;
mod remote;
mod session;
mod stamps;
mod transaction;

pub use admin::Admin;
pub use completion::Delivery;
pub use consumer::{Consumer, ConsumerBuilder, ConsumerRecord};
pub use log::Log;
pub use membership::GroupProtocol;
pub use producer::{Producer, ProducerBuilder, SentTo};
pub use queue::{Job, Queue};
pub use reader::PartitionReader;
pub use remote::{Connector, SaslMechanism};
pub use transaction::{Transaction, TransactionalProducer, TransactionalProducerBuilder};
