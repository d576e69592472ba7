//! The job: what becomes of flights, landing reports, planes and weather.
//!
//! ```text
//! flights ────────┐
//! flight_reports ─┴─ by-plane ⋈ planes ── by-origin ── 1 h windows, 6 h late ─┬─ by-origin-hour ⋈ weather ── delays-by-hour
//!                                                           │                 └─ alerts
//!                                                           └─ late-reports
//! ```
//! Why the final rows depend on the data alone, and not on partitions, threads or pace:
//! - the event time is set where a record is read, and stays with it through both re-keyings;
//! - the watermark is the delivery time (`Watermarks::RecordTime`), so a landing report is late if and only if it was
//!   delivered 6 hours or more after the end of its window;
//! - a window holds sums and counts only, so the order within it does not matter;
//! - the loader puts planes and weather before the flights that join them, and keeps partitions within an hour of each
//!   other (see [`crate::demo::loader`]).
//!
//! After a crash the job may repeat rows that it wrote after its last commit; the last row of a key is the final one
//! all the same.

use crate::demo::model::{
    ALERT_AT, ALERTS, Alert, DELAYS, FLIGHTS, HourCounts, HourDelay, HourStats, LATE, LATENESS, Movement, PLANES,
    REPORTS, WEATHER, WINDOW, hour_key,
};
use tailwater_streams::{Emit, Topology, Tumbling, Watermarks};

/// The job's name: its group, and the prefix of its own topics.
pub(crate) const APP: &str = "delays";
/// The topic from which the tasks read that count the windows.
pub(crate) const WINDOWS_READ: &str = "delays-by-origin-repartition";

/// Builds the topology drawn above.
pub(crate) fn delays(t: &Topology) {
    let planes = t.table(PLANES, "planes");
    let weather = t.table(WEATHER, "weather");

    let flights = t
        .stream(FLIGHTS)
        .watermark(Watermarks::RecordTime)
        .event_time(|_, flight| flight.departure())
        .map_values(|flight| Movement::from(&flight));
    let reports = t
        .stream(REPORTS)
        .watermark(Watermarks::RecordTime)
        .event_time(|_, report| report.dep)
        .map_values(|report| Movement::from(&report));

    let windows = flights
        .merge(&reports)
        // A flight without a plane keeps its own key, which no plane has.
        .key_by("by-plane", |flight, m| m.tailnum.clone().unwrap_or_else(|| flight.clone()))
        .left_join(&planes, |m, plane| Movement { seats: plane.map(|p| p.seats), ..m.clone() })
        .key_by("by-origin", |_, m| m.origin.clone())
        .group_by_key()
        .window(Tumbling::of(WINDOW).lateness(LATENESS))
        .emit(Emit::OnUpdate);
    windows.late().to(LATE);

    let hours = windows.aggregate("delays", |_, movement, stats: &mut HourStats| stats.add(&movement)).changes();
    hours
        .filter(|_, stats| stats.alert)
        .map(|hour, _| (hour_key(&hour.key, hour.start), Alert::new(&hour.key, hour.start, ALERT_AT)))
        .to(ALERTS);
    hours
        .map(|hour, stats| (hour_key(&hour.key, hour.start), HourCounts { origin: hour.key, hour: hour.start, stats }))
        .key_by("by-origin-hour", |key, _| key.clone())
        .left_join(&weather, |h, weather| HourDelay::new(&h.origin, h.hour, &h.stats).under(weather))
        .to(DELAYS);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_topology_has_the_topics_that_the_board_reads() {
        let job = tailwater_streams::App::new(super::APP, super::delays).describe().unwrap();
        assert!(job.contains(super::WINDOWS_READ), "{job}");
    }
}
