//! Produce: batches for partitions, submitted in the order in which they stand.

use super::{id_from, partition, text, topic};
use crate::broker::server::context::{Context, Resource};
use crate::broker::server::ended::Ended;
use crate::broker::topics::Topic;
use crate::record::{Batch, Compression, batches};
use crate::service::{Produce, ProduceTransaction, Produced};
use crate::shard::Acks;
use crate::types::{AclOperation, Error, TransactionVersion, TransactionalId};
use crate::wire::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, TopicProduceResponse,
};
use crate::wire::{ErrorCode, ProduceRequest, ProduceResponse, Response, Version};
use bytes::Bytes;
use futures::future::join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Where a batch says in which format it is: the same place in all of them.
const MAGIC_AT: usize = 16;
/// The one format that is taken.
const MAGIC: u8 = 2;
/// The first version whose senders know zstd (KIP-110).
const ZSTD_FROM: i16 = 7;
/// The first version that knows `TRANSACTION_ABORTABLE` (KIP-890).
const ABORTABLE_FROM: i16 = 11;
/// The first version by which the broker itself adds partitions to the transaction (KIP-890).
const V2_FROM: i16 = 12;
/// The first version that names topics by id.
const IDS_FROM: i16 = 13;

/// Why a batch was not appended.
#[derive(Clone, Debug)]
struct Refusal {
    code: ErrorCode,
    why: String,
    /// Which of its records are wrong, if it is not all of them.
    records: Vec<(u32, String)>,
}

impl From<(ErrorCode, String)> for Refusal {
    fn from((code, why): (ErrorCode, String)) -> Self {
        Self { code, why, records: Vec::new() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        (code, code.message().to_owned()).into()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (code, why) = (ErrorCode::of(&error), error.to_string());
        match error {
            Error::InvalidRecord { records, .. } => Self { code, why, records },
            _ => (code, why).into(),
        }
    }
}

/// What a request says of all its batches.
#[derive(Clone, Debug)]
struct How {
    acks: i16,
    limit: Duration,
    transaction: Result<Option<ProduceTransaction>, Refusal>,
    version: Version,
}

pub(in crate::broker::server) async fn produce(
    context: &Context,
    request: ProduceRequest,
    version: Version,
) -> Result<Option<Response>, Ended> {
    let how = How {
        acks: request.acks,
        limit: Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)),
        transaction: request.transactional_id.map(|id| transaction(context, &id, version)).transpose(),
        version,
    };
    let topics =
        request.topic_data.into_iter().map(|data| {
            let (name, topic_id) = (data.name, data.topic_id);
            let topic = topic(context, &name, id_from(version, IDS_FROM, topic_id), AclOperation::Write);
            let append = |one: PartitionProduceData| {
                let (topic, index, how) = (topic.clone(), one.index, how.clone());
                async move {
                    append(context, topic, one, how).await.unwrap_or_else(|refusal| refuse(index, refusal, version))
                }
            };
            let appends = join_all(data.partition_data.into_iter().map(append));
            async move { TopicProduceResponse { name, topic_id, partition_responses: appends.await } }
        });
    let responses = join_all(topics).await;
    if how.acks == 0 {
        let mut answers = responses.iter().flat_map(|topic| &topic.partition_responses);
        return match answers.find(|answer| answer.error_code != 0) {
            Some(failed) => {
                let why = failed.error_message.as_deref().unwrap_or_default().to_owned();
                Err(Ended::Unanswered(Error::InvalidRequest { why }))
            }
            None => Ok(None),
        };
    }
    Ok(Some(Response::Produce(ProduceResponse { responses, ..Default::default() })))
}

/// The transaction that a request writes in, as its version has it.
fn transaction(context: &Context, id: &str, version: Version) -> Result<ProduceTransaction, Refusal> {
    if !context.may(AclOperation::Write, Resource::TransactionalId(id)) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed.into());
    }
    let transactional_id = TransactionalId::new(id)?;
    let version = if version.number >= V2_FROM { TransactionVersion::V2 } else { TransactionVersion::V1 };
    Ok(ProduceTransaction { transactional_id, version })
}

async fn append(
    context: &Context,
    topic: Result<Arc<Topic>, ErrorCode>,
    data: PartitionProduceData,
    how: How,
) -> Result<PartitionProduceResponse, Refusal> {
    let (topic, index) = (topic?, data.index);
    let transaction = how.transaction?;
    let acks = match how.acks {
        0 | 1 => Acks::Written,
        -1 => Acks::All,
        other => return Err((ErrorCode::InvalidRequiredAcks, format!("acks is -1, 0 or 1, not {other}")).into()),
    };
    if topic.name.is_internal() {
        let why = format!("`{}` belongs to the system; it is read-only", topic.name);
        return Err((ErrorCode::InvalidTopicException, why).into());
    }
    let (partition, place) = partition(&topic, index, -1)?;
    let batch = one_batch(data.records.unwrap_or_default(), transaction.is_some(), how.version)?;
    let append = context.broker().append(Produce { partition, batch, transaction }, acks);
    let appended = match acks {
        Acks::Written => append.await,
        Acks::All => timeout(how.limit, append).await.map_err(|_| Refusal::from(ErrorCode::RequestTimedOut))?,
    };
    let Produced { base_offset, append_time, .. } = appended?;
    Ok(PartitionProduceResponse {
        index,
        base_offset,
        log_append_time_ms: append_time.map_or(-1, |time| time.0),
        log_start_offset: place.offsets().log_start_offset,
        ..Default::default()
    })
}

/// What can be said of a batch without a look into its records: that it is one, of a format that is taken. The broker
/// checks the rest.
fn one_batch(records: Bytes, is_transactional: bool, version: Version) -> Result<Bytes, Refusal> {
    match records.get(MAGIC_AT) {
        None => return Err((ErrorCode::InvalidRecord, "there is no batch for the partition".to_owned()).into()),
        Some(&MAGIC) => {}
        Some(magic) => {
            let why = format!("the records have format {magic}, and only {MAGIC} is taken");
            return Err((ErrorCode::InvalidRecord, why).into());
        }
    }
    let mut all = batches(records.clone());
    let Some(Ok(Batch { header, .. })) = all.next() else {
        return Err((ErrorCode::CorruptMessage, "the batch is not whole".into()).into());
    };
    if all.next().is_some() {
        return Err((ErrorCode::InvalidRecord, "there is more than one batch for the partition".into()).into());
    }
    if header.is_control {
        return Err((ErrorCode::InvalidRecord, "control batches are the broker's".into()).into());
    }
    if header.is_transactional && !is_transactional {
        return Err((ErrorCode::InvalidTxnState, "the batch is transactional and its request is not".into()).into());
    }
    if header.compression == Compression::Zstd && version.number < ZSTD_FROM {
        let why = format!("zstd is for requests of version {ZSTD_FROM} and above");
        return Err((ErrorCode::UnsupportedCompressionType, why).into());
    }
    Ok(records)
}

fn refuse(index: i32, refusal: Refusal, version: Version) -> PartitionProduceResponse {
    let code = match refusal.code {
        // Producers know this one of appends in every version.
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if version.number < ABORTABLE_FROM => ErrorCode::InvalidTxnState,
        // Those who add partitions themselves take this for the end; the other one they try again.
        ErrorCode::ConcurrentTransactions if version.number < V2_FROM => ErrorCode::NotEnoughReplicas,
        code => code,
    };
    let wrong = |(batch_index, why): (u32, String)| BatchIndexAndErrorMessage {
        batch_index: i32::try_from(batch_index).unwrap_or(i32::MAX),
        batch_index_error_message: text(why),
    };
    PartitionProduceResponse {
        index,
        error_code: code.number(),
        base_offset: -1,
        record_errors: refusal.records.into_iter().map(wrong).collect(),
        error_message: text(refusal.why),
        ..Default::default()
    }
}
