//! An app: a topology running on a log.

use super::Options;
use super::progress::TaskProgress;
use super::runner::{Runner, panic_message};
use super::setup::{Layout, prepare};
use crate::task::TaskId;
use crate::topology::Topology;
use crate::topology::plan::Plan;
use crate::{Error, Result};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tailwater_log::service::ListOffsets;
use tailwater_log::types::Isolation;
use tailwater_log::{Log, OffsetSpec, TopicPartition};
use tokio::sync::{oneshot, watch};

/// A stream job under an id, which names its consumer group, its changelogs and its repartition topics.
///
/// ```no_run
/// # use tailwater_streams::{App, Result, Topic, Topology};
/// # use tailwater_log::Log;
/// # const LINES: Topic<(), String> = Topic::new("lines");
/// # const LOUD: Topic<(), String> = Topic::new("loud");
/// # async fn example() -> Result {
/// let log = Log::open("./data").await?;
/// App::new("shout", |t: &Topology| t.stream(LINES).map_values(|line| line.to_uppercase()).to(LOUD)).run(log).await
/// # }
/// ```
pub struct App {
    id: String,
    build: Box<dyn Fn(&Topology) + Send + Sync>,
    options: Options,
}

impl App {
    /// A job called `id` (a group name, see [`GroupId`](tailwater_log::GroupId)) that does what `build` says.
    pub fn new(id: impl Into<String>, build: impl Fn(&Topology) + Send + Sync + 'static) -> Self {
        Self { id: id.into(), build: Box::new(build), options: Options::default() }
    }

    /// The longest time between a change and its commit; 100 ms unless said otherwise.
    pub fn commit_every(mut self, interval: Duration) -> Self {
        self.options.commit_every = interval;
        self
    }

    /// The most records that a task processes between two commits; 10,000 unless said otherwise.
    pub fn commit_records(mut self, records: usize) -> Self {
        self.options.commit_records = records.max(1);
        self
    }

    /// Partitions of the sink topics that the app makes; those of the first source unless said otherwise.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.options.partitions = Some(partitions);
        self
    }

    /// How the topology is understood, as text. Fails when it is not valid.
    pub fn describe(&self) -> Result<String> {
        Ok(self.plan()?.to_string())
    }

    fn plan(&self) -> Result<Plan> {
        Plan::of(&self.id, &self.build)
    }

    /// Runs until Ctrl-C, then drains: what was fetched is processed and committed. Returns the first error.
    pub async fn run(self, log: Log) -> Result<()> {
        let running = self.start(log).await?;
        tokio::select! {
            _ = running.failed() => {}
            signal = tokio::signal::ctrl_c() => signal.map_err(|e| Error::Runtime { why: e.to_string() })?,
        }
        running.stop().await
    }

    /// Processes and commits everything that is in the job's sources when it is called, through every repartition
    /// topic, then stops. Windows that the watermark has not passed stay open in the state.
    pub async fn run_to_end(self, log: Log) -> Result<()> {
        let running = self.start(log).await?;
        let caught_up = running.caught_up().await;
        // The error that stopped a task says more than that it stopped.
        running.stop().await.and(caught_up)
    }

    /// Starts the job and returns when every task has restored its state.
    pub async fn start(self, log: Log) -> Result<Running> {
        let plan = Arc::new(self.plan()?);
        drop(self.build);
        let layout = prepare(&log, &plan, &self.options).await?;
        Running::start(log, plan, layout, self.options).await
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("id", &self.id).field("options", &self.options).finish_non_exhaustive()
    }
}

/// A job that runs. Dropping it stops it without waiting.
pub struct Running {
    log: Log,
    plan: Arc<Plan>,
    layout: Layout,
    stop: watch::Sender<bool>,
    failure: watch::Receiver<Option<Error>>,
    /// By sub-topology and partition.
    tasks: Vec<(TaskId, watch::Receiver<TaskProgress>)>,
    workers: Vec<oneshot::Receiver<()>>,
}

/// What the threads of a job share.
#[derive(Clone)]
struct Shared {
    log: Log,
    plan: Arc<Plan>,
    layout: Layout,
    options: Options,
    stop: watch::Receiver<bool>,
    failure: Arc<watch::Sender<Option<Error>>>,
}

type Started = Vec<(TaskId, watch::Receiver<TaskProgress>)>;

impl Running {
    async fn start(log: Log, plan: Arc<Plan>, layout: Layout, options: Options) -> Result<Self> {
        let ids: Vec<TaskId> = (layout.partitions.iter().enumerate())
            .flat_map(|(sub, n)| (0..*n).map(move |partition| TaskId { sub, partition }))
            .collect();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(ids.len());
        let (stop, stopped) = watch::channel(false);
        let (fail, failure) = watch::channel(None);
        let shared = Shared {
            log: log.clone(),
            plan: plan.clone(),
            layout: layout.clone(),
            options,
            stop: stopped,
            failure: Arc::new(fail),
        };
        let (mut tasks, mut workers, mut starting) = (Vec::new(), Vec::new(), Vec::new());
        for thread in 0..threads {
            let mine: Vec<TaskId> = ids.iter().copied().skip(thread).step_by(threads).collect();
            let (started, start) = oneshot::channel();
            let (done, finished) = oneshot::channel();
            let shared = shared.clone();
            let work = move || {
                worker(shared, &mine, started);
                let _ = done.send(());
            };
            (std::thread::Builder::new().name(format!("tw-streams-{thread}")).spawn(work))
                .map_err(|e| Error::Runtime { why: e.to_string() })?;
            workers.push(finished);
            starting.push(start);
        }
        let mut running = Self { log, plan, layout, stop, failure, tasks: Vec::new(), workers };
        for start in starting {
            match start.await {
                Ok(started) => tasks.extend(started),
                // The thread has told why.
                Err(_) => return Err(running.stop().await.err().unwrap_or(Error::Stopped)),
            }
        }
        tasks.sort_by_key(|(id, _)| *id);
        running.tasks = tasks;
        Ok(running)
    }

    /// How far each task is, as of its last commit.
    pub fn progress(&self) -> Vec<TaskProgress> {
        self.tasks.iter().map(|(_, progress)| progress.borrow().clone()).collect()
    }

    /// Returns when every task has processed and committed everything that was durable in the job's sources at some
    /// moment after the call, through every repartition topic.
    pub async fn caught_up(&self) -> Result<()> {
        for sub in 0..self.plan.subs.len() {
            // Those that write to this sub-topology have committed, so what they wrote is durable: look now.
            for partition in 0..self.layout.partitions[sub] {
                let id = TaskId { sub, partition };
                let targets = self.ends(id).await?;
                let (_, progress) = self.tasks.iter().find(|(task, _)| *task == id).expect("every task is there");
                let reached = progress.clone().wait_for(|progress| progress.has_reached(&targets)).await.is_ok();
                if !reached {
                    return Err(self.failure.borrow().clone().unwrap_or(Error::Stopped));
                }
            }
        }
        Ok(())
    }

    /// Where the inputs of a task end now.
    async fn ends(&self, id: TaskId) -> Result<Vec<(TopicPartition, i64)>> {
        let inputs = self.plan.subs[id.sub].inputs.iter();
        let partitions =
            inputs.map(|input| (TopicPartition::new(input.topic.clone(), id.partition), OffsetSpec::Latest));
        let listed = self
            .log
            .service()
            .list_offsets(ListOffsets { partitions: partitions.collect(), isolation: Isolation::ReadCommitted })
            .await?;
        Ok(listed.into_iter().map(|at| (at.partition, at.offset)).collect())
    }

    /// Returns the error when a task fails, and never otherwise.
    pub async fn failed(&self) -> Error {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(error) => error.clone().expect("waited for it"),
            Err(_) => std::future::pending().await,
        }
    }

    /// Drains and stops: what was fetched is processed and committed. Returns the first error of any task.
    pub async fn stop(self) -> Result<()> {
        self.stop.send_replace(true);
        for worker in self.workers {
            if worker.await.is_err() && self.failure.borrow().is_none() {
                return Err(Error::Runtime { why: "a thread of the job ended unexpectedly".into() });
            }
        }
        self.failure.borrow().clone().map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("app", &self.plan.app).field("tasks", &self.tasks.len()).finish_non_exhaustive()
    }
}

/// One thread: starts its tasks, says so, and runs them until told to stop. The first error stops the whole job.
fn worker(shared: Shared, ids: &[TaskId], started: oneshot::Sender<Started>) {
    let failure = shared.failure.clone();
    let work = async {
        let (mut runners, mut progress) = (Vec::new(), Vec::new());
        for id in ids {
            let Shared { log, plan, layout, options, .. } = &shared;
            let (runner, watcher) = Runner::start(log, plan, layout, *options, *id).await?;
            runners.push(runner);
            progress.push((*id, watcher));
        }
        let _ = started.send(progress);
        let run = runners.into_iter().map(|runner| run(runner, shared.stop.clone(), shared.failure.subscribe()));
        futures::future::try_join_all(run).await
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = match runtime {
        // User code's panics are caught where it is called. Any other must not leave those who wait for the job waiting.
        Ok(runtime) => std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work).map(drop)))
            .unwrap_or_else(|panic| Err(Error::Runtime { why: panic_message(&*panic) })),
        Err(e) => Err(Error::Runtime { why: e.to_string() }),
    };
    if let Err(error) = result {
        failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(error);
            is_first
        });
    }
}

/// How long a task without work waits before it looks again by itself.
const IDLE_WAIT: Duration = Duration::from_secs(1);

async fn run(
    mut runner: Runner,
    mut stop: watch::Receiver<bool>,
    failure: watch::Receiver<Option<Error>>,
) -> Result<()> {
    loop {
        if *stop.borrow() || stop.has_changed().is_err() {
            return runner.drain().await;
        }
        if failure.borrow().is_some() {
            return Ok(());
        }
        if runner.round().await? {
            tokio::task::yield_now().await;
            continue;
        }
        let wait = runner.commit_due_in().unwrap_or(IDLE_WAIT);
        tokio::select! {
            biased;
            _ = stop.changed() => {}
            waited = runner.wait(wait) => waited?,
        }
    }
}
