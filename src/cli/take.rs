//! `tw take`: one worker of a queue.
//!
//! By default a record is printed, and acknowledged only after the print was handed to the operating system, so a
//! pipe that breaks loses nothing: the record is delivered again. With `--exec` a command gets the value on standard
//! input and its exit code decides. While it runs the lease is renewed, and Ctrl-C waits for it to end.

use super::scan::intact;
use super::{Context, Error, Result, parse, value};
use crate::output::counted;
use bytes::Bytes;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tailwater::log::{Job, Log, TopicName};
use tokio::io::AsyncWriteExt as _;
use tokio::process;

/// Arguments of `tw take`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tw take jobs --group workers                      one record, acknowledged once printed\n  tw take jobs --group workers --exec './work.sh'   a worker: exit 0 acknowledges, else it is retried"
)]
pub(crate) struct Args {
    /// The topic
    topic: String,
    /// The group of workers that share the queue
    #[arg(short, long, value_name = "GROUP")]
    group: String,
    /// Take N records, 0 for no limit [default: 1; with --exec 0]
    #[arg(short = 'n', value_name = "N")]
    records: Option<u64>,
    /// End when none came for this long [default: 5s; with --exec never]
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    wait: Option<Duration>,
    /// Run this with `sh -c`, the value on standard input, and TW_KEY, TW_TOPIC, TW_PARTITION, TW_OFFSET, TW_DELIVERY
    /// in its environment
    #[arg(long, value_name = "CMD", group = "what")]
    exec: Option<String>,
    /// Print, then give the record back for another delivery
    #[arg(long, group = "what")]
    retry: bool,
    /// Print, then send the record to TOPIC.dead
    #[arg(long, group = "what")]
    reject: bool,
}

/// How the taken records ended.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: u64,
    retried: u64,
    rejected: u64,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let topic = TopicName::new(&args.topic)?;
    cx.with_present_log(async |log, cx| {
        let mut tally = Tally::default();
        let result = take(&args, &topic, log, &mut tally, cx).await;
        let mut parts = vec![format!("{} acknowledged", tally.acknowledged)];
        if tally.retried > 0 {
            parts.push(format!("{} to be retried", tally.retried));
        }
        if tally.rejected > 0 {
            parts.push(format!("{} sent to `{topic}.dead`", tally.rejected));
        }
        let taken = tally.acknowledged + tally.retried + tally.rejected;
        let told = if cx.out.json() || matches!(result, Err(Error::ClosedPipe)) { None } else { Some(taken) };
        match told {
            Some(0) if result.is_ok() => cx.out.note(format!("nothing to take from `{topic}`")),
            Some(taken) if taken > 0 => {
                cx.out.note(format!("{} taken: {}", counted(taken, "record"), parts.join(", ")));
            }
            _ => {}
        }
        result
    })
    .await
}

async fn take(args: &Args, topic: &TopicName, log: &Log, tally: &mut Tally, cx: &mut Context) -> Result<()> {
    // A missing topic is an error now rather than an empty queue.
    let described = log.admin().describe_topic(topic).await?;
    let lease = described.config.lease;
    let limit = args.records.unwrap_or(if args.exec.is_some() { 0 } else { 1 });
    let wait = args.wait.or(if args.exec.is_some() { None } else { Some(Duration::from_secs(5)) });
    let mut queue = log.queue::<Bytes>(topic, &args.group).await?;
    let mut taken = 0;
    while limit == 0 || taken < limit {
        let job = tokio::select! {
            biased;
            () = cx.stop.asked() => return Ok(()),
            job = async { match wait { Some(wait) => queue.next_within(wait).await, None => queue.next().await } } => job?,
        };
        let Some(job) = job else { return intact(&described, None) };
        taken += 1;
        let accepted = match &args.exec {
            Some(command) => exec(command, &job, lease).await?.success(),
            None => {
                print(&job, cx)?;
                !(args.retry || args.reject)
            }
        };
        if accepted {
            job.ack().await?;
            tally.acknowledged += 1;
        } else if args.reject {
            job.reject().await?;
            tally.rejected += 1;
        } else {
            job.retry().await?;
            tally.retried += 1;
        }
    }
    Ok(())
}

fn print(job: &Job<Bytes>, cx: &mut Context) -> Result<()> {
    if cx.out.json() {
        let mut line = value::record_json(job.partition(), job.record());
        line.pop();
        cx.out.line(format!("{line},\"delivery\":{}}}", job.delivery()))?;
    } else {
        if cx.out.on_terminal() { cx.out.line(&*value::harmless(job))? } else { cx.out.line(&**job)? }
    }
    cx.out.flush()
}

/// Runs the command on one record. The lease is started anew each time a third of it has passed.
async fn exec(command: &str, job: &Job<Bytes>, lease: Duration) -> Result<ExitStatus> {
    let failed = |e: std::io::Error| Error::Command { command: command.into(), why: e.to_string() };
    let mut child = process::Command::new("sh")
        .args(["-c", command])
        .env("TW_KEY", &*value::text(job.record().key.as_deref()).replace('\0', ""))
        .env("TW_TOPIC", job.partition().topic.as_str())
        .env("TW_PARTITION", job.partition().partition.to_string())
        .env("TW_OFFSET", job.record().offset.to_string())
        .env("TW_DELIVERY", job.delivery().to_string())
        .stdin(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command need not read its input; its exit code decides.
            let _ = stdin.write_all(job).await;
        }
    };
    let work = async { tokio::join!(feed, child.wait()).1.map_err(failed) };
    tokio::pin!(work);
    let mut renewals = tokio::time::interval((lease / 3).max(Duration::from_millis(10)));
    renewals.tick().await;
    loop {
        tokio::select! {
            status = &mut work => return status,
            _ = renewals.tick() => job.renew().await?,
        }
    }
}
