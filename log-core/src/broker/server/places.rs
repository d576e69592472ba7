//! How many connections there are, in all and from each address; and who has to go when there are too many.
//!
//! A connection that has not asked for anything yet costs its sender nothing. So when every place is taken, the one that
//! has been silent for longest makes room for the next: whoever asks at once is served, however many come and say nothing.

use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Without those that have been told to go.
    all: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Those that have not asked for anything yet, in the order in which they came.
    silent: BTreeMap<u64, Arc<Notify>>,
    next: u64,
}

/// The place of a connection, for as long as it is there.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    number: u64,
    lost: Arc<Notify>,
    is_kept: AtomicBool,
}

impl Places {
    pub(super) fn new(max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { max, per_address_max, taken: Mutex::default() })
    }

    /// How many there are.
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().all
    }

    /// A place for a connection from `address`; `None` if there are enough.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken.lock();
        let of_address = taken.by_address.get(&address).copied().unwrap_or(0);
        if of_address >= self.per_address_max {
            return None;
        }
        if taken.all >= self.max {
            // It gives back its place here, and its address' when it is gone.
            let (_, lost) = taken.silent.pop_first()?;
            taken.all -= 1;
            lost.notify_one();
        }
        let (number, lost) = (taken.next, Arc::new(Notify::new()));
        taken.all += 1;
        taken.next += 1;
        taken.by_address.insert(address, of_address + 1);
        taken.silent.insert(number, lost.clone());
        Some(Place { places: self.clone(), address, number, lost, is_kept: AtomicBool::new(false) })
    }
}

impl Place {
    /// It has asked for something: it stays.
    pub(super) fn keep(&self) {
        if self.places.taken.lock().silent.remove(&self.number).is_some() {
            self.is_kept.store(true, Ordering::Relaxed);
        }
    }

    /// Returns when somebody else has got the place.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        let was_silent = taken.silent.remove(&self.number).is_some();
        if was_silent || self.is_kept.load(Ordering::Relaxed) {
            taken.all -= 1;
        }
        let of_address = taken.by_address.get(&self.address).copied().unwrap_or(0);
        match of_address {
            0 | 1 => taken.by_address.remove(&self.address),
            more => taken.by_address.insert(self.address, more - 1),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn places_are_limited_in_all_and_by_address_and_come_back() {
        let (a, b, c) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into());
        let places = Places::new(3, 2);
        let take = |address| places.take(address).inspect(Place::keep);
        let first = take(a).unwrap();
        let second = take(a).unwrap();
        assert!(take(a).is_none());
        let third = take(b).unwrap();
        assert!(take(c).is_none());
        drop(first);
        let fourth = take(c).unwrap();
        drop((second, third, fourth));
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.by_address.len(), taken.silent.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn who_has_been_silent_for_longest_makes_room() {
        let address = |n| IpAddr::from([10, 0, 0, n]);
        let places = Places::new(3, 2);
        let kept = places.take(address(1)).unwrap();
        kept.keep();
        let silent = places.take(address(1)).unwrap();
        let second = places.take(address(2)).unwrap();
        assert!(places.take(address(1)).is_none(), "an address has no more for that");
        let third = places.take(address(3)).unwrap();
        silent.lost().await;
        assert!(second.lost().now_or_never().is_none() && kept.lost().now_or_never().is_none());
        silent.keep();
        second.keep();
        third.keep();
        assert!(places.take(address(3)).is_none(), "all have asked for something");
        drop(silent);
        assert!(places.take(address(3)).is_none(), "its place has been given away");
        drop((kept, second, third));
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.by_address.len(), taken.silent.len()), (0, 0, 0));
    }
}
