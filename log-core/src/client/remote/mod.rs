//! A log behind a socket: [`Service`] over connections to a Kafka cluster, ours or Apache Kafka.
//!
//! ```text
//!   Log ─ Producer, Reader, Admin ─▶ Service ─▶ Remote
//!     topics offsets produce fetch transactions groups …    what to ask, and what answers mean
//!     cluster    which broker to ask: metadata, leaders, coordinators; again until the time is over (retry)
//!     peer       one broker: its connections, one for each kind of wait
//!     connection requests in a pipeline, answers in order, versions (versions), who we are (login)
//!     network    a stream of bytes, by TLS if it is asked for (tls)
//! ```
//! Invariants. Bytes from a broker never panic and never make us take memory that they do not fill: what is not understood
//! ends its connection. Whatever is tried again is harmless when it was carried out already ([`retry`]). Of every API
//! the highest version is spoken that both sides know.
//!
//! Left out: queues (KIP-932) and what only the process that has the data can tell (files, damage, gaps).

mod access;
mod address;
mod cluster;
mod configs;
mod connection;
mod connector;
mod fetch;
mod groups;
mod login;
mod metadata;
mod network;
mod offsets;
mod peer;
mod produce;
mod retry;
mod service;
#[cfg(test)]
mod tests;
#[cfg(feature = "tls")]
mod tls;
mod topics;
mod transactions;
mod versions;

pub use connector::Connector;
pub use login::SaslMechanism;

use super::Log;
use crate::types::Result;
use address::Address;
use cluster::Cluster;
use login::Login;
use network::Network;
use std::sync::Arc;

/// A log at the other end of connections.
#[derive(Debug)]
pub(super) struct Remote {
    cluster: Arc<Cluster>,
    appenders: Arc<produce::Appenders>,
    coordinators: transactions::Coordinators,
    clock: crate::env::Clock,
}

impl Remote {
    /// A client of the cluster that these brokers are of. Fails if none of them can be reached.
    async fn connect(network: Arc<dyn Network>, login: Option<Login>, addresses: Vec<Address>) -> Result<Self> {
        let cluster = Arc::new(Cluster::new(network, login, addresses));
        cluster.metadata(Some(&[])).await.map_err(|lost| lost.error)?;
        Ok(Self {
            cluster,
            appenders: Arc::default(),
            coordinators: transactions::Coordinators::default(),
            clock: crate::env::Clock::real(),
        })
    }
}

impl Log {
    /// Connects to a log that is served elsewhere: by `tw start`, or by Apache Kafka. `brokers` are one or more of its
    /// addresses, `host:9092,other:9092`; the rest is found out from them. The handles are those of [`Log::open`].
    ///
    /// Fails with [`Error::Unreachable`](crate::Error::Unreachable) if none of them answers. Later failures are waited out: brokers may come and go.
    /// Queues are not offered over connections yet ([`Error::Unsupported`](crate::Error::Unsupported)).
    pub async fn connect(brokers: impl AsRef<str>) -> Result<Self> {
        Self::connector(brokers).connect().await
    }

    /// The same with more to say: who this is, and by TLS.
    pub fn connector(brokers: impl AsRef<str>) -> Connector {
        Connector::new(brokers.as_ref())
    }
}
