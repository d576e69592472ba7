//! Storage on the real and the simulated disk. The modules below test one promise each.

mod basics;
mod doctor;
mod faults;
mod format;
mod model;
#[cfg(feature = "mutants")]
mod mutants;
mod repair;
mod replay;
mod rot;
mod sequences;
mod simulation;
mod transactions;
mod truncation;
mod upkeep;

use super::*;
use crate::env::{Disk, SimDisk};
use crate::record::{BatchBuilder, Compression, ProducerStamp, Record, StoredRecord, records};
use crate::types::{Flush, LogOffsets, Offset, Result, Timestamp, TopicId, TopicName, TopicPartition, limits};
use bytes::Bytes;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const TOPIC: TopicId = TopicId(uuid::Uuid::from_u128(7));

fn config(segment_bytes: u64) -> LogConfig {
    let partition = TopicPartition::new(TopicName::new("t").unwrap(), 0);
    LogConfig { partition, flush: Flush::Durable, segment_bytes, segment_age: limits::SEGMENT_AGE_DEFAULT }
}

/// A batch of one record for each value; timestamps are 1000 + 10 for each record.
fn batch(values: &[&str]) -> Bytes {
    stamped(values, None)
}

fn stamped(values: &[&str], stamp: Option<ProducerStamp>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some(stamp) = stamp {
        builder = builder.stamp(stamp);
    }
    for (n, value) in values.iter().enumerate() {
        let value = Some(Bytes::copy_from_slice(value.as_bytes()));
        builder.push(&Record { value, timestamp: Timestamp(1000 + 10 * n as i64), ..Record::default() });
    }
    builder.finish()
}

/// The wall clock of every append.
const NOW: Timestamp = Timestamp(1000);

/// A data directory with one partition, opened as a broker does it.
struct Opened {
    dir: DataDir,
    checkpoint: Checkpoint,
    log: PartitionLog,
    report: OpenReport,
}

impl Opened {
    fn try_open(disk: &Arc<dyn Disk>, root: &Path, segment_bytes: u64) -> Result<Self> {
        Self::with(disk, root, config(segment_bytes))
    }

    fn with(disk: &Arc<dyn Disk>, root: &Path, config: LogConfig) -> Result<Self> {
        let dir = DataDir::open(disk.clone(), root)?;
        let (mut checkpoint, found) = dir.checkpoint()?;
        let known = Known::of(&checkpoint, &found, TOPIC, 0);
        let (log, report) = PartitionLog::open(dir.resources(), &dir.partition_dir(TOPIC, 0), config, &known)?;
        note(&mut checkpoint, report.changes.clone())?;
        checkpoint.sync()?;
        if report.damage.is_none() {
            checkpoint.reconciled()?;
        }
        Ok(Self { dir, checkpoint, log, report })
    }

    fn on(disk: &SimDisk, segment_bytes: u64) -> Self {
        Self::try_open(&shared(disk), Path::new("/data"), segment_bytes).unwrap()
    }

    fn append(&mut self, batch: &Bytes) -> Result<Appended> {
        self.log.append(batch, NOW)
    }

    fn sync(&mut self) -> Result<()> {
        let changes = self.log.sync()?;
        note(&mut self.checkpoint, changes)
    }

    fn close(mut self) -> Result<()> {
        let changes = self.log.close()?;
        note(&mut self.checkpoint, changes)?;
        self.checkpoint.close()
    }
}

fn note(checkpoint: &mut Checkpoint, changes: Vec<Change>) -> Result<()> {
    checkpoint.append(&changes.into_iter().map(|change| (TOPIC, 0, change)).collect::<Vec<_>>())
}

fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}

/// All readable records, read in steps of `max_bytes`.
fn read_all(reader: &LogReader, max_bytes: u32) -> Result<Vec<StoredRecord>> {
    let offsets = reader.offsets();
    assert!(offsets.is_valid(), "{offsets:?}");
    let mut all: Vec<StoredRecord> = Vec::new();
    let mut next = offsets.log_start_offset;
    while next < offsets.high_watermark {
        let bytes = reader.read(next, max_bytes)?;
        assert!(!bytes.is_empty());
        for record in records(bytes) {
            let record = record?;
            assert_eq!(record.offset, next, "offsets follow on");
            next += 1;
            all.push(record);
        }
    }
    Ok(all)
}

fn values(reader: &LogReader) -> Vec<String> {
    let text = |r: StoredRecord| String::from_utf8(r.value.unwrap().to_vec()).unwrap();
    read_all(reader, 1 << 20).unwrap().into_iter().map(text).collect()
}

/// The segments' files.
fn partition_files(disk: &SimDisk) -> Vec<PathBuf> {
    let dir = Path::new("/data/t").join(TOPIC.to_string()).join("0");
    let names = disk.list(&dir).unwrap().into_iter().filter(|name| name.extension().is_some_and(|e| e == "log"));
    names.map(|name| dir.join(name)).collect()
}

/// Leaves `room` more bytes on the disk.
fn fill(disk: &SimDisk, room: u64) {
    const LARGE: u64 = 1 << 40;
    disk.set_capacity(Some(LARGE));
    let used = LARGE - disk.free_bytes(Path::new("/")).unwrap();
    disk.set_capacity(Some(used + room));
}

/// The next offset, which is also how many records there are.
fn end(opened: &Opened) -> Offset {
    opened.log.offsets().log_end_offset
}
