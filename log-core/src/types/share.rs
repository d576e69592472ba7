//! What a queue's worker says of a record; both ends of [`Service`](crate::service::Service) and the machine speak it.

/// What becomes of a leased record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOutcome {
    /// Done; it is not delivered again.
    Accept,
    /// Deliver it again, to anyone; the delivery counts.
    Release,
    /// It can never be processed: to the dead-letter topic.
    Reject,
    /// Still working: start the lease anew.
    Renew,
}
