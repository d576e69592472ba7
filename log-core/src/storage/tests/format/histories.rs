//! What the kept directories hold: small histories, the same in every run.

use super::*;
use crate::record::{ControlKind, ControlRecord, Header};
use crate::storage::{CompactionSettings, CompactionStep};
use std::time::Duration;

/// Three to five small batches.
pub(super) const SEGMENT_BYTES: u64 = 500;

/// A history and how it is written.
pub(super) struct History {
    pub(super) name: &'static str,
    pub(super) write: fn(&Arc<dyn Disk>, &Path),
}

pub(super) const HISTORIES: &[History] = &[
    History { name: "plain", write: plain },
    History { name: "torn", write: torn },
    History { name: "producers", write: producers },
    History { name: "epochs", write: epochs },
    History { name: "compacted", write: compacted },
];

fn open(disk: &Arc<dyn Disk>, root: &Path) -> Opened {
    Opened::try_open(disk, root, SEGMENT_BYTES).unwrap()
}

/// A batch of records of which some have no key, no value, headers.
fn mixed(number: i64, stamp: Option<ProducerStamp>, is_transactional: bool) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some(stamp) = stamp {
        builder = builder.stamp(stamp);
    }
    if is_transactional {
        builder = builder.transactional();
    }
    for n in 0..=number % 3 {
        let text = |kind: &str| Some(Bytes::from(format!("{kind} {number}.{n}")));
        builder.push(&Record {
            key: if n == 1 { None } else { text("key") },
            value: if n == 2 { None } else { text("value") },
            timestamp: Timestamp(1_600_000_000_000 + 1000 * number - 5 * n),
            headers: (0..n)
                .map(|h| Header { key: format!("h{h}"), value: if h == 0 { text("of") } else { None } })
                .collect(),
        });
    }
    builder.finish()
}

/// Sealed segments with footers and snapshots, a log start, a clean close.
fn plain(disk: &Arc<dyn Disk>, root: &Path) {
    let mut opened = open(disk, root);
    for number in 0..14 {
        opened.log.append(&mixed(number, None, false), Timestamp(5_000 + number)).unwrap();
        if number % 4 == 3 {
            opened.sync().unwrap();
        }
    }
    opened.sync().unwrap();
    let deletion = opened.log.delete_below(9).unwrap().unwrap();
    note(&mut opened.checkpoint, deletion.changes().to_vec()).unwrap();
    opened.checkpoint.sync().unwrap();
    deletion.run().unwrap();
    opened.close().unwrap();
}

/// A process that was killed in the middle of a write.
fn torn(disk: &Arc<dyn Disk>, root: &Path) {
    let mut opened = open(disk, root);
    for number in 0..7 {
        opened.append(&mixed(number, None, false)).unwrap();
        if number == 4 {
            opened.sync().unwrap();
            opened.checkpoint.sync().unwrap();
        }
    }
    let dir = opened.dir.partition_dir(TOPIC, 0);
    drop(opened);
    let mut names = disk.list(&dir).unwrap();
    names.retain(|name| name.extension().is_some_and(|extension| extension == "log"));
    let last = dir.join(names.last().unwrap());
    let length = disk.len_of(&last).unwrap();
    disk.open(&last, crate::env::OpenMode::ReadWrite).unwrap().set_len(length - 7).unwrap();
}

/// Idempotent producers; one transaction that was committed, one that was aborted, one that is open.
fn producers(disk: &Arc<dyn Disk>, root: &Path) {
    let mut opened = open(disk, root);
    let marker = |kind| ControlRecord { kind, coordinator_epoch: 2 };
    let mut sequences = BTreeMap::new();
    let mut send = |opened: &mut Opened, number: i64, producer_id: i64, is_transactional: bool| {
        let next = sequences.entry(producer_id).or_insert(0);
        let stamp = ProducerStamp { producer_id, producer_epoch: 1, base_sequence: *next };
        *next += 1 + (number % 3) as i32;
        opened.log.append(&mixed(number, Some(stamp), is_transactional), Timestamp(6_000 + number)).unwrap();
    };
    for number in 0..3 {
        send(&mut opened, number, 70, false);
        send(&mut opened, number, 80, true);
        send(&mut opened, number, 90, true);
    }
    opened.log.append_marker(80, 1, marker(ControlKind::Commit), Timestamp(7_000)).unwrap();
    opened.log.append_marker(90, 1, marker(ControlKind::Abort), Timestamp(7_001)).unwrap();
    send(&mut opened, 4, 80, true);
    send(&mut opened, 5, 70, false);
    opened.sync().unwrap();
    opened.close().unwrap();
}

/// Records of three leaders, the last of which wrote nothing.
fn epochs(disk: &Arc<dyn Disk>, root: &Path) {
    let mut opened = open(disk, root);
    for (number, epoch) in [(0, 2), (1, 2), (2, 5), (3, 5), (4, 5), (5, 7)] {
        opened.log.begin_epoch(epoch).unwrap();
        if epoch < 7 {
            opened.append(&mixed(number, None, false)).unwrap();
        }
    }
    opened.sync().unwrap();
    opened.close().unwrap();
}

/// Of each key the last record: a segment of a higher generation, with gaps.
fn compacted(disk: &Arc<dyn Disk>, root: &Path) {
    let settings = CompactionSettings {
        dirty_ratio: 0.0,
        tombstone_delay: Duration::from_secs(3600),
        segment_bytes: SEGMENT_BYTES,
        key_bytes_max: 1 << 20,
    };
    let mut opened = open(disk, root);
    for number in 0..12_i64 {
        let mut builder = BatchBuilder::new(Compression::None);
        for n in 0..2 {
            let key = Some(Bytes::from(format!("k{}", (number + n) % 4)));
            let value = (number != 5).then(|| Bytes::from(format!("{number}.{n}")));
            builder.push(&Record { key, value, timestamp: Timestamp(2_000 + number), ..Record::default() });
        }
        opened.append(&builder.finish()).unwrap();
    }
    opened.sync().unwrap();
    let mut pass = opened.log.begin_compaction(settings, Timestamp(100_000)).unwrap().unwrap();
    loop {
        match pass.step(1 << 20).unwrap() {
            CompactionStep::More => {}
            CompactionStep::Replace(replacement) => {
                let deletion = opened.log.replace(replacement);
                note(&mut opened.checkpoint, deletion.changes().to_vec()).unwrap();
                opened.checkpoint.sync().unwrap();
                deletion.run().unwrap();
            }
            CompactionStep::Done(report) => break opened.log.finish_compaction(report),
        }
    }
    opened.close().unwrap();
}
