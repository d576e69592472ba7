//! What does reading cost over the bytes that are read?
//!
//! Baseline: `pread` of the segment files, from the page cache, in the same pieces. A fetch also checks every batch's
//! CRC, so that damage is never served; the consumer also decodes the records.
//! `cargo bench -p tailwater --no-default-features --bench fetch` builds no DataFusion.

mod measure;

use bytes::Bytes;
use measure::{Case, compare, machine, timed};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tailwater::log::record::{BatchBuilder, Compression, Record, records};
use tailwater::log::service::{Fetch, FetchPartition, Produce};
use tailwater::log::types::Flush;
use tailwater::{Log, TopicPartition, TopicSpec};
use tokio::runtime::Runtime;

const PIECE_BYTES: u32 = 1024 * 1024;
const BATCHES: usize = 2048;
const VALUE_BYTES: usize = 100;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(Log::open(dir.path())).expect("the log opens");
    let (partition, count) = runtime.block_on(fill(&log));
    let files = segments(dir.path());
    let mebibytes = files.iter().map(|f| f.metadata().expect("its size").len()).sum::<u64>() as f64 / (1024.0 * 1024.0);

    compare(
        &format!("Reading {mebibytes:.0} MiB in pieces of 1 MiB, from the page cache:"),
        "MiB",
        vec![
            Case::new("raw: pread", mebibytes, || raw(&files, |_| ())),
            Case::new("raw: pread + crc32c", mebibytes, || {
                raw(&files, |piece| {
                    std::hint::black_box(crc32c::crc32c(piece));
                })
            }),
            Case::new("fetch", mebibytes, || runtime.block_on(fetch(&log, &partition))),
        ],
    );
    let mut whole = Vec::new();
    runtime.block_on(fetch_all(&log, &partition, |piece| whole.push(piece)));
    compare(
        &format!("Reading {count} records of {VALUE_BYTES} bytes:"),
        "records",
        vec![
            Case::new("raw: decode batches in memory", count as f64, || {
                timed(|| assert_eq!(whole.iter().map(|b| records(b.clone()).count()).sum::<usize>(), count))
            }),
            Case::new("reader of one partition", count as f64, || runtime.block_on(read(&log, &partition, count))),
            Case::new("consumer in a group", count as f64, || runtime.block_on(consume(&log, count))),
        ],
    );
    runtime.block_on(log.close()).expect("the log closes");
}

/// Fills one partition with batches of 64 KiB; returns it and the number of records.
async fn fill(log: &Log) -> (TopicPartition, usize) {
    let mut spec = TopicSpec::new("bench", 1).expect("the topic is valid");
    spec.config.flush = Flush::Os;
    let topic = log.admin().create_topic(spec).await.expect("the topic is made");
    let partition = TopicPartition::new(topic.name, 0);
    let record = Record { value: Some(Bytes::from(vec![b'x'; VALUE_BYTES])), ..Record::default() };
    let mut builder = BatchBuilder::new(Compression::None);
    while builder.fits(&record, 64 * 1024) {
        builder.push(&record);
    }
    let count = builder.len() * BATCHES;
    let batch = builder.finish();
    for _ in 0..BATCHES {
        let request = Produce { partition: partition.clone(), batch: batch.clone() };
        log.service().produce(request).await.expect("the batch is acknowledged");
    }
    (partition, count)
}

/// The segment files of the one topic, by the layout that ARCHITECTURE.md draws.
fn segments(dir: &Path) -> Vec<File> {
    fn walk(dir: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("the directory").map(|e| e.expect("an entry").path()) {
            if entry.is_dir() {
                walk(&entry, out);
            } else if entry.extension().is_some_and(|e| e == "log") {
                out.push(entry);
            }
        }
    }
    let mut paths = Vec::new();
    walk(&dir.join("t"), &mut paths);
    paths.sort();
    paths.iter().map(|path| File::open(path).expect("the segment")).collect()
}

fn raw(files: &[File], mut each: impl FnMut(&[u8])) -> Duration {
    timed(|| {
        for file in files {
            let mut position = 0;
            loop {
                let mut piece = vec![0; PIECE_BYTES as usize];
                let n = file.read_at(&mut piece, position).expect("the read");
                if n == 0 {
                    break;
                }
                each(&piece[..n]);
                position += n as u64;
            }
        }
    })
}

async fn fetch(log: &Log, partition: &TopicPartition) -> Duration {
    let clock = log.clock();
    let start = clock.instant();
    fetch_all(log, partition, drop).await;
    clock.instant().since(start)
}

async fn fetch_all(log: &Log, partition: &TopicPartition, mut each: impl FnMut(Bytes)) {
    let mut offset = 0;
    loop {
        let wanted = FetchPartition { partition: partition.clone(), offset, max_bytes: PIECE_BYTES };
        let request = Fetch { partitions: vec![wanted], max_wait: Duration::ZERO, min_bytes: 1 };
        let batches = log.service().fetch(request).await.expect("the fetch").remove(0).batches;
        if batches.is_empty() {
            return;
        }
        offset = next_offset(&batches);
        each(batches);
    }
}

/// The offset behind the last batch, from the batch headers alone.
fn next_offset(batches: &Bytes) -> i64 {
    let last = tailwater::log::record::batches(batches.clone()).last().expect("not empty").expect("a whole batch");
    last.header.next_offset()
}

async fn read(log: &Log, partition: &TopicPartition, count: usize) -> Duration {
    let clock = log.clock();
    let start = clock.instant();
    let (mut reader, mut read) = (log.reader(partition.clone(), 0), 0);
    while read < count {
        read += reader.next_batch(Duration::ZERO).await.expect("the read").len();
    }
    clock.instant().since(start)
}

/// A new group each time, so that it starts at the first record.
async fn consume(log: &Log, count: usize) -> Duration {
    let mut consumer = log.consumer("bench").topics(["bench"]).start().await.expect("the group");
    let clock = log.clock();
    let start = clock.instant();
    let mut read = 0;
    while read < count {
        read += consumer.poll(10_000, Duration::from_secs(1)).await.expect("the poll").len();
    }
    let took = clock.instant().since(start);
    consumer.leave().await.expect("the group lets go");
    log.admin().delete_group("bench").await.ok();
    took
}
