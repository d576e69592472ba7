//! One partition's leader: up to where its records are safe, and who is told so.
//!
//! ```text
//!   Own: this replica counts up to …  ┐                          ┌ HighWatermark: readers see up to here
//!   Follower: another has up to …     ├──▶ Leader::step ──▶ ─────┤
//!   InSync: these have to have it     ┘                          └ Acknowledge: who waited for it
//! ```
//! The high watermark is what every replica in sync has, and never goes back. What "has" means for this replica is its
//! topic's flush policy: on disk, or written (whoever steps the machine says `Own` then); a follower says it by where it
//! fetches next. It moves only while as many replicas are in sync as the topic asks for (KIP-966): otherwise what was
//! acknowledged could be on too few of them.
//!
//! Invariants.
//! - The high watermark is at most what this replica has, and at most what each follower in sync has.
//! - Who waits for an offset is answered once, when the high watermark is there, in order of offset and then of arrival.
//!
//! Pure, and without an allocation of its own where nobody has to wait: effects go to a function. The log keeps the high
//! watermark for readers and raises it itself when it was synced or written, which comes to the same as long as the
//! leader is alone.
//!
//! Left out: how a follower fetches, and who says which replicas are in sync; there is one broker.

#[cfg(test)]
mod tests;
mod waiters;

use crate::types::Offset;
use std::collections::BTreeMap;
use std::fmt;
use waiters::Waiters;

/// A broker, by its id.
pub(crate) type BrokerId = i32;

/// What a leader is told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "followers come with replication"))]
pub(crate) enum Input {
    /// This replica has everything below, as the topic understands it.
    Own { upto: Offset },
    /// A follower has everything below.
    Follower { broker: BrokerId, upto: Offset },
    /// Which followers are in sync now, and how many replicas have to be, this one included.
    InSync { followers: Vec<BrokerId>, least: u16 },
}

/// What follows from it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<T> {
    /// Readers see records below.
    HighWatermark(Offset),
    /// Somebody waited for this.
    Acknowledge(T),
}

/// The leader of one partition. `T` is what is given back when what it waits for is safe.
#[derive(Debug)]
pub(crate) struct Leader<T> {
    own: Offset,
    high_watermark: Offset,
    /// Those in sync besides this one, and how far each is.
    followers: BTreeMap<BrokerId, Offset>,
    /// How many replicas have to be in sync for the high watermark to move.
    least: u16,
    waiters: Waiters<T>,
}

impl<T> Leader<T> {
    /// A leader that is alone, with a log that is safe up to `high_watermark`.
    pub(crate) fn alone(high_watermark: Offset) -> Self {
        let (followers, waiters) = (BTreeMap::new(), Waiters::default());
        Self { own: high_watermark, high_watermark, followers, least: 1, waiters }
    }

    /// Up to where records are safe.
    pub(crate) fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Keeps `what` until everything below `upto` is safe; gives it back if it is already.
    pub(crate) fn wait(&mut self, upto: Offset, what: T) -> Option<T> {
        if upto <= self.high_watermark {
            return Some(what);
        }
        self.waiters.push(upto, what);
        None
    }

    /// Takes an input, and says what follows from it, in order.
    pub(crate) fn step(&mut self, input: Input, mut emit: impl FnMut(Effect<T>)) {
        match input {
            Input::Own { upto } => self.own = self.own.max(upto),
            Input::Follower { broker, upto } => {
                // One that is not in sync does not count, however far it is.
                if let Some(has) = self.followers.get_mut(&broker) {
                    *has = upto.max(*has);
                }
            }
            Input::InSync { followers, least } => {
                let has = |broker| self.followers.get(&broker).copied().unwrap_or(self.high_watermark);
                // One that joins has what was safe, or it would not be in sync.
                self.followers = followers.into_iter().map(|broker| (broker, has(broker))).collect();
                self.least = least;
            }
        }
        let replicas = 1 + self.followers.len();
        let safe = self.followers.values().copied().fold(self.own, Offset::min);
        if safe > self.high_watermark && replicas >= usize::from(self.least) {
            self.high_watermark = safe;
            emit(Effect::HighWatermark(safe));
        }
        while let Some(what) = self.waiters.pop(self.high_watermark) {
            emit(Effect::Acknowledge(what));
        }
    }

    /// Everyone who still waits, in vain.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = T> + '_ {
        self.waiters.give_up()
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { upto } => write!(f, "own log up to {upto}"),
            Self::Follower { broker, upto } => write!(f, "broker {broker} up to {upto}"),
            Self::InSync { followers, least } => write!(f, "in sync with {followers:?}, at least {least}"),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Effect<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HighWatermark(offset) => write!(f, "high watermark {offset}"),
            Self::Acknowledge(what) => write!(f, "acknowledge {what}"),
        }
    }
}
