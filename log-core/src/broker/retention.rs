//! Deleting records before an offset: what a request asks for, and how files go.

use super::Broker;
use super::logs::Logs;
use super::partition::Partition;
use crate::service::{DeleteRecords, ListedOffset};
use crate::storage::{Change, DataDir, Deletion};
use crate::types::{Error, Isolation, Offset, OffsetSpec, Result};
use parking_lot::RwLock;

impl Broker {
    pub(super) fn delete_records(&self, request: &DeleteRecords) -> Result<Vec<ListedOffset>> {
        self.check_open()?;
        let wanted = request.partitions.iter().map(|(name, spec)| {
            if name.topic.is_internal() {
                let why = format!("`{}` belongs to the system; its records are not yours to delete", name.topic);
                return Err(Error::InvalidRequest { why });
            }
            let partition = self.partition(name)?;
            let offsets = partition.offsets();
            match *spec {
                OffsetSpec::Exactly(offset) if offset > offsets.high_watermark => {
                    let (start, end) = (offsets.log_start_offset, offsets.high_watermark);
                    Err(Error::OffsetOutOfRange { partition: name.clone(), offset, start, end })
                }
                spec => resolve(&partition, spec, Isolation::ReadUncommitted).map(|offset| (partition, offset)),
            }
        });
        let wanted = wanted.collect::<Result<Vec<_>>>()?;
        let deleted = wanted.into_iter().map(|(partition, offset)| {
            self.delete_below(&partition, offset)?;
            Ok(ListedOffset { partition: partition.name.clone(), offset: partition.offsets().log_start_offset })
        });
        deleted.collect()
    }

    /// Begins a partition at `offset`, durably, and removes the files that lie before it.
    pub(super) fn delete_below(&self, partition: &Partition, offset: Offset) -> Result<()> {
        let _in_order = partition.deleting.lock();
        match partition.delete_below(offset)? {
            Some(deletion) => remove(&self.logs, &self.dir, partition, &deletion),
            None => Ok(()),
        }
    }
}

/// Records that files are of no use any more, then removes them. The caller holds [`Partition::deleting`].
pub(super) fn remove(
    logs: &Logs,
    dir: &RwLock<Option<DataDir>>,
    partition: &Partition,
    deletion: &Deletion,
) -> Result<()> {
    record(logs, dir, partition, deletion.changes())?;
    deletion.run()
}

/// Makes the checkpoint know of changes, durably. The room that was held back is for this: on a full disk nothing can be
/// deleted without it.
fn record(logs: &Logs, dir: &RwLock<Option<DataDir>>, partition: &Partition, changes: &[Change]) -> Result<()> {
    let key = |change: &Change| {
        let change = match change {
            // One that could not be recorded before may have been overtaken.
            Change::LogStart(offset) => Change::LogStart(*offset.max(&partition.offsets().log_start_offset)),
            other => other.clone(),
        };
        (partition.topic_id, partition.name.partition, change)
    };
    let changes: Vec<_> = changes.iter().map(key).collect();
    let is_room_made = || dir.read().as_ref().is_some_and(DataDir::release_ballast);
    match logs.flusher.record(&changes) {
        Err(Error::DiskFull { .. }) if is_room_made() => logs.flusher.record(&changes)?,
        other => other?,
    }
    if matches!(partition.failed(), Some(Error::UnknownTopic { .. })) {
        // It was deleted meanwhile, and the checkpoint has just been told of it again.
        logs.flusher.forget(partition.topic_id);
    }
    Ok(())
}

/// The offset that `spec` means on a partition now. A reader of committed records is told nothing behind the last stable
/// offset.
pub(super) fn resolve(partition: &Partition, spec: OffsetSpec, isolation: Isolation) -> Result<Offset> {
    let offsets = partition.offsets();
    let end = match isolation {
        Isolation::ReadUncommitted => offsets.high_watermark,
        Isolation::ReadCommitted => offsets.last_stable_offset,
    };
    Ok(match spec {
        OffsetSpec::Earliest => offsets.log_start_offset,
        OffsetSpec::Latest => end,
        OffsetSpec::At(at) => partition.reader.offset_for_time(at)?.map_or(end, |offset| offset.min(end)),
        OffsetSpec::Exactly(offset) => offset.clamp(offsets.log_start_offset, end),
    })
}
