//! Rows of a csv or jsonl file as JSON values, each with its line number.
//!
//! A row that cannot be read is an item too, [`Item::Bad`], and reading goes on behind it: what becomes of it is the
//! caller's decision. Nothing is held but the row at hand.

use super::super::{Error, Result, value::json_string};
use super::csv_types::ColumnType;
use crate::output::counted;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tailwater::log::codec::{FieldType, Schema};
use tailwater::log::types::limits;

/// Rows of standard input that decide the types of its columns; a file is read whole for that.
const SAMPLE_ROWS: usize = 1000;

/// How rows are written in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// Comma separated, with a header line
    Csv,
    /// One JSON value per line
    Jsonl,
}

impl Format {
    /// By the file's extension, `.zst` left aside.
    pub(in crate::cli) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        let name = name.strip_suffix(".zst").unwrap_or(&name);
        match name.rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" | "json" => Some(Self::Jsonl),
            _ => None,
        }
    }
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Stdin,
    /// A file, up to the length that it had when it was first looked at.
    File {
        path: PathBuf,
        bytes: u64,
    },
}

impl Input {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Stdin => "standard input".into(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    pub(super) fn failed(&self, error: &std::io::Error) -> Error {
        Error::Input { input: self.name(), why: error.to_string() }
    }

    /// Opens it, decompressing `.zst`; `read` counts the bytes as they are on disk.
    fn open(&self, read: Arc<AtomicU64>) -> Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Stdin => Box::new(Counted { inner: std::io::stdin(), read }),
            Self::File { path, bytes } => {
                let file = File::open(path).map_err(|e| self.failed(&e))?;
                let file = Counted { inner: file.take(*bytes), read };
                if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("zst")) {
                    Box::new(zstd::stream::read::Decoder::new(file).map_err(|e| self.failed(&e))?)
                } else {
                    Box::new(file)
                }
            }
        })
    }
}

/// Where the lines of a csv file end, for its records to have the line numbers of an editor. The csv reader counts the
/// blank lines before a record, and half of a CRLF, to the record behind them.
///
/// ```text
///   a,b CR LF 1,2 CR LF CR LF 3
///                 ▲            └ the record "3" is said to begin here, on line 2; it begins on line 4
/// ```
#[derive(Debug, Default)]
struct LineEnds {
    /// Bytes seen.
    at: u64,
    /// Offsets of carriage returns and line feeds that no record was found behind yet.
    ends: VecDeque<(u64, u8)>,
    /// Line feeds before those.
    line_feeds: u64,
}

impl LineEnds {
    /// The line, from 1, of the record said to begin at byte `start`. Asked for in order.
    fn line(&mut self, mut start: u64) -> u64 {
        while let Some(&(at, byte)) = self.ends.front()
            && at <= start
        {
            self.ends.pop_front();
            self.line_feeds += u64::from(byte == b'\n');
            // Line ends that the record is said to begin with come before it.
            start += u64::from(at == start);
        }
        self.line_feeds + 1
    }
}

/// Notes the line ends of what is read.
struct Noted<R> {
    inner: R,
    ends: Arc<Mutex<LineEnds>>,
}

impl<R: Read> Read for Noted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        for (i, &byte) in buffer[..n].iter().enumerate() {
            if matches!(byte, b'\r' | b'\n') {
                let at = ends.at + i as u64;
                ends.ends.push_back((at, byte));
            }
        }
        ends.at += n as u64;
        Ok(n)
    }
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// One row, or what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Row {
        line: u64,
        json: Vec<u8>,
    },
    Bad {
        line: u64,
        column: u64,
        why: String,
    },
    /// A line over any limit. It was read to this many bytes.
    TooLarge {
        line: u64,
        bytes: u64,
    },
}

/// Reads rows one by one.
pub(super) struct Rows {
    input: Input,
    source: Source,
}

enum Source {
    Jsonl {
        reader: Box<dyn BufRead + Send>,
        line: u64,
    },
    Csv {
        reader: csv::Reader<Box<dyn Read + Send>>,
        header: Vec<String>,
        types: Vec<ColumnType>,
        sample: Vec<csv::ByteRecord>,
        ends: Arc<Mutex<LineEnds>>,
    },
}

impl Rows {
    /// Opens the input. A csv file is read once to find the types of its columns.
    pub(super) fn open(input: &Input, format: Format, read: Arc<AtomicU64>) -> Result<Self> {
        let source = match format {
            Format::Jsonl => {
                let reader = BufReader::with_capacity(256 * 1024, input.open(read)?);
                Source::Jsonl { reader: Box::new(reader), line: 0 }
            }
            Format::Csv => {
                let types = match input {
                    Input::Stdin => None,
                    Input::File { .. } => Some(types_of_all(input)?),
                };
                let ends = Arc::<Mutex<LineEnds>>::default();
                let noted = Noted { inner: input.open(read)?, ends: Arc::clone(&ends) };
                let mut reader = csv_reader(Box::new(noted));
                let header = header(&mut reader, input)?;
                let mut sample = Vec::new();
                let types = match types {
                    Some(types) => types,
                    None => {
                        let mut types = vec![ColumnType::Unknown; header.len()];
                        let mut record = csv::ByteRecord::new();
                        while sample.len() < SAMPLE_ROWS
                            && reader.read_byte_record(&mut record).map_err(|e| csv_failed(input, &e))?
                        {
                            widen(&mut types, &record);
                            sample.push(record.clone());
                        }
                        sample.reverse();
                        types
                    }
                };
                Source::Csv { reader, header, types, sample, ends }
            }
        };
        Ok(Self { input: input.clone(), source })
    }

    /// The names of the columns, for csv.
    pub(super) fn columns(&self) -> Option<&[String]> {
        match &self.source {
            Source::Jsonl { .. } => None,
            Source::Csv { header, .. } => Some(header),
        }
    }

    /// Takes the types of csv columns from the topic's schema where it has them, instead of from the values.
    pub(super) fn declare(&mut self, schema: &Schema) {
        let Source::Csv { header, types, .. } = &mut self.source else { return };
        for (name, kind) in header.iter().zip(types) {
            if let Some(field) = schema.fields.iter().find(|field| field.name == *name) {
                *kind = match field.field_type {
                    FieldType::Bool => ColumnType::Bool,
                    FieldType::F32 | FieldType::F64 => ColumnType::Float,
                    FieldType::String => ColumnType::Text,
                    FieldType::Timestamp | FieldType::Other => *kind,
                    _ => ColumnType::Int,
                };
            }
        }
    }

    /// The next row; `None` at the end. Blank lines are no rows.
    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        match &mut self.source {
            Source::Jsonl { reader, line } => next_json(reader, line).map_err(|e| self.input.failed(&e)),
            Source::Csv { reader, header, types, sample, ends } => {
                let record = match sample.pop() {
                    Some(record) => record,
                    None => {
                        let mut record = csv::ByteRecord::new();
                        if !reader.read_byte_record(&mut record).map_err(|e| csv_failed(&self.input, &e))? {
                            return Ok(None);
                        }
                        record
                    }
                };
                let start = record.position().map_or(0, csv::Position::byte);
                let line = ends.lock().unwrap_or_else(PoisonError::into_inner).line(start);
                Ok(Some(csv_item(&record, line, header, types)))
            }
        }
    }
}

fn next_json(reader: &mut impl BufRead, line: &mut u64) -> std::io::Result<Option<Item>> {
    let max = u64::from(limits::BATCH_BYTES_HARD_MAX);
    loop {
        let mut bytes = Vec::new();
        // One byte over the limit is enough to know, so a line without an end takes no more memory than that.
        if reader.by_ref().take(max + 1).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        *line += 1;
        let bad = |column: usize, why: String| Ok(Some(Item::Bad { line: *line, column: column as u64, why }));
        if bytes.len() as u64 > max && bytes.last() != Some(&b'\n') {
            reader.skip_until(b'\n')?;
            return Ok(Some(Item::TooLarge { line: *line, bytes: bytes.len() as u64 }));
        }
        let without_bom = if *line == 1 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes) } else { &bytes };
        let json = without_bom.trim_ascii_end();
        if json.trim_ascii().is_empty() {
            continue;
        }
        if let Err(e) = std::str::from_utf8(json) {
            return bad(e.valid_up_to() + 1, "it is not UTF-8".into());
        }
        if let Err(e) = serde_json::from_slice::<serde::de::IgnoredAny>(json) {
            let text = e.to_string();
            let why = text.split(" at line ").next().unwrap_or(&text);
            return bad(e.column().max(1), format!("malformed JSON: {why}"));
        }
        return Ok(Some(Item::Row { line: *line, json: json.trim_ascii_start().to_vec() }));
    }
}

fn csv_reader(source: Box<dyn Read + Send>) -> csv::Reader<Box<dyn Read + Send>> {
    csv::ReaderBuilder::new().flexible(true).buffer_capacity(256 * 1024).from_reader(source)
}

fn csv_failed(input: &Input, error: &csv::Error) -> Error {
    Error::Input { input: input.name(), why: error.to_string() }
}

fn header(reader: &mut csv::Reader<Box<dyn Read + Send>>, input: &Input) -> Result<Vec<String>> {
    let record = reader.byte_headers().map_err(|e| csv_failed(input, &e))?;
    let bad = |why: String| {
        let help = "the first line names the columns, each once; correct it".into();
        Error::BadLine { input: input.name(), line: 1, column: 1, why, help }
    };
    let mut header: Vec<String> = Vec::new();
    for cell in record {
        let name = std::str::from_utf8(cell).map_err(|_| bad("the header is not UTF-8".into()))?;
        if header.iter().any(|known| known == name) {
            return Err(bad(format!("the header has column `{name}` twice")));
        }
        header.push(name.to_owned());
    }
    Ok(header)
}

fn types_of_all(input: &Input) -> Result<Vec<ColumnType>> {
    let mut reader = csv_reader(input.open(Arc::default())?);
    let mut types = vec![ColumnType::Unknown; header(&mut reader, input)?.len()];
    let mut record = csv::ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|e| csv_failed(input, &e))? {
        widen(&mut types, &record);
    }
    Ok(types)
}

/// Rows that will be refused do not count.
fn widen(types: &mut [ColumnType], record: &csv::ByteRecord) {
    if record.len() == types.len() {
        for (kind, cell) in types.iter_mut().zip(record) {
            *kind = std::str::from_utf8(cell).map_or(*kind, |cell| kind.widened(cell));
        }
    }
}

fn csv_item(record: &csv::ByteRecord, line: u64, header: &[String], types: &[ColumnType]) -> Item {
    if record.len() != header.len() {
        let why = format!("the row has {} and the header has {}", counted(record.len() as u64, "field"), header.len());
        return Item::Bad { line, column: 1, why };
    }
    let mut json = String::from("{");
    for ((name, kind), cell) in header.iter().zip(types).zip(record) {
        let Ok(cell) = std::str::from_utf8(cell) else {
            let before: usize = record.iter().take_while(|c| std::str::from_utf8(c).is_ok()).map(|c| c.len() + 1).sum();
            return Item::Bad { line, column: before as u64 + 1, why: format!("field `{name}` is not UTF-8") };
        };
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&json_string(name));
        json.push(':');
        kind.write(cell, &mut json);
    }
    json.push('}');
    Item::Row { line, json: json.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let input = Input::File { path: path.clone(), bytes: bytes.len() as u64 };
        let mut rows = Rows::open(&input, Format::of(&path).unwrap(), Arc::default()).unwrap();
        let mut out = Vec::new();
        while let Some(item) = rows.next().unwrap() {
            out.push(match item {
                Item::Row { line, json } => format!("{line} {}", String::from_utf8(json).unwrap()),
                Item::Bad { line, column, why } => format!("{line}:{column} {why}"),
                Item::TooLarge { line, bytes } => format!("{line} too large: {bytes}"),
            });
        }
        out
    }

    #[test]
    fn jsonl_says_where_it_is_malformed_and_goes_on() {
        let rows = read("x.jsonl", b"\xef\xbb\xbf{\"a\":1}\r\n\n  [2] \n{\"a\": tru}\n\"\xff\"\n3");
        let expected = [r#"1 {"a":1}"#, "3 [2]", "4:10 malformed JSON: expected ident", "5:2 it is not UTF-8", "6 3"];
        assert_eq!(rows, expected);
    }

    #[test]
    fn csv_is_typed_by_all_its_values_and_bad_rows_have_their_line() {
        let rows = read("x.csv", b"n,s,\"f,\"\n1,a,1\n2,\"b\nc\",2.5\n3,x\n4,NA,NA\n");
        let expected = [
            r#"2 {"n":1,"s":"a","f,":1.0}"#,
            r#"3 {"n":2,"s":"b\nc","f,":2.5}"#,
            "5:1 the row has 2 fields and the header has 3",
            r#"6 {"n":4,"s":null,"f,":null}"#,
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn lines_are_counted_as_an_editor_does() {
        let unix = b"\n\na,b\n1,2\n\n\n3\n\"x\ny\"\n4,5\n";
        let dos = unix.iter().flat_map(|b| if *b == b'\n' { &b"\r\n"[..] } else { std::slice::from_ref(b) });
        let dos: Vec<u8> = b"\xef\xbb\xbf".iter().chain(dos).copied().collect();
        let whys: Vec<_> = [read("x.csv", unix), read("x.csv", &dos)]
            .map(|rows| rows.iter().map(|row| row.split([' ', ':']).next().unwrap().to_owned()).collect::<Vec<_>>())
            .into();
        assert_eq!(whys[0], ["4", "7", "8", "10"]);
        assert_eq!(whys[1], whys[0], "carriage returns make no difference");
    }

    #[test]
    fn zst_is_decompressed() {
        let bytes = zstd::encode_all(&b"{}\n{}\n"[..], 1).unwrap();
        assert_eq!(read("x.jsonl.zst", &bytes), ["1 {}", "2 {}"]);
    }

    #[test]
    fn formats_by_extension() {
        assert_eq!(Format::of(Path::new("a/b.CSV.zst")), Some(Format::Csv));
        assert_eq!(Format::of(Path::new("b.ndjson")), Some(Format::Jsonl));
        assert_eq!(Format::of(Path::new("b.parquet")), None);
        assert_eq!(Format::of(Path::new("csv")), None);
    }
}
