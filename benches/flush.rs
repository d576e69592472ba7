//! What does a commit cost over the syncs that it takes?
//!
//! One batch of 4 KiB is appended to each of so many partitions at once; the time is that from the first append until all
//! of them are acknowledged as durable. Baselines: the same bytes by `pwrite` to as many files that grow likewise, then
//! `fdatasync` of one file after the other, of 16 side by side, or one `syncfs`; the best of them counts.
//! `cargo bench -p tailwater --no-default-features --bench flush` builds no DataFusion.

mod measure;

use bytes::Bytes;
use futures::future::join_all;
use measure::{Case, Target, compare, machine, timed};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;
use tailwater::log::env::{Disk, RealDisk};
use tailwater::log::record::{BatchBuilder, Compression, Record};
use tailwater::log::service::Produce;
use tailwater::{Log, TopicName, TopicPartition, TopicSpec};
use tokio::runtime::Runtime;

const BATCH_BYTES: usize = 4096;
/// Commits in one run.
const COMMITS: usize = 50;
const THREADS: usize = 16;

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(Log::open(dir.path().join("log"))).expect("the log opens");
    let mut builder = BatchBuilder::new(Compression::None);
    let value = vec![b'x'; BATCH_BYTES - 100];
    builder.push(&Record { value: Some(value.into()), ..Record::default() });
    let batch = builder.finish();

    for count in [1, 16, 64] {
        let mut raw = Raw::new(dir.path(), &batch, count);
        let mut raw_side_by_side = Raw::new(dir.path(), &batch, count);
        let mut raw_all = Raw::new(dir.path(), &batch, count);
        let topic = runtime.block_on(topic(&log, count));
        // The first batch makes files and directories.
        let commit = || runtime.block_on(commits(&log, &topic, &batch, count));
        commit();
        let amount = COMMITS as f64;
        let mut cases = vec![
            Case::raw("raw: pwrite, fdatasync in turn", amount, || raw.in_turn()),
            Case::raw("raw: pwrite, syncfs", amount, || raw_all.all(dir.path())),
            Case::new("produce, one batch to each partition", amount, commit).target(Target::AtMostTimes(1.5)),
        ];
        if count > 1 {
            let by_threads = || raw_side_by_side.side_by_side();
            cases.insert(1, Case::raw("raw: pwrite, fdatasync by 16 threads", amount, by_threads));
        }
        compare(&format!("Commits of 4 KiB to each of {count} partitions at once:"), "commits", cases);
    }
    runtime.block_on(log.close()).expect("the log closes");
}

/// Files that a commit appends to.
struct Raw<'a> {
    files: Vec<File>,
    batch: &'a Bytes,
    position: u64,
}

impl<'a> Raw<'a> {
    fn new(dir: &Path, batch: &'a Bytes, count: usize) -> Self {
        let dir = tempfile::tempdir_in(dir).expect("a directory").keep();
        let files = (0..count).map(|n| File::create(dir.join(n.to_string())).expect("a file to write")).collect();
        let mut raw = Self { files, batch, position: 0 };
        raw.in_turn();
        raw
    }

    fn in_turn(&mut self) -> Duration {
        timed(|| {
            for _ in 0..COMMITS {
                self.files.iter().for_each(|file| self.write(file, self.position));
                self.files.iter().for_each(|file| file.sync_data().expect("the flush"));
                self.position += self.batch.len() as u64;
            }
        })
    }

    /// Each thread writes and syncs its share of the files.
    fn side_by_side(&mut self) -> Duration {
        let shares = self.files.chunks(self.files.len().div_ceil(THREADS));
        let turn = Barrier::new(shares.len() + 1);
        let took = std::thread::scope(|scope| {
            for share in shares {
                scope.spawn(|| {
                    turn.wait();
                    for commit in 0..COMMITS {
                        let position = self.position + (commit * self.batch.len()) as u64;
                        share.iter().for_each(|file| self.write(file, position));
                        share.iter().for_each(|file| file.sync_data().expect("the flush"));
                        turn.wait();
                    }
                });
            }
            turn.wait();
            timed(|| (0..COMMITS).for_each(|_| _ = turn.wait()))
        });
        self.position += (COMMITS * self.batch.len()) as u64;
        took
    }

    fn all(&mut self, dir: &Path) -> Duration {
        let disk = RealDisk::default();
        timed(|| {
            for _ in 0..COMMITS {
                self.files.iter().for_each(|file| self.write(file, self.position));
                disk.sync_all(dir).expect("the flush");
                self.position += self.batch.len() as u64;
            }
        })
    }

    fn write(&self, file: &File, position: u64) {
        file.write_all_at(self.batch, position).expect("the write");
    }
}

async fn topic(log: &Log, partitions: usize) -> TopicName {
    let spec = TopicSpec::new(format!("bench-{partitions}"), partitions as u32).expect("the topic is valid");
    log.admin().create_topic(spec).await.expect("the topic is made").name
}

/// Sends one batch to every partition at once, waits for all of them, and so on.
async fn commits(log: &Log, topic: &TopicName, batch: &Bytes, partitions: usize) -> Duration {
    let clock = log.clock();
    let start = clock.instant();
    for _ in 0..COMMITS {
        let produced = (0..partitions).map(|partition| {
            let partition = TopicPartition::new(topic.clone(), partition as u32);
            log.service().produce(Produce { partition, batch: batch.clone(), transaction: None })
        });
        for produced in join_all(produced).await {
            produced.expect("the batch is durable");
        }
    }
    clock.instant().since(start)
}
