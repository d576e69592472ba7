//! Fetch: batches from partitions, as a consumer reads them.
//!
//! Fetch sessions (KIP-227) are never begun: every answer has session id 0, which tells the client to say all it wants
//! each time. Followers are not served here: replication has a way of its own.

use super::{id_from, partition, topic};
use crate::broker::produce::{FetchEach, FetchedEach};
use crate::broker::server::context::Context;
use crate::record::{Compression, batches};
use crate::service::FetchPartition;
use crate::types::{AclOperation, Isolation, LogOffsets};
use crate::wire::fetch::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use crate::wire::{ErrorCode, FetchRequest, FetchResponse, Version};
use bytes::Bytes;
use std::time::Duration;

/// The first version whose senders know zstd (KIP-110).
const ZSTD_FROM: i16 = 10;
/// The first version that names topics by id.
const IDS_FROM: i16 = 13;
/// Kafka's `fetch.max.bytes` of a broker.
const BYTES_MAX: u32 = 55 * 1024 * 1024;
/// The epoch that ends a session, which begins none.
const FINAL_EPOCH: i32 = -1;
/// A reader of committed records.
const READ_COMMITTED: i8 = 1;
/// The replica that anyone may claim to be, to look at what a follower would get.
const DEBUGGER: i32 = -2;

pub(in crate::broker::server) async fn fetch(
    context: &Context,
    request: FetchRequest,
    version: Version,
) -> FetchResponse {
    if request.session_id != 0 && request.session_epoch != FINAL_EPOCH {
        return refuse(ErrorCode::FetchSessionIdNotFound);
    }
    let replica = request.replica_id.max(request.replica_state.replica_id);
    if !(DEBUGGER..0).contains(&replica) {
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    // The partitions to read, and of each that was asked for whether it is the next of them.
    let (mut wanted, mut answers) = (Vec::new(), Vec::new());
    for asked in &request.topics {
        let topic = topic(context, &asked.topic, id_from(version, IDS_FROM, asked.topic_id), AclOperation::Read);
        let each = asked.partitions.iter().map(|one| {
            let topic = topic.as_ref().map_err(|code| *code)?;
            let (name, _) = partition(topic, one.partition, one.current_leader_epoch)?;
            let max_bytes = u32::try_from(one.partition_max_bytes).unwrap_or(0);
            wanted.push(FetchPartition { partition: name, offset: one.fetch_offset, max_bytes });
            Ok(())
        });
        answers.push(each.collect::<Vec<Result<(), ErrorCode>>>());
    }
    let isolation = match request.isolation_level {
        READ_COMMITTED => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let is_refused = answers.iter().flatten().any(Result::is_err);
    let millis = |n| Duration::from_millis(u64::try_from(n).unwrap_or(0));
    let each = FetchEach {
        partitions: wanted,
        // What is wrong is told at once.
        max_wait: if is_refused { Duration::ZERO } else { millis(request.max_wait_ms) },
        min_bytes: u32::try_from(request.min_bytes).unwrap_or(0),
        max_bytes: u32::try_from(request.max_bytes).unwrap_or(0).min(BYTES_MAX),
        isolation,
    };
    let at_once = FetchEach { max_wait: Duration::ZERO, ..each.clone() };
    let fetched = tokio::select! {
        fetched = context.broker().read_each(each) => fetched,
        () = context.stopping() => context.broker().read_each(at_once).await,
    };
    let mut fetched = match fetched {
        Ok(fetched) => fetched.into_iter(),
        Err(error) => return refuse(ErrorCode::of(&error)),
    };
    let responses = request.topics.into_iter().zip(answers).map(|(asked, answers)| {
        let partitions = asked.partitions.iter().zip(answers).map(|(one, answer)| {
            let data = answer.and_then(|()| {
                let fetched = fetched.next().ok_or(ErrorCode::UnknownServerError)?;
                data(fetched, isolation, version)
            });
            PartitionData { partition_index: one.partition, ..data.unwrap_or_else(refuse_one) }
        });
        let partitions = partitions.collect();
        FetchableTopicResponse { topic: asked.topic, topic_id: asked.topic_id, partitions }
    });
    FetchResponse { responses: responses.collect(), ..Default::default() }
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
