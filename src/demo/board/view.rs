//! Draws the board. Pure: a [`Board`] and a frame in, cells out, so that a test can look at it.
//!
//! The height decides how tall the bars are and how many alerts fit, the width how many hours; 80 × 24 is the
//! smallest size at which nothing is cut.

use super::Board;
use crate::demo::model::{HourDelay, ORIGINS, new_york};
use crate::demo::summary::Summary;
use crate::output::{bytes, grouped, span};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::time::Duration;

const DEPARTED: Color = Color::Cyan;
const CANCELLED: Color = Color::Red;
/// Columns beside the two fields of bars: name, two counts, delay, weather.
const FIXED: u16 = 7 + 2 * 7 + 8 + 24;
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws everything.
pub(crate) fn draw(frame: &mut Frame, board: &Board) {
    let area = frame.area();
    let spare = area.height.saturating_sub(24);
    let bars = 2 + (spare / 3).min(4);
    let [head, clock, table, flow, rest, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(3),
        Constraint::Length(1 + 3 * bars),
        Constraint::Length(5),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(title(board, area.width)), head);
    frame.render_widget(Paragraph::new(time(board, area.width)), clock);
    frame.render_widget(Paragraph::new(origins(board, area.width, bars)), table);
    match &board.summary {
        Some(summary) => {
            let both = Rect { height: flow.height + rest.height, ..flow };
            frame.render_widget(Paragraph::new(answers(summary)), both);
        }
        None => {
            frame.render_widget(Paragraph::new(job(board)), flow);
            frame.render_widget(Paragraph::new(alerts(board, rest.height)), rest);
        }
    }
    frame.render_widget(Paragraph::new(bottom(board, area.width)), foot);
}

/// `left` and `right` at the two edges of a line.
fn spread<'a>(left: Vec<Span<'a>>, right: Vec<Span<'a>>, width: u16) -> Line<'a> {
    let used: usize = left.iter().chain(&right).map(Span::width).sum();
    let gap = usize::from(width).saturating_sub(used + 1).max(1);
    let mut spans = left;
    spans.push(" ".repeat(gap).into());
    spans.extend(right);
    Line::from(spans)
}

fn title(board: &Board, width: u16) -> Vec<Line<'static>> {
    let pace = match (board.pace.paused, board.pace.speed) {
        (true, _) => "paused".to_owned(),
        (false, None) => "as fast as it goes".to_owned(),
        (false, Some(speed)) => format!("{} h/s", speed / 3600.0),
    };
    let about = format!(" New York airports, 6-12 Feb 2013: {} real events, ", grouped(board.progress.total as u64));
    let resumed = match board.progress.resumed_at {
        0 => String::new(),
        at => format!("went on at event {}   ", grouped(at as u64)),
    };
    let version = concat!(" tailwater ", env!("CARGO_PKG_VERSION"));
    vec![
        spread(
            vec![version.bold(), format!("   data {} (durable, fsync on)", board.data).into()],
            vec![format!("{resumed}{} partitions", board.partitions).dim()],
            width,
        ),
        Line::from(vec![about.into(), pace.yellow()]),
    ]
}

/// The clock, the watermark, and how much of the week has passed.
fn time(board: &Board, width: u16) -> Vec<Line<'static>> {
    let now = board.progress.now;
    let watermark = match board.job.watermark {
        None => "watermark -".to_owned(),
        Some(at) => {
            let behind = now.0.saturating_sub(at.0).max(0) / 60_000;
            format!("watermark {} (-{}:{:02})", clock(at), behind / 60, behind % 60)
        }
    };
    let right = vec![
        watermark.into(),
        format!("   late {}", grouped(board.late.len() as u64)).yellow(),
        format!("   alerts {}", board.alerts.len()).fg(CANCELLED),
    ];
    let share = board.progress.loaded as f64 / (board.progress.total.max(1)) as f64;
    let length = usize::from(width.saturating_sub(4));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the width")]
    let passed = ((share * length as f64) as usize).min(length);
    vec![
        Line::default(),
        spread(vec![format!("  {} New York", new_york(now)).bold()], right, width),
        Line::from(vec!["  ".into(), "━".repeat(passed).fg(DEPARTED), "─".repeat(length - passed).dim()]),
    ]
}

/// `16:20` on New York's clock.
fn clock(at: tailwater_log::Timestamp) -> String {
    new_york(at).rsplit(' ').next().unwrap_or_default().to_owned()
}

/// The three airports: bars, numbers, weather.
fn origins(board: &Board, width: u16, height: u16) -> Vec<Line<'static>> {
    let hours = u32::from((width.saturating_sub(FIXED) / 2).clamp(8, 48));
    let columns = hours as usize;
    let most = board.rows.values().map(|row| row.departed.max(row.cancelled)).max().unwrap_or(0).max(1);
    let header = format!(
        "  {:<5}{:<bars$}{:<bars$}{:<8}{}",
        "",
        "departed / h",
        "cancelled / h",
        "delay",
        "weather (joined)",
        bars = columns + 7
    );
    let mut lines = vec![Line::from(header.dim())];
    // An hour that has only begun is shown once there is something in it.
    let newest = u32::from(ORIGINS.iter().all(|origin| board.row(origin, 0).is_none()));
    for origin in ORIGINS {
        let series = |value: fn(&HourDelay) -> u32| -> Vec<u32> {
            (newest..hours + newest).rev().map(|ago| board.row(origin, ago).map_or(0, value)).collect()
        };
        let (departed, cancelled) = (series(|row| row.departed), series(|row| row.cancelled));
        let last = |values: &[u32]| format!("{:>4}   ", values.last().copied().unwrap_or(0));
        for line in (0..height).rev() {
            let foot = line == 0;
            lines.push(Line::from(vec![
                format!("  {:<5}", if foot { origin } else { "" }).bold(),
                bar_line(&departed, most, height, line).fg(DEPARTED),
                if foot { last(&departed).into() } else { " ".repeat(7).into() },
                bar_line(&cancelled, most, height, line).fg(CANCELLED),
                if foot { last(&cancelled).into() } else { " ".repeat(7).into() },
                if foot { format!("{:<8}", delay(board, origin)).into() } else { " ".repeat(8).into() },
                if foot { weather(board, origin).into() } else { Span::raw("") },
            ]));
        }
    }
    lines
}

/// One row of cells of a bar chart that is `height` rows high; row 0 is the lowest.
fn bar_line(values: &[u32], most: u32, height: u16, row: u16) -> String {
    let eighths = |value: u32| {
        let all = (u64::from(value) * u64::from(height) * 8).div_ceil(u64::from(most));
        all.saturating_sub(u64::from(row) * 8).min(8) as usize
    };
    values.iter().map(|value| EIGHTHS[eighths(*value)]).collect()
}

/// The average departure delay of the last hour in which a plane left.
fn delay(board: &Board, origin: &str) -> String {
    let last = (0..6).find_map(|ago| board.row(origin, ago)?.avg_dep_delay);
    last.map_or_else(|| "-".to_owned(), |minutes| format!("{minutes:.0} min"))
}

fn weather(board: &Board, origin: &str) -> String {
    let last = (0..6).filter_map(|ago| board.row(origin, ago)).find(|row| row.visib.is_some());
    let Some(row) = last else { return "-".to_owned() };
    let show = |value: Option<f64>, decimals: usize| value.map_or("-".to_owned(), |v| format!("{v:.decimals$}"));
    format!("wind {} mph  vis {} mi", show(row.wind_speed, 0), show(row.visib, 1))
}

/// The job as it flows, with what is measured beside it.
fn job(board: &Board) -> Vec<Line<'static>> {
    let progress = &board.progress;
    let p99 = match progress.latency.len() {
        0 => "-".to_owned(),
        _ => span(Duration::from_micros(progress.latency.value_at_quantile(0.99))),
    };
    let measured = [
        format!("{:>7} of {} events in", grouped(progress.loaded as u64), grouped(progress.total as u64)),
        format!("{:>7} rec/s, {} tasks", rate(board.rate()), board.job.tasks),
        format!("{p99:>7} p99 until durable"),
        format!("{:>7} rows of state, {}", grouped(board.job.state_rows), bytes(board.job.state_bytes)),
    ];
    let flow = [
        "  flights ─┐ + planes       + weather",
        "  reports ─┴─ join ─ 1 h ─┬─ join ─ delays-by-hour",
        "                          ├─ alerts",
        "                          └─ late-reports",
    ];
    let mut lines = vec![Line::default()];
    for (drawn, number) in flow.into_iter().zip(measured) {
        lines.push(Line::from(vec![format!("{drawn:<51}").into(), number.cyan()]));
    }
    lines
}

fn rate(rate: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, shown whole")]
    grouped(rate.max(0.0) as u64)
}

/// The newest alerts that fit.
fn alerts(board: &Board, height: u16) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let newest = board.alerts.iter().rev().take(usize::from(height.saturating_sub(1)));
    lines.extend(newest.map(|alert| Line::from(vec!["  ! ".fg(CANCELLED), alert.text.clone().into()])));
    if board.alerts.is_empty() && height > 1 {
        lines.push(Line::from("  no alerts yet: ten cancellations in one hour at one airport raise one".dim()));
    }
    lines
}

/// The answers by SQL, two tables side by side.
fn answers(summary: &Summary) -> Vec<Line<'static>> {
    let mut lines = vec![
        Line::default(),
        Line::from(format!("  {:<36}{}", "by SQL: cancelled per day", "by SQL: the worst hours").bold()),
    ];
    let days: Vec<String> =
        summary.days.iter().map(|d| format!("{}  {:>3} of {} cancelled", d.day, d.cancelled, d.flights)).collect();
    let hours: Vec<String> = (summary.hours.iter())
        .map(|h| format!("{} {:<15} {:>3} cancelled, {} left", h.origin, new_york(h.hour), h.cancelled, h.departed))
        .collect();
    for n in 0..days.len().max(hours.len()) {
        let text = |lines: &[String]| lines.get(n).cloned().unwrap_or_default();
        lines.push(Line::from(vec![format!("  {:<36}", text(&days)).into(), text(&hours).into()]));
    }
    lines
}

fn bottom(board: &Board, width: u16) -> Line<'static> {
    let left = match &board.summary {
        Some(_) => "  the week is complete, q for more".fg(Color::Green).bold(),
        None => "  kill -9 me, then run me again".italic().dim(),
    };
    spread(vec![left], vec!["space pause  f faster  s slower  q quit".dim()], width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::board::tests::stormy;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(board: &Board, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, board)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn bars_fill_from_the_bottom() {
        assert_eq!(bar_line(&[0, 1, 8, 16], 16, 2, 0), " ▁██");
        assert_eq!(bar_line(&[0, 1, 8, 16], 16, 2, 1), "   █");
    }

    #[test]
    fn the_smallest_size_shows_everything() {
        let screen = drawn(&stormy(), 80, 24);
        let text = screen.join("\n");
        for part in [
            "data ./tw-demo (durable, fsync on)",
            "11,709 real events, 6 h/s",
            "Fri 8 Feb 16:20 New York",
            "watermark 16:18 (-0:02)   late 0   alerts 1",
            "wind 29 mph  vis 1.2 mi",
            "4,321 of 11,709 events in",
            "2.1 ms p99 until durable",
            "12 rows of state, 1.2 KB",
            "! EWR: 10 flights cancelled in the hour from Fri 8 Feb 16:00 New York",
            "kill -9 me, then run me again",
            "space pause  f faster  s slower  q quit",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }

    #[test]
    fn no_size_is_too_small_to_draw() {
        for (width, height) in [(1, 1), (20, 5), (40, 60), (300, 100)] {
            drawn(&stormy(), width, height);
        }
    }
}
