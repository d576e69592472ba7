//! What the board knows: a plain value that is fed from the topics, the loader and the job, and drawn by [`view`].
//!
//! Everything on it is measured or read back from a topic; nothing is computed beside the job.

mod plain;
mod view;

pub(crate) use plain::six_hours;
pub(crate) use view::draw;

use crate::demo::loader::{Pace, Progress};
use crate::demo::model::{Alert, HourDelay, Movement, WINDOW, hour_key};
use crate::demo::summary::Summary;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tailwater_log::Timestamp;
use tailwater_log::types::Instant;

/// Real seconds over which a rate is measured.
const RATE_SECONDS: u64 = 2;

/// What the job says of itself, over all its tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobStats {
    /// The smallest watermark of the windows; `None` before the first.
    pub(crate) watermark: Option<Timestamp>,
    pub(crate) tasks: usize,
    pub(crate) records_in: u64,
    pub(crate) state_rows: u64,
    pub(crate) state_bytes: u64,
}

/// Everything that is shown.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) data: String,
    pub(crate) partitions: usize,
    pub(crate) pace: Pace,
    pub(crate) progress: Progress,
    pub(crate) job: JobStats,
    /// The last row of each origin and hour.
    pub(crate) rows: BTreeMap<String, HourDelay>,
    /// In the order in which they came.
    pub(crate) alerts: Vec<Alert>,
    /// Flights whose landing report came too late.
    pub(crate) late: BTreeSet<String>,
    /// Result rows read, repeats included.
    pub(crate) results: u64,
    /// The answers by SQL, once the week is over.
    pub(crate) summary: Option<Summary>,
    measured: VecDeque<(Instant, u64)>,
}

impl Board {
    pub(crate) fn new(data: String, partitions: usize, pace: Pace, progress: Progress) -> Self {
        Self {
            data,
            partitions,
            pace,
            progress,
            job: JobStats::default(),
            rows: BTreeMap::new(),
            alerts: Vec::new(),
            late: BTreeSet::new(),
            results: 0,
            summary: None,
            measured: VecDeque::new(),
        }
    }

    /// Takes rows of `delays-by-hour`; the last one of a key counts.
    pub(crate) fn take_rows(&mut self, rows: Vec<HourDelay>) {
        self.results += rows.len() as u64;
        self.rows.extend(rows.into_iter().map(|row| (hour_key(&row.origin, row.hour), row)));
    }

    /// Takes alerts; one that is repeated after a crash counts once.
    pub(crate) fn take_alerts(&mut self, alerts: Vec<Alert>) {
        for alert in alerts {
            if !self.alerts.contains(&alert) {
                self.alerts.push(alert);
            }
        }
    }

    pub(crate) fn take_late(&mut self, reports: Vec<Movement>) {
        self.late.extend(reports.into_iter().map(|report| report.flight));
    }

    /// Notes what was processed by `at`, for [`Board::rate`].
    pub(crate) fn measure(&mut self, at: Instant) {
        self.measured.push_back((at, self.job.records_in));
        while self.measured.len() > 2 && at.since(self.measured[1].0).as_secs() >= RATE_SECONDS {
            self.measured.pop_front();
        }
    }

    /// Records that the job's tasks took in per second, over the last two seconds.
    pub(crate) fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.measured.front(), self.measured.back()) else { return 0.0 };
        let seconds = last.0.since(first.0).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
        let records = last.1.saturating_sub(first.1) as f64;
        if seconds > 0.0 { records / seconds } else { 0.0 }
    }

    /// The hour that the simulated clock is in.
    pub(crate) fn hour(&self) -> Timestamp {
        self.progress.now.floor(WINDOW)
    }

    /// The row of an origin's hour, `hours_ago` before the present one.
    pub(crate) fn row(&self, origin: &str, hours_ago: u32) -> Option<&HourDelay> {
        self.rows.get(&hour_key(origin, self.hour() - WINDOW * hours_ago))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::demo::model::HourStats;
    use hdrhistogram::Histogram;
    use std::time::Duration;

    /// A board in the middle of the storm: Friday 8 February 2013, 16:20 in New York.
    pub(crate) fn stormy() -> Board {
        let now = Timestamp(1_360_357_200_000 + 20 * 60_000);
        let mut latency = Histogram::new(3).unwrap();
        latency.record(2_100).unwrap();
        let progress = Progress { now, loaded: 4_321, resumed_at: 0, total: 11_709, latency, done: false };
        let pace = Pace { speed: Some(6.0 * 3600.0), paused: false, stop: false };
        let mut board = Board::new("./tw-demo".into(), 4, pace, progress);
        let row = |origin: &str, ago: u32| {
            let stats = HourStats {
                departed: 3 * ago,
                cancelled: 40_u32.saturating_sub(2 * ago),
                dep_delay_sum: 123,
                ..HourStats::default()
            };
            let mut row = HourDelay::new(origin, now.floor(WINDOW) - WINDOW * ago, &stats);
            (row.wind_speed, row.visib) = (Some(28.8), Some(1.2));
            row
        };
        board.take_rows((0..20).flat_map(|ago| [row("EWR", ago), row("JFK", ago)]).collect());
        board.take_alerts(vec![Alert::new("EWR", now.floor(WINDOW), 10), Alert::new("EWR", now.floor(WINDOW), 10)]);
        board.job = JobStats {
            watermark: Some(now - Duration::from_secs(120)),
            tasks: 16,
            records_in: 9_000,
            state_rows: 12,
            state_bytes: 1_234,
        };
        board
    }

    #[test]
    fn repeats_count_once_and_the_last_row_wins() {
        let mut board = stormy();
        assert_eq!(board.alerts.len(), 1);
        let mut row = board.row("EWR", 1).unwrap().clone();
        row.cancelled = 99;
        board.take_rows(vec![row]);
        assert_eq!(board.row("EWR", 1).unwrap().cancelled, 99);
        assert_eq!(board.row("LGA", 1), None);
        assert_eq!(board.results, 41);
    }

    #[test]
    fn the_rate_is_over_the_last_two_seconds() {
        let mut board = stormy();
        assert_eq!(board.rate(), 0.0);
        for second in 0..10 {
            board.job.records_in = second * second * 100;
            board.measure(Instant(second * 1_000_000_000));
        }
        assert_eq!(board.rate(), f64::from((81 - 49) * 100) / 2.0);
    }
}
