//! The checked-in answers, and the comparison with what the job produced.
//!
//! `answers/recompute.py` makes the csv files from the source's csv files alone. Both sides become rows of text under
//! a key, so that one comparison serves all four tables and a difference can be shown as it is.

use crate::demo::model::{Alert, HourDelay, Movement, WINDOW, hour_key, iso};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use tailwater_log::{Codec, Timestamp};

/// One row per key, as text.
pub(crate) type Rows = BTreeMap<String, String>;

/// The answers to the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answers {
    /// `delays-by-hour`, by [`hour_key`].
    pub(crate) delays: Rows,
    /// `alerts`, by [`hour_key`].
    pub(crate) alerts: Rows,
    /// `late-reports`, by flight.
    pub(crate) late: Rows,
    /// Flights and cancellations, by day.
    pub(crate) daily: Rows,
}

/// The first row that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) table: &'static str,
    pub(crate) key: String,
    pub(crate) expected: Option<String>,
    pub(crate) found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |row: &Option<String>| row.clone().unwrap_or_else(|| "no such row".into());
        writeln!(f, "{} differs at `{}`", self.table, self.key)?;
        writeln!(f, "  expected  {}", shown(&self.expected))?;
        write!(f, "  found     {}", shown(&self.found))
    }
}

/// Compares every row of both sides; how many there are, or the first difference by key.
pub(crate) fn compare(table: &'static str, expected: &Rows, found: &Rows) -> Result<usize, Box<Difference>> {
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let (expected, found) = (expected.get(key), found.get(key));
        if expected != found {
            let (expected, found) = (expected.cloned(), found.cloned());
            return Err(Box::new(Difference { table, key: key.clone(), expected, found }));
        }
    }
    Ok(expected.len())
}

pub(crate) fn delay_row(row: &HourDelay) -> (String, String) {
    (hour_key(&row.origin, row.hour), String::from_utf8_lossy(&row.to_bytes()).into_owned())
}

pub(crate) fn alert_row(alert: &Alert) -> (String, String) {
    (hour_key(&alert.origin, alert.hour), String::from_utf8_lossy(&alert.to_bytes()).into_owned())
}

pub(crate) fn late_row(report: &Movement) -> (String, String) {
    let hour = report.departure.floor(WINDOW);
    (report.flight.clone(), format!("{} in the hour {hour}, delivered {}", report.origin, report.delivered))
}

/// `day` as `2013-02-08`.
pub(crate) fn daily_row(day: &str, flights: i64, cancelled: i64) -> (String, String) {
    (day.to_owned(), format!("{flights} flights, {cancelled} cancelled"))
}

#[derive(Deserialize)]
struct AlertLine {
    origin: String,
    #[serde(with = "iso")]
    hour: Timestamp,
    cancelled: u32,
}

#[derive(Deserialize)]
struct LateLine {
    flight: String,
    origin: String,
    #[serde(with = "iso")]
    hour: Timestamp,
    #[serde(with = "iso")]
    delivered: Timestamp,
}

#[derive(Deserialize)]
struct DailyLine {
    day: String,
    flights: i64,
    cancelled: i64,
}

impl Answers {
    /// The answers that are part of this program.
    pub(crate) fn embedded() -> Result<Self, String> {
        Self::read(
            include_str!("answers/delays-by-hour.csv"),
            include_str!("answers/alerts.csv"),
            include_str!("answers/late.csv"),
            include_str!("answers/daily.csv"),
        )
    }

    fn read(delays: &str, alerts: &str, late: &str, daily: &str) -> Result<Self, String> {
        Ok(Self {
            delays: rows("delays-by-hour", delays, |row: HourDelay| delay_row(&row))?,
            alerts: rows("alerts", alerts, |a: AlertLine| alert_row(&Alert::new(&a.origin, a.hour, a.cancelled)))?,
            late: rows("late", late, |l: LateLine| {
                (l.flight, format!("{} in the hour {}, delivered {}", l.origin, l.hour, l.delivered))
            })?,
            daily: rows("daily", daily, |d: DailyLine| daily_row(&d.day, d.flights, d.cancelled))?,
        })
    }
}

fn rows<T: serde::de::DeserializeOwned>(
    name: &str,
    text: &str,
    row: impl Fn(T) -> (String, String),
) -> Result<Rows, String> {
    csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .map(|line| line.map(&row))
        .collect::<Result<_, _>>()
        .map_err(|e| format!("embedded answers {name}.csv: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_are_those_that_everyone_knows() {
        let answers = Answers::embedded().unwrap();
        assert_eq!(answers.daily["2013-02-08"], "930 flights, 472 cancelled");
        assert_eq!(answers.daily["2013-02-09"], "684 flights, 393 cancelled");
        assert_eq!((answers.delays.len(), answers.alerts.len(), answers.late.len()), (401, 34, 175));
        assert_eq!(
            answers.delays["JFK 2013-02-13T05"],
            r#"{"origin":"JFK","hour":"2013-02-13T05:00:00Z","departed":1,"cancelled":0,"landed":1,"avg_dep_delay":92.0,"avg_arr_delay":86.0,"seats_cancelled":0,"temp":null,"wind_speed":null,"precip":null,"visib":null}"#
        );
    }

    #[test]
    fn every_kind_of_difference_is_found_and_shown() {
        let expected = Answers::embedded().unwrap().delays;
        assert_eq!(compare("delays-by-hour", &expected, &expected), Ok(401));

        let mut changed = expected.clone();
        let row = changed.get_mut("EWR 2013-02-08T21").unwrap();
        *row = row.replace("\"cancelled\":", "\"cancelled\":1");
        let difference = compare("delays-by-hour", &expected, &changed).unwrap_err();
        assert_eq!(difference.key, "EWR 2013-02-08T21");
        assert!(difference.to_string().starts_with("delays-by-hour differs at `EWR 2013-02-08T21`\n  expected  {"));

        let mut missing = expected.clone();
        missing.remove("LGA 2013-02-08T21");
        let shown = compare("delays-by-hour", &expected, &missing).unwrap_err().to_string();
        assert!(shown.ends_with("found     no such row"), "{shown}");

        let mut extra = expected.clone();
        extra.insert("AAA".into(), "row".into());
        assert_eq!(compare("delays-by-hour", &expected, &extra).unwrap_err().expected, None);
    }

    #[test]
    fn the_answers_are_those_that_the_events_give() {
        // A second, naive recomputation: over the events instead of the csv files, without the job.
        use crate::demo::data::{Source, events, planes};
        use crate::demo::model::{Flight, HourStats, LATENESS, LandingReport, Weather};
        let seats: BTreeMap<_, _> = planes().unwrap().into_iter().map(|p| (p.tailnum, p.seats)).collect();
        let (mut hours, mut weather, mut late) = (BTreeMap::new(), BTreeMap::new(), Rows::new());
        for event in events().unwrap() {
            let bytes = event.value.as_bytes();
            let mut movement = match event.source {
                Source::Weather => {
                    weather.insert(event.key, Weather::decode(bytes).unwrap());
                    continue;
                }
                Source::Flights => Movement::from(&Flight::decode(bytes).unwrap()),
                Source::FlightReports => Movement::from(&LandingReport::decode(bytes).unwrap()),
            };
            assert_eq!(movement.delivered, event.delivered);
            movement.seats = movement.tailnum.as_ref().and_then(|t| seats.get(t)).copied();
            let hour = movement.departure.floor(WINDOW);
            if event.delivered >= hour + WINDOW + LATENESS {
                late.extend([late_row(&movement)]);
            } else {
                let stats: &mut HourStats = hours.entry((movement.origin.clone(), hour)).or_default();
                stats.add(&movement);
            }
        }
        let delays = hours.iter().map(|((origin, hour), stats)| {
            delay_row(&HourDelay::new(origin, *hour, stats).under(weather.get(&hour_key(origin, *hour))))
        });
        let answers = Answers::embedded().unwrap();
        assert_eq!(compare("delays-by-hour", &answers.delays, &delays.collect()), Ok(401));
        assert_eq!(compare("late-reports", &answers.late, &late), Ok(175));
    }
}
