//! The server over loopback sockets, with a client that is no more than the wire: it encodes, sends, receives, decodes.

use super::{ListenerConfig, Server, ServerConfig, ServerLimits};
use crate::broker::Broker;
use crate::env::{Clock, SimDisk};
use crate::record::{BatchBuilder, Compression, Record};
use crate::types::Timestamp;
use crate::wire::create_topics::CreatableTopic;
use crate::wire::{ApiKey, CreateTopicsRequest, ProduceRequest, Request, Response};
use bytes::Bytes;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

mod access;
mod cluster;
mod configs;
mod connections;
mod denied;
mod groups;
#[cfg(feature = "tls")]
mod matrix;
mod metrics;
mod quotas;
mod reading;
mod sasl;
mod sessions;
#[cfg(feature = "tls")]
mod tls;
mod topics;
mod transactions;
mod versions;
mod writing;

/// A server on a simulated disk.
struct Served {
    server: Server,
    broker: Arc<Broker>,
}

impl Served {
    async fn start() -> Self {
        Self::with(ServerLimits::default()).await
    }

    async fn with(limits: ServerLimits) -> Self {
        let config = ServerConfig { limits, ..config() };
        let settings = [("num.partitions", "2"), ("group.initial.rebalance.delay.ms", "0")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let broker = Broker::open_with(Arc::new(SimDisk::default()), Clock::real(), Path::new("/data"), settings);
        let broker = broker.unwrap();
        let server = Server::start(broker.clone(), config).await.unwrap();
        Self { server, broker }
    }

    fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    async fn client(&self) -> Client {
        Client::over(TcpStream::connect(self.address()).await.unwrap())
    }

    /// A client, and a topic of so many partitions.
    async fn with_topic(&self, name: &str, partitions: i32) -> Client {
        let mut client = self.client().await;
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: -1,
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        let Response::CreateTopics(created) = client.ask(Request::CreateTopics(request), 7).await else { panic!() };
        assert_eq!(created.topics[0].error_code, 0, "{created:?}");
        client
    }
}

fn config() -> ServerConfig {
    let listener = ListenerConfig::plaintext("127.0.0.1:0".parse().unwrap());
    ServerConfig { listeners: vec![listener], ..ServerConfig::default() }
}

/// What a connection goes over: a socket, or TLS on one.
trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// A connection.
struct Client {
    stream: Box<dyn Wire>,
    next_id: i32,
}

impl Client {
    fn over(stream: impl Wire + 'static) -> Self {
        Self { stream: Box::new(stream), next_id: 0 }
    }

    /// Sends a request; its correlation id.
    async fn send(&mut self, request: &Request, version: i16) -> i32 {
        let version = request.key().version(version).expect("a version that is spoken");
        let id = self.next_id;
        self.next_id += 1;
        let frame = request.to_frame(version, id, Some("test")).unwrap();
        self.raw(&frame.into_pieces().concat()).await;
        id
    }

    async fn raw(&mut self, bytes: &[u8]) {
        // The server may have closed it already, which the test will see when it reads.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The content of the next frame; `None` if the connection has ended.
    async fn frame(&mut self) -> Option<Bytes> {
        let length = self.stream.read_u32().await.ok()?;
        let mut content = vec![0; length as usize];
        self.stream.read_exact(&mut content).await.ok()?;
        Some(content.into())
    }

    /// The next response, which has to be that to the request `id`.
    async fn receive(&mut self, key: ApiKey, version: i16, id: i32) -> Response {
        let frame = self.frame().await.expect("a response");
        let (of, response) = Response::read(key, key.version(version).unwrap(), frame).unwrap();
        assert_eq!(of, id, "{response}");
        response
    }

    async fn ask(&mut self, request: Request, version: i16) -> Response {
        let key = request.key();
        let id = self.send(&request, version).await;
        self.receive(key, version, id).await
    }

    /// Whether the server closes the connection without a word.
    async fn is_closed(&mut self) -> bool {
        let closed = async { self.frame().await.is_none() };
        tokio::time::timeout(Duration::from_secs(30), closed).await.unwrap_or(false)
    }
}

/// A batch with these values, at timestamps 1000, 1001, ….
fn batch_of(values: &[&str], compression: Compression) -> Bytes {
    let mut batch = BatchBuilder::new(compression);
    for (value, timestamp) in values.iter().zip(1000..) {
        let value = Some(Bytes::from((*value).to_owned()));
        batch.push(&Record { key: None, value, timestamp: Timestamp(timestamp), headers: Vec::new() });
    }
    batch.finish()
}

fn batch(values: &[&str]) -> Bytes {
    batch_of(values, Compression::None)
}

/// A request that asks for nothing in particular.
fn empty(key: ApiKey) -> Request {
    match key {
        ApiKey::Produce => Request::Produce(ProduceRequest { acks: 1, ..Default::default() }),
        ApiKey::Fetch => Request::Fetch(Default::default()),
        ApiKey::ListOffsets => Request::ListOffsets(Default::default()),
        ApiKey::Metadata => Request::Metadata(Default::default()),
        ApiKey::SaslHandshake => Request::SaslHandshake(Default::default()),
        ApiKey::FindCoordinator => Request::FindCoordinator(Default::default()),
        ApiKey::InitProducerId => Request::InitProducerId(Default::default()),
        ApiKey::AddPartitionsToTxn => Request::AddPartitionsToTxn(Default::default()),
        ApiKey::AddOffsetsToTxn => Request::AddOffsetsToTxn(Default::default()),
        ApiKey::EndTxn => Request::EndTxn(Default::default()),
        ApiKey::WriteTxnMarkers => Request::WriteTxnMarkers(Default::default()),
        ApiKey::DescribeProducers => Request::DescribeProducers(Default::default()),
        ApiKey::DescribeTransactions => Request::DescribeTransactions(Default::default()),
        ApiKey::ListTransactions => Request::ListTransactions(Default::default()),
        ApiKey::ApiVersions => Request::ApiVersions(Default::default()),
        ApiKey::CreateTopics => Request::CreateTopics(Default::default()),
        ApiKey::DeleteTopics => Request::DeleteTopics(Default::default()),
        ApiKey::DeleteRecords => Request::DeleteRecords(Default::default()),
        ApiKey::OffsetForLeaderEpoch => Request::OffsetForLeaderEpoch(Default::default()),
        ApiKey::SaslAuthenticate => Request::SaslAuthenticate(Default::default()),
        ApiKey::CreatePartitions => Request::CreatePartitions(Default::default()),
        ApiKey::DescribeCluster => Request::DescribeCluster(Default::default()),
        ApiKey::DescribeTopicPartitions => Request::DescribeTopicPartitions(Default::default()),
        ApiKey::DescribeAcls => Request::DescribeAcls(Default::default()),
        ApiKey::CreateAcls => Request::CreateAcls(Default::default()),
        ApiKey::DeleteAcls => Request::DeleteAcls(Default::default()),
        ApiKey::DescribeConfigs => Request::DescribeConfigs(Default::default()),
        ApiKey::AlterConfigs => Request::AlterConfigs(Default::default()),
        ApiKey::AlterReplicaLogDirs => Request::AlterReplicaLogDirs(Default::default()),
        ApiKey::DescribeLogDirs => Request::DescribeLogDirs(Default::default()),
        ApiKey::CreateDelegationToken => Request::CreateDelegationToken(Default::default()),
        ApiKey::RenewDelegationToken => Request::RenewDelegationToken(Default::default()),
        ApiKey::ExpireDelegationToken => Request::ExpireDelegationToken(Default::default()),
        ApiKey::DescribeDelegationToken => Request::DescribeDelegationToken(Default::default()),
        ApiKey::ElectLeaders => Request::ElectLeaders(Default::default()),
        ApiKey::IncrementalAlterConfigs => Request::IncrementalAlterConfigs(Default::default()),
        ApiKey::AlterPartitionReassignments => Request::AlterPartitionReassignments(Default::default()),
        ApiKey::ListPartitionReassignments => Request::ListPartitionReassignments(Default::default()),
        ApiKey::DescribeClientQuotas => Request::DescribeClientQuotas(Default::default()),
        ApiKey::AlterClientQuotas => Request::AlterClientQuotas(Default::default()),
        ApiKey::DescribeUserScramCredentials => Request::DescribeUserScramCredentials(Default::default()),
        ApiKey::AlterUserScramCredentials => Request::AlterUserScramCredentials(Default::default()),
        ApiKey::DescribeQuorum => Request::DescribeQuorum(Default::default()),
        ApiKey::UpdateFeatures => Request::UpdateFeatures(Default::default()),
        ApiKey::UnregisterBroker => Request::UnregisterBroker(Default::default()),
        ApiKey::ListConfigResources => Request::ListConfigResources(Default::default()),
        ApiKey::OffsetCommit => Request::OffsetCommit(Default::default()),
        ApiKey::OffsetFetch => Request::OffsetFetch(Default::default()),
        ApiKey::JoinGroup => Request::JoinGroup(Default::default()),
        ApiKey::Heartbeat => Request::Heartbeat(Default::default()),
        ApiKey::LeaveGroup => Request::LeaveGroup(Default::default()),
        ApiKey::SyncGroup => Request::SyncGroup(Default::default()),
        ApiKey::DescribeGroups => Request::DescribeGroups(Default::default()),
        ApiKey::ListGroups => Request::ListGroups(Default::default()),
        ApiKey::DeleteGroups => Request::DeleteGroups(Default::default()),
        ApiKey::OffsetDelete => Request::OffsetDelete(Default::default()),
        ApiKey::TxnOffsetCommit => Request::TxnOffsetCommit(Default::default()),
        ApiKey::ConsumerGroupHeartbeat => Request::ConsumerGroupHeartbeat(Default::default()),
        ApiKey::ConsumerGroupDescribe => Request::ConsumerGroupDescribe(Default::default()),
        other => panic!("{other} is served, so it has a place here"),
    }
}
