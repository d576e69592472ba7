//! One open partition as the broker sees it: its place in a shard, which writes it; its reader, beside the shard; and
//! those who wait for it.

use super::poll::WatchList;
use crate::record::records_at;
use crate::shard::{Acks, Command, Description, Driver, Pending, Reply, Slot};
use crate::storage::{
    AbortedTransaction, Appended, Change, CompactionPass, CompactionReport, CompactionSettings, Deletion, LogReader,
    ProducerDescription, Replacement, Retention, SyncTicket,
};
use crate::types::{
    Error, Flush, Isolation, LogOffsets, Offset, Result, Timestamp, TopicConfig, TopicId, TopicPartition,
};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A partition that takes appends and answers reads.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) reader: LogReader,
    /// Whether records are on disk before they are acknowledged.
    durable: AtomicBool,
    /// Polls that wait for its high watermark to move.
    pub(super) watchers: WatchList,
    pub(super) shard: Arc<Driver>,
    pub(super) slot: Slot,
    /// Held from when the log gives out a deletion until the checkpoint knows: they are recorded in order.
    pub(super) deleting: Mutex<()>,
    /// Shared by who asks whether a transaction is open and appends to it; alone for who ends it. Held over the submission
    /// only, so that the marker has its place behind every batch of its transaction.
    pub(super) transactional: RwLock<()>,
    /// Nothing will come any more, and why.
    failed: OnceLock<Error>,
    /// The first damage that opening or a read found.
    damage: OnceLock<Error>,
    /// How often it was read.
    #[cfg(test)]
    pub(super) reads: std::sync::atomic::AtomicU64,
}

impl Partition {
    pub(super) fn new(
        name: TopicPartition,
        topic_id: TopicId,
        flush: Flush,
        reader: LogReader,
        shard: Arc<Driver>,
        slot: Slot,
    ) -> Self {
        Self {
            name,
            topic_id,
            reader,
            durable: AtomicBool::new(flush.is_durable()),
            watchers: WatchList::default(),
            shard,
            slot,
            deleting: Mutex::default(),
            transactional: RwLock::default(),
            failed: OnceLock::new(),
            damage: OnceLock::new(),
            #[cfg(test)]
            reads: 0.into(),
        }
    }

    /// Works by other settings from here on. What the broker itself writes is never lost.
    pub(super) fn configure(&self, config: &TopicConfig) {
        let flush = if self.name.topic.is_internal() { Flush::Durable } else { config.flush };
        self.durable.store(flush.is_durable(), Ordering::Relaxed);
        let TopicConfig { segment_bytes, segment_age, .. } = *config;
        self.shard.tell(Command::Configure { slot: self.slot, flush, segment_bytes, segment_age });
    }

    /// Whether records are on disk before they are acknowledged.
    pub(super) fn is_durable(&self) -> bool {
        self.durable.load(Ordering::Relaxed)
    }

    /// Submits a batch: its place in the order of the log is decided when this returns. The result comes when it is as
    /// durable as the topic's flush policy asks for.
    pub(super) fn append(&self, batch: Bytes) -> impl Future<Output = Result<Appended>> + use<'_> {
        self.append_with(batch, Acks::All)
    }

    /// The same; the result comes when `acks` says.
    pub(super) fn append_with(&self, batch: Bytes, acks: Acks) -> impl Future<Output = Result<Appended>> + use<'_> {
        let pending = self.submit(batch, acks);
        async move { self.appended(pending.await) }
    }

    /// The same for who goes on without the partition.
    pub(super) fn append_owned(self: &Arc<Self>, batch: Bytes) -> impl Future<Output = Result<Appended>> + use<> {
        let (pending, partition) = (self.submit(batch, Acks::All), self.clone());
        async move { partition.appended(pending.await) }
    }

    /// Appends a batch; not durable yet. Blocks while the disk writes it.
    pub(super) fn append_now(&self, batch: Bytes) -> Result<Appended> {
        self.appended(self.submit(batch, Acks::Written).wait())
    }

    fn submit(&self, batch: Bytes, acks: Acks) -> Pending {
        self.shard.ask(|token| Command::Append { slot: self.slot, token, batch, acks })
    }

    fn appended(&self, reply: Result<Reply>) -> Result<Appended> {
        match self.explain(reply)? {
            Reply::Appended(appended) => Ok(appended),
            other => unreachable!("an append is not answered by {other}"),
        }
    }

    /// Waits until everything below `end` is durable, or as durable as the topic's flush policy asks for.
    pub(super) async fn acknowledged(&self, end: Offset) -> Result<()> {
        self.explain(self.shard.ask(|token| Command::Await { slot: self.slot, token, upto: end }).await).map(drop)
    }

    pub(super) fn offsets(&self) -> LogOffsets {
        self.reader.offsets()
    }

    /// The first half of a sync: what to sync, while the shard goes on.
    pub(super) fn begin_sync(&self) -> Option<SyncTicket> {
        match self.shard.ask(|token| Command::BeginSync { slot: self.slot, token }).wait() {
            Ok(Reply::Ticket(ticket)) => ticket.map(|ticket| *ticket),
            // It was closed meanwhile.
            _ => None,
        }
    }

    /// The second half: those who wait are answered. Returns the point for the checkpoint, and for how many bytes it was.
    pub(super) fn finish_sync(&self, ticket: SyncTicket, result: Result<()>) -> (Vec<Change>, u64) {
        let (slot, ticket) = (self.slot, Box::new(ticket));
        match self.shard.ask(|token| Command::Synced { slot, token, ticket, result }).wait() {
            Ok(Reply::Durable(synced, bytes)) => (synced.changes, bytes),
            _ => (Vec::new(), 0),
        }
    }

    /// Batches from `offset` on, for a request: what is in memory at once; what must be fetched from the disk on a thread
    /// that may wait, so that other requests go on meanwhile. With the aborted transactions that a reader of committed
    /// records has to be told of. Damage is remembered, for whoever asks what is wrong with the partition.
    pub(super) async fn read(
        &self,
        offset: Offset,
        max_bytes: u32,
        isolation: Isolation,
    ) -> Result<(Bytes, Vec<AbortedTransaction>)> {
        let cached = match isolation {
            Isolation::ReadUncommitted => {
                self.reader.read_cached(offset, max_bytes, isolation).map(|read| read.map(|read| (read, Vec::new())))
            }
            Isolation::ReadCommitted => self.reader.read_committed_cached(offset, max_bytes),
        };
        let read = match cached.transpose() {
            Some(read) => read,
            None => {
                let reader = self.reader.clone();
                let cold = tokio::task::spawn_blocking(move || match isolation {
                    Isolation::ReadUncommitted => Ok((reader.read(offset, max_bytes)?, Vec::new())),
                    Isolation::ReadCommitted => reader.read_committed(offset, max_bytes),
                });
                // The runtime ends: nobody reads the answer.
                cold.await.unwrap_or(Err(Error::Closed))
            }
        };
        self.noted(read)
    }

    /// The same; blocks while the disk reads.
    pub(super) fn read_now(&self, offset: Offset, max_bytes: u32) -> Result<Bytes> {
        self.noted(self.reader.read(offset, max_bytes))
    }

    fn noted<T>(&self, read: Result<T>) -> Result<T> {
        #[cfg(test)]
        self.reads.fetch_add(1, Ordering::Relaxed);
        if let Err(error @ Error::Corrupt { .. }) = &read {
            self.found_damage(error);
        }
        read
    }

    /// The first damage that opening or a read found.
    pub(super) fn damage(&self) -> Option<&Error> {
        self.damage.get()
    }

    /// The epoch of its leader: there is one broker, which has led from the beginning.
    #[expect(clippy::unused_self, reason = "it will be the partition's")]
    pub(super) const fn leader_epoch(&self) -> i32 {
        0
    }

    /// The last epoch up to `epoch`, and the offset where it ends; `None` for one that is not known (KIP-101).
    pub(super) fn end_of_epoch(&self, epoch: i32) -> Option<(i32, Offset)> {
        (epoch == self.leader_epoch()).then(|| (epoch, self.offsets().log_end_offset))
    }

    /// The first record whose timestamp is at or after `at`, with that; `None` for `at` is the highest there is. Looks on
    /// another thread, as it may wait for the disk.
    pub(super) async fn find(&self, at: Option<Timestamp>) -> Result<Option<(Offset, Timestamp)>> {
        let reader = self.reader.clone();
        let looking = tokio::task::spawn_blocking(move || match at {
            Some(at) => reader.record_for_time(at),
            None => latest(&reader),
        });
        // The runtime ends: nobody reads the answer.
        let found = looking.await.unwrap_or(Err(Error::Closed));
        self.noted(found)
    }

    /// Why nothing will come any more, if nothing will.
    pub(super) fn failed(&self) -> Option<&Error> {
        self.failed.get()
    }

    /// Remembers damage, for whoever asks what is wrong with the partition.
    pub(super) fn found_damage(&self, damage: &Error) {
        if self.damage.set(damage.clone()).is_ok() {
            tracing::error!(partition = %self.name, error = %damage, "a partition is damaged");
        }
    }

    /// The high watermark has moved by so many bytes.
    pub(super) fn advanced(&self, bytes: u64) {
        self.watchers.advance(bytes);
    }

    /// Tells waiters that nothing comes any more.
    pub(super) fn fail(&self, error: Error) {
        if self.failed.set(error).is_ok() {
            self.watchers.wake();
        }
    }

    /// Writes what a close leaves beside the log.
    pub(super) fn prepare_close(&self) {
        self.shard.tell(Command::PrepareClose { slot: self.slot });
    }

    /// Makes everything durable, closes the log and tells waiters why. Returns what the checkpoint is to know.
    pub(super) fn close(&self, why: Error) -> Result<Vec<Change>> {
        match self.shard.ask(|token| Command::Close { slot: self.slot, token, why }).wait() {
            Ok(Reply::Closed(changes)) => Ok(changes),
            Ok(other) => unreachable!("a close is not answered by {other}"),
            // It was closed before.
            Err(Error::Closed) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Lets go of the log of a topic that was deleted.
    pub(super) fn remove(&self, why: Error) {
        self.shard.tell(Command::Remove { slot: self.slot, why: why.clone() });
        self.fail(why);
    }

    /// What only the writer knows.
    pub(super) fn describe(&self) -> Result<Description> {
        match self.explain(self.shard.ask(|token| Command::Describe { slot: self.slot, token }).wait())? {
            Reply::Described(description) => Ok(description),
            other => unreachable!("a description is not {other}"),
        }
    }

    /// The idempotent producers and their transactions.
    pub(super) fn producers(&self) -> Result<Vec<ProducerDescription>> {
        match self.explain(self.shard.ask(|token| Command::Producers { slot: self.slot, token }).wait())? {
            Reply::Producers(producers) => Ok(producers),
            other => unreachable!("producers are not {other}"),
        }
    }

    /// Begins the log at `offset`; what is to be recorded and removed then. `None` if it begins there or behind it.
    pub(super) fn delete_below(&self, offset: Offset) -> Result<Option<Box<Deletion>>> {
        self.deletion(self.shard.ask(|token| Command::DeleteBelow { slot: self.slot, token, offset }))
    }

    /// Moves the log start over segments that are too old or too many; otherwise as [`Partition::delete_below`].
    pub(super) fn retain(&self, retention: Retention) -> Result<Option<Box<Deletion>>> {
        self.deletion(self.shard.ask(|token| Command::Retain { slot: self.slot, token, retention }))
    }

    /// Takes in what a compaction has written; what is to be recorded and removed then.
    pub(super) fn replace(&self, replacement: Replacement) -> Result<Option<Box<Deletion>>> {
        let replacement = Box::new(replacement);
        self.deletion(self.shard.ask(|token| Command::Replace { slot: self.slot, token, replacement }))
    }

    fn deletion(&self, pending: Pending) -> Result<Option<Box<Deletion>>> {
        match self.explain(pending.wait())? {
            Reply::Deletion(deletion) => Ok(deletion),
            other => unreachable!("a deletion is not {other}"),
        }
    }

    /// Begins a new segment if the active one was begun that long ago, so that it can be deleted or compacted.
    pub(super) fn roll(&self, age: Duration) -> Result<()> {
        self.done(self.shard.ask(|token| Command::Roll { slot: self.slot, token, age }))
    }

    /// A compaction, if one is worth it.
    pub(super) fn begin_compaction(&self, settings: CompactionSettings) -> Result<Option<Box<CompactionPass>>> {
        let pending = self.shard.ask(|token| Command::BeginCompaction { slot: self.slot, token, settings });
        match self.explain(pending.wait())? {
            Reply::Compaction(pass) => Ok(pass),
            other => unreachable!("a compaction is not {other}"),
        }
    }

    /// Remembers how far a compaction has come.
    pub(super) fn finish_compaction(&self, report: CompactionReport) -> Result<()> {
        self.done(self.shard.ask(|token| Command::FinishCompaction { slot: self.slot, token, report }))
    }

    /// Forgets idempotent producers that wrote nothing since `before`.
    pub(super) fn expire_producers(&self, before: Timestamp) -> Result<()> {
        self.done(self.shard.ask(|token| Command::ExpireProducers { slot: self.slot, token, before }))
    }

    fn done(&self, pending: Pending) -> Result<()> {
        self.explain(pending.wait()).map(drop)
    }

    /// When the first record at or after `offset` was stamped; `None` when there is none or it cannot be read.
    pub(super) fn timestamp_at(&self, offset: Offset) -> Option<Timestamp> {
        let mut position = offset;
        loop {
            let (batches, before) = (self.read_now(position, 1).ok()?, position);
            // The batch may have been emptied by compaction, or be a marker: then the next one is asked.
            if let Some(record) = records_at(batches, &mut position).next() {
                return record.ok().map(|record| record.timestamp);
            }
            if position == before {
                return None;
            }
        }
    }

    /// A shard that does not know the partition any more says that it is closed; here is known why.
    fn explain(&self, reply: Result<Reply>) -> Result<Reply> {
        reply.map_err(|error| match (error, self.failed.get()) {
            (Error::Closed, Some(why)) => why.clone(),
            (error, _) => error,
        })
    }
}

/// The first record that has the highest timestamp. Records need not be in order of time, so it is the last moment that
/// has a record at or after it: halved until it is found, each time with a look into the index.
fn latest(reader: &LogReader) -> Result<Option<(Offset, Timestamp)>> {
    let Some(mut found) = reader.record_for_time(Timestamp::MIN)? else { return Ok(None) };
    let mut above = None;
    // At first it goes up in ever larger steps: records are of a few years, not of all time.
    let mut step = 1_i64;
    loop {
        let low = found.1.0;
        let at = match above {
            None => low.saturating_add(step),
            Some(above) if above - low <= 1 => return Ok(Some(found)),
            Some(above) => low + (above - low) / 2,
        };
        if at == low {
            return Ok(Some(found));
        }
        match reader.record_for_time(Timestamp(at))? {
            Some(later) => found = later,
            None => above = Some(at),
        }
        step = step.saturating_mul(2);
    }
}
