//! Who waits for an acknowledgement: sorted by offset, so that a step pays only for those it completes.

use crate::types::Offset;
use std::collections::VecDeque;

/// What is due when everything below an offset is safe.
#[derive(Debug)]
pub(super) struct Waiters<T>(VecDeque<(Offset, T)>);

impl<T> Default for Waiters<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Waiters<T> {
    /// Keeps `what` until everything below `upto` is safe. Appends come in order and go to the end; only one who asks
    /// for an earlier offset is put in between.
    pub(super) fn push(&mut self, upto: Offset, what: T) {
        match self.0.back() {
            Some((last, _)) if *last > upto => {
                let at = self.0.partition_point(|(other, _)| *other <= upto);
                self.0.insert(at, (upto, what));
            }
            _ => self.0.push_back((upto, what)),
        }
    }

    /// The next that is due at `safe`.
    pub(super) fn pop(&mut self, safe: Offset) -> Option<T> {
        let is_due = self.0.front().is_some_and(|(upto, _)| *upto <= safe);
        is_due.then(|| self.0.pop_front()).flatten().map(|(_, what)| what)
    }

    /// Everyone who still waits, in vain.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = T> + '_ {
        self.0.drain(..).map(|(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_popped_in_order_of_offset_and_then_of_arrival() {
        let mut waiters = Waiters::default();
        for (token, upto) in [5, 9, 5, 7, 12, 3].into_iter().enumerate() {
            waiters.push(upto, token);
        }
        let mut popped = |upto| std::iter::from_fn(|| waiters.pop(upto)).collect::<Vec<_>>();
        assert_eq!(popped(2), [0; 0]);
        assert_eq!(popped(7), [5, 0, 2, 3]);
        assert_eq!(popped(9), [1]);
        assert_eq!(waiters.give_up().collect::<Vec<_>>(), [4]);
    }
}
