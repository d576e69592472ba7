//! All of one partition, read and not touched: which segments there should be, and what of each is as it was written.
//!
//! The verdict is that of [`super::recovery`], by the same rules: what is wrong below the durable point is damage, what is
//! wrong above it is the torn tail of an unclean stop, which the next open cuts. But recovery stops at the first thing
//! that is wrong, and does not read what it need not; here every byte is read, also behind damage.

use super::checkpoint::{DurablePoint, SealedSegment};
use super::footer::Footer;
use super::index::Place;
use super::layout::{self, Link, Seen};
use super::recovery::{Known, TornTail, Trust, UNSYNCED_TAIL_BYTES_MAX};
use super::resources::Resources;
use super::salvage::{Loss, Run, Salvaged, salvage};
use super::segment::Segment;
use super::verify::Damage;
use crate::types::{Error, Flush, Offset, OffsetRange, Result};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What there is of a partition.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// In order, those that are missing too.
    pub(super) segments: Vec<Surveyed>,
    /// Files of no use, which the next open removes.
    pub(super) leftovers: Vec<PathBuf>,
    /// An end that was not durable and is not whole. What it holds is not among `segments`.
    pub(super) torn: Option<TornTail>,
    /// Offsets behind the last segment that were durable.
    pub(super) lost_end: Option<OffsetRange>,
    /// Where the log ends: no offset from here on was given to a durable record.
    pub(super) end: Offset,
}

/// A segment.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) segment: Arc<Segment>,
    /// As the checkpoint knows it.
    pub(super) listed: Option<SealedSegment>,
    /// The length of its file; `None` if there is none.
    pub(super) on_disk: Option<u64>,
    pub(super) footer: FooterFound,
    /// Where the next segment begins, if it does not say itself.
    pub(super) next_offset: Offset,
    pub(super) runs: Vec<Run>,
    pub(super) damages: Vec<Damage>,
    pub(super) losses: Vec<Loss>,
}

/// The footer of a segment.
#[derive(Debug)]
pub(super) enum FooterFound {
    Valid(Arc<Footer>),
    Missing,
    /// And why.
    Damaged(String),
}

impl Survey {
    /// Whether anything is wrong with records, or with where they should be.
    pub(super) fn is_damaged(&self) -> bool {
        self.lost_end.is_some() || self.segments.iter().any(|segment| !segment.damages.is_empty())
    }
}

/// Reads the partition in `dir`. `progress` is called with the bytes that were read since the last call.
pub(super) fn survey(
    resources: &Resources,
    dir: &Path,
    known: &Known,
    flush: Flush,
    progress: &mut dyn FnMut(u64),
) -> Result<Survey> {
    let seen = layout::see(resources, dir, known)?;
    let point = match known.trust {
        Trust::Nothing => None,
        _ => Some(known.state.durable.unwrap_or_default()),
    };
    let mut survey = Survey { leftovers: leftovers(resources, dir, &seen), ..Survey::default() };
    let mut expected = match (point, seen.links.first()) {
        (None, first) => first.map_or(0, |first| first.base),
        (Some(_), Some(first)) => first.base.min(known.state.log_start_offset),
        // All was deleted, or the segment that is left is missing.
        (Some(point), None) if point.position == 0 => point.offset,
        (Some(point), None) => point.segment_base.min(known.state.log_start_offset),
    };
    for (number, link) in seen.links.iter().enumerate() {
        if link.base > expected {
            let missing = Link { base: expected, generation: 0, listed: None, on_disk: None };
            survey.segments.push(read(resources, dir, missing, Some(link.base), progress)?);
        }
        let next = seen.links.get(number + 1).map(|next| next.base);
        let read = read(resources, dir, *link, next, progress)?;
        expected = read.next_offset.max(expected);
        survey.segments.push(read);
    }
    survey.end = expected;
    survey.judge(point, flush);
    Ok(survey)
}

fn leftovers(resources: &Resources, dir: &Path, seen: &Seen) -> Vec<PathBuf> {
    let old = seen.leftovers.iter().flat_map(|(base, generation)| {
        let segment = Segment::new(&resources.files, dir, *base, *generation, 0);
        [segment.path.clone(), segment.footer_path()]
    });
    old.filter(|path| resources.disk().exists(path)).chain(seen.unfinished.iter().cloned()).collect()
}

/// Reads a segment; `next` is where the one behind begins.
fn read(
    resources: &Resources,
    dir: &Path,
    link: Link,
    next: Option<Offset>,
    progress: &mut dyn FnMut(u64),
) -> Result<Surveyed> {
    let Link { base, generation, listed, on_disk } = link;
    let len = listed.map(|sealed| sealed.bytes).or(on_disk).unwrap_or_default();
    let segment = Arc::new(Segment::new(&resources.files, dir, base, generation, len));
    let fits = |footer: &Footer| {
        let expected = listed.map(|sealed| sealed.next_offset).or(next).unwrap_or(footer.next_offset);
        (footer.next_offset == expected).then_some(()).ok_or(format!("it does not end at offset {expected}"))
    };
    let footer = match segment.read_footer() {
        Ok(Some(footer)) => match fits(&footer) {
            Ok(()) => FooterFound::Valid(Arc::new(footer)),
            Err(why) => FooterFound::Damaged(why),
        },
        Ok(None) => FooterFound::Missing,
        Err(Error::Corrupt { why, .. }) => FooterFound::Damaged(why),
        Err(error) => FooterFound::Damaged(error.to_string()),
    };
    let valid = if let FooterFound::Valid(footer) = &footer { Some(footer.clone()) } else { None };
    let upto = listed.map(|sealed| sealed.next_offset).or(next);
    let salvaged = match on_disk {
        // An empty file is the segment that was begun last.
        Some(0) if upto.is_none_or(|upto| upto == base) => Salvaged::default(),
        Some(bytes) => match segment.file() {
            Ok(file) => salvage(&file, base, generation, bytes, valid, upto),
            Err(error) => nothing(base, upto, bytes, error.to_string()),
        },
        None => nothing(base, upto, len, "the file is missing".into()),
    };
    progress(on_disk.unwrap_or_default());
    let found = salvaged.runs.last().map_or(base, |run| run.to.offset);
    let next_offset = upto.unwrap_or(found.max(salvaged.losses.last().map_or(base, |loss| loss.offsets.end)));
    let Salvaged { runs, damages, losses } = salvaged;
    Ok(Surveyed { segment, listed, on_disk, footer, next_offset, runs, damages, losses })
}

/// A segment of which nothing can be read.
fn nothing(base: Offset, upto: Option<Offset>, bytes: u64, why: String) -> Salvaged {
    let offsets = OffsetRange::new(base, upto.unwrap_or(base));
    let place = |offset, position| Place { offset, position };
    let damage = Damage { from: place(base, 0), to: place(offsets.end, bytes), why: why.clone() };
    Salvaged { runs: Vec::new(), damages: vec![damage], losses: vec![Loss { offsets, position: 0, bytes, why }] }
}

impl Survey {
    /// Tells a torn tail from damage, and finds out whether the log ends too early.
    fn judge(&mut self, point: Option<DurablePoint>, flush: Flush) {
        let first_bad = self.segments.iter().enumerate().find_map(|(number, segment)| {
            let damage = segment.damages.first().filter(|_| segment.listed.is_none())?;
            Some((number, damage.from))
        });
        if let Some((number, place)) = first_bad
            && !self.is_damage(point, flush, number, place)
        {
            self.tear(number, place);
        }
        let Some(point) = point else { return };
        if self.end < point.offset {
            self.lost_end = Some(OffsetRange::new(self.end, point.offset));
            self.end = point.offset;
        }
    }

    fn is_damage(&self, point: Option<DurablePoint>, flush: Flush, number: usize, place: Place) -> bool {
        let Some(point) = point else {
            // Nothing is known of durability: a valid batch behind tells that it is no torn tail.
            let behind = |run: &Run| run.from.position > place.position;
            return self.segments[number].runs.iter().any(behind)
                || self.segments[number + 1..].iter().any(|segment| !segment.runs.is_empty());
        };
        if point.is_above(self.segments[number].segment.base, place) {
            return true;
        }
        let bytes: u64 = self.segments[number..].iter().filter_map(|segment| segment.on_disk).sum();
        flush != Flush::Os && bytes.saturating_sub(place.position) > UNSYNCED_TAIL_BYTES_MAX
    }

    /// Takes the torn tail from `place` on out of the survey.
    fn tear(&mut self, number: usize, place: Place) {
        let bytes: u64 = self.segments[number..].iter().filter_map(|segment| segment.on_disk).sum();
        self.segments.truncate(number + 1);
        let torn = &mut self.segments[number];
        let why = torn.damages.first().map(|damage| damage.why.clone()).unwrap_or_default();
        let path = torn.segment.path.clone();
        torn.runs.retain(|run| run.from.position < place.position);
        (torn.damages, torn.losses) = (Vec::new(), Vec::new());
        torn.next_offset = place.offset;
        self.end = place.offset;
        let bytes = bytes.saturating_sub(place.position);
        self.torn = Some(TornTail { path, position: place.position, offset: place.offset, bytes, why });
        if place.position == 0 {
            self.segments.pop();
        }
    }
}
