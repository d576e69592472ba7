//! `tw demo --check`: the whole week unpaced, every final row compared with the checked-in answers.

use crate::cli::{Context, Error, Result};
use crate::demo::answers::{Answers, Difference, Rows, alert_row, compare, delay_row, late_row};
use crate::demo::board::Board;
use crate::demo::model::{ALERTS, Alert, DELAYS, HourDelay, LATE, Movement};
use crate::demo::show::{Demo, End, Face};
use crate::demo::summary::Summary;
use crate::demo::tail::Tail;
use crate::demo::{Args, defect};
use crate::output::grouped;
use tailwater_log::{Codec as _, Log};

/// What the topics hold in the end.
struct Found {
    rows: Answers,
    /// Records in the result topics that repeat or replace an earlier one of their key.
    alerts_repeated: usize,
    late_repeated: usize,
    updates: usize,
}

/// Runs the check in a directory of its own, or in the one given.
pub(crate) async fn run(args: &Args, cx: &mut Context) -> Result<()> {
    let own = match cx.data_given {
        true => None,
        false => Some(OwnDir::make()?),
    };
    if let Some(own) = &own {
        cx.data = own.0.clone();
    }
    let result = cx.with_log(async |log, cx| check(log, args, cx).await).await;
    drop(own);
    result
}

async fn check(log: &Log, args: &Args, cx: &mut Context) -> Result<()> {
    let expected = Answers::embedded().map_err(defect)?;
    let demo = Demo::start(log, args, &cx.data.display().to_string()).await?;
    let (end, board) = demo.run(Face::Nothing, cx).await?;
    if end == End::Left {
        cx.out.line("stopped before the end; nothing was compared")?;
        return Ok(());
    }
    let found = found(log).await?;
    match differences(&expected, &found.rows) {
        Ok(counts) => report(&board, &found, counts, cx),
        Err(difference) => Err(Error::Coded {
            code: "TW0520",
            message: difference.to_string(),
            help: Some("the answers come from   src/demo/answers/recompute.py   which needs only the csv files".into()),
        }),
    }
}

/// Rows compared: of the hours, the alerts, the late reports and the days.
fn differences(expected: &Answers, found: &Answers) -> Result<[usize; 4], Box<Difference>> {
    Ok([
        compare("delays-by-hour", &expected.delays, &found.delays)?,
        compare("alerts", &expected.alerts, &found.alerts)?,
        compare("late-reports", &expected.late, &found.late)?,
        compare("daily cancellations by SQL", &expected.daily, &found.daily)?,
    ])
}

async fn found(log: &Log) -> Result<Found> {
    let delays: Vec<String> = Tail::start(log, DELAYS.name()).await?.poll().await?;
    let alerts: Vec<Alert> = Tail::start(log, ALERTS.name()).await?.poll().await?;
    let late: Vec<Movement> = Tail::start(log, LATE.name()).await?.poll().await?;
    let summary = Summary::ask(log).await?;
    let rows = Answers {
        // A later row replaces an earlier one of its key. Compared as it is written, to the last digit.
        delays: delays.iter().map(|row| keyed(row)).collect::<Result<Rows>>()?,
        alerts: alerts.iter().map(alert_row).collect(),
        late: late.iter().map(late_row).collect(),
        daily: summary.daily_rows(),
    };
    Ok(Found {
        alerts_repeated: alerts.len() - rows.alerts.len(),
        late_repeated: late.len() - rows.late.len(),
        updates: delays.len(),
        rows,
    })
}

/// A row of `delays-by-hour` under its key.
fn keyed(row: &str) -> Result<(String, String)> {
    let decoded =
        HourDelay::decode(row.as_bytes()).map_err(|e| defect(format!("a row of delays-by-hour: {e}: {row}")))?;
    Ok((delay_row(&decoded).0, row.to_owned()))
}

fn report(board: &Board, found: &Found, counts: [usize; 4], cx: &mut Context) -> Result<()> {
    let [hours, alerts, late, days] = counts;
    let repeated = |n: usize| if n == 0 { String::new() } else { format!(", {n} repeated after a crash") };
    let events = grouped(board.progress.total as u64);
    cx.out.line(format!("{events} events on {} partitions; the same as the answers, row by row:", board.partitions))?;
    cx.out
        .line(format!("  delays-by-hour     {hours:>4} final rows from {} updates", grouped(found.updates as u64)))?;
    cx.out.line(format!("  alerts             {alerts:>4} rows{}", repeated(found.alerts_repeated)))?;
    cx.out.line(format!("  late-reports       {late:>4} rows{}", repeated(found.late_repeated)))?;
    cx.out.line(format!("  daily, by SQL      {days:>4} rows"))
}

/// A directory that is deleted in the end.
struct OwnDir(std::path::PathBuf);

impl OwnDir {
    fn make() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("tw-demo-check-{}", std::process::id()));
        let failed =
            |e: std::io::Error| Error::Command { command: format!("make {}", dir.display()), why: e.to_string() };
        std::fs::create_dir(&dir).map_err(failed)?;
        Ok(Self(dir))
    }
}

impl Drop for OwnDir {
    fn drop(&mut self) {
        // Left behind at worst, in the directory for that.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TableOf = fn(&mut Answers) -> &mut Rows;

    #[test]
    fn a_wrong_row_in_any_table_is_a_difference() {
        let right = Answers::embedded().unwrap();
        assert_eq!(differences(&right, &right).unwrap(), [401, 34, 175, 7]);
        let tables: [(&str, TableOf); 4] = [
            ("delays-by-hour", |a| &mut a.delays),
            ("alerts", |a| &mut a.alerts),
            ("late-reports", |a| &mut a.late),
            ("daily cancellations by SQL", |a| &mut a.daily),
        ];
        for (name, table) in tables {
            let mut wrong = right.clone();
            table(&mut wrong).first_entry().unwrap().get_mut().push('!');
            assert_eq!(differences(&right, &wrong).unwrap_err().table, name);
        }
    }
}
