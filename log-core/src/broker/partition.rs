//! One open partition: its single writer behind a short lock, its readers beside it, and those who wait for it.

use crate::record::records_at;
use crate::storage::{Appended, DurablePoint, LogReader, PartitionLog, SyncTicket};
use crate::types::{Error, Flush, LogOffsets, Offset, Result, Timestamp, TopicConfig, TopicId, TopicPartition};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// A partition that takes appends and answers reads.
#[derive(Debug)]
pub(super) struct Partition {
    pub(super) name: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) reader: LogReader,
    pub(super) flush: Flush,
    /// `None` once it is closed or deleted. Held for an append or the begin and end of a sync, never across one.
    log: Mutex<Option<PartitionLog>>,
    progress: watch::Sender<Progress>,
    /// The first damage that a read found.
    damage: OnceLock<Error>,
    /// It is in the flusher's list.
    pub(super) queued: AtomicBool,
}

/// What waiters wait for.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) high_watermark: Offset,
    /// Nothing will come any more, and why.
    pub(super) failed: Option<Error>,
}

impl Partition {
    pub(super) fn new(name: TopicPartition, topic_id: TopicId, config: &TopicConfig, log: PartitionLog) -> Self {
        let reader = log.reader();
        let high_watermark = reader.offsets().high_watermark;
        Self {
            name,
            topic_id,
            reader,
            flush: config.flush,
            log: Mutex::new(Some(log)),
            progress: watch::Sender::new(Progress { high_watermark, failed: None }),
            damage: OnceLock::new(),
            queued: AtomicBool::new(false),
        }
    }

    /// Appends one batch; not durable yet.
    pub(super) fn append(&self, batch: &[u8]) -> Result<Appended> {
        let appended = self.with(|log| log.append(batch))?;
        if self.flush == Flush::Os {
            self.publish();
        }
        appended
    }

    /// Waits until everything below `end` is durable, or as durable as the topic's flush policy asks for.
    pub(super) async fn acknowledged(&self, end: Offset) -> Result<()> {
        let mut progress = self.progress.subscribe();
        loop {
            {
                let now = progress.borrow_and_update();
                if now.high_watermark >= end {
                    return Ok(());
                }
                if let Some(error) = &now.failed {
                    return Err(error.clone());
                }
            }
            progress.changed().await.map_err(|_| Error::Closed)?;
        }
    }

    /// Wakes when the high watermark moves or the partition fails.
    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) fn offsets(&self) -> LogOffsets {
        self.reader.offsets()
    }

    /// The first half of a sync: what to sync, without holding the lock while that runs.
    pub(super) fn begin_sync(&self) -> Option<SyncTicket> {
        // Cleared before the ticket is made: an append after it queues the partition again.
        self.queued.store(false, Ordering::Release);
        self.with(PartitionLog::begin_sync).ok().flatten()
    }

    /// The second half: moves the high watermark, or fences the partition. Either way waiters are told.
    pub(super) fn finish_sync(&self, ticket: SyncTicket, result: Result<()>) -> Option<DurablePoint> {
        let finished = self.with(|log| log.finish_sync(ticket, result).map(|_| log.durable_point()));
        match finished.and_then(|finished| finished) {
            Ok(point) => {
                self.publish();
                point
            }
            Err(error) => {
                tracing::error!(partition = %self.name, %error, "a sync failed; the partition takes no more writes");
                self.fail(error);
                None
            }
        }
    }

    /// Batches from `offset` on. Damage is remembered, for whoever asks what is wrong with the partition.
    pub(super) fn read(&self, offset: Offset, max_bytes: u32) -> Result<Bytes> {
        self.reader.read(offset, max_bytes).inspect_err(|error| {
            if matches!(error, Error::Corrupt { .. }) && self.damage.set(error.clone()).is_ok() {
                tracing::error!(partition = %self.name, %error, "a partition is damaged");
            }
        })
    }

    /// The first damage that a read found.
    pub(super) fn damage(&self) -> Option<&Error> {
        self.damage.get()
    }

    /// Tells waiters that nothing comes any more.
    pub(super) fn fail(&self, error: Error) {
        self.progress.send_modify(|progress| {
            progress.failed.get_or_insert(error);
        });
    }

    /// Refuses appends from here on and tells waiters why.
    pub(super) fn close(&self, why: Error) -> Option<PartitionLog> {
        let log = self.log.lock().take();
        self.fail(why);
        log
    }

    /// Calls `f` with the log, for a look at what only the writer knows.
    pub(super) fn with<T>(&self, f: impl FnOnce(&mut PartitionLog) -> T) -> Result<T> {
        match &mut *self.log.lock() {
            Some(log) => Ok(f(log)),
            None => Err(self.progress.borrow().failed.clone().unwrap_or(Error::Closed)),
        }
    }

    /// When the first record at or after `offset` was stamped; `None` when there is none or it cannot be read.
    pub(super) fn timestamp_at(&self, offset: Offset) -> Option<Timestamp> {
        let mut position = offset;
        loop {
            let (batches, before) = (self.read(position, 1).ok()?, position);
            // The batch may have been emptied by compaction, or be a marker: then the next one is asked.
            if let Some(record) = records_at(batches, &mut position).next() {
                return record.ok().map(|record| record.timestamp);
            }
            if position == before {
                return None;
            }
        }
    }

    fn publish(&self) {
        let high_watermark = self.reader.offsets().high_watermark;
        self.progress.send_if_modified(|progress| {
            let moved = progress.high_watermark < high_watermark;
            progress.high_watermark = progress.high_watermark.max(high_watermark);
            moved
        });
    }
}
