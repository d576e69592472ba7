//! SQL over the topics of a Tailwater log, by DataFusion.
//!
//! ```
//! use tailwater_log::record::Record;
//! use tailwater_log::{Log, TopicSpec};
//! use tailwater_sql::SqlSession;
//!
//! # fn main() -> tailwater_sql::Result<()> { tokio::runtime::Runtime::new().expect("a runtime").block_on(run()) }
//! # async fn run() -> tailwater_sql::Result<()> {
//! # let dir = tempfile::tempdir().expect("a directory");
//! # let dir = dir.path();
//! let log = Log::open(dir).await?;
//! let topic = log.admin().create_topic(TopicSpec::new("flights", 2)?).await?.name;
//! let producer = log.producer().build();
//! for value in [r#"{"origin":"EWR","delay":12}"#, r#"{"origin":"JFK","delay":3}"#, r#"{"origin":"EWR","delay":4}"#] {
//!     producer.send(&topic, Record { value: Some(value.into()), ..Record::default() }).await?;
//! }
//! producer.flush().await?;
//!
//! let sql = SqlSession::new(log.clone());
//! let answer = sql.query("SELECT origin, avg(delay) AS delay FROM flights GROUP BY origin ORDER BY origin").await?;
//! let rows = tailwater_sql::arrow::util::pretty::pretty_format_batches(&answer.batches().await?).expect("printable");
//! assert_eq!(
//!     rows.to_string(),
//!     "+--------+-------+\n\
//!      | origin | delay |\n\
//!      +--------+-------+\n\
//!      | EWR    | 8.0   |\n\
//!      | JFK    | 3.0   |\n\
//!      +--------+-------+"
//! );
//! log.close().await?;
//! # Ok(()) }
//! ```
//!
//! # A topic is a table
//!
//! | Columns | Type | |
//! |---|---|---|
//! | the fields of the value | from the topic's schema, or inferred | none when the values are no JSON objects |
//! | `_partition` | INT | |
//! | `_offset` | BIGINT | |
//! | `_timestamp` | TIMESTAMP, milliseconds, UTC | |
//! | `_key` | VARCHAR | a key that is not UTF-8 as `\x` and hexadecimal digits |
//! | `_value` | VARCHAR | the value as text, when it is not a row of columns |
//! | `_error` | VARCHAR | why the value did not decode; NULL when it did |
//!
//! Names that are not in quotes are in lower case, as in PostgreSQL: the topic `word-counts` and the field `Origin` are
//! `"word-counts"` and `"Origin"`. Where columns come from, and their types, is told in [`Origin`] and by
//! [`SqlSession::describe`]. A value that does not decode never fails a statement: it has `_error`.
//!
//! A statement ends. It sees every topic up to the offsets at which it began, in all its parts, and scans in several
//! streams, partitions or not. Filters on `_partition`, `_offset` and `_timestamp` decide what is fetched, `count(*)`
//! comes from the offsets, and a LIMIT stops the scan; of a value, only the fields that are asked for are decoded.
//!
//! Beyond DataFusion's functions there are two:
//! - `latest('topic')` in FROM: the topic as a table, the last record of each key, deleted keys left out.
//! - `json_get(text, 'field')`: a field of a JSON text, such as the key of a window's result: `json_get(_key, 'start')`.
//!
//! # What is not here
//!
//! Statements that write or go on for ever, record headers, and columns of bincode fields that are nested. There is no
//! limit on memory: a join or a sort holds what it has to hold.

mod catalog;
mod decode;
mod error;
mod functions;
mod schema;
mod session;
mod topic_table;

pub use catalog::{ColumnInfo, TableDescription, TableInfo};
/// The Arrow that answers are made of: DataFusion's.
pub use datafusion::arrow;
pub use error::{Error, Result, Span};
pub use schema::{Origin, SAMPLE_RECORDS, sql_type};
pub use session::{Answer, SqlSession, split_statements};

#[cfg(test)]
mod tests;
