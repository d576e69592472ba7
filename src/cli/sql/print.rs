//! Rows of an answer as a box, as csv, as JSON.
//!
//! csv and JSON stream; a box has to know all its rows, so it shows the first [`BOX_ROWS_MAX`] and says so.

use super::super::scan::intact;
use super::super::{Context, Error, Result, value};
use super::{Format, remark};
use crate::output::{counted, grouped, span};
use tailwater::log::Log;
use tailwater::log::env::Clock;
use tailwater::sql::arrow::array::RecordBatch;
use tailwater::sql::arrow::csv;
use tailwater::sql::arrow::datatypes::DataType;
use tailwater::sql::arrow::error::ArrowError;
use tailwater::sql::arrow::json;
use tailwater::sql::arrow::util::display::{ArrayFormatter, FormatOptions};
use tailwater::sql::{Answer, SqlSession};

/// Rows of a box.
const BOX_ROWS_MAX: usize = 10_000;

/// Runs one statement and prints its rows. With `timing`, how many there were and how long it took.
pub(super) async fn answer(
    session: &SqlSession,
    statement: &str,
    format: Format,
    timing: bool,
    cx: &mut Context,
) -> Result<()> {
    let clock = Clock::real();
    let started = clock.instant();
    let failed = |error| Error::Sql { error: Box::new(error), statement: statement.to_owned() };
    let answer = session.query(statement).await.map_err(failed)?;
    let rows = match format {
        Format::Table => boxed(answer, cx).await,
        Format::Csv | Format::Json => stream(answer, format, cx).await,
    };
    let rows = rows.map_err(|e| match e {
        Failure::Sql(error) => failed(error),
        Failure::Other(error) => error,
    })?;
    if timing {
        let took = clock.instant().since(started);
        remark(cx, &format!("{} in {}", counted(rows, "row"), span(took)));
    } else if format == Format::Table && cx.out.on_terminal() {
        remark(cx, &counted(rows, "row"));
    }
    cx.out.flush()?;
    intact_topics(session.log(), statement).await
}

/// Fails if the statement names a damaged topic: its rows were those before the damage, and must not pass for all.
async fn intact_topics(log: &Log, statement: &str) -> Result<()> {
    for topic in log.admin().list_topics(true).await? {
        if names(statement, topic.name.as_str()) {
            intact(&topic, None)?;
        }
    }
    Ok(())
}

/// Whether `topic` stands in the statement as a word, also in a string or a comment: an error too many is better than
/// one too few.
fn names(statement: &str, topic: &str) -> bool {
    let (statement, topic) = (statement.to_lowercase(), topic.to_lowercase());
    let within = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    statement.match_indices(&topic).any(|(at, _)| {
        let (before, after) = (&statement[..at], &statement[at + topic.len()..]);
        !before.ends_with(within) && !after.starts_with(within)
    })
}

enum Failure {
    Sql(tailwater::sql::Error),
    Other(Error),
}

impl From<tailwater::sql::Error> for Failure {
    fn from(error: tailwater::sql::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::Other(Error::Output { why: error.to_string() })
    }
}

async fn stream(mut answer: Answer, format: Format, cx: &mut Context) -> Result<u64, Failure> {
    let mut rows = 0;
    let mut header = format == Format::Csv;
    let empty = RecordBatch::new_empty(answer.schema());
    loop {
        let next = answer.next().await?;
        let last = next.is_none();
        let batch = match &next {
            Some(batch) => batch,
            // An answer without a row still has its header.
            None if header => &empty,
            None => break,
        };
        let mut text = Vec::new();
        match format {
            Format::Csv => csv::WriterBuilder::new().with_header(header).build(&mut text).write(batch)?,
            _ => {
                let builder = json::writer::WriterBuilder::new().with_explicit_nulls(true);
                let mut writer = builder.build::<_, json::writer::LineDelimited>(&mut text);
                writer.write(batch)?;
                writer.finish()?;
            }
        }
        header = false;
        rows += batch.num_rows() as u64;
        cx.out.raw(&text)?;
        if last {
            break;
        }
    }
    Ok(rows)
}

async fn boxed(mut answer: Answer, cx: &mut Context) -> Result<u64, Failure> {
    let schema = answer.schema();
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    table.set_header(schema.fields().iter().map(|field| field.name().as_str()));
    let mut shown = 0;
    let mut more = false;
    while let Some(batch) = answer.next().await? {
        let options = FormatOptions::default().with_null("NULL");
        let columns = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows().min(BOX_ROWS_MAX - shown) {
            let cells = columns.iter().map(|c| c.value(row).try_to_string());
            let cells = cells.map(|cell| Ok(value::harmless(cell?.as_bytes()).into_owned()));
            table.add_row(cells.collect::<Result<Vec<String>, ArrowError>>()?);
        }
        shown += batch.num_rows().min(BOX_ROWS_MAX - shown);
        if shown == BOX_ROWS_MAX {
            // One more look, so that exactly as many rows are not called too many.
            more = batch.num_rows() > shown || answer.next().await?.is_some_and(|b| b.num_rows() > 0);
            break;
        }
    }
    for (column, field) in table.column_iter_mut().zip(schema.fields()) {
        if is_number(field.data_type()) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    if !schema.fields().is_empty() {
        let text = table.to_string();
        match cx.out.columns() {
            // A box that the terminal would fold says nothing; below each other its rows do.
            Some(columns) if shown > 0 && text.lines().next().is_some_and(|l| l.chars().count() > columns) => {
                for line in expanded(&table) {
                    cx.out.line(line)?;
                }
            }
            _ => cx.out.line(text)?,
        }
    }
    if more {
        let max = grouped(BOX_ROWS_MAX as u64);
        cx.out.note(format!(
            "only the first {max} rows are shown; for all of them use   --format csv   or   --format json"
        ));
    }
    Ok(shown as u64)
}

/// The rows of a table one below the other, a line for each column.
fn expanded(table: &comfy_table::Table) -> Vec<String> {
    let names: Vec<String> = table.header().into_iter().flat_map(|row| row.cell_iter().map(|c| c.content())).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for (number, row) in table.row_iter().enumerate() {
        lines.push(format!("── row {} ──", number + 1));
        for (name, cell) in names.iter().zip(row.cell_iter()) {
            lines.push(format!("{name:width$}  {}", cell.content()));
        }
    }
    lines
}

fn is_number(kind: &DataType) -> bool {
    kind.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_named_as_a_word() {
        for statement in ["SELECT 1 FROM T", "SELECT t.n FROM x, t", "SELECT * FROM \"t\""] {
            assert!(names(statement, "t"), "{statement}");
        }
        for statement in ["SELECT 1 FROM other", "SELECT 1 FROM t_2", "SELECT 1 FROM \"a-t\""] {
            assert!(!names(statement, "t"), "{statement}");
        }
    }

    #[test]
    fn rows_below_each_other_line_up() {
        let mut table = comfy_table::Table::new();
        table.set_header(["a", "long"]).add_row(["1", "x"]).add_row(["2", "y"]);
        assert_eq!(expanded(&table), ["── row 1 ──", "a     1", "long  x", "── row 2 ──", "a     2", "long  y"]);
    }
}
