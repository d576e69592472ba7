//! The server: Kafka's protocol over TCP, for a broker in this process.
//!
//! ```text
//!   listener ─ accept ─▶ places      how many connections, in all and by address
//!                        connection  one task each: receive, work, send
//!                          budget    memory that responses take
//!                          frame     bytes of a request within limits, and of a response in pieces
//!                          dispatch  bytes ─▶ request ─▶ handler ─▶ response ─▶ bytes
//!                          sessions  what readers have been told, so that they are told only what is new
//!                          handlers  a request of the wire ─▶ calls of the broker ─▶ a response of the wire
//! ```
//! Invariants. Bytes from the network never end the process: what is not understood ends its connection, and so does a
//! panic. Memory for requests is bounded over all connections, and taken before a request is read; so is that for
//! responses, by which fetches are kept smaller when there is little left. Record bytes are not
//! copied between the socket and the log. Responses go out in the order of their requests.
//!
//! Left out: TLS, SASL and access control (the context has their places), quotas, metrics.

mod budget;
mod config;
mod connection;
mod context;
mod dispatch;
mod ended;
mod frame;
mod handlers;
mod places;
mod sessions;
#[cfg(test)]
mod tests;

pub use config::{ListenerConfig, Security, ServerConfig, ServerLimits};

use super::Broker;
use crate::access::Principal;
use crate::service::Service as _;
use crate::types::{Error, Result};
use budget::Budget;
use context::{Context, Shared};
use ended::Ended;
use futures::FutureExt as _;
use places::Places;
use sessions::Sessions;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// After a failed accept: descriptors may have run out, and come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A broker that listens. Dropped, it stops without ceremony: what it has acknowledged is safe.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<(ListenerConfig, SocketAddr)>,
    accepting: JoinSet<()>,
}

impl Server {
    /// Listens for a broker. [`Error::AddressInUse`], [`Error::ExposedListener`], [`Error::InvalidRequest`].
    pub(crate) async fn start(broker: Arc<Broker>, config: ServerConfig) -> Result<Self> {
        config.validate()?;
        let mut bound = Vec::new();
        for listener in &config.listeners {
            let listening = TcpListener::bind(listener.address).await.map_err(|e| not_bound(listener.address, e))?;
            let address = listening.local_addr().map_err(|e| not_bound(listener.address, e))?;
            bound.push((listener.clone(), address, listening));
        }
        let places = Places::new(config.limits.connections_max, config.limits.connections_per_address_max);
        let memory = Arc::new(Semaphore::new(config.limits.in_flight_bytes_max));
        let responses = Budget::new(config.limits.in_flight_bytes_max);
        let sessions = parking_lot::Mutex::new(Sessions::new(u128::from_be_bytes(broker.random()) as u64));
        let shared =
            Arc::new(Shared { broker, config, memory, responses, sessions, stopping: watch::Sender::new(false) });
        let (mut listeners, mut accepting) = (Vec::new(), JoinSet::new());
        for (listener, address, listening) in bound {
            tracing::info!(listener = listener.name, %address, "listening");
            accepting.spawn(accept_all(shared.clone(), listener.clone(), listening, places.clone()));
            listeners.push((listener, address));
        }
        Ok(Self { shared, listeners, accepting })
    }

    /// Where it listens, by listener, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, address)| *address).collect()
    }

    /// Stops listening, answers what was received, within the time that is configured for it, and closes the broker.
    pub async fn shut_down(mut self) -> Result<()> {
        self.shared.stopping.send_replace(true);
        while self.accepting.join_next().await.is_some() {}
        self.shared.broker.close().await
    }

    /// The broker, for handles in this process.
    pub(crate) fn broker(&self) -> Arc<Broker> {
        self.shared.broker.clone()
    }
}

fn not_bound(address: SocketAddr, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => Error::AddressInUse { address: address.to_string() },
        _ => Error::io("listen on", address.to_string(), error),
    }
}

/// Accepts connections until the server shuts down, then waits until they have ended.
async fn accept_all(shared: Arc<Shared>, listener: ListenerConfig, listening: TcpListener, places: Arc<Places>) {
    let mut connections = JoinSet::new();
    let mut stopping = shared.stopping.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listening.accept() => accepted,
            _ = stopping.wait_for(|stopping| *stopping) => break,
            // What has ended is let go of.
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, listener = listener.name, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(peer.ip()) else {
            tracing::warn!(%peer, "a connection was refused: there are too many");
            continue;
        };
        let context = match context(&shared, &listener, &stream, peer) {
            Ok(context) => context,
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection ended before it was served");
                continue;
            }
        };
        connections.spawn(async move {
            serve(context, stream).await;
            drop(place);
        });
    }
    drop(listening);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(shared.config.limits.drain, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were closed before all was answered");
    }
    connections.shutdown().await;
}

fn context(
    shared: &Arc<Shared>,
    listener: &ListenerConfig,
    stream: &TcpStream,
    peer: SocketAddr,
) -> std::io::Result<Context> {
    stream.set_nodelay(true)?;
    let (host, port) = match &listener.advertised {
        Some(advertised) => advertised.clone(),
        None => {
            let local = stream.local_addr()?;
            (local.ip().to_canonical().to_string(), local.port())
        }
    };
    let peer_host = peer.ip().to_canonical().to_string();
    Ok(Context { shared: shared.clone(), peer, peer_host, host, port, principal: Principal::anonymous() })
}

/// Serves one connection. What goes wrong stays with it.
async fn serve(context: Context, mut stream: TcpStream) {
    let (peer, principal) = (context.peer, &context.principal);
    tracing::debug!(%peer, %principal, "connected");
    let (reader, writer) = stream.split();
    match AssertUnwindSafe(connection::serve(&context, reader, writer)).catch_unwind().await {
        Ok(ended) if ended.is_usual() => tracing::debug!(%peer, why = %ended, "a connection has ended"),
        Ok(Ended::NotUnderstood(error)) => tracing::info!(%peer, %error, "a request was not understood"),
        Ok(ended) => tracing::warn!(%peer, why = %ended, "a connection was closed"),
        Err(panic) => {
            let what = panic.downcast_ref::<&str>().map(|what| (*what).to_owned());
            let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(%peer, what, "a request ended its connection by a panic, which is a mistake of the broker");
        }
    }
}
