//! The time before a peer has said who it is: small frames, one at a time, and requests about nothing else.
//!
//! ```text
//!   ApiVersions?  SaslHandshake v1  SaslAuthenticate …    each answered by its handler
//!   ApiVersions?  SaslHandshake v0  bare token …          bare tokens in answer
//! ```
//! Memory for these frames is set aside, so that strangers who announce much and send nothing keep nobody else waiting.
//! All of it has the time that a new connection gets for its first bytes. A failure is answered no sooner than the
//! configured delay after its token came, so that guessing is slow and says nothing about where it failed.

use super::config::ServerLimits;
use super::context::Context;
use super::dispatch;
use super::ended::Ended;
use super::frame::{self, Outbox, Received};
use super::sasl::Sasl;
use crate::access::Principal;
use crate::types::Result;
use crate::wire::{ApiKey, Frame, Reader, RequestHeader};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

/// Bytes of a request of a peer that nobody knows yet.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// What such a peer may ask.
const ASKED_BEFORE: &[ApiKey] = &[ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];

/// Whether an API can be asked by a peer without a session.
pub(super) fn is_asked_before(key: ApiKey) -> bool {
    ASKED_BEFORE.contains(&key)
}

/// Finds out who the peer is.
pub(super) async fn authenticate(
    context: &Context,
    sasl: &Mutex<Sasl>,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<Principal, Ended> {
    let limits = &context.shared.config.limits;
    let exchange = async {
        loop {
            exchange_one(context, sasl, reader, writer, limits).await?;
            let sasl = sasl.lock().await;
            match (sasl.session(), sasl.failure()) {
                (_, Some(error)) => return Err(Ended::NotAuthenticated(error.clone())),
                (Some(session), None) => return Ok(session.principal.clone()),
                (None, None) => {}
            }
        }
    };
    tokio::select! {
        who = timeout(limits.handshake, exchange) => who.unwrap_or(Err(Ended::Silent)),
        () = context.stopping() => Err(Ended::Stopped),
    }
}

/// One request and its answer.
async fn exchange_one(
    context: &Context,
    sasl: &Mutex<Sasl>,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    limits: &ServerLimits,
) -> Result<(), Ended> {
    let length = frame::receive_length(reader, limits, FRAME_BYTES_MAX, limits.handshake).await?;
    let Received { content, room } = frame::receive(reader, limits, &context.shared.strangers, length).await?;
    let answer = if sasl.lock().await.is_raw() {
        // A failure has no words in this form: the end of the connection says it.
        let token = take(context, sasl, content).await.map_err(Ended::NotAuthenticated)?;
        Some(Frame::bare(&token))
    } else {
        let header = RequestHeader::read(&mut Reader::new(content.clone())).map_err(Ended::NotUnderstood)?;
        if !is_asked_before(header.key) {
            return Err(Ended::AskedTooSoon(header.key));
        }
        dispatch::answer(context, dispatch::read(content)?).await?.frame
    };
    let mut outbox = Outbox::default();
    if let Some(frame) = answer {
        let share = context.shared.responses.take(frame.len());
        outbox.push(frame, (room, share));
    }
    outbox.send(writer, limits).await
}

/// Takes a token, and answers a wrong one late.
pub(super) async fn take(context: &Context, sasl: &Mutex<Sasl>, token: Bytes) -> Result<Bytes> {
    let shared = &context.shared;
    let not_before = Instant::now() + shared.config.limits.failed_authentication;
    let answer = sasl.lock().await.token(&shared.broker, &shared.password_checks, token).await;
    if answer.is_err() {
        sleep_until(not_before).await;
    }
    answer
}
