//! Memory for requests, over all connections: for those whose bytes have come, not for those that were announced.
//!
//! ```text
//!   up to FIRST_BYTES   received first, then given room: that much a connection may always take
//!   more                its first bytes likewise; then it waits for room for all of it, in the order of asking
//! ```
//! Whoever has room can receive the rest without waiting for others, so nobody waits in a circle. Small requests have room
//! of their own and do not wait behind large ones. Announcing costs a sender nothing and so gets it nothing; holding room
//! costs bytes: while others wait for room, who has some has to be fast ([`Memory::is_too_slow`]).

use super::ended::Ended;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a request may take before it has room.
pub(super) const FIRST_BYTES: usize = 16 * 1024;
/// The part that small requests get besides.
const SMALL_PART: usize = 8;
/// What a request has to bring each second that keeps others waiting.
const HASTE_BYTES: u64 = 1024 * 1024;
/// For so long it need not.
const GRACE: Duration = Duration::from_secs(1);

/// The memory there is.
#[derive(Debug)]
pub(super) struct Memory {
    all: Arc<Semaphore>,
    small: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// What a request takes; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// No room.
    pub(super) const NONE: Self = Self { _permit: None };
}

impl Memory {
    /// `max` bytes for requests, and a part more for small ones.
    pub(super) fn new(max: usize) -> Self {
        let small = Arc::new(Semaphore::new((max / SMALL_PART).max(FIRST_BYTES)));
        Self { all: Arc::new(Semaphore::new(max)), small, waiting: AtomicUsize::new(0) }
    }

    /// Room for a request of so many bytes, of which the first are there; waits until it is free.
    pub(super) async fn take(&self, bytes: usize) -> Result<Room, Ended> {
        // A frame's length has no more bits.
        let count = bytes as u32;
        if bytes <= FIRST_BYTES
            && let Ok(permit) = self.small.clone().try_acquire_many_owned(count)
        {
            return Ok(Room { _permit: Some(permit) });
        }
        if let Ok(permit) = self.all.clone().try_acquire_many_owned(count) {
            return Ok(Room { _permit: Some(permit) });
        }
        let _waiting = Waiting::new(&self.waiting);
        let permit = self.all.clone().acquire_many_owned(count).await.map_err(|_| Ended::Stopped)?;
        Ok(Room { _permit: Some(permit) })
    }

    /// Whether a sender that has had room for so long, and brought so many bytes since, keeps others waiting.
    pub(super) fn is_too_slow(&self, since: Duration, bytes: usize) -> bool {
        let owed = since.saturating_sub(GRACE).as_millis() as u64 * HASTE_BYTES / 1000;
        since > GRACE && (bytes as u64) < owed && self.waiting.load(Ordering::Relaxed) > 0
    }

    /// What is left, but for that of small requests.
    pub(super) fn free(&self) -> usize {
        self.all.available_permits()
    }

    /// What is left, of all and of that for small requests.
    #[cfg(test)]
    pub(super) fn left(&self) -> (usize, usize) {
        (self.all.available_permits(), self.small.available_permits())
    }
}

/// One more that waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[tokio::test]
    async fn small_requests_do_not_wait_for_large_ones() {
        let memory = Memory::new(1 << 20);
        let all = memory.take(1 << 20).await.unwrap();
        let small = memory.take(FIRST_BYTES).await.unwrap();
        assert_eq!(memory.left(), (0, (1 << 17) - FIRST_BYTES));
        assert!(memory.take(FIRST_BYTES + 1).now_or_never().is_none());
        drop((all, small));
        assert_eq!(memory.left(), (1 << 20, 1 << 17));
        // When theirs is used up they take of the other.
        let mut taken = Vec::new();
        for _ in 0..=(1 << 17) / FIRST_BYTES {
            taken.push(memory.take(FIRST_BYTES).await.unwrap());
        }
        assert_eq!(memory.left(), ((1 << 20) - FIRST_BYTES, 0));
    }

    #[tokio::test]
    async fn who_holds_room_is_hurried_while_others_wait() {
        let memory = Memory::new(1 << 20);
        let all = memory.take(1 << 20).await.unwrap();
        let long = Duration::from_secs(9);
        assert!(!memory.is_too_slow(long, 0), "nobody waits");
        let mut waiting = Box::pin(memory.take(1 << 19));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(memory.is_too_slow(long, (8 << 20) - 1) && !memory.is_too_slow(long, 8 << 20));
        assert!(!memory.is_too_slow(GRACE, 0));
        drop(all);
        assert!(waiting.as_mut().now_or_never().unwrap().is_ok());
        drop(waiting);
        assert!(!memory.is_too_slow(long, 0));
    }
}
