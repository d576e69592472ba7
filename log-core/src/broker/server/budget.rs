//! Memory that responses take until they are sent, over all connections.
//!
//! Nobody waits for it: a response that is there goes out, and what a slow reader keeps must not stop the others. What is
//! left decides how much a fetch may read instead. It gets a part of it, so that there is always something left for the
//! next one; when little is left everyone gets little, and one batch in any case.
//!
//! A fetch takes its part before it reads. One that waits for records holds nothing meanwhile, and what it may get then is
//! little. So what is taken goes over the limit by no more than that for each poll, and by one batch for each fetch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The part of what is left that one fetch may take.
const PART: usize = 4;
/// And this much at least.
const FETCH_BYTES_MIN: usize = 64 * 1024;
/// What a fetch may get that has waited, unless it waits for more.
const POLL_BYTES: u32 = 1024 * 1024;

/// How much there is, and how much of it is taken.
#[derive(Debug)]
pub(super) struct Budget {
    max: usize,
    taken: AtomicUsize,
}

/// What something takes; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0) })
    }

    /// Takes so many bytes, whether they are there or not.
    pub(super) fn take(self: &Arc<Self>, bytes: usize) -> Share {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        Share { budget: self.clone(), bytes }
    }

    /// How much a fetch may read that asks for `wanted` bytes.
    pub(super) fn for_fetch(&self, wanted: u32) -> u32 {
        let left = self.max.saturating_sub(self.taken.load(Ordering::Relaxed));
        u32::try_from((left / PART).max(FETCH_BYTES_MIN)).map_or(wanted, |part| part.min(wanted))
    }

    /// The same when it has waited for `min_bytes`.
    pub(super) fn for_poll(&self, wanted: u32, min_bytes: u32) -> u32 {
        self.for_fetch(wanted.min(min_bytes.max(POLL_BYTES)))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_later_gets_less_and_always_something() {
        let budget = Budget::new(64 << 20);
        let mut shares = Vec::new();
        let mut parts = Vec::new();
        for _ in 0..40 {
            let part = budget.for_fetch(50 << 20);
            parts.push(part);
            shares.push(budget.take(part as usize));
        }
        assert_eq!(parts[..3], [16 << 20, 12 << 20, 9 << 20]);
        assert!(parts.is_sorted_by(|a, b| a >= b));
        assert_eq!(*parts.last().unwrap() as usize, FETCH_BYTES_MIN);
        assert_eq!(budget.for_fetch(10), 10);
        drop(shares);
        assert_eq!(budget.for_fetch(u32::MAX), 16 << 20);
        assert_eq!(budget.for_poll(u32::MAX, 1), POLL_BYTES);
        assert_eq!(budget.for_poll(u32::MAX, 3 << 20), 3 << 20);
        assert_eq!(budget.for_poll(100, 3 << 20), 100);
        let all = budget.take(100 << 20);
        assert_eq!(budget.for_fetch(u32::MAX) as usize, FETCH_BYTES_MIN);
        drop(all);
    }
}
