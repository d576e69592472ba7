//! The sparse index of one segment: where its blocks begin, the latest timestamp up to there, and a checksum of each.
//!
//! ```text
//!   entry     0                      1                2            a block is the batches from an entry's position
//!             ▼                      ▼                ▼            up to the next entry's; it ends with the batch that
//!   segment   [ batch │ batch │ batch ][ batch │ batch ][ batch …  reaches 32 KiB
//! ```
//! A batch's own checksum leaves out the fields before it (offset, length, leader epoch, magic) and cannot cover
//! itself. These 21 bytes are the batch's *head*. A block's `headers_crc` is the CRC-32C of the heads of its batches,
//! in order, so block checksums and batch checksums together cover every byte of a segment, and an append pays for 21
//! bytes only.
//!
//! Built while batches are appended or scanned, 20 bytes per 32 KiB of log, and kept in the [`Footer`](super::footer)
//! of a sealed segment. It is derived from the segment and only the checksums are evidence about it.
//!
//! Invariants: entries grow in offset and position, the first has position 0, timestamps do not decrease. Blocks
//! begin at the same batches whether a segment is appended to in one go or cut and appended to again.

use crate::mutants::{self, Mutant};
use crate::record::{BATCH_HEAD_BYTES, BatchHeader, crc32c, crc32c_append};
use crate::types::{Offset, Timestamp, limits};

/// The longest block: its last batch begins inside the step.
const BLOCK_BYTES_MAX: u64 = limits::INDEX_STEP_BYTES as u64 + limits::BATCH_BYTES_HARD_MAX as u64;

const NO_OFFSET: Offset = -1;

/// The index of the segment that begins at `base`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    base: Offset,
    entries: Vec<Entry>,
    /// One for each entry; apart from them, so that neither is padded.
    headers_crcs: Vec<u32>,
    /// [`NO_OFFSET`] while there are no entries.
    offset_of_max_timestamp: Offset,
}

/// Where a block begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of the block's first batch, from the segment's base.
    pub(super) delta: u32,
    pub(super) position: u32,
    /// The latest timestamp of this block and all before it, so that entries are in order of it.
    pub(super) max_timestamp: Timestamp,
}

const _: () = assert!(size_of::<Entry>() == 16);

/// Where a batch begins: its base offset and its position in the segment, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: Offset,
    pub(super) position: u64,
}

/// Batches that are checked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// The first batch.
    pub(super) place: Place,
    /// The position behind the last batch.
    pub(super) end_position: u64,
    /// The latest timestamp of this block and all before it.
    pub(super) max_timestamp: Timestamp,
    /// CRC-32C of the heads of its batches.
    pub(super) headers_crc: u32,
}

impl Index {
    pub(super) const fn new(base: Offset) -> Self {
        Self { base, entries: Vec::new(), headers_crcs: Vec::new(), offset_of_max_timestamp: NO_OFFSET }
    }

    /// An index of a segment of `log_bytes` as it was kept; why it cannot be one, if it cannot.
    pub(super) fn restore(
        base: Offset,
        entries: Vec<Entry>,
        headers_crcs: Vec<u32>,
        offset_of_max_timestamp: Offset,
        log_bytes: u64,
    ) -> Result<Self, String> {
        assert_eq!(entries.len(), headers_crcs.len(), "one for each");
        if entries.is_empty() != (log_bytes == 0) || entries.first().is_some_and(|first| first.position != 0) {
            return Err(format!("its index does not begin where its {log_bytes} bytes of log do"));
        }
        let last = entries.last().map_or(0, |last| i64::from(last.delta));
        if base < 0 || base.checked_add(last).is_none() {
            return Err(format!("its base offset is {base}"));
        }
        let in_order = |pair: &[Entry]| {
            let [a, b] = [pair[0], pair[1]];
            a.delta < b.delta && a.max_timestamp <= b.max_timestamp
        };
        if let Some(at) = entries.windows(2).position(|pair| !in_order(pair)) {
            return Err(format!("entries {at} and {} of its index are out of order", at + 1));
        }
        let index = Self { base, entries, headers_crcs, offset_of_max_timestamp };
        // Positions that are not in order make a block without bytes.
        let possible = |block: &Block| {
            block.place.position < block.end_position && block.end_position - block.place.position <= BLOCK_BYTES_MAX
        };
        if let Some(block) = index.blocks(log_bytes).find(|block| !possible(block)) {
            let Block { place, end_position, .. } = block;
            return Err(format!("its index has a block from {} to {end_position}", place.position));
        }
        Ok(index)
    }

    /// Adds the next batch of the segment, with the first bytes of it as they lie on the disk.
    ///
    /// Segments are rolled before a delta or position could overflow. A batch for which one does so all the same
    /// joins the block before it, where every lookup still finds it.
    pub(super) fn push(&mut self, position: u64, header: &BatchHeader, head: &[u8; BATCH_HEAD_BYTES]) {
        if self.max_timestamp().is_none_or(|max| header.max_timestamp > max) {
            self.offset_of_max_timestamp = header.base_offset;
        }
        let entry = u32::try_from(header.base_offset - self.base).ok().zip(u32::try_from(position).ok());
        match (self.entries.last_mut(), self.headers_crcs.last_mut(), entry) {
            (Some(last), Some(crc), entry)
                if entry.is_none() || position < u64::from(last.position) + u64::from(limits::INDEX_STEP_BYTES) =>
            {
                last.max_timestamp = last.max_timestamp.max(header.max_timestamp);
                *crc = crc32c_append(*crc, head);
            }
            (last, _, entry) => {
                let max_timestamp = last.map_or(header.max_timestamp, |l| l.max_timestamp.max(header.max_timestamp));
                let (delta, position) = entry.unwrap_or((u32::MAX, 0));
                self.entries.push(Entry { delta, position, max_timestamp });
                self.headers_crcs.push(crc32c(head));
            }
        }
    }

    pub(super) const fn base(&self) -> Offset {
        self.base
    }

    /// A batch at or before the one that holds `offset`.
    pub(super) fn floor(&self, offset: Offset) -> Place {
        let after = self.entries.partition_point(|entry| self.base + i64::from(entry.delta) <= offset);
        self.place(if mutants::active(Mutant::IndexOffByOne) { after } else { after.saturating_sub(1) })
    }

    /// A batch at or before the first one with a timestamp at or after `at`; `None` if no batch has one.
    pub(super) fn floor_of_time(&self, at: Timestamp) -> Option<Place> {
        let block = self.entries.partition_point(|entry| entry.max_timestamp < at);
        (block < self.entries.len()).then(|| self.place(block))
    }

    /// The latest timestamp of all batches; `None` if there are none.
    pub(super) fn max_timestamp(&self) -> Option<Timestamp> {
        self.entries.last().map(|last| last.max_timestamp)
    }

    /// The base offset of the first batch with the latest timestamp, or, after a cut, of its block's first batch.
    pub(super) fn offset_of_max_timestamp(&self) -> Option<Offset> {
        (!self.entries.is_empty()).then_some(self.offset_of_max_timestamp)
    }

    /// How many blocks there are.
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// The block of that number, in a segment of `log_bytes`.
    pub(super) fn block(&self, number: usize, log_bytes: u64) -> Option<Block> {
        let entry = self.entries.get(number)?;
        Some(Block {
            place: self.place(number),
            end_position: self.entries.get(number + 1).map_or(log_bytes, |next| u64::from(next.position)),
            max_timestamp: entry.max_timestamp,
            headers_crc: self.headers_crcs[number],
        })
    }

    /// All blocks of a segment of `log_bytes`, in order.
    pub(super) fn blocks(&self, log_bytes: u64) -> impl Iterator<Item = Block> + '_ {
        (0..self.len()).filter_map(move |number| self.block(number, log_bytes))
    }

    /// The blocks from the one at `position` on, of a segment of `log_bytes`: as many as it takes to have `bytes`, at least
    /// one, none at the end.
    pub(super) fn blocks_from(&self, position: u64, bytes: u64, log_bytes: u64) -> Vec<Block> {
        let first = self.entries.partition_point(|entry| u64::from(entry.position) < position);
        let upto = position.saturating_add(bytes);
        let last = self.entries.partition_point(|entry| u64::from(entry.position) < upto).max(first + 1);
        (first..last).filter_map(|number| self.block(number, log_bytes)).collect()
    }

    /// The entries with the checksums of their blocks, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&Entry, u32)> {
        self.entries.iter().zip(self.headers_crcs.iter().copied())
    }

    /// Memory used.
    pub(super) const fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.entries.capacity() * size_of::<Entry>()
            + self.headers_crcs.capacity() * size_of::<u32>()
    }

    fn place(&self, entry: usize) -> Place {
        self.entries.get(entry).map_or(Place { offset: self.base, position: 0 }, |entry| Place {
            offset: self.base + i64::from(entry.delta),
            position: u64::from(entry.position),
        })
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
pub(super) mod tests;
