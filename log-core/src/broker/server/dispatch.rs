//! From the bytes of a request to its handler, and from its response to bytes.
//!
//! What is served is one list, which ApiVersions tells too. A request for anything else ends the connection, as with
//! Kafka: nobody sends it who has asked. The one exception is ApiVersions itself: a client that is newer than the broker
//! asks in a version that is not known, gets the list in version 0 with error 35, and asks again (KIP-511).

use super::authentication::is_asked_before;
use super::context::Context;
use super::ended::Ended;
use super::handlers;
use super::metrics::Served;
use super::throttle::{self, Timed};
use crate::types::{Error, QuotaKey};
use crate::wire::{ApiKey, Frame, Reader, Request, RequestHeader, Response, Str, Version};
use bytes::Bytes;
use std::pin::pin;
use std::time::Duration;
use tracing::Instrument as _;

/// What is kept of a request is copied if it is a smaller part of its frame.
const FRAME_PARTS_MAX: usize = 8;

/// The APIs that are served.
pub(super) const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::SaslHandshake,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::WriteTxnMarkers,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeAcls,
    ApiKey::CreateAcls,
    ApiKey::DeleteAcls,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::AlterReplicaLogDirs,
    ApiKey::DescribeLogDirs,
    ApiKey::SaslAuthenticate,
    ApiKey::CreatePartitions,
    ApiKey::CreateDelegationToken,
    ApiKey::RenewDelegationToken,
    ApiKey::ExpireDelegationToken,
    ApiKey::DescribeDelegationToken,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::OffsetDelete,
    ApiKey::DescribeClientQuotas,
    ApiKey::AlterClientQuotas,
    ApiKey::DescribeUserScramCredentials,
    ApiKey::AlterUserScramCredentials,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::UnregisterBroker,
    ApiKey::DescribeTransactions,
    ApiKey::ListTransactions,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::ListConfigResources,
    ApiKey::DescribeTopicPartitions,
];

/// A request that was understood.
#[derive(Debug)]
pub(super) struct Call {
    correlation_id: i32,
    version: Version,
    /// Of its sender, empty if it has none.
    client_id: Str,
    /// As it came.
    bytes: usize,
    /// `None` for an ApiVersions of a version that is not spoken.
    request: Option<Request>,
}

impl Call {
    pub(super) fn key(&self) -> ApiKey {
        self.request.as_ref().map_or(ApiKey::ApiVersions, Request::key)
    }

    /// Whether it appends, and does so in its place as soon as it is begun.
    pub(super) fn is_append(&self) -> bool {
        matches!(&self.request, Some(Request::Produce(request)) if request.transactional_id.is_none())
    }

    /// Whether it says who the peer is, or can be asked by one that has not.
    pub(super) fn is_before_authentication(&self) -> bool {
        is_asked_before(self.key())
    }

    /// Whether it may wait until somebody else does something.
    pub(super) fn waits_for_others(&self) -> bool {
        matches!(&self.request, Some(Request::Fetch(_) | Request::JoinGroup(_) | Request::SyncGroup(_)))
    }
}

/// Reads the content of a frame.
pub(super) fn read(content: Bytes) -> Result<Call, Ended> {
    let bytes = content.len();
    let mut reader = Reader::of_request(content);
    let header = RequestHeader::read(&mut reader).map_err(Ended::NotUnderstood)?;
    let version = header.version().filter(|_| SERVED.contains(&header.key));
    let RequestHeader { key, version_number, correlation_id, client_id } = header;
    let client_id = client_id.unwrap_or_default();
    let Some(version) = version else {
        if key == ApiKey::ApiVersions {
            let version = key.version(0).expect("it is spoken");
            return Ok(Call { correlation_id, version, client_id, bytes, request: None });
        }
        let why = format!("{key} version {version_number} is not served here");
        return Err(Ended::NotUnderstood(Error::InvalidRequest { why }));
    };
    let mut request = Request::read(key, version, reader).map_err(Ended::NotUnderstood)?;
    part(&mut request, bytes);
    tracing::trace!(correlation_id, version = version_number, %request, "received");
    Ok(Call { correlation_id, version, client_id, bytes, request: Some(request) })
}

/// Parts what is kept of a request from a frame of so many bytes, if the frame is much larger: batches stay in memory for
/// readers, and what members of a group say for as long as they are in it. A frame stays as long as any part of it.
fn part(request: &mut Request, bytes: usize) {
    let part = |kept: &mut Bytes| {
        if kept.len() < bytes / FRAME_PARTS_MAX {
            *kept = Bytes::copy_from_slice(kept);
        }
    };
    match request {
        Request::Produce(request) => {
            let batches = request.topic_data.iter_mut().flat_map(|topic| &mut topic.partition_data);
            batches.filter_map(|batch| batch.records.as_mut()).for_each(part);
        }
        Request::JoinGroup(request) => request.protocols.iter_mut().for_each(|protocol| part(&mut protocol.metadata)),
        Request::SyncGroup(request) => request.assignments.iter_mut().for_each(|one| part(&mut one.assignment)),
        _ => {}
    }
}

/// What a request has come to.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// The response, if it wants one.
    pub(super) frame: Option<Frame>,
    /// How long its sender is not heard from then on.
    pub(super) mute: Duration,
}

/// Carries out a request.
pub(super) async fn answer(context: &Context, call: Call) -> Result<Answered, Ended> {
    // By these two a request is found in the log of either side.
    let span = tracing::debug_span!("request", connection = context.id, id = call.correlation_id, api = %call.key());
    carry_out(context, call).instrument(span).await
}

async fn carry_out(context: &Context, call: Call) -> Result<Answered, Ended> {
    let Call { correlation_id, version, client_id, bytes, request } = call;
    let key = request.as_ref().map_or(ApiKey::ApiVersions, Request::key);
    let began = context.broker().clock.instant();
    let mut mute = Duration::ZERO;
    let mut charge = |key, amount: f64| mute = mute.max(context.charge(&client_id, key, amount));
    let refused = request.as_ref().and_then(|request| {
        let count = throttle::mutations(context.broker(), request)?;
        let is_over = !context.charge(&client_id, QuotaKey::ControllerMutationRate, 0.0).is_zero();
        let refused = throttle::refuse(request, version).filter(|_| is_over);
        charge(QuotaKey::ControllerMutationRate, if refused.is_some() { 0.0 } else { count });
        refused
    });
    let response = match refused {
        Some(refused) => Some(refused),
        None => {
            let work = pin!(handle(context, request, version, &client_id));
            let (response, busy) = Timed { work, broker: context.broker(), busy: Duration::ZERO }.await;
            if !is_asked_before(key) {
                charge(QuotaKey::RequestPercentage, busy.as_secs_f64() * 100.0);
            }
            response?
        }
    };
    if key == ApiKey::Produce {
        charge(QuotaKey::ProducerByteRate, bytes as f64);
    }
    let note = |sent: usize, muted: Duration| {
        let took = context.broker().clock.instant().since(began);
        context.shared.metrics.note(key, Served { took, received: bytes, sent, muted });
    };
    let Some(mut response) = response else {
        note(0, mute);
        return Ok(Answered { frame: None, mute });
    };
    let to_frame = |response: &Response| response.to_frame(version, correlation_id).map_err(Ended::NotUnderstood);
    let mut frame = to_frame(&response)?;
    if key == ApiKey::Fetch {
        charge(QuotaKey::ConsumerByteRate, frame.len() as f64);
    }
    if !mute.is_zero() {
        response.throttle(i32::try_from(mute.as_millis()).unwrap_or(i32::MAX));
        frame = to_frame(&response)?;
    }
    tracing::trace!(%response, "answering");
    response.codes(&mut |code| {
        if code != 0 {
            context.shared.metrics.note_error(key, code);
        }
    });
    note(frame.len(), mute);
    Ok(Answered { frame: Some(frame), mute })
}

async fn handle(
    context: &Context,
    request: Option<Request>,
    version: Version,
    client_id: &str,
) -> Result<Option<Response>, Ended> {
    let Some(request) = request else {
        return Ok(Some(Response::ApiVersions(handlers::versions::not_spoken())));
    };
    Ok(Some(match request {
        Request::Produce(request) => return handlers::produce::produce(context, request, version).await,
        Request::Fetch(request) => Response::Fetch(handlers::fetch::fetch(context, request, version).await),
        Request::ListOffsets(request) => {
            Response::ListOffsets(handlers::offsets::list_offsets(context, request, version).await)
        }
        Request::Metadata(request) => Response::Metadata(handlers::metadata::metadata(context, request, version).await),
        Request::ApiVersions(request) => {
            Response::ApiVersions(handlers::versions::api_versions(context, &request, version))
        }
        Request::SaslHandshake(request) => {
            Response::SaslHandshake(handlers::sasl::handshake(context, &request, version).await)
        }
        Request::SaslAuthenticate(request) => {
            Response::SaslAuthenticate(handlers::sasl::authenticate(context, request).await)
        }
        Request::CreateTopics(request) => {
            Response::CreateTopics(handlers::topics::create_topics(context, request).await)
        }
        Request::DeleteTopics(request) => {
            Response::DeleteTopics(handlers::topics::delete_topics(context, request, version).await)
        }
        Request::CreatePartitions(request) => {
            Response::CreatePartitions(handlers::topics::create_partitions(context, request).await)
        }
        Request::DeleteRecords(request) => {
            Response::DeleteRecords(handlers::records::delete_records(context, request).await)
        }
        Request::OffsetForLeaderEpoch(request) => {
            Response::OffsetForLeaderEpoch(handlers::offsets::offset_for_leader_epoch(context, request))
        }
        Request::DescribeCluster(request) => {
            Response::DescribeCluster(handlers::metadata::describe_cluster(context, &request).await)
        }
        Request::DescribeTopicPartitions(request) => {
            Response::DescribeTopicPartitions(handlers::metadata::describe_topic_partitions(context, request))
        }
        Request::InitProducerId(request) => {
            Response::InitProducerId(handlers::producers::init_producer_id(context, request, version).await)
        }
        Request::FindCoordinator(request) => {
            Response::FindCoordinator(handlers::producers::find_coordinator(context, request, version).await)
        }
        Request::DescribeProducers(request) => {
            Response::DescribeProducers(handlers::producers::describe_producers(context, request).await)
        }
        Request::AddPartitionsToTxn(request) => {
            Response::AddPartitionsToTxn(handlers::transactions::add_partitions(context, request, version).await)
        }
        Request::AddOffsetsToTxn(request) => {
            Response::AddOffsetsToTxn(handlers::transactions::add_offsets(context, request, version).await)
        }
        Request::EndTxn(request) => Response::EndTxn(handlers::transactions::end(context, request, version).await),
        Request::WriteTxnMarkers(request) => {
            Response::WriteTxnMarkers(handlers::transactions::write_markers(context, request).await)
        }
        Request::DescribeTransactions(request) => {
            Response::DescribeTransactions(handlers::transactions::describe(context, request).await)
        }
        Request::ListTransactions(request) => {
            Response::ListTransactions(handlers::transactions::list(context, request).await)
        }
        Request::DescribeConfigs(request) => {
            Response::DescribeConfigs(handlers::configs::describe(context, request).await)
        }
        Request::AlterConfigs(request) => Response::AlterConfigs(handlers::configs::alter(context, request).await),
        Request::IncrementalAlterConfigs(request) => {
            Response::IncrementalAlterConfigs(handlers::configs::alter_incrementally(context, request).await)
        }
        Request::ListConfigResources(request) => {
            Response::ListConfigResources(handlers::configs::list(context, request, version).await)
        }
        Request::DescribeAcls(request) => Response::DescribeAcls(handlers::acls::describe(context, request).await),
        Request::CreateAcls(request) => Response::CreateAcls(handlers::acls::create(context, request).await),
        Request::DeleteAcls(request) => Response::DeleteAcls(handlers::acls::delete(context, request).await),
        Request::DescribeUserScramCredentials(request) => {
            Response::DescribeUserScramCredentials(handlers::users::describe(context, request).await)
        }
        Request::AlterUserScramCredentials(request) => {
            Response::AlterUserScramCredentials(handlers::users::alter(context, request).await)
        }
        Request::DescribeClientQuotas(request) => {
            Response::DescribeClientQuotas(handlers::quotas::describe(context, request).await)
        }
        Request::AlterClientQuotas(request) => {
            Response::AlterClientQuotas(handlers::quotas::alter(context, request).await)
        }
        Request::DescribeLogDirs(request) => {
            Response::DescribeLogDirs(handlers::cluster::describe_log_dirs(context, request).await)
        }
        Request::AlterReplicaLogDirs(request) => {
            Response::AlterReplicaLogDirs(handlers::cluster::alter_replica_log_dirs(context, request).await)
        }
        Request::ElectLeaders(request) => {
            Response::ElectLeaders(handlers::cluster::elect_leaders(context, request).await)
        }
        Request::AlterPartitionReassignments(request) => {
            Response::AlterPartitionReassignments(handlers::cluster::alter_reassignments(context, request).await)
        }
        Request::ListPartitionReassignments(_) => {
            Response::ListPartitionReassignments(handlers::cluster::list_reassignments(context))
        }
        Request::DescribeQuorum(request) => {
            Response::DescribeQuorum(handlers::cluster::describe_quorum(context, request))
        }
        Request::UpdateFeatures(request) => {
            Response::UpdateFeatures(handlers::cluster::update_features(context, request, version).await)
        }
        Request::UnregisterBroker(request) => {
            Response::UnregisterBroker(handlers::cluster::unregister_broker(context, &request))
        }
        Request::JoinGroup(request) => {
            Response::JoinGroup(handlers::groups::join(context, request, version, client_id).await)
        }
        Request::SyncGroup(request) => Response::SyncGroup(handlers::groups::sync(context, request).await),
        Request::Heartbeat(request) => Response::Heartbeat(handlers::groups::heartbeat(context, request).await),
        Request::LeaveGroup(request) => Response::LeaveGroup(handlers::groups::leave(context, request, version).await),
        Request::DescribeGroups(request) => {
            Response::DescribeGroups(handlers::groups::describe(context, request, version))
        }
        Request::ListGroups(request) => Response::ListGroups(handlers::groups::list(context, &request)),
        Request::DeleteGroups(request) => Response::DeleteGroups(handlers::groups::delete(context, request).await),
        Request::ConsumerGroupHeartbeat(request) => Response::ConsumerGroupHeartbeat(
            handlers::groups::consumer_heartbeat(context, request, version, client_id).await,
        ),
        Request::ConsumerGroupDescribe(request) => {
            Response::ConsumerGroupDescribe(handlers::groups::describe_consumer(context, request))
        }
        Request::OffsetCommit(request) => {
            Response::OffsetCommit(handlers::group_offsets::commit(context, request, version).await)
        }
        Request::OffsetFetch(request) => {
            Response::OffsetFetch(handlers::group_offsets::fetch(context, request, version))
        }
        Request::OffsetDelete(request) => {
            Response::OffsetDelete(handlers::group_offsets::delete(context, request).await)
        }
        Request::TxnOffsetCommit(request) => {
            Response::TxnOffsetCommit(handlers::group_offsets::commit_in_transaction(context, request, version).await)
        }
        other => {
            if let Some(response) = handlers::users::token(&other) {
                return Ok(Some(response));
            }
            let why = format!("{} is not served here", other.key());
            return Err(Ended::NotUnderstood(Error::InvalidRequest { why }));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ProduceRequest;
    use crate::wire::produce::{PartitionProduceData, TopicProduceData};

    /// A batch of a few bytes must not keep a frame of many.
    #[test]
    fn what_is_small_is_parted_from_its_frame() {
        let records = |bytes: usize| PartitionProduceData { index: 0, records: Some(vec![7; bytes].into()) };
        let topic = TopicProduceData { partition_data: vec![records(100), records(9000)], ..Default::default() };
        let request = Request::Produce(ProduceRequest { topic_data: vec![topic], ..Default::default() });
        let version = ApiKey::Produce.version(9).unwrap();
        let content = request.to_frame(version, 1, None).unwrap().into_content();
        let Some(Request::Produce(request)) = read(content.clone()).unwrap().request else { panic!() };
        let is_part_of_it = |data: &PartitionProduceData| {
            let records = data.records.as_ref().unwrap();
            content.as_ptr_range().contains(&records.as_ptr())
        };
        let [small, large] = &request.topic_data[0].partition_data[..] else { panic!() };
        assert_eq!(small.records, records(100).records);
        assert!(!is_part_of_it(small) && is_part_of_it(large));
    }
}
