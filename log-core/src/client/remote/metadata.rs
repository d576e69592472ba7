//! What is known of the cluster: brokers and their addresses, topics, who leads which partition. Pure.
//!
//! What a broker tells replaces what was known, but for leaders of an older epoch than is known already: brokers learn of
//! a change one after the other. A topic that was made again has another id and begins anew. A topic is out of date when
//! somebody found it to be, or with age.

use super::address::Address;
use crate::types::{PartitionIndex, TopicId, TopicName};
use crate::wire::metadata::MetadataResponseTopic;
use crate::wire::{ErrorCode, MetadataResponse};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Metadata is asked for again at this age (Kafka's `metadata.max.age.ms`).
const AGE_MAX: Duration = Duration::from_mins(5);
/// More partitions than any topic has: an answer that names one is not believed.
const PARTITIONS_BELIEVED_MAX: usize = 1_000_000;

/// What is known.
#[derive(Debug, Default)]
pub(super) struct Image {
    pub(super) cluster_id: Option<String>,
    pub(super) controller: Option<i32>,
    pub(super) brokers: BTreeMap<i32, Address>,
    topics: HashMap<TopicName, Known>,
}

#[derive(Debug)]
struct Known {
    topic: Arc<Topic>,
    at: Instant,
    is_stale: bool,
}

/// A topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub(super) name: TopicName,
    /// `None` from brokers that have no ids.
    pub(super) id: Option<TopicId>,
    pub(super) partitions: Vec<Leader>,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    /// `None` if nobody does just now.
    pub(super) node: Option<i32>,
    /// -1 if it is not told.
    pub(super) epoch: i32,
}

impl Topic {
    pub(super) fn leader(&self, partition: PartitionIndex) -> Option<Leader> {
        self.partitions.get(partition as usize).copied()
    }

    /// The id, or none, as requests name it.
    pub(super) fn uuid(&self) -> Uuid {
        self.id.map_or(Uuid::nil(), |id| id.0)
    }
}

impl Image {
    /// Takes up what a broker has told. Returns the topics of the answer, or why there is none, by name; those without
    /// one are left out.
    pub(super) fn apply(
        &mut self,
        response: &MetadataResponse,
        now: Instant,
    ) -> Vec<(String, Result<Arc<Topic>, i16>)> {
        let told = response.brokers.iter();
        let brokers: BTreeMap<_, _> = told.filter_map(|b| Some((b.node_id, Address::told(&b.host, b.port)?))).collect();
        // A broker that has just started may know of none.
        if !brokers.is_empty() {
            self.brokers = brokers;
        }
        self.controller = Some(response.controller_id).filter(|id| *id >= 0);
        if let Some(id) = &response.cluster_id {
            self.cluster_id = Some(id.to_string());
        }
        let topics = response.topics.iter().filter_map(|told| {
            let name = told.name.as_deref()?;
            Some((name.to_owned(), self.topic_told(name, told, now)))
        });
        topics.collect()
    }

    fn topic_told(&mut self, name: &str, told: &MetadataResponseTopic, now: Instant) -> Result<Arc<Topic>, i16> {
        let name = TopicName::new(name).map_err(|_| ErrorCode::InvalidTopicException.number())?;
        if told.error_code != 0 {
            self.topics.remove(&name);
            return Err(told.error_code);
        }
        let id = Some(told.topic_id).filter(|id| !id.is_nil()).map(TopicId);
        let before = self.topics.get(&name).filter(|known| known.topic.id == id).map(|known| known.topic.clone());
        let count = told.partitions.iter().map(|p| p.partition_index).max().map_or(0, |max| i64::from(max) + 1);
        let count = usize::try_from(count).ok().filter(|count| *count <= PARTITIONS_BELIEVED_MAX);
        let count = count.ok_or(ErrorCode::InvalidPartitions.number())?;
        let mut partitions = vec![Leader { node: None, epoch: -1 }; count];
        for one in &told.partitions {
            let node = Some(one.leader_id).filter(|id| *id >= 0 && one.error_code == 0);
            let mut leader = Leader { node, epoch: one.leader_epoch };
            let index = usize::try_from(one.partition_index).map_err(|_| ErrorCode::InvalidPartitions.number())?;
            if let Some(known) = before.as_ref().and_then(|topic| topic.partitions.get(index))
                && known.epoch > leader.epoch
                && leader.epoch >= 0
            {
                leader = *known;
            }
            partitions[index] = leader;
        }
        let topic = Arc::new(Topic { name: name.clone(), id, partitions });
        self.topics.insert(name, Known { topic: topic.clone(), at: now, is_stale: false });
        Ok(topic)
    }

    /// A topic, if it is known and up to date.
    pub(super) fn topic(&self, name: &TopicName, now: Instant) -> Option<Arc<Topic>> {
        let known = self.topics.get(name)?;
        (!known.is_stale && now.saturating_duration_since(known.at) < AGE_MAX).then(|| known.topic.clone())
    }

    /// Whether a topic was learnt of after a moment.
    pub(super) fn is_newer(&self, name: &TopicName, than: Instant) -> bool {
        self.topics.get(name).is_some_and(|known| known.at > than)
    }

    /// What is known of a topic was found to be wrong: it is asked for before it is used again.
    pub(super) fn mark_stale(&mut self, name: &TopicName) {
        if let Some(known) = self.topics.get_mut(name) {
            known.is_stale = true;
        }
    }

    /// The controller has moved, nobody knows where.
    pub(super) fn forget_controller(&mut self) {
        self.controller = None;
    }

    /// A topic is not there any more.
    pub(super) fn forget(&mut self, name: &TopicName) {
        self.topics.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::metadata::{MetadataResponseBroker, MetadataResponsePartition};

    fn answer(id: u128, leaders: &[(i32, i32)]) -> MetadataResponse {
        let partitions = leaders.iter().zip(0..).map(|(&(leader_id, leader_epoch), partition_index)| {
            MetadataResponsePartition { partition_index, leader_id, leader_epoch, ..Default::default() }
        });
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            topic_id: Uuid::from_u128(id),
            partitions: partitions.collect(),
            ..Default::default()
        };
        let broker = |node_id| MetadataResponseBroker { node_id, host: "h".into(), port: 1 + node_id, rack: None };
        MetadataResponse {
            brokers: vec![broker(0), broker(1)],
            controller_id: 1,
            topics: vec![topic],
            ..Default::default()
        }
    }

    fn leaders(image: &Image, now: Instant) -> Vec<(Option<i32>, i32)> {
        let topic = image.topic(&TopicName::new("t").unwrap(), now).unwrap();
        topic.partitions.iter().map(|leader| (leader.node, leader.epoch)).collect()
    }

    #[test]
    fn an_older_epoch_does_not_bring_an_old_leader_back() {
        let (mut image, now) = (Image::default(), Instant::now());
        image.apply(&answer(1, &[(0, 5), (1, 5)]), now);
        image.apply(&answer(1, &[(1, 4), (0, 6)]), now);
        assert_eq!(leaders(&image, now), [(Some(0), 5), (Some(0), 6)]);
        image.apply(&answer(2, &[(1, 0)]), now);
        assert_eq!(leaders(&image, now), [(Some(1), 0)], "a topic that was made again");
        image.apply(&answer(2, &[(-1, 1)]), now);
        assert_eq!(leaders(&image, now), [(None, 1)]);
    }

    #[test]
    fn what_is_old_or_wrong_is_not_used() {
        let (mut image, now) = (Image::default(), Instant::now());
        let name = TopicName::new("t").unwrap();
        image.apply(&answer(1, &[(0, 0)]), now);
        assert!(image.topic(&name, now + AGE_MAX).is_none());
        assert!(image.topic(&name, now).is_some());
        image.mark_stale(&name);
        assert!(image.topic(&name, now).is_none());
    }

    #[test]
    fn hostile_answers_are_refused() {
        let (mut image, now) = (Image::default(), Instant::now());
        for index in [i32::MAX, -7] {
            let mut told = answer(1, &[(0, 0)]);
            told.topics[0].partitions[0].partition_index = index;
            told.brokers[0].port = -1;
            image.apply(&told, now);
            assert_eq!(image.brokers.keys().copied().collect::<Vec<_>>(), [1]);
        }
    }
}
