//! SaslHandshake and SaslAuthenticate: a peer says who it is, or says it again before its session ends.

use super::text;
use crate::broker::server::authentication::take;
use crate::broker::server::context::Context;
use crate::wire::{
    ErrorCode, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse, Version,
};

pub(in crate::broker::server) async fn handshake(
    context: &Context,
    request: &SaslHandshakeRequest,
    version: Version,
) -> SaslHandshakeResponse {
    let Some(sasl) = &context.sasl else {
        return SaslHandshakeResponse { error_code: ErrorCode::IllegalSaslState.number(), ..Default::default() };
    };
    let mut sasl = sasl.lock().await;
    let chosen = sasl.choose(context.broker(), &request.mechanism, version.number == 0);
    SaslHandshakeResponse {
        error_code: chosen.err().unwrap_or(ErrorCode::None).number(),
        mechanisms: sasl.offered().iter().map(|mechanism| mechanism.name().into()).collect(),
    }
}

pub(in crate::broker::server) async fn authenticate(
    context: &Context,
    request: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    let Some(sasl) = &context.sasl else {
        let code = ErrorCode::IllegalSaslState;
        return SaslAuthenticateResponse {
            error_code: code.number(),
            error_message: text(code.message()),
            ..Default::default()
        };
    };
    match take(context, sasl, request.auth_bytes).await {
        Ok(auth_bytes) => {
            let lifetime = sasl.lock().await.granted().unwrap_or_default();
            let session_lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
            SaslAuthenticateResponse { auth_bytes, session_lifetime_ms, ..Default::default() }
        }
        Err(error) => SaslAuthenticateResponse {
            error_code: ErrorCode::of(&error).number(),
            error_message: text(error),
            ..Default::default()
        },
    }
}
