//! Memory that reads are read into, used again when nobody holds what was read.
//!
//! A fetch returns about a megabyte, again and again. From the allocator such a piece comes as fresh pages, and to fault
//! them in costs about as much as to fill them; used again, the buffer that was let go last is still in the processor's
//! cache. So what a read returns gives its buffer back when the last slice of it is dropped.
//!
//! Invariants: at most so many bytes lie unused; a buffer is never much larger than what it is used for; nobody sees what
//! a buffer held before, because [`Buffer::freeze`] returns only what was filled.

use bytes::Bytes;
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::{Arc, Weak};

/// Smaller buffers are cheaper to allocate than to look for.
const SMALL_BYTES: usize = 16 * 1024;
/// Buffers come in multiples of this, so that they fit more than one length.
const STEP_BYTES: usize = 16 * 1024;

/// Buffers that nobody uses.
#[derive(Debug)]
pub(super) struct Buffers {
    max_bytes: usize,
    free: Mutex<Free>,
}

#[derive(Debug, Default)]
struct Free {
    bytes: usize,
    /// The one that was let go last is the last.
    buffers: Vec<Vec<u8>>,
}

/// Memory to read into.
#[derive(Debug)]
pub(super) struct Buffer {
    /// At least as long as what was asked for.
    bytes: Vec<u8>,
    len: usize,
    home: Weak<Buffers>,
}

impl Buffers {
    /// At most `max_bytes` are kept while nobody uses them.
    pub(super) fn new(max_bytes: usize) -> Arc<Self> {
        Arc::new(Self { max_bytes, free: Mutex::default() })
    }

    /// A buffer of `len` bytes, with whatever is in it.
    pub(super) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        if len < SMALL_BYTES {
            return Buffer { bytes: vec![0; len], len, home: Weak::new() };
        }
        let found = {
            let mut free = self.free.lock();
            let fits = |buffer: &Vec<u8>| buffer.len() >= len && buffer.len() / 2 <= len;
            let found = free.buffers.iter().rposition(fits).map(|at| free.buffers.remove(at));
            free.bytes -= found.as_ref().map_or(0, Vec::len);
            found
        };
        let bytes = found.unwrap_or_else(|| vec![0; len.next_multiple_of(STEP_BYTES)]);
        Buffer { bytes, len, home: Arc::downgrade(self) }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut free = self.free.lock();
        if free.bytes + buffer.len() <= self.max_bytes {
            free.bytes += buffer.len();
            free.buffers.push(buffer);
        }
    }
}

impl Buffer {
    /// All of it, to be filled.
    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    /// Part of it, which was filled, to be shared.
    pub(super) fn freeze(self, filled: Range<usize>) -> Bytes {
        Bytes::from_owner(self).slice(filled)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unused(buffers: &Buffers) -> Vec<usize> {
        let free = buffers.free.lock();
        let lens: Vec<usize> = free.buffers.iter().map(Vec::len).collect();
        assert_eq!(lens.iter().sum::<usize>(), free.bytes);
        lens
    }

    #[test]
    fn a_buffer_is_used_again_when_the_last_slice_of_it_is_gone() {
        let buffers = Buffers::new(1 << 20);
        let mut buffer = buffers.take(100_000);
        buffer.as_mut().fill(7);
        let whole = buffer.freeze(0..100_000);
        let part = whole.slice(10..20);
        drop(whole);
        assert!(unused(&buffers).is_empty());
        assert_eq!(part, &[7; 10][..]);
        drop(part);
        assert_eq!(unused(&buffers), [7 * STEP_BYTES]);
        assert_eq!(buffers.take(90_000).as_ref().len(), 90_000);
        assert_eq!(unused(&buffers), [7 * STEP_BYTES], "taken and given back");
    }

    #[test]
    fn one_that_is_much_too_large_is_left() {
        let buffers = Buffers::new(1 << 20);
        drop(buffers.take(500_000));
        let small = buffers.take(100_000);
        assert_eq!(unused(&buffers).len(), 1);
        drop(small);
        assert_eq!(unused(&buffers).len(), 2);
        drop(buffers.take(300_000));
        assert_eq!(unused(&buffers).len(), 2, "a large one for more than half of it");
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let buffers = Buffers::new(200_000);
        let taken: Vec<Buffer> = (0..3).map(|_| buffers.take(6 * STEP_BYTES)).collect();
        drop(taken);
        assert_eq!(unused(&buffers), [6 * STEP_BYTES; 2]);
        drop(buffers.take(100));
        assert_eq!(unused(&buffers).len(), 2, "small ones are not kept");
        let left = buffers.take(6 * STEP_BYTES);
        drop(buffers);
        drop(left.freeze(0..1));
    }
}
