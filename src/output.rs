//! The one way out: everything the program prints passes through [`Output`].
//!
//! Results go to standard output, everything about them (summaries, progress, errors) to standard error, so that a
//! pipe carries results only. A reader that went away (`tw tail t | head -1`) is [`Error::ClosedPipe`], which ends the
//! program quietly with exit code 0. Colour is decided once per stream: `--color`, then `NO_COLOR`, then whether the
//! stream is a terminal.
//!
//! Left out: paging and width; tables are as wide as they are, so that a pipe sees whole lines.

use crate::cli::{Error, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{BufWriter, ErrorKind, IsTerminal as _, Stderr, Stdout, Write};

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Also into a pipe.
    Always,
    /// No escape sequences at all.
    Never,
}

/// The few styles that are used.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    Bold,
    Dim,
    Red,
    Cyan,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "1;31",
            Self::Cyan => "36",
        }
    }
}

/// Standard output and standard error, with what is known about them.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    stderr: Stderr,
    json: bool,
    color_out: bool,
    color_err: bool,
}

impl Output {
    /// Looks at the two streams; `json` asks for machine-readable output everywhere.
    pub(crate) fn new(color: Color, json: bool) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let decide = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !no_color,
        };
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        Self {
            color_out: decide(stdout.is_terminal()),
            color_err: decide(stderr.is_terminal()),
            stdout: BufWriter::with_capacity(64 * 1024, stdout),
            stderr,
            json,
        }
    }

    /// Whether `--json` was given.
    pub(crate) const fn json(&self) -> bool {
        self.json
    }

    /// Whether a person reads standard output.
    pub(crate) fn on_terminal(&self) -> bool {
        self.stdout.get_ref().is_terminal()
    }

    /// How many columns the terminal has that standard output is; `None` when it is none.
    #[cfg(feature = "sql")]
    pub(crate) fn columns(&self) -> Option<usize> {
        let (columns, _) = ratatui::crossterm::terminal::size().ok().filter(|_| self.on_terminal())?;
        Some(usize::from(columns)).filter(|columns| *columns > 0)
    }

    /// Whether a person can be asked: standard input and standard error are a terminal.
    pub(crate) fn can_ask(&self) -> bool {
        std::io::stdin().is_terminal() && self.stderr.is_terminal()
    }

    /// Writes bytes and a line feed to standard output. Buffered: see [`Output::flush`].
    pub(crate) fn line(&mut self, text: impl AsRef<[u8]>) -> Result<()> {
        let written = self.stdout.write_all(text.as_ref()).and_then(|()| self.stdout.write_all(b"\n"));
        written.map_err(broken)
    }

    /// Writes bytes as they are to standard output.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.stdout.write_all(bytes).map_err(broken)
    }

    /// Hands everything written so far to the operating system.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.stdout.flush().map_err(broken)
    }

    /// Drops what is buffered, for when the reader has gone.
    pub(crate) fn abandon(self) {
        let (_, _) = self.stdout.into_parts();
    }

    /// Writes a line to standard error. A closed standard error is nobody's loss.
    pub(crate) fn note(&mut self, text: impl AsRef<str>) {
        let _ = self.stdout.flush();
        let _ = self.stderr.write_all(text.as_ref().as_bytes());
        let _ = self.stderr.write_all(b"\n");
    }

    /// Writes text to standard error without a line feed, for a question.
    pub(crate) fn ask(&mut self, text: &str) {
        let _ = self.stdout.flush();
        let _ = self.stderr.write_all(text.as_bytes());
        let _ = self.stderr.flush();
    }

    /// `text` styled for standard output.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        paint(self.color_out, style, text)
    }

    /// `text` styled for standard error.
    pub(crate) fn paint_err(&self, style: Style, text: &str) -> String {
        paint(self.color_err, style, text)
    }

    /// Whether standard output takes colour.
    pub(crate) const fn color_out(&self) -> bool {
        self.color_out
    }

    /// Whether standard error takes colour.
    pub(crate) const fn color_err(&self) -> bool {
        self.color_err
    }

    /// A borderless table with aligned columns; the columns in `right` are numbers.
    pub(crate) fn table(&mut self, header: &[&str], right: &[usize], rows: &[Vec<String>]) -> Result<()> {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
        table.set_header(header.iter().map(|name| name.to_uppercase()));
        table.add_rows(rows);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if right.contains(&index) {
                column.set_cell_alignment(comfy_table::CellAlignment::Right);
            }
        }
        let text = table.to_string();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if number == 0 { self.line(self.paint(Style::Dim, line))? } else { self.line(line)? }
        }
        Ok(())
    }

    /// A progress bar over `total` bytes on standard error; hidden unless that is a terminal.
    pub(crate) fn progress(&self, total: u64, what: &str) -> ProgressBar {
        if !self.stderr.is_terminal() || self.json {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let template = "{prefix} {bar:30} {percent:>3}%  {msg}  {eta} left";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(what.to_owned());
        bar
    }
}

fn paint(on: bool, style: Style, text: &str) -> String {
    if on { format!("\x1b[{}m{text}\x1b[0m", style.code()) } else { text.to_owned() }
}

fn broken(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Error::ClosedPipe,
        _ => Error::Output { why: error.to_string() },
    }
}

/// A number with thousands separators: `11,709`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 record`, `2 records`.
pub(crate) fn counted(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(n), if n == 1 { "" } else { "s" })
}

/// Bytes in powers of ten: `205 KB`.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["KB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let (mut size, mut unit) = (n as f64 / 1000.0, 0);
    while size >= 999.95 && unit + 1 < UNITS.len() {
        size /= 1000.0;
        unit += 1;
    }
    if size < 10.0 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.0} {}", UNITS[unit]) }
}

/// A time span for people: `830 us`, `2.1 ms`, `12.0 s`, `3 m 20 s`, `5 h 2 m`, `3 d 4 h`.
pub(crate) fn span(d: std::time::Duration) -> String {
    let s = d.as_secs();
    match s {
        _ if d.is_zero() => "0 s".into(),
        _ if d.as_micros() < 1000 => format!("{} us", d.as_micros()),
        _ if d.as_millis() < 1000 => format!("{:.1} ms", d.as_secs_f64() * 1e3),
        0..60 => format!("{:.1} s", d.as_secs_f64()),
        60..3600 => format!("{} m {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} m", s / 3600, s / 60 % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn numbers_read_well() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(11_709), "11,709");
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(counted(0, "record"), "0 records");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 KB");
        assert_eq!(bytes(205_000), "205 KB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(span(Duration::from_micros(2_100)), "2.1 ms");
        assert_eq!(span(Duration::from_secs(200)), "3 m 20 s");
        assert_eq!(span(Duration::from_secs(90_000)), "1 d 1 h");
    }

    #[test]
    fn no_escape_sequences_without_colour() {
        assert_eq!(paint(false, Style::Red, "x"), "x");
        assert_eq!(paint(true, Style::Red, "x"), "\x1b[1;31mx\x1b[0m");
    }
}
