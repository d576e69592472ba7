//! Whole passes over files of a simulated disk, against what the definition says should stay.

use super::super::footer::Footer;
use super::super::index::Index;
use super::super::transactions::AbortedTransaction;
use super::super::verify::verify_segment;
use super::*;
use crate::env::{Disk, OpenMode, SimDisk};
use crate::record::{
    Batch, BatchBuilder, Compression, ControlKind, ControlRecord, ProducerStamp, Record, batches, records_from,
    stamp_offset,
};
use crate::types::{Error, Offset, Timestamp};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "/p";
const NOW: Timestamp = Timestamp(1_000_000);
const DELAY: Duration = Duration::from_secs(60);

/// What is done to a log before it is compacted.
#[derive(Clone, Debug)]
enum Op {
    /// Key and value of each record; without a value it is a tombstone.
    Batch {
        producer: Option<i64>,
        transactional: bool,
        codec: Compression,
        records: Vec<(u8, Option<u8>)>,
    },
    End {
        producer: i64,
        commits: bool,
    },
    Roll,
}

fn op() -> impl Strategy<Value = Op> {
    let records = prop::collection::vec((0..6_u8, prop::option::weighted(0.8, 0..100_u8)), 1..6);
    let codec = prop::sample::select(&[Compression::None, Compression::None, Compression::Lz4][..]);
    prop_oneof![
        6 => (prop::option::of(0..3_i64), any::<bool>(), codec, records).prop_map(
            |(producer, transactional, codec, records)| Op::Batch { producer, transactional, codec, records }
        ),
        2 => (0..3_i64, any::<bool>()).prop_map(|(producer, commits)| Op::End { producer, commits }),
        2 => Just(Op::Roll),
    ]
}

/// A record as its readers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    offset: Offset,
    key: Bytes,
    value: Option<Bytes>,
    timestamp: Timestamp,
    producer: Option<i64>,
}

/// A log of sealed segments and an active one, made batch by batch.
struct Made {
    disk: Arc<dyn Disk>,
    sources: Vec<Source>,
    /// The segment that is appended to.
    open: Vec<Bytes>,
    open_aborted: Vec<AbortedTransaction>,
    end: Offset,
    /// By producer: the first offset of its open transaction.
    ongoing: BTreeMap<i64, Offset>,
    aborted: Vec<AbortedTransaction>,
    last_of_producers: HashMap<i64, Offset>,
    cleaned_to: Option<Offset>,
    next_horizon: Option<Timestamp>,
}

impl Made {
    fn new() -> Self {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::default());
        disk.create_dir_all(Path::new(DIR)).unwrap();
        Self {
            disk,
            sources: Vec::new(),
            open: Vec::new(),
            open_aborted: Vec::new(),
            end: 0,
            ongoing: BTreeMap::new(),
            aborted: Vec::new(),
            last_of_producers: HashMap::new(),
            cleaned_to: None,
            next_horizon: None,
        }
    }

    fn of(ops: &[Op]) -> Self {
        let mut made = Self::new();
        ops.iter().for_each(|op| made.apply(op));
        made
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Batch { producer, transactional, codec, records } => {
                let mut builder = BatchBuilder::new(*codec);
                if let Some(producer_id) = *producer {
                    let sequence = self.end as i32;
                    builder = builder.stamp(ProducerStamp { producer_id, producer_epoch: 0, base_sequence: sequence });
                    if *transactional || self.ongoing.contains_key(&producer_id) {
                        self.ongoing.entry(producer_id).or_insert(self.end);
                        builder = builder.transactional();
                    }
                }
                for (i, (key, value)) in (0..).zip(records) {
                    let value = value.map(|value| Bytes::from(vec![value; 1 + usize::from(value) % 40]));
                    let timestamp = Timestamp(self.end * 10 + i);
                    let key = Some(Bytes::from(vec![*key]));
                    builder.push(&Record { key, value, timestamp, headers: Vec::new() });
                }
                self.append(builder.finish());
                if let Some(producer) = producer {
                    self.last_of_producers.insert(*producer, self.end - 1);
                }
            }
            Op::End { producer, commits } => {
                let Some(first_offset) = self.ongoing.remove(producer) else { return };
                let (kind, last_offset) = match commits {
                    true => (ControlKind::Commit, self.end),
                    false => (ControlKind::Abort, self.end),
                };
                if !commits {
                    let last_stable_offset = self.stable_to();
                    let transaction =
                        AbortedTransaction { producer_id: *producer, first_offset, last_offset, last_stable_offset };
                    self.aborted.push(transaction);
                    self.open_aborted.push(transaction);
                }
                self.append(ControlRecord { kind, coordinator_epoch: 0 }.to_batch(*producer, 0, Timestamp(self.end)));
            }
            Op::Roll => self.roll(),
        }
    }

    fn append(&mut self, batch: Bytes) {
        let mut batch = batch.to_vec();
        stamp_offset(&mut batch, self.end, 0);
        let batch = batches(batch.into()).next().unwrap().unwrap();
        self.end = batch.header.next_offset();
        self.open.push(batch.bytes);
    }

    fn roll(&mut self) {
        let base = self.sources.last().map_or(0, |last| last.footer.next_offset);
        if self.end == base {
            return;
        }
        let mut index = Index::new(base);
        let mut log_bytes = 0;
        for batch in self.open.iter().flat_map(|bytes| batches(bytes.clone())).map(Result::unwrap) {
            index.push(log_bytes, &batch.header, batch.bytes.first_chunk().unwrap());
            log_bytes += batch.bytes.len() as u64;
        }
        let path = Path::new(DIR).join(format!("{base:020}.log"));
        let file = self.disk.open(&path, OpenMode::CreateNew).unwrap();
        let parts: Vec<_> = self.open.iter().map(|batch| IoSlice::new(batch)).collect();
        file.write_at(&parts, 0).unwrap();
        let footer = Footer {
            index,
            generation: 0,
            next_offset: self.end,
            log_bytes,
            first_append: Timestamp(base),
            last_append: Timestamp(self.end),
            epochs: vec![(0, 0)],
            aborted: std::mem::take(&mut self.open_aborted),
        };
        self.open.clear();
        self.sources.push(Source { path, footer });
    }

    fn stable_to(&self) -> Offset {
        self.ongoing.values().copied().min().unwrap_or(self.end)
    }

    fn request(&self, now: Timestamp) -> Request {
        Request {
            sources: self.sources.clone(),
            later_aborted: self.open_aborted.clone(),
            last_of_producers: self.last_of_producers.clone(),
            cleaned_to: self.cleaned_to,
            stable_to: self.stable_to(),
            next_horizon: self.next_horizon,
            now,
        }
    }

    /// Compacts as the log does; how many segments were written, and none if there was nothing to do.
    fn compact(
        &mut self,
        settings: CompactionSettings,
        now: Timestamp,
        step_bytes: u64,
    ) -> Result<Option<usize>, Error> {
        let Some(mut pass) = Pass::begin(&self.disk, Path::new(DIR), settings, self.request(now)) else {
            return Ok(None);
        };
        let mut written = 0;
        loop {
            match pass.step(step_bytes)? {
                Step::More => {}
                Step::Replace(Replacement { replaced, footer }) => {
                    written += 1;
                    let at = self.sources.iter().position(|s| s.footer.base_offset() == replaced[0].0).unwrap();
                    let old = self.sources.splice(at..at + replaced.len(), [self.source(footer)]);
                    let old: Vec<_> = old.map(|old| (old.footer.base_offset(), old.footer.generation)).collect();
                    assert_eq!(old, replaced);
                }
                Step::Done(report) => {
                    self.cleaned_to = Some(report.cleaned_to);
                    self.next_horizon = report.next_horizon;
                    return Ok(Some(written));
                }
            }
        }
    }

    fn source(&self, footer: Footer) -> Source {
        let path = Path::new(DIR).join(format!("{:020}.{}.log", footer.base_offset(), footer.generation));
        let bytes = self.read(&path.with_extension("idx"));
        assert_eq!(Footer::decode(&bytes), Ok(footer.clone()), "it is in its file");
        Source { path, footer }
    }

    fn read(&self, path: &Path) -> Vec<u8> {
        let file = self.disk.open(path, OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.len().unwrap() as usize];
        assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
        bytes
    }

    /// The batches of the sealed segments, which are intact and follow one another.
    fn batches(&self) -> Vec<Batch> {
        let mut found = Vec::new();
        let mut next = 0;
        for Source { path, footer } in &self.sources {
            let file = self.disk.open(path, OpenMode::Read).unwrap();
            assert_eq!(verify_segment(file, Arc::new(footer.clone())), []);
            assert_eq!(footer.base_offset(), next);
            found.extend(batches(self.read(path).into()).map(Result::unwrap));
            next = footer.next_offset;
            assert_eq!(found.last().unwrap().header.next_offset(), next, "readers learn where to go on");
        }
        assert!(found.windows(2).all(|pair| pair[0].header.next_offset() <= pair[1].header.base_offset));
        found
    }

    fn is_aborted(&self, offset: Offset, producer: Option<i64>) -> bool {
        let of = |t: &&AbortedTransaction| {
            Some(t.producer_id) == producer && t.first_offset <= offset && offset < t.last_offset
        };
        self.aborted.iter().find(of).is_some()
    }

    /// The records of the sealed segments, aborted ones too.
    fn all_records(&self) -> Vec<Seen> {
        let of = |batch: &Batch| {
            let producer = batch.header.is_transactional.then_some(batch.header.producer_id);
            let seen = move |record: crate::record::StoredRecord| Seen {
                offset: record.offset,
                key: record.key.unwrap(),
                value: record.value,
                timestamp: record.timestamp,
                producer,
            };
            records_from(batch).unwrap().map(move |record| seen(record.unwrap())).collect::<Vec<_>>()
        };
        self.batches().iter().flat_map(of).collect()
    }

    /// Without those of aborted transactions.
    fn records(&self) -> Vec<Seen> {
        let mut records = self.all_records();
        records.retain(|seen| !self.is_aborted(seen.offset, seen.producer));
        records
    }
}

fn settings() -> CompactionSettings {
    CompactionSettings { dirty_ratio: 0.0, tombstone_delay: DELAY, segment_bytes: 600, key_bytes_max: 1 << 20 }
}

/// The last record of each key below `end`.
fn last_of_keys(records: &[Seen], end: Offset) -> Vec<Seen> {
    let below = || records.iter().filter(|seen| seen.offset < end);
    let last = |seen: &&Seen| below().all(|later| later.key != seen.key || later.offset <= seen.offset);
    below().filter(last).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn keeps_the_last_of_each_key_and_nothing_else(
        ops in prop::collection::vec(op(), 1..60),
        step_bytes in prop_oneof![Just(1_u64), Just(300), Just(u64::MAX)],
    ) {
        let mut made = Made::of(&ops);
        let before = made.records();
        let raw_before = made.batches();
        let stable_to = made.stable_to();
        let end = made.sources.iter().map(|s| s.footer.next_offset).filter(|next| *next <= stable_to).max().unwrap_or(0);

        made.compact(settings(), NOW, step_bytes).unwrap();
        let after = made.all_records();
        let (cleaned, rest): (Vec<_>, Vec<_>) = after.iter().cloned().partition(|seen| seen.offset < end);
        prop_assert_eq!(&cleaned, &last_of_keys(&before, end), "the last of each key, and nothing that was aborted");
        let not_stable = before.iter().filter(|seen| seen.offset >= end);
        let rest: Vec<_> = rest.into_iter().filter(|seen| !made.is_aborted(seen.offset, seen.producer)).collect();
        prop_assert_eq!(rest, not_stable.cloned().collect::<Vec<_>>(), "what is not stable is as it was");

        // What others rely on besides records.
        let batches = made.batches();
        for last in made.last_of_producers.values().filter(|last| **last < end) {
            prop_assert!(batches.iter().any(|batch| batch.header.last_offset() == *last), "the last batch of a producer");
        }
        for batch in &batches {
            let old = raw_before.iter().find(|old| old.header.base_offset == batch.header.base_offset).unwrap();
            prop_assert_eq!(batch.header.next_offset(), old.header.next_offset());
            prop_assert_eq!(batch.header.stamp(), old.header.stamp());
            prop_assert_eq!(batch.header.is_transactional, old.header.is_transactional);
        }

        // Cleaning again at the same moment changes nothing but the number of segments.
        for round in 0.. {
            prop_assert!(round < 10, "it comes to an end");
            made.next_horizon = Some(NOW);
            if made.compact(settings(), NOW, step_bytes).unwrap().is_none_or(|written| written == 0) {
                break;
            }
            prop_assert_eq!(&made.all_records(), &after);
        }

        // Tombstones are there for the delay, and then no more.
        made.next_horizon = Some(NOW);
        made.compact(settings(), NOW + (DELAY - Duration::from_millis(1)), step_bytes).unwrap();
        prop_assert_eq!(&made.all_records(), &after);
        made.next_horizon = Some(NOW);
        made.compact(settings(), NOW + DELAY, step_bytes).unwrap();
        let mut expected = after;
        expected.retain(|seen| seen.offset >= end || seen.value.is_some());
        prop_assert_eq!(&made.all_records(), &expected);
    }

    /// Compacted now and then while it grows, with memory for few keys: readers who know the last value of each key know
    /// the same as without.
    #[test]
    fn a_table_is_the_same_with_and_without(
        parts in prop::collection::vec(
            (prop::collection::vec(op(), 1..25), 1..5_usize, 0..100_u64, any::<bool>()), 1..6,
        ),
        dirty_ratio in 0.0..0.8_f64,
    ) {
        let (mut made, mut plain) = (Made::new(), Made::new());
        let mut now = NOW;
        for (ops, keys, seconds, restarts) in parts {
            for op in &ops {
                made.apply(op);
                plain.apply(op);
            }
            now = now + Duration::from_secs(seconds);
            let settings = CompactionSettings { dirty_ratio, key_bytes_max: keys * 65, ..settings() };
            made.compact(settings, now, 500).unwrap();
            if restarts {
                (made.cleaned_to, made.next_horizon) = (None, None);
            }
            let table = |records: Vec<Seen>| {
                let table: BTreeMap<_, _> = records.into_iter().map(|seen| (seen.key, seen.value)).collect();
                table.into_iter().filter(|(_, value)| value.is_some()).collect::<Vec<_>>()
            };
            prop_assert_eq!(table(made.records()), table(plain.records()));
            let all: HashSet<_> = plain.records().iter().map(|seen| seen.offset).collect();
            prop_assert!(made.records().iter().all(|seen| all.contains(&seen.offset)), "nothing is invented");

            // What is left of an aborted transaction is still known to be aborted.
            let known: Vec<_> = made.sources.iter().flat_map(|source| source.footer.aborted.clone()).collect();
            for seen in made.all_records().iter().filter(|seen| made.is_aborted(seen.offset, seen.producer)) {
                let covers = |t: &AbortedTransaction| {
                    Some(t.producer_id) == seen.producer && t.first_offset <= seen.offset && seen.offset < t.last_offset
                };
                prop_assert!(known.iter().any(covers) || made.open_aborted.iter().any(covers), "{:?}", seen);
            }
        }
    }
}

/// `(key, value)`, by an ordinary producer.
fn put(records: &[(u8, Option<u8>)]) -> Op {
    Op::Batch { producer: None, transactional: false, codec: Compression::None, records: records.to_vec() }
}

#[test]
fn a_marker_stays_as_long_as_its_records_and_then_for_the_delay() {
    let transaction = |records: &[(u8, Option<u8>)]| Op::Batch {
        producer: Some(1),
        transactional: true,
        codec: Compression::None,
        records: records.to_vec(),
    };
    for commits in [true, false] {
        let end = Op::End { producer: 1, commits };
        let mut made =
            Made::of(&[transaction(&[(1, Some(1))]), end, put(&[(2, Some(2))]), put(&[(1, Some(3))]), Op::Roll]);
        made.last_of_producers.clear();
        let has_marker = |made: &Made| made.batches().iter().any(|batch| batch.header.is_control);
        let mut now = NOW;
        made.compact(settings(), now, 1).unwrap();
        assert_eq!(made.all_records().len(), 2, "the transaction's record goes at once");
        assert!(has_marker(&made), "its marker had a record when the pass met it");
        for (wait, stays) in [(Duration::ZERO, true), (DELAY - Duration::from_millis(1), true), (DELAY, false)] {
            now = NOW + wait;
            made.next_horizon = Some(NOW);
            made.compact(settings(), now, 1).unwrap();
            assert_eq!(has_marker(&made), stays, "after {wait:?}");
        }
        assert!(made.sources.iter().all(|source| source.footer.aborted.is_empty()));
    }
}

#[test]
fn nothing_is_written_anew_that_is_damaged() {
    let ops = [put(&[(1, Some(1)), (2, Some(2))]), put(&[(1, Some(3))]), Op::Roll, put(&[(3, Some(1))]), Op::Roll];
    let bytes = Made::of(&ops).sources[0].footer.log_bytes;
    for at in 0..bytes {
        let mut made = Made::of(&ops);
        let path = made.sources[0].path.clone();
        let mut flipped = [made.read(&path)[at as usize] ^ 0x10];
        let file = made.disk.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_at(&[IoSlice::new(&flipped)], at).unwrap();
        let error = made.compact(settings(), NOW, 1).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path: of, .. } if *of == path), "byte {at}: {error}");
        assert_eq!(made.sources.len(), 2, "and nothing was swapped");
        flipped[0] ^= 0x10;
        file.write_at(&[IoSlice::new(&flipped)], at).unwrap();
        made.compact(settings(), NOW, 1).unwrap();
        assert_eq!(made.records().iter().map(|seen| seen.offset).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

#[test]
fn a_compacted_segment_that_stays_the_same_is_not_written() {
    let mut made = Made::of(&[put(&[(1, Some(90)), (2, Some(91))]), Op::Roll, put(&[(1, Some(92))]), Op::Roll]);
    let apart = CompactionSettings { segment_bytes: 1, ..settings() };
    assert_eq!(made.compact(apart, NOW, 1).unwrap(), Some(2), "both were never compacted");
    let first = made.sources[0].footer.clone();
    made.apply(&put(&[(3, Some(93))]));
    made.apply(&Op::Roll);
    assert_eq!(made.compact(apart, NOW, 1).unwrap(), Some(1), "only the new one");
    assert_eq!(made.sources[0].footer, first);
    made.apply(&put(&[(2, Some(94))]));
    made.apply(&Op::Roll);
    assert_eq!(made.compact(apart, NOW, 1).unwrap(), Some(2), "the one with the old record, and the new one");
    assert_eq!(made.sources[0].footer.generation, 4);
}
