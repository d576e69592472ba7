//! Opening a log in this process: a broker on a directory, behind the client's handle.

use crate::client::Log;
use crate::env::{Clock, Disk};
use crate::types::Result;
use std::path::Path;
use std::sync::Arc;

impl Log {
    /// Opens the log in `dir` on the machine's disk, making it if it is missing. Holds the directory's lock until
    /// [`Log::close`]. Must be called within a tokio runtime.
    pub async fn open(_dir: impl AsRef<Path>) -> Result<Self> {
        todo!()
    }

    /// Opens a log on any disk and clock: with `SimDisk` and a manual clock, a whole log in a test.
    /// Flushes run inline instead of on a thread when the clock is manual, so that a run is deterministic.
    pub async fn open_on(_disk: Arc<dyn Disk>, _clock: Clock, _dir: impl AsRef<Path>) -> Result<Self> {
        todo!()
    }
}
