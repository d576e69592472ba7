//! Brokers that ask who we are: SASL by every mechanism, and TLS.

use super::shared::{partition, topic};
use crate::broker::{Broker, ListenerConfig, Security, Server, ServerConfig, ServerLimits};
use crate::client::{Connector, Log, SaslMechanism};
use crate::env::{Clock, SimDisk};
use crate::types::{AclBinding, AclOperation, AclPermission, Error, PatternType, ResourceType, TopicSpec, WILDCARD};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MECHANISMS: [SaslMechanism; 3] = [SaslMechanism::ScramSha256, SaslMechanism::ScramSha512, SaslMechanism::Plain];

/// A broker that knows `alice`, who may do everything with topics.
async fn with_alice(settings: &[(&str, &str)]) -> Arc<Broker> {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let disk = Arc::new(SimDisk::default());
    let broker = Broker::open_with(disk, Clock::real(), Path::new("/data"), settings).unwrap();
    let admin = Log::over(broker.clone()).admin();
    let entry = AclBinding {
        resource_type: ResourceType::Topic,
        pattern_type: PatternType::Literal,
        resource_name: WILDCARD.into(),
        principal: "User:alice".into(),
        host: WILDCARD.into(),
        operation: AclOperation::All,
        permission: AclPermission::Allow,
    };
    let cluster =
        AclBinding { resource_type: ResourceType::Cluster, resource_name: "kafka-cluster".into(), ..entry.clone() };
    admin.add_acls(vec![entry, cluster]).await.unwrap();
    admin.set_user("alice", "pencil").await.unwrap();
    broker
}

fn config(security: Security) -> ServerConfig {
    ServerConfig {
        listeners: vec![ListenerConfig::new(security, "127.0.0.1:0".parse().unwrap())],
        limits: ServerLimits { failed_authentication: Duration::ZERO, ..ServerLimits::default() },
        ..ServerConfig::default()
    }
}

/// Writes and reads.
async fn works(connector: Connector, name: &str) {
    let log = connector.connect().await.unwrap();
    log.admin().create_topic(TopicSpec::new(name, 1).unwrap()).await.unwrap();
    log.send(name, &"hello".to_owned()).await.unwrap();
    let read = log.reader(partition(name, 0), 0).next_batch(Duration::from_secs(10)).await.unwrap();
    assert_eq!((read.len(), topic(name)), (1, topic(name)));
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_user_gets_in_by_every_mechanism_and_nobody_else_does() {
    let server = Server::start(with_alice(&[]).await, config(Security::SaslPlaintext)).await.unwrap();
    let at = || Log::connector(server.addresses()[0].to_string());
    for mechanism in MECHANISMS {
        works(at().user_by(mechanism, "alice", "pencil"), &mechanism.name().to_lowercase()).await;
        for (user, password) in [("alice", "pen"), ("bob", "pencil"), ("", "")] {
            let refused = at().user_by(mechanism, user, password).connect().await.unwrap_err();
            assert!(matches!(refused, Error::AuthenticationFailed { .. }), "{}: {refused}", mechanism.name());
        }
    }
    let unknown = at().connect().await.unwrap_err();
    assert!(matches!(unknown, Error::Unreachable { .. }), "{unknown}");
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_says_which_are() {
    let broker = with_alice(&[("sasl.enabled.mechanisms", "SCRAM-SHA-256")]).await;
    let server = Server::start(broker, config(Security::SaslPlaintext)).await.unwrap();
    let connector = Log::connector(server.addresses()[0].to_string()).user("alice", "pencil");
    let refused = connector.connect().await.unwrap_err().to_string();
    assert!(refused.contains("SCRAM-SHA-512 is not offered; SCRAM-SHA-256 is"), "{refused}");
}

#[tokio::test]
async fn a_session_that_ends_is_followed_by_another() {
    let broker = with_alice(&[("connections.max.reauth.ms", "60")]).await;
    let server = Server::start(broker, config(Security::SaslPlaintext)).await.unwrap();
    let connector = Log::connector(server.addresses()[0].to_string()).user("alice", "pencil");
    let log = connector.connect().await.unwrap();
    log.admin().create_topic(TopicSpec::new("t", 1).unwrap()).await.unwrap();
    // More than one session's worth.
    for offset in 0..500 {
        assert_eq!(log.send("t", &"x".to_owned()).await.unwrap().offset, offset);
    }
}

#[cfg(feature = "tls")]
mod tls {
    use super::*;
    use crate::broker::TlsConfig;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    /// Somebody who signs certificates, and one that is signed for names: all in PEM.
    struct Authority {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            Self { pem, issuer: Issuer::new(params, key) }
        }

        fn sign(&self, name: &str, called: &[&str]) -> (String, String) {
            let called: Vec<_> = called.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(called).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
        }
    }

    async fn served(security: Security, own: (String, String), of_clients: Option<&Authority>) -> Server {
        let tls = TlsConfig {
            certificates: own.0.into_bytes(),
            key: own.1.into_bytes(),
            client_authorities: of_clients.map(|authority| authority.pem.clone().into_bytes()),
        };
        let broker = with_alice(&[]).await;
        Server::start(broker, ServerConfig { tls: Some(tls), ..config(security) }).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_said_is_hidden_and_the_broker_is_who_it_says() {
        let authority = Authority::new();
        let server = served(Security::SaslTls, authority.sign("server", &["127.0.0.1"]), None).await;
        let at = || Log::connector(server.addresses()[0].to_string());
        for mechanism in MECHANISMS {
            let connector = at().tls(authority.pem.clone()).user_by(mechanism, "alice", "pencil");
            works(connector, &mechanism.name().to_lowercase()).await;
        }
        let stranger = Authority::new();
        let refused = at().tls(stranger.pem.clone()).user("alice", "pencil").connect().await.unwrap_err();
        assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
        let other = served(Security::SaslTls, authority.sign("server", &["elsewhere"]), None).await;
        let other = Log::connector(other.addresses()[0].to_string()).tls(authority.pem.clone());
        let refused = other.user("alice", "pencil").connect().await.unwrap_err();
        assert!(matches!(refused, Error::Unreachable { .. }), "{refused}");
        let wrong = at().tls("not PEM").connect().await.unwrap_err();
        assert!(matches!(wrong, Error::InvalidRequest { .. }), "{wrong}");
    }

    #[tokio::test]
    async fn a_certificate_says_who_we_are() {
        let (authority, clients) = (Authority::new(), Authority::new());
        let server = served(Security::Tls, authority.sign("server", &["127.0.0.1"]), Some(&clients)).await;
        let at = || Log::connector(server.addresses()[0].to_string()).tls(authority.pem.clone());
        let (chain, key) = Authority::new().sign("alice", &["alice"]);
        assert!(matches!(at().certificate(chain, key).connect().await, Err(Error::Unreachable { .. })));
        assert!(matches!(at().connect().await, Err(Error::Unreachable { .. })));
        let (chain, key) = clients.sign("alice", &["alice"]);
        let log = at().certificate(chain, key).connect().await.unwrap();
        // Whom it names is told in full, so this is nobody who may do anything.
        let listed = log.admin().list_topics(false).await.unwrap();
        assert!(listed.is_empty());
    }
}
