//! Quotas enforced: what clients have used, and how long each is kept waiting.
//!
//! As with Kafka a client is never refused for bytes or time: it gets its answer, with the time that it is to wait in it,
//! and then its connection is not heard for as long. What it did goes against what it shares with others that fall under
//! the same quota. Changes of topics are refused once too much was changed, in the versions that have an error for it
//! (KIP-599), and slowed down before.
//!
//! | quota | of | counts |
//! |---|---|---|
//! | `producer_byte_rate` | Produce | bytes of the request |
//! | `consumer_byte_rate` | Fetch | bytes of the response |
//! | `request_percentage` | all | time of a thread, in percent of one |
//! | `controller_mutation_rate` | CreateTopics, CreatePartitions, DeleteTopics | partitions made and deleted |
//! | `connection_creation_rate` | addresses | connections |

use crate::access::{Bucket, Meter};
use crate::broker::Broker;
use crate::types::{Instant, QuotaKey, TopicName};
use crate::wire::create_partitions::CreatePartitionsTopicResult;
use crate::wire::create_topics::CreatableTopicResult;
use crate::wire::delete_topics::DeletableTopicResult;
use crate::wire::{
    CreatePartitionsResponse, CreateTopicsResponse, DeleteTopicsResponse, ErrorCode, Request, Response, Str, Version,
};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Wakers, Poll};
use std::time::Duration;
use uuid::Uuid;

/// Before there are more meters, those are let go of that say nothing any more.
const METERS_MAX: usize = 10_000;

/// What clients have used.
#[derive(Debug, Default)]
pub(super) struct Usage(Mutex<Meters>);

#[derive(Debug)]
struct Meters {
    each: HashMap<(Bucket, QuotaKey), Meter>,
    /// So many are looked through for those that can go.
    max: usize,
}

impl Default for Meters {
    fn default() -> Self {
        Self { each: HashMap::new(), max: METERS_MAX }
    }
}

impl Usage {
    /// Takes `amount` of a quota; how long its users are to be kept waiting.
    pub(super) fn charge(&self, of: Bucket, key: QuotaKey, rate: f64, amount: f64, now: Instant) -> Duration {
        let mut meters = self.0.lock();
        if meters.each.len() >= meters.max {
            meters.each.retain(|_, meter| !meter.is_stale(now));
            meters.max = METERS_MAX.max(2 * meters.each.len());
        }
        meters.each.entry((of, key)).or_insert_with(|| Meter::new(rate, now)).charge(rate, amount, now)
    }
}

/// How many partitions a request makes or deletes; `None` if it is about something else.
pub(super) fn mutations(broker: &Broker, request: &Request) -> Option<f64> {
    let present = |name: &str| TopicName::new(name).ok().and_then(|name| broker.topic(&name).ok());
    let partitions = |name: &str| present(name).map_or(0, |topic| topic.partitions.len());
    let count = match request {
        Request::CreateTopics(request) if !request.validate_only => {
            let new = request.topics.iter().map(|topic| match usize::try_from(topic.num_partitions) {
                Ok(count) => count,
                Err(_) => topic.assignments.len().max(1),
            });
            new.sum()
        }
        Request::CreatePartitions(request) if !request.validate_only => {
            let more = request.topics.iter().map(|topic| {
                let count = usize::try_from(topic.count).unwrap_or(0);
                count.saturating_sub(partitions(&topic.name))
            });
            more.sum()
        }
        Request::DeleteTopics(request) => {
            let named = request.topics.iter().filter_map(|topic| topic.name.as_deref());
            let by_id = request.topics.iter().filter(|topic| topic.name.is_none()).count();
            let names = request.topic_names.iter().map(|name| &**name).chain(named);
            names.map(partitions).sum::<usize>() + by_id
        }
        _ => return None,
    };
    Some(count as f64)
}

/// The answer to who has changed too much, in the versions that have an error for it.
pub(super) fn refuse(request: &Request, version: Version) -> Option<Response> {
    let error_code = ErrorCode::ThrottlingQuotaExceeded.number();
    let error_message = Some(Str::from(ErrorCode::ThrottlingQuotaExceeded.message()));
    Some(match request {
        Request::CreateTopics(request) if version.number >= 6 => {
            let refused = request.topics.iter().map(|topic| CreatableTopicResult {
                name: topic.name.clone(),
                error_code,
                error_message: error_message.clone(),
                ..Default::default()
            });
            Response::CreateTopics(CreateTopicsResponse { topics: refused.collect(), ..Default::default() })
        }
        Request::CreatePartitions(request) if version.number >= 3 => {
            let refused = request.topics.iter().map(|topic| CreatePartitionsTopicResult {
                name: topic.name.clone(),
                error_code,
                error_message: error_message.clone(),
            });
            Response::CreatePartitions(CreatePartitionsResponse { results: refused.collect(), ..Default::default() })
        }
        Request::DeleteTopics(request) if version.number >= 5 => {
            let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::nil()));
            let named = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
            let refused = by_name.chain(named).map(|(name, topic_id)| DeletableTopicResult {
                name,
                topic_id,
                error_code,
                error_message: error_message.clone(),
            });
            Response::DeleteTopics(DeleteTopicsResponse { responses: refused.collect(), ..Default::default() })
        }
        _ => return None,
    })
}

/// Adds up the time that a future takes of its thread; what it waits for does not count.
#[derive(Debug)]
pub(super) struct Timed<'a, F> {
    pub(super) work: F,
    pub(super) broker: &'a Broker,
    pub(super) busy: Duration,
}

impl<F: Future + Unpin> Future for Timed<'_, F> {
    type Output = (F::Output, Duration);

    fn poll(mut self: Pin<&mut Self>, wakers: &mut Wakers<'_>) -> Poll<Self::Output> {
        let began = self.broker.clock.instant();
        let polled = Pin::new(&mut self.work).poll(wakers);
        let busy = self.broker.clock.instant().since(began);
        self.busy += busy;
        polled.map(|output| (output, self.busy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meters_that_say_nothing_any_more_are_let_go_of() {
        let usage = Usage::default();
        let of = |n: usize| Bucket { user: Some(n.to_string()), ..Bucket::default() };
        let second = |n: u64| Instant(n * 1_000_000_000);
        for n in 0..METERS_MAX {
            assert!(usage.charge(of(n), QuotaKey::ProducerByteRate, 1.0, 100.0, second(1)) > Duration::ZERO);
        }
        usage.charge(of(METERS_MAX), QuotaKey::ProducerByteRate, 1.0, 1.0, second(2));
        assert_eq!(usage.0.lock().each.len(), METERS_MAX + 1, "they are in debt");
        for n in 0..2 * METERS_MAX {
            usage.charge(of(METERS_MAX + n), QuotaKey::ProducerByteRate, 1.0, 1.0, second(1000));
        }
        let meters = usage.0.lock();
        assert!(meters.each.len() <= 2 * METERS_MAX);
        assert!(!meters.each.contains_key(&(of(0), QuotaKey::ProducerByteRate)));
    }
}
