//! What happens by itself: sessions and leases that run out, on the machine's clock.

use super::Broker;
use std::sync::Arc;
use std::time::Duration;

/// A deadline is not looked at more often than this.
const TICK_MIN: Duration = Duration::from_millis(5);

/// Starts the timer task. It ends when the broker is closed or dropped.
pub(super) fn start(broker: &Arc<Broker>) {
    let (weak, bell) = (Arc::downgrade(broker), broker.timer.clone());
    tokio::spawn(async move {
        loop {
            let wait = {
                let Some(broker) = weak.upgrade() else { return };
                if broker.check_open().is_err() {
                    return;
                }
                broker.tick().await;
                let now = broker.clock.instant();
                let transactions = broker.transactions.next_deadline(broker.clock.now(), now);
                let deadlines = [broker.groups.next_deadline(), broker.shares.next_deadline(), transactions];
                deadlines.into_iter().flatten().min().map(|at| at.since(now).max(TICK_MIN))
            };
            match wait {
                // Whether a deadline has come or a closer one was set: look again.
                Some(wait) => drop(tokio::time::timeout(wait, bell.notified()).await),
                None => bell.notified().await,
            }
        }
    });
}
