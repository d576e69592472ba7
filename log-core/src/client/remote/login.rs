//! Saying who we are when a connection begins: SASL, by SCRAM or PLAIN.
//!
//! ```text
//!   SaslHandshake mechanism ─▶ SaslAuthenticate token ─▶ … ─▶ done, for as long as the broker says (KIP-368)
//! ```
//! With SCRAM the password does not leave this process, and the broker shows that it knows it too. PLAIN sends it as it
//! is, so it is for connections that TLS protects. A session that ends is not renewed: before its end the next request
//! goes over a new connection.

use super::connection::Connection;
use crate::access::ScramClient;
use crate::env::secret;
use crate::types::{Error, Result, ScramMechanism};
use crate::wire::{
    ApiKey, ErrorCode, Request, Response, SaslAuthenticateRequest, SaslHandshakeRequest, SaslHandshakeResponse,
};
use bytes::Bytes;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// The first version of SaslHandshake whose tokens are requests too.
const HANDSHAKE_FROM: i16 = 1;

/// How a user says who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaslMechanism {
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512, the default.
    #[default]
    ScramSha512,
    /// PLAIN: the password as it is.
    Plain,
}

impl SaslMechanism {
    /// Its registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256 => ScramMechanism::Sha256.name(),
            Self::ScramSha512 => ScramMechanism::Sha512.name(),
            Self::Plain => "PLAIN",
        }
    }

    /// The mechanism of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::ScramSha256, Self::ScramSha512, Self::Plain].into_iter().find(|one| one.name() == name)
    }
}

/// A user with a password.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) mechanism: SaslMechanism,
    pub(super) user: String,
    pub(super) password: String,
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({} by {}, password not shown)", self.user, self.mechanism.name())
    }
}

impl Login {
    /// Says who we are. Returns when the connection is of no more use, if it is some time.
    pub(super) async fn log_in(&self, connection: &Connection, deadline: Instant) -> Result<Option<Instant>> {
        let told = self.handshake(connection, deadline).await?;
        match ErrorCode::from_number(told.error_code) {
            ErrorCode::None => {}
            ErrorCode::UnsupportedSaslMechanism => {
                let offered: Vec<_> = told.mechanisms.iter().map(|name| &**name).collect();
                let why = format!("{} is not offered; {} is", self.mechanism.name(), offered.join(", "));
                return Err(Error::AuthenticationFailed { why });
            }
            code => return Err(self.failed(code, None)),
        }
        let exchange = |token: Bytes| self.token(connection, token, deadline);
        let lifetime = match self.mechanism {
            SaslMechanism::Plain => {
                let token = format!("\0{}\0{}", self.user, self.password);
                exchange(token.into()).await?.1
            }
            SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512 => {
                let mechanism = match self.mechanism {
                    SaslMechanism::ScramSha256 => ScramMechanism::Sha256,
                    _ => ScramMechanism::Sha512,
                };
                let nonce: String = secret::<18>().iter().map(|byte| format!("{byte:02x}")).collect();
                let mut client = ScramClient::new(mechanism, &self.user, &self.password, nonce);
                let (challenge, _) = exchange(client.first().into()).await?;
                let (last, lifetime) = exchange(client.answer(&challenge)?.into()).await?;
                client.verify(&last)?;
                lifetime
            }
        };
        // A broker refuses what comes after the end: a tenth of it is for what is on its way then.
        Ok(lifetime.map(|lifetime| Instant::now() + lifetime * 9 / 10))
    }

    async fn handshake(&self, connection: &Connection, deadline: Instant) -> Result<SaslHandshakeResponse> {
        let request = Request::SaslHandshake(SaslHandshakeRequest { mechanism: self.mechanism.name().into() });
        let version = connection.versions().pick(ApiKey::SaslHandshake, &(HANDSHAKE_FROM..=i16::MAX))?;
        match connection.ask(request, version, left(deadline)).await {
            Ok(Response::SaslHandshake(told)) => Ok(told),
            Ok(_) => Err(Error::Closed),
            Err(lost) => Err(lost.error),
        }
    }

    /// Sends a token; the answer to it, and how long the session lasts if it has begun.
    async fn token(
        &self,
        connection: &Connection,
        token: Bytes,
        deadline: Instant,
    ) -> Result<(Bytes, Option<Duration>)> {
        let request = Request::SaslAuthenticate(SaslAuthenticateRequest { auth_bytes: token });
        let version = connection.versions().pick(ApiKey::SaslAuthenticate, &(0..=i16::MAX))?;
        let told = match connection.ask(request, version, left(deadline)).await {
            Ok(Response::SaslAuthenticate(told)) => told,
            Ok(_) => return Err(Error::Closed),
            Err(lost) => return Err(lost.error),
        };
        match ErrorCode::from_number(told.error_code) {
            ErrorCode::None => {}
            code => return Err(self.failed(code, told.error_message.as_deref())),
        }
        let lifetime = u64::try_from(told.session_lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        Ok((told.auth_bytes, lifetime))
    }

    fn failed(&self, code: ErrorCode, message: Option<&str>) -> Error {
        code.error(&self.user, message).unwrap_or(Error::Closed)
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
