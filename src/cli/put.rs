//! `tw put`: lines in, one record each.
//!
//! Lines are read by a thread of their own, so that Ctrl-C is heard while standard input is silent. Every record is
//! acknowledged by the topic's flush policy before the command ends with 0.

use super::{Context, Error, Result, value};
use crate::output::counted;
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read as _};
use std::path::PathBuf;
use tailwater::log::record::Record;
use tailwater::log::service::TopicDescription;
use tailwater::log::types::limits;
use tailwater::log::{Delivery, Error as LogError, Log, TopicName, TopicSpec};
use tokio::sync::mpsc;

/// Lines read ahead of the log.
const LINES_AHEAD: usize = 1024;
/// Records sent and not yet acknowledged.
const IN_FLIGHT: usize = 8192;

/// Arguments of `tw put`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  echo hello | tw put greetings --create\n  tw put flights --key-field origin < flights.jsonl\n  printf 'EWR\\t1\\n' | tw put counts --separator '\\t'"
)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// Read lines from here; `-` is standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Send this value instead of reading lines; may be repeated
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    value: Vec<String>,
    /// Lines are JSON objects; this field is the key
    #[arg(long, value_name = "FIELD", group = "keys")]
    key_field: Option<String>,
    /// The key of every record
    #[arg(long, value_name = "KEY", group = "keys")]
    key: Option<String>,
    /// Lines are KEY, this separator, VALUE; `\t` is a tab
    #[arg(long, value_name = "TEXT", group = "keys")]
    separator: Option<String>,
    /// Send to this partition instead of choosing by key
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Create the topic, with one partition, if it is missing
    #[arg(long)]
    create: bool,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let topic = TopicName::new(&args.topic)?;
    let work = async |log: &Log, cx: &mut Context| {
        let described = if args.create {
            log.admin().ensure_topic(TopicSpec::new(&topic, 1)?).await?
        } else {
            log.admin().describe_topic(&topic).await?
        };
        put(&args, described, log, cx).await
    };
    if args.create { cx.with_log(work).await } else { cx.with_present_log(work).await }
}

async fn put(args: &Args, topic: TopicDescription, log: &Log, cx: &mut Context) -> Result<()> {
    let input = if !args.value.is_empty() {
        "--value".to_owned()
    } else if args.file.as_os_str() == "-" {
        "standard input".to_owned()
    } else {
        args.file.display().to_string()
    };
    let separator = args.separator.as_ref().map(|s| s.replace("\\t", "\t").replace("\\0", "\0"));
    let mut lines = read_lines(args, &input, &topic)?;
    let producer = log.producer().build();
    let mut sent = Sent::default();
    let mut number = 0;
    let ended = loop {
        let line = tokio::select! {
            biased;
            () = cx.stop.asked() => break Ok(()),
            line = lines.recv() => line,
        };
        let line = match line {
            None => break Ok(()),
            Some(Err(error)) => break Err(error),
            Some(Ok(line)) => line,
        };
        number += 1;
        let place = || format!("line {number} of {input}");
        let record = match record(args, separator.as_deref(), line, number, &input) {
            Ok(record) => Record { timestamp: log.clock().now(), ..record },
            Err(error) => break Err(error),
        };
        let sending = match args.partition {
            Some(partition) => producer.send_to(&topic.name, partition, record).await,
            None => producer.send(&topic.name, record).await,
        };
        match sending {
            Ok(delivery) => {
                if let Err(error) = sent.push(delivery, number, &input).await {
                    break Err(error);
                }
            }
            Err(error) => break Err(Error::from(error).at(place())),
        }
    };
    // What was read before an error stays and is acknowledged, and the user is told how much that is.
    let drained = sent.drain(&input).await;
    let n = sent.acknowledged;
    if cx.out.json() {
        let partitions: Vec<_> = sent.partitions.iter().collect();
        let json = serde_json::json!({ "topic": topic.name.as_str(), "records": n, "partitions": partitions });
        cx.out.line(json.to_string())?;
    } else {
        let to = counted(sent.partitions.len() as u64, "partition");
        let how = match topic.config.flush {
            tailwater::log::types::Flush::Durable => "durable".to_owned(),
            flush => format!("acknowledged before the disk has them (flush {flush})"),
        };
        let to = if n == 0 { String::new() } else { format!(" to {to}, {how}") };
        cx.out.note(format!("{} put into `{}`{to}", counted(n, "record"), topic.name));
    }
    ended.and(drained)
}

/// Records under way, in the order they were sent.
#[derive(Debug, Default)]
struct Sent {
    waiting: VecDeque<(u64, Delivery)>,
    acknowledged: u64,
    partitions: BTreeSet<u32>,
}

impl Sent {
    /// Adds one; waits for the oldest when there are many.
    async fn push(&mut self, delivery: Delivery, line: u64, input: &str) -> Result<()> {
        self.waiting.push_back((line, delivery));
        if self.waiting.len() > IN_FLIGHT { self.settle_oldest(input).await } else { Ok(()) }
    }

    /// Waits for all; the first failure if there was one, after all were waited for.
    async fn drain(&mut self, input: &str) -> Result<()> {
        let mut result = Ok(());
        while !self.waiting.is_empty() {
            result = result.and(self.settle_oldest(input).await);
        }
        result
    }

    async fn settle_oldest(&mut self, input: &str) -> Result<()> {
        let Some((line, delivery)) = self.waiting.pop_front() else { return Ok(()) };
        let to = delivery.await.map_err(|e| Error::from(e).at(format!("line {line} of {input}")))?;
        self.acknowledged += 1;
        self.partitions.insert(to.partition);
        Ok(())
    }
}

fn record(args: &Args, separator: Option<&str>, line: Vec<u8>, number: u64, input: &str) -> Result<Record> {
    let bad = |column: usize, why: String| Error::BadLine {
        input: input.into(),
        line: number,
        column: column as u64,
        why,
        help: "correct this line and put it and those after it; the lines before it are stored".into(),
    };
    let mut record = Record { key: args.key.clone().map(Bytes::from), ..Record::default() };
    if let Some(name) = &args.key_field {
        let found = value::field(&line, name).map_err(|e| bad(e.column(), e.to_string()))?;
        let found = found.ok_or_else(|| bad(1, format!("there is no field `{name}`")))?;
        let key = value::key_text(found).map_err(|why| bad(1, format!("field `{name}` {why}")))?;
        record.key = key.map(Bytes::from);
    }
    let line = Bytes::from(line);
    record.value = Some(match separator {
        None => line,
        Some(separator) => {
            let at = std::str::from_utf8(&line).ok().and_then(|text| text.find(separator));
            let at = at.ok_or_else(|| bad(1, format!("there is no separator {separator:?}")))?;
            record.key = Some(line.slice(..at));
            line.slice(at + separator.len()..)
        }
    });
    Ok(record)
}

/// Starts the reading thread. Lines come without their line feed (and carriage return).
fn read_lines(args: &Args, input: &str, topic: &TopicDescription) -> Result<mpsc::Receiver<Result<Vec<u8>>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    let failed = |e: std::io::Error, input: &str| Error::Input { input: input.into(), why: e.to_string() };
    let mut reader: Box<dyn BufRead + Send> = if !args.value.is_empty() {
        let mut text = args.value.join("\n");
        text.push('\n');
        Box::new(std::io::Cursor::new(text))
    } else if args.file.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        Box::new(BufReader::new(std::fs::File::open(&args.file).map_err(|e| failed(e, input))?))
    };
    let input = input.to_owned();
    let (topic, topic_max) = (topic.name.clone(), u64::from(topic.config.batch_bytes_max));
    std::thread::spawn(move || {
        let max = u64::from(limits::BATCH_BYTES_HARD_MAX);
        for number in 1.. {
            let mut line = Vec::new();
            // One byte over the limit is enough to know, so a line without an end takes no more memory than that.
            let read = reader.by_ref().take(max + 1).read_until(b'\n', &mut line);
            let item = match read {
                Ok(0) => return,
                Ok(n) if n as u64 > max => {
                    // It was not read to its end; it has this many bytes at least.
                    let error = LogError::RecordTooLarge { topic: topic.clone(), bytes: n as u64, max: topic_max };
                    Err(Error::from(error).at(format!("line {number} of {input}")))
                }
                Ok(_) => {
                    if line.last() == Some(&b'\n') {
                        line.pop();
                        if line.last() == Some(&b'\r') {
                            line.pop();
                        }
                    }
                    Ok(line)
                }
                Err(e) => Err(failed(e, &input)),
            };
            let last = item.is_err();
            if sender.blocking_send(item).is_err() || last {
                return;
            }
        }
    });
    Ok(receiver)
}
