//! What does an append cost over the bytes that it writes?
//!
//! Baselines: the same bytes by one `pwrite` each, with the CRC32C that a batch carries anyway, into a fresh file that grows
//! and into one whose room was reserved. What a commit costs is asked by `flush`.
//! `cargo bench -p tailwater --no-default-features --bench append` builds no DataFusion.

mod measure;

use bytes::Bytes;
use futures::future::join_all;
use measure::{Case, Target, compare, machine, timed};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;
use tailwater::log::env::{Disk, OpenMode, RealDisk};
use tailwater::log::record::{BatchBuilder, Compression, Record, crc32c};
use tailwater::log::service::Produce;
use tailwater::log::types::{Flush, Timestamp};
use tailwater::{Log, TopicName, TopicPartition, TopicSpec};
use tokio::runtime::Runtime;

const BATCH_BYTES: usize = 64 * 1024;
const BATCHES: usize = 2048;
/// Writers at once.
const TASKS: usize = 4;
const RECORDS: usize = 500_000;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(Log::open(dir.path().join("log"))).expect("the log opens");

    let batch = batch(BATCH_BYTES);
    let mebibytes = (BATCHES * batch.len()) as f64 / (1024.0 * 1024.0);
    let raw = |files, reserved| raw_writes(dir.path(), &batch, files, reserved);
    let produce = |partitions| produce(&runtime, &log, &batch, partitions);
    compare(
        "Appending 64 KiB batches, one after the other, flush = os:",
        "MiB",
        vec![
            Case::raw("raw: pwrite + crc32c, the file grows", mebibytes, || raw(1, false)),
            Case::raw("raw: pwrite + crc32c, room was reserved", mebibytes, || raw(1, true)),
            Case::new("produce, 1 partition", mebibytes, || produce(1)).target(Target::AtLeast(0.7)),
        ],
    );
    compare(
        "The same by 4 at once, each to a file of its own:",
        "MiB",
        vec![
            Case::raw("raw: 4 threads, the files grow", mebibytes, || raw(TASKS, false)),
            Case::raw("raw: 4 threads, room was reserved", mebibytes, || raw(TASKS, true)),
            Case::new("produce, 4 tasks, 4 partitions", mebibytes, || produce(TASKS)).target(Target::AtLeast(0.7)),
        ],
    );

    let record = |n: usize| Record { value: Some(value(n)), timestamp: Timestamp(0), ..Record::default() };
    compare(
        "Sending 100-byte records, one at a time through the producer, 4 partitions:",
        "records",
        vec![
            Case::raw("raw: encode into 64 KiB batches + pwrite", RECORDS as f64, || raw_encode(dir.path(), &record)),
            Case::new("producer, flush = os", RECORDS as f64, || send(&runtime, &log, &record, Flush::Os)),
            Case::new("producer, durable", RECORDS as f64, || send(&runtime, &log, &record, Flush::Durable)),
        ],
    );
    runtime.block_on(log.close()).expect("the log closes");
}

fn value(n: usize) -> Bytes {
    Bytes::from(format!("{n:0100}"))
}

/// One batch of about `bytes`.
fn batch(bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let record = Record { value: Some(value(0)), ..Record::default() };
    while builder.fits(&record, bytes) {
        builder.push(&record);
    }
    builder.finish()
}

fn create(dir: &Path, name: &str) -> File {
    File::create(dir.join(name)).expect("a file to write")
}

/// Writes all batches, an equal share to each of `files`, by a thread for each.
fn raw_writes(dir: &Path, batch: &Bytes, files: usize, reserved: bool) -> Duration {
    let each = BATCHES / files;
    let write = |file: &File| {
        for n in 0..each {
            std::hint::black_box(crc32c(batch));
            file.write_all_at(batch, (n * batch.len()) as u64).expect("the write");
        }
    };
    let open = |n| {
        let path = dir.join(format!("raw-{n}"));
        let file = File::create(&path).expect("a file to write");
        if reserved {
            let file = RealDisk::default().open(&path, OpenMode::ReadWrite).expect("the same file");
            file.allocate(0, (each * batch.len()) as u64).expect("room for all of it");
        }
        file
    };
    let files: Vec<File> = (0..files).map(open).collect();
    if let [file] = &files[..] {
        return timed(|| write(file));
    }
    let ready = Barrier::new(files.len() + 1);
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| {
                ready.wait();
                write(file);
                ready.wait();
            });
        }
        ready.wait();
        timed(|| _ = ready.wait())
    })
}

fn raw_encode(dir: &Path, record: &dyn Fn(usize) -> Record) -> Duration {
    let file = create(dir, "raw");
    timed(|| {
        let (mut position, mut builder) = (0, BatchBuilder::new(Compression::None));
        for n in 0..RECORDS {
            let record = record(n);
            if !builder.fits(&record, BATCH_BYTES) {
                let full = std::mem::replace(&mut builder, BatchBuilder::new(Compression::None)).finish();
                file.write_all_at(&full, position).expect("the write");
                position += full.len() as u64;
            }
            builder.push(&record);
        }
        file.write_all_at(&builder.finish(), position).expect("the write");
    })
}

/// A fresh topic, so that no case pays for what an earlier one wrote.
async fn fresh_topic(log: &Log, partitions: u32, flush: Flush) -> TopicName {
    let mut spec = TopicSpec::new("bench", partitions).expect("the topic is valid");
    spec.config.flush = flush;
    log.admin().delete_topic("bench").await.ok();
    log.admin().create_topic(spec).await.expect("the topic is made").name
}

/// Sends all batches, an equal share to each partition, by a task for each with one batch in flight.
fn produce(runtime: &Runtime, log: &Log, batch: &Bytes, partitions: usize) -> Duration {
    let topic = runtime.block_on(fresh_topic(log, partitions as u32, Flush::Os));
    let task = |partition: usize| {
        let partition = TopicPartition::new(topic.clone(), partition as u32);
        let (service, batch) = (log.service().clone(), batch.clone());
        async move {
            for _ in 0..BATCHES / partitions {
                let request = Produce { partition: partition.clone(), batch: batch.clone(), transaction: None };
                service.produce(request).await.expect("the batch is acknowledged");
            }
        }
    };
    timed(|| {
        runtime.block_on(async {
            match partitions {
                1 => task(0).await,
                _ => {
                    let tasks = (0..partitions).map(|partition| tokio::spawn(task(partition)));
                    join_all(tasks).await.into_iter().for_each(|ended| ended.expect("no task panics"));
                }
            }
        });
    })
}

fn send(runtime: &Runtime, log: &Log, record: &dyn Fn(usize) -> Record, flush: Flush) -> Duration {
    runtime.block_on(async {
        let topic = fresh_topic(log, 4, flush).await;
        let producer = log.producer().batch_bytes(BATCH_BYTES as u32).build();
        let clock = log.clock();
        let start = clock.instant();
        for n in 0..RECORDS {
            producer.send(&topic, record(n)).await.expect("there is room");
        }
        producer.flush().await.expect("all records are acknowledged");
        clock.instant().since(start)
    })
}
