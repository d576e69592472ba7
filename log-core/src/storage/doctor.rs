//! Looking at a closed data directory without changing anything in it (but for the lock).
//!
//! Every byte of every file is read and judged:
//!
//! ```text
//!   format, checkpoint ──▶ which partitions there are and how far they are durable
//!   each partition     ──▶ survey: segments, footers, the torn end of an unclean stop
//!                          snapshots; files that belong to nothing
//! ```
//! What is found is a list of [`Finding`]s of three kinds: what the next open deals with by itself ([`Severity::Note`]), what
//! can be made again from the log ([`Severity::Derived`]), and what cannot ([`Severity::Damage`]). A directory that is
//! as it was written has no findings at all, or notes.
//!
//! The checkpoint is read, never opened: opening it would cut and mark it. Opening the log after this finds the same.
//!
//! Left out: which topics there are, and whether records decode; both are told by records, which is for the caller.

use super::checkpoint::Reading;
use super::data_dir::{DataDir, METADATA};
use super::recovery::Known;
use super::segment::parse_name;
use super::snapshot;
use super::survey::{FooterFound, Survey, Surveyed, survey};
use super::sync::FAILED_SYNC;
use crate::env::{Disk, OpenMode};
use crate::types::{Error, Flush, OffsetRange, PartitionIndex, Result, TopicId};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How bad a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing that was acknowledged is concerned; the next open deals with it.
    Note,
    /// What can be made again from the log.
    Derived,
    /// What was durable is not what was written.
    Damage,
}

/// Something that is not as a log that was closed in order leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Of which partition; [`METADATA`] is the metadata log. `None` for what concerns the whole directory.
    pub partition: Option<(TopicId, PartitionIndex)>,
    /// The file, or the directory in which it should be.
    pub path: PathBuf,
    /// What is wrong.
    pub what: String,
    /// The offsets that it concerns, as far as that is known.
    pub offsets: Option<OffsetRange>,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Derived => "derived",
            Self::Damage => "damage",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.severity, self.path.display(), self.what)?;
        match self.offsets.filter(|offsets| !offsets.is_empty()) {
            Some(offsets) => write!(f, "; offsets {offsets}"),
            None => Ok(()),
        }
    }
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default)]
pub struct Examined {
    /// In order of partition and offset, those of the whole directory first.
    pub findings: Vec<Finding>,
    /// How many partitions have files, the metadata log included.
    pub partitions: u64,
    /// How many segments were read.
    pub segments: u64,
    /// Bytes of segments that were read.
    pub bytes: u64,
}

impl Examined {
    /// Whether something that was durable is not what was written.
    pub fn is_damaged(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Damage)
    }
}

/// Examines the data directory at `root`: [`Examiner::examine`] as if no topic had another flush policy than durable.
pub fn examine(disk: Arc<dyn Disk>, root: &Path, progress: &mut dyn FnMut(u64)) -> Result<Vec<Finding>> {
    Ok(Examiner::open(disk, root)?.examine(|_| Flush::Durable, progress)?.findings)
}

/// A closed data directory that is looked at; it is locked for as long as this lives.
#[derive(Debug)]
pub struct Examiner {
    pub(super) dir: DataDir,
    pub(super) checkpoint: Reading,
}

impl Examiner {
    /// Takes the lock and reads the checkpoint. Errors as for [`DataDir::open`]; [`Error::UnsupportedFormat`] where
    /// there is no data.
    pub fn open(disk: Arc<dyn Disk>, root: &Path) -> Result<Self> {
        let dir = DataDir::open_unchanged(disk, root)?;
        let path = dir.checkpoint_path();
        let mut checkpoint = Reading::of(dir.disk(), &path)?;
        let report = &mut checkpoint.report;
        if report.is_new && dir.disk().exists(&dir.topics_dir()) && dir.has_data()? {
            report.damage = Some(Error::Malformed { why: format!("the checkpoint {} is missing", path.display()) });
        }
        Ok(Self { dir, checkpoint })
    }

    /// Every intact batch of the metadata log, in order.
    pub fn metadata(&self) -> Result<Vec<Bytes>> {
        let survey = self.survey(METADATA, 0, Flush::Durable, &mut |_| ())?;
        let mut batches = Vec::new();
        for Surveyed { segment, runs, .. } in &survey.segments {
            for run in runs {
                if let Some(restored) = &run.restored {
                    batches.push(Bytes::from(restored.clone()));
                    continue;
                }
                let mut bytes = vec![0; usize::try_from(run.to.position - run.from.position).unwrap_or(usize::MAX)];
                let read = segment.file()?.read_at(&mut bytes, run.from.position);
                bytes.truncate(read.map_err(|e| segment.read_error(e))?);
                batches.push(Bytes::from(bytes));
            }
        }
        Ok(batches)
    }

    /// The partitions that have files or that the checkpoint knows, in order, the metadata log first.
    pub fn partitions(&self) -> Result<Vec<(TopicId, PartitionIndex)>> {
        let mut partitions: BTreeSet<_> = self.checkpoint.partitions().collect();
        partitions.insert((METADATA, 0));
        let dir = self.dir.topics_dir();
        for topic in list(self.dir.disk(), &dir)? {
            let Some(id) = topic.to_str().and_then(|id| uuid::Uuid::try_parse(id).ok()) else { continue };
            let indexes = list(self.dir.disk(), &dir.join(&topic))?;
            let indexes = indexes.iter().filter_map(|index| index.to_str()?.parse().ok());
            partitions.extend(indexes.map(|index| (TopicId(id), index)));
        }
        Ok(partitions.into_iter().collect())
    }

    /// Reads everything. `flush` tells the policy of a topic, which bounds what an unclean stop may leave. `progress` is
    /// called with the bytes that were read since the last call. [`Error::Io`] if a directory cannot be listed; files
    /// that cannot be read are findings.
    pub fn examine(&self, flush: impl Fn(TopicId) -> Flush, progress: &mut dyn FnMut(u64)) -> Result<Examined> {
        let mut examined = Examined { findings: self.of_directory()?, ..Examined::default() };
        for (topic, partition) in self.partitions()? {
            let survey = self.survey(topic, partition, flush(topic), progress)?;
            let dir = self.dir.partition_dir(topic, partition);
            examined.partitions += u64::from(!survey.segments.is_empty());
            let present = survey.segments.iter().filter_map(|segment| segment.on_disk);
            examined.segments += present.clone().count() as u64;
            examined.bytes += present.sum::<u64>();
            let mut of_partition = Report { partition: (topic, partition), findings: Vec::new() };
            of_partition.survey(&survey, &dir);
            of_partition.derived(&survey, self.dir.disk(), &dir)?;
            let key = |finding: &Finding| (finding.offsets.map(|offsets| offsets.start), finding.path.clone());
            of_partition.findings.sort_by_key(key);
            examined.findings.append(&mut of_partition.findings);
        }
        Ok(examined)
    }

    /// What the checkpoint says of a partition, and how far that can be relied on.
    pub(super) fn known(&self, topic: TopicId, partition: PartitionIndex) -> Known {
        Known::with(self.checkpoint.state(topic, partition), &self.checkpoint.report)
    }

    pub(super) fn survey(
        &self,
        topic: TopicId,
        partition: PartitionIndex,
        flush: Flush,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Survey> {
        let dir = self.dir.partition_dir(topic, partition);
        survey(self.dir.resources(), &dir, &self.known(topic, partition), flush, progress)
    }

    fn of_directory(&self) -> Result<Vec<Finding>> {
        let (root, path) = (self.dir.root(), self.dir.checkpoint_path());
        let finding = |severity, path: &Path, what| Finding {
            severity,
            partition: None,
            path: path.to_owned(),
            what,
            offsets: None,
        };
        let mut findings = Vec::new();
        let report = &self.checkpoint.report;
        if let Some(damage) = &report.damage {
            let what = format!("{damage}; how far each partition was durable is not known");
            findings.push(finding(Severity::Damage, &path, what));
        }
        if let Some(bytes) = report.torn_tail {
            findings.push(finding(Severity::Note, &path, format!("{bytes} bytes at its end are unfinished")));
        }
        if !report.clean && report.damage.is_none() && !report.is_new {
            findings.push(finding(Severity::Note, &path, "the log was not closed in order".into()));
        }
        for name in list(self.dir.disk(), root)?.iter().filter(|name| name.extension().is_some_and(|e| e == "new")) {
            findings.push(finding(Severity::Note, &root.join(name), "it was being written".into()));
        }
        Ok(findings)
    }
}

/// The findings of one partition.
struct Report {
    partition: (TopicId, PartitionIndex),
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, severity: Severity, path: &Path, what: impl Into<String>, offsets: Option<OffsetRange>) {
        let (path, what) = (path.to_owned(), what.into());
        self.findings.push(Finding { severity, partition: Some(self.partition), path, what, offsets });
    }

    fn survey(&mut self, survey: &Survey, dir: &Path) {
        let last = survey.segments.len().saturating_sub(1);
        for (number, segment) in survey.segments.iter().enumerate() {
            let path = &segment.segment.path;
            for damage in &segment.damages {
                let offsets = OffsetRange::new(damage.from.offset, damage.to.offset);
                let what = match segment.on_disk {
                    Some(_) => format!("byte {}: {}", damage.from.position, damage.why),
                    None => damage.why.clone(),
                };
                self.add(Severity::Damage, path, what, Some(offsets));
            }
            let footer = segment.segment.footer_path();
            let is_sealed = segment.listed.is_some() || number < last || segment.segment.generation > 0;
            match &segment.footer {
                FooterFound::Damaged(why) => self.add(Severity::Derived, &footer, why.clone(), None),
                FooterFound::Missing if is_sealed && segment.on_disk.is_some() => {
                    self.add(Severity::Derived, &footer, "the footer of a sealed segment is missing", None);
                }
                _ => {}
            }
        }
        if let Some(lost) = survey.lost_end {
            let what = format!("the log ends at offset {} and was durable to offset {}", lost.start, lost.end);
            self.add(Severity::Damage, dir, what, Some(lost));
        }
        if let Some(torn) = &survey.torn {
            let (bytes, position, why) = (torn.bytes, torn.position, &torn.why);
            let what = format!(
                "{bytes} bytes from byte {position} on were never acknowledged and are not whole; the next open cuts \
                 them off ({why})"
            );
            self.add(Severity::Note, &torn.path, what, None);
        }
        for path in &survey.leftovers {
            self.add(Severity::Note, path, "it is left from a change that was interrupted", None);
        }
    }

    /// Snapshots, and what belongs to nothing.
    fn derived(&mut self, survey: &Survey, disk: &Arc<dyn Disk>, dir: &Path) -> Result<()> {
        let mut known: BTreeSet<PathBuf> = survey.leftovers.iter().cloned().collect();
        for segment in &survey.segments {
            known.extend([segment.segment.path.clone(), segment.segment.footer_path()]);
        }
        known.extend(survey.torn.iter().map(|torn| torn.path.clone()));
        for (path, offset, wrong) in snapshot::check(disk, dir)? {
            if let Some(error) = wrong {
                self.add(Severity::Derived, &path, error.to_string(), None);
            } else if offset > survey.end {
                self.add(Severity::Note, &path, format!("it is of offset {offset}, and the log ends before"), None);
            }
            known.insert(path);
        }
        let behind = survey.torn.as_ref().map(|torn| torn.offset);
        for path in list(disk, dir)?.into_iter().map(|name| dir.join(name)).filter(|path| !known.contains(path)) {
            let name = path.file_name().map(Path::new).and_then(parse_name);
            // Segments behind a torn tail go with it.
            if name.is_some_and(|(base, ..)| behind.is_some_and(|behind| base >= behind)) {
                continue;
            }
            let what = match name {
                _ if path.ends_with(FAILED_SYNC) => {
                    "a sync of the log has failed; the next open writes again what may be in memory only"
                }
                Some((_, _, "idx")) => "it is the footer of no segment",
                _ => "it does not belong to the log",
            };
            self.add(Severity::Note, &path, what, None);
        }
        Ok(())
    }
}

/// The names in a directory; none if it is not there.
fn list(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Vec<PathBuf>> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        // A file where a directory should be.
        Err(_) if disk.open(dir, OpenMode::Read).is_ok_and(|file| file.len().is_ok()) => Ok(Vec::new()),
        other => other.map_err(|e| Error::io("list", dir, e)),
    }
}
