//! The topics of the demo and the types of their records.
//!
//! ```text
//! flights ────────┐
//! flight_reports ─┴─ Movement ── join planes ── 1 h windows by origin ─┬─ join weather ── delays-by-hour
//!                                                     │                └─ alerts
//!                                                     └─ late-reports
//! ```
//! Values are JSON, moments in them are RFC 3339 text: `tw tail` shows what SQL reads.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tailwater_log::Timestamp;
use tailwater_streams::{Record, Topic};

/// Departures and cancellations, keyed by flight.
pub(crate) const FLIGHTS: Topic<String, Flight> = Topic::new("flights");
/// Landing reports, keyed by flight: each tells of a departure some hours ago.
pub(crate) const REPORTS: Topic<String, LandingReport> = Topic::new("flight_reports");
/// The weather of an hour at an origin, keyed by [`hour_key`] so that a window finds its own hour.
pub(crate) const WEATHER: Topic<String, Weather> = Topic::new("weather");
/// Planes, keyed by tail number.
pub(crate) const PLANES: Topic<String, Plane> = Topic::new("planes");
/// A row per origin and hour, keyed by [`hour_key`]; the last one of a key counts.
pub(crate) const DELAYS: Topic<String, HourDelay> = Topic::new("delays-by-hour");
/// One record for each hour at an origin in which [`ALERT_AT`] flights were cancelled.
pub(crate) const ALERTS: Topic<String, Alert> = Topic::new("alerts");
/// Landing reports that came too late to be counted, keyed by origin.
pub(crate) const LATE: Topic<String, Movement> = Topic::new("late-reports");

/// The window of the job.
pub(crate) const WINDOW: Duration = Duration::from_secs(3600);
/// A landing report counts when it is delivered less than this after the end of its window.
pub(crate) const LATENESS: Duration = Duration::from_secs(6 * 3600);
/// Cancellations in one window at which an alert is raised.
pub(crate) const ALERT_AT: u32 = 10;

/// The three airports.
pub(crate) const ORIGINS: [&str; 3] = ["EWR", "JFK", "LGA"];

/// The key of an origin's hour: `EWR 2013-02-08T21`, in UTC.
pub(crate) fn hour_key(origin: &str, hour: Timestamp) -> String {
    let text = hour.floor(WINDOW).to_string();
    format!("{origin} {}", text.get(..13).unwrap_or(&text))
}

/// A flight as it leaves, or as it does not.
#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
pub(crate) struct Flight {
    #[record(key)]
    pub(crate) flight: String,
    pub(crate) carrier: String,
    pub(crate) tailnum: Option<String>,
    pub(crate) origin: String,
    pub(crate) dest: String,
    #[serde(with = "iso")]
    pub(crate) sched_dep: Timestamp,
    pub(crate) distance: u32,
    pub(crate) status: String,
    /// Minutes; `None` for a cancelled flight.
    #[serde(default)]
    pub(crate) dep_delay: Option<i64>,
}

impl Flight {
    pub(crate) fn cancelled(&self) -> bool {
        self.status == "cancelled"
    }

    /// When it left; when it should have left if it was cancelled.
    pub(crate) fn departure(&self) -> Timestamp {
        Timestamp(self.sched_dep.0 + self.dep_delay.unwrap_or(0) * 60_000)
    }
}

/// A flight as it lands.
#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
pub(crate) struct LandingReport {
    #[record(key)]
    pub(crate) flight: String,
    pub(crate) carrier: String,
    pub(crate) tailnum: Option<String>,
    pub(crate) origin: String,
    pub(crate) dest: String,
    #[serde(with = "iso")]
    pub(crate) sched_dep: Timestamp,
    pub(crate) distance: u32,
    pub(crate) status: String,
    #[serde(with = "iso")]
    pub(crate) dep: Timestamp,
    #[serde(with = "iso")]
    pub(crate) arr: Timestamp,
    /// Minutes.
    pub(crate) dep_delay: i64,
    /// Minutes; `None` where the source gives none (a diverted flight).
    pub(crate) arr_delay: Option<i64>,
    /// Minutes.
    pub(crate) air_time: Option<i64>,
}

/// The weather of one hour; Fahrenheit, miles per hour, inches, miles, hectopascal.
#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
pub(crate) struct Weather {
    #[serde(with = "iso")]
    pub(crate) hour: Timestamp,
    pub(crate) origin: String,
    pub(crate) temp: Option<f64>,
    pub(crate) wind_speed: Option<f64>,
    pub(crate) precip: Option<f64>,
    pub(crate) visib: Option<f64>,
    pub(crate) pressure: Option<f64>,
}

/// A plane.
#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
pub(crate) struct Plane {
    #[record(key)]
    pub(crate) tailnum: String,
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) seats: u32,
}

/// What happened to a flight, from either topic: what the windows count.
#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
pub(crate) struct Movement {
    pub(crate) flight: String,
    pub(crate) tailnum: Option<String>,
    pub(crate) origin: String,
    pub(crate) kind: Kind,
    /// The event time: when it left, or should have.
    #[serde(with = "iso")]
    pub(crate) departure: Timestamp,
    /// When it could be known: a landing when the plane lands, anything else at its departure.
    #[serde(with = "iso")]
    pub(crate) delivered: Timestamp,
    /// Minutes: of the departure, or of the landing.
    pub(crate) delay: Option<i64>,
    /// Of the plane, once it was joined; `None` for a plane that nobody knows.
    pub(crate) seats: Option<u32>,
}

/// What a [`Movement`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Departed,
    Cancelled,
    Landed,
}

impl From<&Flight> for Movement {
    fn from(f: &Flight) -> Self {
        Self {
            flight: f.flight.clone(),
            tailnum: f.tailnum.clone(),
            origin: f.origin.clone(),
            kind: if f.cancelled() { Kind::Cancelled } else { Kind::Departed },
            departure: f.departure(),
            delivered: f.departure(),
            delay: f.dep_delay,
            seats: None,
        }
    }
}

impl From<&LandingReport> for Movement {
    fn from(r: &LandingReport) -> Self {
        Self {
            flight: r.flight.clone(),
            tailnum: r.tailnum.clone(),
            origin: r.origin.clone(),
            kind: Kind::Landed,
            departure: r.dep,
            delivered: r.arr,
            delay: r.arr_delay,
            seats: None,
        }
    }
}

/// What a window holds. Sums and counts only, so that the order of arrival does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Record, Serialize, Deserialize)]
pub(crate) struct HourStats {
    pub(crate) departed: u32,
    pub(crate) cancelled: u32,
    /// Reports that were not late.
    pub(crate) landed: u32,
    /// Minutes over all departed.
    pub(crate) dep_delay_sum: i64,
    /// Landed flights with a known delay, and the minutes over them.
    pub(crate) arr_timed: u32,
    pub(crate) arr_delay_sum: i64,
    /// Seats of cancelled flights whose plane is known.
    pub(crate) seats_cancelled: u32,
    /// Whether this update was the one that brought `cancelled` to [`ALERT_AT`]: true once in a window's life.
    pub(crate) alert: bool,
}

impl HourStats {
    /// Counts one movement.
    pub(crate) fn add(&mut self, m: &Movement) {
        self.alert = false;
        match m.kind {
            Kind::Departed => {
                self.departed += 1;
                self.dep_delay_sum += m.delay.unwrap_or(0);
            }
            Kind::Cancelled => {
                self.cancelled += 1;
                self.seats_cancelled += m.seats.unwrap_or(0);
                self.alert = self.cancelled == ALERT_AT;
            }
            Kind::Landed => {
                self.landed += 1;
                if let Some(delay) = m.delay {
                    self.arr_timed += 1;
                    self.arr_delay_sum += delay;
                }
            }
        }
    }
}

/// A window's counts on their way to the weather. Whole numbers: averages are made once, in the final row.
#[derive(Clone, Debug, PartialEq, Eq, Record, Serialize, Deserialize)]
pub(crate) struct HourCounts {
    pub(crate) origin: String,
    #[serde(with = "iso")]
    pub(crate) hour: Timestamp,
    pub(crate) stats: HourStats,
}

/// A row of `delays-by-hour`: one origin in one hour, with the weather of that hour.
#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
pub(crate) struct HourDelay {
    pub(crate) origin: String,
    #[serde(with = "iso")]
    pub(crate) hour: Timestamp,
    pub(crate) departed: u32,
    pub(crate) cancelled: u32,
    pub(crate) landed: u32,
    /// Minutes, over the departed.
    pub(crate) avg_dep_delay: Option<f64>,
    /// Minutes, over the landed whose delay is known.
    pub(crate) avg_arr_delay: Option<f64>,
    pub(crate) seats_cancelled: u32,
    pub(crate) temp: Option<f64>,
    pub(crate) wind_speed: Option<f64>,
    pub(crate) precip: Option<f64>,
    pub(crate) visib: Option<f64>,
}

impl HourDelay {
    /// The row of a window, without weather.
    pub(crate) fn new(origin: &str, hour: Timestamp, s: &HourStats) -> Self {
        Self {
            origin: origin.to_owned(),
            hour,
            departed: s.departed,
            cancelled: s.cancelled,
            landed: s.landed,
            avg_dep_delay: average(s.dep_delay_sum, s.departed),
            avg_arr_delay: average(s.arr_delay_sum, s.arr_timed),
            seats_cancelled: s.seats_cancelled,
            temp: None,
            wind_speed: None,
            precip: None,
            visib: None,
        }
    }

    /// The same row with what is known of the weather.
    pub(crate) fn under(mut self, weather: Option<&Weather>) -> Self {
        if let Some(w) = weather {
            (self.temp, self.wind_speed, self.precip, self.visib) = (w.temp, w.wind_speed, w.precip, w.visib);
        }
        self
    }
}

/// An hour at an origin in which many flights were cancelled.
#[derive(Clone, Debug, PartialEq, Eq, Record, Serialize, Deserialize)]
pub(crate) struct Alert {
    pub(crate) origin: String,
    #[serde(with = "iso")]
    pub(crate) hour: Timestamp,
    pub(crate) cancelled: u32,
    /// The same for people.
    pub(crate) text: String,
}

impl Alert {
    pub(crate) fn new(origin: &str, hour: Timestamp, cancelled: u32) -> Self {
        let text = format!("{origin}: {cancelled} flights cancelled in the hour from {} New York", new_york(hour));
        Self { origin: origin.to_owned(), hour, cancelled, text }
    }
}

#[expect(clippy::cast_precision_loss, reason = "minutes of a week's delays are far below 2^53")]
fn average(sum: i64, count: u32) -> Option<f64> {
    (count > 0).then(|| sum as f64 / f64::from(count))
}

/// `Fri 8 Feb 16:00` on New York's clock, which is five hours behind UTC all that week.
pub(crate) fn new_york(at: Timestamp) -> String {
    let local = jiff::Timestamp::from_millisecond(at.0 - 5 * 3_600_000).unwrap_or_default();
    local.strftime("%a %-d %b %H:%M").to_string()
}

/// Moments as RFC 3339 text in JSON.
pub(crate) mod iso {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};
    use tailwater_log::Timestamp;

    pub(crate) fn serialize<S: Serializer>(at: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(at)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        let at: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Timestamp(at.as_millisecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_one_key_and_new_york_is_five_hours_behind() {
        let at = Timestamp(1_360_357_200_000 + 59 * 60_000);
        assert_eq!(hour_key("EWR", at), "EWR 2013-02-08T21");
        assert_eq!(new_york(at), "Fri 8 Feb 16:59");
    }

    #[test]
    fn the_alert_is_raised_by_the_tenth_cancellation_only() {
        let cancelled = Movement {
            flight: "X".into(),
            tailnum: None,
            origin: "EWR".into(),
            kind: Kind::Cancelled,
            departure: Timestamp(0),
            delivered: Timestamp(0),
            delay: None,
            seats: Some(3),
        };
        let landed = Movement { kind: Kind::Landed, delay: Some(-4), ..cancelled.clone() };
        let mut stats = HourStats::default();
        let mut alerts = Vec::new();
        for n in 1..=12 {
            stats.add(&cancelled);
            alerts.extend(stats.alert.then_some(n));
            stats.add(&landed);
            alerts.extend(stats.alert.then_some(n));
        }
        assert_eq!(alerts, [10]);
        assert_eq!((stats.seats_cancelled, stats.arr_timed, stats.arr_delay_sum), (36, 12, -48));
        assert_eq!(HourDelay::new("EWR", Timestamp(0), &stats).avg_arr_delay, Some(-4.0));
        assert_eq!(HourDelay::new("EWR", Timestamp(0), &stats).avg_dep_delay, None);
    }
}
