//! Long polls: woken by whatever they wait for, never by looking again on a timer.

use futures::future::{BoxFuture, select_all};
use std::time::Duration;
use tokio::sync::watch;

/// Futures that resolve when there is reason to look again.
pub(super) type Waiters = Vec<BoxFuture<'static, bool>>;

/// Returns when one of `waiters` resolves, the broker closes, or `max` has passed; whichever it was, look again.
pub(super) async fn wait_any(waiters: Waiters, closed: &watch::Sender<bool>, max: Duration) {
    let mut closed = closed.subscribe();
    let mut waiters = waiters;
    waiters.push(Box::pin(async move { closed.wait_for(|closed| *closed).await.is_ok() }));
    // Time out or woken: the caller looks again either way.
    let _ = tokio::time::timeout(max, select_all(waiters)).await;
}
