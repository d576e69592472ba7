//! [`Connector`]: what there is to say before connecting.

use super::Remote;
use super::address::Address;
use super::login::{Login, SaslMechanism};
use super::network::Tcp;
use crate::client::Log;
use crate::types::Result;
use std::sync::Arc;

/// Connects to a log that is served elsewhere; made by [`Log::connector`].
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct Connector {
    brokers: String,
    login: Option<Login>,
}

impl Connector {
    pub(super) fn new(brokers: &str) -> Self {
        Self { brokers: brokers.to_owned(), login: None }
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

    /// Connects, as [`Log::connect`] does. Fails with [`Error::AuthenticationFailed`](crate::Error::AuthenticationFailed)
    /// if a broker does not believe who this is.
    pub async fn connect(self) -> Result<Log> {
        let addresses = Address::parse_all(&self.brokers)?;
        let remote = Remote::connect(Arc::new(Tcp), self.login, addresses).await?;
        Ok(Log::over(Arc::new(remote)))
    }
}
