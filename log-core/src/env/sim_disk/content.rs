//! The bytes of one file, and the changes to them that a power cut may undo.
//!
//! Content is in pages that copies share until one of them writes, so a crashed disk costs a reference for each page
//! and not its bytes. Pages that nobody wrote are zeros and take no memory.

use crate::env::Rng;
use std::io::IoSlice;
use std::sync::Arc;

/// What a disk writes at once: a torn write breaks at multiples of this many bytes.
pub(super) const SECTOR_BYTES: u64 = 512;
/// What the page cache holds at once.
pub(super) const PAGE_BYTES: usize = 4096;

type Page = Option<Arc<[u8; PAGE_BYTES]>>;

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    len: u64,
    /// Those behind the last are zeros; bytes behind `len` are zeros as well.
    pages: Vec<Page>,
}

/// A change of a file that is not durable yet.
#[derive(Debug)]
pub(super) enum ByteOp {
    Write { position: u64, bytes: Vec<u8> },
    SetLen(u64),
}

/// What a power cut leaves of a pending change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keep {
    Lost,
    Whole,
    /// Only the first sector of a write.
    First,
    /// Only the last sector of a write.
    Last,
    /// The length that a write gave the file, as zeros where the file was shorter.
    Zeros,
    /// Each sector of a write or not, drawn from this seed.
    Drawn(u64),
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, buf: &mut [u8], position: u64) -> usize {
        let n = buf.len().min(usize::try_from(self.len.saturating_sub(position)).unwrap_or(usize::MAX));
        for (page, within, part) in pages(position, n) {
            match self.pages.get(page) {
                Some(Some(bytes)) => buf[part.clone()].copy_from_slice(&bytes[within..within + part.len()]),
                _ => buf[part].fill(0),
            }
        }
        n
    }

    pub(super) fn write(&mut self, position: u64, bytes: &[u8]) {
        for (page, within, part) in pages(position, bytes.len()) {
            if self.pages.len() <= page {
                self.pages.resize(page + 1, None);
            }
            let target = Arc::make_mut(self.pages[page].get_or_insert_with(|| Arc::new([0; PAGE_BYTES])));
            target[within..within + part.len()].copy_from_slice(&bytes[part]);
        }
        if !bytes.is_empty() {
            self.len = self.len.max(position + bytes.len() as u64);
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.pages.truncate(usize::try_from(len.div_ceil(PAGE_BYTES as u64)).unwrap_or(usize::MAX));
            let end = (len % PAGE_BYTES as u64) as usize;
            // The page that holds the new end is the last one, unless there was none.
            if end > 0
                && self.pages.len() as u64 == len.div_ceil(PAGE_BYTES as u64)
                && let Some(Some(page)) = self.pages.last_mut()
            {
                Arc::make_mut(page)[end..].fill(0);
            }
        }
        self.len = len;
    }

    pub(super) fn apply(&mut self, op: &ByteOp, keep: Keep) {
        match (op, keep) {
            (_, Keep::Lost) => {}
            (ByteOp::SetLen(len), _) => self.set_len(*len),
            (ByteOp::Write { position, bytes }, Keep::Whole) => self.write(*position, bytes),
            (ByteOp::Write { position, bytes }, Keep::Zeros) => {
                self.set_len(self.len.max(position + bytes.len() as u64));
            }
            (ByteOp::Write { position, bytes }, _) => {
                let last = op.sectors() - 1;
                let mut rng = Rng::seeded(if let Keep::Drawn(seed) = keep { seed } else { 0 });
                for (n, (at, sector)) in sectors(*position, bytes).enumerate() {
                    let kept = match keep {
                        Keep::First => n == 0,
                        Keep::Last => n as u64 == last,
                        _ => rng.chance(1, 2),
                    };
                    if kept {
                        self.write(at, sector);
                    }
                }
            }
        }
    }
}

impl ByteOp {
    /// How many sectors of the file a write touches; 1 for a change of the length, which is never torn.
    pub(super) fn sectors(&self) -> u64 {
        match self {
            Self::SetLen(_) => 1,
            Self::Write { position, bytes } => {
                (position + bytes.len() as u64).div_ceil(SECTOR_BYTES) - position / SECTOR_BYTES
            }
        }
    }
}

/// All of `parts` in one piece.
pub(super) fn joined(parts: &[IoSlice<'_>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The pages that `[position, position + len)` touches: number, first byte within it, and which bytes of the range.
fn pages(position: u64, len: usize) -> impl Iterator<Item = (usize, usize, std::ops::Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = position + done as u64;
        let within = (at % PAGE_BYTES as u64) as usize;
        let part = done..len.min(done + PAGE_BYTES - within);
        done = part.end;
        (!part.is_empty()).then_some(((at / PAGE_BYTES as u64) as usize, within, part))
    })
}

/// `bytes` cut at the sector boundaries of the file.
fn sectors(mut position: u64, mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let to_boundary = (SECTOR_BYTES - position % SECTOR_BYTES) as usize;
        let (sector, rest) = bytes.split_at(to_boundary.min(bytes.len()));
        let at = position;
        position += sector.len() as u64;
        bytes = rest;
        (!sector.is_empty()).then_some((at, sector))
    })
}
