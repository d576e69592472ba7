//! Against brokers that are scripted: leaders that move, connections that end in the middle, answers that make no sense.
//!
//! The network of these tests is a table of addresses; whoever connects gets one end of a pipe, and the script has the
//! other.

use super::super::Remote;
use super::super::address::Address;
use super::super::network::{Network, Stream};
use crate::client::Log;
use crate::record::{BatchHeader, Record};
use crate::types::{Error, TopicName, TopicPartition};
use crate::wire::api_versions::ApiVersion;
use crate::wire::fetch::{FetchableTopicResponse, PartitionData};
use crate::wire::metadata::{MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic};
use crate::wire::produce::{PartitionProduceResponse, TopicProduceResponse};
use crate::wire::{
    ApiKey, ApiVersionsResponse, ErrorCode, FetchResponse, InitProducerIdResponse, MetadataResponse, ProduceResponse,
    Reader, Request, RequestHeader, Response,
};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _, ready};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// What a broker does with a request.
enum Do {
    Answer(Response),
    /// Answers with the id of another request.
    Misnumber(Response),
    /// Sends these bytes instead of an answer.
    Bytes(Vec<u8>),
    /// Ends the connection.
    HangUp,
    /// Sends the beginning of an answer, and ends the connection.
    Break(Response),
    /// Says nothing.
    Ignore,
}

type Script = Box<dyn FnMut(&str, Request) -> Do + Send>;

/// The network, and the brokers in it, which share one script.
#[derive(Clone)]
struct Pipes(Arc<Mutex<State>>);

struct State {
    script: Script,
    /// Addresses where nobody listens.
    off: Vec<String>,
    /// What was asked where, in order; but for versions.
    asked: Vec<(String, ApiKey)>,
    /// The highest version of ApiVersions that is spoken.
    api_versions: i16,
    /// Restrictions on others.
    versions: HashMap<ApiKey, i16>,
}

impl std::fmt::Debug for Pipes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pipes")
    }
}

impl Network for Pipes {
    fn open<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        let address = address.to_string();
        if self.0.lock().off.contains(&address) {
            return ready(Err(io::Error::from(io::ErrorKind::ConnectionRefused))).boxed();
        }
        let (near, far) = duplex(64 * 1024);
        tokio::spawn(play(self.clone(), address, far));
        ready(Ok(Box::new(near) as Box<dyn Stream>)).boxed()
    }
}

/// Plays the broker at one end of a connection.
async fn play(pipes: Pipes, address: String, mut stream: DuplexStream) {
    while let Ok(length) = stream.read_u32().await {
        let mut frame = vec![0; length as usize];
        if stream.read_exact(&mut frame).await.is_err() {
            return;
        }
        let mut reader = Reader::new(frame.into());
        let header = RequestHeader::read(&mut reader).unwrap();
        let RequestHeader { key, version_number, correlation_id: id, .. } = header;
        let mut version = header.version().unwrap();
        let request = Request::read(key, version, reader).unwrap();
        let what = if key == ApiKey::ApiVersions {
            let (spoken, response) = versions(&pipes.0.lock(), version_number);
            version = key.version(spoken).unwrap();
            Do::Answer(response)
        } else {
            let mut state = pipes.0.lock();
            state.asked.push((address.clone(), key));
            (state.script)(&address, request)
        };
        let bytes = match what {
            Do::Answer(response) => response.to_frame(version, id).unwrap().into_pieces().concat(),
            Do::Misnumber(response) => response.to_frame(version, id + 1).unwrap().into_pieces().concat(),
            Do::Bytes(bytes) => bytes,
            Do::HangUp => return,
            Do::Break(response) => {
                let bytes = response.to_frame(version, id).unwrap().into_pieces().concat();
                let _ = stream.write_all(&bytes[..bytes.len() / 2]).await;
                return;
            }
            Do::Ignore => continue,
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// What is spoken; in version 0 to whoever asks in a version that is not (KIP-511).
fn versions(state: &State, asked: i16) -> (i16, Response) {
    let api = |&key: &ApiKey| {
        let most = state.versions.get(&key).copied().unwrap_or(*key.versions().end());
        let max_version = if key == ApiKey::ApiVersions { state.api_versions } else { most };
        ApiVersion { api_key: key.number(), min_version: *key.versions().start(), max_version }
    };
    let mut response = ApiVersionsResponse { api_keys: ApiKey::ALL.iter().map(api).collect(), ..Default::default() };
    let is_spoken = asked <= state.api_versions;
    if !is_spoken {
        response.error_code = ErrorCode::UnsupportedVersion.number();
    }
    (if is_spoken { asked } else { 0 }, Response::ApiVersions(response))
}

impl Pipes {
    fn new(script: impl FnMut(&str, Request) -> Do + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(State {
            script: Box::new(script),
            off: Vec::new(),
            asked: Vec::new(),
            api_versions: *ApiKey::ApiVersions.versions().end(),
            versions: HashMap::new(),
        })))
    }

    async fn connect(&self) -> crate::Result<Log> {
        let remote = Remote::connect(Arc::new(self.clone()), None, Address::parse_all("a:1,b:1").unwrap()).await?;
        Ok(Log::over(Arc::new(remote)))
    }

    /// How often an API was asked.
    fn count(&self, key: ApiKey) -> usize {
        self.0.lock().asked.iter().filter(|(_, asked)| *asked == key).count()
    }
}

/// Metadata of brokers 0 at `a:1` and 1 at `b:1`, and topic `t` with partition 0, which `leader` leads.
fn metadata(leader: i32, epoch: i32) -> Response {
    let broker =
        |(node_id, host): (i32, &str)| MetadataResponseBroker { node_id, host: host.into(), port: 1, rack: None };
    let partition = MetadataResponsePartition { leader_id: leader, leader_epoch: epoch, ..Default::default() };
    let topic = MetadataResponseTopic {
        name: Some("t".into()),
        topic_id: ID,
        partitions: vec![partition],
        ..Default::default()
    };
    Response::Metadata(MetadataResponse {
        brokers: [(0, "a"), (1, "b")].map(broker).into(),
        controller_id: 0,
        topics: vec![topic],
        ..Default::default()
    })
}

const ID: uuid::Uuid = uuid::Uuid::from_u128(7);

fn t() -> TopicPartition {
    TopicPartition::new(TopicName::new("t").unwrap(), 0)
}

fn produced(code: ErrorCode, base_offset: i64) -> Response {
    let one = PartitionProduceResponse { error_code: code.number(), base_offset, ..Default::default() };
    let topic = TopicProduceResponse { topic_id: ID, partition_responses: vec![one], ..Default::default() };
    Response::Produce(ProduceResponse { responses: vec![topic], ..Default::default() })
}

fn fetched(code: ErrorCode, records: Bytes) -> Response {
    let data = PartitionData {
        error_code: code.number(),
        high_watermark: 9,
        last_stable_offset: 9,
        log_start_offset: 0,
        records: Some(records),
        ..Default::default()
    };
    let topic = FetchableTopicResponse { topic_id: ID, partitions: vec![data], ..Default::default() };
    Response::Fetch(FetchResponse { responses: vec![topic], ..Default::default() })
}

/// What is asked besides, answered as a healthy cluster would; `None` is the script's own.
fn usual(request: &Request, leader: i32, epoch: i32) -> Option<Do> {
    Some(Do::Answer(match request {
        Request::Metadata(_) => metadata(leader, epoch),
        Request::InitProducerId(_) => {
            Response::InitProducerId(InitProducerIdResponse { producer_id: 5, ..Default::default() })
        }
        Request::ListOffsets(_) => Response::ListOffsets(Default::default()),
        Request::DescribeConfigs(_) => Response::DescribeConfigs(Default::default()),
        _ => return None,
    }))
}

/// The producer and sequence of the only batch of a request.
fn stamp(request: &Request) -> (i64, i32) {
    let Request::Produce(request) = request else { panic!("{request}") };
    let batch = request.topic_data[0].partition_data[0].records.clone().unwrap();
    let header = BatchHeader::parse(&batch).unwrap().unwrap();
    (header.producer_id, header.base_sequence)
}

fn batch_of(producer_id: i64, base_sequence: i32) -> Bytes {
    let mut batch = crate::record::BatchBuilder::new(crate::Compression::None);
    batch.push(&Record { value: Some("x".into()), ..Record::default() });
    if producer_id >= 0 {
        batch = batch.stamp(crate::record::ProducerStamp { producer_id, producer_epoch: 0, base_sequence });
    }
    batch.finish()
}

async fn append(log: &Log, batch: Bytes) -> crate::Result<i64> {
    let request = crate::service::Produce { partition: t(), batch, transaction: None };
    log.service().produce(request).await.map(|produced| produced.base_offset)
}

#[tokio::test]
async fn a_batch_goes_after_its_leader_with_the_same_sequence() {
    let (mut leader, mut epoch, mut seen) = (0, 0, Vec::new());
    let stamps = Arc::new(Mutex::new(Vec::new()));
    let told = stamps.clone();
    let pipes = Pipes::new(move |address, request| {
        if let Some(usual) = usual(&request, leader, epoch) {
            return usual;
        }
        told.lock().push((address.to_owned(), stamp(&request)));
        seen.push(address.to_owned());
        match seen.len() {
            // Appended, and the answer is lost: it must be recognised when it comes again.
            1 => Do::HangUp,
            2 => {
                (leader, epoch) = (1, 1);
                Do::Answer(produced(ErrorCode::NotLeaderOrFollower, -1))
            }
            _ => Do::Answer(produced(ErrorCode::None, 42)),
        }
    });
    let log = pipes.connect().await.unwrap();
    assert_eq!(append(&log, batch_of(5, 17)).await.unwrap(), 42);
    let at = |address: &str| (address.to_owned(), (5, 17));
    assert_eq!(*stamps.lock(), [at("a:1"), at("a:1"), at("b:1")]);
}

#[tokio::test]
async fn a_batch_without_a_producer_is_not_sent_twice() {
    let pipes = Pipes::new(|_, request| usual(&request, 0, 0).unwrap_or(Do::HangUp));
    let log = pipes.connect().await.unwrap();
    let lost = append(&log, batch_of(-1, -1)).await.unwrap_err();
    assert!(matches!(lost, Error::Unreachable { .. }), "{lost}");
    assert_eq!(pipes.count(ApiKey::Produce), 1);
    // What was surely not appended goes again.
    let mut times = 0;
    let pipes = Pipes::new(move |_, request| {
        usual(&request, 0, 0).unwrap_or_else(|| {
            times += 1;
            Do::Answer(match times {
                1 => produced(ErrorCode::NotLeaderOrFollower, -1),
                _ => produced(ErrorCode::None, 3),
            })
        })
    });
    let log = pipes.connect().await.unwrap();
    assert_eq!(append(&log, batch_of(-1, -1)).await.unwrap(), 3);
}

#[tokio::test]
async fn a_producer_that_was_forgotten_is_told_so() {
    let pipes = Pipes::new(|_, request| {
        usual(&request, 0, 0).unwrap_or_else(|| Do::Answer(produced(ErrorCode::OutOfOrderSequenceNumber, -1)))
    });
    let log = pipes.connect().await.unwrap();
    let refused = append(&log, batch_of(5, 1)).await.unwrap_err();
    assert!(matches!(refused, Error::OutOfOrderSequence { producer_id: 5, got: 1, .. }), "{refused}");
}

/// Fetches once; what is told of the partition.
async fn fetch(log: &Log) -> crate::Result<usize> {
    let mut reader = log.reader(t(), 0);
    Ok(reader.next_bytes(Duration::ZERO).await?.len())
}

#[tokio::test]
async fn answers_that_make_no_sense_end_the_connection_and_no_more() {
    let good = batch_of(5, 0);
    let nonsense: Vec<Box<dyn Fn() -> Do + Send>> = vec![
        Box::new(|| Do::HangUp),
        Box::new(|| Do::Break(fetched(ErrorCode::None, batch_of(5, 0)))),
        Box::new(|| Do::Misnumber(fetched(ErrorCode::None, Bytes::new()))),
        Box::new(|| Do::Answer(fetched(ErrorCode::NotLeaderOrFollower, Bytes::new()))),
        // Lengths that cannot be: negative, none, and huge.
        Box::new(|| Do::Bytes(vec![0xff; 4])),
        Box::new(|| Do::Bytes(vec![0, 0, 0, 1, 0])),
        Box::new(|| Do::Bytes(vec![0x7f, 0xff, 0xff, 0xff, 0])),
        // A whole frame of nonsense, and one whose arrays are longer than it is.
        Box::new(|| Do::Bytes([vec![0, 0, 0, 60], vec![0xee; 60]].concat())),
        Box::new(|| Do::Bytes([vec![0, 0, 0, 20, 0, 0, 0, 1], vec![0xff; 16]].concat())),
    ];
    let (count, mut turn) = (nonsense.len(), nonsense.into_iter());
    let last = good.clone();
    let pipes = Pipes::new(move |_, request| {
        usual(&request, 0, 0)
            .or_else(|| turn.next().map(|nonsense| nonsense()))
            .unwrap_or_else(|| Do::Answer(fetched(ErrorCode::None, last.clone())))
    });
    let log = pipes.connect().await.unwrap();
    assert_eq!(fetch(&log).await.unwrap(), good.len());
    assert_eq!(pipes.count(ApiKey::Fetch), count + 1);
}

#[tokio::test]
async fn records_are_cut_to_whole_batches_and_checked() {
    let good = batch_of(5, 0);
    let cut = Bytes::from([&good[..], &good[..good.len() - 1]].concat());
    let mut bad = good.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    for (records, length) in [(cut, Some(good.len())), (bad.into(), None), (good.slice(..30), Some(0))] {
        let pipes = Pipes::new(move |_, request| {
            usual(&request, 0, 0).unwrap_or_else(|| Do::Answer(fetched(ErrorCode::None, records.clone())))
        });
        let log = pipes.connect().await.unwrap();
        match (fetch(&log).await, length) {
            (Ok(read), Some(length)) => assert_eq!(read, length),
            (Err(Error::Malformed { .. }), None) => {}
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_broker_that_is_off_is_passed_over() {
    let pipes =
        Pipes::new(|_, request| usual(&request, 1, 0).unwrap_or_else(|| Do::Answer(produced(ErrorCode::None, 1))));
    pipes.0.lock().off.push("a:1".into());
    let log = pipes.connect().await.unwrap();
    assert_eq!(append(&log, batch_of(5, 0)).await.unwrap(), 1);
    pipes.0.lock().off.push("b:1".into());
    let nobody = pipes.connect().await.unwrap_err();
    assert!(matches!(nobody, Error::Unreachable { .. }), "{nobody}");
}

#[tokio::test]
async fn older_brokers_are_spoken_to_in_their_versions() {
    for api_versions in 0..=4 {
        let pipes = Pipes::new(|_, request| {
            usual(&request, 0, 0).unwrap_or_else(|| {
                // By name, as these versions have it.
                let Response::Produce(mut answer) = produced(ErrorCode::None, 9) else { unreachable!() };
                answer.responses[0].name = "t".into();
                Do::Answer(Response::Produce(answer))
            })
        });
        pipes.0.lock().api_versions = api_versions;
        pipes.0.lock().versions.extend([(ApiKey::Produce, 7), (ApiKey::Metadata, 4), (ApiKey::EndTxn, -1)]);
        let log = pipes.connect().await.unwrap();
        assert_eq!(append(&log, batch_of(5, 0)).await.unwrap(), 9, "ApiVersions {api_versions}");
    }
}

#[tokio::test]
async fn an_api_that_is_not_spoken_is_not_offered() {
    let pipes = Pipes::new(|_, request| usual(&request, 0, 0).unwrap_or(Do::Ignore));
    pipes.0.lock().versions.insert(ApiKey::Produce, 2);
    let log = pipes.connect().await.unwrap();
    let refused = append(&log, batch_of(5, 0)).await.unwrap_err();
    assert!(matches!(refused, Error::Unsupported { what: "Produce" }), "{refused}");
    assert_eq!(pipes.count(ApiKey::Produce), 0);
}
