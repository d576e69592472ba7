//! TLS: what a certificate has to be, on either side, and whom it makes of a peer.

use super::sasl::plain;
use super::{Client, Served};
use crate::broker::Broker;
use crate::broker::server::{ListenerConfig, Security, Server, ServerConfig, ServerLimits, TlsConfig};
use crate::client::Log;
use crate::env::{Clock, SimDisk};
use crate::types::{
    AclBinding, AclOperation, AclPermission, CLUSTER_NAME, Error, PatternType, ResourceType, Timestamp, WILDCARD,
};
use crate::wire::create_topics::CreatableTopic;
use crate::wire::{
    ApiKey, ApiVersionsRequest, CreateTopicsRequest, ErrorCode, FetchRequest, MetadataRequest, Request, Response,
};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The first of January 2030, by the server's clock; the client's is the machine's.
pub(super) const NOW: Timestamp = Timestamp(1_893_456_000_000);

/// Somebody who signs certificates.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(super) struct Signed {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Signs until the first day of a year.
    pub(super) fn sign(&self, name: &str, until: i32) -> Signed {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Signed { certificate, key: key.serialize_pem() }
    }
}

/// A server whose certificate `authority` has signed, and which asks clients for one that `of_clients` has.
async fn served(security: Security, authority: &Authority, of_clients: Option<&Authority>) -> (Served, Clock) {
    let own = authority.sign("server", 2090);
    let tls = TlsConfig {
        certificates: own.certificate.into_bytes(),
        key: own.key.into_bytes(),
        client_authorities: of_clients.map(|authority| authority.pem.clone().into_bytes()),
    };
    let limits = ServerLimits { failed_authentication: Duration::ZERO, ..ServerLimits::default() };
    let listeners = vec![ListenerConfig::new(security, "127.0.0.1:0".parse().unwrap())];
    let config = ServerConfig { listeners, tls: Some(tls), limits, ..ServerConfig::default() };
    let clock = Clock::manual(NOW);
    let broker = Broker::open(Arc::new(SimDisk::default()), clock.clone(), Path::new("/data")).unwrap();
    let server = Server::start(broker.clone(), config).await.unwrap();
    (Served { server, broker }, clock)
}

/// Connects as a client that trusts `authority` and shows `shown`; an error if TLS does not come to be.
async fn connect(
    served: &Served,
    authority: &Authority,
    shown: Option<&Signed>,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<Client> {
    connect_to(served.address(), authority, shown, versions).await
}

pub(super) async fn connect_to(
    address: SocketAddr,
    authority: &Authority,
    shown: Option<&Signed>,
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<Client> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap().with_root_certificates(roots);
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let certificate = CertificateDer::from_pem_slice(shown.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    Ok(Client::over(TlsConnector::from(Arc::new(config)).connect(name, stream).await?))
}

pub(super) const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];

async fn is_served(client: std::io::Result<Client>) -> bool {
    let Ok(mut client) = client else { return false };
    client.send(&Request::ApiVersions(ApiVersionsRequest::default()), 0).await;
    client.frame().await.is_some()
}

#[tokio::test]
async fn requests_go_both_ways_in_both_versions() {
    let authority = Authority::new("authority");
    let (served, _) = served(Security::Tls, &authority, None).await;
    for version in [&TLS12, &TLS13] {
        let mut client = connect(&served, &authority, None, &[version]).await.unwrap();
        let name = format!("{:?}", version.version);
        let topic =
            CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: -1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let Response::CreateTopics(created) = client.ask(Request::CreateTopics(request), 7).await else { panic!() };
        assert_eq!(created.topics[0].error_code, 0);
    }
    // More than TLS puts into one record, in both directions.
    let mut client = connect(&served, &authority, None, BOTH).await.unwrap();
    let names: Vec<_> = (0..2000).map(|n| format!("topic-that-is-not-there-{n}")).collect();
    let topics = names.iter().map(|name| crate::wire::metadata::MetadataRequestTopic {
        name: Some(name.as_str().into()),
        ..Default::default()
    });
    let topics = Some(topics.collect());
    let request = MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
    let Response::Metadata(told) = client.ask(Request::Metadata(request), 9).await else { panic!() };
    assert_eq!(told.topics.len(), names.len());
}

#[tokio::test]
async fn who_does_not_speak_it_is_not_served() {
    let authority = Authority::new("authority");
    let (served, _) = served(Security::Tls, &authority, None).await;
    let mut client = served.client().await;
    client.send(&Request::ApiVersions(ApiVersionsRequest::default()), 0).await;
    let mut rest = Vec::new();
    // An alert may come, and then the end.
    let _ = client.stream.read_to_end(&mut rest).await;
    assert!(rest.len() < 16, "{rest:?}");
    // A client that does not know the authority goes by itself.
    assert!(!is_served(connect(&served, &Authority::new("other"), None, BOTH).await).await);
    assert!(is_served(connect(&served, &authority, None, BOTH).await).await);
}

#[tokio::test]
async fn a_silent_peer_does_not_keep_its_place() {
    let authority = Authority::new("authority");
    let own = authority.sign("server", 2090);
    let tls =
        TlsConfig { certificates: own.certificate.into_bytes(), key: own.key.into_bytes(), client_authorities: None };
    let limits = ServerLimits { handshake: Duration::from_millis(50), ..ServerLimits::default() };
    let listeners = vec![ListenerConfig::new(Security::Tls, "127.0.0.1:0".parse().unwrap())];
    let config = ServerConfig { listeners, tls: Some(tls), limits, ..ServerConfig::default() };
    let broker = Broker::open(Arc::new(SimDisk::default()), Clock::real(), Path::new("/data")).unwrap();
    let server = Server::start(broker.clone(), config).await.unwrap();
    let mut silent = Served { server, broker }.client().await;
    assert!(silent.is_closed().await);
}

#[tokio::test]
async fn a_certificate_says_who_a_client_is() {
    let (authority, of_clients) = (Authority::new("authority"), Authority::new("clients"));
    let (served, clock) = served(Security::Tls, &authority, Some(&of_clients)).await;
    let (alice, bob) = (of_clients.sign("alice", 2031), of_clients.sign("bob", 2031));
    let admin = Log::over(served.broker.clone()).admin();
    let entry = AclBinding {
        resource_type: ResourceType::Cluster,
        resource_name: CLUSTER_NAME.into(),
        pattern_type: PatternType::Literal,
        principal: "User:CN=alice,O=Example".into(),
        host: WILDCARD.into(),
        operation: AclOperation::Create,
        permission: AclPermission::Allow,
    };
    admin.add_acls(vec![entry]).await.unwrap();
    for (shown, expected) in [(&alice, ErrorCode::None), (&bob, ErrorCode::TopicAuthorizationFailed)] {
        let mut client = connect(&served, &authority, Some(shown), BOTH).await.unwrap();
        let topic =
            CreatableTopic { name: "t".into(), num_partitions: 1, replication_factor: -1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let Response::CreateTopics(created) = client.ask(Request::CreateTopics(request), 7).await else { panic!() };
        assert_eq!(ErrorCode::from_number(created.topics[0].error_code), expected);
    }
    for version in [&TLS12, &TLS13] {
        let versions = &[version];
        assert!(!is_served(connect(&served, &authority, None, versions).await).await, "none is shown");
        let forged = Authority::new("clients").sign("alice", 2031);
        assert!(
            !is_served(connect(&served, &authority, Some(&forged), versions).await).await,
            "nobody knows its signer"
        );
        let expired = of_clients.sign("alice", 2029);
        assert!(!is_served(connect(&served, &authority, Some(&expired), versions).await).await, "it has expired");
        assert!(is_served(connect(&served, &authority, Some(&alice), versions).await).await);
    }
    clock.advance(366 * DAY);
    assert!(!is_served(connect(&served, &authority, Some(&alice), BOTH).await).await, "a year later it has too");
}

#[tokio::test]
async fn plain_over_tls_and_a_fetch_that_waits() {
    let authority = Authority::new("authority");
    let (served, _) = served(Security::SaslTls, &authority, None).await;
    Log::over(served.broker.clone()).admin().set_user("alice", "pencil").await.unwrap();
    let mut client = connect(&served, &authority, None, BOTH).await.unwrap();
    client.send(&Request::Fetch(FetchRequest::default()), 4).await;
    assert!(client.frame().await.is_none(), "TLS alone does not say who it is");
    let mut client = connect(&served, &authority, None, BOTH).await.unwrap();
    assert_eq!(client.choose("PLAIN").await, ErrorCode::None);
    assert_eq!(client.token(plain("alice", "pencil")).await.error_code, 0);
    let fetch = client.send(&Request::Fetch(FetchRequest { max_wait_ms: 10, ..Default::default() }), 4).await;
    client.receive(ApiKey::Fetch, 4, fetch).await;
    let mut client = connect(&served, &authority, None, BOTH).await.unwrap();
    assert_eq!(client.choose("PLAIN").await, ErrorCode::None);
    assert_eq!(client.token(plain("alice", "x")).await.error_code, ErrorCode::SaslAuthenticationFailed.number());
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_of_the_server_is_told_at_once() {
    let authority = Authority::new("authority");
    let (good, other) = (authority.sign("server", 2090), authority.sign("server", 2090));
    let expired = authority.sign("server", 2029);
    let cases = [
        (&good.certificate, &other.key, None, "its key"),
        (&good.key, &good.key, None, "the certificate"),
        (&good.certificate, &good.certificate, None, "the key"),
        (&expired.certificate, &expired.key, None, "expired at 2029-01-01T00:00:00Z"),
        (&good.certificate, &good.key, Some(String::new()), "authority of the clients"),
    ];
    for (certificate, key, authorities, expected) in cases {
        let tls = TlsConfig {
            certificates: certificate.clone().into_bytes(),
            key: key.clone().into_bytes(),
            client_authorities: authorities.map(String::into_bytes),
        };
        assert!(!format!("{tls:?}").contains("112"), "the key is not shown");
        let listeners = vec![ListenerConfig::new(Security::Tls, "127.0.0.1:0".parse().unwrap())];
        let config = ServerConfig { listeners, tls: Some(tls), ..ServerConfig::default() };
        let broker = Broker::open(Arc::new(SimDisk::default()), Clock::manual(NOW), Path::new("/data")).unwrap();
        let refused = Server::start(broker, config).await.unwrap_err();
        assert!(matches!(&refused, Error::InvalidRequest { why } if why.contains(expected)), "{refused}");
    }
}
