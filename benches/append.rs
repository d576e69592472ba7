//! What does an append cost over the bytes that it writes and the flush that it waits for?
//!
//! Baselines: the same bytes by one `pwrite` each, with the CRC32C that a batch carries anyway, and the same flushes by
//! bare `fdatasync`. `cargo bench -p tailwater --no-default-features --bench append` builds no DataFusion.

mod measure;

use bytes::Bytes;
use futures::future::join_all;
use measure::{Case, compare, machine, timed};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;
use tailwater::log::record::{BatchBuilder, Compression, Record};
use tailwater::log::service::Produce;
use tailwater::log::types::{Flush, Timestamp};
use tailwater::{Log, TopicName, TopicPartition, TopicSpec};
use tokio::runtime::Runtime;

const BATCH_BYTES: usize = 64 * 1024;
const BATCHES: usize = 2048;
const SYNCS: usize = 200;
const RECORDS: usize = 500_000;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(Log::open(dir.path().join("log"))).expect("the log opens");

    let large = batch(BATCH_BYTES);
    let mebibytes = (BATCHES * large.len()) as f64 / (1024.0 * 1024.0);
    compare(
        "Appending 64 KiB batches, one after the other, flush = os:",
        "MiB",
        vec![
            Case::new("raw: pwrite + crc32c", mebibytes, || raw_writes(dir.path(), &large)),
            Case::new("produce, 1 partition", mebibytes, || produce(&runtime, &log, &large, 1, BATCHES, Flush::Os)),
        ],
    );

    let small = batch(4096);
    compare(
        "Appending 4 KiB batches, each on disk before the next:",
        "batches",
        vec![
            Case::new("raw: pwrite + fdatasync, 1 file", SYNCS as f64, || raw_syncs(dir.path(), &small, 1)),
            Case::new("produce, 1 partition", SYNCS as f64, || {
                produce(&runtime, &log, &small, 1, SYNCS, Flush::Durable)
            }),
            Case::new("raw: pwrite + fdatasync, 16 files in turn", SYNCS as f64, || raw_syncs(dir.path(), &small, 16)),
            Case::new("produce, 16 partitions at once", SYNCS as f64, || {
                produce(&runtime, &log, &small, 16, SYNCS, Flush::Durable)
            }),
        ],
    );

    let record = |n: usize| Record { value: Some(value(n)), timestamp: Timestamp(0), ..Record::default() };
    compare(
        "Sending 100-byte records, one at a time through the producer, 4 partitions:",
        "records",
        vec![
            Case::new("raw: encode into 64 KiB batches + pwrite", RECORDS as f64, || raw_encode(dir.path(), &record)),
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

fn raw_writes(dir: &Path, batch: &Bytes) -> Duration {
    let file = create(dir, "raw");
    timed(|| {
        for n in 0..BATCHES {
            std::hint::black_box(crc32c::crc32c(batch));
            file.write_all_at(batch, (n * batch.len()) as u64).expect("the write");
        }
    })
}

fn raw_syncs(dir: &Path, batch: &Bytes, files: usize) -> Duration {
    let files: Vec<File> = (0..files).map(|n| create(dir, &format!("raw-{n}"))).collect();
    timed(|| {
        for n in 0..SYNCS {
            let file = &files[n % files.len()];
            file.write_all_at(batch, (n / files.len() * batch.len()) as u64).expect("the write");
            file.sync_data().expect("the flush");
        }
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

/// Sends `batches` batches, on every partition at once, one in flight on each.
fn produce(runtime: &Runtime, log: &Log, batch: &Bytes, partitions: u32, batches: usize, flush: Flush) -> Duration {
    runtime.block_on(async {
        let topic = fresh_topic(log, partitions, flush).await;
        let clock = log.clock();
        let start = clock.instant();
        join_all((0..partitions).map(|partition| {
            let partition = TopicPartition::new(topic.clone(), partition);
            async move {
                for _ in 0..batches / partitions as usize {
                    let request = Produce { partition: partition.clone(), batch: batch.clone() };
                    log.service().produce(request).await.expect("the batch is acknowledged");
                }
            }
        }))
        .await;
        clock.instant().since(start)
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
