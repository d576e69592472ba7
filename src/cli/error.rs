//! What can go wrong on the command line, and how any error is shown.
//!
//! Codes 05xx are the command line's own; those of the log, the streams and SQL pass through with theirs. Every
//! error is shown the same way:
//! ```text
//! error[TW0102]: there is no topic `flihgts`
//!   help: did you mean `flights`?
//!   more: tw explain TW0102
//! ```
//! and with `--json` as one line: `{"error":{"code":…,"message":…,"help":…}}`.

use crate::output::{Output, Style};
use std::path::PathBuf;

pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Log(#[from] tailwater::log::Error),
    #[cfg(feature = "streams")]
    #[error(transparent)]
    #[allow(dead_code, reason = "the demo makes it")]
    Streams(#[from] tailwater::streams::Error),
    #[cfg(feature = "sql")]
    #[error("{error}")]
    Sql { error: Box<tailwater::sql::Error>, statement: String },
    #[error("line {line}, column {column} of {input}: {why}")]
    BadLine { input: String, line: u64, column: u64, why: String, help: String },
    #[error("cannot read {input}: {why}")]
    Input { input: String, why: String },
    #[error("{what} is asked for, and there is nobody to ask")]
    NeedsYes { what: String },
    #[error("there is no error code `{code}`")]
    UnknownCode { code: String },
    #[error("{input} has no column `{field}`")]
    NoColumn { input: String, field: String, columns: Vec<String> },
    #[error("cannot run `{command}`: {why}")]
    Command { command: String, why: String },
    #[error("cannot tell the format of {input}")]
    UnknownFormat { input: String },
    #[error("cannot write the output: {why}")]
    Output { why: String },
    #[error("there is no data in {}", dir.display())]
    NoData { dir: PathBuf },
    #[error("cannot write {}: {why}", path.display())]
    OutputFile { path: PathBuf, why: String },
    /// Another error, with the place in the input where it came from.
    #[error("{source}")]
    At { place: String, source: Box<Error> },
    /// An error with a code from elsewhere, and words of its own.
    #[error("{message}")]
    Coded { code: &'static str, message: String, help: Option<String> },
    /// Whoever read our output has gone. Not an error to show.
    #[error("the reader of the output has gone")]
    ClosedPipe,
}

impl Error {
    /// The stable code that `tw explain` takes.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            #[cfg(feature = "streams")]
            Self::Streams(error) => error.code(),
            #[cfg(feature = "sql")]
            Self::Sql { error, .. } => error.code(),
            Self::BadLine { .. } => "TW0501",
            Self::Input { .. } => "TW0502",
            Self::NeedsYes { .. } => "TW0503",
            Self::UnknownCode { .. } => "TW0504",
            Self::NoColumn { .. } => "TW0505",
            Self::Command { .. } => "TW0506",
            Self::UnknownFormat { .. } => "TW0507",
            Self::Output { .. } | Self::ClosedPipe => "TW0508",
            Self::NoData { .. } => "TW0509",
            Self::OutputFile { .. } => "TW0510",
            Self::At { source, .. } => source.code(),
            Self::Coded { code, .. } => code,
        }
    }

    /// What to do about it.
    pub(crate) fn help(&self) -> Option<String> {
        Some(match self {
            Self::Log(error) => return error.help(),
            #[cfg(feature = "streams")]
            Self::Streams(error) => return error.help(),
            #[cfg(feature = "sql")]
            Self::Sql { error, .. } => return error.help(),
            Self::BadLine { help, .. } => help.clone(),
            Self::Input { .. } => "check that it is there, readable and whole; `-` is standard input".into(),
            Self::NeedsYes { .. } => "confirm it with   --yes".into(),
            Self::UnknownCode { .. } => "list all codes with   tw explain".into(),
            Self::NoColumn { columns, field, .. } => match nearest(field, columns.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it has   {}", columns.join(", ")),
            },
            Self::UnknownFormat { .. } => "say it with   --format csv   or   --format jsonl".into(),
            Self::NoData { dir } => format!(
                "make a first topic with   tw --data {} topic create NAME   or use another directory with   --data DIR",
                dir.display()
            ),
            Self::At { source, .. } => return source.help(),
            Self::Coded { help, .. } => return help.clone(),
            Self::Command { .. } | Self::Output { .. } | Self::OutputFile { .. } | Self::ClosedPipe => return None,
        })
    }

    /// Says where in the input the error came from.
    pub(crate) fn at(self, place: impl Into<String>) -> Self {
        Self::At { place: place.into(), source: Box::new(self) }
    }

    fn place(&self) -> Option<&str> {
        match self {
            Self::At { place, .. } => Some(place),
            _ => None,
        }
    }

    /// Draws the statement with a mark at the error, if this is one of SQL; whether it did.
    #[cfg(feature = "sql")]
    fn show_statement(&self, out: &mut Output) -> bool {
        let (error, statement) = match self {
            Self::Sql { error, statement } => (error, statement),
            Self::At { source, .. } => return source.show_statement(out),
            _ => return false,
        };
        let drawing = super::sql::diagram(error, statement);
        drawing.iter().for_each(|line| out.note(line));
        if let Some(note) = error.note() {
            out.note(format!("  {} {note}", out.paint_err(Style::Dim, "note:")));
        }
        !drawing.is_empty()
    }

    /// Shows the error on standard error, in the form that `out` asks for.
    pub(crate) fn show(&self, out: &mut Output) {
        let (code, help) = (self.code(), self.help());
        if out.json() {
            let mut error = serde_json::json!({ "code": code, "message": self.to_string() });
            if let Some(help) = help {
                error["help"] = help.into();
            }
            if let Some(place) = self.place() {
                error["at"] = place.into();
            }
            out.note(serde_json::json!({ "error": error }).to_string());
            return;
        }
        let head = out.paint_err(Style::Red, &format!("error[{code}]"));
        out.note(format!("{head}{}", out.paint_err(Style::Bold, &format!(": {self}"))));
        if let Some(place) = self.place() {
            out.note(format!("  ╰─ {place}"));
        }
        #[cfg(feature = "sql")]
        let drawn = self.show_statement(out);
        #[cfg(not(feature = "sql"))]
        let drawn = false;
        // A drawing has the help as its label.
        if let Some(help) = help.filter(|_| !drawn) {
            out.note(format!("  {} {help}", out.paint_err(Style::Cyan, "help:")));
        }
        out.note(format!("  {} tw explain {code}", out.paint_err(Style::Dim, "more:")));
    }
}

/// The candidate that `name` was probably meant to be, if one is close.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.map(|candidate| (distance(name, candidate), candidate));
    scored.filter(|(d, c)| *d <= (c.len().min(name.len()) / 3).max(1)).min_by_key(|(d, _)| *d).map(|(_, c)| c)
}

/// Edit distance where swapping two neighbours is one edit (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_close_and_nothing_else() {
        let names = ["flights", "weather", "planes"];
        assert_eq!(nearest("flihgts", names.into_iter()), Some("flights"));
        assert_eq!(nearest("plane", names.into_iter()), Some("planes"));
        assert_eq!(nearest("zebra", names.into_iter()), None);
    }
}
