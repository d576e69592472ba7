//! Repairing a partition that is damaged and that nobody else has a copy of: everything that is intact is kept, what is
//! lost is written down, and the partition takes records again.
//!
//! ```text
//!   survey ──▶ rewritten segments, synced ──▶ loss report ──▶ checkpoint, synced ──▶ originals into quarantine/
//!              <base>.<generation + 1>.log    quarantine/…json   Segments, Durable     a rename each
//! ```
//! A crash before the checkpoint leaves the old state and files that the next open removes, a crash behind it the new
//! one. (The originals that were not set aside by then are removed by the next open; all that was intact in them is in
//! the new files.) Where the checkpoint is damaged and counts for nothing, a rewritten segment takes the place of its
//! original by its footer, as soon as that is whole.
//!
//! Invariants.
//! - Every intact batch is kept, with its offsets, bytes and place.
//! - No offset is given again: a segment ends where it ended, with an empty batch there if its last one is lost, and the
//!   log goes on at the durable point or behind it.
//! - Nothing that was durable is removed. Damaged files are set aside; footers and snapshots, which are derived, are made
//!   again or left to be.
//!
//! Left out: asking whether the loss is acceptable (the caller does), and getting records back from elsewhere.

use super::checkpoint::{Change, Checkpoint, DurablePoint, SealedSegment};
use super::compaction::output::{Inherited, Output};
use super::compaction::{generation_above, is_compacted};
use super::data_dir::DataDir;
use super::doctor::Examiner;
use super::footer::Footer;
use super::recovery::{Known, Trust};
use super::salvage::Loss;
use super::segment::{Segment, parse_name};
use super::state::State;
use super::survey::{FooterFound, Survey, Surveyed};
use super::{snapshot, write_error};
use crate::env::OpenMode;
use crate::record::{BatchHeader, ControlRecord, empty_batch};
use crate::types::{Error, Flush, Offset, OffsetRange, PartitionIndex, Result, Timestamp, TopicId};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Records that nothing can bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The file that they were in.
    pub path: PathBuf,
    /// Their offsets. Fewer records than that if some were compacted away before; none if only bytes are lost.
    pub offsets: OffsetRange,
    /// Bytes of the file.
    pub bytes: u64,
    /// What is wrong there.
    pub why: String,
}

/// What repairing a partition would do.
#[derive(Debug)]
pub struct RepairPlan {
    topic: TopicId,
    partition: PartitionIndex,
    known: Known,
    survey: Survey,
    losses: Vec<LostRange>,
    /// Snapshots that are damaged.
    snapshots: Vec<PathBuf>,
}

impl RepairPlan {
    /// Of which topic; [`METADATA`](super::METADATA) is the metadata log.
    pub fn topic(&self) -> TopicId {
        self.topic
    }

    /// Of which partition.
    pub fn partition(&self) -> PartitionIndex {
        self.partition
    }

    /// What would be lost, in order of offsets.
    pub fn losses(&self) -> &[LostRange] {
        &self.losses
    }

    /// Whether segments have to be written anew. What is only derived is made again without.
    pub fn is_damaged(&self) -> bool {
        self.survey.is_damaged()
    }

    /// Footers and snapshots that are damaged or missing.
    pub fn derived(&self) -> Vec<PathBuf> {
        let footers = self.survey.segments.iter().filter(|segment| self.lacks_footer(segment));
        footers.map(|segment| segment.segment.footer_path()).chain(self.snapshots.iter().cloned()).collect()
    }

    /// The offset that the next record gets.
    pub fn next_offset(&self) -> Offset {
        self.survey.end
    }

    fn lacks_footer(&self, segment: &Surveyed) -> bool {
        let is_sealed = segment.listed.is_some() || segment.segment.generation > 0;
        let damaged = matches!(segment.footer, FooterFound::Damaged(_));
        damaged || (is_sealed && segment.on_disk.is_some() && matches!(segment.footer, FooterFound::Missing))
    }
}

impl Examiner {
    /// What repairing a partition would do. `flush` is the topic's policy. Reads all of the partition.
    pub fn plan(&self, topic: TopicId, partition: PartitionIndex, flush: Flush) -> Result<RepairPlan> {
        let known = self.known(topic, partition);
        let mut survey = self.survey(topic, partition, flush, &mut |_| ())?;
        let dir = self.dir.partition_dir(topic, partition);
        // Even a damaged checkpoint knows of offsets that were given.
        let given = known.state.durable.map_or(0, |point| point.offset);
        if survey.end < given {
            survey.lost_end = Some(OffsetRange::new(survey.lost_end.map_or(survey.end, |lost| lost.start), given));
            survey.end = given;
        }
        let lost = |path: &Path, loss: &Loss| {
            let Loss { offsets, bytes, why, .. } = loss;
            LostRange { path: path.to_owned(), offsets: *offsets, bytes: *bytes, why: why.clone() }
        };
        let segments = survey.segments.iter();
        let mut losses: Vec<_> =
            segments.flat_map(|segment| segment.losses.iter().map(|loss| lost(&segment.segment.path, loss))).collect();
        losses.extend(survey.lost_end.map(|offsets| LostRange {
            path: dir.clone(),
            offsets,
            bytes: 0,
            why: "the log ends before them".into(),
        }));
        let snapshots = snapshot::check(self.dir.disk(), &dir)?;
        let snapshots = snapshots.into_iter().filter(|(_, _, wrong)| wrong.is_some()).map(|(path, ..)| path).collect();
        Ok(RepairPlan { topic, partition, known, survey, losses, snapshots })
    }

    /// Opens the checkpoint for repairs.
    pub fn into_repairer(self) -> Result<Repairer> {
        let (checkpoint, report) = self.dir.checkpoint()?;
        Ok(Repairer { dir: self.dir, checkpoint, was_clean: report.clean })
    }
}

/// A data directory that is being repaired.
#[derive(Debug)]
pub struct Repairer {
    dir: DataDir,
    checkpoint: Checkpoint,
    was_clean: bool,
}

impl Repairer {
    /// Carries out a plan that was made of this directory; everything is durable when it returns. `report` is left as a
    /// file in `quarantine/` if anything is rewritten. Returns the files that were set aside.
    ///
    /// On an error the partition is as it was, or repaired. [`Error::DiskFull`] and [`Error::Io`].
    pub fn repair(&mut self, plan: &RepairPlan, report: &[u8]) -> Result<Vec<PathBuf>> {
        let disk = self.dir.disk().clone();
        for path in &plan.snapshots {
            disk.remove_file(path).map_err(|e| Error::io("remove", path, e))?;
        }
        let dir = self.dir.partition_dir(plan.topic, plan.partition);
        if !plan.is_damaged() {
            return self.make_footers(plan).map(|()| Vec::new());
        }
        disk.create_dir_all(&dir).map_err(|e| write_error("create", &dir, 0, e))?;
        let sealed = self.rewrite(plan, &dir)?;
        self.write_report(plan, report)?;
        self.record(plan, sealed)?;
        self.set_aside(plan, &dir)
    }

    /// Leaves the directory as it was found: closed in order, or not.
    pub fn close(mut self) -> Result<()> {
        if self.was_clean { self.checkpoint.close() } else { self.checkpoint.sync() }
    }

    /// Makes footers again that are damaged or missing.
    fn make_footers(&self, plan: &RepairPlan) -> Result<()> {
        let mut state = State::default();
        for segment in &plan.survey.segments {
            let footer = replay(segment, &mut state, |_, _| Ok(()))?;
            if plan.lacks_footer(segment) {
                self.write_footer(&segment.segment, footer)?;
            }
        }
        Ok(())
    }

    fn write_footer(&self, segment: &Arc<Segment>, footer: Footer) -> Result<()> {
        segment.set_footer(footer);
        let (path, file) = segment.write_footer()?;
        file.sync_data().map_err(|e| Error::io("sync", path, e))?;
        let dir = segment.path.parent().unwrap_or(Path::new(""));
        self.dir.disk().sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
    }

    /// Writes what is intact of the damaged segments; the sealed segments of the repaired log.
    fn rewrite(&self, plan: &RepairPlan, dir: &Path) -> Result<Vec<SealedSegment>> {
        let survey = &plan.survey;
        let (mut state, mut sealed) = (State::default(), Vec::new());
        for (number, segment) in survey.segments.iter().enumerate() {
            let is_last = number + 1 == survey.segments.len();
            if segment.damages.is_empty() && !(is_last && must_reach_end(survey)) {
                let footer = replay(segment, &mut state, |_, _| Ok(()))?;
                let may_be_active = is_last && segment.listed.is_none() && segment.segment.generation == 0;
                if may_be_active {
                    continue;
                }
                let known = &segment.segment;
                if segment.listed.is_none() {
                    let file = known.file()?;
                    file.sync_data().map_err(|e| Error::io("sync", &known.path, e))?;
                }
                if !matches!(segment.footer, FooterFound::Valid(_)) {
                    self.write_footer(known, footer)?;
                }
                let (base, generation, bytes) = (known.base, known.generation, segment.on_disk.unwrap_or_default());
                sealed.push(SealedSegment { base, generation, bytes, next_offset: segment.next_offset });
                continue;
            }
            let next_offset = if is_last && must_reach_end(survey) { survey.end } else { segment.next_offset };
            sealed.extend(self.rewrite_one(plan, dir, segment, next_offset, &mut state)?);
        }
        // The segment that is missing at the end, if the one before is whole and sealed.
        if let Some(lost) = survey.lost_end.filter(|_| !must_reach_end(survey)) {
            let missing = Arc::new(Segment::new(&self.dir.resources().files, dir, lost.start, 0, 0));
            let missing = Surveyed {
                segment: missing,
                listed: None,
                on_disk: None,
                footer: FooterFound::Missing,
                next_offset: lost.end,
                runs: Vec::new(),
                damages: Vec::new(),
                losses: Vec::new(),
            };
            sealed.extend(self.rewrite_one(plan, dir, &missing, lost.end, &mut state)?);
        }
        Ok(sealed)
    }

    fn rewrite_one(
        &self,
        plan: &RepairPlan,
        dir: &Path,
        segment: &Surveyed,
        next_offset: Offset,
        state: &mut State,
    ) -> Result<Option<SealedSegment>> {
        let base = segment.segment.base;
        if next_offset <= base {
            return Ok(None);
        }
        let generation = self.free_generation(plan, segment)?;
        let mut output = Output::new(self.dir.disk(), dir, base, generation, None);
        let footer = replay(segment, state, |header, batch| output.push_changed(header, batch))?;
        let epoch = state.epochs.latest().unwrap_or(0);
        if footer.next_offset < next_offset || footer.log_bytes == 0 {
            let at = footer.index.max_timestamp().unwrap_or_default();
            let filler = empty_batch(next_offset, epoch, at);
            let header = BatchHeader::parse(&filler)?.expect("it is a whole batch");
            output.push_changed(&header, &filler)?;
        }
        let Footer { epochs, aborted, first_append, last_append, .. } = footer;
        let written = output.finish(Inherited { next_offset, first_append, last_append, epochs, aborted })?;
        let bytes = written.expect("it was written anew").log_bytes;
        Ok(Some(SealedSegment { base, generation, bytes, next_offset }))
    }

    /// Above all that there are for the segment; it still says whether the segment was compacted.
    fn free_generation(&self, plan: &RepairPlan, segment: &Surveyed) -> Result<u32> {
        let (base, generation) = (segment.segment.base, segment.segment.generation);
        let names = plan.survey.leftovers.iter().filter_map(|path| path.file_name());
        let of_base = names.filter_map(|name| match parse_name(Path::new(name)) {
            Some((of, generation, _)) if of == base => Some(generation),
            _ => None,
        });
        let highest = of_base.chain([generation]).max().unwrap_or(0);
        generation_above(highest, is_compacted(generation)).ok_or_else(|| Error::InvalidRequest {
            why: format!("{} was rewritten too often", segment.segment.path.display()),
        })
    }

    /// Makes the checkpoint say what the repaired log is.
    fn record(&mut self, plan: &RepairPlan, sealed: Vec<SealedSegment>) -> Result<()> {
        let (topic, partition) = (plan.topic, plan.partition);
        let end_of_sealed = sealed.last().map_or(0, |last| last.next_offset);
        let mut changes = Vec::new();
        if let Some(first) = sealed.first().filter(|_| plan.known.trust == Trust::Nothing) {
            changes.push(Change::LogStart(plan.known.state.log_start_offset.max(first.base)));
        }
        changes.push(Change::Segments { from: 0, to: Offset::MAX, with: sealed });
        if end_of_sealed >= plan.survey.end {
            let (offset, segment_base) = (end_of_sealed, end_of_sealed);
            changes.push(Change::Durable(DurablePoint { offset, segment_base, position: 0, clean: false }));
        }
        let changes: Vec<_> = changes.into_iter().map(|change| (topic, partition, change)).collect();
        self.checkpoint.append(&changes)?;
        self.checkpoint.sync()
    }

    /// Moves the files that were replaced into the quarantine.
    fn set_aside(&self, plan: &RepairPlan, dir: &Path) -> Result<Vec<PathBuf>> {
        let (disk, quarantine) = (self.dir.disk(), self.quarantine()?);
        let mut aside = Vec::new();
        let last = plan.survey.segments.last().filter(|_| must_reach_end(&plan.survey));
        let replaced = plan.survey.segments.iter().filter(|segment| !segment.damages.is_empty());
        for segment in replaced.chain(last.filter(|last| last.damages.is_empty())) {
            for path in [&segment.segment.path, &segment.segment.footer_path()] {
                let name = path.file_name().map(Path::new).unwrap_or(Path::new("")).display();
                let to = quarantine.join(format!("{}-{}-{name}", plan.topic, plan.partition));
                match disk.rename(path, &to) {
                    Ok(()) => aside.push(to),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(Error::io("set aside", path, error)),
                }
            }
        }
        for dir in [&quarantine, dir] {
            disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
        }
        Ok(aside)
    }

    fn quarantine(&self) -> Result<PathBuf> {
        let (disk, path) = (self.dir.disk(), self.dir.root().join("quarantine"));
        disk.create_dir_all(&path).map_err(|e| write_error("create", &path, 0, e))?;
        disk.sync_dir(self.dir.root()).map_err(|e| Error::io("sync", self.dir.root(), e))?;
        Ok(path)
    }

    fn write_report(&self, plan: &RepairPlan, report: &[u8]) -> Result<()> {
        let (disk, quarantine) = (self.dir.disk(), self.quarantine()?);
        let name = |n: u32| quarantine.join(format!("{}-{}-repair-{n}.json", plan.topic, plan.partition));
        let path = (1..u32::MAX).map(name).find(|path| !disk.exists(path)).expect("one number is free");
        let write = || -> io::Result<()> {
            let file = disk.open(&path, OpenMode::CreateNew)?;
            file.write_at(&[IoSlice::new(report)], 0)?;
            file.sync_data()?;
            disk.sync_dir(&quarantine)
        };
        write().map_err(|e| write_error("write", &path, report.len() as u64, e))
    }
}

/// Whether the last segment has to be written anew so that the log ends where it did.
fn must_reach_end(survey: &Survey) -> bool {
    let Some(last) = survey.segments.last().filter(|last| last.listed.is_none()) else { return false };
    survey.lost_end.is_some() || !last.damages.is_empty()
}

/// Calls `each` with the intact batches of a segment, in order, and brings `state` up to date with them. The footer that
/// they lead to; when its batches were appended is taken over from the one that there was.
fn replay(
    surveyed: &Surveyed,
    state: &mut State,
    mut each: impl FnMut(&BatchHeader, &[u8]) -> Result<()>,
) -> Result<Footer> {
    let segment = &surveyed.segment;
    let mut footer = Footer::new(segment.base, segment.generation, Timestamp(0));
    state.roll();
    for run in &surveyed.runs {
        let mut position = run.from.position;
        while position < run.to.position {
            let bytes = match &run.restored {
                Some(restored) => batch_of(&restored[(position - run.from.position) as usize..]),
                None => batch_at(segment, position, run.to.position)?,
            };
            let header = BatchHeader::parse(&bytes)?.filter(|header| header.total_bytes() == bytes.len());
            let Some(header) = header else {
                return Err(Error::Malformed { why: format!("{} has changed meanwhile", segment.path.display()) });
            };
            let control = if header.is_control { ControlRecord::parse(&bytes)? } else { None };
            state.apply(&header, control, header.max_timestamp);
            let head = bytes.first_chunk().expect("a header is longer than its head");
            footer.push(footer.log_bytes, &header, head, None);
            each(&header, &bytes)?;
            position += bytes.len() as u64;
        }
    }
    footer.aborted = state.roll();
    footer.epochs = state.epochs.within(OffsetRange::new(segment.base, surveyed.next_offset)).to_vec();
    if let FooterFound::Valid(known) = &surveyed.footer {
        (footer.first_append, footer.last_append) = (known.first_append, known.last_append);
        (footer.epochs, footer.aborted) = (known.epochs.clone(), known.aborted.clone());
    }
    Ok(footer)
}

fn batch_of(bytes: &[u8]) -> Vec<u8> {
    let len = crate::record::batch_bytes(bytes).unwrap_or(0);
    bytes[..len].to_vec()
}

fn batch_at(segment: &Arc<Segment>, position: u64, end: u64) -> Result<Vec<u8>> {
    let file = segment.file()?;
    let read = |len: u64| -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len.min(end - position)).unwrap_or(usize::MAX)];
        let read = file.read_at(&mut bytes, position).map_err(|e| segment.read_error(e))?;
        bytes.truncate(read);
        Ok(bytes)
    };
    let header = BatchHeader::parse(&read(crate::record::BATCH_HEADER_BYTES as u64)?)?;
    read(header.map_or(0, |header| header.total_bytes() as u64))
}
