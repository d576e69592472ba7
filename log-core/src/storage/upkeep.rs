//! Retention and compaction of one partition's log: what the log does before and after the work on files.
//!
//! ```text
//!   retention     apply_retention ──▶ Deletion: changes to the checkpoint, synced ──▶ files removed
//!   compaction    begin_compaction ──▶ step … step ──▶ Replace ──▶ replace ──▶ Deletion, as above ──▶ step … ──▶ Done
//! ```
//! Nothing here waits for the disk but for footers that are not in memory; a pass runs without the log.
//!
//! Invariants: only what is durable and stable is touched, and of that only sealed segments. The changes of a log are
//! appended to the checkpoint in the order in which the log has given them out, those of [`PartitionLog::finish_sync`]
//! included: a replacement that came before the sealing of a segment it replaces would be undone by it.

use super::compaction::Pass;
use super::compaction::{CompactionSettings, Replacement, Report, Request, Source};
use super::log::{Names, PartitionLog};
use super::retention::{Retention, SegmentFacts, age_from, log_start_after};
use super::roll::learn_transactions;
use super::segment::Segment;
use super::truncate::Deletion;
use super::{Change, SealedSegment};
use crate::mutants::{self, Mutant};
use crate::types::{Offset, OffsetRange, Result, Timestamp};
use std::sync::Arc;

/// What is remembered from one compaction to the next. After a restart the generations of segments tell the most of it.
#[derive(Debug, Default)]
pub(super) struct Compacted {
    last: Option<Report>,
    /// No pass was worth it when so much was settled.
    not_worth_at: Option<Offset>,
    /// The first segment, and from when its age counts: it is asked for often, and the same for long.
    oldest: Option<(Offset, u32, Timestamp)>,
}

impl PartitionLog {
    /// Moves the log start over segments that are older, or more, than `retention` says, by the wall clock `now`; `None`
    /// if there are none. The deletion is as that of [`PartitionLog::delete_below`].
    pub fn apply_retention(&mut self, retention: Retention, now: Timestamp) -> Result<Option<Deletion>> {
        let sealed = self.sealed_segments();
        let active_bytes = self.active.as_ref().map_or(0, |active| active.len());
        let bytes = active_bytes + sealed.iter().map(|segment| segment.len()).sum::<u64>();
        let is_small = retention.bytes.is_none_or(|max| bytes <= max);
        if is_small && retention.time.is_none() {
            return Ok(None);
        }
        let (start, settled_to) = (self.offsets().log_start_offset, self.settled_to());
        if retention.time.is_some() {
            self.date_segments(&sealed, now)?;
        }
        let Some(first) = sealed.first().map(|first| (first.base, first.generation)) else { return Ok(None) };
        if let Some((base, generation, from)) = self.compacted.oldest
            && is_small
            && first == (base, generation)
            && retention.time.is_some_and(|time| from >= now - time)
        {
            return Ok(None);
        }
        let decide = |facts: &[SegmentFacts]| log_start_after(facts, active_bytes, retention, start, settled_to, now);
        let mut facts: Vec<SegmentFacts> = Vec::with_capacity(sealed.len());
        for segment in &sealed {
            let of = segment.with_footer(SegmentFacts::of)?;
            if facts.is_empty() && of.next_offset > start {
                self.compacted.oldest = Some((of.base, segment.generation, age_from(&of)));
            }
            facts.push(of);
            // If only age counts, the first that stays ends it: the footers behind it need not be read.
            if is_small && of.next_offset > start && decide(&facts) != Some(of.next_offset) {
                break;
            }
        }
        match decide(&facts) {
            Some(offset) => self.delete_below(offset),
            None => Ok(None),
        }
    }

    /// Sees to it that records of the future do not pin segments of `sealed` of which it is not known when they were
    /// appended to: those that were found after a crash, or whose footers were lost.
    fn date_segments(&mut self, sealed: &[Arc<Segment>], now: Timestamp) -> Result<()> {
        // Perhaps for ever.
        let is_pinned = |segment: &Arc<Segment>| {
            segment.with_footer(|footer| footer.is_undated() && age_from(&SegmentFacts::of(footer)) > now)
        };
        let mut undated = self.undated_from.take().map(|from| sealed.partition_point(|segment| segment.base < from));
        let seen = self.compacted.oldest.map(|(base, generation, _)| (base, generation));
        if let Some(oldest) = sealed.first().filter(|oldest| seen != Some((oldest.base, oldest.generation)))
            && is_pinned(oldest)?
        {
            // Whatever made it lose its footer may have happened to others.
            undated = Some(0);
        }
        for number in undated.unwrap_or(sealed.len())..sealed.len() {
            if !is_pinned(&sealed[number])? {
                continue;
            }
            for segment in sealed {
                // It is not the records that are of the future: the clock was set back. Nothing is to be dated by it.
                if segment.with_footer(|footer| !footer.is_undated() && footer.last_append > now)? {
                    self.undated_from = Some(sealed[number].base);
                    return Ok(());
                }
            }
            if let Err(error) = self.date_segment(&sealed[..=number], now) {
                tracing::warn!(partition = %self.config.partition, %error, "the age of a segment begins anew");
            }
        }
        Ok(())
    }

    /// Notes that the last of `segments` was appended to before `now`, and writes it down: otherwise its age would count
    /// from each open.
    fn date_segment(&mut self, segments: &[Arc<Segment>], now: Timestamp) -> Result<()> {
        let Some(segment) = segments.last() else { return Ok(()) };
        let mut footer = segment.with_footer(Clone::clone)?;
        footer.date(now);
        segment.set_footer(footer);
        if !segment.knows_transactions()? {
            learn_transactions(segments)?;
        }
        self.load_state()?;
        let mut footer = segment.with_footer(Clone::clone)?;
        let is_whole = segment.incomplete(&footer).is_none() && segment.knows_transactions()?;
        if self.refusal.is_some() || !is_whole {
            return Ok(());
        }
        footer.date(now);
        if let Some(state) = self.state.as_ref().filter(|_| footer.epochs.is_empty()) {
            footer.epochs = state.epochs.within(OffsetRange::new(segment.base, footer.next_offset)).to_vec();
        }
        segment.replace_footer(footer)?;
        self.names = self.names.max(Names::OfSegments);
        Ok(())
    }

    /// A compaction, if one is worth it now by the wall clock. Run its steps without the log.
    pub fn begin_compaction(&mut self, settings: CompactionSettings, now: Timestamp) -> Result<Option<Pass>> {
        if self.refusal.is_some() {
            return Ok(None);
        }
        let last = self.compacted.last;
        let stable =
            if mutants::active(Mutant::CompactUnstable) { Offset::MAX } else { self.offsets().last_stable_offset };
        let stable_to = self.settled_to().min(stable);
        // Without a look into any file: a segment ends where the next begins.
        let settled = self.shared.segments().iter().map(|segment| segment.base).filter(|base| *base <= stable_to).max();
        let is_due = last.and_then(|last| last.next_horizon).is_some_and(|horizon| horizon <= now);
        if settled.is_none() || (settled == self.compacted.not_worth_at && !is_due) {
            return Ok(None);
        }
        let source = |segment: &Arc<Segment>| {
            let footer = segment.with_footer(Clone::clone)?;
            if let Some(damage) = segment.incomplete(&footer) {
                return Err(damage);
            }
            Ok(Source { path: segment.path.clone(), footer })
        };
        let sources = self.sealed_segments().iter().map(source).collect::<Result<Vec<_>>>()?;
        if sources.is_empty() {
            return Ok(None);
        }
        let later_aborted = match &self.active {
            Some(active) => active.with_footer(|footer| footer.aborted.clone())?,
            None => Vec::new(),
        };
        let producers = self.producers()?;
        let request = Request {
            sources,
            later_aborted,
            last_of_producers: producers.into_iter().map(|(last, offset)| (last.producer_id, offset)).collect(),
            cleaned_to: last.map(|last| last.cleaned_to),
            stable_to,
            next_horizon: last.and_then(|last| last.next_horizon),
            now,
        };
        let pass = Pass::begin(self.resources.disk(), &self.dir, settings, request);
        self.compacted.not_worth_at = if pass.is_none() { settled } else { None };
        Ok(pass)
    }

    /// Takes in a segment that a compaction has written. If those that it replaces are still there they are the
    /// deletion's, and readers see the new one from here on. Otherwise, because they were deleted or the log was
    /// truncated meanwhile, the new one is the deletion's; the compaction is then of no use any more.
    pub fn replace(&mut self, replacement: Replacement) -> Deletion {
        let Replacement { replaced, footer } = replacement;
        let (base, next_offset) = (footer.base_offset(), footer.next_offset);
        let segment =
            Arc::new(Segment::new(&self.resources.files, &self.dir, base, footer.generation, footer.log_bytes));
        let (generation, bytes) = (footer.generation, footer.log_bytes);
        segment.set_footer(footer);
        segment.seal();
        let sealed = self.sealed_segments();
        let first = sealed.partition_point(|segment| segment.base < base);
        let old = sealed.get(first..first + replaced.len()).unwrap_or_default();
        let is_there = old.iter().map(|segment| (segment.base, segment.generation)).eq(replaced.iter().copied());
        if old.is_empty() || !is_there || next_offset > self.settled_to() {
            return Deletion::new(self.resources.disk(), &[segment], Vec::new());
        }
        // Batches that are kept in memory are those before: the footer may not know any more that they were aborted.
        self.shared.tail.clear();
        let mut segments = self.shared.segments().to_vec();
        segments.splice(first..first + old.len(), [segment]);
        *self.shared.segments.write() = Arc::new(segments);
        let with = vec![SealedSegment { base, generation, bytes, next_offset }];
        let changes = vec![Change::Segments { from: base, to: next_offset, with }];
        Deletion::new(self.resources.disk(), old, changes)
    }

    /// Remembers how far a compaction has come.
    pub fn finish_compaction(&mut self, report: Report) {
        self.compacted.last = Some(report);
    }

    /// In order; the first of all segments.
    fn sealed_segments(&self) -> Vec<Arc<Segment>> {
        let segments = self.shared.segments();
        let is_active =
            |segment: &&Arc<Segment>| self.active.as_ref().is_some_and(|active| Arc::ptr_eq(active, segment));
        segments.iter().take_while(|segment| !is_active(segment)).cloned().collect()
    }

    /// Below here everything is durable and was seen by readers: a later version of a key that a power cut could take
    /// must not cost the earlier one.
    fn settled_to(&self) -> Offset {
        self.offsets().high_watermark.min(self.durable.offset)
    }
}
