//! Ctrl-C and SIGTERM: the first asks the command to drain and end, the second ends the process at once.
//!
//! A command that was asked to stop finishes what it holds, closes the log and exits 0. Ending at once loses nothing
//! acknowledged either: it is what the log recovers from.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use tokio::sync::watch;

/// Whether the user asked to stop. Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Listens for the signals, on a thread of its own: a query may keep all others busy for long.
    pub(crate) fn install() -> Self {
        let stop = Self(Arc::new(watch::Sender::new(false)));
        let asked = Arc::clone(&stop.0);
        let (ready, listening) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            // Without a runtime the signals end the process, as they would without this.
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(listen(&asked, &ready));
            }
        });
        // Returns once the signals are caught, so that none falls between; or at once if they cannot be.
        let _ = listening.recv();
        stop
    }

    /// Waits until the user asks to stop.
    pub(crate) async fn asked(&self) {
        let mut receiver = self.0.subscribe();
        // The sender is in `self`, so this cannot fail.
        let _ = receiver.wait_for(|asked| *asked).await;
    }

    /// Takes the request as served: the REPL cancelled a statement and goes on.
    #[cfg(feature = "sql")]
    pub(crate) fn clear(&self) {
        self.0.send_replace(false);
    }
}

#[cfg(unix)]
async fn listen(asked: &watch::Sender<bool>, ready: &SyncSender<()>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let _ = ready.send(());
    if let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) {
        loop {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            if asked.send_replace(true) {
                std::process::exit(130);
            }
        }
    }
}

#[cfg(not(unix))]
async fn listen(asked: &watch::Sender<bool>, ready: &SyncSender<()>) {
    let _ = ready.send(());
    while tokio::signal::ctrl_c().await.is_ok() {
        if asked.send_replace(true) {
            std::process::exit(130);
        }
    }
}
