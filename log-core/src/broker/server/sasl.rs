//! SASL on one connection: which mechanism, how far the exchange is, and for how long what it came to holds.
//!
//! ```text
//!   Idle ──handshake──▶ Chosen ──token──▶ Chosen … ──last token──▶ Idle, with a session
//!                          └──────────────────────────────────────▶ Failed: answered, then the connection ends
//! ```
//! The same machine begins a connection and renews its session (KIP-368): a renewal keeps user and mechanism. Whoever
//! has a session with an end and lets it pass is only heard about SASL.
//!
//! PLAIN shows the password to whoever listens on the way, so it is offered over TLS, or where there is no way: at a
//! loopback address.
//!
//! Left out: GSSAPI, OAUTHBEARER, delegation tokens; security layers other than TLS, as with Kafka.

use super::config::{ListenerConfig, ServerConfig};
use crate::access::{Principal, ScramServer, Step};
use crate::broker::Broker;
use crate::types::{Error, Instant, Result, ScramMechanism};
use crate::wire::ErrorCode;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How a peer may say who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Scram(ScramMechanism),
}

impl Mechanism {
    const ALL: [Self; 3] = [Self::Plain, Self::Scram(ScramMechanism::Sha256), Self::Scram(ScramMechanism::Sha512)];

    /// Its registered name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram(mechanism) => mechanism.name(),
        }
    }

    /// What a listener offers; `enabled` is what the broker was told (`sasl.enabled.mechanisms`), empty for all.
    pub(super) fn offered(config: &ServerConfig, listener: &ListenerConfig, enabled: &str) -> Vec<Self> {
        let enabled: Vec<_> = enabled.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let is_hidden = listener.security.encrypts() || listener.address.ip().is_loopback() || config.insecure_listen;
        let offered = Self::ALL.into_iter().filter(|mechanism| {
            (*mechanism != Self::Plain || is_hidden) && (enabled.is_empty() || enabled.contains(&mechanism.name()))
        });
        offered.collect()
    }
}

/// The SASL state of one connection.
#[derive(Debug)]
pub(super) struct Sasl {
    offered: Arc<[Mechanism]>,
    /// How long a session lasts; `None` for as long as the connection.
    lifetime: Option<Duration>,
    state: State,
    session: Option<Session>,
}

#[derive(Debug)]
enum State {
    Idle,
    Chosen { mechanism: Mechanism, exchange: Exchange, is_raw: bool },
    Failed(Error),
}

#[derive(Debug)]
enum Exchange {
    Plain,
    Scram(Box<ScramServer>),
}

/// What an exchange has come to.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) principal: Principal,
    mechanism: Mechanism,
    ends_at: Option<Instant>,
}

impl Sasl {
    pub(super) fn new(offered: Arc<[Mechanism]>, lifetime: Option<Duration>) -> Self {
        Self { offered, lifetime, state: State::Idle, session: None }
    }

    pub(super) fn offered(&self) -> &[Mechanism] {
        &self.offered
    }

    /// The session, once there is one.
    pub(super) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// How long the session lasts that the last token has brought; none while an exchange goes on.
    pub(super) fn granted(&self) -> Option<Duration> {
        let is_new = self.session.is_some() && matches!(self.state, State::Idle);
        self.lifetime.filter(|_| is_new)
    }

    /// Whether there was a session and its time has passed.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.session.as_ref().and_then(|session| session.ends_at).is_some_and(|end| now >= end)
    }

    /// Why the connection has to end, if it has to.
    pub(super) fn failure(&self) -> Option<&Error> {
        match &self.state {
            State::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether tokens come as bare frames, as after a handshake of version 0.
    pub(super) fn is_raw(&self) -> bool {
        matches!(self.state, State::Chosen { is_raw: true, .. })
    }

    /// Chooses a mechanism.
    pub(super) fn choose(&mut self, broker: &Broker, name: &str, is_raw: bool) -> Result<(), ErrorCode> {
        let chosen = self.offered.iter().copied().find(|mechanism| mechanism.name() == name);
        let failed = |why: &str| State::Failed(Error::AuthenticationFailed { why: why.to_owned() });
        let renewed = self.session.as_ref().map(|session| session.mechanism);
        let (state, result) = match (&self.state, chosen) {
            (State::Idle, Some(mechanism)) if renewed.is_some_and(|renewed| renewed != mechanism) => {
                (failed("a session is renewed by its own mechanism"), Err(ErrorCode::UnsupportedSaslMechanism))
            }
            (State::Idle, Some(_)) if renewed.is_some() && is_raw => {
                (failed("a session is not renewed by bare tokens"), Err(ErrorCode::IllegalSaslState))
            }
            (State::Idle, Some(mechanism)) => {
                let exchange = match mechanism {
                    Mechanism::Plain => Exchange::Plain,
                    Mechanism::Scram(mechanism) => Exchange::Scram(Box::new(broker.scram_server(mechanism))),
                };
                (State::Chosen { mechanism, exchange, is_raw }, Ok(()))
            }
            (State::Idle, None) => {
                (failed("the mechanism is not offered here"), Err(ErrorCode::UnsupportedSaslMechanism))
            }
            _ => (failed("a mechanism was chosen already"), Err(ErrorCode::IllegalSaslState)),
        };
        self.state = state;
        result
    }

    /// Takes the peer's next token; ours in answer. After an error the connection has to end. `checks` bounds how many
    /// passwords are looked at at once.
    pub(super) async fn token(&mut self, broker: &Arc<Broker>, checks: &Arc<Semaphore>, token: Bytes) -> Result<Bytes> {
        let state = std::mem::replace(&mut self.state, State::Failed(Error::Closed));
        let State::Chosen { mechanism, mut exchange, is_raw } = state else {
            return self.fail(Error::AuthenticationFailed { why: "no mechanism was chosen".into() });
        };
        let (answer, user) = match (&mut exchange, mechanism) {
            (Exchange::Scram(server), Mechanism::Scram(mechanism)) => {
                match server.step(&token, |user| broker.credential(user, mechanism)) {
                    Ok(Step::Continue(message)) => (message, None),
                    Ok(Step::Done { message, user }) => (message, Some(Principal::user(&user))),
                    Err(error) => return self.fail(error),
                }
            }
            _ => match check_plain(broker, checks, token).await {
                Ok(principal) => (Vec::new(), Some(principal)),
                Err(error) => return self.fail(error),
            },
        };
        match user {
            None => self.state = State::Chosen { mechanism, exchange, is_raw },
            Some(principal) => {
                if self.session.as_ref().is_some_and(|session| session.principal != principal) {
                    return self.fail(Error::AuthenticationFailed { why: "a session is renewed by its user".into() });
                }
                let now = broker.clock.instant();
                let ends_at = self.lifetime.map(|lifetime| now + lifetime);
                self.session = Some(Session { principal, mechanism, ends_at });
                self.state = State::Idle;
            }
        }
        Ok(answer.into())
    }

    fn fail<T>(&mut self, error: Error) -> Result<T> {
        self.state = State::Failed(error.clone());
        Err(error)
    }
}

/// Looks at a password where it does not keep others waiting: it takes milliseconds.
async fn check_plain(broker: &Arc<Broker>, checks: &Arc<Semaphore>, token: Bytes) -> Result<Principal> {
    let turn = checks.clone().acquire_owned().await.map_err(|_| Error::Closed)?;
    let broker = broker.clone();
    let check = spawn_blocking(move || {
        let checked = broker.check_plain(&token);
        // It goes on when its peer is gone, so the turn ends with it.
        drop(turn);
        checked
    });
    check.await.map_err(|_| Error::Closed)?
}
