//! Long polls: a request that waits for bytes is woken when there are enough of them, and reads again only where
//! something came.
//!
//! ```text
//!   fetch ── registers once ──▶ watch list of partition 0 ─┐
//!                           ──▶ watch list of partition 1 ─┤ readable end advances by n bytes:
//!                           ──▶ …                          ┘ mark the partition, need -= n, ring when need ≤ 0
//! ```
//! Between registering and the last read of a partition nothing is missed: who registers compares, afterwards, how
//! far each partition could be read with how far it was when it was read, and marks those that moved.
//!
//! Invariant: a partition that has advanced since it was last read for a poll is marked in it. So when a poll sleeps,
//! with nothing marked, `need` is what its reads lack.
//!
//! Left out: registrations that live on between requests (Kafka's fetch sessions, KIP-227).

use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Notify;

/// Those who wait for something to come: bytes of a partition, or anything else.
#[derive(Debug, Default)]
pub(super) struct WatchList(Mutex<Vec<Watcher>>);

#[derive(Debug)]
struct Watcher {
    poll: Arc<Poll>,
    /// What the poll calls this source.
    index: u32,
}

impl WatchList {
    /// So many bytes more can be had.
    pub(super) fn advance(&self, bytes: u64) {
        for watcher in self.0.lock().iter() {
            watcher.poll.mark(watcher.index, bytes);
        }
    }

    /// Something happened that everyone must look at.
    pub(super) fn wake(&self) {
        self.advance(u64::MAX);
    }

    /// How many wait.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

/// One request that waits.
#[derive(Debug)]
pub(super) struct Poll {
    state: Mutex<State>,
    bell: Notify,
}

#[derive(Debug)]
struct State {
    /// Bytes that must come before it is worth waking.
    need: u64,
    /// The sources that have advanced, each once.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
}

impl Poll {
    /// A poll of `n` sources, which it calls 0, 1, ….
    pub(super) fn new(n: usize) -> Arc<Self> {
        let state = State { need: u64::MAX, changed: Vec::with_capacity(n), is_changed: vec![false; n] };
        Arc::new(Self { state: Mutex::new(state), bell: Notify::new() })
    }

    /// Says that a source has so many bytes more.
    pub(super) fn mark(&self, index: u32, bytes: u64) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.is_changed[index as usize], true) {
            state.changed.push(index);
        }
        let enough = state.need <= bytes;
        state.need = state.need.saturating_sub(bytes);
        drop(state);
        if enough {
            self.bell.notify_one();
        }
    }

    /// Exchanges `changed`, which must be empty, for the sources that have advanced since the last time. Sets what is
    /// needed to wake; with nothing changed the poll may sleep then.
    pub(super) fn take(&self, need: u64, changed: &mut Vec<u32>) {
        let mut state = self.state.lock();
        state.need = need;
        std::mem::swap(&mut state.changed, changed);
        changed.iter().for_each(|index| state.is_changed[*index as usize] = false);
    }

    /// Sleeps until what is needed has come. It may wake without a reason.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// The registration of a poll; ends when it is dropped.
#[derive(Debug)]
pub(super) struct Watching<'a> {
    poll: &'a Arc<Poll>,
    lists: Vec<&'a WatchList>,
}

impl<'a> Watching<'a> {
    pub(super) fn new(poll: &'a Arc<Poll>) -> Self {
        Self { poll, lists: Vec::new() }
    }

    /// Registers with a source. What advances from here on is marked; the caller looks once itself after this.
    pub(super) fn add(&mut self, list: &'a WatchList, index: u32) {
        list.0.lock().push(Watcher { poll: self.poll.clone(), index });
        self.lists.push(list);
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        for list in &self.lists {
            let mut watchers = list.0.lock();
            if let Some(at) = watchers.iter().position(|watcher| Arc::ptr_eq(&watcher.poll, self.poll)) {
                watchers.swap_remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn is_rung(poll: &Poll) -> bool {
        poll.rung().now_or_never().is_some()
    }

    #[test]
    fn it_rings_when_enough_has_come_from_all_together() {
        let lists: Vec<WatchList> = (0..3).map(|_| WatchList::default()).collect();
        let poll = Poll::new(3);
        let mut watching = Watching::new(&poll);
        lists.iter().enumerate().for_each(|(index, list)| watching.add(list, index as u32));
        let mut changed = Vec::new();
        poll.take(100, &mut changed);
        lists[2].advance(60);
        lists[2].advance(30);
        assert!(!is_rung(&poll));
        lists[0].advance(10);
        assert!(is_rung(&poll));
        poll.take(50, &mut changed);
        assert_eq!(changed, [2, 0]);
        changed.clear();
        poll.take(50, &mut changed);
        assert!(changed.is_empty() && !is_rung(&poll));
        lists[1].wake();
        assert!(is_rung(&poll));
        drop(watching);
        assert!(lists.iter().all(|list| list.len() == 0));
    }

    #[test]
    fn what_comes_before_the_need_is_known_is_marked() {
        let list = WatchList::default();
        let poll = Poll::new(1);
        let mut watching = Watching::new(&poll);
        watching.add(&list, 0);
        list.advance(7);
        let mut changed = Vec::new();
        poll.take(1, &mut changed);
        assert_eq!(changed, [0]);
    }
}
