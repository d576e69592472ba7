//! A closed data directory with a file of every kind, and all that was ever written into it.

use super::super::*;
use crate::env::OpenMode;
use crate::record::{BatchHeader, ControlKind, ControlRecord, batches};
use crate::types::{OffsetRange, PartitionIndex};
use std::time::Duration;

/// One log of the directory as it was when it was closed.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) topic: TopicId,
    pub(super) partition: PartitionIndex,
    pub(super) dir: PathBuf,
    /// Every batch that ever had a place in it, as it was stamped.
    pub(super) batches: Vec<(BatchHeader, Bytes)>,
    /// The timestamp and offset of each record that is not a marker.
    pub(super) times: Vec<(Timestamp, Offset)>,
    pub(super) offsets: LogOffsets,
    pub(super) aborted: Vec<AbortedTransaction>,
    /// The last batch that an idempotent producer has sent, and the offset that it got.
    pub(super) sent_last: Option<(Bytes, Offset)>,
}

/// The directory, and each of its logs.
pub(super) struct Made {
    pub(super) disk: SimDisk,
    /// As it was after its first life.
    pub(super) earlier: SimDisk,
    pub(super) logs: Vec<Written>,
}

impl Made {
    /// The logs that damage to a file may concern: those of its directory, or all.
    pub(super) fn concerned(&self, path: &Path) -> Vec<&Written> {
        let own: Vec<_> = self.logs.iter().filter(|log| path.starts_with(&log.dir)).collect();
        if own.is_empty() { self.logs.iter().collect() } else { own }
    }

    /// The first bytes of a file.
    pub(super) fn bytes_of(&self, path: &Path, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.disk.open(path, OpenMode::Read).unwrap().read_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// What was in a file after the first life, if it was another then.
    pub(super) fn earlier_bytes_of(&self, path: &Path) -> Option<Vec<u8>> {
        let len = self.disk.len_of(path).unwrap();
        let file = self.earlier.open(path, OpenMode::Read).ok()?;
        let mut bytes = vec![0; file.len().unwrap() as usize];
        file.read_at(&mut bytes, 0).unwrap();
        (bytes != self.bytes_of(path, len)).then_some(bytes)
    }
}

const ROOT: &str = "/data";
/// Producers: idempotent, of aborted transactions, of committed ones.
const IDEMPOTENT: i64 = 5;
const ABORTS: i64 = 7;
const COMMITS: i64 = 8;

/// The segments of the logs: small ones, and some of more than one block.
const SMALL_SEGMENT: u64 = 700;
const LARGE_SEGMENT: u64 = 80_000;

/// Opens one log of a directory.
pub(super) fn open_log(
    dir: &DataDir,
    checkpoint: &mut Checkpoint,
    report: &CheckpointReport,
    written: (TopicId, PartitionIndex, &Path),
) -> Result<(PartitionLog, OpenReport)> {
    let (topic, partition, path) = written;
    let known = Known::of(checkpoint, report, topic, partition);
    let segment_bytes = if partition == 1 { LARGE_SEGMENT } else { SMALL_SEGMENT };
    let (log, found) = PartitionLog::open(dir.resources(), path, config(segment_bytes), &known)?;
    let changes: Vec<_> = found.changes.iter().map(|change| (topic, partition, change.clone())).collect();
    checkpoint.append(&changes)?;
    Ok((log, found))
}

/// A log under way.
struct Writing {
    log: PartitionLog,
    written: Written,
}

impl Writing {
    fn append(&mut self, batch: &Bytes) -> Offset {
        self.log.append(batch, NOW).unwrap().base_offset
    }

    fn sync(&mut self, checkpoint: &mut Checkpoint) {
        let changes = self.log.sync().unwrap();
        self.note(checkpoint, changes);
        self.collect();
    }

    fn note(&self, checkpoint: &mut Checkpoint, changes: Vec<Change>) {
        let Written { topic, partition, .. } = self.written;
        checkpoint.append(&changes.into_iter().map(|change| (topic, partition, change)).collect::<Vec<_>>()).unwrap();
    }

    /// Takes down what was written since.
    fn collect(&mut self) {
        let (reader, end) = (self.log.reader(), self.log.offsets().high_watermark);
        let mut next = self.written.batches.last().map_or(0, |(header, _)| header.next_offset());
        while next < end {
            for batch in batches(reader.read(next, 1 << 20).unwrap()) {
                let batch = batch.unwrap();
                next = batch.header.next_offset();
                if !batch.header.is_control {
                    let records = records(batch.bytes.clone()).map(|record| record.unwrap());
                    self.written.times.extend(records.map(|record| (record.timestamp, record.offset)));
                }
                self.written.batches.push((batch.header, batch.bytes));
            }
        }
    }

    fn transactional(&mut self, producer_id: i64, base_sequence: i32, values: &[&str]) {
        let stamp = ProducerStamp { producer_id, producer_epoch: 0, base_sequence };
        let mut builder = BatchBuilder::new(Compression::None).stamp(stamp).transactional();
        for value in values {
            let value = Some(Bytes::copy_from_slice(value.as_bytes()));
            builder.push(&Record { value, timestamp: Timestamp(1500), ..Record::default() });
        }
        self.append(&builder.finish());
    }

    fn end_transaction(&mut self, producer_id: i64, kind: ControlKind) {
        let marker = ControlRecord { kind, coordinator_epoch: 1 };
        self.log.append_marker(producer_id, 0, marker, NOW).unwrap();
    }

    fn idempotent(&mut self, base_sequence: i32, value: &str) {
        let batch =
            stamped(&[value], Some(ProducerStamp { producer_id: IDEMPOTENT, producer_epoch: 0, base_sequence }));
        let base = self.append(&batch);
        self.written.sent_last = Some((batch, base));
    }

    fn finish(mut self, checkpoint: &mut Checkpoint) -> Written {
        self.sync(checkpoint);
        self.written.offsets = self.log.offsets();
        let range = OffsetRange::new(0, self.written.offsets.log_end_offset);
        self.written.aborted = self.log.reader().aborted(range).unwrap();
        let Written { topic, partition, .. } = self.written;
        let changes = self.log.close().unwrap();
        let changes: Vec<_> = changes.into_iter().map(|change| (topic, partition, change)).collect();
        checkpoint.append(&changes).unwrap();
        self.written
    }
}

/// Makes the directory in two lives, so that there is what the first has left and what the second has made of it.
pub(super) fn make() -> Made {
    let disk = SimDisk::default();
    let (mut logs, mut earlier): (Vec<Written>, _) = (Vec::new(), SimDisk::default());
    for life in 0..2 {
        let dir = DataDir::open(shared(&disk), Path::new(ROOT)).unwrap();
        let (mut checkpoint, report) = dir.checkpoint().unwrap();
        let places = [
            (TOPIC, 0, dir.partition_dir(TOPIC, 0)),
            (TOPIC, 1, dir.partition_dir(TOPIC, 1)),
            (TOPIC, 2, dir.partition_dir(TOPIC, 2)),
            (METADATA, 0, dir.meta_dir()),
        ];
        let mut next = Vec::new();
        for (number, (topic, partition, path)) in places.into_iter().enumerate() {
            let (log, _) = open_log(&dir, &mut checkpoint, &report, (topic, partition, &path)).unwrap();
            let written = logs.get(number).cloned().unwrap_or_else(|| Written {
                topic,
                partition,
                dir: path,
                batches: Vec::new(),
                times: Vec::new(),
                offsets: log.offsets(),
                aborted: Vec::new(),
                sent_last: None,
            });
            let mut writing = Writing { log, written };
            match number {
                0 => write_varied(&mut writing, &mut checkpoint, life),
                1 => write_large(&mut writing, &mut checkpoint, life),
                2 => write_compacted(&mut writing, &mut checkpoint, life),
                _ => write_plain(&mut writing, &mut checkpoint, life),
            }
            next.push(writing.finish(&mut checkpoint));
        }
        logs = next;
        checkpoint.close().unwrap();
        drop((checkpoint, dir));
        if life == 0 {
            earlier = disk.crash(0);
        }
    }
    assert_eq!(logs[0].aborted.len(), 4, "{:?}", logs[0].aborted);
    assert!(logs[0].offsets.log_start_offset > 0);
    Made { disk, earlier, logs }
}

/// Producers, transactions, epochs, compression, many segments, and a front that was deleted.
fn write_varied(writing: &mut Writing, checkpoint: &mut Checkpoint, life: i32) {
    writing.log.begin_epoch(life * 3 + 1).unwrap();
    for round in 0..2 {
        let at = life * 2 + round;
        writing.append(&batch(&["one", "two", "three"]));
        writing.idempotent(at * 2, "idempotent");
        // One transaction reaches over the other, and over the end of a segment.
        writing.transactional(ABORTS, at * 3, &["aborted", "too"]);
        writing.transactional(COMMITS, at, &["committed"]);
        writing.append(&batch(&[&"between".repeat(30)]));
        writing.end_transaction(COMMITS, ControlKind::Commit);
        writing.sync(checkpoint);
        writing.transactional(ABORTS, at * 3 + 2, &["aborted as well"]);
        writing.end_transaction(ABORTS, ControlKind::Abort);
        let mut packed = BatchBuilder::new(Compression::Lz4);
        for n in 0..9 {
            let value = Some(Bytes::from(format!("packed {}", n % 3)));
            packed.push(&Record { value, timestamp: Timestamp(2000 + i64::from(n * at)), ..Record::default() });
        }
        writing.append(&packed.finish());
        writing.log.begin_epoch(life * 3 + 2 + round).unwrap();
        writing.idempotent(at * 2 + 1, "idempotent again");
    }
    writing.sync(checkpoint);
    if life == 0 {
        // In the middle of a batch that is not the first of its segment.
        let deletion = writing.log.delete_below(4).unwrap().unwrap();
        writing.note(checkpoint, deletion.changes().to_vec());
        checkpoint.sync().unwrap();
        deletion.run().unwrap();
    }
}

/// Segments of several blocks.
fn write_large(writing: &mut Writing, checkpoint: &mut Checkpoint, life: i32) {
    for n in 0..2 {
        let value = format!("{life}{n}").repeat(17_000);
        writing.append(&batch(&[&value, "small"]));
        writing.append(&batch(&["beside it"]));
    }
    writing.sync(checkpoint);
}

/// Keys that are written again and again; in the second life the log is compacted.
fn write_compacted(writing: &mut Writing, checkpoint: &mut Checkpoint, life: i32) {
    for n in 0..12 {
        let mut builder = BatchBuilder::new(Compression::None);
        for key in [n % 3, n] {
            let bytes = |text: String| Some(Bytes::from(text));
            let (key, value) = (bytes(format!("key {key}")), bytes(format!("value {life} {n}")));
            builder.push(&Record { key, value, timestamp: NOW, ..Record::default() });
        }
        writing.append(&builder.finish());
    }
    writing.sync(checkpoint);
    if life == 0 {
        return;
    }
    let settings = CompactionSettings {
        dirty_ratio: 0.0,
        tombstone_delay: Duration::from_secs(1),
        segment_bytes: SMALL_SEGMENT,
        key_bytes_max: 1 << 20,
    };
    let mut pass = writing.log.begin_compaction(settings, NOW).unwrap().unwrap();
    loop {
        match pass.step(1 << 20).unwrap() {
            CompactionStep::More => {}
            CompactionStep::Replace(replacement) => {
                let deletion = writing.log.replace(replacement);
                writing.note(checkpoint, deletion.changes().to_vec());
                checkpoint.sync().unwrap();
                deletion.run().unwrap();
            }
            CompactionStep::Done(report) => break writing.log.finish_compaction(report),
        }
    }
    let before = writing.written.batches.len();
    (writing.written.batches, writing.written.times) = (Vec::new(), Vec::new());
    writing.collect();
    assert!(writing.written.batches.len() < before);
}

fn write_plain(writing: &mut Writing, checkpoint: &mut Checkpoint, life: i32) {
    for n in 0..5 {
        writing.append(&batch(&[&format!("topic {life} {n}").repeat(8)]));
    }
    writing.sync(checkpoint);
}

/// All files of the directory, in order, with their lengths.
pub(super) fn files(disk: &SimDisk) -> Vec<(PathBuf, u64)> {
    let (mut dirs, mut files) = (vec![PathBuf::from(ROOT)], Vec::new());
    while let Some(dir) = dirs.pop() {
        for path in disk.list(&dir).unwrap().into_iter().map(|name| dir.join(name)) {
            match disk.len_of(&path) {
                Ok(len) => files.push((path, len)),
                Err(_) => dirs.push(path),
            }
        }
    }
    files.sort();
    files
}
