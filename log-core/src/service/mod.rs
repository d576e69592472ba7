//! The one seam between clients and a log: a typed request in, a typed response out.
//!
//! `client` speaks only to [`Service`]. The in-process broker implements it without encoding or sockets; a TCP
//! connection to a Kafka broker will implement it too, so requests and responses carry what Kafka's carry, under
//! Kafka's names, and batches travel as the bytes that lie on disk.

mod admin;
mod groups;
mod messages;
mod transactions;

pub use admin::*;
pub use groups::*;
pub use messages::*;
pub use transactions::*;

use crate::env::Clock;
use crate::types::{AclBinding, ConfigResource, Error, ProducerIdentity, Result};
use futures::future::{BoxFuture, FutureExt as _, ready};

/// A log that answers requests. Every method may be called from many tasks at once; a dropped future leaves the
/// request either done or not done, never half done.
pub trait Service: Send + Sync + std::fmt::Debug + 'static {
    /// The clock that the service stamps and expires by; clients wait by the same one.
    fn clock(&self) -> Clock;

    /// Makes topics; each succeeds or fails by itself. Durable when it returns.
    fn create_topics(&self, request: CreateTopics) -> BoxFuture<'_, Vec<Result<TopicDescription>>>;
    /// Deletes a topic with its records. Durable when it returns.
    fn delete_topic(&self, request: DeleteTopic) -> BoxFuture<'_, Result<()>>;
    /// Deletes records before an offset, and returns where each partition begins now. Durable when it returns; the space
    /// of a segment is free when all of it lies before the offset.
    fn delete_records(&self, request: DeleteRecords) -> BoxFuture<'_, Result<Vec<ListedOffset>>>;
    /// Topics with their partitions and offsets; all of them, or those named.
    fn describe_topics(&self, request: DescribeTopics) -> BoxFuture<'_, Result<Vec<TopicDescription>>>;

    /// Appends one batch to one partition; answers when it is acknowledged by the topic's flush policy.
    fn produce(&self, request: Produce) -> BoxFuture<'_, Result<Produced>>;
    /// Reads batches below the high watermark; waits up to `max_wait` while there is less than `min_bytes`.
    fn fetch(&self, request: Fetch) -> BoxFuture<'_, Result<Vec<Fetched>>>;
    /// Resolves positions to offsets.
    fn list_offsets(&self, request: ListOffsets) -> BoxFuture<'_, Result<Vec<ListedOffset>>>;
    /// The idempotent producers that a partition remembers (Kafka's DescribeProducers).
    fn describe_producers(&self, request: DescribeProducers) -> BoxFuture<'_, Result<Vec<ProducerState>>>;

    // Transactions, in `transactions.rs`.
    /// Starts a producer. Durable when it returns. [`Error::ConcurrentTransactions`]
    /// while what its transactional id had open is being ended: ask again.
    fn init_producer_id(&self, request: InitProducerId) -> BoxFuture<'_, Result<ProducerIdentity>>;
    /// Adds partitions to a transaction, or says whether they are in it. Each succeeds or fails by itself, in order.
    fn add_partitions_to_transaction(&self, request: AddPartitionsToTransaction) -> BoxFuture<'_, Vec<Result<()>>>;
    /// Adds a group's offsets to a transaction.
    fn add_offsets_to_transaction(&self, request: AddOffsetsToTransaction) -> BoxFuture<'_, Result<()>>;
    /// Commits positions with a transaction; they count when it is committed.
    fn commit_transaction_offsets(&self, request: CommitTransactionOffsets) -> BoxFuture<'_, Result<()>>;
    /// Ends a transaction; who the producer is in its next one. Decided and durable when it returns.
    fn end_transaction(&self, request: EndTransaction) -> BoxFuture<'_, Result<ProducerIdentity>>;
    /// Transactional ids as they are; one that is not known is an error.
    fn describe_transactions(
        &self,
        request: DescribeTransactions,
    ) -> BoxFuture<'_, Vec<Result<TransactionDescription>>>;
    /// All transactional ids that pass the filters, in order.
    fn list_transactions(&self, request: ListTransactions) -> BoxFuture<'_, Result<Vec<TransactionDescription>>>;

    // Groups, in `groups.rs`. `Error::StaleMember` and most of `Error::GroupRefused` mean: join again.
    /// Joins a group of the classic protocol; waits until all its members have.
    fn join_group(&self, request: JoinGroup) -> BoxFuture<'_, Result<JoinedGroup>>;
    /// Asks what to read, and hands in what the members read if this one leads; waits until the leader has.
    fn sync_group(&self, _: SyncGroup) -> BoxFuture<'_, Result<SyncedGroup>> {
        unsupported("groups")
    }
    /// Says that a member of the classic protocol lives. `GroupRefusal::RebalanceInProgress`: join again, soon.
    fn heartbeat(&self, request: Heartbeat) -> BoxFuture<'_, Result<()>>;
    /// Leaves a group; the partitions go to the others at once. Each member by itself, in order.
    fn leave_group(&self, request: LeaveGroup) -> BoxFuture<'_, Result<Vec<Result<()>>>>;
    /// Joins, stays in, or leaves a group of the consumer protocol (KIP-848).
    fn consumer_heartbeat(&self, _: ConsumerHeartbeat) -> BoxFuture<'_, Result<ConsumerHeartbeatAnswer>> {
        unsupported("groups of the consumer protocol")
    }
    /// Commits offsets for a group. Durable when it returns.
    fn commit_offsets(&self, request: CommitOffsets) -> BoxFuture<'_, Result<()>>;
    /// The committed offsets of a group; empty for one that never committed.
    fn committed_offsets(&self, request: CommittedOffsets) -> BoxFuture<'_, Result<Vec<CommittedOffset>>>;
    /// Forgets committed positions of topics that no member reads; each succeeds or fails by itself, in order.
    fn delete_offsets(&self, _: DeleteOffsets) -> BoxFuture<'_, Result<Vec<Result<()>>>> {
        unsupported("deleting positions")
    }
    /// Groups with their members and how far they are; all of them, or those named.
    fn describe_groups(&self, request: DescribeGroups) -> BoxFuture<'_, Result<Vec<GroupDescription>>>;
    /// Forgets a group without active members, queue groups included.
    fn delete_group(&self, request: DeleteGroup) -> BoxFuture<'_, Result<()>>;

    /// Leases records of a queue to a worker (KIP-932's ShareFetch). The delivery counts are durable when it returns.
    fn share_fetch(&self, request: ShareFetch) -> BoxFuture<'_, Result<Vec<LeasedRecord>>>;
    /// Ends or extends leases (KIP-932's ShareAcknowledge). Durable when it returns.
    fn share_acknowledge(&self, request: ShareAcknowledge) -> BoxFuture<'_, Result<()>>;

    // Administration. A service that does not offer one of these says so. What is changed is durable when it returns.

    /// Gives topics more partitions; each succeeds or fails by itself.
    fn create_partitions(&self, _: CreatePartitions) -> BoxFuture<'_, Vec<Result<()>>> {
        ready(vec![Err(Error::Unsupported { what: "adding partitions" })]).boxed()
    }
    /// Every setting of some resources, with its value, default and source.
    fn describe_configs(&self, _: DescribeConfigs) -> BoxFuture<'_, Vec<Result<Vec<ConfigEntry>>>> {
        ready(vec![Err(Error::Unsupported { what: "describing settings" })]).boxed()
    }
    /// Replaces what is set. Takes effect at once, on open partitions too.
    fn alter_configs(&self, _: AlterConfigs) -> BoxFuture<'_, Vec<Result<()>>> {
        ready(vec![Err(Error::Unsupported { what: "changing settings" })]).boxed()
    }
    /// Changes what is set. Takes effect at once, on open partitions too.
    fn incremental_alter_configs(&self, _: IncrementalAlterConfigs) -> BoxFuture<'_, Vec<Result<()>>> {
        ready(vec![Err(Error::Unsupported { what: "changing settings" })]).boxed()
    }
    /// The resources for which something is set (Kafka's ListConfigResources).
    fn list_config_resources(&self) -> BoxFuture<'_, Result<Vec<ConfigResource>>> {
        unsupported("listing what has settings")
    }
    /// The cluster with its brokers.
    fn describe_cluster(&self) -> BoxFuture<'_, Result<ClusterDescription>> {
        unsupported("describing the cluster")
    }
    /// Where partitions lie, and how large they are.
    fn describe_log_dirs(&self, _: DescribeLogDirs) -> BoxFuture<'_, Result<Vec<LogDirDescription>>> {
        unsupported("describing data directories")
    }
    /// Has the preferred replicas lead again.
    fn elect_leaders(&self, _: ElectLeaders) -> BoxFuture<'_, Result<ByPartition<()>>> {
        unsupported("electing leaders")
    }
    /// Moves partitions to other brokers; each succeeds or fails by itself.
    fn alter_reassignments(&self, _: AlterReassignments) -> BoxFuture<'_, Vec<Result<()>>> {
        ready(vec![Err(Error::Unsupported { what: "moving partitions" })]).boxed()
    }
    /// Adds entries of access control; each succeeds or fails by itself.
    fn create_acls(&self, _: CreateAcls) -> BoxFuture<'_, Vec<Result<()>>> {
        ready(vec![Err(Error::Unsupported { what: "access control" })]).boxed()
    }
    /// The entries of access control that a filter chooses.
    fn describe_acls(&self, _: DescribeAcls) -> BoxFuture<'_, Result<Vec<AclBinding>>> {
        unsupported("access control")
    }
    /// Takes entries of access control away, and returns which, for each filter.
    fn delete_acls(&self, _: DeleteAcls) -> BoxFuture<'_, Vec<Result<Vec<AclBinding>>>> {
        ready(vec![Err(Error::Unsupported { what: "access control" })]).boxed()
    }
    /// The users there are; `ResourceNotFound` for one that was named and is not there.
    fn describe_scram_users(&self, _: DescribeScramUsers) -> BoxFuture<'_, Result<ByUser<ScramUser>>> {
        unsupported("managing users")
    }
    /// Adds, changes and takes away users; each user succeeds or fails by itself.
    fn alter_scram_users(&self, _: AlterScramUsers) -> BoxFuture<'_, Result<ByUser<()>>> {
        unsupported("managing users")
    }
    /// The quotas there are.
    fn describe_quotas(&self, _: DescribeQuotas) -> BoxFuture<'_, Result<Vec<QuotaDescription>>> {
        unsupported("quotas")
    }
    /// Changes quotas; each entity succeeds or fails by itself.
    fn alter_quotas(&self, _: AlterQuotas) -> BoxFuture<'_, Vec<Result<()>>> {
        ready(vec![Err(Error::Unsupported { what: "quotas" })]).boxed()
    }
    /// The features of the cluster and their levels.
    fn describe_features(&self) -> BoxFuture<'_, Result<Vec<FeatureDescription>>> {
        unsupported("features")
    }
    /// Changes the levels of features, all or none.
    fn update_features(&self, _: UpdateFeatures) -> BoxFuture<'_, Result<()>> {
        unsupported("changing features")
    }

    /// Stops taking requests, makes everything durable and releases the data.
    fn close(&self) -> BoxFuture<'_, Result<()>>;
}

fn unsupported<T: Send + 'static>(what: &'static str) -> BoxFuture<'static, Result<T>> {
    ready(Err(Error::Unsupported { what })).boxed()
}
