//! TLS around streams, by rustls: versions 1.2 and 1.3. A broker's certificate is checked against the authorities that the
//! user names and the host that was connected to.
//!
//! Left out: the authorities of the operating system, revocation lists, resumption of sessions.

use super::address::Address;
use super::network::{Network, Stream, Tcp};
use crate::types::{Error, Result};
use futures::future::{BoxFuture, FutureExt as _};
use std::fmt;
use std::io;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What a user says of it; all in PEM.
#[derive(Clone, Default)]
pub(super) struct Settings {
    pub(super) authorities: Vec<u8>,
    /// Certificates of this client's, and their key.
    pub(super) own: Option<(Vec<u8>, Vec<u8>)>,
}

/// Without the key.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({}a certificate, key not shown)", if self.own.is_some() { "with " } else { "without " })
    }
}

/// TLS over TCP.
pub(super) struct Tls(TlsConnector);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    pub(super) fn new(settings: &Settings) -> Result<Self> {
        const AUTHORITIES: &str = "the authorities of brokers";
        const OWN: &str = "the certificate of this client";
        let mut roots = RootCertStore::empty();
        for authority in certificates(&settings.authorities, AUTHORITIES)? {
            roots.add(authority).map_err(|error| invalid(AUTHORITIES, error))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| invalid("TLS", error))?;
        let builder = builder.with_root_certificates(roots);
        let config = match &settings.own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key);
                let key = key.map_err(|_| invalid(OWN, "its key is not a private key in PEM"))?;
                builder.with_client_auth_cert(certificates(chain, OWN)?, key).map_err(|error| invalid(OWN, error))?
            }
        };
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}

impl Network for Tls {
    fn open<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        async move {
            let name = ServerName::try_from(address.host.clone());
            let name = name.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let stream = Tcp.open(address).await?;
            Ok(Box::new(self.0.connect(name, stream).await?) as Box<dyn Stream>)
        }
        .boxed()
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|_| invalid(what, "it is not in PEM"))?;
    if found.is_empty() { Err(invalid(what, "there is none")) } else { Ok(found) }
}

fn invalid(what: &str, why: impl fmt::Display) -> Error {
    Error::InvalidRequest { why: format!("{what}: {why}") }
}
