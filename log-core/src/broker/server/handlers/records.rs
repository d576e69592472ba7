//! DeleteRecords.

use super::{partition, topic};
use crate::broker::server::context::Context;
use crate::service::DeleteRecords;
use crate::types::{AclOperation, OffsetSpec};
use crate::wire::delete_records::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use crate::wire::{DeleteRecordsRequest, DeleteRecordsResponse, ErrorCode};

/// The offset that means the high watermark.
const ALL: i64 = -1;

pub(in crate::broker::server) async fn delete_records(
    context: &Context,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for one in &asked.partitions {
            let deleted = delete(context, &asked.name, one.partition_index, one.offset).await;
            let (low_watermark, error_code) = deleted.map_or_else(|code| (-1, code.number()), |start| (start, 0));
            let partition_index = one.partition_index;
            partitions.push(DeleteRecordsPartitionResult { partition_index, low_watermark, error_code });
        }
        topics.push(DeleteRecordsTopicResult { name: asked.name, partitions });
    }
    DeleteRecordsResponse { topics, ..Default::default() }
}

/// Deletes the records of one partition before an offset; where it begins now.
async fn delete(context: &Context, name: &str, index: i32, offset: i64) -> Result<i64, ErrorCode> {
    let topic = topic(context, name, None, AclOperation::Delete)?;
    let (name, _) = partition(&topic, index, -1)?;
    if topic.name.is_internal() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let before = match offset {
        ALL => OffsetSpec::Latest,
        offset if offset < 0 => return Err(ErrorCode::OffsetOutOfRange),
        offset => OffsetSpec::Exactly(offset),
    };
    let deleted = context.broker().delete_records(&DeleteRecords { partitions: vec![(name, before)] });
    let deleted = deleted.map_err(|error| ErrorCode::of(&error))?;
    deleted.first().map(|listed| listed.offset).ok_or(ErrorCode::UnknownServerError)
}
