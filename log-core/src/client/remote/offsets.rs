//! Offsets: where something is in a partition, and where partitions begin. Asked of the leaders.

use super::Remote;
use super::cluster::{Target, answer, call};
use super::metadata::Topic;
use super::peer::Call;
use super::retry::Trouble;
use crate::record::ProducerStamp;
use crate::service::{DeleteRecords, DescribeProducers, ListOffsets, ListedOffset, ProducerState};
use crate::types::{Error, Isolation, LogOffsets, Offset, OffsetSpec, Result, Timestamp, TopicPartition};
use crate::wire::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::describe_producers::TopicRequest;
use crate::wire::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::{DeleteRecordsRequest, DescribeProducersRequest, ListOffsetsRequest, Request};
use futures::future::FutureExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kafka's names of places.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// The first version that knows of isolation.
const ISOLATION_FROM: i16 = 2;
/// The offset that means the high watermark.
const ALL: i64 = -1;

/// Partitions of a list that go to one broker, by topic: what most requests want.
pub(super) fn by_topic<T>(
    places: &[(usize, Arc<Topic>)],
    partitions: &[TopicPartition],
    item: impl Fn(usize, i32) -> T,
) -> BTreeMap<String, Vec<T>> {
    let mut topics = BTreeMap::<String, Vec<T>>::new();
    for (place, topic) in places {
        let index = i32::try_from(partitions[*place].partition).unwrap_or(i32::MAX);
        topics.entry(topic.name.to_string()).or_default().push(item(*place, index));
    }
    topics
}

/// Which place of the list an answer is for.
pub(super) type Places = BTreeMap<(String, i32), usize>;

pub(super) fn places_of(places: &[(usize, Arc<Topic>)], partitions: &[TopicPartition]) -> Places {
    let key = |(place, topic): &(usize, Arc<Topic>)| {
        ((topic.name.to_string(), i32::try_from(partitions[*place].partition).unwrap_or(i32::MAX)), *place)
    };
    places.iter().map(key).collect()
}

/// The same trouble for all.
pub(super) fn all_failed<T>(places: &[(usize, Arc<Topic>)], trouble: &Trouble) -> Vec<(usize, Result<T, Trouble>)> {
    places.iter().map(|(place, _)| (*place, Err(trouble.clone()))).collect()
}

impl Remote {
    /// The offsets that Kafka's timestamps mean, -1 for none. A partition may be in the list once.
    async fn at_times(&self, wanted: &[(TopicPartition, i64)], isolation: Isolation) -> Vec<Result<Offset>> {
        let partitions: Vec<_> = wanted.iter().map(|(partition, _)| partition.clone()).collect();
        let times: BTreeMap<TopicPartition, i64> = wanted.iter().cloned().collect();
        let ask = |node, places: Vec<(usize, Arc<Topic>)>, partitions: &[TopicPartition]| {
            let topics = by_topic(&places, partitions, |place, partition_index| ListOffsetsPartition {
                partition_index,
                timestamp: times.get(&partitions[place]).copied().unwrap_or(LATEST),
                ..Default::default()
            });
            let topics =
                topics.into_iter().map(|(name, partitions)| ListOffsetsTopic { name: name.into(), partitions });
            let request = ListOffsetsRequest {
                replica_id: -1,
                isolation_level: i8::from(isolation == Isolation::ReadCommitted),
                topics: topics.collect(),
                timeout_ms: 30_000,
            };
            let least = if isolation == Isolation::ReadCommitted { ISOLATION_FROM } else { 1 };
            let call = Call { versions: least..=i16::MAX, ..call(Request::ListOffsets(request)) };
            let found = places_of(&places, partitions);
            async move {
                let response = match answer!(self.cluster.ask(Target::Node(node), call).await, ListOffsets) {
                    Ok(response) => response,
                    Err(lost) => return all_failed(&places, &lost.into()),
                };
                let mut answers = Vec::new();
                for topic in &response.topics {
                    for one in &topic.partitions {
                        if let Some(place) = found.get(&(topic.name.to_string(), one.partition_index)) {
                            let checked = Trouble::check(one.error_code, &topic.name, None);
                            answers.push((*place, checked.map(|()| one.offset)));
                        }
                    }
                }
                answers
            }
            .boxed()
        };
        self.cluster.until_answered(&partitions, ask).await
    }

    /// The offsets of partitions as they are now. What is written but not replicated is not told, so a log ends at its
    /// high watermark.
    pub(super) async fn ladders(&self, partitions: &[TopicPartition]) -> Vec<Result<LogOffsets>> {
        let at = |time| partitions.iter().map(|partition| (partition.clone(), time)).collect::<Vec<_>>();
        let (starts, ends) = (at(EARLIEST), at(LATEST));
        let (starts, stable, ends) = tokio::join!(
            self.at_times(&starts, Isolation::ReadUncommitted),
            self.at_times(&ends, Isolation::ReadCommitted),
            self.at_times(&ends, Isolation::ReadUncommitted),
        );
        let ladder = |((start, stable), end): ((Result<Offset>, Result<Offset>), Result<Offset>)| {
            Ok(ladder(start?, stable?, end?))
        };
        starts.into_iter().zip(stable).zip(ends).map(ladder).collect()
    }

    pub(super) async fn ladder(&self, partition: &TopicPartition) -> Result<LogOffsets> {
        self.ladders(std::slice::from_ref(partition)).await.pop().unwrap_or(Err(Error::Closed))
    }

    pub(super) async fn find_offsets(&self, request: ListOffsets) -> Result<Vec<ListedOffset>> {
        let ListOffsets { partitions, isolation } = request;
        let time = |spec: &OffsetSpec| match spec {
            OffsetSpec::Earliest | OffsetSpec::Exactly(_) => EARLIEST,
            OffsetSpec::Latest => LATEST,
            OffsetSpec::At(at) => at.0.max(0),
        };
        // A request names a partition once, so what is named again goes with the next.
        let mut offsets = vec![0; partitions.len()];
        for round in rounds(&partitions) {
            let wanted: Vec<_> = round.iter().map(|at| (partitions[*at].0.clone(), time(&partitions[*at].1))).collect();
            let mut behind = Vec::new();
            for (at, found) in round.into_iter().zip(self.at_times(&wanted, isolation).await) {
                offsets[at] = found?;
                // No record is that late, or the offset has to be held against the end.
                if offsets[at] < 0 || matches!(partitions[at].1, OffsetSpec::Exactly(_)) {
                    behind.push(at);
                }
            }
            let wanted: Vec<_> = behind.iter().map(|at| (partitions[*at].0.clone(), LATEST)).collect();
            for (at, end) in behind.into_iter().zip(self.at_times(&wanted, isolation).await) {
                let end = end?;
                offsets[at] = match partitions[at].1 {
                    OffsetSpec::Exactly(offset) => offset.min(end).max(offsets[at]),
                    _ => end,
                };
            }
        }
        let listed = partitions.into_iter().zip(offsets);
        Ok(listed.map(|((partition, _), offset)| ListedOffset { partition, offset }).collect())
    }

    pub(super) async fn delete_before(&self, request: DeleteRecords) -> Result<Vec<ListedOffset>> {
        let DeleteRecords { partitions } = request;
        // Times are resolved first; an offset goes as it is, so that one beyond the end is refused.
        let resolved: Vec<_> = partitions
            .iter()
            .filter(|(_, spec)| matches!(spec, OffsetSpec::At(_) | OffsetSpec::Earliest))
            .cloned()
            .collect();
        let isolation = Isolation::ReadUncommitted;
        let resolved = self.find_offsets(ListOffsets { partitions: resolved, isolation }).await?;
        let resolved: BTreeMap<_, _> = resolved.into_iter().map(|listed| (listed.partition, listed.offset)).collect();
        let before: BTreeMap<_, _> = partitions
            .iter()
            .map(|(partition, spec)| {
                let offset = match spec {
                    OffsetSpec::Exactly(offset) => *offset,
                    _ => resolved.get(partition).copied().unwrap_or(ALL),
                };
                (partition.clone(), offset)
            })
            .collect();
        let partitions: Vec<_> = partitions.into_iter().map(|(partition, _)| partition).collect();
        let ask = |node, places: Vec<(usize, Arc<Topic>)>, partitions: &[TopicPartition]| {
            let topics = by_topic(&places, partitions, |place, partition_index| DeleteRecordsPartition {
                partition_index,
                offset: before.get(&partitions[place]).copied().unwrap_or(ALL),
            });
            let topics =
                topics.into_iter().map(|(name, partitions)| DeleteRecordsTopic { name: name.into(), partitions });
            let request = DeleteRecordsRequest { topics: topics.collect(), timeout_ms: 30_000 };
            let found = places_of(&places, partitions);
            async move {
                let call = call(Request::DeleteRecords(request));
                let response = match answer!(self.cluster.ask(Target::Node(node), call).await, DeleteRecords) {
                    Ok(response) => response,
                    Err(lost) => return all_failed(&places, &lost.into()),
                };
                let mut answers = Vec::new();
                for topic in &response.topics {
                    for one in &topic.partitions {
                        if let Some(place) = found.get(&(topic.name.to_string(), one.partition_index)) {
                            let checked = Trouble::check(one.error_code, &topic.name, None);
                            answers.push((*place, checked.map(|()| one.low_watermark)));
                        }
                    }
                }
                answers
            }
            .boxed()
        };
        let deleted = self.cluster.until_answered(&partitions, ask).await;
        let mut listed = Vec::with_capacity(partitions.len());
        for (partition, offset) in partitions.into_iter().zip(deleted) {
            let offset = match offset {
                Err(error) => return Err(self.out_of_range(error, &partition, before.get(&partition).copied()).await),
                Ok(offset) => offset,
            };
            listed.push(ListedOffset { partition, offset });
        }
        Ok(listed)
    }

    /// Says where the partition begins and ends, if that is what is wrong.
    pub(super) async fn out_of_range(&self, error: Error, partition: &TopicPartition, offset: Option<Offset>) -> Error {
        let is_range = matches!(&error, Error::Refused { name: "OFFSET_OUT_OF_RANGE", .. });
        let (true, Some(offset)) = (is_range, offset) else { return error };
        match self.ladder(partition).await {
            Ok(LogOffsets { log_start_offset: start, high_watermark: end, .. }) => {
                Error::OffsetOutOfRange { partition: partition.clone(), offset, start, end }
            }
            Err(_) => error,
        }
    }

    pub(super) async fn producers_of(&self, request: DescribeProducers) -> Result<Vec<ProducerState>> {
        let partitions = [request.partition];
        let ask = |node, places: Vec<(usize, Arc<Topic>)>, partitions: &[TopicPartition]| {
            let topics = by_topic(&places, partitions, |_, index| index);
            let topics = topics
                .into_iter()
                .map(|(name, partition_indexes)| TopicRequest { name: name.into(), partition_indexes });
            let request = DescribeProducersRequest { topics: topics.collect() };
            async move {
                let call = call(Request::DescribeProducers(request));
                let response = match answer!(self.cluster.ask(Target::Node(node), call).await, DescribeProducers) {
                    Ok(response) => response,
                    Err(lost) => return all_failed(&places, &lost.into()),
                };
                let mut answers = Vec::new();
                // One was asked about.
                for (place, topic) in &places {
                    let told = response.topics.iter().flat_map(|topic| &topic.partitions).next();
                    let Some(told) = told else { continue };
                    let checked = Trouble::check(told.error_code, topic.name.as_str(), told.error_message.as_deref());
                    answers.push((*place, checked.map(|()| told.active_producers.iter().map(producer).collect())));
                }
                answers
            }
            .boxed()
        };
        self.cluster.until_answered(&partitions, ask).await.pop().unwrap_or(Err(Error::Closed))
    }
}

fn producer(told: &crate::wire::describe_producers::ProducerState) -> ProducerState {
    ProducerState {
        last: ProducerStamp {
            producer_id: told.producer_id,
            producer_epoch: i16::try_from(told.producer_epoch).unwrap_or(i16::MAX),
            base_sequence: told.last_sequence,
        },
        // Not told.
        last_offset: -1,
        last_timestamp: Timestamp(told.last_timestamp),
        coordinator_epoch: told.coordinator_epoch,
        transaction_start: Some(told.current_txn_start_offset).filter(|offset| *offset >= 0),
    }
}

/// Asked one after the other, the three may have moved in between.
fn ladder(start: Offset, stable: Offset, end: Offset) -> LogOffsets {
    let end = end.max(start).max(0);
    LogOffsets {
        log_start_offset: start.max(0),
        last_stable_offset: stable.clamp(start.max(0), end),
        high_watermark: end,
        log_end_offset: end,
    }
}

/// The places of a list, in rounds that name each partition once.
fn rounds<T>(partitions: &[(TopicPartition, T)]) -> Vec<Vec<usize>> {
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    let mut named = BTreeMap::<&TopicPartition, usize>::new();
    for (at, (partition, _)) in partitions.iter().enumerate() {
        let round = named.entry(partition).or_default();
        if rounds.len() == *round {
            rounds.push(Vec::new());
        }
        rounds[*round].push(at);
        *round += 1;
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicName;

    #[test]
    fn a_partition_is_named_once_a_round() {
        let partition = |index| (TopicPartition::new(TopicName::new("t").unwrap(), index), ());
        assert_eq!(rounds(&[partition(0), partition(1), partition(0), partition(0)]), [vec![0, 1], vec![2], vec![3]]);
        assert!(rounds::<()>(&[]).is_empty());
    }

    #[test]
    fn a_ladder_holds_whatever_was_told() {
        for told in [(0, 0, 0), (5, 3, 4), (-1, -1, -1), (0, 9, 4)] {
            assert!(ladder(told.0, told.1, told.2).is_valid(), "{told:?}");
        }
    }
}
