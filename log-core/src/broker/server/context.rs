//! What a handler knows of the connection and the server that a request came to.

use super::budget::Budget;
use super::config::ServerConfig;
use super::ended::Ended;
use super::memory::Memory;
use super::metrics::Metrics;
use super::places::{Place, Places};
use super::sasl::Sasl;
use super::sessions::Sessions;
use super::throttle::Usage;
use crate::access::{Bucket, Principal, Request};
use crate::broker::Broker;
use crate::types::{AclOperation, CLUSTER_NAME, QuotaKey, ResourceType};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, watch};

/// What the connections of a server share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) broker: Arc<Broker>,
    pub(super) config: ServerConfig,
    /// Memory for requests.
    pub(super) memory: Memory,
    /// The same for those who have not said who they are: they take nothing from the others.
    pub(super) strangers: Memory,
    /// Memory for responses.
    pub(super) responses: Arc<Budget>,
    /// What readers have been told.
    pub(super) sessions: parking_lot::Mutex<Sessions>,
    pub(super) places: Arc<Places>,
    pub(super) metrics: Metrics,
    /// What quotas are counted by.
    pub(super) usage: Usage,
    /// How many passwords are looked at at once.
    pub(super) password_checks: Arc<Semaphore>,
    /// Whether the server shuts down.
    pub(super) stopping: watch::Sender<bool>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) shared: Arc<Shared>,
    pub(super) place: Arc<Place>,
    /// A number that no other connection of this server has.
    pub(super) id: u64,
    pub(super) peer: SocketAddr,
    /// Its address alone, which entries of access control go by.
    pub(super) peer_host: String,
    /// Where the broker is, as this peer is told.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) principal: Principal,
    /// On a listener that asks for it.
    pub(super) sasl: Option<Mutex<Sasl>>,
}

/// What is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Topic(&'a str),
    Group(&'a str),
    TransactionalId(&'a str),
    Cluster,
}

impl<'a> Resource<'a> {
    const fn kind(self) -> ResourceType {
        match self {
            Self::Topic(_) => ResourceType::Topic,
            Self::Group(_) => ResourceType::Group,
            Self::TransactionalId(_) => ResourceType::TransactionalId,
            Self::Cluster => ResourceType::Cluster,
        }
    }

    const fn name(self) -> &'a str {
        match self {
            Self::Topic(name) | Self::Group(name) | Self::TransactionalId(name) => name,
            Self::Cluster => CLUSTER_NAME,
        }
    }

    /// What can be done to it, as Kafka lists it to clients.
    const fn operations(self) -> &'static [AclOperation] {
        use AclOperation::{
            Alter, AlterConfigs, ClusterAction, Create, Delete, Describe, DescribeConfigs, IdempotentWrite, Read,
            TwoPhaseCommit, Write,
        };
        match self {
            Self::Topic(_) => &[Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs],
            Self::Group(_) => &[Read, Delete, Describe, DescribeConfigs, AlterConfigs],
            Self::TransactionalId(_) => &[Write, Describe, TwoPhaseCommit],
            Self::Cluster => &[Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite],
        }
    }
}

impl Shared {
    /// Counts a connection from `address`; how long it comes too early.
    pub(super) fn charge_connection(&self, address: IpAddr) -> Duration {
        let ip = address.to_canonical().to_string();
        let Some(rate) = self.broker.connection_quota(&ip) else { return Duration::ZERO };
        let of = Bucket { ip: Some(ip), ..Bucket::default() };
        self.usage.charge(of, QuotaKey::ConnectionCreationRate, rate, 1.0, self.broker.clock.instant())
    }
}

impl Context {
    pub(super) fn broker(&self) -> &Broker {
        &self.shared.broker
    }

    /// Whether the peer may do this. Every handler asks.
    pub(super) fn may(&self, operation: AclOperation, resource: Resource<'_>) -> bool {
        let (resource_type, resource) = (resource.kind(), resource.name());
        let request = Request { principal: &self.principal, host: &self.peer_host, operation, resource_type, resource };
        self.broker().authorize(&request).is_ok()
    }

    /// Whether the peer may do this to some resource of the kind, whichever it is.
    pub(super) fn may_any(&self, operation: AclOperation, kind: ResourceType) -> bool {
        self.broker().is_allowed_on_any(&self.principal, &self.peer_host, operation, kind)
    }

    /// What the peer may do to a resource: a bit for each operation (KIP-430).
    pub(super) fn operations(&self, resource: Resource<'_>) -> i32 {
        let allowed = resource.operations().iter().filter(|operation| self.may(**operation, resource));
        allowed.fold(0, |bits, operation| bits | 1 << operation.code())
    }

    /// Takes `amount` of what the peer may use; how long it is to be kept waiting.
    pub(super) fn charge(&self, client_id: &str, key: QuotaKey, amount: f64) -> Duration {
        match self.broker().quota(self.principal.name(), client_id, key) {
            Some((of, rate)) => self.shared.usage.charge(of, key, rate, amount, self.broker().clock.instant()),
            None => Duration::ZERO,
        }
    }

    /// Whether what the peer has said of itself has run out.
    pub(super) async fn is_session_over(&self) -> bool {
        match &self.sasl {
            Some(sasl) => sasl.lock().await.is_over(self.broker().clock.instant()),
            None => false,
        }
    }

    /// Why the connection has to end after the answer, if it has to: the peer could not renew its session.
    pub(super) async fn refused(&self) -> Option<Ended> {
        let sasl = self.sasl.as_ref()?.lock().await;
        sasl.failure().cloned().map(Ended::NotAuthenticated)
    }

    /// Returns when the server shuts down.
    pub(super) async fn stopping(&self) {
        // The sender is in `shared`, so this cannot fail.
        let _ = self.shared.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
