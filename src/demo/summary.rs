//! The results by SQL: what the demo shows at the end of the week, and what it suggests to try.

use crate::cli::{Error, Result};
use crate::demo::answers::{Rows, daily_row};
use crate::demo::model::new_york;
use std::path::Path;
use tailwater_log::{Log, Timestamp};
use tailwater_sql::SqlSession;

/// Flights and cancellations per day of New York, which is five hours behind UTC all that week.
pub(crate) const DAILY: &str = "\
SELECT CAST(sched_dep - INTERVAL '5 hours' AS DATE) AS day, count(*) AS flights,
       count(*) FILTER (WHERE status = 'cancelled') AS cancelled
FROM flights GROUP BY day ORDER BY day";

/// The hours with the most cancellations, from the job's results.
pub(crate) const WORST: &str = "\
SELECT origin, hour, departed, cancelled, seats_cancelled, wind_speed, visib
FROM latest('delays-by-hour') ORDER BY cancelled DESC, hour, origin LIMIT 7";

/// One day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Day {
    /// `2013-02-08`.
    pub(crate) day: String,
    pub(crate) flights: i64,
    pub(crate) cancelled: i64,
}

/// One hour at an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hour {
    pub(crate) origin: String,
    pub(crate) hour: Timestamp,
    pub(crate) departed: i64,
    pub(crate) cancelled: i64,
    pub(crate) seats_cancelled: i64,
}

/// What SQL answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) days: Vec<Day>,
    pub(crate) hours: Vec<Hour>,
}

impl Summary {
    /// Asks both questions.
    pub(crate) async fn ask(log: &Log) -> Result<Self> {
        let sql = SqlSession::new(log.clone());
        let mut days = Vec::new();
        for row in ask(&sql, DAILY).await? {
            let [day, flights, cancelled] = fields(&row)?;
            days.push(Day { day: day.to_owned(), flights: number(flights)?, cancelled: number(cancelled)? });
        }
        let mut hours = Vec::new();
        for row in ask(&sql, WORST).await? {
            let [origin, hour, departed, cancelled, seats, _, _] = fields(&row)?;
            let hour = hour.parse::<jiff::Timestamp>().map_err(|e| unexpected(&format!("{hour}: {e}")))?;
            hours.push(Hour {
                origin: origin.to_owned(),
                hour: Timestamp(hour.as_millisecond()),
                departed: number(departed)?,
                cancelled: number(cancelled)?,
                seats_cancelled: number(seats)?,
            });
        }
        Ok(Self { days, hours })
    }

    /// The days as rows that can be compared.
    pub(crate) fn daily_rows(&self) -> Rows {
        self.days.iter().map(|d| daily_row(&d.day, d.flights, d.cancelled)).collect()
    }

    pub(crate) fn day_lines(&self) -> Vec<String> {
        let line = |d: &Day| {
            let share = 100 * d.cancelled / d.flights.max(1);
            format!("{}  {:>4} flights {:>4} cancelled {share:>3} %", d.day, d.flights, d.cancelled)
        };
        self.days.iter().map(line).collect()
    }

    pub(crate) fn hour_lines(&self) -> Vec<String> {
        let line = |h: &Hour| {
            let Hour { origin, hour, departed, cancelled, seats_cancelled } = h;
            let hour = new_york(*hour);
            format!("{origin} {hour:<16} {cancelled:>3} cancelled, {departed} left, {seats_cancelled} seats")
        };
        self.hours.iter().map(line).collect()
    }

    /// The summary as it stays on the screen when the demo ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec!["flights per day of New York, by SQL over `flights`:".to_owned()];
        lines.extend(DAILY.lines().map(|line| format!("  > {line}")));
        lines.extend(self.day_lines().into_iter().map(|line| format!("    {line}")));
        lines.push("the worst hours, by SQL over the results of the job:".to_owned());
        lines.extend(WORST.lines().map(|line| format!("  > {line}")));
        lines.extend(self.hour_lines().into_iter().map(|line| format!("    {line}")));
        lines
    }
}

/// Commands to try on the demo's data.
pub(crate) fn next_commands(data: &Path) -> Vec<String> {
    let tw = format!("tw --data {}", data.display());
    vec![
        format!("{tw} sql                     ask your own questions"),
        format!("{tw} tail alerts             what the job raised"),
        format!("{tw} topic list              everything is a topic"),
        format!("{tw} take alerts --group me  the same topic as a queue"),
    ]
}

/// Runs a statement; each row as the texts of its cells.
async fn ask(sql: &SqlSession, statement: &str) -> Result<Vec<Vec<String>>> {
    use tailwater_sql::arrow::util::display::{ArrayFormatter, FormatOptions};
    let failed = |e: tailwater_sql::Error| Error::Coded { code: e.code(), message: e.to_string(), help: e.help() };
    let answer = sql.query(statement).await.map_err(failed)?;
    let mut rows = Vec::new();
    for batch in answer.batches().await.map_err(failed)? {
        let options = FormatOptions::default();
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
            .collect::<Result<_, _>>()
            .map_err(|e| unexpected(&e.to_string()))?;
        rows.extend((0..batch.num_rows()).map(|n| columns.iter().map(|c| c.value(n).to_string()).collect()));
    }
    Ok(rows)
}

fn fields<const N: usize>(row: &[String]) -> Result<[&str; N]> {
    let cells: Vec<&str> = row.iter().map(String::as_str).collect();
    cells.try_into().map_err(|cells: Vec<&str>| unexpected(&format!("{} columns", cells.len())))
}

fn number(text: &str) -> Result<i64> {
    text.parse().map_err(|_| unexpected(text))
}

fn unexpected(what: &str) -> Error {
    Error::Coded { code: "TW0521", message: format!("the demo's SQL answered {what}"), help: None }
}
