//! Checking every byte of a sealed segment against its footer, a little at a time.
//!
//! For the scrub, which reads at a low rate in the background, and for `tw doctor`. What is checked of each block:
//!
//! - it begins where the index says, with the batch that the index says;
//! - its batches follow one another to its end, without a gap in their offsets if nothing was rewritten;
//! - each batch's checksum, which covers the batch but for its head;
//! - the block's checksum, which covers the heads;
//! - that the timestamps in the index are those of the batches.
//!
//! and of the segment its length and its next offset. What is wrong is reported as a range of the segment, as narrow as
//! is certain of its records, and the check goes on with the next block:
//!
//! - the heads are right: from the first wrong batch to the last one;
//! - it cannot be told where a batch ends: from the first wrong batch to the end of the block, or all of the block if
//!   its offsets may have gaps (of the batches before, only the leader epochs are not certain then);
//! - the heads are wrong: all of the block.
//!
//! Left out: whether records decode (they are the producer's), and what to do about damage. A block that cannot be
//! read is damage: a disk that cannot read a sector reports it so.

use super::footer::Footer;
use super::index::{Block, Place};
use crate::env::File;
use crate::record::{BATCH_HEAD_BYTES, BatchHeader, crc32c_append, verify_crc};
use std::sync::Arc;

/// A part of a segment that is not as it was written: `[from, to)`, on batch boundaries as far as they are known. Empty
/// for what follows the end of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) why: String,
}

/// What one step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes that were checked and found right.
    pub(super) bytes: u64,
    /// Whether this was all.
    pub(super) done: bool,
}

/// Checks one segment, front to back.
#[derive(Debug)]
pub(super) struct Verifier {
    file: Arc<dyn File>,
    footer: Arc<Footer>,
    /// The number of the block to check next.
    next: usize,
    block: Vec<u8>,
}

/// All that is wrong with a segment, in order.
pub(super) fn verify_segment(file: Arc<dyn File>, footer: Arc<Footer>) -> Vec<Damage> {
    let mut verifier = Verifier::new(file, footer);
    let mut damages = Vec::new();
    loop {
        match verifier.step(u64::MAX) {
            Ok(progress) if progress.done => return damages,
            Ok(_) => {}
            Err(damage) => damages.push(damage),
        }
    }
}

impl Verifier {
    pub(super) const fn new(file: Arc<dyn File>, footer: Arc<Footer>) -> Self {
        Self { file, footer, next: 0, block: Vec::new() }
    }

    /// Checks as many blocks as fit `max_bytes`, one at least. An error ends the step, not the check: the next step
    /// goes on behind the block that it is about. After the last step a further one finds nothing more to do.
    pub(super) fn step(&mut self, max_bytes: u64) -> Result<Progress, Damage> {
        let (footer, mut bytes) = (self.footer.clone(), 0);
        while let Some(block) = footer.index.block(self.next, footer.log_bytes) {
            let block_bytes = block.end_position - block.place.position;
            if bytes > 0 && bytes + block_bytes > max_bytes {
                return Ok(Progress { bytes, done: false });
            }
            self.next += 1;
            self.check(&footer, block)?;
            bytes += block_bytes;
        }
        if self.next == footer.index.len() {
            self.next += 1;
            self.check_length(&footer)?;
        }
        Ok(Progress { bytes, done: true })
    }

    /// Checks the block before `self.next`.
    fn check(&mut self, footer: &Footer, block: Block) -> Result<(), Damage> {
        let following = footer.index.block(self.next, footer.log_bytes);
        let to = Place {
            offset: following.map_or(footer.next_offset, |next| next.place.offset),
            position: block.end_position,
        };
        let damage = |from, why| Damage { from, to, why };
        self.read(block).map_err(|why| damage(block.place, why))?;

        let before = self.next.checked_sub(2).and_then(|before| footer.index.block(before, footer.log_bytes));
        let mut max_timestamp = before.map(|before| before.max_timestamp);
        let mut headers_crc = 0;
        let mut bad: Option<Damage> = None;
        let mut place = block.place;
        while place.position < to.position {
            let bytes = &self.block[(place.position - block.place.position) as usize..];
            // The first batch is the one that the index names; later ones may follow a gap that compaction left.
            let may_follow_a_gap = footer.generation > 0 && place != block.place;
            let header = match batch_at(place, to, may_follow_a_gap, bytes) {
                Ok(header) => header,
                Err(why) => {
                    // Offsets that follow on prove those before. With gaps, one of them may be what is wrong.
                    let from = bad.as_ref().map_or(place, |bad| bad.from);
                    let from = if footer.generation > 0 { block.place } else { from };
                    return Err(damage(from, bad.map_or(why, |bad| bad.why)));
                }
            };
            if let Some(bad) = bad.as_mut().filter(|bad| bad.to.position == place.position) {
                bad.to.offset = header.base_offset;
            }
            headers_crc = crc32c_append(headers_crc, &bytes[..BATCH_HEAD_BYTES]);
            let next = Place { offset: header.next_offset(), position: place.position + header.total_bytes() as u64 };
            let at = Place { offset: header.base_offset, ..place };
            if let Err(error) = verify_crc(&bytes[..header.total_bytes()]) {
                let (from, why) = bad.map_or_else(|| (at, error.to_string()), |bad| (bad.from, bad.why));
                bad = Some(Damage { from, to: next, why });
            }
            max_timestamp = max_timestamp.max(Some(header.max_timestamp));
            place = next;
        }
        if headers_crc != block.headers_crc {
            let expected = block.headers_crc;
            let why = format!("the checksum of a block's headers is {headers_crc:08x} and should be {expected:08x}");
            return Err(damage(block.place, why));
        }
        if let Some(bad) = bad {
            // Where a wrong batch ends, only what follows can say.
            return Err(if bad.to.position == to.position { Damage { to, ..bad } } else { bad });
        }
        let is_whole = place.offset == to.offset || (footer.generation > 0 && following.is_some());
        if !is_whole {
            let why = format!("the batches of a block end at offset {} and should end at {}", place.offset, to.offset);
            return Err(damage(block.place, why));
        }
        if max_timestamp != Some(block.max_timestamp) {
            let why = format!("the latest timestamp up to a block is not {}, as its index says", block.max_timestamp);
            return Err(damage(block.place, why));
        }
        Ok(())
    }

    /// Reads as much of a block as there is.
    fn read(&mut self, block: Block) -> Result<(), String> {
        // A footer has no block that is longer than a batch may be and a step.
        self.block.resize((block.end_position - block.place.position) as usize, 0);
        let read = self.file.read_at(&mut self.block, block.place.position);
        self.block.truncate(read.map_err(|error| format!("the block cannot be read: {error}"))?);
        Ok(())
    }

    /// What is too much; what is too little was missed in its block.
    fn check_length(&self, footer: &Footer) -> Result<(), Damage> {
        let end = Place { offset: footer.next_offset, position: footer.log_bytes };
        let damage = |why| Damage { from: end, to: end, why };
        let len = self.file.len().map_err(|error| damage(format!("the length cannot be read: {error}")))?;
        match len.saturating_sub(footer.log_bytes) {
            0 => Ok(()),
            more => Err(damage(format!("{more} bytes follow the end of the segment"))),
        }
    }
}

/// The header of the batch at the start of `bytes`, which should lie at `place` and end at or before `to`; why that
/// cannot be, if it cannot. Its checksum is not looked at.
fn batch_at(place: Place, to: Place, may_follow_a_gap: bool, bytes: &[u8]) -> Result<BatchHeader, String> {
    let header = match BatchHeader::parse(bytes) {
        Ok(Some(header)) => header,
        Ok(None) => return Err(format!("{} bytes are less than a batch header", bytes.len())),
        Err(error) => return Err(error.to_string()),
    };
    if header.base_offset < place.offset || (header.base_offset > place.offset && !may_follow_a_gap) {
        return Err(format!("a batch begins at offset {} where {} was expected", header.base_offset, place.offset));
    }
    if header.next_offset() > to.offset || place.position + header.total_bytes() as u64 > to.position {
        let (offset, bytes) = (header.next_offset(), header.total_bytes());
        return Err(format!("a batch of {bytes} bytes up to offset {offset} reaches out of its block"));
    }
    if header.total_bytes() > bytes.len() {
        return Err("the file ends within a batch".into());
    }
    Ok(header)
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
