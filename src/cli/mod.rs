//! The commands of `tw`, one file each, and what they share: arguments, exit codes, the context.
//!
//! Exit codes: 0 done, also after Ctrl-C and when the reader of a pipe has gone; 1 an error, shown with its code;
//! 2 the command line itself was wrong. Nothing is printed but through [`Output`].
//!
//! A command opens the log, works, and closes it on every way out ([`Context::with_log`]).

mod acl;
mod bench;
mod connect;
mod doctor;
mod dump;
mod error;
mod explain;
mod follow;
mod group;
mod load;
mod parse;
mod put;
mod repair;
mod scan;
#[cfg(feature = "sql")]
mod sql;
#[cfg(feature = "server")]
mod start;
mod stop;
mod tail;
mod take;
mod topic;
mod user;
mod value;

pub(crate) use error::{Error, Result};
pub(crate) use stop::Stop;

use crate::output::{Color, Output};
use clap::{CommandFactory as _, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use tailwater::log::Log;

/// Streams, SQL and queues on one durable log.
#[derive(Debug, Parser)]
#[command(name = "tw", version, about, max_term_width = 110, arg_required_else_help = true)]
// The list of commands has no room for it: the whole help fits a screen.
#[command(disable_help_subcommand = true, disable_help_flag = true, disable_version_flag = true)]
#[command(next_help_heading = "Global options")]
#[command(after_help = "Start with   tw demo   or   tw topic create hello && echo hi | tw put hello && tw tail hello")]
struct Args {
    /// The data directory [default: $TW_DATA or ./tw-data, ./tw-demo]
    #[arg(long, global = true, env = "TW_DATA", hide_env = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Work on what a broker or Kafka serves there; also USER@HOST:PORT
    #[arg(long, global = true, value_name = "HOST:PORT")]
    connect: Option<String>,
    /// Machine-readable output: one JSON object per line, errors too
    #[arg(long, global = true)]
    json: bool,
    /// When to colour: auto, always, never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    color: Color,
    /// Say more about what happens; twice for debugging
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print help
    // Not shown: whoever reads it has found it, and the help has to fit a screen.
    #[arg(short, long, global = true, hide = true, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Print version
    #[arg(short = 'V', long, hide = true, action = clap::ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See the whole product on a real week of flights
    #[cfg(feature = "sql")]
    Demo(crate::demo::Args),
    /// Serve Kafka's clients
    #[cfg(feature = "server")]
    Start(start::Args),
    /// Create, list, describe and delete topics
    #[command(subcommand)]
    Topic(topic::Command),
    /// Write lines to a topic, one record each
    Put(put::Args),
    /// Read a topic, from anywhere, and follow it
    Tail(tail::Args),
    /// Take records from a topic as a queue, each to one worker
    Take(take::Args),
    /// List, describe, reset and delete groups; their lag in records and in time
    #[command(subcommand)]
    Group(group::Command),
    /// Add, list and remove users; their passwords
    #[command(subcommand)]
    User(user::Command),
    /// Say who may do what
    #[command(subcommand)]
    Acl(acl::Command),
    /// Load a csv or jsonl file into a topic, each record once, also after a crash
    Load(load::Args),
    /// Write a topic to csv or jsonl
    Dump(dump::Args),
    /// Ask topics questions in SQL
    #[cfg(feature = "sql")]
    Sql(sql::Args),
    /// Read every byte of a log that nobody has open, and say what is damaged
    Doctor,
    /// Keep what is intact of a damaged topic, and write down what is lost
    Repair(repair::Args),
    /// Measure throughput and latency on this machine
    #[command(subcommand)]
    Bench(bench::Command),
    /// Explain an error code
    Explain(explain::Args),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Context {
    /// The data directory.
    pub(crate) data: PathBuf,
    /// Whether the user chose it.
    #[cfg_attr(not(feature = "sql"), expect(dead_code, reason = "only the demo asks"))]
    pub(crate) data_given: bool,
    /// The brokers to connect to, instead of opening the directory.
    pub(crate) connect: Option<String>,
    /// Where to print.
    pub(crate) out: Output,
    /// Whether the user asked to stop.
    pub(crate) stop: Stop,
}

impl Context {
    /// Opens the log, making its directory, runs `work`, and closes the log whatever came of it.
    pub(crate) async fn with_log<T>(&mut self, work: impl AsyncFnOnce(&Log, &mut Self) -> Result<T>) -> Result<T> {
        let log = match &self.connect {
            Some(brokers) => connect::connect(brokers).await?,
            None => Log::open(&self.data).await?,
        };
        let result = work(&log, self).await;
        let closed = log.close().await;
        let value = result?;
        closed?;
        Ok(value)
    }

    /// The same for commands that only look: a directory that is not there is an error and stays so.
    pub(crate) async fn with_present_log<T>(
        &mut self,
        work: impl AsyncFnOnce(&Log, &mut Self) -> Result<T>,
    ) -> Result<T> {
        if self.connect.is_none() && !self.data.exists() {
            return Err(Error::NoData { dir: self.data.clone() });
        }
        self.with_log(work).await
    }
}

/// Reads the command line, runs the command, shows what went wrong.
pub(crate) fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let mut out = Output::new(args.color, args.json);
    listen_to_traces(args.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let command = "the runtime".to_owned();
            Error::Command { command, why: error.to_string() }.show(&mut out);
            return ExitCode::FAILURE;
        }
    };
    let (mut out, result) = runtime.block_on(async move {
        let data_given = args.data.is_some();
        let data = args.data.unwrap_or_else(|| PathBuf::from("./tw-data"));
        let mut cx = Context { data, data_given, connect: args.connect, out, stop: Stop::install() };
        let result = run(args.command, &mut cx).await;
        let flushed = cx.out.flush();
        (cx.out, result.and(flushed))
    });
    // A thread may still wait for standard input: it is left to end with the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::ClosedPipe) => {
            out.abandon();
            ExitCode::SUCCESS
        }
        Err(error) => {
            error.show(&mut out);
            ExitCode::FAILURE
        }
    }
}

impl Command {
    /// What a command is called that works on the files of a data directory, or serves them.
    const fn needs_directory(&self) -> Option<&'static str> {
        match self {
            #[cfg(feature = "sql")]
            Self::Demo(_) => Some("`tw demo` over a connection"),
            #[cfg(feature = "server")]
            Self::Start(_) => Some("`tw start` over a connection"),
            Self::Doctor => Some("`tw doctor` over a connection"),
            Self::Repair(_) => Some("`tw repair` over a connection"),
            Self::Bench(_) => Some("`tw bench` over a connection"),
            _ => None,
        }
    }
}

async fn run(command: Command, cx: &mut Context) -> Result<()> {
    if let (Some(_), Some(what)) = (&cx.connect, command.needs_directory()) {
        return Err(tailwater::log::Error::Unsupported { what }.into());
    }
    match command {
        #[cfg(feature = "sql")]
        Command::Demo(args) => crate::demo::run(args, cx).await,
        #[cfg(feature = "server")]
        Command::Start(args) => start::run(args, cx).await,
        Command::Topic(command) => topic::run(command, cx).await,
        Command::Put(args) => put::run(args, cx).await,
        Command::Tail(args) => tail::run(args, cx).await,
        Command::Take(args) => take::run(args, cx).await,
        Command::Group(command) => group::run(command, cx).await,
        Command::User(command) => user::run(command, cx).await,
        Command::Acl(command) => acl::run(command, cx).await,
        Command::Load(args) => load::run(args, cx).await,
        Command::Dump(args) => dump::run(args, cx).await,
        #[cfg(feature = "sql")]
        Command::Sql(args) => sql::run(args, cx).await,
        Command::Doctor => doctor::run(cx),
        Command::Repair(args) => repair::run(args, cx).await,
        Command::Bench(command) => bench::run(command, cx).await,
        Command::Explain(args) => explain::run(args, cx),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "tw", &mut script);
            cx.out.raw(&script)
        }
    }
}

/// Shows help, the version, or what was wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    let asked = !error.use_stderr();
    let mut out = Output::new(Color::Auto, false);
    let colored = if asked { out.color_out() } else { out.color_err() };
    let text = if colored { error.render().ansi().to_string() } else { error.render().to_string() };
    if asked {
        if out.raw(text.as_bytes()).and_then(|()| out.flush()).is_err() {
            out.abandon();
        }
        return ExitCode::SUCCESS;
    }
    out.note(text.trim_end());
    ExitCode::from(2)
}

/// Shows the log's own remarks on standard error: warnings always, more with `-v`, or as `TW_LOG` says.
fn listen_to_traces(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("TW_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(format!(
            "error,tailwater={level},tailwater_log={level},tailwater_streams={level},tailwater_sql={level},tw={level}"
        ))
    });
    let layer = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Fails only when one is installed already, and none is.
    let _ = layer.with_target(false).without_time().compact().try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }
}
