//! A reader of a data directory that shares nothing with the log but `format.md`: std and a CRC-32C. It finds the
//! segments by the checkpoint, checks all that has a checksum, and tells the records.

use crc32c::crc32c;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Big-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(n);
        self.0 = rest;
        taken
    }

    /// An unsigned number of `n` bytes; those with a sign are cast.
    fn number(&mut self, n: usize) -> u64 {
        self.take(n).iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn offset(&mut self) -> i64 {
        self.number(8) as i64
    }

    /// Zigzag, seven bits a byte, the lowest first.
    fn varint(&mut self) -> i64 {
        let (mut value, mut shift) = (0_u64, 0);
        loop {
            let byte = self.number(1);
            value |= (byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return (value >> 1) as i64 ^ -((value & 1) as i64);
            }
        }
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.varint()).ok()?;
        Some(String::from_utf8(self.take(length).to_vec()).unwrap())
    }
}

/// What the checkpoint says of one partition: log start, sealed segments (base → generation, bytes, next offset), and the
/// base offset of the active segment.
#[derive(Default)]
struct State {
    start: i64,
    sealed: BTreeMap<i64, (u32, u64, i64)>,
    active: i64,
}

/// Everything in partition `partition` of topic `id`, in the words of the kept answers.
pub(super) fn read(root: &Path, id: &[u8; 16], partition: u32) -> String {
    assert_eq!(fs::read_to_string(root.join("format")).unwrap(), "tailwater 2\n");
    let state = checkpoint(&fs::read(root.join("checkpoint.log")).unwrap(), id, partition);
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let uuid = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-");
    let dir = root.join("t").join(uuid).join(partition.to_string());
    let mut out = format!("log start {}\n", state.start);
    let mut end = state.active;
    for (base, (generation, bytes, next_offset)) in &state.sealed {
        let generation = if *generation == 0 { String::new() } else { format!(".{generation}") };
        let log = fs::read(dir.join(format!("{base:020}{generation}.log"))).unwrap();
        assert_eq!(log.len() as u64, *bytes);
        footer(&fs::read(dir.join(format!("{base:020}{generation}.idx"))).unwrap(), &log);
        assert_eq!(segment(&log, state.start, &mut out), *next_offset);
        end = *next_offset;
    }
    // Segments that were begun since the checkpoint was written follow on; behind a clean close there is one at most.
    while let Ok(log) = fs::read(dir.join(format!("{end:020}.log"))) {
        if let Ok(bytes) = fs::read(dir.join(format!("{end:020}.idx"))) {
            footer(&bytes, &log);
        }
        let next = segment(&log, state.start, &mut out);
        if next == -1 || next == end {
            break;
        }
        end = next;
    }
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "snap") {
            let bytes = fs::read(&path).unwrap();
            assert_eq!(bytes[..4], *b"TWST");
            assert_eq!(Fields(&bytes[4..]).number(4), u64::from(crc32c(&bytes[8..])));
        }
    }
    writeln!(out, "end {end}").unwrap();
    out
}

fn checkpoint(bytes: &[u8], id: &[u8; 16], partition: u32) -> State {
    let mut state = State::default();
    let mut file = Fields(bytes);
    while !file.0.is_empty() {
        let header = file.take(20);
        let mut fields = Fields(&header[4..]);
        let length = fields.number(4) as usize;
        let payload = file.take(length);
        let _synced_upto = fields.number(8);
        assert_eq!(header[..4], *b"TWck");
        assert_eq!(fields.number(4), u64::from(crc32c(&[&header[..16], payload].concat())));
        let mut entries = Fields(payload);
        while !entries.0.is_empty() {
            let kind = entries.number(1);
            if kind <= 3 {
                continue;
            }
            let is_it = entries.take(16) == id;
            assert!(kind > 4, "no topic was deleted here");
            let is_it = entries.number(4) == u64::from(partition) && is_it;
            let mut next = State::default();
            match kind {
                5 => {
                    let (_flags, _offset, base, _position) =
                        (entries.number(1), entries.offset(), entries.offset(), entries.number(8));
                    next.active = base;
                }
                6 => next.start = entries.offset(),
                _ => {
                    let (from, to, count) = (entries.offset(), entries.offset(), entries.number(4));
                    if is_it {
                        state.sealed.retain(|base, _| !(from..to).contains(base));
                    }
                    for _ in 0..count {
                        let base = entries.offset();
                        let of = (entries.number(4) as u32, entries.number(8), entries.offset());
                        next.sealed.insert(base, of);
                    }
                }
            }
            if is_it {
                match kind {
                    5 => state.active = next.active,
                    6 => state.start = next.start,
                    _ => state.sealed.extend(next.sealed),
                }
            }
        }
    }
    state
}

/// Checks a footer, and with the checksums of its blocks the fields of batches that their own checksums leave out.
fn footer(bytes: &[u8], log: &[u8]) {
    let (checked, crc) = bytes.split_at(bytes.len() - 4);
    assert_eq!(Fields(crc).number(4), u64::from(crc32c(checked)));
    let mut fields = Fields(checked);
    assert_eq!((fields.take(4), fields.number(4)), (&b"TWIX"[..], 1));
    let (_base, _generation) = (fields.offset(), fields.number(4));
    let (entries, epochs, aborted) = (fields.number(4), fields.number(4), fields.number(4));
    let (_next_offset, log_bytes) = (fields.offset(), fields.number(8));
    assert_eq!(log_bytes, log.len() as u64);
    fields.take(32);
    let blocks: Vec<(usize, u64)> = (0..entries)
        .map(|_| {
            let (_delta, position, _max_timestamp) = (fields.number(4), fields.number(4), fields.number(8));
            (position as usize, fields.number(4))
        })
        .collect();
    assert_eq!(fields.0.len() as u64, epochs * 12 + aborted * 32);
    for (at, (position, headers_crc)) in blocks.iter().enumerate() {
        let end = blocks.get(at + 1).map_or(log.len(), |next| next.0);
        let (mut heads, mut position) = (Vec::new(), *position);
        while position < end {
            heads.extend_from_slice(&log[position..position + 21]);
            position += 12 + Fields(&log[position + 8..]).number(4) as usize;
        }
        assert_eq!(u64::from(crc32c(&heads)), *headers_crc);
    }
}

/// Tells the batches of a segment that end above `start`; the offset behind the last, or -1 if the segment is torn.
fn segment(log: &[u8], start: i64, out: &mut String) -> i64 {
    let (mut position, mut next_offset) = (0, -1);
    while position < log.len() {
        let rest = &log[position..];
        let length = if rest.len() < 61 { usize::MAX } else { 12 + Fields(&rest[8..]).number(4) as usize };
        if length > rest.len() {
            // The tail of a write that did not end.
            break;
        }
        let batch = &rest[..length];
        next_offset = records(batch, start, out);
        position += length;
    }
    next_offset
}

/// Tells one batch; the offset behind it.
fn records(batch: &[u8], start: i64, out: &mut String) -> i64 {
    let mut fields = Fields(batch);
    let (base, _length, epoch, magic) = (fields.offset(), fields.number(4), fields.number(4) as i32, fields.number(1));
    assert_eq!((magic, fields.number(4)), (2, u64::from(crc32c(&batch[21..]))));
    let (attributes, last_delta) = (fields.number(2), fields.number(4) as i64);
    let (base_timestamp, _max_timestamp, producer) = (fields.offset(), fields.offset(), fields.offset());
    let (_producer_epoch, _base_sequence, count) = (fields.number(2), fields.number(4), fields.number(4));
    let next_offset = base + last_delta + 1;
    if next_offset <= start {
        return next_offset;
    }
    writeln!(out, "batch [{base}, {next_offset}) epoch {epoch} producer {producer}").unwrap();
    let (is_compressed, is_control) = (attributes & 7 > 0, attributes & 32 > 0);
    assert!(!is_compressed, "none is here");
    for _ in 0..count {
        let length = fields.varint() as usize;
        let mut record = Fields(fields.take(length));
        let (_attributes, at, delta) = (record.number(1), record.varint(), record.varint());
        if is_control {
            continue;
        }
        let (timestamp, offset) = (base_timestamp + at, base + delta);
        let (key, value) = (record.text(), record.text());
        let headers: Vec<_> = (0..record.varint()).map(|_| (record.text().unwrap(), record.text())).collect();
        writeln!(out, "  {offset} at {timestamp}: {key:?} {value:?} {headers:?}").unwrap();
    }
    next_offset
}
