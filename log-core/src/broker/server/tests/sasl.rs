//! SASL: who gets in and who does not, sessions that end, and what can be asked before.

use super::{Client, Served, batch};
use crate::access::ScramClient;
use crate::broker::Broker;
use crate::broker::server::{ListenerConfig, Security, Server, ServerConfig, ServerLimits};
use crate::client::Log;
use crate::env::{Clock, SimDisk};
use crate::types::{ScramMechanism, Timestamp};
use crate::wire::{
    ApiKey, ApiVersionsRequest, ErrorCode, MetadataRequest, Request, Response, SaslAuthenticateRequest,
    SaslAuthenticateResponse, SaslHandshakeRequest,
};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const PASSWORD: &str = "pencil";

/// A server that knows `alice`, on a clock that the test moves.
async fn with_alice(settings: &[(&str, &str)], limits: ServerLimits) -> (Served, Clock) {
    let listeners = vec![ListenerConfig::new(Security::SaslPlaintext, "127.0.0.1:0".parse().unwrap())];
    let limits = ServerLimits { failed_authentication: Duration::ZERO, ..limits };
    let config = ServerConfig { listeners, limits, ..ServerConfig::default() };
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let clock = Clock::manual(Timestamp(1_000_000));
    let broker = Broker::open_with(Arc::new(SimDisk::default()), clock.clone(), Path::new("/data"), settings).unwrap();
    Log::over(broker.clone()).admin().set_user("alice", PASSWORD).await.unwrap();
    let server = Server::start(broker.clone(), config).await.unwrap();
    (Served { server, broker }, clock)
}

async fn alice() -> (Served, Clock) {
    with_alice(&[], ServerLimits::default()).await
}

pub(super) fn plain(user: &str, password: &str) -> Bytes {
    format!("\0{user}\0{password}").into_bytes().into()
}

pub(super) fn is_known(request: &Response) -> bool {
    matches!(request, Response::Metadata(_))
}

pub(super) fn metadata() -> Request {
    Request::Metadata(MetadataRequest { topics: None, ..Default::default() })
}

impl Client {
    /// Chooses a mechanism; the error.
    pub(super) async fn choose(&mut self, mechanism: &str) -> ErrorCode {
        let request = Request::SaslHandshake(SaslHandshakeRequest { mechanism: mechanism.into() });
        let Response::SaslHandshake(chosen) = self.ask(request, 1).await else { panic!() };
        ErrorCode::from_number(chosen.error_code)
    }

    pub(super) async fn token(&mut self, auth_bytes: Bytes) -> SaslAuthenticateResponse {
        let request = Request::SaslAuthenticate(SaslAuthenticateRequest { auth_bytes });
        let Response::SaslAuthenticate(answer) = self.ask(request, 2).await else { panic!() };
        answer
    }

    /// The whole of SCRAM; the last answer.
    pub(super) async fn scram(
        &mut self,
        mechanism: ScramMechanism,
        user: &str,
        password: &str,
    ) -> SaslAuthenticateResponse {
        assert_eq!(self.choose(mechanism.name()).await, ErrorCode::None);
        let mut exchange = ScramClient::new(mechanism, user, password, "rOprNGfwEbeRWgbNEkqO".into());
        let challenge = self.token(exchange.first().into()).await;
        assert_eq!(challenge.error_code, 0, "{challenge:?}");
        assert_eq!(challenge.session_lifetime_ms, 0);
        let last = self.token(exchange.answer(&challenge.auth_bytes).unwrap().into()).await;
        if last.error_code == 0 {
            exchange.verify(&last.auth_bytes).unwrap();
        }
        last
    }
}

#[tokio::test]
async fn every_mechanism_lets_in_who_knows_the_password() {
    let (served, _) = alice().await;
    for mechanism in ScramMechanism::ALL {
        let mut client = served.client().await;
        assert_eq!(client.scram(mechanism, "alice", PASSWORD).await.error_code, 0);
        assert!(is_known(&client.ask(metadata(), 5).await));
    }
    let mut client = served.client().await;
    assert_eq!(client.choose("PLAIN").await, ErrorCode::None);
    assert_eq!(client.token(plain("alice", PASSWORD)).await.error_code, 0);
    assert!(is_known(&client.ask(metadata(), 5).await));
}

#[tokio::test]
async fn who_does_not_is_told_the_same_whatever_is_wrong_and_put_out() {
    let (served, _) = alice().await;
    let mut said = Vec::new();
    for (user, password) in [("alice", "pencil "), ("bob", PASSWORD), ("alice", "x")] {
        for mechanism in ScramMechanism::ALL {
            let mut client = served.client().await;
            said.push(client.scram(mechanism, user, password).await);
            assert!(client.is_closed().await);
        }
        let mut client = served.client().await;
        assert_eq!(client.choose("PLAIN").await, ErrorCode::None);
        said.push(client.token(plain(user, password)).await);
        assert!(client.is_closed().await);
    }
    assert!(said.iter().all(|answer| *answer == said[0]), "{said:?}");
    assert_eq!(said[0].error_code, ErrorCode::SaslAuthenticationFailed.number());
    assert!(said[0].auth_bytes.is_empty());
}

#[tokio::test]
async fn tokens_can_come_bare() {
    let (served, _) = alice().await;
    let bare = |token: &[u8]| [&(token.len() as u32).to_be_bytes(), token].concat();
    for (password, is_let_in) in [(PASSWORD, true), ("x", false)] {
        for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
            let mut client = served.client().await;
            let request = Request::SaslHandshake(SaslHandshakeRequest { mechanism: mechanism.into() });
            let Response::SaslHandshake(chosen) = client.ask(request, 0).await else { panic!() };
            assert_eq!(chosen.error_code, 0);
            if mechanism == "PLAIN" {
                client.raw(&bare(&plain("alice", password))).await;
            } else {
                let mut exchange = ScramClient::new(ScramMechanism::Sha512, "alice", password, "n0nce".into());
                client.raw(&bare(&exchange.first())).await;
                let challenge = client.frame().await.unwrap();
                client.raw(&bare(&exchange.answer(&challenge).unwrap())).await;
            }
            if is_let_in {
                assert_eq!(client.frame().await.unwrap().is_empty(), mechanism == "PLAIN");
                assert!(is_known(&client.ask(metadata(), 5).await));
            } else {
                assert!(client.is_closed().await);
            }
        }
    }
}

#[tokio::test]
async fn before_that_there_is_nothing_to_ask_but_what_is_spoken() {
    let (served, _) = alice().await;
    for version in ApiKey::ApiVersions.versions() {
        let mut client = served.client().await;
        let versions = Request::ApiVersions(ApiVersionsRequest {
            client_software_name: "a".into(),
            client_software_version: "1".into(),
        });
        let Response::ApiVersions(told) = client.ask(versions, version).await else { panic!() };
        assert!(told.error_code == 0 && told.api_keys.len() > 2);
        client.send(&metadata(), 5).await;
        assert!(client.is_closed().await, "nobody knows who asks");
    }
    let mut client = served.client().await;
    client.raw(&(64 * 1024 + 1_u32).to_be_bytes()).await;
    assert!(client.is_closed().await, "the frame is too large for a stranger");
    let mut client = served.client().await;
    assert_eq!(client.choose("PLAIN").await, ErrorCode::None);
    client.send(&metadata(), 5).await;
    assert!(client.is_closed().await, "half an exchange is none");
    let mut client = served.client().await;
    client.token(plain("alice", PASSWORD)).await;
    assert!(client.is_closed().await, "no mechanism was chosen");
    let mut client = served.client().await;
    assert_eq!(client.choose("GSSAPI").await, ErrorCode::UnsupportedSaslMechanism);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_stranger_does_not_stay() {
    let limits = ServerLimits { handshake: Duration::from_millis(50), ..ServerLimits::default() };
    let (served, _) = with_alice(&[], limits).await;
    let mut client = served.client().await;
    assert_eq!(client.choose("PLAIN").await, ErrorCode::None);
    assert!(client.is_closed().await);
    let mut slow = served.client().await;
    slow.stream.write_all(&[0, 0, 0, 100, 0]).await.unwrap();
    assert!(slow.is_closed().await);
}

#[tokio::test]
async fn a_session_ends_unless_it_is_renewed() {
    let (served, clock) = with_alice(&[("connections.max.reauth.ms", "60000")], ServerLimits::default()).await;
    let mut client = served.client().await;
    let known = client.scram(ScramMechanism::Sha256, "alice", PASSWORD).await;
    assert_eq!(known.session_lifetime_ms, 60_000);
    for _ in 0..3 {
        clock.advance(Duration::from_millis(59_999));
        assert!(is_known(&client.ask(metadata(), 5).await));
        assert_eq!(client.scram(ScramMechanism::Sha256, "alice", PASSWORD).await.error_code, 0);
    }
    clock.advance(Duration::from_millis(60_001));
    // Late, but nothing else was asked between.
    assert_eq!(client.scram(ScramMechanism::Sha256, "alice", PASSWORD).await.error_code, 0);
    assert!(is_known(&client.ask(metadata(), 5).await));
    clock.advance(Duration::from_millis(60_000));
    client.send(&metadata(), 5).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_session_is_renewed_by_its_user_and_its_mechanism() {
    let (served, _) = with_alice(&[("connections.max.reauth.ms", "60000")], ServerLimits::default()).await;
    Log::over(served.broker.clone()).admin().set_user("bob", PASSWORD).await.unwrap();
    let scram = ScramMechanism::Sha256;
    let known = async || {
        let mut client = served.client().await;
        assert_eq!(client.scram(scram, "alice", PASSWORD).await.error_code, 0);
        client
    };
    let failed = ErrorCode::SaslAuthenticationFailed.number();
    let mut client = known().await;
    assert_eq!(client.scram(scram, "bob", PASSWORD).await.error_code, failed);
    assert!(client.is_closed().await);
    let mut client = known().await;
    assert_eq!(client.scram(scram, "alice", "x").await.error_code, failed);
    assert!(client.is_closed().await);
    let mut client = known().await;
    assert_eq!(client.choose("PLAIN").await, ErrorCode::UnsupportedSaslMechanism);
    assert!(client.is_closed().await);
    // Who is gone cannot renew.
    let mut client = known().await;
    Log::over(served.broker.clone()).admin().remove_user("alice").await.unwrap();
    assert_eq!(client.scram(scram, "alice", PASSWORD).await.error_code, failed);
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn a_listener_without_sasl_says_so() {
    let served = Served::start().await;
    let mut client = served.client().await;
    assert_eq!(client.choose("PLAIN").await, ErrorCode::IllegalSaslState);
    assert_eq!(client.token(batch(&["x"])).await.error_code, ErrorCode::IllegalSaslState.number());
    assert!(is_known(&client.ask(metadata(), 5).await));
}

#[test]
fn plain_is_offered_where_nobody_can_listen() {
    use crate::broker::server::sasl::Mechanism;
    let offered = |address: &str, insecure_listen, enabled| {
        let listener = ListenerConfig::new(Security::SaslPlaintext, address.parse().unwrap());
        let config = ServerConfig { insecure_listen, ..ServerConfig::default() };
        let offered = Mechanism::offered(&config, &listener, enabled);
        offered.into_iter().map(Mechanism::name).collect::<Vec<_>>()
    };
    assert_eq!(offered("127.0.0.1:1", false, ""), ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    assert_eq!(offered("0.0.0.0:1", false, ""), ["SCRAM-SHA-256", "SCRAM-SHA-512"]);
    assert_eq!(offered("0.0.0.0:1", true, ""), ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]);
    assert_eq!(offered("[::1]:1", false, "SCRAM-SHA-512, PLAIN"), ["PLAIN", "SCRAM-SHA-512"]);
}
