//! Writing: one batch for one partition at a time from the caller, gathered by broker into requests.
//!
//! ```text
//!   produce ──▶ leader ──▶ that broker's queue ──▶ [batch, batch, …] one request ──▶ answers, each to its own
//!      ▲                                                                                │
//!      └──────────── again, at the leader of then: the same bytes, the same sequence ◀──┘
//! ```
//! While [`REQUESTS_MAX`] requests are on their way the next one gathers. A request has one batch of a partition at most,
//! and those of one transactional id.
//!
//! Nothing is lost, duplicated or reordered by trying again: a caller has one batch of a partition on its way, and what
//! goes again is the same batch, whose producer and sequence tell the broker whether it has it already. A batch without
//! a producer goes again only if it surely was not appended.

use super::Remote;
use super::cluster::{Cluster, Target, answer, call};
use super::connection::Lost;
use super::metadata::Topic;
use super::peer::{Call, Lane};
use super::retry::{ANSWER_LIMIT, DELIVERY_LIMIT, Trouble};
use crate::record::BatchHeader;
use crate::service::{Produce, Produced};
use crate::types::{Error, ProducerIdentity, Result, Timestamp, TopicPartition, TransactionalId};
use crate::wire::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use crate::wire::{ErrorCode, ProduceRequest, Request};
use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;

/// Requests with batches that are on their way to one broker.
const REQUESTS_MAX: usize = 4;
/// Bytes of batches that one request gathers; one that is larger goes alone.
const REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// The last version that names topics, and the first of transactions that need no adding.
const NAMES_TO: i16 = 12;
const V2_FROM: i16 = 12;
/// The first version that may hold any codec, and the acknowledgement by all replicas in sync.
const LEAST: i16 = 7;
const ACKS_ALL: i16 = -1;

/// The queues of all brokers.
#[derive(Debug, Default)]
pub(super) struct Appenders {
    by_node: Mutex<HashMap<i32, Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// A task works on it.
    is_served: bool,
}

/// A batch on its way, and who waits.
#[derive(Debug)]
struct Waiting {
    partition: TopicPartition,
    topic: Arc<Topic>,
    batch: Bytes,
    transaction: Option<(TransactionalId, bool)>,
    appended: oneshot::Sender<Result<Produced, Failed>>,
}

/// Why a batch has not been acknowledged.
#[derive(Clone, Debug)]
enum Failed {
    Lost(Lost),
    Refused { code: ErrorCode, message: Option<String> },
}

impl Remote {
    pub(super) async fn append(&self, request: Produce) -> Result<Produced> {
        let Produce { partition, batch, transaction } = request;
        let header = BatchHeader::parse(&batch)?.ok_or(Error::Malformed { why: "no batch is there".into() })?;
        let producer = ProducerIdentity { id: header.producer_id, epoch: header.producer_epoch };
        let transaction = match transaction {
            None => None,
            Some(transaction) => {
                let id = transaction.transactional_id;
                let by_writing = self.join_transaction(&id, producer, &partition).await?;
                Some((id, by_writing))
            }
        };
        let mut patience = self.cluster.patience(DELIVERY_LIMIT);
        loop {
            let trouble = match self.append_once(&partition, &batch, &transaction).await {
                Ok(produced) => return Ok(produced),
                Err(Attempt::Leaderless(trouble)) => trouble,
                Err(Attempt::Failed(Failed::Lost(lost))) => {
                    self.cluster.mark_stale(&partition.topic);
                    if lost.may_be_done && header.producer_id < 0 {
                        return Err(lost.error);
                    }
                    lost.into()
                }
                Err(Attempt::Failed(Failed::Refused { code, message })) => {
                    self.cluster.mark_stale(&partition.topic);
                    if code == ErrorCode::NotEnoughReplicasAfterAppend && header.producer_id < 0 {
                        return Err(refusal(code, message, &partition, &header, transaction.as_ref()));
                    }
                    match Trouble::of(code.number(), partition.topic.as_str(), message.as_deref()) {
                        Some(Trouble::Again(error)) => Trouble::Again(error),
                        _ => return Err(refusal(code, message, &partition, &header, transaction.as_ref())),
                    }
                }
            };
            patience.after(trouble).await?;
        }
    }

    async fn append_once(
        &self,
        partition: &TopicPartition,
        batch: &Bytes,
        transaction: &Option<(TransactionalId, bool)>,
    ) -> Result<Produced, Attempt> {
        let (topic, node) = self.cluster.leader(partition).await.map_err(Attempt::Leaderless)?;
        let (appended, answer) = oneshot::channel();
        let (partition, batch, transaction) = (partition.clone(), batch.clone(), transaction.clone());
        let waiting = Waiting { partition, topic, batch, transaction, appended };
        let is_served = {
            let mut queues = self.appenders.by_node.lock();
            let queue = queues.entry(node).or_default();
            queue.waiting.push_back(waiting);
            std::mem::replace(&mut queue.is_served, true)
        };
        if !is_served {
            tokio::spawn(serve(self.cluster.clone(), self.appenders.clone(), node));
        }
        let closed = Failed::Lost(Lost { may_be_done: true, error: Error::Closed });
        answer.await.unwrap_or(Err(closed)).map_err(Attempt::Failed)
    }
}

/// What came of one attempt.
enum Attempt {
    Leaderless(Trouble),
    Failed(Failed),
}

/// What a refusal means, with what is known of the batch.
fn refusal(
    code: ErrorCode,
    message: Option<String>,
    partition: &TopicPartition,
    header: &BatchHeader,
    transaction: Option<&(TransactionalId, bool)>,
) -> Error {
    let producer = ProducerIdentity { id: header.producer_id, epoch: header.producer_epoch };
    let why = message.clone().unwrap_or_else(|| code.message().to_owned());
    match (code, transaction) {
        (ErrorCode::OutOfOrderSequenceNumber | ErrorCode::UnknownProducerId, _) => Error::OutOfOrderSequence {
            partition: partition.clone(),
            producer_id: producer.id,
            got: header.base_sequence,
            // Not told.
            expected: -1,
        },
        (ErrorCode::ProducerFenced | ErrorCode::InvalidProducerEpoch, Some((id, _))) => {
            Error::ProducerFenced { transactional_id: id.clone(), producer, why }
        }
        (ErrorCode::InvalidProducerEpoch, None) => {
            Error::StaleProducerEpoch { partition: partition.clone(), producer, current: -1 }
        }
        (ErrorCode::InvalidProducerIdMapping, Some((id, _))) => {
            Error::UnknownProducer { transactional_id: id.clone(), producer, why }
        }
        (code, transaction) => {
            let subject = match (code, transaction) {
                (ErrorCode::ConcurrentTransactions, Some((id, _))) => id.to_string(),
                _ => partition.topic.to_string(),
            };
            code.error(&subject, message.as_deref()).unwrap_or(Error::Closed)
        }
    }
}

/// Sends what waits for one broker, until nothing does.
async fn serve(cluster: Arc<Cluster>, appenders: Arc<Appenders>, node: i32) {
    let mut on_the_way = FuturesUnordered::new();
    loop {
        if on_the_way.len() < REQUESTS_MAX {
            let gathered = {
                let mut queues = appenders.by_node.lock();
                let queue = queues.entry(node).or_default();
                let gathered = gather(&mut queue.waiting);
                if gathered.is_empty() && on_the_way.is_empty() {
                    queue.is_served = false;
                    return;
                }
                gathered
            };
            if !gathered.is_empty() {
                on_the_way.push(send(&cluster, node, gathered));
                continue;
            }
        }
        // What has come meanwhile goes with the next request.
        on_the_way.next().await;
    }
}

/// Takes what goes into one request, in order: of one transactional id, one batch of a partition.
fn gather(waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let (mut gathered, mut left) = (Vec::<Waiting>::new(), VecDeque::new());
    let (mut bytes, mut named) = (0, BTreeSet::new());
    while let Some(next) = waiting.pop_front() {
        let fits = gathered.first().is_none_or(|first| {
            let has_id = next.topic.id.is_some() == first.topic.id.is_some();
            first.transaction == next.transaction && has_id && bytes + next.batch.len() <= REQUEST_BYTES
        });
        // A partition that was passed over stays in order.
        if fits && named.insert(next.partition.clone()) {
            bytes += next.batch.len();
            gathered.push(next);
        } else {
            named.insert(next.partition.clone());
            left.push_back(next);
        }
    }
    *waiting = left;
    gathered
}

async fn send(cluster: &Cluster, node: i32, gathered: Vec<Waiting>) {
    let first = gathered.first().expect("nothing is sent without a batch");
    let mut topics = BTreeMap::<String, TopicProduceData>::new();
    for one in &gathered {
        let into = topics.entry(one.partition.topic.to_string()).or_insert_with(|| TopicProduceData {
            name: one.partition.topic.as_str().into(),
            topic_id: one.topic.uuid(),
            partition_data: Vec::new(),
        });
        let index = i32::try_from(one.partition.partition).unwrap_or(i32::MAX);
        into.partition_data.push(PartitionProduceData { index, records: Some(one.batch.clone()) });
    }
    let request = ProduceRequest {
        transactional_id: first.transaction.as_ref().map(|(id, _)| id.as_str().into()),
        acks: ACKS_ALL,
        timeout_ms: i32::try_from(ANSWER_LIMIT.as_millis()).unwrap_or(i32::MAX),
        topic_data: topics.into_values().collect(),
    };
    let names_to = if first.topic.id.is_some() { i16::MAX } else { NAMES_TO };
    let versions = match first.transaction {
        Some((_, true)) => V2_FROM..=names_to,
        Some((_, false)) => LEAST..=V2_FROM - 1,
        None => LEAST..=names_to,
    };
    // The broker gives up by itself; its answer has to get here.
    let call = Call { versions, lane: Lane::Append, limit: ANSWER_LIMIT * 2, ..call(Request::Produce(request)) };
    let response = match answer!(cluster.ask(Target::Node(node), call).await, Produce) {
        Ok(response) => response,
        Err(lost) => {
            for one in gathered {
                // Who waited may have gone.
                let _ = one.appended.send(Err(Failed::Lost(lost.clone())));
            }
            return;
        }
    };
    let mut answers = HashMap::new();
    for topic in response.responses {
        for one in topic.partition_responses {
            answers.insert((topic.name.to_string(), topic.topic_id, one.index), one);
        }
    }
    for one in gathered {
        let index = i32::try_from(one.partition.partition).unwrap_or(i32::MAX);
        let (name, id) = (one.partition.topic.to_string(), one.topic.uuid());
        // By name, or by id.
        let by_name = answers.remove(&(name, uuid::Uuid::nil(), index));
        let told = by_name.or_else(|| answers.remove(&(String::new(), id, index)));
        let _ = one.appended.send(told.map_or_else(|| Err(left_out()), appended));
    }
}

fn left_out() -> Failed {
    Failed::Refused { code: ErrorCode::UnknownServerError, message: Some("the answer leaves out the batch".into()) }
}

fn appended(told: PartitionProduceResponse) -> Result<Produced, Failed> {
    let append_time = Some(told.log_append_time_ms).filter(|time| *time >= 0).map(Timestamp);
    match ErrorCode::from_number(told.error_code) {
        ErrorCode::None => Ok(Produced { base_offset: told.base_offset, duplicate: false, append_time }),
        // It is there, and older than what the partition remembers of the producer.
        ErrorCode::DuplicateSequenceNumber => {
            Ok(Produced { base_offset: told.base_offset, duplicate: true, append_time })
        }
        code => Err(Failed::Refused { code, message: told.error_message.map(Into::into) }),
    }
}
