//! What of a segment is as it was written, and what is not, when some of it is damaged.
//!
//! ```text
//!   segment   [ batch │ batch │ ██ │ batch │ batch │ ████████ │ batch ]
//!   runs      └───────────────┘    └───────────────┘          └───────┘     kept, with their offsets
//!   losses                      └──┘                └─────────┘             offsets that nothing can bring back
//! ```
//! With a footer, damage is found by [`super::verify`], so that all outside of it is certain. A block of which only heads
//! are wrong is restored: base offsets follow on, epochs are in the footer, and the block's checksum proves the result.
//! Otherwise batches are followed from one to the next. Behind one that is wrong, the next is looked for where its length
//! says, then at every byte; it counts if from there batches follow on to the end of the segment, or at least two of them,
//! so that bytes of a client that look like a batch are not taken for one.
//!
//! Left out: what to do about it (`doctor` tells, `repair` rewrites). Of a leader epoch that is wrong without a footer
//! that knows it, only the order of epochs can tell.

use super::footer::Footer;
use super::heads::{self, heads_crc};
use super::index::{Block, Place};
use super::verify::{Damage, verify_segment};
use crate::env::File;
use crate::record::{BATCH_HEAD_BYTES, BATCH_HEADER_BYTES, BatchHeader, crc32c, restore_head, verify_crc};
use crate::types::{Offset, OffsetRange};
use std::sync::Arc;

/// Bytes read at once.
const CHUNK_BYTES: usize = 1024 * 1024;
/// What a disk fails to read, it fails to read in sectors.
const SECTOR_BYTES: u64 = 512;

/// Whole batches that follow one another and are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) from: Place,
    pub(super) to: Place,
    /// Their bytes, where those in the file are wrong and it is known what they were.
    pub(super) restored: Option<Vec<u8>>,
}

/// Offsets whose records are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) offsets: OffsetRange,
    /// Where in the file it begins, and how far it goes.
    pub(super) position: u64,
    pub(super) bytes: u64,
    pub(super) why: String,
}

/// A segment, taken apart.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    /// In order.
    pub(super) runs: Vec<Run>,
    /// What is wrong.
    pub(super) damages: Vec<Damage>,
    /// What of that is lost for good.
    pub(super) losses: Vec<Loss>,
}

/// Takes apart the segment in `file`, which begins at `base`, has `len` bytes and should end before `upto`, as far as that
/// is known.
pub(super) fn salvage(
    file: &Arc<dyn File>,
    base: Offset,
    generation: u32,
    len: u64,
    footer: Option<Arc<Footer>>,
    upto: Option<Offset>,
) -> Salvaged {
    let has_gaps = generation > 0;
    let window = Window { file: file.clone(), chunk: Vec::new(), position: 0 };
    let known = footer.as_ref().map(|footer| footer.epochs.clone()).unwrap_or_default();
    let mut walker = Walker { window, end: len, upto, has_gaps, known, epochs: [-1, -1], out: Salvaged::default() };
    let start = Place { offset: base, position: 0 };
    let Some(footer) = footer else {
        walker.walk(start);
        let mut out = walker.out;
        out.damages = out.losses.iter().map(as_damage).collect();
        return out;
    };
    let damages = verify_segment(file.clone(), footer.clone());
    let mut place = start;
    for damage in &damages {
        walker.keep(place, damage.from);
        (walker.end, walker.upto) = (damage.to.position.min(len), Some(damage.to.offset));
        match walker.restore(&footer, damage) {
            Restored::Proven(run) => walker.out.runs.push(run),
            Restored::InPart => walker.walk(damage.from),
            Restored::Never => walker.lose(damage.from, damage.to, damage.why.clone()),
        }
        place = damage.to;
    }
    walker.keep(place, Place { offset: footer.next_offset, position: footer.log_bytes });
    Salvaged { damages, ..walker.out }
}

fn as_damage(loss: &Loss) -> Damage {
    let Loss { offsets, position, bytes, why } = loss;
    let from = Place { offset: offsets.start, position: *position };
    let to = Place { offset: offsets.end, position: position + bytes };
    Damage { from, to, why: why.clone() }
}

/// Follows batches through a part of a segment.
struct Walker {
    window: Window,
    /// Where the part ends, in bytes, and the offset there.
    end: u64,
    upto: Option<Offset>,
    has_gaps: bool,
    /// Leader epochs and where they begin, from the footer.
    known: Vec<(i32, Offset)>,
    /// Those of the last two batches.
    epochs: [i32; 2],
    out: Salvaged,
}

/// What can be done about a block.
enum Restored {
    /// Nothing but heads was wrong, and these were they.
    Proven(Run),
    /// Of its batches it can be told which are wrong.
    InPart,
    /// Nothing tells which of them are wrong.
    Never,
}

/// Batches that follow one another, and one behind them that must be wrong.
struct Chain {
    to: Place,
    wrong: Option<(Place, String)>,
}

impl Walker {
    fn keep(&mut self, from: Place, to: Place) {
        if from.position < to.position {
            self.out.runs.push(Run { from, to, restored: None });
        }
    }

    fn walk(&mut self, from: Place) {
        let mut place = from;
        let mut lost: Option<(Place, String)> = None;
        while place.position < self.end {
            let found = self.follow(place, lost.is_some());
            let found = match found {
                Ok(chain) => Ok((place, chain)),
                Err(why) => {
                    lost.get_or_insert((place, why));
                    self.behind(place).ok_or(())
                }
            };
            let Ok((first, chain)) = found else {
                place.position = self.window.next_candidate(place.position + 1, self.end);
                continue;
            };
            let offset = self.offset_at(first);
            if let Some((at, why)) = lost.take() {
                self.lose(at, Place { offset, ..first }, why);
            } else if offset > place.offset && !self.has_gaps {
                self.lose(place, Place { offset, ..first }, "batches are missing".into());
            }
            self.keep(Place { offset, ..first }, chain.to);
            place = chain.to;
            if let Some((behind, why)) = chain.wrong {
                self.lose(place, behind, why);
                place = behind;
            }
        }
        let end = Place { offset: self.upto.unwrap_or(place.offset).max(place.offset), position: self.end };
        if let Some((at, why)) = lost {
            self.lose(at, end, why);
        } else if end.offset > place.offset {
            let why = format!("the batches end at offset {} and should end at {}", place.offset, end.offset);
            self.lose(place, end, why);
        }
    }

    fn lose(&mut self, from: Place, to: Place, why: String) {
        let offsets = OffsetRange::new(from.offset, to.offset);
        let bytes = to.position.saturating_sub(from.position);
        self.out.losses.push(Loss { offsets, position: from.position, bytes, why });
    }

    /// Where the first batch at `place` says that it begins.
    fn offset_at(&mut self, place: Place) -> Offset {
        self.window.header_at(place.position).map_or(place.offset, |header| header.base_offset)
    }

    /// The batches behind the wrong one at `place`, if its length is right.
    fn behind(&mut self, place: Place) -> Option<(Place, Chain)> {
        let header = self.window.header_at(place.position).ok()?;
        let next = Place { position: place.position + header.total_bytes() as u64, ..place };
        (next.position < self.end).then(|| self.follow(next, true).ok().map(|chain| (next, chain))).flatten()
    }

    /// The batches that follow one another from `first` on; why there is none, if there is none. With `searching` the first
    /// may lie behind a gap, and there must be reason to believe in it.
    fn follow(&mut self, first: Place, searching: bool) -> Result<Chain, String> {
        let (mut place, mut before, mut count) = (first, first, 0);
        let mut epochs = self.epochs;
        let mut stopped = None;
        while place.position < self.end {
            let may_follow_a_gap = self.has_gaps || (searching && count == 0);
            let header = match self.batch(place, may_follow_a_gap) {
                Ok(header) => header,
                Err(why) => {
                    let fits = self.has_gaps && count > 0;
                    let instead = fits.then(|| self.batch(Place { position: place.position, ..before }, true).ok());
                    if let Some(header) = instead.flatten() {
                        // It follows the one before the last, so the last claims offsets that it does not have.
                        self.epochs = [epochs[0], epochs[0]];
                        let behind = Place { offset: header.base_offset, ..place };
                        return Ok(Chain { to: before, wrong: Some((behind, why)) });
                    }
                    stopped = Some(why);
                    break;
                }
            };
            let next = Place { offset: header.next_offset(), position: place.position + header.total_bytes() as u64 };
            let epoch = header.leader_epoch;
            if epoch < epochs[1] && count > 0 {
                let why = format!("a batch of leader epoch {epoch} follows one of {}", epochs[1]);
                // The one that does not fit with the one before both is wrong.
                let is_wrong = epoch < epochs[0];
                let (to, behind) = if is_wrong { (place, next) } else { (before, place) };
                self.epochs = if is_wrong { epochs } else { [epochs[0], epochs[0]] };
                return Ok(Chain { to, wrong: Some((behind, why)) });
            }
            epochs = [epochs[1], epoch];
            (before, place, count) = (place, next, count + 1);
        }
        let reaches_end = place.position == self.end && self.upto.is_none_or(|upto| place.offset == upto);
        if count == 0 || (searching && count < 2 && !reaches_end) {
            return Err(stopped.unwrap_or_else(|| "it cannot be told whether a batch belongs there".into()));
        }
        self.epochs = epochs;
        Ok(Chain { to: place, wrong: None })
    }

    /// The batch at `place`, whose checksum is right.
    fn batch(&mut self, place: Place, may_follow_a_gap: bool) -> Result<BatchHeader, String> {
        let header = self.window.header_at(place.position)?;
        let (found, expected) = (header.base_offset, place.offset);
        if found < expected || (found > expected && !may_follow_a_gap) {
            return Err(format!("a batch begins at offset {found} where {expected} was expected"));
        }
        let (bytes, left) = (header.total_bytes(), self.end - place.position);
        if bytes as u64 > left || self.upto.is_some_and(|upto| header.next_offset() > upto) {
            return Err(format!("a batch of {bytes} bytes up to offset {} reaches too far", header.next_offset()));
        }
        let epoch = header.leader_epoch;
        if self.known_epoch(header.base_offset).is_some_and(|known| known != epoch) {
            return Err(format!("a batch has leader epoch {epoch}, which its footer does not know there"));
        }
        verify_crc(self.window.at(place.position, bytes)?).map_err(|error| error.to_string())?;
        Ok(header)
    }

    /// The leader epoch of a batch at `offset`, if the footer tells.
    fn known_epoch(&self, offset: Offset) -> Option<i32> {
        self.known.iter().rfind(|(_, start)| *start <= offset).map(|(epoch, _)| *epoch)
    }

    /// Restores the block that is damaged, if nothing but heads of its batches is.
    fn restore(&mut self, footer: &Footer, damage: &Damage) -> Restored {
        let is_of =
            |block: &Block| block.place.position <= damage.from.position && block.end_position == damage.to.position;
        let Some(block) = footer.index.blocks(footer.log_bytes).find(is_of) else {
            // Its heads are right.
            return Restored::InPart;
        };
        let otherwise = if self.has_gaps { Restored::Never } else { Restored::InPart };
        let len = usize::try_from(block.end_position - block.place.position).unwrap_or(usize::MAX);
        let Ok(bytes) = self.window.at(block.place.position, len).map(<[u8]>::to_vec) else { return Restored::InPart };
        if heads_crc(&bytes) == Some(block.headers_crc) {
            return Restored::InPart;
        }
        let restored = if self.has_gaps {
            with_one_bit_flipped(bytes, block.headers_crc)
        } else {
            self.with_heads_that_follow_on(bytes, &block, damage.to.offset)
        };
        let before = (damage.from.position - block.place.position) as usize;
        let run = |bytes: Vec<u8>| Run { from: damage.from, to: damage.to, restored: Some(bytes[before..].to_vec()) };
        restored.map_or(otherwise, |bytes| Restored::Proven(run(bytes)))
    }

    /// The block with the heads that its batches must have when their offsets follow on, if its checksum says so too.
    fn with_heads_that_follow_on(&self, mut bytes: Vec<u8>, block: &Block, upto: Offset) -> Option<Vec<u8>> {
        let (mut at, mut offset) = (0, block.place.offset);
        while at < bytes.len() {
            let batch = &mut bytes[at..];
            let epoch = BatchHeader::parse(batch).ok().flatten().map_or(0, |header| header.leader_epoch);
            let total = restore_head(batch, offset, self.known_epoch(offset).unwrap_or(epoch))?;
            offset = BatchHeader::parse(batch).ok().flatten()?.next_offset();
            at += total;
        }
        (heads_crc(&bytes) == Some(block.headers_crc) && offset == upto).then_some(bytes)
    }
}

/// The block in which one bit of one head is the other way round, so that its checksum is right; and its batches' are.
fn with_one_bit_flipped(mut block: Vec<u8>, headers_crc: u32) -> Option<Vec<u8>> {
    let heads = heads::heads(&block)?;
    let mut all: Vec<u8> = heads.iter().flat_map(|at| &block[*at..at + BATCH_HEAD_BYTES]).copied().collect();
    let bit = (0..all.len() * 8).find(|bit| {
        all[bit / 8] ^= 1 << (bit % 8);
        let is_right = crc32c(&all) == headers_crc;
        all[bit / 8] ^= 1 << (bit % 8);
        is_right
    })?;
    block[heads[bit / 8 / BATCH_HEAD_BYTES] + bit / 8 % BATCH_HEAD_BYTES] ^= 1 << (bit % 8);
    let starts = heads::heads(&block)?;
    let ends = starts.iter().skip(1).copied().chain([block.len()]);
    let are_right = starts.iter().zip(ends).all(|(start, end)| verify_crc(&block[*start..end]).is_ok());
    are_right.then_some(block)
}

/// A part of a file in memory.
struct Window {
    file: Arc<dyn File>,
    chunk: Vec<u8>,
    position: u64,
}

impl Window {
    fn header_at(&mut self, position: u64) -> Result<BatchHeader, String> {
        let bytes = self.at(position, BATCH_HEADER_BYTES)?;
        let header = BatchHeader::parse(bytes).map_err(|error| error.to_string())?;
        header.ok_or_else(|| "less than a batch header is left".into())
    }

    /// `len` bytes; what is wrong if they cannot be had.
    fn at(&mut self, position: u64, len: usize) -> Result<&[u8], String> {
        let held = |this: &Self| {
            let start = usize::try_from(position.checked_sub(this.position)?).ok()?;
            this.chunk.get(start..start.checked_add(len)?).map(|_| start)
        };
        if held(self).is_none() {
            self.read(position, len.max(CHUNK_BYTES)).or_else(|_| self.read(position, len))?;
        }
        let start = held(self).ok_or("the file ends there")?;
        Ok(&self.chunk[start..start + len])
    }

    fn read(&mut self, position: u64, len: usize) -> Result<(), String> {
        self.chunk.clear();
        self.chunk.resize(len, 0);
        self.position = position;
        let read = self.file.read_at(&mut self.chunk, position);
        self.chunk.truncate(*read.as_ref().unwrap_or(&0));
        read.map(drop).map_err(|error| format!("it cannot be read: {error}"))
    }

    /// The first position from `from` on at which a batch may begin.
    fn next_candidate(&mut self, from: u64, end: u64) -> u64 {
        let mut position = from;
        while position + BATCH_HEADER_BYTES as u64 <= end {
            match self.at(position, BATCH_HEADER_BYTES) {
                Ok(bytes) if matches!(BatchHeader::parse(bytes), Ok(Some(_))) => return position,
                Ok(_) => position += 1,
                Err(_) => position = (position / SECTOR_BYTES + 1) * SECTOR_BYTES,
            }
        }
        end
    }
}

#[cfg(test)]
#[path = "salvage_tests.rs"]
mod tests;
