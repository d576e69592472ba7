//! Storage: a partition's records in files, and what is known of their durability.
//!
//! ```text
//!   <data directory>/
//!     LOCK                        held while the directory is open; names the process
//!     format                      the version of this layout
//!     checkpoint.log              what is known of each partition: durable point, log start, sealed segments
//!     ballast                     no bytes, but room held back for a full disk
//!     meta/                       the metadata log: a partition log
//!     t/<topic id>/<partition>/   the partition log of one partition, made by the first append
//!       00000000000000000000.log    a sealed segment: record batches, verbatim
//!       00000000000000000000.idx    its footer: index, checksums of blocks, epochs, aborted transactions
//!       00000000000000001200.2.log  one that was compacted or repaired: generation 2, offsets have gaps
//!       00000000000000001200.2.idx
//!       00000000000000004711.log    the active segment, the only one that is appended to
//!       00000000000000004711.snap   producers, transactions and leader epochs at that offset
//! ```
//! How it works. One [`PartitionLog`] is the only writer of its directory. `append_all` gives batches their offsets and
//! writes them at the end of the active segment with one call. Everything that takes long is a ticket, which works
//! without holding the log, so that one sync serves all who wait for it (group commit) and nobody waits for a deletion:
//!
//! ```text
//!   begin ──▶ ticket ──▶ run: disk ──▶ finish ──▶ changes ──▶ Checkpoint, synced before a file is removed
//!   log, short            without the log   log, short
//! ```
//! Any number of [`LogReader`]s read below the high watermark and never wait for the writer: from the batches that were
//! appended last, or from whole blocks of a segment, of which every byte is checked.
//!
//! The log is the truth. Footers and snapshots are derived from it and made again when they are missing or damaged; the
//! checkpoint says how far the truth was durable, never more than it was.
//!
//! Invariants.
//! - `log_start_offset ≤ last_stable_offset ≤ high_watermark ≤ log_end_offset`; offsets follow on and are not given
//!   twice to records that anyone has seen.
//! - Bytes below a segment's length never change, so readers need no lock; a truncation tells them afterwards.
//! - Under [`Flush::Durable`](crate::types::Flush) readers see only what was synced; otherwise all that was written.
//! - A write that failed is cut off again, and what followed from it is forgotten.
//! - After a sync failed nothing is known of the tail: the log takes no writes until it is opened again.
//! - Nothing below a durable point is ever cut: a bad batch there is damage, is said to be, and stays where it is.
//! - No byte is served that was not checked.
//! - A partition that nobody uses has no open file and no index in memory.
//!
//! Everything here is synchronous and without clock, threads or chance: time is an argument.
//!
//! Left out: replication, which has in [`PartitionLog::append_replicated`], leader epochs and truncation what it needs.

mod ballast;
mod buffers;
mod checkpoint;
mod compaction;
mod data_dir;
mod doctor;
#[allow(dead_code, reason = "replication asks for all of it")]
mod epochs;
mod files;
mod footer;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[allow(dead_code, reason = "truncation cuts it next")]
mod heads;
mod index;
mod layout;
mod log;
mod producers;
mod reader;
mod recovery;
mod repair;
mod resources;
mod retention;
mod roll;
mod salvage;
mod scan;
mod scrub;
mod segment;
mod snapshot;
mod state;
mod survey;
mod sync;
#[allow(dead_code, reason = "its size is told by metrics next")]
mod tail_cache;
#[cfg(test)]
mod tests;
mod transactions;
mod truncate;
mod upkeep;
mod verify;

pub use checkpoint::{Change, Checkpoint, CheckpointReport, DurablePoint, PartitionState, SealedSegment};
pub use compaction::{
    CompactionSettings, Pass as CompactionPass, Replacement, Report as CompactionReport, Step as CompactionStep,
};
pub use data_dir::{DataDir, METADATA};
pub use doctor::{Examined, Examiner, Finding, Severity, examine};
pub use log::{Appended, LogConfig, PartitionLog};
pub use producers::ProducerDescription;
pub use reader::LogReader;
pub use recovery::{Known, OpenReport, TornTail, Trust};
pub use repair::{LostRange, RepairPlan, Repairer};
pub use resources::Resources;
pub use retention::Retention;
pub use scrub::{Scrubbed, SegmentScrub};
pub use sync::{SyncTicket, Synced};
pub use transactions::AbortedTransaction;
pub use truncate::{Deletion, Truncation};

pub use crate::types::Isolation;

use crate::types::Error;
use std::io;
use std::path::PathBuf;

/// The error of an operation that takes space: a full disk is not the end, everything else may be.
fn write_error(action: &'static str, path: impl Into<PathBuf>, needed: u64, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path: path.into(), needed },
        _ => Error::io(action, path, source),
    }
}
