//! `tw dump`: a topic into a file, bounded at the moment it starts.
//!
//! Records are in one order: within a partition by offset, across partitions by time. What `tw load` reads back is
//! what was there: jsonl has each value as it is (text that is no JSON becomes a JSON string), csv has one column
//! per field that any record has, found in a first pass, and nested values as JSON text.

use super::scan::{Scan, intact};
use super::{Context, Error, Result, load::Format, value};
use crate::output::counted;
use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use tailwater::log::types::OffsetRange;
use tailwater::log::{Log, StoredRecord, TopicName, TopicPartition};

/// How often the progress bar moves.
const BAR_STEP: u64 = 1024;

/// Arguments of `tw dump`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tw dump flights -o flights.jsonl\n  tw dump flights --format csv > flights.csv\n  tw dump flights --metadata | jq .offset"
)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// csv or jsonl [default: by the extension of -o; without -o jsonl]
    #[arg(long, hide_possible_values = true)]
    format: Option<Format>,
    /// Write here instead of standard output; `.zst` compresses
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also partition, offset, time and key
    #[arg(long)]
    metadata: bool,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let name = TopicName::new(&args.topic)?;
    let format = match (args.format, &args.output) {
        (Some(format), _) => format,
        (None, None) => Format::Jsonl,
        (None, Some(path)) => {
            Format::of(path).ok_or_else(|| Error::UnknownFormat { input: path.display().to_string() })?
        }
    };
    cx.with_present_log(async |log, cx| {
        let topic = log.admin().describe_topic(&name).await?;
        let range = |p: &tailwater::log::service::PartitionDescription| {
            (TopicPartition::new(name.clone(), p.partition), p.offsets.committed())
        };
        let ranges: Vec<_> = topic.partitions.iter().map(range).collect();
        let stop = cx.stop.clone();
        let written = tokio::select! {
            biased;
            () = stop.asked() => None,
            written = dump(&args, format, log, ranges, cx) => Some(written?),
        };
        match (written, &args.output) {
            (None, _) => cx.out.note("stopped; the output is incomplete"),
            (Some(n), Some(path)) => {
                cx.out.note(format!("{} written to {}", counted(n, "record"), path.display()));
                intact(&topic, None)?;
            }
            (Some(_), None) => intact(&topic, None)?,
        }
        Ok(())
    })
    .await
}

async fn dump(
    args: &Args,
    format: Format,
    log: &Log,
    ranges: Vec<(TopicPartition, OffsetRange)>,
    cx: &mut Context,
) -> Result<u64> {
    let passes = if format == Format::Csv { 2 } else { 1 };
    let total = Scan::new(log, ranges.clone()).len();
    let bar = cx.out.progress(total * passes, "dumping");
    let columns = match format {
        Format::Csv => columns(args, Scan::new(log, ranges.clone()), &bar).await,
        Format::Jsonl => Columns::default(),
    };
    let mut sink = Sink::open(args.output.clone())?;
    let mut scan = Scan::new(log, ranges);
    if !columns.names.is_empty() {
        sink.line(cx, &csv_line(columns.names.iter().map(String::as_str)))?;
    }
    let (mut n, mut not_text) = (0, 0_u64);
    let ended = loop {
        let (partition, record) = match scan.next().await {
            Ok(Some(found)) => found,
            Ok(None) => break Ok(()),
            // What came before it is written, and ended as a file should be.
            Err(error) => break Err(error),
        };
        not_text += u64::from(record.value.as_deref().is_some_and(|v| std::str::from_utf8(v).is_err()));
        let line = match format {
            Format::Csv => columns.row(args, &partition, &record),
            Format::Jsonl if args.metadata => value::record_json(&partition, &record).into_bytes(),
            Format::Jsonl => value::json_value(record.value.as_deref()).into_owned().into_bytes(),
        };
        sink.line(cx, &line)?;
        n += 1;
        if n % BAR_STEP == 0 {
            bar.inc(BAR_STEP);
            bar.set_message(counted(n, "record"));
        }
    };
    sink.finish(cx)?;
    bar.finish_and_clear();
    if not_text > 0 {
        let values = counted(not_text, "value");
        cx.out.note(format!("{values} not UTF-8: such bytes were replaced, so the dump is not the same as the topic"));
    }
    ended.map(|()| n)
}

/// Standard output, or a file.
enum Sink {
    Stdout,
    File { path: PathBuf, writer: Box<dyn Finish> },
}

/// A writer that has an end of its own.
trait Finish: Write {
    fn finish(self: Box<Self>) -> std::io::Result<()>;
}

impl Finish for std::io::BufWriter<std::fs::File> {
    fn finish(self: Box<Self>) -> std::io::Result<()> {
        self.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    }
}

impl Finish for zstd::stream::write::Encoder<'static, std::io::BufWriter<std::fs::File>> {
    fn finish(self: Box<Self>) -> std::io::Result<()> {
        Box::new((*self).finish()?).finish()
    }
}

impl Sink {
    fn open(path: Option<PathBuf>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        let open = || -> std::io::Result<Box<dyn Finish>> {
            let file = std::io::BufWriter::with_capacity(256 * 1024, std::fs::File::create(&path)?);
            Ok(if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zst")) {
                Box::new(zstd::stream::write::Encoder::new(file, 3)?)
            } else {
                Box::new(file)
            })
        };
        match open() {
            Ok(writer) => Ok(Self::File { path, writer }),
            Err(e) => Err(Error::OutputFile { path, why: e.to_string() }),
        }
    }

    fn line(&mut self, cx: &mut Context, line: &[u8]) -> Result<()> {
        match self {
            Self::Stdout => cx.out.line(line),
            Self::File { path, writer } => {
                let written = writer.write_all(line).and_then(|()| writer.write_all(b"\n"));
                written.map_err(|e| Error::OutputFile { path: path.clone(), why: e.to_string() })
            }
        }
    }

    /// A file is on the disk when this returns.
    fn finish(self, cx: &mut Context) -> Result<()> {
        match self {
            Self::Stdout => cx.out.flush(),
            Self::File { path, writer } => writer.finish().map_err(|e| Error::OutputFile { path, why: e.to_string() }),
        }
    }
}

const METADATA: [&str; 4] = ["_partition", "_offset", "_timestamp", "_key"];
/// The column of values that are no JSON objects.
const VALUE: &str = "_value";

/// The columns of a csv dump.
#[derive(Debug, Default)]
struct Columns {
    names: Vec<String>,
    index: HashMap<String, usize>,
}

impl Columns {
    fn add(&mut self, name: &str) {
        if !self.index.contains_key(name) {
            self.index.insert(name.to_owned(), self.names.len());
            self.names.push(name.to_owned());
        }
    }

    fn row(&self, args: &Args, partition: &TopicPartition, record: &StoredRecord) -> Vec<u8> {
        let mut cells = vec![String::new(); self.names.len()];
        let mut put = |name: &str, text: String| {
            if let Some(index) = self.index.get(name) {
                cells[*index] = text;
            }
        };
        match fields(record) {
            Some(fields) => fields.into_iter().for_each(|(name, value)| put(&name, cell(value))),
            None => put(VALUE, value::text(record.value.as_deref()).into_owned()),
        }
        if args.metadata {
            put(METADATA[0], partition.partition.to_string());
            put(METADATA[1], record.offset.to_string());
            put(METADATA[2], record.timestamp.to_string());
            put(METADATA[3], value::text(record.key.as_deref()).into_owned());
        }
        csv_line(cells.iter().map(String::as_str))
    }
}

/// The first pass: every field that any record has, in the order in which they appear.
async fn columns(args: &Args, mut scan: Scan, bar: &indicatif::ProgressBar) -> Columns {
    let mut columns = Columns::default();
    if args.metadata {
        METADATA.iter().for_each(|name| columns.add(name));
    }
    let mut n = 0;
    // An error comes in the second pass again, behind the records before it.
    while let Ok(Some((_, record))) = scan.next().await {
        match fields(&record) {
            Some(fields) => fields.iter().for_each(|(name, _)| columns.add(name)),
            None if record.value.is_some() => columns.add(VALUE),
            None => {}
        }
        n += 1;
        if n % BAR_STEP == 0 {
            bar.inc(BAR_STEP);
        }
    }
    columns
}

/// The fields of a value that is a JSON object, in its order.
fn fields(record: &StoredRecord) -> Option<Vec<(String, serde_json::Value)>> {
    value::fields(record.value.as_deref()?).ok()
}

fn cell(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// One line of csv after RFC 4180: quoted where it must be.
fn csv_line<'a>(cells: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::Any(b'\n')).from_writer(Vec::new());
    // Writing to a vector does not fail.
    let _ = writer.write_record(cells);
    let mut line = writer.into_inner().unwrap_or_default();
    line.pop();
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_quotes_what_it_must() {
        assert_eq!(csv_line(["a", "b,c", "d\"e", "f\ng", ""].into_iter()), b"a,\"b,c\",\"d\"\"e\",\"f\ng\",");
    }

    #[test]
    fn cells_are_scalars_or_json() {
        assert_eq!(cell(serde_json::json!(null)), "");
        assert_eq!(cell(serde_json::json!("x")), "x");
        assert_eq!(cell(serde_json::json!({"a": [1]})), r#"{"a":[1]}"#);
    }
}
