//! Opening a log in this process: a broker on a directory, behind the client's handle.

use crate::broker::Broker;
use crate::client::Log;
use crate::env::{Clock, Disk, RealDisk};
use crate::types::Result;
use std::path::Path;
use std::sync::Arc;

impl Log {
    /// Opens the log in `dir` on the machine's disk, making it if it is missing. Holds the directory's lock until
    /// [`Log::close`]. Must be called within a tokio runtime with its timer enabled.
    ///
    /// Fails with `DirectoryInUse` while another process, or another handle, has the directory open; with
    /// `UnsupportedFormat` for one of another version; with `Corrupt` when the metadata log is damaged.
    pub async fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_on(Arc::new(RealDisk::default()), Clock::real(), dir).await
    }

    /// Opens a log on any disk and clock: with `SimDisk` and a manual clock, a whole log in a test.
    /// Flushes run inline instead of on a thread when the clock is manual, so that a run is deterministic; sessions
    /// and leases run out when the clock has been moved and the next request comes.
    pub async fn open_on(disk: Arc<dyn Disk>, clock: Clock, dir: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::over(Broker::open(disk, clock, dir.as_ref())?))
    }
}
