//! [`Service`] for [`Remote`]: each request to the module that knows it.

use super::Remote;
use super::retry::REQUEST_LIMIT;
use crate::env::Clock;
use crate::service::*;
use crate::types::{AclBinding, ConfigResource, Error, ProducerIdentity, Result};
use futures::future::{BoxFuture, FutureExt as _, ready};

/// What brokers do not offer over connections, or this client does not ask for yet.
fn not_offered<T: Send + 'static>(what: &'static str) -> BoxFuture<'static, Result<T>> {
    ready(Err(Error::Unsupported { what })).boxed()
}

const QUEUES: &str = "a queue over a connection";

impl Service for Remote {
    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    fn create_topics(&self, request: CreateTopics) -> BoxFuture<'_, Vec<Result<TopicDescription>>> {
        self.make_topics(request).boxed()
    }

    fn delete_topic(&self, request: DeleteTopic) -> BoxFuture<'_, Result<()>> {
        self.drop_topic(request).boxed()
    }

    fn delete_records(&self, request: DeleteRecords) -> BoxFuture<'_, Result<Vec<ListedOffset>>> {
        self.delete_before(request).boxed()
    }

    fn describe_topics(&self, request: DescribeTopics) -> BoxFuture<'_, Result<Vec<TopicDescription>>> {
        self.look_at_topics(request).boxed()
    }

    fn produce(&self, request: Produce) -> BoxFuture<'_, Result<Produced>> {
        self.append(request).boxed()
    }

    fn fetch(&self, request: Fetch) -> BoxFuture<'_, Result<Vec<Fetched>>> {
        self.read(request).boxed()
    }

    fn list_offsets(&self, request: ListOffsets) -> BoxFuture<'_, Result<Vec<ListedOffset>>> {
        self.find_offsets(request).boxed()
    }

    fn describe_producers(&self, request: DescribeProducers) -> BoxFuture<'_, Result<Vec<ProducerState>>> {
        self.producers_of(request).boxed()
    }

    fn init_producer_id(&self, request: InitProducerId) -> BoxFuture<'_, Result<ProducerIdentity>> {
        self.start_producer(request).boxed()
    }

    fn add_partitions_to_transaction(&self, request: AddPartitionsToTransaction) -> BoxFuture<'_, Vec<Result<()>>> {
        self.add_partitions(request).boxed()
    }

    fn add_offsets_to_transaction(&self, request: AddOffsetsToTransaction) -> BoxFuture<'_, Result<()>> {
        self.add_offsets(request).boxed()
    }

    fn commit_transaction_offsets(&self, request: CommitTransactionOffsets) -> BoxFuture<'_, Result<()>> {
        self.commit_in_transaction(request).boxed()
    }

    fn end_transaction(&self, request: EndTransaction) -> BoxFuture<'_, Result<ProducerIdentity>> {
        self.finish_transaction(request).boxed()
    }

    fn describe_transactions(
        &self,
        request: DescribeTransactions,
    ) -> BoxFuture<'_, Vec<Result<TransactionDescription>>> {
        self.look_at_transactions(request).boxed()
    }

    fn list_transactions(&self, request: ListTransactions) -> BoxFuture<'_, Result<Vec<TransactionDescription>>> {
        self.find_transactions(request).boxed()
    }

    fn join_group(&self, request: JoinGroup) -> BoxFuture<'_, Result<JoinedGroup>> {
        self.join(request).boxed()
    }

    fn sync_group(&self, request: SyncGroup) -> BoxFuture<'_, Result<SyncedGroup>> {
        self.sync(request).boxed()
    }

    fn heartbeat(&self, request: Heartbeat) -> BoxFuture<'_, Result<()>> {
        self.beat(request).boxed()
    }

    fn leave_group(&self, request: LeaveGroup) -> BoxFuture<'_, Result<Vec<Result<()>>>> {
        self.leave(request).boxed()
    }

    fn consumer_heartbeat(&self, request: ConsumerHeartbeat) -> BoxFuture<'_, Result<ConsumerHeartbeatAnswer>> {
        self.consumer_beat(request).boxed()
    }

    fn commit_offsets(&self, request: CommitOffsets) -> BoxFuture<'_, Result<()>> {
        self.commit(request).boxed()
    }

    fn committed_offsets(&self, request: CommittedOffsets) -> BoxFuture<'_, Result<Vec<CommittedOffset>>> {
        self.positions(request).boxed()
    }

    fn delete_offsets(&self, request: DeleteOffsets) -> BoxFuture<'_, Result<Vec<Result<()>>>> {
        self.forget_positions(request).boxed()
    }

    fn describe_groups(&self, request: DescribeGroups) -> BoxFuture<'_, Result<Vec<GroupDescription>>> {
        self.look_at_groups(request).boxed()
    }

    fn delete_group(&self, request: DeleteGroup) -> BoxFuture<'_, Result<()>> {
        self.drop_group(request).boxed()
    }

    fn share_fetch(&self, _: ShareFetch) -> BoxFuture<'_, Result<Vec<LeasedRecord>>> {
        not_offered(QUEUES)
    }

    fn share_acknowledge(&self, _: ShareAcknowledge) -> BoxFuture<'_, Result<()>> {
        not_offered(QUEUES)
    }

    fn create_partitions(&self, request: CreatePartitions) -> BoxFuture<'_, Vec<Result<()>>> {
        self.more_partitions(request).boxed()
    }

    fn describe_configs(&self, request: DescribeConfigs) -> BoxFuture<'_, Vec<Result<Vec<ConfigEntry>>>> {
        self.look_at_configs(request).boxed()
    }

    fn alter_configs(&self, request: AlterConfigs) -> BoxFuture<'_, Vec<Result<()>>> {
        self.set_configs(request).boxed()
    }

    fn incremental_alter_configs(&self, request: IncrementalAlterConfigs) -> BoxFuture<'_, Vec<Result<()>>> {
        self.change_configs(request).boxed()
    }

    fn list_config_resources(&self) -> BoxFuture<'_, Result<Vec<ConfigResource>>> {
        self.find_config_resources().boxed()
    }

    fn describe_cluster(&self) -> BoxFuture<'_, Result<ClusterDescription>> {
        self.look_at_cluster().boxed()
    }

    fn describe_log_dirs(&self, request: DescribeLogDirs) -> BoxFuture<'_, Result<Vec<LogDirDescription>>> {
        self.look_at_log_dirs(request, REQUEST_LIMIT).boxed()
    }

    fn elect_leaders(&self, request: ElectLeaders) -> BoxFuture<'_, Result<ByPartition<()>>> {
        self.elect(request).boxed()
    }

    fn alter_reassignments(&self, request: AlterReassignments) -> BoxFuture<'_, Vec<Result<()>>> {
        self.reassign(request).boxed()
    }

    fn create_acls(&self, request: CreateAcls) -> BoxFuture<'_, Vec<Result<()>>> {
        self.make_acls(request).boxed()
    }

    fn describe_acls(&self, request: DescribeAcls) -> BoxFuture<'_, Result<Vec<AclBinding>>> {
        self.look_at_acls(request).boxed()
    }

    fn delete_acls(&self, request: DeleteAcls) -> BoxFuture<'_, Vec<Result<Vec<AclBinding>>>> {
        self.drop_acls(request).boxed()
    }

    fn describe_scram_users(&self, request: DescribeScramUsers) -> BoxFuture<'_, Result<ByUser<ScramUser>>> {
        self.look_at_users(request).boxed()
    }

    fn alter_scram_users(&self, request: AlterScramUsers) -> BoxFuture<'_, Result<ByUser<()>>> {
        self.change_users(request).boxed()
    }

    fn describe_quotas(&self, request: DescribeQuotas) -> BoxFuture<'_, Result<Vec<QuotaDescription>>> {
        self.look_at_quotas(request).boxed()
    }

    fn alter_quotas(&self, request: AlterQuotas) -> BoxFuture<'_, Vec<Result<()>>> {
        self.set_quotas(request).boxed()
    }

    fn describe_features(&self) -> BoxFuture<'_, Result<Vec<FeatureDescription>>> {
        self.look_at_features().boxed()
    }

    fn update_features(&self, request: UpdateFeatures) -> BoxFuture<'_, Result<()>> {
        self.change_features(request).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.cluster.close();
        ready(Ok(())).boxed()
    }
}
