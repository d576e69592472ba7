//! TLS, by rustls: versions 1.2 and 1.3, a certificate of the server's, and where it is asked for one of the client's.
//!
//! Sessions are not resumed: connections of Kafka's clients are long, and so a certificate is looked at each time. Time is
//! the broker's: what has expired by its clock is refused, the server's own certificate when it starts.
//!
//! Left out: revocation lists, names by SNI, rules that map subjects to users.

use super::config::TlsConfig;
use super::ended::Ended;
use crate::access::{Certificate, Principal};
use crate::env::Clock;
use crate::types::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Begins TLS on connections. Clones are the same.
#[derive(Clone)]
pub(super) struct Acceptor(TlsAcceptor);

impl fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Acceptor")
    }
}

impl Acceptor {
    pub(super) fn new(config: &TlsConfig, clock: &Clock) -> Result<Self> {
        let certificates = certificates(&config.certificates, "the certificate of the server")?;
        let own = certificates.first().ok_or_else(|| invalid("the certificate of the server", "is not there"))?;
        let until = Certificate::read(own)?.not_after;
        if until < clock.now() {
            return Err(invalid("the certificate of the server", format!("has expired at {until}")));
        }
        let key = PrivateKeyDer::from_pem_slice(&config.key);
        let key = key.map_err(|_| invalid("the key of the server", "is not a private key in a PEM file"))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_details(provider.clone(), Arc::new(Time(clock.clone())));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| invalid("TLS", error))?;
        let builder = match &config.client_authorities {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                const WHAT: &str = "the authority of the clients";
                let mut roots = RootCertStore::empty();
                for authority in self::certificates(pem, WHAT)? {
                    roots.add(authority).map_err(|error| invalid(WHAT, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| invalid(WHAT, error))?)
            }
        };
        let with_own = builder.with_single_cert(certificates, key);
        let mut config = with_own.map_err(|error| invalid("the certificate of the server and its key", error))?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Begins TLS; the user of the certificate, if one was asked for.
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<(TlsStream<TcpStream>, Option<Principal>), Ended> {
        let stream = self.0.accept(stream).await.map_err(Ended::NotEncrypted)?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certificate = shown.map(|der| Certificate::read(der)).transpose().map_err(Ended::NotAuthenticated)?;
        Ok((stream, certificate.map(|certificate| Principal::user(&certificate.subject))))
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| invalid(what, "is not in a PEM file"))?;
    if found.is_empty() { Err(invalid(what, "is not in the PEM file")) } else { Ok(found) }
}

fn invalid(what: &str, why: impl fmt::Display) -> Error {
    Error::InvalidRequest { why: format!("{what}: {why}") }
}

/// The broker's clock, for what expires.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}
