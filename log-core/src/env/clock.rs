//! Where shells read the time: the machine's clocks, or one that a test moves by hand.

use crate::types::{Instant, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A source of wall-clock and monotonic time. Cheap to clone; clones of a manual clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real { origin: std::time::Instant },
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clocks.
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    pub fn real() -> Self {
        Self(Source::Real { origin: std::time::Instant::now() })
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The wall clock, in milliseconds since 1970 UTC.
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's clock is read")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::Real { .. } => {
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Manual(now) => Timestamp(now.load(Ordering::SeqCst)),
        }
    }

    /// The monotonic clock, from an arbitrary origin.
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::Real { origin } => Instant(u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)),
            Source::Manual(now) => {
                Instant(u64::try_from(now.load(Ordering::SeqCst)).unwrap_or(0).saturating_mul(1_000_000))
            }
        }
    }

    /// Moves a manual clock forward. Does nothing to the machine's.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Whether tests move this clock; then nothing may wait for time to pass by itself.
    pub fn is_manual(&self) -> bool {
        matches!(self.0, Source::Manual(_))
    }
}
