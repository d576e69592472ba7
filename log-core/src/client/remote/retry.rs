//! What is tried again, how often, and for how long.
//!
//! A request is tried again when its answer was lost or was a code that passes (a leader that has moved, a coordinator
//! that loads), with growing pauses, until the time for it is over; then the last error is told. Everything that this
//! client sends can be carried out twice without harm: reads; settings to a value; commits of positions; batches of
//! idempotent producers, which a broker recognises by their sequence. The one exception is a batch without a producer:
//! it goes again only if it surely was not appended.

use crate::env::Rng;
use crate::types::{Error, ErrorKind};
use crate::wire::ErrorCode;
use parking_lot::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a request is tried (Kafka's `default.api.timeout.ms`).
pub(super) const REQUEST_LIMIT: Duration = Duration::from_mins(1);
/// How long a batch is tried (Kafka's `delivery.timeout.ms`).
pub(super) const DELIVERY_LIMIT: Duration = Duration::from_mins(2);
/// How long one answer is waited for (Kafka's `request.timeout.ms`).
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The first pause, and the longest (Kafka's `retry.backoff.ms` and `retry.backoff.max.ms`).
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why an attempt has failed.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Another attempt may succeed.
    Again(Error),
    /// It will not.
    Final(Error),
}

impl Trouble {
    pub(super) fn error(self) -> Error {
        match self {
            Self::Again(error) | Self::Final(error) => error,
        }
    }

    /// What a broker's code means for another attempt; `None` if there is no error.
    pub(super) fn of(code: i16, subject: &str, message: Option<&str>) -> Option<Self> {
        let code = ErrorCode::from_number(code);
        let error = code.error(subject, message)?;
        let passes = match code {
            // Metadata says whether it is there: see `Cluster::topic`.
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => true,
            // It stops, and another leads; or it comes back.
            ErrorCode::BrokerNotAvailable => true,
            // These have somebody who waits in his own way, or nothing to wait for.
            ErrorCode::ConcurrentTransactions
            | ErrorCode::ElectionNotNeeded
            | ErrorCode::CorruptMessage
            | ErrorCode::UnstableOffsetCommit => false,
            code => code.is_retriable(),
        };
        Some(if passes { Self::Again(error) } else { Self::Final(error) })
    }

    /// `Err` if the code says so.
    pub(super) fn check(code: i16, subject: &str, message: Option<&str>) -> Result<(), Self> {
        Self::of(code, subject, message).map_or(Ok(()), Err)
    }
}

/// Connections that fail come back; what else an [`Error`] says stays so.
impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Retriable => Self::Again(error),
            _ => Self::Final(error),
        }
    }
}

impl From<super::connection::Lost> for Trouble {
    fn from(lost: super::connection::Lost) -> Self {
        lost.error.into()
    }
}

/// Growing pauses with chance in them, so that clients that have failed together do not come back together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    pause: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { pause: PAUSE_FIRST }
    }
}

impl Backoff {
    /// The next pause: a fifth more or less than its turn.
    pub(super) fn next(&mut self, rng: &Mutex<Rng>) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        let thousandths = 800 + u32::try_from(rng.lock().below(401)).unwrap_or(0);
        pause * thousandths / 1000
    }
}

/// One request's attempts.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    rng: &'a Mutex<Rng>,
    deadline: Instant,
    backoff: Backoff,
}

impl<'a> Patience<'a> {
    pub(super) fn new(rng: &'a Mutex<Rng>, limit: Duration) -> Self {
        Self { rng, deadline: Instant::now() + limit, backoff: Backoff::default() }
    }

    /// Waits before the next attempt; `Err` if there is none.
    pub(super) async fn after(&mut self, trouble: Trouble) -> Result<(), Error> {
        let error = match trouble {
            Trouble::Final(error) => return Err(error),
            Trouble::Again(error) => error,
        };
        let pause = self.backoff.next(self.rng);
        if Instant::now() + pause >= self.deadline {
            return Err(error);
        }
        tracing::debug!(%error, ?pause, "trying again");
        sleep(pause).await;
        Ok(())
    }
}

/// Makes attempts until one succeeds, fails for good, or the time is over.
macro_rules! persist {
    ($patience:expr, $attempt:expr) => {{
        let mut patience = $patience;
        loop {
            match $attempt.await {
                Ok(done) => break Ok(done),
                Err(trouble) => {
                    if let Err(error) = patience.after(trouble).await {
                        break Err(error);
                    }
                }
            }
        }
    }};
}
pub(super) use persist;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again() {
        let again = |code: ErrorCode| matches!(Trouble::of(code.number(), "t", None), Some(Trouble::Again(_)));
        for code in [
            ErrorCode::NotLeaderOrFollower,
            ErrorCode::LeaderNotAvailable,
            ErrorCode::NotCoordinator,
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::NotController,
            ErrorCode::RequestTimedOut,
            ErrorCode::NotEnoughReplicasAfterAppend,
            ErrorCode::KafkaStorageError,
            ErrorCode::ThrottlingQuotaExceeded,
        ] {
            assert!(again(code), "{code}");
        }
        for code in [
            ErrorCode::TopicAuthorizationFailed,
            ErrorCode::MessageTooLarge,
            ErrorCode::OutOfOrderSequenceNumber,
            ErrorCode::UnknownServerError,
            ErrorCode::OffsetOutOfRange,
        ] {
            assert!(!again(code), "{code}");
        }
        assert!(Trouble::of(0, "t", None).is_none());
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let rng = Mutex::new(Rng::seeded(1));
        let mut backoff = Backoff::default();
        let mut turn = PAUSE_FIRST;
        for _ in 0..20 {
            let pause = backoff.next(&rng);
            assert!(turn * 4 / 5 <= pause && pause <= turn * 6 / 5, "{pause:?} for {turn:?}");
            turn = (turn * 2).min(PAUSE_MAX);
        }
    }

    #[tokio::test]
    async fn what_fails_for_good_or_has_no_time_left_is_told() {
        let rng = Mutex::new(Rng::seeded(1));
        let error = || Error::Unreachable { address: "a:1".into(), why: "it is off".into() };
        let mut patience = Patience::new(&rng, REQUEST_LIMIT);
        assert!(patience.after(Trouble::Final(error())).await.is_err());
        let mut attempts = 0;
        let result: Result<(), Error> = persist!(Patience::new(&rng, Duration::ZERO), async {
            attempts += 1;
            Err(Trouble::Again(error()))
        });
        assert_eq!((attempts, result.unwrap_err().to_string().as_str()), (1, "cannot reach a:1: it is off"));
        let result: Result<u32, Error> = persist!(Patience::new(&rng, REQUEST_LIMIT), async {
            attempts += 1;
            if attempts < 3 { Err(Trouble::Again(error())) } else { Ok(attempts) }
        });
        assert_eq!(result.unwrap(), 3);
    }
}
