//! ListOffsets and OffsetForLeaderEpoch: where something is in a partition.

use super::{partition, topic};
use crate::broker::server::context::Context;
use crate::types::{AclOperation, Timestamp};
use crate::wire::list_offsets::{ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::wire::offset_for_leader_epoch::{EpochEndOffset, OffsetForLeaderPartition, OffsetForLeaderTopicResult};
use crate::wire::{
    ErrorCode, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    Version,
};

/// Places in a partition that have a name instead of a time, and the first version that knows each.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: (i64, i16) = (-3, 7);
const EARLIEST_LOCAL: (i64, i16) = (-4, 8);
const LATEST_TIERED: (i64, i16) = (-5, 9);
const EARLIEST_PENDING_UPLOAD: (i64, i16) = (-6, 11);
/// A reader of committed records.
const READ_COMMITTED: i8 = 1;

pub(in crate::broker::server) async fn list_offsets(
    context: &Context,
    request: ListOffsetsRequest,
    version: Version,
) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for one in &asked.partitions {
            let found = list(context, &asked.name, one, request.isolation_level, version).await;
            let refused =
                |code: ErrorCode| ListOffsetsPartitionResponse { error_code: code.number(), ..Default::default() };
            let found = found.unwrap_or_else(refused);
            partitions.push(ListOffsetsPartitionResponse { partition_index: one.partition_index, ..found });
        }
        topics.push(ListOffsetsTopicResponse { name: asked.name, partitions });
    }
    ListOffsetsResponse { topics, ..Default::default() }
}

async fn list(
    context: &Context,
    name: &str,
    asked: &ListOffsetsPartition,
    isolation_level: i8,
    version: Version,
) -> Result<ListOffsetsPartitionResponse, ErrorCode> {
    let topic = topic(context, name, None, AclOperation::Describe)?;
    let (_, partition) = partition(&topic, asked.partition_index, asked.current_leader_epoch)?;
    let offsets = partition.offsets();
    let epoch = partition.leader_epoch();
    let place = |offset, timestamp: Option<Timestamp>| ListOffsetsPartitionResponse {
        offset,
        timestamp: timestamp.map_or(-1, |timestamp| timestamp.0),
        leader_epoch: epoch,
        ..Default::default()
    };
    let nowhere = ListOffsetsPartitionResponse::default();
    let known_from = |(_, first): (i64, i16)| match version.number >= first {
        true => Ok(()),
        false => Err(ErrorCode::UnsupportedVersion),
    };
    Ok(match asked.timestamp {
        LATEST if isolation_level == READ_COMMITTED => place(offsets.last_stable_offset, None),
        LATEST => place(offsets.high_watermark, None),
        EARLIEST => place(offsets.log_start_offset, None),
        at if at == EARLIEST_LOCAL.0 => {
            known_from(EARLIEST_LOCAL)?;
            place(offsets.log_start_offset, None)
        }
        // Nothing is kept elsewhere.
        at if at == LATEST_TIERED.0 => known_from(LATEST_TIERED).map(|()| nowhere)?,
        at if at == EARLIEST_PENDING_UPLOAD.0 => known_from(EARLIEST_PENDING_UPLOAD).map(|()| nowhere)?,
        at if at == MAX_TIMESTAMP.0 => {
            known_from(MAX_TIMESTAMP)?;
            let found = partition.find(None).await.map_err(|error| ErrorCode::of(&error))?;
            found.map_or(nowhere, |(offset, timestamp)| place(offset, Some(timestamp)))
        }
        at if at < 0 => return Err(ErrorCode::UnsupportedVersion),
        at => {
            let found = partition.find(Some(Timestamp(at))).await.map_err(|error| ErrorCode::of(&error))?;
            found.map_or(nowhere, |(offset, timestamp)| place(offset, Some(timestamp)))
        }
    })
}

pub(in crate::broker::server) fn offset_for_leader_epoch(
    context: &Context,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|asked| {
        let topic = topic(context, &asked.topic, None, AclOperation::Describe);
        let partitions = asked.partitions.iter().map(|one| {
            let OffsetForLeaderPartition { partition: index, current_leader_epoch, leader_epoch } = *one;
            let ended = topic.as_ref().map_err(|code| *code).and_then(|topic| {
                let (_, partition) = partition(topic, index, current_leader_epoch)?;
                Ok(partition.end_of_epoch(leader_epoch))
            });
            match ended {
                Ok(Some((leader_epoch, end_offset))) => {
                    EpochEndOffset { partition: index, leader_epoch, end_offset, ..Default::default() }
                }
                Ok(None) => EpochEndOffset { partition: index, ..Default::default() },
                Err(code) => EpochEndOffset { error_code: code.number(), partition: index, ..Default::default() },
            }
        });
        OffsetForLeaderTopicResult { partitions: partitions.collect(), topic: asked.topic }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}
