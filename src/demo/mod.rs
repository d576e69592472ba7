//! `tw demo`: the whole product in one process, on a real week of flights.
//!
//! The embedded events ([`data`]) are loaded into topics as they became known ([`loader`]), a job joins and counts them
//! ([`job`]), and a board shows what comes out ([`board`]); at the end SQL answers from the topics ([`summary`]).
//! `--check` does the same unpaced and compares every final row with the checked-in answers ([`answers`]).
//!
//! One run ([`show`]) serves all three faces: the terminal, plain lines, and the check. Killing the process at any
//! moment loses nothing: the loader continues where each partition ends, the job at its last commit.

mod answers;
mod board;
mod check;
mod data;
mod job;
mod loader;
mod model;
mod show;
mod summary;
mod tail;
mod terminal;

use crate::cli::{Context, Error, Result};
use std::path::PathBuf;
use tailwater_log::PartitionIndex;

/// Arguments of `tw demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Hours of the week that pass in a second
    #[arg(long, default_value = "6h", value_parser = speed, value_name = "HOURS")]
    speed: f64,
    /// As fast as the job follows
    #[arg(long)]
    fast: bool,
    /// Partitions of each topic, when the demo makes them
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(PartitionIndex).range(1..=64))]
    partitions: PartitionIndex,
    /// Lines instead of the board
    #[arg(long)]
    plain: bool,
    /// Run without a terminal, unpaced, in a directory of its own unless --data is given, and compare every final row
    /// with the checked-in answers
    #[arg(long)]
    check: bool,
    /// Delete the demo's data directory first
    #[arg(long, conflicts_with = "check")]
    reset: bool,
}

/// Runs the demo.
pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    if args.check {
        return check::run(&args, cx).await;
    }
    if !cx.data_given {
        cx.data = PathBuf::from("./tw-demo");
    }
    if args.reset {
        reset(cx)?;
    }
    show::run(&args, cx).await
}

/// Deletes the demo's data; refuses a directory that is something else.
fn reset(cx: &mut Context) -> Result<()> {
    let dir = &cx.data;
    if !dir.exists() {
        return Ok(());
    }
    let failed = |why: String| Error::Command { command: format!("remove {}", dir.display()), why };
    if !dir.join(show::MARK).exists() {
        return Err(failed("it was not made by   tw demo".into()));
    }
    std::fs::remove_dir_all(dir).map_err(|e| failed(e.to_string()))?;
    cx.out.note(format!("removed {}", dir.display()));
    Ok(())
}

/// `6h` or `6`: hours a second, more than 0 and at most 1000.
fn speed(text: &str) -> Result<f64, String> {
    let hours = text.strip_suffix('h').unwrap_or(text).parse::<f64>().map_err(|e| e.to_string())?;
    if hours > 0.0 && hours <= 1000.0 { Ok(hours) } else { Err("it must be more than 0 and at most 1000".into()) }
}

/// Data that is part of this program and does not read is a defect of the build.
fn defect(why: String) -> Error {
    Error::Coded { code: "TW0521", message: why, help: None }
}

/// An error of the job, with its own code.
fn of_job(error: tailwater_streams::Error) -> Error {
    Error::Coded { code: error.code(), message: error.to_string(), help: error.help() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn speed_is_hours_a_second() {
        assert_eq!(super::speed("6h"), Ok(6.0));
        assert_eq!(super::speed("0.5"), Ok(0.5));
        for bad in ["", "h", "0", "-1h", "1e9", "NaN", "6m"] {
            assert!(super::speed(bad).is_err(), "{bad}");
        }
    }
}
