//! `tw load`: a file into a topic, each record once however often it is interrupted.
//!
//! The load is an idempotent producer (KIP-98) whose id is not given out but computed: SipHash-1-3 with zero keys over
//! the file's bytes, the topic's name and partition count, and the options that decide what the records are; its top
//! bit cleared. Which partition a row goes to depends on the row alone (its key, or its number), so the records of
//! this producer that a partition holds are always the first of those that the file has for it. A load that starts
//! again asks each partition how many it holds and skips that many. `kill -9` at any moment and the same command give
//! every record once, in order.
//!
//! Bad rows do not count as rows, and `--skip-bad` is no part of the id, so a load that stopped at a bad line goes on
//! behind it when it is run again with `--skip-bad`.
//!
//! Left out: standard input cannot be read twice, so it is not resumed. One load stores at most 2^31 records in one
//! partition, where sequences wrap.

mod csv_types;
mod rows;

pub(super) use rows::Format;

use super::{Context, Error, Result, parse, value};
use crate::output::{counted, grouped};
use bytes::Bytes;
use futures::FutureExt as _;
use indicatif::ProgressBar;
use rows::{Input, Item, Rows};
use siphasher::sip::SipHasher13;
use std::collections::VecDeque;
use std::hash::Hasher as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tailwater::log::codec::{self, Schema};
use tailwater::log::record::{BatchBuilder, Compression, Record, partition_for_key};
use tailwater::log::service::{DescribeProducers, TopicDescription};
use tailwater::log::{Delivery, Error as LogError, Log, Producer, TopicName, TopicPartition, TopicSpec};
use tokio::sync::mpsc;

/// Chunks of rows read ahead of the log, and rows in a chunk.
const CHUNKS_AHEAD: usize = 16;
const CHUNK_ROWS: usize = 256;
/// Bytes that end a chunk early.
const CHUNK_BYTES: usize = 1024 * 1024;
/// Records sent and not yet acknowledged.
const IN_FLIGHT: usize = 8192;

/// Arguments of `tw load`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Run the same command again after a crash or Ctrl-C: it goes on where it stopped.\n\nExamples:\n  tw load flights.csv.zst flights --key origin --time time_hour\n  tw load events.jsonl events --partitions 8 --key user"
)]
pub(crate) struct Args {
    /// The file, `.zst` too; `-` is standard input
    file: PathBuf,
    /// The topic, created if it is missing
    topic: String,
    /// The column or field that is the record's key
    #[arg(long, value_name = "FIELD")]
    key: Option<String>,
    /// The column or field that is the record's time: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "FIELD")]
    time: Option<String>,
    /// csv or jsonl [default: by the file's extension]
    #[arg(long, hide_possible_values = true)]
    format: Option<Format>,
    /// Partitions of the topic if it has to be created [default: 1]
    #[arg(short, long, value_name = "N")]
    partitions: Option<u32>,
    /// Leave out lines that cannot be read, and count them
    #[arg(long)]
    skip_bad: bool,
    /// Begin at this line of the file
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    from_line: u64,
    /// Load the file once more although it is there
    #[arg(long)]
    again: bool,
    /// Print `acked N` as records become durable
    #[arg(long, hide = true)]
    progress_lines: bool,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let name = TopicName::new(&args.topic)?;
    let input = if args.file.as_os_str() == "-" {
        Input::Stdin
    } else {
        let input = Input::File { path: args.file.clone(), bytes: 0 };
        let meta = std::fs::metadata(&args.file).map_err(|e| input.failed(&e))?;
        if meta.is_dir() {
            return Err(Error::Input { input: input.name(), why: "it is a directory".into() });
        }
        Input::File { path: args.file.clone(), bytes: meta.len() }
    };
    let format = args.format.or_else(|| Format::of(&args.file));
    let format = format.ok_or_else(|| Error::UnknownFormat { input: input.name() })?;
    // Everything about the input that can be wrong before a row is read is found before a topic is made.
    let read = Arc::new(AtomicU64::new(0));
    let mut rows = Rows::open(&input, format, Arc::clone(&read))?;
    if let Some(columns) = rows.columns() {
        for field in args.key.iter().chain(&args.time) {
            if !columns.contains(field) {
                let (input, field, columns) = (input.name(), field.clone(), columns.to_vec());
                return Err(Error::NoColumn { input, field, columns });
            }
        }
    }
    cx.with_log(async |log, cx| {
        let topic = match log.admin().describe_topic(&name).await {
            Err(LogError::UnknownTopic { .. }) => {
                log.admin().ensure_topic(TopicSpec::new(&name, args.partitions.unwrap_or(1))?).await?
            }
            found => found?,
        };
        let partitions = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        if let Some(wanted) = args.partitions
            && wanted != partitions
        {
            let why = format!(
                "topic `{name}` is there already, with {}, not {wanted}",
                counted(u64::from(partitions), "partition")
            );
            return Err(LogError::InvalidRequest { why }.into());
        }
        if let Some(schema) = topic.config.schema.as_deref().and_then(|s| serde_json::from_str::<Schema>(s).ok()) {
            if schema.format == codec::Format::Bincode {
                let why = format!("topic `{name}` holds bincode values of type {}, and a load makes JSON", schema.name);
                return Err(LogError::InvalidRequest { why }.into());
            }
            rows.declare(&schema);
        }
        let (producer, held) = match producer_id(&args, format, &input, &topic, log)? {
            Some(id) => (log.producer().idempotent(id).build(), held(log, &topic, id).await?),
            None => (log.producer().build(), vec![0; topic.partitions.len()]),
        };
        let size = match &input {
            Input::Stdin => 0,
            Input::File { bytes, .. } => *bytes,
        };
        let bar = if size > 0 { cx.out.progress(size, "loading") } else { ProgressBar::hidden() };
        let mut load = Load {
            args: &args,
            input: input.name(),
            topic: &topic,
            producer,
            left_to_skip: held,
            bar,
            read,
            tally: Tally::default(),
            waiting: VecDeque::new(),
        };
        let ended = load.run(read_ahead(rows), log, cx).await;
        // What was sent before an error is acknowledged, and the user is told how much that is.
        let drained = load.drain(cx).await;
        load.bar.finish_and_clear();
        load.report(ended.is_ok() && drained.is_ok(), cx)?;
        ended.and(drained)
    })
    .await
}

/// The id of this load as a producer; `None` for standard input.
fn producer_id(args: &Args, format: Format, input: &Input, topic: &TopicDescription, log: &Log) -> Result<Option<i64>> {
    let Input::File { path, bytes } = input else { return Ok(None) };
    let mut hasher = SipHasher13::new();
    let salt = if args.again { log.clock().now().0 } else { 0 };
    let options = format!(
        "tw load 1\n{}\n{}\n{format:?}\n{:?}\n{:?}\n{}\n{salt}\n",
        topic.name,
        topic.partitions.len(),
        args.key,
        args.time,
        args.from_line
    );
    hasher.write(options.as_bytes());
    let mut file = std::fs::File::open(path).map_err(|e| input.failed(&e))?.take(*bytes);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).map_err(|e| input.failed(&e))? {
            0 => break,
            n => hasher.write(&buffer[..n]),
        }
    }
    Ok(Some((hasher.finish() & i64::MAX.unsigned_abs()).cast_signed()))
}

/// How many records of producer `id` each partition holds.
async fn held(log: &Log, topic: &TopicDescription, id: i64) -> Result<Vec<u64>> {
    let mut held = Vec::with_capacity(topic.partitions.len());
    for p in &topic.partitions {
        let partition = TopicPartition::new(topic.name.clone(), p.partition);
        let producers = log.service().describe_producers(DescribeProducers { partition }).await?;
        let ours = producers.iter().find(|p| p.last.producer_id == id);
        held.push(ours.map_or(0, |p| u64::try_from(p.last.base_sequence).unwrap_or(0) + 1));
    }
    Ok(held)
}

/// Reads rows on a thread of its own, in chunks, a bounded number ahead.
fn read_ahead(mut rows: Rows) -> mpsc::Receiver<Result<Vec<Item>>> {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    std::thread::spawn(move || {
        loop {
            let (mut chunk, mut bytes) = (Vec::with_capacity(CHUNK_ROWS), 0);
            while chunk.len() < CHUNK_ROWS && bytes < CHUNK_BYTES {
                match rows.next() {
                    Ok(Some(item)) => {
                        bytes += if let Item::Row { json, .. } = &item { json.len() } else { 0 };
                        chunk.push(item);
                    }
                    Ok(None) => {
                        let _ = sender.blocking_send(Ok(chunk));
                        return;
                    }
                    Err(error) => {
                        let _ = sender.blocking_send(Ok(chunk)).and_then(|()| sender.blocking_send(Err(error)));
                        return;
                    }
                }
            }
            if sender.blocking_send(Ok(chunk)).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A load under way.
struct Load<'a> {
    args: &'a Args,
    input: String,
    topic: &'a TopicDescription,
    producer: Producer,
    /// Per partition, records that it held before and that are still to come from the file.
    left_to_skip: Vec<u64>,
    bar: ProgressBar,
    read: Arc<AtomicU64>,
    tally: Tally,
    waiting: VecDeque<(u64, Delivery)>,
}

/// What is wrong with a line.
#[derive(Debug)]
enum Fault {
    Malformed { column: u64, why: String },
    TooLarge { bytes: u64 },
}

/// What became of the rows.
#[derive(Debug, Default)]
struct Tally {
    /// Rows that were good, also those that were there before.
    rows: u64,
    /// Rows that were there before.
    skipped: u64,
    /// Rows that were sent and acknowledged now.
    acknowledged: u64,
    bad: u64,
    first_bad: Option<String>,
    told: u64,
    stopped: bool,
}

impl Load<'_> {
    async fn run(&mut self, mut rows: mpsc::Receiver<Result<Vec<Item>>>, log: &Log, cx: &mut Context) -> Result<()> {
        loop {
            let chunk = tokio::select! {
                biased;
                () = cx.stop.asked() => {
                    self.tally.stopped = true;
                    return Ok(());
                }
                chunk = rows.recv() => chunk,
            };
            let Some(chunk) = chunk else { return Ok(()) };
            for item in chunk? {
                self.take(item, log).await?;
                self.settle_ready(cx).await?;
            }
            self.bar.set_position(self.read.load(Ordering::Relaxed));
            self.bar.set_message(counted(self.tally.skipped + self.tally.acknowledged, "record"));
        }
    }

    /// Sends a row, or skips it because it is there, or refuses it.
    async fn take(&mut self, item: Item, log: &Log) -> Result<()> {
        let (line, json) = match item {
            Item::Row { line, .. } | Item::Bad { line, .. } | Item::TooLarge { line, .. }
                if line < self.args.from_line =>
            {
                return Ok(());
            }
            Item::Row { line, json } => (line, json),
            Item::Bad { line, column, why } => return self.refuse(line, Fault::Malformed { column, why }),
            Item::TooLarge { line, bytes } => return self.refuse(line, Fault::TooLarge { bytes }),
        };
        let record = match self.record(json, log) {
            Ok(record) => record,
            Err(fault) => return self.refuse(line, fault),
        };
        let partitions = u32::try_from(self.left_to_skip.len()).unwrap_or(u32::MAX);
        let partition = match &record.key {
            Some(key) => partition_for_key(key, partitions),
            None => u32::try_from(self.tally.rows % u64::from(partitions)).unwrap_or(0),
        };
        self.tally.rows += 1;
        let left = &mut self.left_to_skip[partition as usize];
        if *left > 0 {
            *left -= 1;
            self.tally.skipped += 1;
            return Ok(());
        }
        let sent = self.producer.send_to(&self.topic.name, partition, record).await;
        let delivery = sent.map_err(|e| self.at(line, e))?;
        self.waiting.push_back((line, delivery));
        Ok(())
    }

    /// The record of a row, or why there is none.
    fn record(&self, json: Vec<u8>, log: &Log) -> Result<Record, Fault> {
        let at = |column: u64, why: String| Fault::Malformed { column, why };
        let field = |name: &String| match value::field(&json, name) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(at(1, format!("there is no field `{name}`"))),
            Err(e) => Err(at(e.column().max(1) as u64, "it is not a JSON object".into())),
        };
        let key = match &self.args.key {
            None => None,
            Some(name) => value::key_text(field(name)?).map_err(|why| at(1, format!("field `{name}` {why}")))?,
        };
        let timestamp = match &self.args.time {
            None => log.clock().now(),
            Some(name) => moment(&field(name)?).ok_or_else(|| at(1, format!("field `{name}` is not a time")))?,
        };
        let record = Record { key: key.map(Bytes::from), value: Some(json.into()), timestamp, headers: Vec::new() };
        let max = self.topic.config.batch_bytes_max;
        match batch_bytes(&record, max as usize) {
            bytes if bytes > max as usize => Err(Fault::TooLarge { bytes: bytes as u64 }),
            _ => Ok(record),
        }
    }

    /// Ends the load at a bad line, or counts it.
    fn refuse(&mut self, line: u64, fault: Fault) -> Result<()> {
        let max = u64::from(self.topic.config.batch_bytes_max);
        if self.args.skip_bad {
            self.tally.bad += 1;
            self.tally.first_bad.get_or_insert_with(|| match fault {
                Fault::Malformed { column, why } => format!("line {line}, column {column}: {why}"),
                Fault::TooLarge { bytes } => {
                    format!("line {line}: a record of {bytes} bytes, and the topic takes at most {max}")
                }
            });
            return Ok(());
        }
        Err(match fault {
            Fault::Malformed { column, why } => {
                let help = format!(
                    "correct the line and load the rest with   --from-line {line}   or leave bad lines out with   --skip-bad"
                );
                Error::BadLine { input: self.input.clone(), line, column, why, help }
            }
            Fault::TooLarge { bytes } => {
                self.at(line, LogError::RecordTooLarge { topic: self.topic.name.clone(), bytes, max })
            }
        })
    }

    fn at(&self, line: u64, error: LogError) -> Error {
        Error::from(error).at(format!("line {line} of {}", self.input))
    }

    /// Counts the acknowledgements that have come; waits for one only when many are out.
    async fn settle_ready(&mut self, cx: &mut Context) -> Result<()> {
        while let Some((line, mut delivery)) = self.waiting.pop_front() {
            let full = self.waiting.len() >= IN_FLIGHT;
            let settled = if full { Some((&mut delivery).await) } else { (&mut delivery).now_or_never() };
            match settled {
                Some(Ok(_)) => self.tally.acknowledged += 1,
                Some(Err(error)) => return Err(self.at(line, error)),
                None => {
                    self.waiting.push_front((line, delivery));
                    break;
                }
            }
        }
        self.tell(cx)
    }

    /// Waits for all acknowledgements; the first failure if there was one, after all were waited for.
    async fn drain(&mut self, cx: &mut Context) -> Result<()> {
        let mut result = Ok(());
        while let Some((line, delivery)) = self.waiting.pop_front() {
            match delivery.await {
                Ok(_) => self.tally.acknowledged += 1,
                Err(error) => result = result.and(Err(self.at(line, error))),
            }
        }
        result.and(self.tell(cx))
    }

    fn tell(&mut self, cx: &mut Context) -> Result<()> {
        let durable = self.tally.skipped + self.tally.acknowledged;
        if self.args.progress_lines && durable > self.tally.told {
            self.tally.told = durable;
            cx.out.line(format!("acked {durable}"))?;
            cx.out.flush()?;
        }
        Ok(())
    }

    fn report(&self, complete: bool, cx: &mut Context) -> Result<()> {
        let Tally { skipped, acknowledged, bad, stopped, .. } = self.tally;
        let name = &self.topic.name;
        if cx.out.json() {
            let json = serde_json::json!({
                "topic": name.as_str(),
                "loaded": acknowledged,
                "already_there": skipped,
                "bad_lines": bad,
                "complete": complete && !stopped,
            });
            return cx.out.line(json.to_string());
        }
        let text = match (acknowledged, skipped) {
            (0, 0) => format!("nothing was loaded from {}", self.input),
            (0, there) if complete && !stopped => {
                format!("already loaded: all {} of {} are in `{name}`", counted(there, "record"), self.input)
            }
            (new, 0) => format!("loaded {} into `{name}`", counted(new, "record")),
            (new, there) => {
                format!("loaded {} into `{name}`; {} were there already", counted(new, "record"), grouped(there))
            }
        };
        cx.out.note(text);
        if let Some(first) = &self.tally.first_bad {
            cx.out.note(format!("left out {}; the first: {first}", counted(bad, "bad line")));
        }
        if stopped {
            cx.out.note("stopped; the same command goes on from here");
        }
        Ok(())
    }
}

/// A JSON value as a time.
fn moment(value: &serde_json::Value) -> Option<tailwater::log::Timestamp> {
    match value {
        serde_json::Value::String(text) => parse::moment(text),
        serde_json::Value::Number(number) => number.as_i64().map(tailwater::log::Timestamp),
        _ => None,
    }
}

/// The size of a batch with this record alone, exact where it may be over `max`.
fn batch_bytes(record: &Record, max: usize) -> usize {
    /// More than header and framing of a batch of one record without headers.
    const OVERHEAD_MAX: usize = 256;
    let payload = record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len);
    if payload + OVERHEAD_MAX <= max {
        return payload + OVERHEAD_MAX;
    }
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(record);
    batch.bytes()
}
