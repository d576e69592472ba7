//! Fetch: batches from partitions, as a consumer reads them.
//!
//! ```text
//!   request ──▶ session: what to read ──▶ topics, partitions, access ──▶ the broker ──▶ session: what to tell
//! ```
//! In a session (KIP-227) a request says what has changed and is told what is new. Followers are not served here:
//! replication has a way of its own.

use super::{partition, topic};
use crate::broker::produce::{FetchEach, FetchedEach};
use crate::broker::server::context::Context;
use crate::broker::server::sessions::{Asked, Key, Refused, Seen, Topic, Wanted};
use crate::record::{Compression, batches};
use crate::service::{FetchPartition, Service as _};
use crate::types::{AclOperation, Error, Isolation, LogOffsets};
use crate::wire::fetch::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use crate::wire::{ErrorCode, FetchRequest, FetchResponse, Str, Version};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The first version whose senders know zstd (KIP-110).
const ZSTD_FROM: i16 = 10;
/// The first version that names topics by id.
const IDS_FROM: i16 = 13;
/// Kafka's `fetch.max.bytes` of a broker.
const BYTES_MAX: u32 = 55 * 1024 * 1024;
/// A reader of committed records.
const READ_COMMITTED: i8 = 1;
/// The replica that anyone may claim to be, to look at what a follower would get.
const DEBUGGER: i32 = -2;

pub(in crate::broker::server) async fn fetch(
    context: &Context,
    request: FetchRequest,
    version: Version,
) -> FetchResponse {
    let replica = request.replica_id.max(request.replica_state.replica_id);
    if !(DEBUGGER..0).contains(&replica) {
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    let how = How::of(&request, version);
    let now = || context.broker().clock().instant();
    let begun = context.shared.sessions.lock().begin(now(), asked(request, version));
    let (begun, wanted) = match begun {
        Ok(begun) => begun,
        Err(refused) => return refuse(code_of(refused)),
    };
    let read = match read(context, wanted, &how).await {
        Ok(read) => read,
        Err(code) => return refuse(code),
    };
    let seen: Vec<_> = read.iter().map(|(wanted, data)| (wanted.clone(), seen(data))).collect();
    let ended = context.shared.sessions.lock().end(now(), &begun, &seen);
    let (session_id, told) = match ended {
        Ok(ended) => ended,
        Err(refused) => return refuse(code_of(refused)),
    };
    let mut responses = Vec::<FetchableTopicResponse>::new();
    let mut last = None;
    for ((wanted, data), _) in read.into_iter().zip(told).filter(|(_, told)| *told) {
        // Partitions of a topic that stand together are told together.
        if last.as_ref() != Some(&wanted.key.topic) {
            let (topic, topic_id) = match &wanted.key.topic {
                Topic::Name(name) => (Str::from(&**name), Uuid::nil()),
                Topic::Id(id) => (Str::default(), *id),
            };
            responses.push(FetchableTopicResponse { topic, topic_id, partitions: Vec::new() });
            last = Some(wanted.key.topic);
        }
        if let Some(topic) = responses.last_mut() {
            topic.partitions.push(data);
        }
    }
    FetchResponse { session_id, responses, ..Default::default() }
}

/// What holds for all partitions of a request.
#[derive(Clone, Copy, Debug)]
struct How {
    max_wait: Duration,
    min_bytes: u32,
    max_bytes: u32,
    isolation: Isolation,
    version: Version,
}

impl How {
    fn of(request: &FetchRequest, version: Version) -> Self {
        let bytes = |n| u32::try_from(n).unwrap_or(0);
        Self {
            max_wait: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
            min_bytes: bytes(request.min_bytes),
            max_bytes: bytes(request.max_bytes).min(BYTES_MAX),
            isolation: match request.isolation_level {
                READ_COMMITTED => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            version,
        }
    }
}

/// What a request says to its session. Names are copied: a session outlives the frame.
fn asked(request: FetchRequest, version: Version) -> Asked {
    let by_id = version.number >= IDS_FROM;
    let topic = |name: &str, id| if by_id { Topic::Id(id) } else { Topic::Name(Arc::from(name)) };
    let mut wanted = Vec::new();
    for asked in &request.topics {
        let topic = topic(&asked.topic, asked.topic_id);
        wanted.extend(asked.partitions.iter().map(|one| Wanted {
            key: Key { topic: topic.clone(), index: one.partition },
            offset: one.fetch_offset,
            max_bytes: one.partition_max_bytes,
            leader_epoch: one.current_leader_epoch,
        }));
    }
    let mut forgotten = Vec::new();
    for asked in &request.forgotten_topics_data {
        let topic = topic(&asked.topic, asked.topic_id);
        forgotten.extend(asked.partitions.iter().map(|index| Key { topic: topic.clone(), index: *index }));
    }
    Asked { id: request.session_id, epoch: request.session_epoch, by_id, wanted, forgotten }
}

/// Reads all that is wanted. What is wrong with one partition is in its place.
async fn read(context: &Context, wanted: Vec<Wanted>, how: &How) -> Result<Vec<(Wanted, PartitionData)>, ErrorCode> {
    let mut partitions = Vec::with_capacity(wanted.len());
    let mut found = Vec::<Result<(), ErrorCode>>::with_capacity(wanted.len());
    for together in wanted.chunk_by(|one, next| one.key.topic == next.key.topic) {
        let topic = match &together[0].key.topic {
            Topic::Name(name) => topic(context, name, None, AclOperation::Read),
            Topic::Id(id) => topic(context, "", Some(*id), AclOperation::Read),
        };
        found.extend(together.iter().map(|one| {
            let topic = topic.as_ref().map_err(|code| *code)?;
            let (name, _) = partition(topic, one.key.index, one.leader_epoch)?;
            let max_bytes = u32::try_from(one.max_bytes).unwrap_or(0);
            partitions.push(FetchPartition { partition: name, offset: one.offset, max_bytes });
            Ok(())
        }));
    }
    let How { max_wait, min_bytes, max_bytes, isolation, version } = *how;
    // What is wrong is told at once.
    let max_wait = if found.iter().any(Result::is_err) { Duration::ZERO } else { max_wait };
    let each = FetchEach { partitions, max_wait, min_bytes, max_bytes, isolation };
    let fetched = within_memory(context, each).await;
    let mut fetched = fetched.map_err(|error| ErrorCode::of(&error))?.into_iter();
    let read = wanted.into_iter().zip(found).map(|(one, found)| {
        let data = found.and_then(|()| {
            let fetched = fetched.next().ok_or(ErrorCode::UnknownServerError)?;
            data(fetched, isolation, version)
        });
        let data = PartitionData { partition_index: one.key.index, ..data.unwrap_or_else(refuse_one) };
        (one, data)
    });
    Ok(read.collect())
}

/// Reads as much as there is memory for: what is there, or what comes.
async fn within_memory(context: &Context, each: FetchEach) -> Result<Vec<FetchedEach>, Error> {
    let (broker, responses) = (context.broker(), &context.shared.responses);
    {
        let max_bytes = responses.for_fetch(each.max_bytes);
        let _while_it_reads = responses.take(max_bytes as usize);
        let at_once = FetchEach { max_wait: Duration::ZERO, max_bytes, ..each.clone() };
        let fetched = broker.read_each(at_once).await?;
        let bytes: usize = fetched.iter().map(|one| one.fetched.batches.len()).sum();
        let is_enough =
            bytes >= each.min_bytes.min(max_bytes) as usize || fetched.iter().any(|one| one.error.is_some());
        if is_enough || each.max_wait.is_zero() {
            return Ok(fetched);
        }
    }
    let max_bytes = responses.for_poll(each.max_bytes, each.min_bytes);
    let each = FetchEach { max_bytes, ..each };
    let at_once = FetchEach { max_wait: Duration::ZERO, ..each.clone() };
    tokio::select! {
        fetched = broker.read_each(each) => fetched,
        () = context.stopping() => broker.read_each(at_once).await,
    }
}

fn seen(data: &PartitionData) -> Seen {
    Seen {
        has_error: data.error_code != 0,
        has_records: data.records.as_ref().is_some_and(|records| !records.is_empty()),
        high_watermark: data.high_watermark,
        last_stable_offset: data.last_stable_offset,
        log_start_offset: data.log_start_offset,
    }
}

const fn code_of(refused: Refused) -> ErrorCode {
    match refused {
        Refused::UnknownId => ErrorCode::FetchSessionIdNotFound,
        Refused::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
        Refused::MixedTopics => ErrorCode::FetchSessionTopicIdError,
    }
}

fn data(fetched: FetchedEach, isolation: Isolation, version: Version) -> Result<PartitionData, ErrorCode> {
    let FetchedEach { fetched, error } = fetched;
    if let Some(error) = error {
        return Err(ErrorCode::of(&error));
    }
    let mut compressions = batches(fetched.batches.clone()).flatten().map(|batch| batch.header.compression);
    if version.number < ZSTD_FROM && compressions.any(|compression| compression == Compression::Zstd) {
        return Err(ErrorCode::UnsupportedCompressionType);
    }
    let LogOffsets { log_start_offset, last_stable_offset, high_watermark, .. } = fetched.offsets;
    let aborted = fetched
        .aborted
        .iter()
        .map(|aborted| AbortedTransaction { producer_id: aborted.producer_id, first_offset: aborted.first_offset });
    Ok(PartitionData {
        high_watermark,
        last_stable_offset,
        log_start_offset,
        aborted_transactions: (isolation == Isolation::ReadCommitted).then(|| aborted.collect()),
        records: Some(fetched.batches),
        ..Default::default()
    })
}

fn refuse_one(code: ErrorCode) -> PartitionData {
    let error_code = code.number();
    PartitionData { error_code, high_watermark: -1, records: Some(Bytes::new()), ..Default::default() }
}

fn refuse(code: ErrorCode) -> FetchResponse {
    FetchResponse { error_code: code.number(), ..Default::default() }
}
