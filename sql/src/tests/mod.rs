//! Statements over topics: answers, what a scan fetches, and errors.
//!
//! The log is a [`MemoryLog`]: batches in memory, which counts what is fetched and can be appended to at any moment.

mod answers;
mod errors;
mod memory_log;
mod scans;

use crate::arrow::array::RecordBatch;
use crate::arrow::util::display::{ArrayFormatter, FormatOptions};
use crate::{Error, SqlSession};
use memory_log::MemoryLog;
use tailwater_log::codec::{Field, FieldType, Format, Schema};

/// One line for each row, cells separated by `|`, NULL as `∅`.
fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("∅");
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("printable")).collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
            lines.push(cells.join("|"));
        }
    }
    lines
}

async fn rows(session: &SqlSession, sql: &str) -> Vec<String> {
    match session.query(sql).await {
        Ok(answer) => lines(&answer.batches().await.unwrap_or_else(|e| panic!("{sql}: {e}"))),
        Err(e) => panic!("{sql}: {e}"),
    }
}

async fn error(session: &SqlSession, sql: &str) -> Error {
    match session.query(sql).await {
        Err(error) => error,
        Ok(answer) => answer.batches().await.expect_err(sql),
    }
}

/// A session over `log`, with several streams.
fn session(log: &MemoryLog) -> SqlSession {
    SqlSession::with_streams(log.log(), 4)
}

fn schema(format: Format, fields: &[(&str, FieldType, bool)]) -> Schema {
    let fields = fields.iter().map(|&(name, field_type, nullable)| Field { name: name.into(), field_type, nullable });
    Schema { name: "Test".into(), version: 1, format, fields: fields.collect() }
}
