//! What does reading cost over the bytes that are read?
//!
//! Baseline: `pread` of the segment files, from the page cache, in the same pieces, into one buffer or into a new one each
//! time; the better of them counts. A fetch from a file also checks every batch's CRC, so that damage is never served; one
//! of what was just appended comes from the tail cache. The consumer also decodes the records.
//! `cargo bench -p tailwater --no-default-features --bench fetch` builds no DataFusion.

mod measure;

use bytes::Bytes;
use measure::{Case, Target, compare, machine, timed};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tailwater::log::record::{BatchBuilder, Compression, Record, crc32c, records};
use tailwater::log::service::{Fetch, FetchPartition, Produce};
use tailwater::log::types::Flush;
use tailwater::{Log, TopicPartition, TopicSpec};
use tokio::runtime::Runtime;

const PIECE_BYTES: u32 = 1024 * 1024;
const BATCHES: usize = 2048;
/// As many as the tail cache holds with room to spare.
const TAIL_BATCHES: usize = 512;
const VALUE_BYTES: usize = 100;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(Log::open(dir.path())).expect("the log opens");
    let (partition, count) = runtime.block_on(fill(&log, "bench", BATCHES));
    let files = segments(dir.path());
    // Opened again, it has no batch in memory.
    runtime.block_on(log.close()).expect("the log closes");
    let log = runtime.block_on(Log::open(dir.path())).expect("the log opens");
    compare_reads(&runtime, "page cache, every checksum verified", &log, &partition, &files);

    let before = segments(dir.path()).len();
    let (tail, _) = runtime.block_on(fill(&log, "tail", TAIL_BATCHES));
    let paths = segments(dir.path());
    assert_eq!(paths.len(), before + 1, "it fits one segment");
    let files: Vec<PathBuf> = paths.into_iter().filter(|path| !files.contains(path)).collect();
    compare_reads(&runtime, "tail cache", &log, &tail, &files);

    let mut whole = Vec::new();
    runtime.block_on(fetch_all(&log, &partition, |piece| whole.push(piece)));
    compare(
        &format!("Reading {count} records of {VALUE_BYTES} bytes:"),
        "records",
        vec![
            Case::raw("raw: decode batches in memory", count as f64, || {
                timed(|| assert_eq!(whole.iter().map(|b| records(b.clone()).count()).sum::<usize>(), count))
            }),
            Case::new("reader of one partition", count as f64, || runtime.block_on(read_all(&log, &partition, count))),
            Case::new("consumer in a group", count as f64, || runtime.block_on(consume(&log, count))),
        ],
    );
    runtime.block_on(log.close()).expect("the log closes");
}

/// Fetches a partition from the start, against reads of its files.
fn compare_reads(runtime: &Runtime, from: &str, log: &Log, partition: &TopicPartition, paths: &[PathBuf]) {
    let files: Vec<File> = paths.iter().map(|path| File::open(path).expect("the segment")).collect();
    let mebibytes = files.iter().map(|f| f.metadata().expect("its size").len()).sum::<u64>() as f64 / (1024.0 * 1024.0);
    let crc = |piece: &[u8]| {
        std::hint::black_box(crc32c(piece));
    };
    compare(
        &format!("Reading {mebibytes:.0} MiB in pieces of 1 MiB, from the {from}:"),
        "MiB",
        vec![
            Case::raw(
                "raw: pread into one buffer",
                mebibytes,
                warm(|| {
                    let mut piece = vec![0; PIECE_BYTES as usize];
                    raw(&files, |file, position| read(file, position, &mut piece, |_| ()))
                }),
            ),
            Case::raw(
                "raw: pread into new buffers",
                mebibytes,
                warm(|| raw(&files, |file, position| read(file, position, &mut vec![0; PIECE_BYTES as usize], |_| ()))),
            ),
            Case::new(
                "raw: pread into one buffer + crc32c",
                mebibytes,
                warm(|| {
                    let mut piece = vec![0; PIECE_BYTES as usize];
                    raw(&files, |file, position| read(file, position, &mut piece, crc))
                }),
            ),
            Case::new("fetch", mebibytes, warm(|| runtime.block_on(fetch(log, partition))))
                .target(Target::AtLeast(0.8)),
        ],
    );
}

/// The second of two passes: the raw cases read the same memory one after the other, the log's own is another, and they
/// have driven it out of the processor's cache.
fn warm(mut pass: impl FnMut() -> Duration) -> impl FnMut() -> Duration {
    move || {
        pass();
        pass()
    }
}

/// Fills one partition with batches of 64 KiB; returns it and the number of records.
async fn fill(log: &Log, topic: &str, batches: usize) -> (TopicPartition, usize) {
    let mut spec = TopicSpec::new(topic, 1).expect("the topic is valid");
    spec.config.flush = Flush::Os;
    let topic = log.admin().create_topic(spec).await.expect("the topic is made");
    let partition = TopicPartition::new(topic.name, 0);
    let mut count = 0;
    for n in 0..batches {
        let mut builder = BatchBuilder::new(Compression::None);
        let record = Record { value: Some(Bytes::from(vec![n as u8; VALUE_BYTES])), ..Record::default() };
        while builder.fits(&record, 64 * 1024) {
            builder.push(&record);
        }
        count += builder.len();
        let request = Produce { partition: partition.clone(), batch: builder.finish(), transaction: None };
        log.service().produce(request).await.expect("the batch is acknowledged");
    }
    (partition, count)
}

/// The segment files of all topics, by the layout that ARCHITECTURE.md draws.
fn segments(dir: &Path) -> Vec<PathBuf> {
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
    paths
}

/// Calls `each` for the pieces of all files until it has read nothing.
fn raw(files: &[File], mut each: impl FnMut(&File, u64) -> u64) -> Duration {
    timed(|| {
        for file in files {
            let mut position = 0;
            loop {
                match each(file, position) {
                    0 => break,
                    read => position += read,
                }
            }
        }
    })
}

fn read(file: &File, position: u64, into: &mut [u8], then: impl Fn(&[u8])) -> u64 {
    let read = file.read_at(into, position).expect("the read");
    then(&into[..read]);
    read as u64
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
        let request = Fetch {
            partitions: vec![wanted],
            max_wait: Duration::ZERO,
            min_bytes: 1,
            isolation: tailwater_log::types::Isolation::ReadUncommitted,
        };
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

async fn read_all(log: &Log, partition: &TopicPartition, count: usize) -> Duration {
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
