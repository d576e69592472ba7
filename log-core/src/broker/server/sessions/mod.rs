//! Fetch sessions (KIP-227): a client says once what it reads, then only what changes, and is told only what is new.
//!
//! ```text
//!   request ──▶ begin ──▶ what to read ──▶ (the broker reads) ──▶ end ──▶ which partitions the answer has
//! ```
//! Pure: time is an argument and chance a seeded generator. A session is known by its number and the epoch that its next
//! request has; whoever has another epoch is refused and begins anew. Sessions belong to no connection, and whether the
//! peer may read a partition is asked at every request, not here.
//!
//! Invariants.
//! - What a client has been told, put together, is what a request without a session would have told it: see the tests.
//! - Sessions and their partitions are bounded over all clients. When there is no room, one that nobody has used for a
//!   while goes, or an old one that is smaller; else the client has no session, which is always an answer.
//! - A partition that had records goes behind the others, so that each is read first in its turn.
//!
//! Left out: sessions of followers, which are not served here.

mod session;
#[cfg(test)]
mod tests;

pub(super) use session::{Key, Seen, Topic, Wanted};

use crate::env::Rng;
use crate::types::Instant;
use session::Session;
use std::collections::BTreeMap;
use std::time::Duration;

/// Sessions at once (Kafka's `max.incremental.fetch.session.cache.slots`).
const SESSIONS_MAX: usize = 1000;
/// Partitions in all of them; each takes some hundred bytes.
const PARTITIONS_MAX: usize = 500_000;
/// A session is not in the way of others for so long after its last use, or its beginning (Kafka's two minutes).
const KEPT: Duration = Duration::from_mins(2);
/// The number of no session.
const NONE: i32 = 0;
/// The epoch of a request that begins a session.
const FIRST_EPOCH: i32 = 0;
/// The epoch of a request that ends one, or wants none.
const FINAL_EPOCH: i32 = -1;

/// All sessions of a server.
#[derive(Debug)]
pub(super) struct Sessions {
    by_id: BTreeMap<i32, Session>,
    /// Over all sessions.
    partitions: usize,
    rng: Rng,
    sessions_max: usize,
    partitions_max: usize,
}

/// What a request says of its session.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) id: i32,
    pub(super) epoch: i32,
    /// Whether its version names topics by id.
    pub(super) by_id: bool,
    pub(super) wanted: Vec<Wanted>,
    pub(super) forgotten: Vec<Key>,
}

/// What a request is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// One without a session.
    Alone,
    /// The first one of a session, if there is room for it.
    First { by_id: bool },
    /// The next one of a session.
    Next { id: i32, epoch: i32 },
}

/// Why a request cannot be the next one of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    UnknownId,
    WrongEpoch,
    /// It names topics by id and the session by name, or the other way round.
    MixedTopics,
}

impl Sessions {
    pub(super) fn new(seed: u64) -> Self {
        Self::bounded(seed, SESSIONS_MAX, PARTITIONS_MAX)
    }

    fn bounded(seed: u64, sessions_max: usize, partitions_max: usize) -> Self {
        let rng = Rng::seeded(seed);
        Self { by_id: BTreeMap::new(), partitions: 0, rng, sessions_max, partitions_max }
    }

    /// What a request is, and all that it wants to read, in the order in which it is to be read.
    pub(super) fn begin(&mut self, now: Instant, asked: Asked) -> Result<(Begun, Vec<Wanted>), Refused> {
        let Asked { id, epoch, by_id, wanted, forgotten } = asked;
        if epoch == FIRST_EPOCH || epoch == FINAL_EPOCH {
            self.remove(id);
            let begins = epoch == FIRST_EPOCH && !wanted.is_empty();
            return Ok((if begins { Begun::First { by_id } } else { Begun::Alone }, wanted));
        }
        let session = self.by_id.get_mut(&id).ok_or(Refused::UnknownId)?;
        if session.epoch != epoch {
            return Err(Refused::WrongEpoch);
        }
        if session.by_id != by_id {
            return Err(Refused::MixedTopics);
        }
        let before = session.len();
        session.update(wanted, &forgotten);
        session.used = now;
        session.epoch = next(epoch);
        let (after, epoch) = (session.len(), session.epoch);
        self.partitions = self.partitions - before + after;
        if after == 0 {
            self.remove(id);
            return Ok((Begun::Alone, Vec::new()));
        }
        let all = session.wanted();
        if self.partitions > self.partitions_max {
            // It begins anew, and then finds that there is no room.
            self.remove(id);
            return Err(Refused::UnknownId);
        }
        Ok((Begun::Next { id, epoch }, all))
    }

    /// What was read for a request: the number that the answer has, and of each partition whether it is in the answer.
    pub(super) fn end(
        &mut self,
        now: Instant,
        begun: &Begun,
        read: &[(Wanted, Seen)],
    ) -> Result<(i32, Vec<bool>), Refused> {
        let all = || vec![true; read.len()];
        match *begun {
            Begun::Alone => Ok((NONE, all())),
            Begun::First { by_id } if self.make_room(now, read.len()) => {
                let mut session = Session::new(by_id, now, next(FIRST_EPOCH));
                session.update(read.iter().map(|(wanted, _)| wanted.clone()).collect(), &[]);
                for (wanted, seen) in read {
                    session.tell(&wanted.key, seen);
                }
                let id = self.fresh_id();
                self.partitions += session.len();
                self.by_id.insert(id, session);
                Ok((id, all()))
            }
            Begun::First { .. } => Ok((NONE, all())),
            Begun::Next { id, epoch } => {
                let session = self.by_id.get_mut(&id).ok_or(Refused::UnknownId)?;
                if session.epoch != epoch {
                    return Err(Refused::WrongEpoch);
                }
                Ok((id, read.iter().map(|(wanted, seen)| session.tell(&wanted.key, seen)).collect()))
            }
        }
    }

    /// Whether there is room for a session of so many partitions, after others had to go.
    fn make_room(&mut self, now: Instant, partitions: usize) -> bool {
        while self.by_id.len() >= self.sessions_max || self.partitions + partitions > self.partitions_max {
            let idle = self.by_id.iter().min_by_key(|(_, session)| session.used);
            let idle = idle.filter(|(_, session)| now.since(session.used) > KEPT);
            let small = || {
                let old = self.by_id.iter().filter(|(_, session)| now.since(session.begun) > KEPT);
                old.min_by_key(|(_, session)| session.len()).filter(|(_, session)| session.len() <= partitions)
            };
            let Some((&id, _)) = idle.or_else(small) else { return false };
            self.remove(id);
        }
        true
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.by_id.remove(&id) {
            self.partitions -= session.len();
        }
    }

    /// A number above 0 that no session has, and that is not easily guessed.
    fn fresh_id(&mut self) -> i32 {
        loop {
            let id = 1 + self.rng.below(i32::MAX as u64) as i32;
            if !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }
}

/// The epoch behind one: from 1 on, and from the last one to 1 again.
const fn next(epoch: i32) -> i32 {
    if epoch == i32::MAX { 1 } else { epoch + 1 }
}
