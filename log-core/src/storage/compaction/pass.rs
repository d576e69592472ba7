//! One compaction of one partition, in steps; the facade draws it.
//!
//! A pass reads block by block (see `index`) and checks each against the footer before it uses it, so that no damage is
//! written anew under right checksums.

use super::super::footer::Footer;
use super::super::retention::SegmentFacts;
use super::super::transactions::AbortedTransaction;
use super::clean::{Cleaned, Cleaner, Rules};
use super::keys::KeyMap;
use super::output::{Inherited, Output};
use super::plan::{CompactionSettings, Plan, generation_above, groups, is_compacted, plan};
use super::transactions::Transactions;
use crate::env::{Disk, File, OpenMode};
use crate::record::{BATCH_HEAD_BYTES, Batch, BatchHeader, batches, crc32c_append, records_from, verify_crc};
use crate::types::{Error, Offset, Result, Timestamp};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Offsets that one segment may span.
const SEGMENT_OFFSETS_MAX: i64 = i32::MAX as i64;
/// Bytes that one segment may have, whatever the topic says.
const SEGMENT_BYTES_MAX: u64 = u32::MAX as u64;

/// A sealed segment as the log has it.
#[derive(Clone, Debug)]
pub(in super::super) struct Source {
    pub(in super::super) path: PathBuf,
    pub(in super::super) footer: Footer,
}

/// What the log knows when a pass begins.
#[derive(Debug)]
pub(in super::super) struct Request {
    /// All sealed segments, in order.
    pub(in super::super) sources: Vec<Source>,
    /// Aborted transactions whose markers lie behind them.
    pub(in super::super) later_aborted: Vec<AbortedTransaction>,
    /// The last offset of each producer that is remembered, by producer id.
    pub(in super::super) last_of_producers: HashMap<i64, Offset>,
    /// Where the pass before has ended, if it is known; otherwise the generations tell what is dirty.
    pub(in super::super) cleaned_to: Option<Offset>,
    /// The lower of high watermark and last stable offset.
    pub(in super::super) stable_to: Offset,
    /// When the delete horizons that the pass before has left begin to be over, if there are any.
    pub(in super::super) next_horizon: Option<Timestamp>,
    /// The wall clock.
    pub(in super::super) now: Timestamp,
}

/// A compaction under way.
#[derive(Debug)]
pub struct Pass {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    settings: CompactionSettings,
    sources: Vec<Source>,
    cleaner: Cleaner,
    phase: Phase,
    /// The source and its block that is read next.
    source: usize,
    block: usize,
    file: Option<Arc<dyn File>>,
}

#[derive(Debug)]
enum Phase {
    /// Reads the dirty sources, `[_, end)`.
    Keys { transactions: Transactions, end: usize },
    /// Writes the first group; the others follow.
    Clean { output: Option<Output>, groups: VecDeque<Range<usize>> },
}

/// What a step has come to.
#[derive(Debug)]
pub enum Step {
    /// It is not through yet.
    More,
    /// A segment is complete and durable. It must have taken the place of the old ones, durably, before the next step.
    Replace(Replacement),
    /// The pass is over.
    Done(Report),
}

/// A segment that takes the place of one or more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// Base offset and generation of those that go, in order.
    pub(in super::super) replaced: Vec<(Offset, u32)>,
    /// The footer of the new one, which is in its file.
    pub(in super::super) footer: Footer,
}

/// What the next pass is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub(in super::super) cleaned_to: Offset,
    pub(in super::super) next_horizon: Option<Timestamp>,
}

impl Pass {
    /// A pass over the log in `dir`, if one is worth it now.
    pub(in super::super) fn begin(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        settings: CompactionSettings,
        request: Request,
    ) -> Option<Self> {
        let Request { mut sources, later_aborted, last_of_producers, stable_to, next_horizon, now, .. } = request;
        let facts: Vec<_> = sources.iter().map(|source| SegmentFacts::of(&source.footer)).collect();
        let rewritten = sources.iter().take_while(|source| is_compacted(source.footer.generation)).last();
        let known = || rewritten.map_or(0, |source| source.footer.next_offset);
        let cleaned_to = request.cleaned_to.unwrap_or_else(known);
        let Plan { dirty, end } = plan(&facts, cleaned_to, stable_to, next_horizon, settings.dirty_ratio, now)?;
        let mut aborted = later_aborted;
        aborted.extend(sources.iter().flat_map(|source| source.footer.aborted.iter().copied()));
        sources.truncate(end);
        let rules = Rules {
            keys: KeyMap::new(settings.key_bytes_max),
            covered_to: facts[end - 1].next_offset,
            now,
            tombstone_delay: settings.tombstone_delay,
            last_of_producers,
        };
        Some(Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            settings,
            sources,
            cleaner: Cleaner::new(rules, Transactions::new(aborted.clone())),
            phase: Phase::Keys { transactions: Transactions::new(aborted), end },
            source: dirty,
            block: 0,
            file: None,
        })
    }

    /// Goes on for about so many bytes of the old segments. After an error the pass is over; what it was writing is a
    /// leftover, and the log is as it was after the last replacement.
    ///
    /// [`Error::Corrupt`] if a segment is damaged; [`Error::DiskFull`]; [`Error::Io`].
    pub fn step(&mut self, max_bytes: u64) -> Result<Step> {
        let mut bytes = 0;
        while bytes < max_bytes.max(1) {
            bytes += match self.phase {
                Phase::Keys { .. } => self.step_keys()?,
                Phase::Clean { .. } => match self.step_clean()? {
                    Cleaning::Read(bytes) => bytes,
                    Cleaning::Finished(Some(replacement)) => return Ok(Step::Replace(replacement)),
                    Cleaning::Finished(None) => 0,
                    Cleaning::NothingLeft => {
                        let Cleaner { rules, next_horizon, .. } = &self.cleaner;
                        return Ok(Step::Done(Report { cleaned_to: rules.covered_to, next_horizon: *next_horizon }));
                    }
                },
            };
        }
        Ok(Step::More)
    }

    /// Takes the keys of one block; how many bytes it has.
    fn step_keys(&mut self) -> Result<u64> {
        let Phase::Keys { end, .. } = self.phase else { unreachable!("the caller looked") };
        if self.source == end {
            self.begin_cleaning(end);
            return Ok(0);
        }
        let Some((found, bytes)) = self.next_block()? else { return Ok(0) };
        let Phase::Keys { transactions, .. } = &mut self.phase else { unreachable!("as before") };
        let rules = &mut self.cleaner.rules;
        for batch in found {
            if batch.header.is_control || transactions.on_records(&batch.header) {
                continue;
            }
            for record in records_from(&batch)? {
                let record = record?;
                let Some(key) = &record.key else { continue };
                if !rules.keys.note(key, record.offset) {
                    // No more fit: the pass ends here, with whole segments as far as it can.
                    rules.covered_to = batch.header.base_offset;
                    let covered = |source: &Source| source.footer.next_offset <= rules.covered_to;
                    let whole = self.sources.partition_point(covered);
                    self.begin_cleaning(whole.max(self.source + 1).min(end));
                    return Ok(bytes);
                }
            }
        }
        Ok(bytes)
    }

    fn begin_cleaning(&mut self, end: usize) {
        self.sources.truncate(end);
        let facts: Vec<_> = self.sources.iter().map(|source| SegmentFacts::of(&source.footer)).collect();
        let bytes_max = self.settings.segment_bytes.min(SEGMENT_BYTES_MAX);
        let groups = groups(&facts, bytes_max, SEGMENT_OFFSETS_MAX).into();
        self.phase = Phase::Clean { output: None, groups };
        (self.source, self.block, self.file) = (0, 0, None);
    }

    /// Cleans one block, or finishes a segment.
    fn step_clean(&mut self) -> Result<Cleaning> {
        let Phase::Clean { output, groups } = &mut self.phase else { unreachable!("the caller looked") };
        let Some(group) = groups.front().cloned() else { return Ok(Cleaning::NothingLeft) };
        if self.source == group.end {
            let output = output.take();
            groups.pop_front();
            return self.finish(group, output).map(Cleaning::Finished);
        }
        if output.is_none() {
            let begun = self.begin_output(&group)?;
            let Phase::Clean { output, .. } = &mut self.phase else { unreachable!("as before") };
            *output = Some(begun);
            return Ok(Cleaning::Read(0));
        }
        let Some((found, bytes)) = self.next_block()? else { return Ok(Cleaning::Read(0)) };
        let Phase::Clean { output: Some(output), .. } = &mut self.phase else { unreachable!("as before") };
        let end = self.sources[group.end - 1].footer.next_offset;
        for batch in found {
            let is_last = batch.header.next_offset() == end;
            match self.cleaner.clean(&batch, is_last)? {
                Cleaned::Same => output.push_same(&batch.header, &batch.bytes)?,
                Cleaned::Changed(bytes) => {
                    let header = BatchHeader::parse(&bytes)?.expect("a rebuilt batch has a header");
                    output.push_changed(&header, &bytes)?;
                }
                Cleaned::Gone => output.differs()?,
            }
        }
        Ok(Cleaning::Read(bytes))
    }

    fn begin_output(&mut self, group: &Range<usize>) -> Result<Output> {
        let sources = &self.sources[group.clone()];
        let generation = sources.iter().map(|source| source.footer.generation).max().unwrap_or(0);
        // One that was dirty is always written: its generation then says that it was compacted.
        let may_stay = sources.len() == 1 && is_compacted(generation);
        let same_as = may_stay.then(|| self.open(group.start)).transpose()?;
        let base = self.sources[group.start].footer.base_offset();
        let is_whole = self.sources[group.end - 1].footer.next_offset <= self.cleaner.rules.covered_to;
        let generation = generation_above(generation, is_whole)
            .ok_or_else(|| Error::InvalidRequest { why: format!("segment {base} was rewritten too often") })?;
        Ok(Output::new(&self.disk, &self.dir, base, generation, same_as))
    }

    fn finish(&mut self, group: Range<usize>, output: Option<Output>) -> Result<Option<Replacement>> {
        let sources = &self.sources[group];
        let footers = || sources.iter().map(|source| &source.footer);
        let mut epochs: Vec<_> = footers().flat_map(|footer| footer.epochs.iter().copied()).collect();
        epochs.sort_unstable();
        epochs.dedup_by_key(|(epoch, _)| *epoch);
        let (first, last) = (&sources[0].footer, &sources[sources.len() - 1].footer);
        let inherited = Inherited {
            next_offset: last.next_offset,
            first_append: first.first_append,
            last_append: footers().map(|footer| footer.last_append).max().unwrap_or(first.last_append),
            epochs,
            aborted: std::mem::take(&mut self.cleaner.aborted),
        };
        let output = output.expect("a group has a segment, and a segment a block");
        let footer = output.finish(inherited)?;
        let replaced = footers().map(|footer| (footer.base_offset(), footer.generation)).collect();
        Ok(footer.map(|footer| Replacement { replaced, footer }))
    }

    /// The batches of the next block, checked, and its bytes; `None` at the end of a source, which it moves behind.
    fn next_block(&mut self) -> Result<Option<(Vec<Batch>, u64)>> {
        let footer = &self.sources[self.source].footer;
        let Some(block) = footer.index.block(self.block, footer.log_bytes) else {
            (self.source, self.block, self.file) = (self.source + 1, 0, None);
            return Ok(None);
        };
        let file = match &self.file {
            Some(file) => file.clone(),
            None => self.open(self.source)?,
        };
        self.file = Some(file.clone());
        self.block += 1;
        let path = &self.sources[self.source].path;
        let position = block.place.position;
        let mut bytes = vec![0; (block.end_position - position) as usize];
        let read = file.read_at(&mut bytes, position).map_err(|e| Error::io("read", path, e))?;
        let corrupt = |why| Error::Corrupt { path: path.clone(), position, offset: block.place.offset, why };
        if read < bytes.len() {
            return Err(corrupt("the file ends inside of a block".to_owned()));
        }
        let found = batches(Bytes::from(bytes)).collect::<Result<Vec<_>>>().map_err(|e| corrupt(e.to_string()))?;
        let heads = found.iter().fold(0, |crc, batch| crc32c_append(crc, &batch.bytes[..BATCH_HEAD_BYTES]));
        if heads != block.headers_crc {
            return Err(corrupt("the checksum of a block's headers is wrong".to_owned()));
        }
        for batch in &found {
            verify_crc(&batch.bytes).map_err(|e| corrupt(e.to_string()))?;
        }
        Ok(Some((found, block.end_position - position)))
    }

    fn open(&self, source: usize) -> Result<Arc<dyn File>> {
        let path = &self.sources[source].path;
        self.disk.open(path, OpenMode::Read).map_err(|e| Error::io("open", path, e))
    }
}

enum Cleaning {
    Read(u64),
    Finished(Option<Replacement>),
    NothingLeft,
}
