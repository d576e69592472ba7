//! The server: Kafka's protocol over TCP, for a broker in this process.
//!
//! ```text
//!   listener ─ accept ─▶ places      how many connections, in all and by address
//!                        tls         what is said is hidden; a certificate says who the peer is
//!                        sasl        who the peer is, before it is served and when it says so again
//!                        connection  one task each: receive, work, send
//!                          budget    memory that responses take
//!                          memory    that for requests
//!                          frame     bytes of a request within limits, and of a response in pieces
//!                          dispatch  bytes ─▶ request ─▶ handler ─▶ response ─▶ bytes
//!                          throttle  who has used more than its quota waits
//!                          metrics   what is counted; http shows it
//!                          sessions  what readers have been told, so that they are told only what is new
//!                          handlers  a request of the wire ─▶ calls of the broker ─▶ a response of the wire
//! ```
//! Invariants. Bytes from the network never end the process: what is not understood ends its connection, and so does a
//! panic. Memory for requests is bounded over all connections, and taken before most of one is read; so is that for
//! responses, by which fetches are kept smaller when there is little left. Record bytes are not
//! copied between the socket and the log. Responses go out in the order of their requests.
//!
//! Left out: certificates are read when the server starts and not again.

mod authentication;
mod budget;
mod config;
mod connection;
mod context;
mod dispatch;
mod ended;
mod frame;
mod handlers;
mod http;
mod memory;
mod metrics;
mod places;
mod sasl;
mod sessions;
#[cfg(test)]
mod tests;
mod throttle;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;

pub use config::{ListenerConfig, Security, ServerConfig, ServerLimits, TlsConfig};

use super::Broker;
use crate::access::Principal;
use crate::service::Service as _;
use crate::types::{Error, Result};
use budget::Budget;
use context::{Context, Shared};
use ended::Ended;
use futures::FutureExt as _;
use memory::Memory;
use metrics::Metrics;
use places::{Place, Places};
use sasl::{Mechanism, Sasl};
use sessions::Sessions;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use throttle::Usage;
use tls::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// After a failed accept: descriptors may have run out, and come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Memory for requests of peers that have not said who they are.
const STRANGERS_BYTES: usize = 8 * 1024 * 1024;
/// How long a peer gets to hear that a connection with TLS ends.
const GOODBYE: Duration = Duration::from_secs(1);
/// Passwords that are looked at at once, each by a thread for milliseconds.
const PASSWORD_CHECKS_MAX: usize = 4;

/// A broker that listens. Dropped, it stops without ceremony: what it has acknowledged is safe.
#[derive(Debug)]
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<(ListenerConfig, SocketAddr)>,
    metrics: Option<SocketAddr>,
    accepting: JoinSet<()>,
}

impl Server {
    /// Listens for a broker. [`Error::AddressInUse`], [`Error::ExposedListener`], [`Error::InvalidRequest`].
    pub(crate) async fn start(broker: Arc<Broker>, config: ServerConfig) -> Result<Self> {
        let mut config = config;
        config.limits.hold_to(&broker.broker_settings());
        config.validate()?;
        let mut bound = Vec::new();
        for listener in &config.listeners {
            let listening = TcpListener::bind(listener.address).await.map_err(|e| not_bound(listener.address, e))?;
            let address = listening.local_addr().map_err(|e| not_bound(listener.address, e))?;
            bound.push((listener.clone(), address, listening));
        }
        let page = match config.metrics {
            Some(address) => {
                let listening = TcpListener::bind(address).await.map_err(|e| not_bound(address, e))?;
                Some((listening.local_addr().map_err(|e| not_bound(address, e))?, listening))
            }
            None => None,
        };
        let tls = config.tls.as_ref().map(|tls| Acceptor::new(tls, &broker.clock)).transpose()?;
        let places = Places::new(config.limits.connections_max, config.limits.connections_per_address_max);
        let memory = Memory::new(config.limits.in_flight_bytes_max);
        let responses = Budget::new(config.limits.in_flight_bytes_max);
        let sessions = parking_lot::Mutex::new(Sessions::new(u128::from_be_bytes(broker.random()) as u64));
        let settings = broker.broker_settings();
        let enabled = settings.value("sasl.enabled.mechanisms").unwrap_or_default().to_owned();
        let lifetime = settings.parsed("connections.max.reauth.ms").filter(|ms| *ms > 0).map(Duration::from_millis);
        let shared = Arc::new(Shared {
            broker,
            config,
            memory,
            strangers: Memory::new(STRANGERS_BYTES),
            responses,
            sessions,
            places,
            metrics: Metrics::default(),
            usage: Usage::default(),
            password_checks: Arc::new(Semaphore::new(PASSWORD_CHECKS_MAX)),
            stopping: watch::Sender::new(false),
        });
        let (mut listeners, mut accepting) = (Vec::new(), JoinSet::new());
        for (listener, address, listening) in bound {
            tracing::info!(listener = listener.name, %address, "listening");
            let mechanisms = Mechanism::offered(&shared.config, &listener, &enabled).into();
            let tls = tls.clone().filter(|_| listener.security.encrypts());
            let door = Arc::new(Door { listener: listener.clone(), tls, mechanisms, lifetime });
            accepting.spawn(accept_all(shared.clone(), door, listening));
            listeners.push((listener, address));
        }
        let metrics = page.as_ref().map(|(address, _)| *address);
        if let Some((address, listening)) = page {
            tracing::info!(%address, "metrics");
            accepting.spawn(http::serve(shared.clone(), listening));
        }
        Ok(Self { shared, listeners, metrics, accepting })
    }

    /// Where it listens, by listener, in the order of the configuration.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(_, address)| *address).collect()
    }

    /// Where it shows what it counts.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
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

/// What a listener asks of those who come.
#[derive(Debug)]
struct Door {
    listener: ListenerConfig,
    tls: Option<Acceptor>,
    mechanisms: Arc<[Mechanism]>,
    /// How long what a peer has said of itself holds.
    lifetime: Option<Duration>,
}

/// Accepts connections until the server shuts down, then waits until they have ended.
async fn accept_all(shared: Arc<Shared>, door: Arc<Door>, listening: TcpListener) {
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
                tracing::warn!(%error, listener = door.listener.name, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = shared.places.take(peer.ip()) else {
            shared.metrics.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%peer, "a connection was refused: there are too many");
            continue;
        };
        let early = shared.charge_connection(peer.ip());
        if !early.is_zero() {
            tracing::debug!(%peer, "a connection was refused: its address opens too many");
            shared.metrics.refused.fetch_add(1, Ordering::Relaxed);
            connections.spawn(turn_away(shared.clone(), stream, place, early));
            continue;
        }
        let context = match context(&shared, &door, &stream, peer, place) {
            Ok(context) => context,
            Err(error) => {
                tracing::debug!(%peer, %error, "a connection ended before it was served");
                continue;
            }
        };
        let tls = door.tls.clone();
        connections.spawn(serve(context, tls, stream));
    }
    drop(listening);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(shared.config.limits.drain, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections were closed before all was answered");
    }
    connections.shutdown().await;
}

/// Closes a connection of an address that opens too many, late, so that the next one does not come at once.
async fn turn_away(shared: Arc<Shared>, stream: TcpStream, place: Place, wait: Duration) {
    let mut stopping = shared.stopping.subscribe();
    tokio::select! {
        () = sleep(wait) => {}
        () = place.lost() => {}
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    drop((stream, place));
}

fn context(
    shared: &Arc<Shared>,
    door: &Door,
    stream: &TcpStream,
    peer: SocketAddr,
    place: Place,
) -> std::io::Result<Context> {
    stream.set_nodelay(true)?;
    let (host, port) = match &door.listener.advertised {
        Some(advertised) => advertised.clone(),
        None => {
            let local = stream.local_addr()?;
            (local.ip().to_canonical().to_string(), local.port())
        }
    };
    let peer_host = peer.ip().to_canonical().to_string();
    let sasl = || Mutex::new(Sasl::new(door.mechanisms.clone(), door.lifetime));
    let id = shared.metrics.accepted.fetch_add(1, Ordering::Relaxed);
    let sasl = door.listener.security.asks_for_sasl().then(sasl);
    let (shared, place, principal) = (shared.clone(), Arc::new(place), Principal::anonymous());
    Ok(Context { shared, place, id, peer, peer_host, host, port, principal, sasl })
}

/// Serves one connection. What goes wrong stays with it.
async fn serve(mut context: Context, tls: Option<Acceptor>, stream: TcpStream) {
    let (peer, place) = (context.peer, context.place.clone());
    let served = async {
        tokio::select! {
            ended = greet(&mut context, tls, stream) => ended,
            () = place.lost() => Ended::Replaced,
        }
    };
    match AssertUnwindSafe(served).catch_unwind().await {
        Ok(ended) if ended.is_usual() => tracing::debug!(%peer, why = %ended, "a connection has ended"),
        Ok(Ended::NotAuthenticated(error)) => {
            context.shared.metrics.not_authenticated.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%peer, %error, "a peer was refused");
        }
        #[cfg(feature = "tls")]
        Ok(Ended::NotEncrypted(error)) => tracing::info!(%peer, %error, "TLS could not begin"),
        Ok(Ended::NotUnderstood(error)) => tracing::info!(%peer, %error, "a request was not understood"),
        Ok(ended) => tracing::warn!(%peer, why = %ended, "a connection was closed"),
        Err(panic) => {
            let what = panic.downcast_ref::<&str>().map(|what| (*what).to_owned());
            let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(%peer, what, "a request ended its connection by a panic, which is a mistake of the broker");
        }
    }
}

/// Hides what is said, where the listener does.
async fn greet(context: &mut Context, tls: Option<Acceptor>, mut stream: TcpStream) -> Ended {
    let Some(tls) = tls else {
        let (reader, writer) = stream.split();
        return converse(context, reader, writer).await;
    };
    let handshake = timeout(context.shared.config.limits.handshake, tls.accept(stream));
    let accepted = tokio::select! {
        accepted = handshake => accepted.unwrap_or(Err(Ended::Silent)),
        () = context.stopping() => Err(Ended::Stopped),
    };
    match accepted {
        Ok((stream, certified)) => {
            context.principal = certified.unwrap_or_else(Principal::anonymous);
            let (reader, mut writer) = split(stream);
            let ended = converse(context, reader, &mut writer).await;
            // The peer shall know that nothing was cut off; it may not care.
            let _ = timeout(GOODBYE, writer.shutdown()).await;
            ended
        }
        Err(ended) => ended,
    }
}

/// Finds out who the peer is and does what it asks.
async fn converse(
    context: &mut Context,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
) -> Ended {
    if let Some(sasl) = &context.sasl {
        match authentication::authenticate(context, sasl, &mut reader, &mut writer).await {
            Ok(principal) => context.principal = principal,
            Err(ended) => return ended,
        }
    }
    let (peer, principal, connection) = (context.peer, &context.principal, context.id);
    tracing::debug!(%peer, %principal, connection, "connected");
    connection::serve(context, reader, writer).await
}
