//! Storage: a partition's records in files, and what is known of their durability.
//!
//! ```text
//!   <data directory>/
//!     LOCK                        held while the directory is open; names the process
//!     format                      the version of this layout
//!     checkpoint.log              what is known of each partition: its durable point, its start, its segments
//!     meta/                       the metadata log: a partition log
//!     t/<topic id>/<partition>/   the partition log of one partition
//!       00000000000000000000.log    a segment: record batches, verbatim
//!       00000000000000004711.log    the active segment, the only one that is appended to
//!       00000000000000004711.snap   producers, transactions and leader epochs at that offset
//! ```
//! How it works. One [`PartitionLog`] is the only writer of its directory. `append` stamps a batch with its offsets
//! and writes it at the end of the active segment. [`PartitionLog::begin_sync`] hands out a [`SyncTicket`] that makes
//! everything written so far durable without holding the log, so that one sync serves all who wait for it (group
//! commit); `finish_sync` then raises the high watermark. Any number of [`LogReader`]s read below the high
//! watermark and never wait for the writer.
//!
//! Invariants.
//! - `log_start_offset ≤ high_watermark ≤ log_end_offset`; offsets follow on without a gap and are not given twice to
//!   records that anyone has seen.
//! - Bytes below a segment's length never change, so readers need no lock.
//! - Under [`Flush::Durable`](crate::types::Flush) readers see only what was synced; under `Flush::Os` all that was
//!   written.
//! - A state changes only after the write it speaks of has succeeded. A write that failed is cut off again.
//! - After a sync failed nothing is known of the tail: the log takes no writes until it is opened again.
//! - Nothing at or below a durable point is ever cut: a bad batch there is damage, and is said to be.
//! - No batch is served whose checksum is wrong.
//!
//! Everything here is synchronous and without clock, threads or chance.
//!
//! Left out: retention, compaction, replication, index footers of sealed segments (an open walks all headers).

mod ballast;
mod checkpoint;
#[allow(dead_code, reason = "the log uses it next")]
mod compaction;
mod data_dir;
#[allow(dead_code, reason = "replication asks for all of it")]
mod epochs;
mod files;
mod footer;
#[allow(dead_code, reason = "truncation cuts it next")]
mod index;
mod layout;
mod log;
mod producers;
mod reader;
mod recovery;
mod resources;
#[allow(dead_code, reason = "the log uses it next")]
mod retention;
mod roll;
mod scan;
mod segment;
mod snapshot;
mod state;
mod sync;
#[allow(dead_code, reason = "its size is told by metrics next")]
mod tail_cache;
#[cfg(test)]
mod tests;
mod transactions;
mod truncate;
#[allow(dead_code, reason = "scrub and doctor use it next")]
mod verify;

pub use checkpoint::{Change, Checkpoint, CheckpointReport, DurablePoint, PartitionState, SealedSegment};
pub use data_dir::DataDir;
pub use log::{Appended, LogConfig, PartitionLog};
pub use reader::{Isolation, LogReader};
pub use recovery::{Known, OpenReport, TornTail, Trust};
pub use resources::Resources;
pub use sync::{SyncTicket, Synced};
pub use transactions::AbortedTransaction;
pub use truncate::{Deletion, Truncation};

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
