//! What can be set on an app.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// The longest time between a change and its commit.
    pub(crate) commit_every: Duration,
    /// The most records between two commits.
    pub(crate) commit_records: usize,
    /// Partitions of sink topics that the app makes; those of the first source when not set.
    pub(crate) partitions: Option<u32>,
    /// Bytes of one fetch from one partition.
    pub(crate) fetch_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            commit_every: Duration::from_millis(100),
            commit_records: 10_000,
            partitions: None,
            fetch_bytes: tailwater_log::types::limits::FETCH_BYTES_DEFAULT,
        }
    }
}
