//! Walking the batches of a segment file, each with what can be checked of it.

use super::index::Place;
use crate::env::File;
use crate::record::{BATCH_HEAD_BYTES, BATCH_HEADER_BYTES, BatchHeader, verify_crc};
use std::io;
use std::sync::Arc;

/// Bytes read at once where headers suffice.
const HEADERS_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes read at once where every byte is checked.
const CHECKSUMS_CHUNK_BYTES: usize = 1024 * 1024;

/// How much of a batch to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// That its header is one, and in its place.
    Header,
    /// Its checksum too, which makes every byte of it certain.
    Checksum,
}

/// What a scan finds next.
#[derive(Debug)]
pub(super) enum Found {
    /// A batch; `head` is the part of its header that its checksum does not cover.
    Batch { place: Place, header: BatchHeader, head: [u8; BATCH_HEAD_BYTES] },
    /// Nothing follows. The place is where the next batch goes.
    End { place: Place },
    /// What follows is not the batch that should be there. A scan stays here.
    Bad { place: Place, why: String },
}

/// Reads one segment front to back.
#[derive(Debug)]
pub(super) struct Scanner {
    file: Arc<dyn File>,
    next: Place,
    /// Of the batch before; epochs only grow.
    leader_epoch: i32,
    end: u64,
    /// Whether offsets may be missing between batches.
    has_gaps: bool,
    /// What was read last lies in its first `filled` bytes.
    chunk: Vec<u8>,
    filled: usize,
    chunk_position: u64,
}

impl Scanner {
    /// Starts at a batch boundary; `end` is how far the file is to be believed, in bytes.
    pub(super) const fn new(file: Arc<dyn File>, from: Place, end: u64, has_gaps: bool) -> Self {
        Self { file, next: from, leader_epoch: 0, end, has_gaps, chunk: Vec::new(), filled: 0, chunk_position: 0 }
    }

    /// The next batch. An error is one of reading, not of what was read.
    pub(super) fn next(&mut self, check: Check) -> io::Result<Found> {
        let place = self.next;
        let left = self.end.saturating_sub(place.position);
        if left == 0 {
            return Ok(Found::End { place });
        }
        let bad = |why| Ok(Found::Bad { place, why });
        let header = match BatchHeader::parse(self.bytes_at(place.position, BATCH_HEADER_BYTES, check)?) {
            Ok(Some(header)) => header,
            Ok(None) => return bad(format!("{left} bytes are less than a batch header")),
            Err(error) => return bad(error.to_string()),
        };
        if let Some(why) = self.misplaced(&header) {
            return bad(why);
        }
        if header.total_bytes() as u64 > left {
            return bad(format!("a batch of {} bytes has only {left} left", header.total_bytes()));
        }
        let wanted = if check == Check::Checksum { header.total_bytes() } else { BATCH_HEADER_BYTES };
        let bytes = self.bytes_at(place.position, wanted, check)?;
        if bytes.len() < wanted {
            return bad(format!("the file ends {} bytes into a batch", bytes.len()));
        }
        if check == Check::Checksum
            && let Err(error) = verify_crc(bytes)
        {
            return bad(error.to_string());
        }
        let head = *bytes.first_chunk().expect("a header is longer than its head");
        self.leader_epoch = header.leader_epoch;
        self.next = Place { offset: header.next_offset(), position: place.position + header.total_bytes() as u64 };
        Ok(Found::Batch { place: Place { offset: header.base_offset, ..place }, header, head })
    }

    /// Why a batch is not one that can come next, if it is not. Its checksum does not cover these fields.
    fn misplaced(&self, header: &BatchHeader) -> Option<String> {
        let (found, expected) = (header.base_offset, self.next.offset);
        if found < expected || (found > expected && !self.has_gaps) {
            return Some(format!("a batch begins at offset {found} where {expected} was expected"));
        }
        let (found, before) = (header.leader_epoch, self.leader_epoch);
        (found < before).then(|| format!("a batch of leader epoch {found} follows one of {before}"))
    }

    /// `len` bytes at `position`, fewer at the end.
    fn bytes_at(&mut self, position: u64, len: usize, check: Check) -> io::Result<&[u8]> {
        let held = position.checked_sub(self.chunk_position).and_then(|start| usize::try_from(start).ok());
        let start = held.filter(|start| *start <= self.filled).unwrap_or(self.filled);
        let available = self.filled - start;
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        if available >= len.min(left) {
            return Ok(&self.chunk[start..self.filled.min(start + len)]);
        }
        let chunk = match check {
            Check::Header => HEADERS_CHUNK_BYTES,
            Check::Checksum => CHECKSUMS_CHUNK_BYTES,
        };
        // What is here of it moves to the front and is not read again.
        self.chunk.copy_within(start..self.filled, 0);
        (self.chunk_position, self.filled) = (position, available);
        let wanted = len.max(chunk).min(left);
        if self.chunk.len() < wanted {
            self.chunk.resize(wanted, 0);
        }
        self.filled += self.file.read_at(&mut self.chunk[available..wanted], position + available as u64)?;
        Ok(&self.chunk[..self.filled.min(len)])
    }
}
