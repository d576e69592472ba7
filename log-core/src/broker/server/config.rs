//! What a server is told when it starts: where it listens, and how much it takes from its peers.

use crate::types::{Error, Result, limits};
use std::net::SocketAddr;
use std::time::Duration;

/// What precedes and surrounds a batch of the largest default size in its frame.
const FRAME_OVERHEAD_BYTES: usize = 64 * 1024;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Where it listens; at least one.
    pub listeners: Vec<ListenerConfig>,
    /// Where the broker stands, for clients that prefer near ones.
    pub rack: Option<String>,
    /// Whether it may listen beyond this machine without authentication.
    pub insecure_listen: bool,
    /// What it takes from its peers.
    pub limits: ServerLimits,
}

/// A place where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name, for the log: `PLAINTEXT`.
    pub name: String,
    /// The address; port 0 takes one that is free.
    pub address: SocketAddr,
    /// The host and port that clients are told; `None` is the address that each has connected to.
    pub advertised: Option<(String, u16)>,
    /// What protects its connections.
    pub security: Security,
}

/// What protects the connections of a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Security {
    /// Nothing: every peer is anonymous. The default.
    #[default]
    Plaintext,
    /// TLS.
    Tls,
    /// SASL.
    SaslPlaintext,
    /// SASL over TLS.
    SaslTls,
}

/// What a server takes from its peers. Connections that exceed it are closed, with the reason in the log.
#[derive(Clone, Debug)]
pub struct ServerLimits {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address.
    pub connections_per_address_max: usize,
    /// Bytes of one request, once its sender has authenticated.
    pub frame_bytes_max: usize,
    /// Bytes of all requests that are being received or handled; who sends more waits. And as many of responses that are
    /// not sent yet; who asks for more gets less.
    pub in_flight_bytes_max: usize,
    /// How long a new connection may take for its first bytes.
    pub handshake: Duration,
    /// How long a connection may be silent while it waits for nothing.
    pub idle: Duration,
    /// While a request is incomplete, each of these spans brings `stall_bytes` of it at least.
    pub stall: Duration,
    /// See `stall`.
    pub stall_bytes: usize,
    /// How long a response may wait for its reader to take any of it.
    pub write: Duration,
    /// How long requests may take to be answered when the server shuts down.
    pub drain: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listeners: vec![ListenerConfig::plaintext(SocketAddr::from(([127, 0, 0, 1], 9092)))],
            rack: None,
            insecure_listen: false,
            limits: ServerLimits::default(),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 5_000,
            frame_bytes_max: 16 * 1024 * 1024,
            in_flight_bytes_max: 256 * 1024 * 1024,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(600),
            stall: Duration::from_secs(10),
            stall_bytes: 64 * 1024,
            write: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

impl ListenerConfig {
    /// One without any protection.
    pub fn plaintext(address: SocketAddr) -> Self {
        Self { name: "PLAINTEXT".into(), address, advertised: None, security: Security::Plaintext }
    }
}

impl Security {
    /// Whether a peer has to say who it is.
    const fn authenticates(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }
}

impl ServerConfig {
    /// Checks what can be checked before anything listens.
    pub(super) fn validate(&self) -> Result<()> {
        let invalid = |why: String| Err(Error::InvalidRequest { why });
        let limits = &self.limits;
        if self.listeners.is_empty() {
            return invalid("a server needs a listener".into());
        }
        let least = limits::BATCH_BYTES_DEFAULT_MAX as usize + FRAME_OVERHEAD_BYTES;
        if limits.frame_bytes_max < least || limits.frame_bytes_max > i32::MAX as usize {
            return invalid(format!("the limit of a request is {least} to {} bytes", i32::MAX));
        }
        if limits.in_flight_bytes_max < limits.frame_bytes_max {
            return invalid("the limit of all requests is below that of one".into());
        }
        for listener in &self.listeners {
            if listener.security != Security::Plaintext {
                return invalid(format!("listener {}: only plaintext is served yet", listener.name));
            }
            let is_open = !listener.security.authenticates() && !listener.address.ip().is_loopback();
            if is_open && !self.insecure_listen {
                return Err(Error::ExposedListener { address: listener.address.to_string() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_listener_beyond_this_machine_has_to_be_asked_for() {
        let at = |address: &str| ServerConfig {
            listeners: vec![ListenerConfig::plaintext(address.parse().unwrap())],
            ..ServerConfig::default()
        };
        assert!(at("127.0.0.1:9092").validate().is_ok());
        assert!(at("[::1]:9092").validate().is_ok());
        for address in ["0.0.0.0:9092", "[::]:9092", "192.168.0.1:0"] {
            assert!(matches!(at(address).validate(), Err(Error::ExposedListener { .. })), "{address}");
            assert!(ServerConfig { insecure_listen: true, ..at(address) }.validate().is_ok());
        }
    }

    #[test]
    fn one_request_of_the_usual_size_always_fits() {
        let with = |frame, all| {
            let limits = ServerLimits { frame_bytes_max: frame, in_flight_bytes_max: all, ..ServerLimits::default() };
            ServerConfig { limits, ..ServerConfig::default() }.validate()
        };
        assert!(with(2 << 20, 2 << 20).is_ok());
        assert!(with(1 << 20, 2 << 20).is_err());
        assert!(with(2 << 20, 1 << 20).is_err());
        assert!(with(usize::MAX, usize::MAX).is_err());
    }
}
