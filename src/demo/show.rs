//! One run of the demo: loader, job and a face, until the week is over or the user leaves.

use crate::cli::{Context, Result};
use crate::demo::board::{Board, JobStats, six_hours};
use crate::demo::loader::{Gate, Loader, Pace, Progress};
use crate::demo::model::{ALERTS, Alert, DELAYS, HourDelay, LATE, Movement, WINDOW, new_york};
use crate::demo::summary::{Summary, next_commands};
use crate::demo::tail::Tail;
use crate::demo::terminal::{Key, Terminal};
use crate::demo::{Args, data, defect, job, of_job};
use crate::output::grouped;
use std::sync::Arc;
use std::time::Duration;
use tailwater_log::{Log, Timestamp};
use tailwater_streams::{App, Running, TaskProgress};
use tokio::sync::watch;

/// A file in the data directory that says that the demo made it, so that `--reset` deletes nothing else.
pub(crate) const MARK: &str = "made-by-tw-demo";
/// Time between two pictures of the board.
const FRAME: Duration = Duration::from_millis(50);
/// Steps of `f` and `s`, in hours of event time a second.
const SPEEDS: [f64; 9] = [0.25, 0.5, 1.0, 2.0, 6.0, 12.0, 24.0, 48.0, 96.0];
/// How often the job commits: the loader waits for it after every hour of the week.
const COMMIT_EVERY: Duration = Duration::from_millis(10);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The whole week is loaded, processed and committed.
    Complete,
    /// The user left before.
    Left,
}

/// Where a run is shown.
pub(crate) enum Face {
    Board(Terminal),
    /// A line per simulated six hours.
    Lines,
    Nothing,
}

/// `tw demo` without `--check`.
pub(crate) async fn run(args: &Args, cx: &mut Context) -> Result<()> {
    let lines = args.plain || cx.out.json() || !cx.out.on_terminal();
    let data = cx.data.clone();
    cx.with_log(async |log, cx| {
        // Only a mark: when it cannot be written, `--reset` refuses later.
        let _ = std::fs::write(cx.data.join(MARK), "");
        let demo = Demo::start(log, args, &cx.data.display().to_string()).await?;
        cx.out.line(format!(
            "tailwater {}   data {} (durable, fsync on)",
            env!("CARGO_PKG_VERSION"),
            cx.data.display()
        ))?;
        cx.out.line(demo.standing())?;
        cx.out.flush()?;
        let face = if lines { Face::Lines } else { Face::Board(Terminal::open()?) };
        let (end, board) = demo.run(face, cx).await?;
        if end == End::Left {
            let at = new_york(board.progress.now);
            cx.out.line(format!(
                "stopped at {at} New York, {} of {} events in; all of it is durable",
                grouped(board.progress.loaded as u64),
                grouped(board.progress.total as u64)
            ))?;
            cx.out.line(format!("tw --data {} demo   continues exactly there", data.display()))?;
            return Ok(());
        }
        if let Some(summary) = &board.summary {
            for line in summary.lines() {
                cx.out.line(line)?;
            }
        }
        cx.out.line("next:")?;
        for command in next_commands(&data) {
            cx.out.line(format!("  {command}"))?;
        }
        Ok(())
    })
    .await
}

/// A run that is under way.
pub(crate) struct Demo {
    log: Log,
    running: Arc<Running>,
    board: Board,
    loader: tokio::task::JoinHandle<Result<()>>,
    pace: watch::Sender<Pace>,
    progress: watch::Receiver<Progress>,
    rows: Tail<HourDelay>,
    alerts: Tail<Alert>,
    late: Tail<Movement>,
}

impl Demo {
    /// Opens the topics, loads the planes, starts the job and the loader.
    pub(crate) async fn start(log: &Log, args: &Args, dir: &str) -> Result<Self> {
        let (planes, events) = (data::planes().map_err(defect)?, data::events().map_err(defect)?);
        let mut loader = Loader::open(log, args.partitions, planes, events).await?;
        loader.load_planes().await?;
        let app = App::new(job::APP, job::delays).commit_every(COMMIT_EVERY);
        let running = Arc::new(app.start(log.clone()).await.map_err(of_job)?);

        let speed = (!args.fast && !args.check).then_some(args.speed * 3600.0);
        let pace = Pace { speed, paused: false, stop: false };
        let board = Board::new(dir.to_owned(), loader.partitions(), pace, loader.progress());
        let (pace, pace_reader) = watch::channel(pace);
        let (reporter, progress) = watch::channel(loader.progress());
        let of_gate = Arc::clone(&running);
        let gate: Gate = Box::new(move || {
            let running = Arc::clone(&of_gate);
            Box::pin(async move { running.caught_up().await.map_err(of_job) })
        });
        Ok(Self {
            rows: Tail::start(log, DELAYS.name()).await?,
            alerts: Tail::start(log, ALERTS.name()).await?,
            late: Tail::start(log, LATE.name()).await?,
            log: log.clone(),
            running,
            board,
            loader: tokio::spawn(loader.run(gate, pace_reader, reporter)),
            pace,
            progress,
        })
    }

    /// What this run begins with.
    fn standing(&self) -> String {
        let Progress { resumed_at, total, now, .. } = &self.board.progress;
        let total_text = grouped(*total as u64);
        match *resumed_at {
            0 => format!("New York airports, 6-12 Feb 2013: {total_text} real events"),
            at if at == *total => {
                format!("the week is loaded, all {total_text} events; the job goes on from its last commit")
            }
            at => format!(
                "{} of {total_text} events are there: going on at {} New York",
                grouped(at as u64),
                new_york(*now)
            ),
        }
    }

    /// Runs until the week is over and, on the board, the user leaves. Drains the job on every way out.
    pub(crate) async fn run(mut self, mut face: Face, cx: &mut Context) -> Result<(End, Board)> {
        let result = self.play(&mut face, cx).await;
        // Before anything is printed.
        drop(face);
        self.pace.send_modify(|pace| pace.stop = true);
        let loaded = match (&mut self.loader).await {
            Ok(loaded) => loaded,
            Err(panicked) => Err(defect(format!("the loader stopped: {panicked}"))),
        };
        let stopped = match Arc::try_unwrap(self.running) {
            Ok(running) => running.stop().await.map_err(of_job),
            Err(_) => Err(defect("the loader still holds the job".into())),
        };
        let end = result?;
        loaded?;
        stopped?;
        Ok((end, self.board))
    }

    async fn play(&mut self, face: &mut Face, cx: &mut Context) -> Result<End> {
        let clock = self.log.clock();
        let mut next_line: Option<Timestamp> = None;
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                () = cx.stop.asked() => true,
                _ = frames.tick() => false,
            };
            self.refresh().await?;
            self.board.measure(clock.instant());
            let over = self.board.progress.done;
            if over && self.board.summary.is_none() && !matches!(face, Face::Nothing) {
                self.refresh().await?;
                self.board.summary = Some(Summary::ask(&self.log).await?);
            }
            let left = match face {
                Face::Board(terminal) => {
                    terminal.draw(&self.board)?;
                    terminal.keys()?.into_iter().any(|key| self.press(key))
                }
                Face::Lines => {
                    lines(&self.board, &mut next_line, cx)?;
                    over
                }
                Face::Nothing => over,
            };
            match (over, left || asked) {
                (true, true) => return Ok(End::Complete),
                (false, true) => return Ok(End::Left),
                (_, false) if self.loader.is_finished() && !self.progress.borrow().done => return Ok(End::Left),
                (_, false) => {}
            }
        }
    }

    /// Reads what is new in the result topics, of the loader and of the job.
    async fn refresh(&mut self) -> Result<()> {
        // The loader's state first: everything that it says is done is then in the topics read below.
        self.board.progress = self.progress.borrow_and_update().clone();
        self.board.take_rows(self.rows.poll().await?);
        self.board.take_alerts(self.alerts.poll().await?);
        self.board.take_late(self.late.poll().await?);
        self.board.job = job_stats(&self.running);
        Ok(())
    }

    /// Serves a key; whether it leaves the board.
    fn press(&mut self, key: Key) -> bool {
        let hours = self.board.pace.speed.map(|speed| speed / 3600.0);
        match key {
            Key::Leave => return true,
            Key::Pause => self.board.pace.paused ^= true,
            Key::Faster => {
                let next = hours.and_then(|now| SPEEDS.into_iter().find(|speed| *speed > now));
                self.board.pace.speed = next.map(|hours| hours * 3600.0);
            }
            Key::Slower => {
                let now = hours.unwrap_or(f64::INFINITY);
                let next = SPEEDS.into_iter().rev().find(|speed| *speed < now).unwrap_or(SPEEDS[0]);
                self.board.pace.speed = Some(next * 3600.0);
            }
        }
        self.pace.send_replace(self.board.pace);
        false
    }
}

/// Sums up what the job's tasks say of themselves, as of their last commits.
fn job_stats(running: &Running) -> JobStats {
    let tasks = running.progress();
    let counts_windows =
        |task: &&TaskProgress| task.inputs.iter().any(|input| input.partition.topic.as_str() == job::WINDOWS_READ);
    JobStats {
        watermark: tasks.iter().filter(counts_windows).filter_map(|task| task.watermark).min(),
        tasks: tasks.len(),
        records_in: tasks.iter().map(|task| task.records_in).sum(),
        state_rows: tasks.iter().map(|task| task.state_rows).sum(),
        state_bytes: tasks.iter().map(|task| task.state_bytes).sum(),
    }
}

/// Prints the lines that are due.
fn lines(board: &Board, next: &mut Option<Timestamp>, cx: &mut Context) -> Result<()> {
    let six = WINDOW * 6;
    let due = next.get_or_insert(board.progress.now.floor(six) + six);
    let until = if board.progress.done { board.progress.now + six } else { board.progress.now };
    while *due <= until {
        cx.out.line(six_hours(board, *due))?;
        *due = *due + six;
    }
    cx.out.flush()
}
