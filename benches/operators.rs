//! What does a record cost in a stream job, operator by operator?
//!
//! Baseline: a plain loop that decodes the same batches from memory and counts in a `BTreeMap`. A job also reads its
//! topic, keeps its place, and makes its state durable; `key_by` writes and reads a topic in between.
//! `cargo bench -p tailwater --no-default-features --features streams --bench operators` builds no DataFusion.

mod measure;

use bytes::Bytes;
use measure::{Case, compare, machine, timed};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;
use tailwater::log::record::{BatchBuilder, Compression, records};
use tailwater::log::service::Produce;
use tailwater::log::types::{Flush, Timestamp};
use tailwater::log::{Log, Record};
use tailwater::streams::{App, Emit, Topic, Topology, Tumbling, minutes};
use tailwater::{Codec, TopicPartition, TopicSpec};
use tokio::runtime::Runtime;

const RECORDS: u64 = 500_000;
const KEYS: u64 = 1_000;
const NUMBERS: Topic<u64, u64> = Topic::new("numbers");

fn main() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory to write in");
    machine(dir.path());
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(Log::open(dir.path())).expect("the log opens");
    let batches = batches();
    runtime.block_on(fill(&log, &batches));

    let runs = Cell::new(0);
    // Every run is a new job, so that it begins at the first record with no state.
    let job = |build: fn(&Topology)| {
        runs.set(runs.get() + 1);
        runtime.block_on(run(&log, format!("bench-{}", runs.get()), build))
    };
    let amount = RECORDS as f64;
    compare(
        &format!("{RECORDS} records of {KEYS} keys through a job, 1 partition, flush = os:"),
        "records",
        vec![
            Case::raw("raw: decode and count in a loop", amount, || plain(&batches)),
            Case::new("for_each", amount, || job(|t| t.stream(NUMBERS).for_each(drop_pair))),
            Case::new("map_values, for_each", amount, || {
                job(|t| t.stream(NUMBERS).map_values(|v| v + 1).for_each(drop_pair))
            }),
            Case::new("10 x map_values, for_each", amount, || job(ten_maps)),
            Case::new("filter (half), for_each", amount, || {
                job(|t| t.stream(NUMBERS).filter(|_, v| v % 2 == 0).for_each(drop_pair))
            }),
            Case::new("count", amount, || job(|t| drop(t.stream(NUMBERS).group_by_key().count("counts")))),
            Case::new("count in windows of 1 minute", amount, || job(windows)),
            Case::new("key_by, count", amount, || {
                job(|t| {
                    t.stream(NUMBERS).key_by("by-value", |_, v| v % KEYS).group_by_key().count("counts");
                })
            }),
        ],
    );
    runtime.block_on(log.close()).expect("the log closes");
}

fn drop_pair(key: u64, value: u64) {
    std::hint::black_box((key, value));
}

fn ten_maps(t: &Topology) {
    let mut stream = t.stream(NUMBERS);
    for _ in 0..10 {
        stream = stream.map_values(|v| v + 1);
    }
    stream.for_each(drop_pair);
}

fn windows(t: &Topology) {
    t.stream(NUMBERS).group_by_key().window(Tumbling::of(minutes(1))).emit(Emit::OnClose).count("windows");
}

/// The input: a record a millisecond, in batches of 64 KiB.
fn batches() -> Vec<Bytes> {
    let (mut batches, mut builder) = (Vec::new(), BatchBuilder::new(Compression::None));
    for n in 0..RECORDS {
        let record = Record {
            key: Some((n % KEYS).to_bytes().into()),
            value: Some(n.to_bytes().into()),
            timestamp: Timestamp(n as i64),
            headers: Vec::new(),
        };
        if !builder.fits(&record, 64 * 1024) {
            batches.push(std::mem::replace(&mut builder, BatchBuilder::new(Compression::None)).finish());
        }
        builder.push(&record);
    }
    batches.push(builder.finish());
    batches
}

async fn fill(log: &Log, batches: &[Bytes]) {
    let mut spec = TopicSpec::new(NUMBERS.name(), 1).expect("the topic is valid");
    spec.config.flush = Flush::Os;
    let topic = log.admin().create_topic(spec).await.expect("the topic is made");
    let partition = TopicPartition::new(topic.name, 0);
    for batch in batches {
        let request = Produce { partition: partition.clone(), batch: batch.clone(), transaction: None };
        log.service().produce(request).await.expect("the batch is acknowledged");
    }
}

fn plain(batches: &[Bytes]) -> Duration {
    timed(|| {
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for batch in batches {
            for record in records(batch.clone()) {
                let record = record.expect("a record");
                let key = u64::decode(&record.key.unwrap_or_default()).expect("a number");
                let value = u64::decode(&record.value.unwrap_or_default()).expect("a number");
                std::hint::black_box(value);
                *counts.entry(key).or_default() += 1;
            }
        }
        assert_eq!(counts.values().sum::<u64>(), RECORDS);
    })
}

/// Runs a job over all that is there. Starting and stopping it are part of the time.
async fn run(log: &Log, id: String, build: fn(&Topology)) -> Duration {
    let clock = log.clock();
    let start = clock.instant();
    App::new(id, build).run_to_end(log.clone()).await.expect("the job catches up");
    clock.instant().since(start)
}
