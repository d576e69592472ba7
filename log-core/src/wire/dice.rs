//! Random messages, from a seed: small numbers and short arrays mostly, now and then an extreme.

use super::text::Str;
use crate::env::Rng;
use bytes::Bytes;

/// Draws the content of one message.
pub(crate) struct Dice {
    rng: Rng,
    /// Elements of arrays that are left to be made; then arrays are empty.
    elements: usize,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: Rng::seeded(seed), elements: 60 }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    /// A number of `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = match self.below(4) {
            0 => return std::array::from_fn(|_| self.next() as u8),
            1 => [0xff; N],
            _ => [0; N],
        };
        bytes[N - 1] = self.below(100) as u8;
        bytes
    }

    pub(crate) fn text(&mut self) -> Str {
        let length = if self.below(20) == 0 { 200 } else { self.below(8) };
        Str::from((0..length).map(|_| ['a', 'ä', '.', '€'][self.below(4)]).collect::<String>())
    }

    pub(crate) fn bytes(&mut self) -> Bytes {
        let length = if self.below(4) == 0 { 1500 } else { self.below(8) };
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// The length of an array.
    pub(crate) fn count(&mut self) -> usize {
        let count = self.below(4).min(self.elements);
        self.elements -= count;
        count
    }
}
