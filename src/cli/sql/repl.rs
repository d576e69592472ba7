//! The prompt: multi-line statements, history, completion, and a few commands that begin with `\`.
//!
//! The history file is a convenience: when it cannot be read or written the prompt works without it.

use super::super::{Context, Error, Result};
use super::{Format, print, remark, show};
use crate::output::grouped;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::history::{DefaultHistory, History as _};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Editor};
use std::path::PathBuf;
use tailwater::log::Log;
use tailwater::sql::{SqlSession, split_statements};

/// Lines that the history keeps.
const HISTORY_MAX: usize = 1000;
/// Topics whose columns are offered for completion.
const TOPICS_COMPLETED: usize = 20;

const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP BY",
    "ORDER BY",
    "HAVING",
    "LIMIT",
    "JOIN",
    "LEFT JOIN",
    "ON",
    "AS",
    "AND",
    "OR",
    "NOT",
    "NULL",
    "IS",
    "IN",
    "BETWEEN",
    "LIKE",
    "DESC",
    "ASC",
    "DISTINCT",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "WITH",
    "UNION ALL",
    "EXPLAIN",
    "SHOW TABLES",
    "DESCRIBE",
    "count(",
    "sum(",
    "avg(",
    "min(",
    "max(",
    "latest('",
    "json_get(",
    "date_trunc(",
    "_partition",
    "_offset",
    "_timestamp",
    "_key",
    "_error",
];

const HELP: &str = "  SELECT …;       a statement ends with a semicolon and may span lines
  \\d              the topics
  \\d TOPIC        the columns of a topic
  \\timing         turn the time of each statement on or off
  \\q              leave (also Ctrl-D)
  Ctrl-C          cancel the statement";

pub(super) async fn run(log: &Log, format: Format, cx: &mut Context) -> Result<()> {
    let session = SqlSession::new(log.clone());
    let failed = |e: ReadlineError| Error::Input { input: "the terminal".into(), why: e.to_string() };
    let config = Config::builder().completion_type(CompletionType::List).max_history_size(HISTORY_MAX);
    let config = config.map_err(failed)?.build();
    let mut history = DefaultHistory::with_config(&config);
    let file = history_file();
    if let Some(path) = &file {
        let _ = history.load(path);
    }
    remark(
        cx,
        &format!("tailwater {}, SQL over the topics in {}; \\? for help", env!("CARGO_PKG_VERSION"), cx.data.display()),
    );
    let mut timing = cx.out.on_terminal();
    loop {
        let prompt = Prompt { words: words(&session).await };
        let line = match tokio::task::block_in_place(|| read(&config, &mut history, prompt)) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(failed(error)),
        };
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let _ = history.add(line);
        match command(line) {
            Some(Command::Quit) => break,
            Some(command) => match run_command(command, &session, &mut timing, cx).await {
                Err(Error::ClosedPipe) => return Err(Error::ClosedPipe),
                Err(error) => show(&error, cx),
                Ok(()) => {}
            },
            None => statements(&session, line, format, timing, cx).await?,
        }
        cx.out.flush()?;
    }
    if let Some(path) = &file {
        if let Some(dir) = path.parent() {
            let _ = std::fs::create_dir_all(dir);
        }
        let _ = history.save(path);
    }
    Ok(())
}

/// Reads one line. The editor lives no longer than that: while it does SIGINT is its own, and Ctrl-C would not cancel
/// the statement.
fn read(config: &Config, history: &mut DefaultHistory, prompt: Prompt) -> rustyline::Result<String> {
    let empty = DefaultHistory::with_config(config);
    let mut editor = Editor::with_history(config.clone(), std::mem::replace(history, empty))?;
    editor.set_helper(Some(prompt));
    let line = editor.readline("> ");
    std::mem::swap(history, editor.history_mut());
    line
}

/// Runs the statements of one input. An error is shown and the prompt goes on; Ctrl-C cancels.
async fn statements(session: &SqlSession, line: &str, format: Format, timing: bool, cx: &mut Context) -> Result<()> {
    for statement in split_statements(line) {
        let stop = cx.stop.clone();
        let done = tokio::select! {
            biased;
            () = stop.asked() => None,
            done = print::answer(session, statement, format, timing, cx) => Some(done),
        };
        match done {
            Some(Ok(())) => {}
            Some(Err(Error::ClosedPipe)) => return Err(Error::ClosedPipe),
            Some(Err(error)) => {
                show(&error, cx);
                break;
            }
            None => {
                stop.clear();
                remark(cx, "cancelled");
                break;
            }
        }
    }
    Ok(())
}

/// Runs a command that is not SQL; `\q` is the caller's.
pub(super) async fn run_command(
    command: Command<'_>,
    session: &SqlSession,
    timing: &mut bool,
    cx: &mut Context,
) -> Result<()> {
    match command {
        Command::Quit => {}
        Command::Help => cx.out.line(HELP)?,
        Command::Timing => {
            *timing = !*timing;
            remark(cx, if *timing { "timing is on" } else { "timing is off" });
        }
        Command::Describe(topic) => describe(session, topic, cx).await?,
        Command::Unknown(name) => {
            let message = format!("there is no command `{name}`");
            return Err(Error::Coded { code: "TW0303", message, help: Some("list them with   \\?".into()) });
        }
    }
    Ok(())
}

/// A line at the prompt, or a whole script, that is a command rather than SQL.
pub(super) enum Command<'a> {
    Describe(Option<&'a str>),
    Timing,
    Help,
    Quit,
    Unknown(&'a str),
}

/// A line that is a command rather than SQL.
pub(super) fn command(line: &str) -> Option<Command<'_>> {
    let bare = line.trim_end_matches(';').trim();
    match bare {
        "help" => return Some(Command::Help),
        "quit" | "exit" => return Some(Command::Quit),
        _ => {}
    }
    let mut words = bare.strip_prefix('\\')?.split_whitespace();
    Some(match (words.next(), words.next()) {
        (Some("d" | "dt"), topic) => Command::Describe(topic),
        (Some("timing"), None) => Command::Timing,
        (Some("?" | "h" | "help"), None) => Command::Help,
        (Some("q" | "quit"), None) => Command::Quit,
        _ => Command::Unknown(bare),
    })
}

async fn describe(session: &SqlSession, topic: Option<&str>, cx: &mut Context) -> Result<()> {
    let failed = |error| Error::Sql { error: Box::new(error), statement: String::new() };
    let Some(topic) = topic else {
        let rows = session.tables().await.map_err(failed)?;
        let rows: Vec<_> =
            rows.iter().map(|t| vec![t.name.clone(), t.partitions.to_string(), grouped(t.records)]).collect();
        if rows.is_empty() {
            remark(cx, "no topics yet");
            return Ok(());
        }
        return cx.out.table(&["topic", "partitions", "records"], &[1, 2], &rows);
    };
    let table = session.describe(topic.trim_matches('"')).await.map_err(failed)?;
    let row = |c: &tailwater::sql::ColumnInfo| {
        vec![c.name.clone(), c.sql_type.clone(), if c.nullable { "nullable" } else { "" }.to_owned()]
    };
    let rows: Vec<_> = table.columns.iter().map(row).collect();
    cx.out.table(&["column", "type", ""], &[], &rows)
}

/// What completion offers. Failures here leave it poorer, no more.
async fn words(session: &SqlSession) -> Vec<String> {
    let mut words: Vec<String> = KEYWORDS.iter().map(|&word| word.to_owned()).collect();
    let tables = session.tables().await.unwrap_or_default();
    for table in tables.iter().take(TOPICS_COMPLETED) {
        if let Ok(described) = session.describe(&table.name).await {
            words.extend(described.columns.into_iter().map(|c| c.name));
        }
    }
    words.extend(tables.into_iter().map(|t| t.name));
    words.sort_unstable();
    words.dedup();
    words
}

/// `~/.local/state/tailwater/history`, or below `XDG_STATE_HOME`.
fn history_file() -> Option<PathBuf> {
    let state = match std::env::var_os("XDG_STATE_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".local/state"),
    };
    Some(state.join("tailwater/history"))
}

/// What the line editor asks about the text.
#[derive(rustyline::Helper, rustyline::Hinter, rustyline::Highlighter)]
struct Prompt {
    words: Vec<String>,
}

impl Validator for Prompt {
    fn validate(&self, cx: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(cx.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Whether the text is a command, or statements that all ended.
fn is_complete(text: &str) -> bool {
    let text = text.trim();
    if text.is_empty() || command(text).is_some() {
        return true;
    }
    // A semicolon within an open quote is part of the statement, which keeps it then.
    text.ends_with(';') && split_statements(text).iter().all(|statement| !statement.ends_with(';'))
}

impl Completer for Prompt {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = line[..at]
            .rfind(|c: char| !(c.is_alphanumeric() || "_-.\\".contains(c)))
            .map_or(0, |i| i + line[i..].chars().next().map_or(1, char::len_utf8));
        let begun = line[start..at].to_lowercase();
        if begun.is_empty() {
            return Ok((at, Vec::new()));
        }
        let fits = self.words.iter().filter(|word| word.to_lowercase().starts_with(&begun));
        Ok((start, fits.map(|word| Pair { display: word.clone(), replacement: word.clone() }).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_ends_with_its_semicolon() {
        for complete in ["", "SELECT 1;", "SELECT ';' ;", "\\d", "\\d flights", "quit", "SELECT 1; SELECT 2;"] {
            assert!(is_complete(complete), "{complete}");
        }
        for open in ["SELECT 1", "SELECT ';", "SELECT 1; SELECT 2", "SELECT '\n;"] {
            assert!(!is_complete(open), "{open}");
        }
    }

    #[test]
    fn completes_the_word_before_the_cursor() {
        let prompt = Prompt { words: vec!["flights".into(), "FROM".into()] };
        let history = DefaultHistory::new();
        let context = rustyline::Context::new(&history);
        let (start, found) = prompt.complete("SELECT 1 fro", 12, &context).unwrap();
        assert_eq!((start, found[0].replacement.as_str()), (9, "FROM"));
        let (start, found) = prompt.complete("é(fl", 5, &context).unwrap();
        assert_eq!((start, found[0].replacement.as_str()), (3, "flights"));
    }
}
