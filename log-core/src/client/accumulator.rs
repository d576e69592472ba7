//! Records that gather into batches while the batch before them is on its way. Pure: no clock, no task, no I/O.
//!
//! ```text
//!   push ──▶ [open batch] ──full──▶ [full] [full] ──take──▶ one in flight
//! ```
//! `take` prefers full batches and falls back to the open one, so at low load a record goes at once and at high load
//! batches grow by themselves, up to `batch_bytes`.

use super::completion::Completion;
use crate::record::{BatchBuilder, Compression, Record};
use std::collections::VecDeque;
use std::sync::Arc;

/// The batches of one partition that are not sent yet.
#[derive(Debug)]
pub(super) struct Accumulator {
    compression: Compression,
    /// A batch is closed rather than grow over this.
    batch_bytes: usize,
    /// The topic's limit; a record that alone is over it cannot be sent.
    batch_bytes_max: usize,
    full: VecDeque<Gathered>,
    open: Option<Gathered>,
}

/// A batch that gathers or waits.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) builder: BatchBuilder,
    pub(super) completion: Arc<Completion>,
    /// What its records hold of the producer's buffer.
    pub(super) permits: usize,
}

impl Accumulator {
    pub(super) fn new(compression: Compression, batch_bytes: usize, batch_bytes_max: usize) -> Self {
        let batch_bytes = batch_bytes.min(batch_bytes_max);
        Self { compression, batch_bytes, batch_bytes_max, full: VecDeque::new(), open: None }
    }

    /// Puts a record into the open batch. Returns the batch's completion and the record's place in it, or the bytes
    /// that its batch would have, if that is over the topic's limit.
    pub(super) fn push(&mut self, record: &Record, permits: usize) -> Result<(Arc<Completion>, u32), u64> {
        if let Some(open) = self.open.take_if(|open| !open.builder.fits(record, self.batch_bytes)) {
            self.full.push_back(open);
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let builder = BatchBuilder::new(self.compression);
                if !builder.fits(record, self.batch_bytes_max) {
                    return Err(builder.size_with(record) as u64);
                }
                none.insert(Gathered { builder, completion: Arc::default(), permits: 0 })
            }
        };
        let index = open.builder.len() as u32;
        open.builder.push(record);
        open.permits += permits;
        Ok((open.completion.clone(), index))
    }

    /// The next batch to send: the oldest.
    pub(super) fn take(&mut self) -> Option<Gathered> {
        self.full.pop_front().or_else(|| self.open.take())
    }

    /// Whether a batch is full and need not linger.
    pub(super) fn has_full(&self) -> bool {
        !self.full.is_empty()
    }

    /// How many records the open batch has.
    pub(super) fn open_records(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.builder.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.is_none()
    }

    /// The completion of the youngest batch.
    pub(super) fn last(&self) -> Option<&Arc<Completion>> {
        self.open.as_ref().or(self.full.back()).map(|batch| &batch.completion)
    }
}
