//! The writer: sends the batches of all lanes at once, five under way in each, and says on standard output what came of
//! each.
//!
//! ```text
//!   opening                                  before it opens the log
//!   acked LANE NUMBER OFFSET new|duplicate   a batch was acknowledged
//!   failed LANE NUMBER CODE                  it was not
//!   late LANE NUMBER                         it was, and it was sent after some call had failed with a fence
//!   refused WHAT CODE                        the log could not be opened, a topic not be made, or the close failed
//! ```
//! A batch that failed is sent again with those behind it, under their old sequences, as an idempotent producer does. A
//! lane gives up after several failures in a row.

use crate::batches::{LANES, Sent, batches};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesOrdered;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use tailwater_log::service::Produce;
use tailwater_log::{Error, Log};

/// As many as a producer may have under way and still be answered rightly when it sends them again.
const IN_FLIGHT: usize = 5;
const FAILURES_MAX: usize = 8;

const DIR: &str = "FAULTS_WRITER_DIR";
const FROM: &str = "FAULTS_WRITER_FROM";
const UPTO: &str = "FAULTS_WRITER_UPTO";

/// What a writer is to do.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The data directory.
    pub(crate) dir: PathBuf,
    /// The first batch of each lane.
    pub(crate) from: [u64; LANES.len()],
    /// Batches of each lane at most.
    pub(crate) at_most: u64,
}

impl Task {
    /// For the environment of the writer's process.
    pub(crate) fn to_environment(&self) -> [(&'static str, String); 3] {
        let from: Vec<String> = self.from.iter().map(u64::to_string).collect();
        [(DIR, self.dir.display().to_string()), (FROM, from.join(",")), (UPTO, self.at_most.to_string())]
    }

    /// The opposite; `None` in a process that was not started to write.
    pub(crate) fn from_environment() -> Option<Self> {
        let dir = PathBuf::from(std::env::var_os(DIR)?);
        let from: Vec<u64> = std::env::var(FROM).ok()?.split(',').map(|n| n.parse().expect("a number")).collect();
        Some(Self { dir, from: from.try_into().expect("one for each lane"), at_most: crate::setting(UPTO, 0) })
    }
}

/// Writes in this process.
pub(crate) fn write(task: Task) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        say(format_args!("opening"));
        let log = match Log::open(&task.dir).await {
            Ok(log) => log,
            Err(error) => return say(format_args!("refused open {}", error.code())),
        };
        for lane in LANES {
            if let Err(error) = log.admin().ensure_topic(lane.spec()).await {
                say(format_args!("refused topic {}", error.code()));
            }
        }
        let is_fenced = AtomicBool::new(false);
        join_all((0..LANES.len()).map(|lane| write_lane(&log, lane, &task, &is_fenced))).await;
        if let Err(error) = log.close().await {
            say(format_args!("refused close {}", error.code()));
        }
    });
}

async fn write_lane(log: &Log, lane: usize, task: &Task, is_fenced: &AtomicBool) {
    let (mut next, end) = (task.from[lane], task.from[lane] + task.at_most);
    let mut failures = 0;
    while next < end && failures < FAILURES_MAX {
        let (mut rest, mut has_failed) = (batches(lane, next).take((end - next) as usize), false);
        let mut under_way = FuturesOrdered::new();
        loop {
            while under_way.len() < IN_FLIGHT
                && !has_failed
                && let Some(sent) = rest.next()
            {
                under_way.push_back(send(log, lane, sent, is_fenced.load(Ordering::SeqCst)));
            }
            let Some((number, is_late, answer)) = under_way.next().await else { break };
            // A lane that never waits for the disk lets the others run.
            tokio::task::yield_now().await;
            match answer {
                Ok(produced) => {
                    let how = if produced.duplicate { "duplicate" } else { "new" };
                    say(format_args!("acked {lane} {number} {} {how}", produced.base_offset));
                    if is_late {
                        say(format_args!("late {lane} {number}"));
                    }
                    (next, failures) = (number + 1, 0);
                }
                Err(error) => {
                    if matches!(error, Error::Fenced { .. }) {
                        is_fenced.store(true, Ordering::SeqCst);
                    }
                    say(format_args!("failed {lane} {number} {}", error.code()));
                    has_failed = true;
                }
            }
        }
        failures += usize::from(has_failed);
    }
}

async fn send(
    log: &Log,
    lane: usize,
    sent: Sent,
    is_late: bool,
) -> (u64, bool, tailwater_log::Result<tailwater_log::service::Produced>) {
    let request = Produce { partition: LANES[lane].name(), batch: sent.bytes, transaction: None };
    (sent.number, is_late, log.service().produce(request).await)
}

/// One line, at once.
fn say(line: std::fmt::Arguments<'_>) {
    let line = format!("{line}\n");
    let mut out = std::io::stdout().lock();
    // Whoever reads it may be gone.
    let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
}
