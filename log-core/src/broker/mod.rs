//! The broker: a [`Service`] in this process, on a data directory.
//!
//! This is the shell around parts that know nothing of threads and clocks. It owns the tasks and the time:
//!
//! ```text
//!   Service ──▶ topics     which are open: a registry
//!               admin      administration: decides on the metadata's image, proposes, applies
//!               metadata   what there is besides records: a log of records and the image they lead to
//!               produce    appends by the partition's shard, answered at the high watermark; reads
//!               poll       long polls, woken by bytes
//!               logs       the shards that write the partitions, and what becomes of their effects
//!               groups     drives the pure machine `group`, stores its records
//!               transactions  drives the pure machine `txn`, stores its records, writes markers
//!               shares     drives the pure machine `share`, stores its records, buries dead letters
//!               flush      group commit over all partitions: rounds of syncs
//!               timers     one task: sessions and leases that run out
//!               upkeep     one thread: retention, compaction, and what nobody uses any more
//!               security   who a peer is and what it may do
//!               server     Kafka's protocol over TCP
//!               scrub      reads sealed segments in the background, to find damage early
//! ```
//! Invariants: a partition has one writer, its shard. A lock is never held across a sync or an `.await`, but the one
//! that keeps the deletions of a partition in order. What a
//! response says is durable when it is sent. A failed sync ends all writing to the data directory and is told to all
//! who waited.
//!
//! Under a manual clock nothing happens by itself: no thread flushes, no task expires; each request does both first,
//! and nothing waits for time to pass (`max_wait` is taken as zero). Upkeep is done by a tick.
//!
//! Left out: compaction of the internal topics, replication; appends, topic creation and what queues read
//! block the calling task for as long as the disk does.

mod admin;
mod admission;
mod flush;
mod groups;
mod histogram;
mod logs;
mod metadata;
mod partition;
mod poll;
mod produce;
mod retention;
mod scrub;
#[allow(dead_code, reason = "for the server")]
mod security;
mod server;
mod shares;
#[cfg(test)]
mod tests;
mod timers;
mod topics;
mod transactions;
mod upkeep;

use crate::access::SuperUsers;
use crate::config::{self, BrokerSettings, Overrides};
use crate::env::{Clock, Disk, Rng, secret};
use crate::group::Input;
use crate::service::{
    AddOffsetsToTransaction, AddPartitionsToTransaction, AlterConfigs, AlterQuotas, AlterReassignments,
    AlterScramUsers, ByPartition, ByUser, ClusterDescription, CommitOffsets, CommitTransactionOffsets, CommittedOffset,
    CommittedOffsets, ConfigEntry, ConsumerHeartbeat, ConsumerHeartbeatAnswer, CreateAcls, CreatePartitions,
    CreateTopics, DeleteAcls, DeleteGroup, DeleteOffsets, DeleteRecords, DeleteTopic, DescribeAcls, DescribeConfigs,
    DescribeGroups, DescribeLogDirs, DescribeProducers, DescribeQuotas, DescribeScramUsers, DescribeTopics,
    DescribeTransactions, ElectLeaders, EndTransaction, FeatureDescription, Fetch, Fetched, GroupDescription,
    Heartbeat, IncrementalAlterConfigs, InitProducerId, JoinGroup, JoinedGroup, LeasedRecord, LeaveGroup, ListOffsets,
    ListTransactions, ListedOffset, LogDirDescription, Produce, Produced, ProducerState, QuotaDescription, ScramUser,
    Service, ShareAcknowledge, ShareFetch, SyncGroup, SyncedGroup, TopicDescription, TransactionDescription,
    UpdateFeatures,
};
use crate::shard::Acks;
use crate::storage::{Change, DataDir, Known, LogConfig, METADATA, PartitionLog};
use crate::txn;
use crate::types::{
    AclBinding, ConfigResource, Error, Flush, ProducerIdentity, Result, Timestamp, TopicId, TopicName, TopicPartition,
    limits,
};
use dashmap::DashMap;
use flush::{Changes, Flusher};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use logs::Logs;
pub(crate) use metadata::topics_in;
use metadata::{LocalQuorum, MetadataImage, MetadataQuorum};
use parking_lot::{Mutex, RwLock};
pub use server::{ListenerConfig, Security, Server, ServerConfig, ServerLimits, TlsConfig};
use shares::Shares;
use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Weak};
use tokio::sync::{Notify, watch};
use topics::Topic;
use transactions::Coordinator;
use upkeep::{Node, Upkeep};

/// Partitions that are closed by one round of syncs, with three files each.
const CLOSED_AT_ONCE: usize = 128;

/// What is other than in a server, whose clients come and go by themselves: groups begin at once, sessions may be short,
/// and positions are kept until somebody deletes them.
const EMBEDDED: &[(&str, &str)] = &[
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1"),
    ("offsets.retention.minutes", "2147483647"),
];

/// A metadata log with fewer records is not worth shortening.
const METADATA_RECORDS_MIN: usize = 1000;

/// A log in this process.
#[derive(Debug)]
pub(crate) struct Broker {
    /// For tasks that end what a request has begun.
    this: Weak<Self>,
    clock: Clock,
    node_id: i32,
    /// First, so that it has ended when the rest goes.
    upkeep: Upkeep,
    topics: Arc<DashMap<TopicName, Arc<Topic>>>,
    quorum: Box<dyn MetadataQuorum>,
    /// What was decided. Written under `topology` alone.
    image: RwLock<MetadataImage>,
    /// Settings that were given at the start.
    started: Overrides,
    super_users: SuperUsers,
    /// Whether everyone may do what no entry of access control is about.
    is_lenient: bool,
    /// Salts of users that do not exist are made from it.
    decoy: [u8; 32],
    /// Held while metadata changes.
    topology: tokio::sync::Mutex<()>,
    identities: Mutex<Identities>,
    groups: groups::Coordinator,
    transactions: Coordinator,
    shares: Shares,
    logs: Arc<Logs>,
    scrub: scrub::Scrub,
    /// Rings when a deadline may have come closer.
    timer: Arc<Notify>,
    closed: watch::Sender<bool>,
    /// Holds the lock; given up when closed. Last, so that everything else is gone when the lock is.
    dir: Arc<RwLock<Option<DataDir>>>,
}

/// Where new topic identities come from.
#[derive(Debug)]
struct Identities {
    rng: Rng,
    /// Every identity that the metadata log ever named.
    used: HashSet<TopicId>,
}

impl Broker {
    /// Opens a broker on the data directory `dir`, with the settings of one within a program. Must be called within a tokio runtime.
    pub(crate) fn open(disk: Arc<dyn Disk>, clock: Clock, dir: &Path) -> Result<Arc<Self>> {
        let embedded = EMBEDDED.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::open_with(disk, clock, dir, embedded.collect())
    }

    /// The same with settings of the broker, by Kafka's names, as they were given at the start.
    pub(crate) fn open_with(disk: Arc<dyn Disk>, clock: Clock, dir: &Path, started: Overrides) -> Result<Arc<Self>> {
        let started = config::started(started)?;
        let dir = DataDir::open(disk.clone(), dir)?;
        let (mut checkpoint, found) = dir.checkpoint()?;

        let partition = TopicPartition::new(TopicName::new("__metadata")?, 0);
        let settings = LogConfig {
            partition: partition.clone(),
            flush: Flush::Durable,
            segment_bytes: limits::SEGMENT_BYTES_DEFAULT,
            segment_age: limits::SEGMENT_AGE_DEFAULT,
        };
        let known = Known::of(&checkpoint, &found, METADATA, 0);
        let (log, report) = PartitionLog::open(dir.resources(), &dir.meta_dir(), settings, &known)?;
        topics::tell(&partition, &report);
        if let Some(damage) = report.damage {
            // Without all of the metadata topics would seem not to exist.
            return Err(damage);
        }
        let mut changes: Changes = report.changes.into_iter().map(|change| (METADATA, 0, change)).collect();
        let mut is_damaged = false;
        let quorum = LocalQuorum::new(log);

        let (mut image, mut replayed) = (MetadataImage::default(), 0);
        quorum.replay(&mut |record| {
            replayed += 1;
            image.apply(record);
        })?;
        let present = image.topics();
        let used: HashSet<_> = present.keys().chain(image.deleted()).copied().chain([METADATA]).collect();
        // A power cut may have come between the deletion of a topic and its forgetting.
        let gone: HashSet<_> = checkpoint.partitions().map(|(id, ..)| id).filter(|id| *id != METADATA).collect();
        for id in gone.into_iter().filter(|id| !present.contains_key(id)) {
            if let Err(error) = checkpoint.forget(id) {
                tracing::warn!(topic = %id, %error, "the checkpoint still knows a topic that was deleted");
            }
        }
        let flusher = Flusher::start(dir.disk().clone(), dir.root().to_owned(), clock.clone(), checkpoint)
            .map_err(|e| Error::io("start the flush threads for", dir.root(), e))?;
        let logs = Logs::new(flusher, &clock);
        let open = DashMap::new();
        let settings = image.broker_settings(&started);
        for (id, topic) in image.topics() {
            let (id, name) = (*id, topic.name.clone());
            let (partitions, config) = (0..topic.partitions, image.topic_config(&name, &settings));
            let known = |index| logs.flusher.known(&found, id, index);
            let (topic, of_topic) = topics::open_topic(&dir, &logs, name.clone(), id, partitions, config, known)?;
            is_damaged |= topic.partitions.iter().any(|partition| partition.damage().is_some());
            changes.extend(of_topic);
            open.insert(name, topic);
        }
        topics::remove_leftovers(&dir, &used, image.deleted())?;
        topics::tell_checkpoint(&found);
        match logs.flusher.opened(&changes, is_damaged) {
            Err(Error::DiskFull { .. }) if dir.release_ballast() => logs.flusher.opened(&changes, is_damaged)?,
            other => other?,
        }
        shorten(&quorum, &mut image, replayed, &dir, &logs, clock.now())?;

        let seed = clock.now().0 as u64 ^ (u64::from(std::process::id()) << 40);
        let mut rng = Rng::seeded(if clock.is_manual() { clock.now().0 as u64 } else { seed });
        let run = rng.next_u64() >> 32;
        let (topics, logs) = (Arc::new(open), Arc::new(logs));
        let root = dir.root().to_owned();
        let dir = Arc::new(RwLock::new(Some(dir)));
        let node = Node { clock: clock.clone(), topics: topics.clone(), logs: logs.clone(), dir: dir.clone() };
        let upkeep = Upkeep::start(node).map_err(|e| Error::io("start the upkeep thread for", root, e))?;
        let scrub = scrub::Scrub::new(clock.instant());
        let group_settings = image.broker_settings(&started);
        let broker = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            clock,
            node_id: BrokerSettings::node_id(&started),
            upkeep,
            topics,
            quorum: Box::new(quorum),
            image: RwLock::new(image),
            super_users: SuperUsers::parse(started.get("super.users").map_or("", String::as_str)),
            is_lenient: started.get("allow.everyone.if.no.acl.found").is_some_and(|value| value == "true"),
            decoy: secret(),
            started,
            topology: tokio::sync::Mutex::new(()),
            identities: Mutex::new(Identities { rng, used }),
            groups: groups::Coordinator::new(run, &group_settings),
            transactions: Coordinator::new(),
            shares: Shares::default(),
            logs,
            scrub,
            timer: Arc::default(),
            closed: watch::Sender::new(false),
            dir,
        });
        broker.replay_groups()?;
        broker.replay_shares()?;
        broker.replay_transactions()?;
        if !broker.clock.is_manual() {
            timers::start(&broker);
            scrub::start(&broker);
        }
        Ok(broker)
    }

    fn check_open(&self) -> Result<()> {
        if *self.closed.borrow() { Err(Error::Closed) } else { Ok(()) }
    }

    fn with_dir<T>(&self, f: impl FnOnce(&DataDir) -> T) -> Result<T> {
        self.dir.read().as_ref().map(f).ok_or(Error::Closed)
    }

    /// Lets happen what is due, under a manual clock. With the machine's clock the timer task does it.
    async fn due(&self) {
        if self.clock.is_manual() {
            self.tick().await;
            self.scrub();
        }
        self.flush_what_is_due();
    }

    /// The same for topics that are flushed at intervals; otherwise a thread does it.
    fn flush_what_is_due(&self) {
        if self.clock.is_manual() {
            self.logs.flusher.tick();
        }
    }

    /// Expires sessions and leases. Under a manual clock it does the upkeep too, which has a thread otherwise.
    async fn tick(&self) {
        if self.clock.is_manual() {
            self.upkeep.tick();
        }
        self.group_step(Input::Tick);
        self.transaction_step(txn::Input::Tick);
        if let Err(error) = self.tick_shares().await {
            tracing::warn!(%error, "expired leases wait for the next try");
        }
    }

    async fn delete_any_group(&self, request: DeleteGroup) -> Result<()> {
        self.check_open()?;
        let shares = self.has_share_group(&request.group);
        if shares {
            self.delete_share_group(&request).await?;
        }
        match self.delete_consumer_group(request).await {
            Err(Error::UnknownGroup { .. }) if shares => Ok(()),
            other => other,
        }
    }

    async fn shut(&self) -> Result<()> {
        // Before anything is closed: given up while it waits, this has done nothing.
        let _no_topic_changes = self.topology.lock().await;
        if self.closed.send_replace(true) {
            return Ok(());
        }
        self.timer.notify_one();
        self.upkeep.stop();
        let mut failed = None;
        let close_logs = || {
            let mut changes = Changes::new();
            let mut note = |id, index, closed: Result<Vec<_>>| match closed {
                Ok(closed) => changes.extend(closed.into_iter().map(|change| (id, index, change))),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            };
            let of_topics = self.topics.iter().flat_map(|topic| topic.partitions.clone());
            let partitions: Vec<_> = of_topics.collect();
            for some in partitions.chunks(CLOSED_AT_ONCE) {
                some.iter().for_each(|partition| partition.prepare_close());
                self.logs.flusher.settle(some);
                for partition in some {
                    note(partition.topic_id, partition.name.partition, partition.close(Error::Closed));
                }
            }
            note(METADATA, 0, self.quorum.close());
            failed.is_none().then_some(changes)
        };
        self.logs.flusher.close(close_logs, || self.dir.read().as_ref().is_some_and(DataDir::release_ballast));
        *self.dir.write() = None;
        failed.map_or(Ok(()), Err)
    }
}

/// Begins the metadata log anew if most of the records that were `replayed` are out of date.
fn shorten(
    quorum: &dyn MetadataQuorum,
    image: &mut MetadataImage,
    replayed: usize,
    dir: &DataDir,
    logs: &Logs,
    now: Timestamp,
) -> Result<()> {
    if replayed < METADATA_RECORDS_MIN {
        return Ok(());
    }
    // A deleted topic is forgotten with its files.
    let left: HashSet<_> = dir.topics()?.into_iter().collect();
    let records = image.records(|id| left.contains(&id));
    if replayed < records.len() * 2 {
        return Ok(());
    }
    tracing::debug!(replayed, records = records.len(), "the metadata log begins anew");
    let mut shorter = MetadataImage::default();
    records.iter().for_each(|record| shorter.apply(record.clone()));
    let of_log =
        |changes: &[Change]| -> Changes { changes.iter().map(|change| (METADATA, 0, change.clone())).collect() };
    match quorum.begin_anew(records, now) {
        Ok(Some(begun)) => {
            logs.flusher.note(&of_log(&begun.changes));
            if let Some(deletion) = begun.deletion {
                logs.flusher.record(&of_log(deletion.changes()))?;
                deletion.run()?;
            }
            *image = shorter;
            Ok(())
        }
        Ok(None) => Ok(()),
        // It is as long as before, and no worse.
        Err(error @ (Error::DiskFull { .. } | Error::InvalidRequest { .. })) => {
            tracing::warn!(%error, "the metadata log was not shortened");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The timer task holds the broker weakly and ends when it looks.
        self.timer.notify_one();
    }
}

impl Service for Broker {
    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    fn create_topics(&self, request: CreateTopics) -> BoxFuture<'_, Vec<Result<TopicDescription>>> {
        self.create(request).boxed()
    }
    fn delete_topic(&self, request: DeleteTopic) -> BoxFuture<'_, Result<()>> {
        self.delete(request).boxed()
    }
    fn delete_records(&self, request: DeleteRecords) -> BoxFuture<'_, Result<Vec<ListedOffset>>> {
        async move { self.delete_records(&request) }.boxed()
    }
    fn describe_topics(&self, request: DescribeTopics) -> BoxFuture<'_, Result<Vec<TopicDescription>>> {
        async move {
            self.check_open()?;
            self.describe(&request)
        }
        .boxed()
    }

    fn produce(&self, request: Produce) -> BoxFuture<'_, Result<Produced>> {
        self.append(request, Acks::All).boxed()
    }
    fn fetch(&self, request: Fetch) -> BoxFuture<'_, Result<Vec<Fetched>>> {
        self.read(request).boxed()
    }
    fn list_offsets(&self, request: ListOffsets) -> BoxFuture<'_, Result<Vec<ListedOffset>>> {
        async move {
            self.check_open()?;
            self.list(&request)
        }
        .boxed()
    }
    fn describe_producers(&self, request: DescribeProducers) -> BoxFuture<'_, Result<Vec<ProducerState>>> {
        async move {
            self.check_open()?;
            self.producers(&request)
        }
        .boxed()
    }

    fn init_producer_id(&self, request: InitProducerId) -> BoxFuture<'_, Result<ProducerIdentity>> {
        self.init_producer(request).boxed()
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
        self.transactions_named(request).boxed()
    }
    fn list_transactions(&self, request: ListTransactions) -> BoxFuture<'_, Result<Vec<TransactionDescription>>> {
        self.transactions_like(request).boxed()
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
        async move { self.committed(&request) }.boxed()
    }
    fn delete_offsets(&self, request: DeleteOffsets) -> BoxFuture<'_, Result<Vec<Result<()>>>> {
        self.forget_offsets(request).boxed()
    }
    fn describe_groups(&self, request: DescribeGroups) -> BoxFuture<'_, Result<Vec<GroupDescription>>> {
        async move {
            self.check_open()?;
            self.due().await;
            self.groups(&request)
        }
        .boxed()
    }
    fn delete_group(&self, request: DeleteGroup) -> BoxFuture<'_, Result<()>> {
        self.delete_any_group(request).boxed()
    }

    fn share_fetch(&self, request: ShareFetch) -> BoxFuture<'_, Result<Vec<LeasedRecord>>> {
        async move {
            self.due().await;
            self.lease(request).await
        }
        .boxed()
    }
    fn share_acknowledge(&self, request: ShareAcknowledge) -> BoxFuture<'_, Result<()>> {
        async move {
            self.due().await;
            self.acknowledge(request).await
        }
        .boxed()
    }

    fn create_partitions(&self, request: CreatePartitions) -> BoxFuture<'_, Vec<Result<()>>> {
        self.create_more(request).boxed()
    }
    fn describe_configs(&self, request: DescribeConfigs) -> BoxFuture<'_, Vec<Result<Vec<ConfigEntry>>>> {
        async move { self.describe_settings(&request) }.boxed()
    }
    fn alter_configs(&self, request: AlterConfigs) -> BoxFuture<'_, Vec<Result<()>>> {
        self.replace_settings(request).boxed()
    }
    fn incremental_alter_configs(&self, request: IncrementalAlterConfigs) -> BoxFuture<'_, Vec<Result<()>>> {
        self.change_settings(request).boxed()
    }
    fn list_config_resources(&self) -> BoxFuture<'_, Result<Vec<ConfigResource>>> {
        async move { self.configured() }.boxed()
    }
    fn describe_cluster(&self) -> BoxFuture<'_, Result<ClusterDescription>> {
        self.cluster().boxed()
    }
    fn describe_log_dirs(&self, request: DescribeLogDirs) -> BoxFuture<'_, Result<Vec<LogDirDescription>>> {
        async move { self.log_dirs(&request) }.boxed()
    }
    fn elect_leaders(&self, request: ElectLeaders) -> BoxFuture<'_, Result<ByPartition<()>>> {
        async move { self.elect(&request) }.boxed()
    }
    fn alter_reassignments(&self, request: AlterReassignments) -> BoxFuture<'_, Vec<Result<()>>> {
        async move { self.reassign(&request) }.boxed()
    }
    fn create_acls(&self, request: CreateAcls) -> BoxFuture<'_, Vec<Result<()>>> {
        self.add_acls(request).boxed()
    }
    fn describe_acls(&self, request: DescribeAcls) -> BoxFuture<'_, Result<Vec<AclBinding>>> {
        async move { self.acls(&request) }.boxed()
    }
    fn delete_acls(&self, request: DeleteAcls) -> BoxFuture<'_, Vec<Result<Vec<AclBinding>>>> {
        self.remove_acls(request).boxed()
    }
    fn describe_scram_users(&self, request: DescribeScramUsers) -> BoxFuture<'_, Result<ByUser<ScramUser>>> {
        async move { self.users(&request) }.boxed()
    }
    fn alter_scram_users(&self, request: AlterScramUsers) -> BoxFuture<'_, Result<ByUser<()>>> {
        self.change_users(request).boxed()
    }
    fn describe_quotas(&self, request: DescribeQuotas) -> BoxFuture<'_, Result<Vec<QuotaDescription>>> {
        async move { self.quotas(&request) }.boxed()
    }
    fn alter_quotas(&self, request: AlterQuotas) -> BoxFuture<'_, Vec<Result<()>>> {
        self.change_quotas(request).boxed()
    }
    fn describe_features(&self) -> BoxFuture<'_, Result<Vec<FeatureDescription>>> {
        async move { self.features() }.boxed()
    }
    fn update_features(&self, request: UpdateFeatures) -> BoxFuture<'_, Result<()>> {
        self.set_features(request).boxed()
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.shut().boxed()
    }
}
