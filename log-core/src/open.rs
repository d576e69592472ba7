//! Opening a log in this process: a broker on a directory, behind the client's handle.

use crate::broker::{Broker, Server, ServerConfig};
use crate::client::Log;
use crate::env::{Clock, Disk, RealDisk};
use crate::service::Service as _;
use crate::types::Result;
use std::collections::BTreeMap;
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

impl Server {
    /// Opens the log in `dir`, as [`Log::open`] does, and listens for clients of Kafka. `settings` are those of the broker by
    /// Kafka's names, as `num.partitions`.
    ///
    /// Fails as [`Log::open`] does; with `AddressInUse`, and with `ExposedListener` for an address that other machines
    /// could reach without authentication.
    pub async fn open(
        dir: impl AsRef<Path>,
        config: ServerConfig,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self> {
        let disk = Arc::new(RealDisk::default());
        let mut settings: BTreeMap<_, _> = settings.into_iter().collect();
        // What clients that describe the broker are told.
        settings.entry("log.dirs".to_owned()).or_insert_with(|| dir.as_ref().display().to_string());
        settings.entry("listeners".to_owned()).or_insert_with(|| listeners(&config, false));
        settings.entry("advertised.listeners".to_owned()).or_insert_with(|| listeners(&config, true));
        let broker = Broker::open_with(disk, Clock::real(), dir.as_ref(), settings)?;
        match Self::start(broker.clone(), config).await {
            Ok(server) => Ok(server),
            Err(error) => {
                broker.close().await?;
                Err(error)
            }
        }
    }

    /// A handle on the log that is served, for this process.
    pub fn log(&self) -> Log {
        Log::over(self.broker())
    }
}

/// As Kafka writes them: `NAME://HOST:PORT`, with commas between.
fn listeners(config: &ServerConfig, advertised: bool) -> String {
    let each = config.listeners.iter().map(|listener| match &listener.advertised {
        Some((host, port)) if advertised => format!("{}://{host}:{port}", listener.name),
        _ => format!("{}://{}", listener.name, listener.address),
    });
    each.collect::<Vec<_>>().join(",")
}
