//! How many connections there are, in all and from each address.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// The place of a connection, for as long as it is there.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
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
        if taken.all >= self.max || of_address >= self.per_address_max {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, of_address + 1);
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all -= 1;
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

    #[test]
    fn places_are_limited_in_all_and_by_address_and_come_back() {
        let (a, b, c) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), [10, 0, 0, 3].into());
        let places = Places::new(3, 2);
        let first = places.take(a).unwrap();
        let second = places.take(a).unwrap();
        assert!(places.take(a).is_none());
        let third = places.take(b).unwrap();
        assert!(places.take(c).is_none());
        drop(first);
        let fourth = places.take(c).unwrap();
        drop((second, third, fourth));
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.by_address.len()), (0, 0));
    }
}
