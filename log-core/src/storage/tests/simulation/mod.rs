//! A data directory under everything that may happen to it, checked against a model that remembers every batch.
//!
//! [`world`] does one [`Step`](history::Step) after the other to a data directory on the simulated disk, as a broker
//! would, and to the [`model`]. Each time the directory is opened again, after a close, the end of the process or a power
//! cut, these must hold, and after each read what of them can be read:
//!
//! - what was acknowledged is there, at its offset, byte for byte;
//! - what is there was sent, to this partition, at this offset;
//! - no offset that anyone has seen is given to another record, unless the log was truncated;
//! - the log start that was recorded does not go back;
//! - a batch that is sent again is answered with its first place, and a sequence out of order is refused;
//! - last stable offset, aborted transactions, times and the ends of epochs are what a search of all batches says;
//! - no damage is reported, since nothing was damaged;
//! - opening again, after another crash, gives the same, wherever that crash was.
//!
//! [`crash_points`] stops the machine in every disk call of short histories. [`runner`] draws long ones from seeds:
//!
//! ```text
//!   cargo test -p tailwater-log --lib simulation                          a few hundred seeds
//!   TAILWATER_SEEDS=100000 cargo test --release -p tailwater-log --lib simulation -- --nocapture
//!   TAILWATER_SEED=123 cargo test -p tailwater-log --lib simulation -- --nocapture      one, with every disk call
//! ```

mod crash_points;
mod history;
mod model;
mod pinned;
mod runner;
mod world;

#[cfg(feature = "mutants")]
pub(super) use runner::run_seed;

/// What a check says: why something that must hold does not.
type Checked<T = ()> = std::result::Result<T, String>;

/// Returns the formatted message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
use ensure;
