//! Hostile input: gives bytes to a decoder and watches what it takes of the heap. For the corpus beside this file, which
//! the tests run, and for the fuzzers in `fuzz/`.
//!
//! The allocator of whoever links this counts by thread what is allocated and not yet freed. A reallocation counts as the
//! old and the new bytes together, as if it had moved. What C libraries allocate for themselves (zstd's window) is not
//! seen.
//!
//! Left out: how long it takes, which fuzzers watch.

#![allow(unsafe_code, reason = "an allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tailwater_log::Result;
use tailwater_log::fuzzing::{Check, Decoder};

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    let live = LIVE.get() + bytes;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

// A layout has at most `isize::MAX` bytes.
// SAFETY: all of it is the system's allocator, which gets the arguments as they came. Counting does not allocate: the
// counters are constant at first and have no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the rules of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps to the rules of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps to the rules of `dealloc`.
        unsafe { System.dealloc(start, layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize);
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps to the rules of `realloc`.
        unsafe { System.realloc(start, layout, size) }
    }
}

/// What `work` returns, and the most that this thread had allocated meanwhile beyond what it had before.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = LIVE.get();
    PEAK.set(before);
    let done = work();
    (done, PEAK.get().saturating_sub(before).try_into().unwrap_or(0))
}

/// Decodes an input within its bound, and what was decoded is looked at; whether there was anything.
///
/// # Panics
/// If the decoder does, takes too much, or has decoded nonsense.
pub fn attack(decoder: &Decoder, input: &[u8]) -> Result<()> {
    let (decoded, peak): (Result<Check>, usize) = peak_of(|| decoder.decode(input));
    let (bytes, max) = (input.len(), decoder.heap_max(input.len()));
    assert!(peak <= max, "{}: {bytes} bytes took {peak} of the heap, and {max} are allowed", decoder.name);
    decoded.map(|check| check())
}

/// The same by the decoder's name, for the targets of the fuzzers.
///
/// # Panics
/// As [`attack`], and if there is no such decoder.
pub fn attack_named(name: &str, input: &[u8]) {
    let decoder = Decoder::named(name).unwrap_or_else(|| panic!("there is no decoder `{name}`"));
    let _ = attack(decoder, input);
}
