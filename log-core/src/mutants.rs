//! Deliberately broken variants of the storage engine, so that it can be shown that its tests would notice.
//!
//! Each [`Mutant`] breaks one rule in one place: there the code asks [`active`]. Without the feature `mutants`, which is
//! for this test alone, that is a constant `false` and costs nothing. With it a thread chooses one mutant for as long as
//! a check runs.
//!
//! ```text
//!   cargo test --release -p tailwater-log --features mutants --lib mutants -- --nocapture
//! ```
//! prints which check catches which mutant, and fails if one survives; see `storage/tests/mutants.rs`.

/// A rule, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A sync ticket syncs no file.
    SkipFileSync,
    /// A sync ticket syncs no directory.
    ForgetDirectorySync,
    /// Readers see, and producers are told of, what is written and not yet durable.
    AcknowledgeEarly,
    /// After a failed sync the same files are synced again, and what that returns is believed.
    RetryFailedSync,
    /// The checkpoint says it is synced and is not, so files go before it knows.
    SkipCheckpointSync,
    /// A frame of the checkpoint counts whatever its checksum is.
    AcceptTornFrame,
    /// A bad batch is cut off although it lies below the durable point.
    CutBelowDurablePoint,
    /// What recovery found above the durable point is synced without being written again.
    RecoverWithoutRewriting,
    /// The aborted transactions of segments that recovery has walked are not looked for.
    ForgetAborted,
    /// The index names the entry behind the one that holds an offset.
    IndexOffByOne,
    /// A batch is served whatever its checksum is.
    SkipBatchChecksum,
    /// A block is served whatever the checksum of its heads is.
    SkipBlockChecksum,
    /// A footer counts although it speaks of another length than the segment has.
    TrustAnyFooter,
    /// A producer's batch that was appended before is appended again.
    ReuseSequence,
    /// Snapshots of what was cut off stay and are believed.
    KeepStaleSnapshots,
    /// A write that failed is not cut off again.
    KeepFailedWrite,
    /// A truncation leaves the high watermark where it was.
    KeepHighWatermark,
    /// A truncation does not count up, so that a reader does not know of it.
    ForgetTruncation,
    /// A deletion does not tell the checkpoint where the log begins now.
    ForgetLogStart,
    /// A log that is closed inside a transaction says that none is open.
    CloseInTransaction,
    /// Compaction goes up to the high watermark, past the last stable offset.
    CompactUnstable,
    /// Compaction takes the last record of a key for an older one.
    CompactNewest,
    /// Compaction takes out a tombstone before its time.
    DropTombstones,
    /// Compaction leaves out the last batch of a segment when all of it goes.
    DropLastBatch,
}

#[cfg(all(test, feature = "mutants"))]
impl Mutant {
    /// All of them.
    pub(crate) const ALL: [Self; 24] = [
        Self::SkipFileSync,
        Self::ForgetDirectorySync,
        Self::AcknowledgeEarly,
        Self::RetryFailedSync,
        Self::SkipCheckpointSync,
        Self::AcceptTornFrame,
        Self::CutBelowDurablePoint,
        Self::RecoverWithoutRewriting,
        Self::ForgetAborted,
        Self::IndexOffByOne,
        Self::SkipBatchChecksum,
        Self::SkipBlockChecksum,
        Self::TrustAnyFooter,
        Self::ReuseSequence,
        Self::KeepStaleSnapshots,
        Self::KeepFailedWrite,
        Self::KeepHighWatermark,
        Self::ForgetTruncation,
        Self::ForgetLogStart,
        Self::CloseInTransaction,
        Self::CompactUnstable,
        Self::CompactNewest,
        Self::DropTombstones,
        Self::DropLastBatch,
    ];
}

#[cfg(not(feature = "mutants"))]
pub(crate) const fn active(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub(crate) use chosen::active;
#[cfg(all(test, feature = "mutants"))]
pub(crate) use chosen::with;

#[cfg(feature = "mutants")]
mod chosen {
    use super::Mutant;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Whether this thread has chosen `mutant`.
    pub(crate) fn active(mutant: Mutant) -> bool {
        CHOSEN.get() == Some(mutant)
    }

    /// Runs `check` with a mutant, or with none.
    #[cfg(test)]
    pub(crate) fn with<T>(mutant: Option<Mutant>, check: impl FnOnce() -> T) -> T {
        CHOSEN.set(mutant);
        let checked = check();
        CHOSEN.set(None);
        checked
    }
}
