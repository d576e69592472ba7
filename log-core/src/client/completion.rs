//! What a batch's senders wait on: one shared result for the batch, no channel and no task per record.

use super::SentTo;
use crate::types::{Error, Offset, PartitionIndex, Result};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// The fate of one batch: its base offset, or why it was not stored.
#[derive(Debug, Default)]
pub(super) struct Completion {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<Offset>>,
    wakers: Vec<Waker>,
}

impl Completion {
    /// Tells everyone who waits. Only the first call counts.
    pub(super) fn complete(&self, result: Result<Offset>) {
        let wakers = {
            let mut state = self.state.lock();
            state.result.get_or_insert(result);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Resolves when the record is acknowledged by the topic's flush policy. Dropping it does not unsend the record.
#[derive(Debug)]
pub struct Delivery(Inner);

#[derive(Debug)]
enum Inner {
    /// It never reached a batch.
    Failed(Error),
    InBatch {
        batch: Arc<Completion>,
        /// The record's place in the batch.
        index: u32,
        partition: PartitionIndex,
        /// Where in the batch's list this delivery's waker is.
        slot: Option<usize>,
    },
}

impl Delivery {
    pub(super) fn failed(error: Error) -> Self {
        Self(Inner::Failed(error))
    }

    pub(super) fn in_batch(batch: Arc<Completion>, index: u32, partition: PartitionIndex) -> Self {
        Self(Inner::InBatch { batch, index, partition, slot: None })
    }
}

impl std::future::Future for Delivery {
    type Output = Result<SentTo>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Inner::Failed(error) => Poll::Ready(Err(error.clone())),
            Inner::InBatch { batch, index, partition, slot } => {
                let mut state = batch.state.lock();
                match &state.result {
                    Some(Ok(base)) => {
                        Poll::Ready(Ok(SentTo { partition: *partition, offset: base + Offset::from(*index) }))
                    }
                    Some(Err(error)) => Poll::Ready(Err(error.clone())),
                    None => {
                        match slot {
                            Some(slot) => state.wakers[*slot].clone_from(cx.waker()),
                            None => {
                                *slot = Some(state.wakers.len());
                                state.wakers.push(cx.waker().clone());
                            }
                        }
                        Poll::Pending
                    }
                }
            }
        }
    }
}
