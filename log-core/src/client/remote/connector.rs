//! [`Connector`]: what there is to say before connecting.

use super::Remote;
use super::address::Address;
use super::login::{Login, SaslMechanism};
use super::network::{Network, Tcp};
use crate::client::Log;
use crate::types::Result;
use std::sync::Arc;

/// Connects to a log that is served elsewhere; made by [`Log::connector`].
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct Connector {
    brokers: String,
    login: Option<Login>,
    #[cfg(feature = "tls")]
    tls: Option<super::tls::Settings>,
}

impl Connector {
    pub(super) fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            login: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Says who this is, by SCRAM-SHA-512: the password itself is not sent.
    pub fn user(self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.user_by(SaslMechanism::default(), user, password)
    }

    /// The same by another mechanism.
    pub fn user_by(mut self, mechanism: SaslMechanism, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.login = Some(Login { mechanism, user: user.into(), password: password.into() });
        self
    }

    /// Encrypts connections by TLS. A broker has to show a certificate for the name that it is called by, of one of these
    /// authorities: certificates in PEM.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, authorities: impl Into<Vec<u8>>) -> Self {
        self.tls.get_or_insert_default().authorities = authorities.into();
        self
    }

    /// Shows a certificate of this client's to a broker that asks for one: chain and key, in PEM.
    #[cfg(feature = "tls")]
    pub fn certificate(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.tls.get_or_insert_default().own = Some((chain.into(), key.into()));
        self
    }

    /// Connects, as [`Log::connect`] does. Fails with [`Error::AuthenticationFailed`](crate::Error::AuthenticationFailed)
    /// if a broker does not believe who this is.
    pub async fn connect(self) -> Result<Log> {
        let addresses = Address::parse_all(&self.brokers)?;
        let remote = Remote::connect(self.network()?, self.login, addresses).await?;
        Ok(Log::over(Arc::new(remote)))
    }

    fn network(&self) -> Result<Arc<dyn Network>> {
        #[cfg(feature = "tls")]
        if let Some(settings) = &self.tls {
            return Ok(Arc::new(super::tls::Tls::new(settings)?));
        }
        Ok(Arc::new(Tcp))
    }
}
