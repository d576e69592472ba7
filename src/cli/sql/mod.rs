//! `tw sql`: statements from the command line, a file, a pipe, or a person.

mod print;
mod repl;

use super::{Context, Error, Result};
use crate::output::Style;
use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use tailwater::log::Log;
use tailwater::sql::{SqlSession, split_statements};

/// How rows are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A box for people
    Table,
    /// Comma separated, with a header line
    Csv,
    /// One JSON object per row
    Json,
}

/// Arguments of `tw sql`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tw sql                                         a prompt; \\? for help\n  tw sql -c 'SELECT origin, count(*) FROM flights GROUP BY origin'\n  tw sql -f report.sql --format csv > report.csv"
)]
pub(crate) struct Args {
    /// Run these statements
    #[arg(short, long, value_name = "STMT", conflicts_with = "file")]
    command: Option<String>,
    /// Run the statements of this file; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// table, csv or json [default: table; json with --json]
    #[arg(long, hide_possible_values = true)]
    format: Option<Format>,
}

pub(crate) async fn run(args: Args, cx: &mut Context) -> Result<()> {
    let format = args.format.unwrap_or(if cx.out.json() { Format::Json } else { Format::Table });
    let (script, origin) = match (args.command, args.file) {
        (Some(command), _) => (Some(command), None),
        (None, Some(path)) if path.as_os_str() != "-" => {
            let input = path.display().to_string();
            let text = std::fs::read_to_string(&path);
            let text = text.map_err(|e| Error::Input { input: input.clone(), why: e.to_string() })?;
            (Some(text), Some(input))
        }
        (None, None) if std::io::stdin().is_terminal() => (None, None),
        _ => {
            let mut text = String::new();
            let input = "standard input".to_owned();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|e| Error::Input { input: input.clone(), why: e.to_string() })?;
            (Some(text), Some(input))
        }
    };
    cx.with_present_log(async |log, cx| match script {
        None => repl::run(log, format, cx).await,
        Some(script) => run_script(log, &script, origin, format, cx).await,
    })
    .await
}

/// Runs statements one after the other; ends at the first that fails.
async fn run_script(log: &Log, script: &str, origin: Option<String>, format: Format, cx: &mut Context) -> Result<()> {
    let session = SqlSession::new(log.clone());
    if let Some(command) = repl::command(script.trim()) {
        return repl::run_command(command, &session, &mut false, cx).await;
    }
    for (number, statement) in split_statements(script).into_iter().enumerate() {
        let stop = cx.stop.clone();
        let done = tokio::select! {
            biased;
            () = stop.asked() => return Ok(()),
            done = print::answer(&session, statement, format, false, cx) => done,
        };
        done.map_err(|error| match &origin {
            Some(origin) if !matches!(error, Error::ClosedPipe) => {
                error.at(format!("statement {} of {origin}", number + 1))
            }
            _ => error,
        })?;
    }
    Ok(())
}

/// The statement with a mark under the part that is wrong, and what to do as its label:
/// ```text
///  1 │ SELECT avg(dep_dealy) FROM flights GROUP BY origin
///    │            ────┬────
///    │                ╰─ did you mean `dep_delay` (INT, nullable)?
/// ```
/// Empty when the place is not known.
pub(super) fn diagram(error: &tailwater::sql::Error, statement: &str) -> Vec<String> {
    let Some((start, end)) = error.span() else { return Vec::new() };
    if !(start <= end && statement.is_char_boundary(start) && statement.is_char_boundary(end)) {
        return Vec::new();
    }
    let before = &statement[..start];
    let line_number = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = statement[start..].find('\n').map_or(statement.len(), |at| start + at);
    let tabs_as_spaces = |text: &str| text.replace('\t', " ");
    let indent = statement[line_start..start].chars().count();
    let width = statement[start..end.min(line_end).max(start)].chars().count().max(1);
    let (left, right) = ((width - 1) / 2, width - 1 - (width - 1) / 2);
    let number = line_number.to_string();
    let gutter = " ".repeat(number.len());
    let label = error.help().unwrap_or_else(|| "here".into());
    vec![
        format!(" {number} │ {}", tabs_as_spaces(&statement[line_start..line_end])),
        format!(" {gutter} │ {}{}┬{}", " ".repeat(indent), "─".repeat(left), "─".repeat(right)),
        format!(" {gutter} │ {}╰─ {label}", " ".repeat(indent + left)),
    ]
}

/// Shows an error in the REPL and goes on.
fn show(error: &Error, cx: &mut Context) {
    error.show(&mut cx.out);
}

/// `text` dimmed, for what is about the rows and not one of them.
fn remark(cx: &mut Context, text: &str) {
    let text = cx.out.paint_err(Style::Dim, text);
    cx.out.note(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_under_the_word() {
        let statement = "SELECT 1,\n  avg(dep_dealy) FROM flights";
        let error = tailwater::sql::Error::UnknownColumn {
            name: "dep_dealy".into(),
            table: "`flights`".into(),
            suggestion: Some(("dep_delay".into(), "BIGINT".into())),
            span: Some((16, 25)),
            note: None,
        };
        let expected = [
            " 2 │   avg(dep_dealy) FROM flights",
            "   │       ────┬────",
            "   │           ╰─ did you mean `dep_delay` (BIGINT)?",
        ];
        assert_eq!(diagram(&error, statement), expected);
    }

    #[test]
    fn a_mark_at_the_end_or_beyond_does_no_harm() {
        let error = |span| tailwater::sql::Error::Syntax { why: "x".into(), span: Some(span) };
        assert_eq!(diagram(&error((6, 6)), "SELECT")[1], "   │       ┬");
        assert!(diagram(&error((6, 99)), "SELECT").is_empty());
        assert!(diagram(&error((1, 2)), "é").is_empty());
    }
}
