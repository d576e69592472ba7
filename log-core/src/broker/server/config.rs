//! What a server is told when it starts: where it listens, and how much it takes from its peers.

use crate::config::BrokerSettings;
use crate::types::{Error, Result, limits};
use std::fmt;
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
    /// Who the server is, for the listeners with TLS.
    pub tls: Option<TlsConfig>,
    /// Where it shows what it counts and whether it works, over HTTP; see `tw start --metrics`.
    pub metrics: Option<SocketAddr>,
    /// What it takes from its peers.
    pub limits: ServerLimits,
}

/// Who a server is, and whom it knows by a certificate. All of it is the content of PEM files.
#[derive(Clone)]
pub struct TlsConfig {
    /// The server's certificate, and those that lead to an authority that clients know.
    pub certificates: Vec<u8>,
    /// The private key of the first of them.
    pub key: Vec<u8>,
    /// The authorities whose certificates clients have to show; `None` asks clients for none. On a listener without SASL the
    /// subject of the certificate is the user: `User:CN=alice,O=Example`.
    pub client_authorities: Option<Vec<u8>>,
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig").field("asks_clients", &self.client_authorities.is_some()).finish_non_exhaustive()
    }
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
    /// How late a wrong password is answered at least.
    pub failed_authentication: Duration,
    /// How long requests may take to be answered when the server shuts down.
    pub drain: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listeners: vec![ListenerConfig::plaintext(SocketAddr::from(([127, 0, 0, 1], 9092)))],
            rack: None,
            insecure_listen: false,
            tls: None,
            metrics: None,
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
            failed_authentication: Duration::from_millis(100),
            drain: Duration::from_secs(10),
        }
    }
}

impl ServerLimits {
    /// What the broker's settings say of them, by Kafka's names.
    pub(super) fn hold_to(&mut self, settings: &BrokerSettings) {
        let number = |name: &str| settings.parsed::<i64>(name).and_then(|number| usize::try_from(number).ok());
        if let Some(bytes) = number("queued.max.request.bytes") {
            self.in_flight_bytes_max = bytes;
        }
        for (limit, name) in [
            (&mut self.connections_max, "max.connections"),
            (&mut self.connections_per_address_max, "max.connections.per.ip"),
        ] {
            *limit = number(name).map_or(*limit, |number| number.min(*limit));
        }
    }
}

impl ListenerConfig {
    /// One with this protection, named after it.
    pub fn new(security: Security, address: SocketAddr) -> Self {
        Self { name: security.name().into(), address, advertised: None, security }
    }

    /// One without any protection.
    pub fn plaintext(address: SocketAddr) -> Self {
        Self::new(Security::Plaintext, address)
    }
}

impl Security {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plaintext, Self::Tls, Self::SaslPlaintext, Self::SaslTls];

    /// The name, as in `SASL_TLS://0.0.0.0:9093`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Tls => "TLS",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslTls => "SASL_TLS",
        }
    }

    /// By its name, in any case; Kafka's `SSL` and `SASL_SSL` are TLS.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_uppercase().replace("SSL", "TLS");
        Self::ALL.into_iter().find(|security| security.name() == name)
    }

    /// Whether a peer has to say who it is by SASL.
    pub const fn asks_for_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslTls)
    }

    /// Whether nobody on the way can read what is said.
    pub const fn encrypts(self) -> bool {
        matches!(self, Self::Tls | Self::SaslTls)
    }
}

impl ServerConfig {
    /// Whether the peers of a listener are who they say they are.
    fn knows_peers(&self, security: Security) -> bool {
        let asks_clients = self.tls.as_ref().is_some_and(|tls| tls.client_authorities.is_some());
        security.asks_for_sasl() || security.encrypts() && asks_clients
    }

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
            if listener.security.encrypts() && self.tls.is_none() {
                return invalid(format!("listener {} needs a certificate and its key", listener.name));
            }
            let is_open = !self.knows_peers(listener.security) && !listener.address.ip().is_loopback();
            if is_open && !self.insecure_listen {
                return Err(Error::ExposedListener { address: listener.address.to_string() });
            }
        }
        // It tells the names of topics and groups to whoever asks.
        match self.metrics.filter(|address| !address.ip().is_loopback() && !self.insecure_listen) {
            Some(address) => Err(Error::ExposedListener { address: address.to_string() }),
            None => Ok(()),
        }
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
    fn the_page_of_metrics_stays_on_this_machine_unless_it_is_asked_for() {
        let at = |address: &str| ServerConfig { metrics: Some(address.parse().unwrap()), ..ServerConfig::default() };
        assert!(at("127.0.0.1:9644").validate().is_ok());
        assert!(matches!(at("0.0.0.0:9644").validate(), Err(Error::ExposedListener { .. })));
        assert!(ServerConfig { insecure_listen: true, ..at("0.0.0.0:9644") }.validate().is_ok());
    }

    #[test]
    fn a_listener_is_open_unless_it_knows_its_peers() {
        let tls = |client_authorities| TlsConfig { certificates: Vec::new(), key: Vec::new(), client_authorities };
        let with = |security, tls| {
            let listeners = vec![ListenerConfig::new(security, "0.0.0.0:1".parse().unwrap())];
            ServerConfig { listeners, tls, ..ServerConfig::default() }.validate()
        };
        assert!(matches!(with(Security::Tls, Some(tls(None))), Err(Error::ExposedListener { .. })));
        assert!(with(Security::Tls, Some(tls(Some(Vec::new())))).is_ok());
        assert!(with(Security::SaslTls, Some(tls(None))).is_ok());
        assert!(with(Security::SaslPlaintext, None).is_ok());
        for security in [Security::Tls, Security::SaslTls] {
            assert!(matches!(with(security, None), Err(Error::InvalidRequest { .. })));
        }
    }

    #[test]
    fn listeners_are_named_as_kafka_names_them_too() {
        for security in Security::ALL {
            assert_eq!(Security::from_name(security.name()), Some(security));
        }
        assert_eq!(Security::from_name("sasl_ssl"), Some(Security::SaslTls));
        assert_eq!(Security::from_name("SSL"), Some(Security::Tls));
        assert_eq!(Security::from_name("CONTROLLER"), None);
    }

    #[test]
    fn settings_hold_for_the_limits() {
        let held = |settings: &[(&str, &str)]| {
            let started = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let mut limits = ServerLimits::default();
            limits.hold_to(&BrokerSettings { started, ..BrokerSettings::default() });
            (limits.in_flight_bytes_max, limits.connections_max, limits.connections_per_address_max)
        };
        assert_eq!(held(&[]), (256 << 20, 10_000, 5_000));
        assert_eq!(held(&[("queued.max.request.bytes", "67108864"), ("max.connections", "7")]), (64 << 20, 7, 5_000));
        assert_eq!(held(&[("max.connections.per.ip", "3")]), (256 << 20, 10_000, 3));
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
