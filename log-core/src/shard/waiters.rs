//! Who waits for an acknowledgement: sorted by offset, so that a flush pays only for those it completes.

use super::messages::{Reply, Token};
use crate::types::Offset;
use std::collections::VecDeque;

/// Replies that are due when the log is acknowledged up to their offsets.
#[derive(Debug, Default)]
pub(super) struct Waiters(VecDeque<Waiter>);

#[derive(Debug)]
struct Waiter {
    upto: Offset,
    token: Token,
    reply: Reply,
}

impl Waiters {
    /// Keeps `reply` until everything below `upto` is acknowledged. Appends come in order and go to the end; only one
    /// who asks for an earlier offset is put in between.
    pub(super) fn push(&mut self, upto: Offset, token: Token, reply: Reply) {
        let waiter = Waiter { upto, token, reply };
        match self.0.back() {
            Some(last) if last.upto > upto => {
                let at = self.0.partition_point(|other| other.upto <= upto);
                self.0.insert(at, waiter);
            }
            _ => self.0.push_back(waiter),
        }
    }

    /// The next reply that is due at `acknowledged`.
    pub(super) fn pop(&mut self, acknowledged: Offset) -> Option<(Token, Reply)> {
        let due = self.0.front().is_some_and(|first| first.upto <= acknowledged);
        let first = due.then(|| self.0.pop_front()).flatten()?;
        Some((first.token, first.reply))
    }

    /// Everyone who still waits, in vain.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Token> + '_ {
        self.0.drain(..).map(|waiter| waiter.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_popped_in_order_of_offset_and_then_of_arrival() {
        let mut waiters = Waiters::default();
        for (token, upto) in [5, 9, 5, 7, 12, 3].into_iter().enumerate() {
            waiters.push(upto, Token(token as u64), Reply::Acknowledged);
        }
        let mut popped = |upto| std::iter::from_fn(|| waiters.pop(upto).map(|(token, _)| token.0)).collect::<Vec<_>>();
        assert_eq!(popped(2), [0; 0]);
        assert_eq!(popped(7), [5, 0, 2, 3]);
        assert_eq!(popped(9), [1]);
        assert_eq!(waiters.give_up().map(|token| token.0).collect::<Vec<_>>(), [4]);
    }
}
