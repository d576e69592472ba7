//! Producer ids that may be given out: a block of them, which the metadata log will give to nobody else.

use std::ops::Range;

/// What is left of a block.
#[derive(Clone, Debug, Default)]
pub(super) struct ProducerIds(Range<i64>);

impl ProducerIds {
    pub(super) fn left(&self) -> u64 {
        u64::try_from(self.0.end - self.0.start).unwrap_or(0)
    }

    /// Goes on with another block. If it does not follow the one before, what was left of that is never used.
    pub(super) fn grant(&mut self, block: Range<i64>) {
        match self.0.end == block.start {
            true => self.0.end = block.end,
            false => self.0 = block,
        }
    }

    pub(super) fn take(&mut self) -> Option<i64> {
        self.0.next()
    }
}
