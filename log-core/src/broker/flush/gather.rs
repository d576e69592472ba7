//! How long does a round wait for those who are about to come?
//!
//! Whoever waits for acknowledgements appends again when it gets them, so the partitions of a round come back together, but
//! not at the same instant. A round that began with the first of them would leave all others to the next one, and each
//! commit would take two rounds. So a round waits until as many are dirty as took part in the last two rounds, for a
//! fraction of what a round takes and only while more keep coming. One partition alone never waits.

use std::collections::HashSet;
use std::time::Duration;

/// A round waits for one part in so many of what the last one took.
const PATIENCE_PART: u32 = 2;
/// Or until nobody has come for one part in so many of it.
const PAUSE_PART: u32 = 8;
/// Bounds of that pause: a thread is not woken more precisely, and a slow disk is no reason to wait for long.
const PAUSE_MIN: Duration = Duration::from_micros(50);
const PAUSE_MAX: Duration = Duration::from_millis(1);

/// Who took part in rounds, and how long they took.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Of the last round.
    last: HashSet<usize>,
    /// Of the last two.
    expected: usize,
    took: Duration,
}

impl Gather {
    /// A round over `partitions`, each a number of its own, has ended.
    pub(super) fn note(&mut self, partitions: impl IntoIterator<Item = usize>, took: Duration) {
        let round: HashSet<usize> = partitions.into_iter().collect();
        self.expected = round.union(&self.last).count();
        (self.last, self.took) = (round, took);
    }

    /// How many partitions are worth waiting for.
    pub(super) fn expected(&self) -> usize {
        self.expected
    }

    /// How long to wait for them.
    pub(super) fn patience(&self) -> Duration {
        self.took / PATIENCE_PART
    }

    /// How long to wait for one more.
    pub(super) fn pause(&self) -> Duration {
        (self.took / PAUSE_PART).clamp(PAUSE_MIN, PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(4);

    #[test]
    fn one_alone_is_not_waited_with() {
        let mut gather = Gather::default();
        assert_eq!(gather.expected(), 0);
        gather.note([7], TOOK);
        gather.note([7], TOOK);
        assert_eq!(gather.expected(), 1, "it is there when the round begins");
    }

    #[test]
    fn those_who_were_split_over_two_rounds_are_expected_together() {
        let mut gather = Gather::default();
        gather.note([0], TOOK);
        gather.note(1..16, TOOK);
        assert_eq!(gather.expected(), 16);
        gather.note(0..16, TOOK);
        assert_eq!(gather.expected(), 16);
    }

    #[test]
    fn who_stays_away_is_forgotten() {
        let mut gather = Gather::default();
        gather.note(0..16, TOOK);
        gather.note([3], TOOK);
        assert_eq!(gather.expected(), 16);
        gather.note([3], TOOK);
        assert_eq!(gather.expected(), 1);
    }

    #[test]
    fn nobody_waits_for_as_long_as_a_round_takes() {
        let mut gather = Gather::default();
        for took in [Duration::ZERO, Duration::from_micros(200), TOOK, Duration::from_secs(2)] {
            gather.note([0], took);
            assert!(gather.patience() <= took / 2 && gather.pause() <= PAUSE_MAX);
        }
    }
}
