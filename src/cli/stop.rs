//! Ctrl-C and SIGTERM: the first asks the command to drain and end, the second ends the process at once.
//!
//! A command that was asked to stop finishes what it holds, closes the log and exits 0. Ending at once loses nothing
//! acknowledged either: it is what the log recovers from.

use std::sync::Arc;
use tokio::sync::watch;

/// Whether the user asked to stop. Clones see the same.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Listens for the signals. Must be called within the runtime.
    pub(crate) fn install() -> Self {
        let stop = Self(Arc::new(watch::Sender::new(false)));
        let asked = Arc::clone(&stop.0);
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            // Registered before this returns, so that no signal falls between.
            let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
            if let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) {
                tokio::spawn(async move {
                    loop {
                        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
                        if asked.send_replace(true) {
                            std::process::exit(130);
                        }
                    }
                });
            }
        }
        #[cfg(not(unix))]
        tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                if asked.send_replace(true) {
                    std::process::exit(130);
                }
            }
        });
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
