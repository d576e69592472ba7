//! `tw bench`: what this machine does, in process, with a latency histogram.
//!
//! Without `--rate` the loop is closed: as much as the log takes, latency from the call to the acknowledgement. With
//! it the loop is open: sends are due at fixed moments, and latency counts from the moment a send was due, so a stall
//! shows in every send that it delayed. By default the data goes to a temporary directory that is removed.
//!
//! Left out: several processes, and the network there is none of.

use super::{Context, Error, Result, parse};
use crate::output::{Style, bytes, counted, grouped, span};
use ::bytes::Bytes;
use hdrhistogram::Histogram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tailwater::log::env::{Clock, Rng};
use tailwater::log::record::{self, Record};
use tailwater::log::service::{Fetch, FetchPartition};
use tailwater::log::types::limits::FETCH_BYTES_DEFAULT;
use tailwater::log::types::{Flush, Instant};
use tailwater::log::{Delivery, Log, TopicName, TopicPartition, TopicSpec};
use tokio::sync::mpsc;

/// Sends of one partition that wait for their acknowledgement.
const IN_FLIGHT: usize = 4096;
/// The longest latency that the histogram tells apart.
const LATENCY_MAX: Duration = Duration::from_secs(600);

/// `tw bench …`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Append records, latency from send to acknowledgement
    Produce(Args),
    /// Append records, then read them back
    Consume(Args),
}

/// Arguments of `tw bench …`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many records
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    records: u64,
    /// Bytes of a record's value
    #[arg(long, value_name = "BYTES", default_value_t = 100)]
    size: usize,
    /// Partitions of the topic
    #[arg(short, long, value_name = "N", default_value_t = 1)]
    partitions: u32,
    /// When a record is acknowledged: durable, os or interval:200ms
    #[arg(long, default_value = "durable", value_name = "WHEN", value_parser = parse::flush)]
    flush: Flush,
    /// Records per second, at fixed moments; as fast as it goes without
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    rate: Option<u64>,
    /// Put the data below this directory instead of the system's temporary one; it is removed afterwards
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What was measured.
struct Measured {
    took: Duration,
    latency: Histogram<u64>,
}

pub(crate) async fn run(command: Command, cx: &mut Context) -> Result<()> {
    let (name, args, consume) = match command {
        Command::Produce(args) => ("produce", args, false),
        Command::Consume(args) => ("consume", args, true),
    };
    let scratch = Scratch::make(args.dir.as_deref())?;
    if !cx.out.json() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let how = match args.rate {
            Some(rate) => format!("open loop at {}/s", grouped(rate)),
            None => "as fast as it goes".into(),
        };
        cx.out.note(format!(
            "{} of {} in {}, flush {}, {how}",
            counted(args.records, "record"),
            bytes(args.size as u64),
            counted(args.partitions.into(), "partition"),
            args.flush,
        ));
        let build = if cfg!(debug_assertions) { "debug build (slower by far than --release)" } else { "release build" };
        cx.out.note(format!(
            "{}, {}, {build}, in {}",
            counted(cores as u64, "core"),
            std::env::consts::OS,
            scratch.0.display()
        ));
    }
    let log = Log::open(&scratch.0).await?;
    let measured = tokio::select! {
        biased;
        () = cx.stop.asked() => None,
        measured = measure(&args, consume, &log) => Some(measured),
    };
    let closed = log.close().await;
    let Some(measured) = measured else { return Ok(()) };
    let measured = measured?;
    closed?;
    report(name, &args, &measured, cx)
}

async fn measure(args: &Args, consume: bool, log: &Log) -> Result<Measured> {
    let mut spec = TopicSpec::new("bench", args.partitions)?;
    spec.config.flush = args.flush;
    let topic = spec.name.clone();
    log.admin().create_topic(spec).await?;
    if consume {
        // Written without waiting for the disk: reading is what is measured.
        produce(args, None, &topic, log).await?;
        read(args, &topic, log).await
    } else {
        produce(args, args.rate, &topic, log).await
    }
}

async fn produce(args: &Args, rate: Option<u64>, topic: &TopicName, log: &Log) -> Result<Measured> {
    let clock = log.clock();
    let producer = log.producer().build();
    let mut lanes = Vec::new();
    for _ in 0..args.partitions {
        let (sender, receiver) = mpsc::channel(IN_FLIGHT);
        lanes.push((sender, tokio::spawn(acknowledgements(receiver, clock.clone()))));
    }
    let payload = payload(args.size);
    let started = clock.instant();
    for n in 0..args.records {
        let due = match rate {
            None => clock.instant(),
            Some(rate) => {
                let due = started + Duration::from_nanos(scaled(n, rate));
                let early = due.since(clock.instant());
                if early > Duration::from_millis(1) {
                    tokio::time::sleep(early).await;
                }
                due
            }
        };
        let partition = u32::try_from(n % u64::from(args.partitions)).unwrap_or(0);
        let record = Record { value: Some(payload.clone()), timestamp: clock.now(), ..Record::default() };
        let delivery = producer.send_to(topic, partition, record).await?;
        if lanes[partition as usize].0.send((due, delivery)).await.is_err() {
            break; // The lane met an error, which it returns below.
        }
    }
    let mut latency = histogram();
    for (sender, lane) in lanes {
        drop(sender);
        let of_lane = lane.await.map_err(|e| Error::Command { command: "bench".into(), why: e.to_string() })??;
        latency += of_lane;
    }
    Ok(Measured { took: clock.instant().since(started), latency })
}

/// Nanoseconds at which send `n` is due.
fn scaled(n: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(n) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX)
}

/// Waits for one partition's acknowledgements, which come in order.
async fn acknowledgements(mut sent: mpsc::Receiver<(Instant, Delivery)>, clock: Clock) -> Result<Histogram<u64>> {
    let mut latency = histogram();
    while let Some((due, delivery)) = sent.recv().await {
        delivery.await?;
        latency.saturating_record(nanos(clock.instant().since(due)));
    }
    Ok(latency)
}

/// Reads every partition once; latency is of one fetch.
async fn read(args: &Args, topic: &TopicName, log: &Log) -> Result<Measured> {
    let clock = log.clock();
    let mut latency = histogram();
    let started = clock.instant();
    let mut records = 0;
    for partition in 0..args.partitions {
        let partition = TopicPartition::new(topic.clone(), partition);
        let mut offset = 0;
        loop {
            let asked = clock.instant();
            let wanted = FetchPartition { partition: partition.clone(), offset, max_bytes: FETCH_BYTES_DEFAULT };
            let request = Fetch {
                partitions: vec![wanted],
                max_wait: Duration::ZERO,
                min_bytes: 1,
                isolation: tailwater::log::types::Isolation::ReadUncommitted,
            };
            let before = offset;
            for fetched in log.service().fetch(request).await? {
                for stored in record::records_at(fetched.batches, &mut offset) {
                    stored?;
                    records += 1;
                }
            }
            if offset == before {
                break;
            }
            latency.saturating_record(nanos(clock.instant().since(asked)));
        }
    }
    let took = clock.instant().since(started);
    if records != args.records {
        let why = format!("{records} records came back of {}", args.records);
        return Err(Error::Command { command: "bench consume".into(), why });
    }
    Ok(Measured { took, latency })
}

#[expect(clippy::expect_used, reason = "the bounds are constants")]
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, nanos(LATENCY_MAX), 3).expect("bounds that a histogram can have")
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

/// Bytes that neither compress to nothing nor differ between runs.
fn payload(size: usize) -> Bytes {
    let mut rng = Rng::seeded(1);
    (0..size).map(|_| b'a' + u8::try_from(rng.below(26)).unwrap_or(0)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "rates are shown rounded")]
fn report(name: &str, args: &Args, measured: &Measured, cx: &mut Context) -> Result<()> {
    let seconds = measured.took.as_secs_f64().max(1e-9);
    let rate = args.records as f64 / seconds;
    let mb = rate * args.size as f64 / 1e6;
    let at = |q: f64| Duration::from_nanos(measured.latency.value_at_quantile(q));
    let of = if name == "consume" { "of a fetch" } else { "of a record" };
    let max = Duration::from_nanos(measured.latency.max());
    if cx.out.json() {
        let micros = |d: Duration| d.as_secs_f64() * 1e6;
        let json = serde_json::json!({
            "bench": name,
            "records": args.records,
            "size": args.size,
            "partitions": args.partitions,
            "flush": args.flush.to_string(),
            "rate": args.rate,
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "debug_build": cfg!(debug_assertions),
            "seconds": seconds,
            "records_per_second": rate,
            "megabytes_per_second": mb,
            "latency_us": { "p50": micros(at(0.5)), "p99": micros(at(0.99)), "p99.9": micros(at(0.999)), "max": micros(max) },
        });
        return cx.out.line(json.to_string());
    }
    let (total, took) = (counted(args.records, "record"), span(measured.took));
    let head = cx.out.paint(Style::Bold, &format!("{rate:.0} records/s  {mb:.1} MB/s"));
    cx.out.line(format!("{name}  {head}  ({total} in {took})"))?;
    cx.out.line(format!(
        "latency {of}  p50 {}  p99 {}  p99.9 {}  max {}",
        span(at(0.5)),
        span(at(0.99)),
        span(at(0.999)),
        span(max)
    ))
}

/// A directory of this run's own, removed when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn make(below: Option<&Path>) -> Result<Self> {
        let below = below.map_or_else(std::env::temp_dir, Path::to_owned);
        let path = below.join(format!("tw-bench-{}", std::process::id()));
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(Self(path)),
            Err(e) => Err(Error::OutputFile { path, why: e.to_string() }),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
