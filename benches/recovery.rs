//! How long does a log take to open?
//!
//! - After a crash that also took the checkpoint: every byte is read and every checksum verified. Baseline: `pread` of the
//!   same bytes and CRC32C.
//! - Ten thousand partitions with a few records each: after a clean close, and after a process that just ended.
//!
//! Each open is done by a process of its own, so that memory and files are those of the open alone.
//! `cargo bench -p tailwater --no-default-features --bench recovery` builds no DataFusion.

mod measure;

use bytes::Bytes;
use futures::future::join_all;
use measure::{Case, compare, figure, machine, timed};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tailwater::log::record::{BatchBuilder, Compression, Record, crc32c};
use tailwater::log::service::Produce;
use tailwater::log::types::Flush;
use tailwater::{Log, TopicName, TopicPartition, TopicSpec};
use tokio::runtime::Runtime;

const SCANNED_BYTES: usize = 1024 * 1024 * 1024;
const PARTITIONS: u32 = 10_000;
/// Batches of one record in each partition.
const RECORDS: usize = 3;
/// Room for one record.
const SMALL_BATCH_BYTES: usize = 200;
/// Appends under way at once while partitions are filled.
const IN_FLIGHT: usize = 64;

/// What this program does when it is called with one of these words and a directory.
const OPEN: &str = "open-in-a-process-of-its-own";
const CRASH: &str = "write-and-crash";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, word, dir] = &args[..] {
        let runtime = Runtime::new().expect("a runtime");
        match word.as_str() {
            OPEN => return open(&runtime, Path::new(dir)),
            CRASH => return write_and_crash(&runtime, Path::new(dir)),
            _ => {}
        }
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    for batch_bytes in [4 * 1024, 64 * 1024] {
        scan(&runtime, &dir.path().join(format!("scan-{batch_bytes}")), batch_bytes);
    }
    many(&runtime, &dir.path().join("many"));
}

/// What an open came to.
struct Opened {
    took: Duration,
    /// Processor time of all its threads.
    busy: Duration,
    /// Resident bytes that it added.
    resident: u64,
    /// Files of partitions that are open when it is done.
    files: u64,
}

/// Opens the log in `dir` in a process of its own.
fn opened(dir: &Path) -> Opened {
    let printed = this_program(OPEN, dir);
    let mut numbers = printed.split_whitespace().map(|n| n.parse().expect("a number"));
    let mut next = || numbers.next().expect("four numbers");
    let (took, busy) = (Duration::from_nanos(next()), Duration::from_millis(10 * next()));
    Opened { took, busy, resident: next(), files: next() }
}

fn this_program(word: &str, dir: &Path) -> String {
    let program = std::env::current_exe().expect("this program");
    let ended = Command::new(program).arg(word).arg(dir).output().expect("it can be started");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).expect("text")
}

/// The other process: opens, says what it took, closes.
fn open(runtime: &Runtime, dir: &Path) {
    let (before, ticks) = (resident(), measure::processor_ticks());
    let mut log = None;
    let took = timed(|| log = Some(runtime.block_on(Log::open(dir)).expect("the log opens")));
    let resident = resident().saturating_sub(before);
    let ticks = measure::processor_ticks() - ticks;
    measure::say(&format!("{} {ticks} {resident} {}", took.as_nanos(), open_files()));
    runtime.block_on(log.expect("it was opened").close()).expect("the log closes");
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// How many files of partitions this process has open.
fn open_files() -> usize {
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return 0 };
    let links = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.filter(|path| path.components().any(|part| part.as_os_str() == "t")).count()
}

/// Opens a log without a checkpoint, again and again.
fn scan(runtime: &Runtime, dir: &Path, batch_bytes: usize) {
    runtime.block_on(fill_one(dir, batch_bytes));
    let files: Vec<File> = segments(dir).iter().map(|path| File::open(path).expect("the segment")).collect();
    let bytes = files.iter().map(|file| file.metadata().expect("its size").len()).sum::<u64>();
    let mebibytes = bytes as f64 / (1024.0 * 1024.0);
    // So that no round has to read from the device or write back what was appended.
    files.iter().for_each(|file| file.sync_all().expect("the flush"));
    raw_scan(&files, batch_bytes);
    let (mut took, mut busy) = (Vec::new(), Vec::new());
    compare(
        &format!(
            "Opening a log of {mebibytes:.0} MiB in {} segments, batches of {} KiB, its checkpoint lost, every checksum \
             verified:",
            files.len(),
            batch_bytes / 1024
        ),
        "MiB",
        vec![
            Case::raw("raw: pread of 1 MiB + crc32c of each batch", mebibytes, || raw_scan(&files, batch_bytes)),
            Case::new("open, 1 core", mebibytes, || {
                fs::remove_file(dir.join("checkpoint.log")).expect("the checkpoint is there");
                let opened = opened(dir);
                took.push(opened.took.as_secs_f64());
                busy.push(opened.busy.as_secs_f64());
                opened.took
            }),
        ],
    );
    let gibibytes = bytes as f64 / (1024.0 * 1024.0 * 1024.0);
    figure("seconds for each GiB", measure::median(&took) / gibibytes, "s", 1.0);
    figure("processor time for each GiB", measure::median(&busy) / gibibytes, "s", 1.0);
    fs::remove_dir_all(dir).expect("it can be removed");
}

async fn fill_one(dir: &Path, batch_bytes: usize) {
    let log = Log::open(dir).await.expect("the log opens");
    let topic = create(&log, 1).await;
    let batch = batch(batch_bytes);
    for _ in 0..SCANNED_BYTES / batch.len() {
        produce(&log, &topic, 0, &batch).await;
    }
    log.close().await.expect("the log closes");
}

async fn create(log: &Log, partitions: u32) -> TopicName {
    let mut spec = TopicSpec::new("bench", partitions).expect("the topic is valid");
    spec.config.flush = Flush::Os;
    log.admin().create_topic(spec).await.expect("the topic is made").name
}

async fn produce(log: &Log, topic: &TopicName, partition: u32, batch: &Bytes) {
    let partition = TopicPartition::new(topic.clone(), partition);
    let request = Produce { partition, batch: batch.clone(), transaction: None };
    log.service().produce(request).await.expect("the batch is acknowledged");
}

/// One batch of at most `bytes`, of records of 100 bytes.
fn batch(bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let record = Record { value: Some(Bytes::from(vec![b'x'; 100])), ..Record::default() };
    while builder.fits(&record, bytes) {
        builder.push(&record);
    }
    builder.finish()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = |dir: &Path| -> Vec<PathBuf> {
        fs::read_dir(dir).expect("the directory").map(|entry| entry.expect("an entry").path()).collect()
    };
    let partitions = entries(&dir.join("t")).into_iter().flat_map(|topic| entries(&topic));
    let files = partitions.flat_map(|partition| entries(&partition));
    let mut logs: Vec<_> = files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    logs.sort();
    logs
}

fn raw_scan(files: &[File], batch_bytes: usize) -> Duration {
    let mut piece = vec![0; 1024 * 1024];
    timed(|| {
        for file in files {
            let mut position = 0;
            loop {
                let read = file.read_at(&mut piece, position).expect("the read");
                if read == 0 {
                    break;
                }
                for batch in piece[..read].chunks(batch_bytes) {
                    std::hint::black_box(crc32c(batch));
                }
                position += read as u64;
            }
        }
    })
}

/// Opens a log of many partitions that hold little.
fn many(runtime: &Runtime, dir: &Path) {
    let (mut created, mut filled) = (Duration::ZERO, Duration::ZERO);
    let log = runtime.block_on(Log::open(dir)).expect("the log opens");
    let mut topic = None;
    created += timed(|| topic = Some(runtime.block_on(create(&log, PARTITIONS))));
    let topic = topic.expect("it was created");
    filled += timed(|| runtime.block_on(fill_many(&log, &topic)));
    let closed = timed(|| runtime.block_on(log.close()).expect("the log closes"));

    measure::say(&format!("\n{PARTITIONS} partitions, {RECORDS} records in each:"));
    let say = |name: &str, took: Duration| measure::say(&format!("  {name:<46} {:>10.2} s", took.as_secs_f64()));
    say("to create the topic", created);
    say("to append to every partition", filled);
    say("to close", closed);
    let mut opens: Vec<Opened> = (0..5).map(|_| opened(dir)).collect();
    opens.sort_by_key(|opened| opened.took);
    let Opened { took, resident, files, .. } = opens.swap_remove(2);
    figure("clean open", took.as_secs_f64(), "s", 2.0);
    figure("resident memory of each partition", resident as f64 / 1024.0 / f64::from(PARTITIONS), "KiB", 100.0);
    figure("open files of partitions", files as f64, "files", 0.0);
    this_program(CRASH, dir);
    say("open after a crash, 1 in 100 written to since", opened(dir).took);
}

async fn fill_many(log: &Log, topic: &TopicName) {
    let batch = batch(SMALL_BATCH_BYTES);
    let partitions: Vec<u32> = (0..PARTITIONS).collect();
    for some in partitions.chunks(IN_FLIGHT) {
        let appends = some.iter().map(|partition| {
            let batch = &batch;
            async move {
                for _ in 0..RECORDS {
                    produce(log, topic, *partition, batch).await;
                }
            }
        });
        join_all(appends).await;
    }
}

/// The other process: writes to one partition in a hundred and ends without closing the log.
fn write_and_crash(runtime: &Runtime, dir: &Path) {
    let log = runtime.block_on(Log::open(dir)).expect("the log opens");
    let topic = TopicName::new("bench").expect("a valid name");
    runtime.block_on(async {
        for partition in (0..PARTITIONS).step_by(100) {
            produce(&log, &topic, partition, &batch(SMALL_BATCH_BYTES)).await;
        }
    });
    std::process::exit(0);
}
