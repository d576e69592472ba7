//! SQL over topics, by DataFusion.

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
