//! The positions of groups: committing, with a transaction too, reading and forgetting them.

use super::Broker;
use crate::broker::topics::CONSUMER_OFFSETS;
use crate::group::{Input, Members, Position};
use crate::service::{CommitOffsets, CommittedOffset, CommittedOffsets, CommittedPosition, DeleteOffsets};
use crate::types::{
    Error, GroupId, GroupRefusal, Membership, ProducerIdentity, Result, TopicName, TopicPartition, TransactionVersion,
    TransactionalId,
};
use crate::wire::{ConsumerProtocolSubscription, read_versioned};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::BTreeSet;

impl Broker {
    /// Commits positions, all or none of them; durable when it returns.
    pub(in crate::broker) async fn commit(&self, request: CommitOffsets) -> Result<()> {
        let CommitOffsets { group, member: who, offsets } = request;
        self.check_open()?;
        let positions = self.checked(offsets)?;
        self.ensure_compacted(CONSUMER_OFFSETS).await?;
        self.ask_groups(|request| Input::Commit { request, group, who, producer: None, positions }).await.map(drop)
    }

    fn checked(&self, offsets: Vec<(TopicPartition, CommittedPosition)>) -> Result<Vec<Position>> {
        let check = |(partition, position): (TopicPartition, CommittedPosition)| {
            if position.offset < 0 {
                let why = format!("{} is not an offset of {partition}", position.offset);
                return Err(Error::InvalidRequest { why });
            }
            let topic_id = self.partition(&partition)?.topic_id;
            Ok(Position { partition, topic_id, position })
        };
        offsets.into_iter().map(check).collect()
    }

    /// Commits positions with a transaction: they are durable when this returns, and count when it is committed.
    pub(in crate::broker) async fn commit_in(
        &self,
        id: TransactionalId,
        producer: ProducerIdentity,
        version: TransactionVersion,
        (group, who): (GroupId, Option<Membership>),
        offsets: Vec<(TopicPartition, CommittedPosition)>,
    ) -> Result<()> {
        self.check_open()?;
        let positions = self.checked(offsets)?;
        let topic = self.ensure_compacted(CONSUMER_OFFSETS).await?;
        let partition = topic.partition(0)?;
        loop {
            let answer = {
                // The end of the transaction has its place behind.
                let _until_submitted = partition.transactional.read();
                self.transactions.may_write(&id, producer, &partition.name)?.then(|| {
                    let (request, answer) = self.groups.register();
                    let (group, who, positions) = (group.clone(), who.clone(), positions.clone());
                    self.group_step(Input::Commit { request, group, who, producer: Some(producer), positions });
                    answer
                })
            };
            if let Some(answer) = answer {
                return answer.await.unwrap_or(Err(Error::Closed)).map(drop);
            }
            if version == TransactionVersion::V1 {
                let why = "the group's offsets were not added to it before they were committed".into();
                return Err(Error::TransactionAbortable { why });
            }
            self.add_to_transaction(&id, producer, [partition.name.clone()].into()).await?;
        }
    }

    /// Has the positions that were committed with a transaction count, or forgotten. Durable when it returns.
    pub(in crate::broker) fn end_offsets(&self, producer_id: i64, commit: bool) -> BoxFuture<'static, Result<()>> {
        let (request, answer) = self.groups.register();
        self.group_step(Input::EndTransaction { request, producer_id, commit });
        async move { answer.await.unwrap_or(Err(Error::Closed)).map(drop) }.boxed()
    }

    /// The committed positions of a group, for topics that are there.
    pub(in crate::broker) fn committed(&self, request: &CommittedOffsets) -> Result<Vec<CommittedOffset>> {
        self.check_open()?;
        self.with_groups(|groups| {
            let Some(group) = groups.group(&request.group) else { return Ok(Vec::new()) };
            if request.require_stable && !group.offsets.pending.is_empty() {
                let refusal = GroupRefusal::UnstableOffsets;
                return Err(Error::GroupRefused { group: request.group.to_string(), refusal });
            }
            let committed = group.offsets.committed.iter();
            let current = committed.filter(|(partition, committed)| self.is_current(partition, committed));
            Ok(current
                .map(|(partition, committed)| CommittedOffset {
                    partition: partition.clone(),
                    offset: committed.position.offset,
                    leader_epoch: committed.position.leader_epoch,
                    metadata: committed.position.metadata.clone(),
                    committed_at: Some(committed.at),
                })
                .collect())
        })
    }

    /// Forgets positions; each succeeds or fails by itself, in order. Durable when it returns.
    pub(in crate::broker) async fn forget_offsets(&self, request: DeleteOffsets) -> Result<Vec<Result<()>>> {
        let DeleteOffsets { group, partitions } = request;
        self.check_open()?;
        let subscribed = self.subscribed(&group)?;
        let refused = || Error::GroupRefused { group: group.to_string(), refusal: GroupRefusal::Subscribed };
        let may = |partition: &TopicPartition| match &subscribed {
            Some(topics) if !topics.contains(&partition.topic) => Ok(()),
            _ => Err(refused()),
        };
        let results: Vec<_> = partitions.iter().map(may).collect();
        let unused = partitions.into_iter().zip(&results).filter(|(_, result)| result.is_ok());
        let partitions: Vec<_> = unused.map(|(partition, _)| partition).collect();
        let name = group.clone();
        self.ask_groups(|request| Input::DeleteOffsets { request, group: name, partitions }).await?;
        Ok(results)
    }

    /// The topics that the members of a group read; `None` if they do not say so in a way that we understand.
    fn subscribed(&self, id: &GroupId) -> Result<Option<BTreeSet<TopicName>>> {
        self.with_groups(|groups| {
            let unknown = || Error::UnknownGroup { group: id.to_string(), did_you_mean: None };
            Ok(match &groups.group(id).ok_or_else(unknown)?.members {
                Members::Consumer(consumer) => {
                    Some(consumer.members.values().flat_map(|member| member.reads().cloned()).collect())
                }
                Members::Classic(classic) => {
                    let mut topics = BTreeSet::new();
                    for member in classic.members.values() {
                        let said = member.metadata(classic.protocol.as_deref());
                        let Ok((_, said)) = read_versioned::<ConsumerProtocolSubscription>(said) else {
                            return Ok(None);
                        };
                        topics.extend(said.topics.iter().filter_map(|name| TopicName::new(name).ok()));
                    }
                    Some(topics)
                }
            })
        })
    }
}
