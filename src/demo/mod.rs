//! `tw demo`: the whole product in one process, on a real week of flights.

use crate::cli::{Context, Error, Result};

/// Arguments of `tw demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run without a terminal, unpaced, and compare every final row with the checked-in answers
    #[arg(long)]
    check: bool,
}

/// Runs the demo.
#[expect(clippy::unused_async, reason = "the demo is async once it is here")]
pub(crate) async fn run(args: Args, _cx: &mut Context) -> Result<()> {
    Err(Error::Command { command: "tw demo".into(), why: format!("not in this build (check: {})", args.check) })
}
