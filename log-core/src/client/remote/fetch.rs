//! Reading: batches from the leaders of several partitions, as one request of the caller.
//!
//! Each leader is asked for its partitions over a connection that nobody else uses, so a wait holds up nobody. With one
//! leader, as mostly, the request goes as it is. With several, all are asked at once without a wait; only when none has
//! anything do all wait, and the first that has something ends that: what the others would have found is there for the
//! next request.
//!
//! A broker may cut the last batch off where its limit lies; here batches are whole, and their checksums are checked.
//!
//! Left out: fetch sessions (KIP-227), and reading from followers (KIP-392).

use super::Remote;
use super::cluster::{Target, answer, call};
use super::metadata::Topic;
use super::offsets::{all_failed, places_of};
use super::peer::{Call, Lane};
use super::retry::{ANSWER_LIMIT, REQUEST_LIMIT, Trouble};
use crate::record::{AbortedTransaction, batch_bytes, verify_crc};
use crate::service::{Fetch, FetchPartition, Fetched};
use crate::types::{Error, Isolation, LogOffsets, Result, TopicPartition};
use crate::wire::fetch::{FetchTopic, PartitionData};
use crate::wire::{FetchRequest, Request};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _, select_all};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The longest that a broker is let wait: longer waits are made of several, each of which finds the leaders anew.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Pause after an answer that came without anything: a broker that does not wait is not asked all the time.
const EMPTY_PAUSE: Duration = Duration::from_millis(10);
/// Bytes of one answer (Kafka's `fetch.max.bytes`); at least a batch comes all the same.
const BYTES_MAX: i32 = 50 * 1024 * 1024;
/// The last version that names topics.
const NAMES_TO: i16 = 12;

type Attempt = Vec<(usize, Result<Fetched, Trouble>)>;

impl Remote {
    pub(super) async fn read(&self, request: Fetch) -> Result<Vec<Fetched>> {
        let deadline = Instant::now() + request.max_wait;
        let partitions: Vec<_> = request.partitions.iter().map(|wanted| wanted.partition.clone()).collect();
        let mut patience = self.cluster.patience(REQUEST_LIMIT.max(request.max_wait));
        loop {
            let wait = deadline.saturating_duration_since(Instant::now());
            let answers = self.read_once(&request, &partitions, wait.min(WAIT_MAX)).await;
            let (mut fetched, mut trouble) = (Vec::with_capacity(partitions.len()), None);
            for ((answer, partition), wanted) in answers.into_iter().zip(&partitions).zip(&request.partitions) {
                match answer {
                    Ok(answer) => fetched.push(answer),
                    Err(Trouble::Final(error)) => {
                        return Err(self.out_of_range(error, partition, Some(wanted.offset)).await);
                    }
                    Err(again) => trouble = Some(again),
                }
            }
            let has_data = fetched.iter().any(|fetched| !fetched.batches.is_empty());
            match trouble {
                // What can be had is had; the other partitions are looked for with the next request.
                Some(_) if has_data => return Ok(fetched),
                Some(trouble) => patience.after(trouble).await?,
                None if has_data || request.min_bytes == 0 || Instant::now() >= deadline => return Ok(fetched),
                // It answered before the wait was over, or the wait was only a part of it.
                None => sleep_until(deadline.min(Instant::now() + EMPTY_PAUSE)).await,
            }
        }
    }

    async fn read_once(
        &self,
        request: &Fetch,
        partitions: &[TopicPartition],
        wait: Duration,
    ) -> Vec<Result<Fetched, Trouble>> {
        let nodes = match self.leaders_of(partitions).await {
            Ok(nodes) => nodes,
            Err(trouble) => return partitions.iter().map(|_| Err(trouble.clone())).collect(),
        };
        let ask_all = |wait| nodes.iter().map(move |(node, places)| self.read_of(*node, places, request, wait));
        let has_news = |attempt: &Attempt| {
            attempt.iter().any(|(_, answer)| answer.as_ref().map_or(true, |fetched| !fetched.batches.is_empty()))
        };
        let mut attempts = if let [(node, places)] = &nodes[..] {
            vec![self.read_of(*node, places, request, wait).await]
        } else {
            futures::future::join_all(ask_all(Duration::ZERO)).await
        };
        if nodes.len() > 1 && !wait.is_zero() && !attempts.iter().any(has_news) {
            attempts.extend(first_news(ask_all(wait).collect(), Instant::now() + wait, has_news).await);
        }
        let mut answers: Vec<_> = partitions.iter().map(|_| None).collect();
        for (place, answer) in attempts.into_iter().flatten() {
            if let Err(Trouble::Again(_)) = &answer {
                self.cluster.mark_stale(&partitions[place].topic);
            }
            answers[place] = Some(answer);
        }
        let left_out =
            || Err(Trouble::Again(Error::Unreachable { address: "the leader".into(), why: "no answer".into() }));
        answers.into_iter().map(|answer| answer.unwrap_or_else(left_out)).collect()
    }

    /// Who leads these partitions: brokers with the places in the list that are theirs.
    async fn leaders_of(&self, partitions: &[TopicPartition]) -> Result<Vec<(i32, Vec<(usize, Arc<Topic>)>)>, Trouble> {
        let mut by_node = BTreeMap::<i32, Vec<_>>::new();
        for (place, partition) in partitions.iter().enumerate() {
            let (topic, node) = self.cluster.leader(partition).await?;
            by_node.entry(node).or_default().push((place, topic));
        }
        Ok(by_node.into_iter().collect())
    }

    /// Asks one leader.
    fn read_of<'a>(
        &'a self,
        node: i32,
        places: &[(usize, Arc<Topic>)],
        request: &'a Fetch,
        wait: Duration,
    ) -> BoxFuture<'a, Attempt> {
        let mut topics = BTreeMap::<&str, FetchTopic>::new();
        for (place, topic) in places {
            let FetchPartition { partition, offset, max_bytes } = &request.partitions[*place];
            let into = topics.entry(partition.topic.as_str()).or_insert_with(|| FetchTopic {
                topic: partition.topic.as_str().into(),
                topic_id: topic.uuid(),
                partitions: Vec::new(),
            });
            into.partitions.push(crate::wire::fetch::FetchPartition {
                partition: i32::try_from(partition.partition).unwrap_or(i32::MAX),
                fetch_offset: *offset,
                partition_max_bytes: i32::try_from(*max_bytes).unwrap_or(i32::MAX),
                ..Default::default()
            });
        }
        let has_ids = places.iter().all(|(_, topic)| topic.id.is_some());
        let asked = FetchRequest {
            max_wait_ms: i32::try_from(wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: i32::try_from(request.min_bytes).unwrap_or(i32::MAX),
            max_bytes: BYTES_MAX,
            isolation_level: i8::from(request.isolation == Isolation::ReadCommitted),
            topics: topics.into_values().collect(),
            ..Default::default()
        };
        let call = Call {
            versions: 4..=if has_ids { i16::MAX } else { NAMES_TO },
            lane: Lane::Wait,
            limit: wait + ANSWER_LIMIT,
            ..call(Request::Fetch(asked))
        };
        let partitions: Vec<_> = request.partitions.iter().map(|wanted| wanted.partition.clone()).collect();
        let found = places_of(places, &partitions);
        let names: BTreeMap<_, _> = places.iter().map(|(_, topic)| (topic.uuid(), topic.name.to_string())).collect();
        let places = places.to_vec();
        async move {
            let response = match answer!(self.cluster.ask(Target::Node(node), call).await, Fetch) {
                Ok(response) => response,
                Err(lost) => return all_failed(&places, &lost.into()),
            };
            if let Err(trouble) = Trouble::check(response.error_code, "fetch", None) {
                return all_failed(&places, &trouble);
            }
            let mut answers = Vec::new();
            for topic in response.responses {
                let name = match topic.topic.is_empty() {
                    true => names.get(&topic.topic_id).cloned().unwrap_or_default(),
                    false => topic.topic.to_string(),
                };
                for data in topic.partitions {
                    let Some(place) = found.get(&(name.clone(), data.partition_index)) else { continue };
                    let partition = partitions[*place].clone();
                    answers.push((*place, fetched(partition, data)));
                }
            }
            answers
        }
        .boxed()
    }
}

/// Waits for the first attempt that has something to tell, or all, or the end of the wait.
async fn first_news(
    mut attempts: Vec<BoxFuture<'_, Attempt>>,
    deadline: Instant,
    has_news: impl Fn(&Attempt) -> bool,
) -> Vec<Attempt> {
    let mut done = Vec::new();
    while !attempts.is_empty() {
        let Ok((attempt, _, left)) = timeout_at(deadline, select_all(attempts)).await else { break };
        let is_news = has_news(&attempt);
        done.push(attempt);
        if is_news {
            break;
        }
        attempts = left;
    }
    done
}

/// What a broker has told of one partition.
fn fetched(partition: TopicPartition, data: PartitionData) -> Result<Fetched, Trouble> {
    Trouble::check(data.error_code, partition.topic.as_str(), None)?;
    let end = data.high_watermark.max(data.log_start_offset).max(0);
    let start = data.log_start_offset.clamp(0, end);
    let stable = if data.last_stable_offset < 0 { end } else { data.last_stable_offset.clamp(start, end) };
    let offsets =
        LogOffsets { log_start_offset: start, last_stable_offset: stable, high_watermark: end, log_end_offset: end };
    let aborted = data.aborted_transactions.unwrap_or_default();
    let mut aborted: Vec<_> = aborted
        .iter()
        .map(|told| AbortedTransaction { producer_id: told.producer_id, first_offset: told.first_offset })
        .collect();
    aborted.sort_by_key(|aborted| aborted.first_offset);
    let batches = whole(data.records.unwrap_or_default()).map_err(Trouble::Final)?;
    Ok(Fetched { partition, offsets, batches, aborted })
}

/// The batches that are whole, each of which is what its checksum says.
fn whole(records: Bytes) -> Result<Bytes> {
    let mut end = 0;
    while let Some(bytes) = batch_bytes(&records[end..]) {
        verify_crc(&records[end..end + bytes])?;
        end += bytes;
    }
    Ok(records.slice(..end))
}
