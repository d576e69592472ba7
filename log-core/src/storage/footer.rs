//! The footer of a sealed segment: all that can be known of it without reading it.
//!
//! A file beside the segment, written once when the segment is sealed. Opening a log reads nothing of a sealed segment
//! but, when it is first needed, this. Big-endian:
//!
//! ```text
//!    0  magic                    u32  "TWIX"
//!    4  version                  u32  1
//!    8  base_offset              i64  of the segment
//!   16  generation               u32  0: as appended; above: rewritten, offsets may have gaps
//!   20  entries                  u32  ┐
//!   24  epochs                   u32  │ how many of each follow
//!   28  aborted                  u32  ┘
//!   32  next_offset              i64  the base offset of the segment behind
//!   40  log_bytes                u64  length of the segment
//!   48  max_timestamp            i64  latest of all batches; -1 if there are none
//!   56  offset_of_max_timestamp  i64  the first batch that has it, or one before it in its block; -1 if there are none
//!   64  first_append             i64  ┐ the broker's clock, in milliseconds since 1970. Of a footer that was made again
//!   72  last_append              i64  ┘ from the batches the first is what they say, and the last is i64::MAX: not known
//!   80  entries × 20 bytes            the blocks of the segment, see `index`
//!         delta            u32        base offset of the block's first batch, minus base_offset
//!         position         u32        of the block in the segment
//!         max_timestamp    i64        latest of this block and all before it
//!         headers_crc      u32        CRC-32C of the first 21 bytes of each batch of the block, one after the other
//!       epochs × 12 bytes             leader epochs that reach into the segment
//!         epoch            i32
//!         start_offset     i64        where it begins, perhaps before the segment
//!       aborted × 32 bytes            aborted transactions, see `transactions`
//!         producer_id, first_offset, last_offset, last_stable_offset   i64 each
//!       crc                      u32  CRC-32C of everything before
//! ```
//!
//! Invariants, all checked when it is read: those of the index; offsets of entries and epochs lie below `next_offset`;
//! epochs grow and begin one behind the other; nothing follows the checksum. One wrong bit makes it no footer at all,
//! and then it is made again from the segment. Counts are compared with the bytes that are there before anything is
//! allocated.
//!
//! Left out: where the file lies and when it is written; whether the segment is as it says (`verify`).

use super::index::{Entry, Index};
use super::transactions::AbortedTransaction;
use crate::record::{BATCH_HEAD_BYTES, BatchHeader, crc32c};
use crate::types::{Offset, Timestamp};

const MAGIC: u32 = u32::from_be_bytes(*b"TWIX");
const VERSION: u32 = 1;
const FIXED_BYTES: usize = 80;
const ENTRY_BYTES: usize = 4 + 4 + 8 + 4;
const EPOCH_BYTES: usize = 4 + 8;
const ABORTED_BYTES: usize = 4 * 8;
const CRC_BYTES: usize = 4;
/// What stands for the latest timestamp and its offset when there are no batches.
const NONE: i64 = -1;
/// When the last batch was appended, if nobody knows.
const UNKNOWN: Timestamp = Timestamp::MAX;

/// What is kept of one sealed segment. Base offset and latest timestamp are those of its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) index: Index,
    pub(super) generation: u32,
    pub(super) next_offset: Offset,
    pub(super) log_bytes: u64,
    /// When its first and last batches were appended, by the broker's clock.
    pub(super) first_append: Timestamp,
    pub(super) last_append: Timestamp,
    /// Leader epochs and where they begin: those that begin in or before the segment and reach into it.
    pub(super) epochs: Vec<(i32, Offset)>,
    pub(super) aborted: Vec<AbortedTransaction>,
}

impl Footer {
    /// The footer of an empty segment that was made at `now`.
    pub(super) const fn new(base: Offset, generation: u32, now: Timestamp) -> Self {
        Self {
            index: Index::new(base),
            generation,
            next_offset: base,
            log_bytes: 0,
            first_append: now,
            last_append: now,
            epochs: Vec::new(),
            aborted: Vec::new(),
        }
    }

    /// Takes in the next batch of the segment; `head` are its first bytes as they lie on the disk. `appended` is when that
    /// was, if it is known.
    pub(super) fn push(
        &mut self,
        position: u64,
        header: &BatchHeader,
        head: &[u8; BATCH_HEAD_BYTES],
        appended: Option<Timestamp>,
    ) {
        self.last_append = match appended {
            Some(now) if position == 0 => now,
            Some(now) if !self.is_undated() => self.last_append.max(now),
            // Those before it are not of the future, so neither is this one: the clock can be believed.
            Some(now) if self.index.max_timestamp().is_none_or(|latest| latest <= now) => now,
            _ => UNKNOWN,
        };
        if position == 0 {
            self.first_append = appended.unwrap_or(header.max_timestamp);
        }
        self.index.push(position, header, head);
        self.next_offset = header.next_offset();
        self.log_bytes = position + header.total_bytes() as u64;
    }

    /// Whether it is not known when the last batch was appended.
    pub(super) fn is_undated(&self) -> bool {
        self.last_append == UNKNOWN
    }

    /// The last batch was appended before `now`, which is as good as it gets.
    pub(super) fn date(&mut self, now: Timestamp) {
        (self.first_append, self.last_append) = (self.first_append.min(now), now);
    }

    /// The base offset of the segment.
    pub(super) const fn base_offset(&self) -> Offset {
        self.index.base()
    }

    /// The leader epoch of an offset of the segment, if it is known.
    pub(super) fn epoch_at(&self, offset: Offset) -> Option<i32> {
        let upto = self.epochs.partition_point(|(_, start)| *start <= offset);
        Some(self.epochs[upto.checked_sub(1)?].0)
    }

    /// The file's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        debug_assert_eq!(self.contradiction(), None);
        let mut out = Vec::with_capacity(self.encoded_bytes());
        let count = |len: usize| u32::try_from(len).expect("a segment has fewer batches than that").to_be_bytes();
        out.extend(MAGIC.to_be_bytes());
        out.extend(VERSION.to_be_bytes());
        out.extend(self.base_offset().to_be_bytes());
        out.extend(self.generation.to_be_bytes());
        out.extend(count(self.index.len()));
        out.extend(count(self.epochs.len()));
        out.extend(count(self.aborted.len()));
        out.extend(self.next_offset.to_be_bytes());
        out.extend(self.log_bytes.to_be_bytes());
        out.extend(self.index.max_timestamp().map_or(NONE, |at| at.0).to_be_bytes());
        out.extend(self.index.offset_of_max_timestamp().unwrap_or(NONE).to_be_bytes());
        out.extend(self.first_append.0.to_be_bytes());
        out.extend(self.last_append.0.to_be_bytes());
        for (entry, headers_crc) in self.index.entries() {
            out.extend(entry.delta.to_be_bytes());
            out.extend(entry.position.to_be_bytes());
            out.extend(entry.max_timestamp.0.to_be_bytes());
            out.extend(headers_crc.to_be_bytes());
        }
        for (epoch, start_offset) in &self.epochs {
            out.extend(epoch.to_be_bytes());
            out.extend(start_offset.to_be_bytes());
        }
        for aborted in &self.aborted {
            out.extend(aborted.producer_id.to_be_bytes());
            out.extend(aborted.first_offset.to_be_bytes());
            out.extend(aborted.last_offset.to_be_bytes());
            out.extend(aborted.last_stable_offset.to_be_bytes());
        }
        out.extend(crc32c(&out).to_be_bytes());
        debug_assert_eq!(out.len(), self.encoded_bytes());
        out
    }

    /// Reads what [`Footer::encode`] wrote; why `bytes` are not a footer, if they are not.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Some((checked, crc)) =
            bytes.split_last_chunk::<CRC_BYTES>().filter(|(checked, _)| checked.len() >= FIXED_BYTES)
        else {
            return Err(format!("{} bytes are too few", bytes.len()));
        };
        let mut fields = Fields(checked);
        let (magic, version) = (fields.u32(), fields.u32());
        if magic != MAGIC {
            return Err(format!("it begins with {magic:08x} and not with {MAGIC:08x}"));
        }
        if version != VERSION {
            return Err(format!("it has version {version}, and this release reads version {VERSION}"));
        }
        let (found, expected) = (crc32c(checked), u32::from_be_bytes(*crc));
        if found != expected {
            return Err(format!("its checksum is {found:08x} and should be {expected:08x}"));
        }
        let base_offset = fields.i64();
        let generation = fields.u32();
        let counts = [fields.u32(), fields.u32(), fields.u32()];
        let needed: u64 = (counts.iter().zip([ENTRY_BYTES, EPOCH_BYTES, ABORTED_BYTES]))
            .map(|(count, bytes)| u64::from(*count) * bytes as u64)
            .sum();
        let left = (checked.len() - FIXED_BYTES) as u64;
        if needed != left {
            return Err(format!("it counts {counts:?} entries in {needed} bytes and has {left}"));
        }
        let [entries, epochs, aborted] = counts.map(|count| count as usize);
        let (next_offset, log_bytes) = (fields.i64(), fields.u64());
        let (max_timestamp, offset_of_max_timestamp) = (fields.i64(), fields.i64());
        let (first_append, last_append) = (Timestamp(fields.i64()), Timestamp(fields.i64()));
        let (entries, headers_crcs) = (0..entries)
            .map(|_| {
                let (delta, position) = (fields.u32(), fields.u32());
                (Entry { delta, position, max_timestamp: Timestamp(fields.i64()) }, fields.u32())
            })
            .unzip();
        let footer = Self {
            index: Index::restore(base_offset, entries, headers_crcs, offset_of_max_timestamp, log_bytes)?,
            generation,
            next_offset,
            log_bytes,
            first_append,
            last_append,
            epochs: (0..epochs).map(|_| (fields.i32(), fields.i64())).collect(),
            aborted: (0..aborted)
                .map(|_| AbortedTransaction {
                    producer_id: fields.i64(),
                    first_offset: fields.i64(),
                    last_offset: fields.i64(),
                    last_stable_offset: fields.i64(),
                })
                .collect(),
        };
        let latest = (footer.index.max_timestamp()).map_or((NONE, NONE), |at| (at.0, offset_of_max_timestamp));
        if latest != (max_timestamp, offset_of_max_timestamp) {
            return Err(format!("its latest timestamp is {max_timestamp}, and in its index it is {}", latest.0));
        }
        footer.contradiction().map_or(Ok(footer), Err)
    }

    /// Which rule that the module states is broken, if one is; the index keeps its own.
    fn contradiction(&self) -> Option<String> {
        let Self { index, next_offset, .. } = self;
        let blocks = index.blocks(self.log_bytes);
        let last = blocks.last().map(|last| last.place.offset);
        if last.map_or(*next_offset < self.base_offset(), |last| *next_offset <= last) {
            let last = last.unwrap_or(self.base_offset());
            return Some(format!("its next offset is {next_offset}, and a batch begins at {last}"));
        }
        if self.generation == 0
            && let Some(first) = index.block(0, self.log_bytes).filter(|b| b.place.offset != self.base_offset())
        {
            let (base, first) = (self.base_offset(), first.place.offset);
            return Some(format!("it begins at offset {base}, and its first batch at {first}"));
        }
        if let Some((at, offset)) = index.max_timestamp().zip(index.offset_of_max_timestamp()) {
            let block = index.floor_of_time(at).expect("the latest timestamp is in the index");
            if offset >= *next_offset || index.floor(offset) != block || offset < block.offset {
                return Some(format!("its latest timestamp is not in the block of offset {offset}"));
            }
        }
        let grow = |pair: &[(i32, Offset)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
        let possible = |(epoch, start): &(i32, Offset)| *epoch >= 0 && (0..*next_offset).contains(start);
        if !self.epochs.windows(2).all(grow) || !self.epochs.iter().all(possible) {
            return Some(format!("its leader epochs are {:?} up to offset {next_offset}", self.epochs));
        }
        let possible =
            |t: &&AbortedTransaction| t.producer_id >= 0 && 0 <= t.first_offset && t.first_offset <= t.last_offset;
        let impossible = self.aborted.iter().find(|t| !possible(t));
        impossible.map(|transaction| format!("it has an impossible transaction: {transaction:?}"))
    }

    const fn encoded_bytes(&self) -> usize {
        FIXED_BYTES
            + self.index.len() * ENTRY_BYTES
            + self.epochs.len() * EPOCH_BYTES
            + self.aborted.len() * ABORTED_BYTES
            + CRC_BYTES
    }
}

/// Fields one after the other; the length was checked before.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the counts were compared with the length");
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.next())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.next())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.next())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.next())
    }
}

#[cfg(test)]
#[path = "footer_tests.rs"]
mod tests;
