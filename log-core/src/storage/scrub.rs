//! Checking the sealed segments of an open log, a little at a time, for damage that nobody has read yet.
//!
//! A check holds the segment's file and its footer, no lock, and nothing of the log: it may be dropped at any time. What
//! it finds counts only if the segment is still one of the log's when it was found.
//!
//! Left out: the active segment, which has no footer yet; when to check, and how fast (the broker's `scrub`).

use super::footer::Footer;
use super::reader::{LogReader, Shared};
use super::segment::Segment;
use super::verify::Verifier;
use crate::types::{Error, Offset, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The check of one sealed segment.
#[derive(Debug)]
pub struct SegmentScrub {
    shared: Arc<Shared>,
    segment: Arc<Segment>,
    verifier: Verifier,
    truncations: u64,
    next_offset: Offset,
}

/// What one step has done.
#[derive(Clone, Debug)]
pub struct Scrubbed {
    /// Bytes that were checked.
    pub bytes: u64,
    /// Whether this was all of the segment.
    pub done: bool,
    /// [`Error::Corrupt`]: what is wrong with the last of them.
    pub damage: Option<Error>,
}

impl LogReader {
    /// Begins to check the first sealed segment that begins at or behind `from`; `None` if there is none.
    /// [`Error::Corrupt`] if its file cannot be opened, although it should be there.
    pub fn scrub(&self, from: Offset) -> Result<Option<SegmentScrub>> {
        let truncations = self.shared.truncations.load(Ordering::Acquire);
        let segments = self.shared.segments();
        let Some(segment) = segments.iter().find(|segment| segment.base >= from && segment.is_sealed()) else {
            return Ok(None);
        };
        let begun = segment.file().and_then(|file| Ok((file, segment.with_footer(Footer::clone)?)));
        let is_there = || Arc::ptr_eq(&segments, &self.shared.segments());
        let (file, footer) = match begun {
            Err(_) if !is_there() => return Ok(None),
            Err(error) => {
                let path = segment.path.clone();
                return Err(Error::Corrupt { path, position: 0, offset: segment.base, why: error.to_string() });
            }
            Ok(begun) => begun,
        };
        Ok(Some(SegmentScrub {
            shared: self.shared.clone(),
            segment: segment.clone(),
            next_offset: footer.next_offset,
            verifier: Verifier::new(file, Arc::new(footer)),
            truncations,
        }))
    }
}

impl SegmentScrub {
    /// Where to look for the next segment.
    pub fn next_offset(&self) -> Offset {
        self.next_offset.max(self.segment.base + 1)
    }

    /// Checks about `max_bytes` more of it, at least one block. Blocks while the disk reads.
    pub fn step(&mut self, max_bytes: u64) -> Scrubbed {
        match self.verifier.step(max_bytes) {
            Ok(progress) => Scrubbed { bytes: progress.bytes, done: progress.done, damage: None },
            Err(damage) => {
                let bytes = damage.to.position.saturating_sub(damage.from.position);
                let error = self.segment.corrupt(damage.from, damage.why);
                Scrubbed { bytes, done: false, damage: self.is_of_the_log().then_some(error) }
            }
        }
    }

    /// Whether what was read is what the log consists of.
    fn is_of_the_log(&self) -> bool {
        let is_there = self.shared.segments().iter().any(|segment| Arc::ptr_eq(segment, &self.segment));
        is_there && self.shared.truncations.load(Ordering::SeqCst) == self.truncations
    }
}
