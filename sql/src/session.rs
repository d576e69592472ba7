//! Running statements: parse, pin the offsets, plan, execute.

use crate::catalog::{CATALOG, Cut, SCHEMA, SchemaCache, TableDescription, TableInfo};
use crate::error::{Diagnosis, Error, KnownTable, Result};
use crate::functions;
use crate::topic_table::LatestFunction;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{DataFrame, SQLOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParser, DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectNamePart, TableFactor, Value, Visit, Visitor,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use futures::StreamExt;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tailwater_log::Log;

/// Levels of nesting that the parser follows.
const NESTING_MAX: usize = 50;

/// SQL over the topics of a log. Statements are independent of each other and may run at the same time.
#[derive(Clone)]
pub struct SqlSession {
    log: Log,
    /// What every statement starts from: functions and settings, no tables.
    state: SessionState,
    schemas: Arc<SchemaCache>,
}

impl std::fmt::Debug for SqlSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlSession").field("log", &self.log).finish_non_exhaustive()
    }
}

impl SqlSession {
    /// A session that uses every core.
    pub fn new(log: Log) -> Self {
        Self::configured(log, SessionConfig::new())
    }

    /// A session whose scans and operators run in up to `streams` streams at once (at least 1).
    pub fn with_streams(log: Log, streams: usize) -> Self {
        Self::configured(log, SessionConfig::new().with_target_partitions(streams.max(1)))
    }

    /// The log whose topics this session asks.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    fn configured(log: Log, config: SessionConfig) -> Self {
        let mut config = config
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false);
        config.options_mut().sql_parser.collect_spans = true;
        let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
        let state = SessionContext::new_with_state(state);
        state.register_udf(functions::json_get());
        Self { log, state: state.state(), schemas: Arc::default() }
    }

    /// Runs one statement. It sees the topics as they are when the call begins, at one vector of offsets, and ends.
    ///
    /// `SELECT`, `EXPLAIN`, `SHOW TABLES`, `SHOW COLUMNS FROM t` and `DESCRIBE t` run; nothing that writes does.
    ///
    /// # Errors
    /// TW0303 for text that is not SQL, TW0304 for a statement that does not run here, TW0301, TW0302 and TW0305 for
    /// one that does not fit the topics, and the log's own errors. What fails while rows are computed is returned by
    /// [`Answer::next`].
    pub async fn query(&self, sql: &str) -> Result<Answer> {
        let no_tables = Diagnosis { sql, topics: &[], tables: &[] };
        let statement = parse(sql).map_err(|e| match e {
            ParseFailure::NotSql(e) => no_tables.of(&e),
            ParseFailure::Refused(e) => e,
        })?;
        let statement = allowed(statement)?;
        let cut = Cut::take(&self.log, Arc::clone(&self.schemas)).await?;
        match self.plan_and_start(statement, &cut).await {
            Ok(stream) => Ok(Answer { stream }),
            Err(Failure::Ours(error)) => Err(error),
            Err(Failure::Engine(error)) => {
                let (topics, tables): (Vec<String>, Vec<KnownTable>) = (cut.names(), cut.known_tables());
                Err(Diagnosis { sql, topics: &topics, tables: &tables }.of(&error))
            }
        }
    }

    async fn plan_and_start(&self, statement: Statement, cut: &Arc<Cut>) -> Result<SendableRecordBatchStream, Failure> {
        let mut latest = HashMap::new();
        for topic in latest_topics(&statement) {
            if let Some(table) = cut.topic_table(&topic).await? {
                latest.insert(topic, table);
            }
        }
        let mut state =
            SessionStateBuilder::new_from_existing(self.state.clone()).with_catalog_list(cut.catalogs()).build();
        state.register_udtf(LatestFunction::NAME, Arc::new(LatestFunction { tables: latest }));
        // `now()` is the start of the statement.
        let options = Arc::clone(state.config_options());
        state.execution_props_mut().mark_start_execution(options);
        let plan: LogicalPlan = state.statement_to_plan(statement).await?;
        let read_only = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        read_only.verify_plan(&plan)?;
        Ok(DataFrame::new(state, plan).execute_stream().await?)
    }

    /// The topics, by name, with their readable records; those of the system are left out.
    pub async fn tables(&self) -> Result<Vec<TableInfo>> {
        let cut = Cut::take(&self.log, Arc::clone(&self.schemas)).await?;
        let tables = cut.listed().map(|topic| TableInfo {
            name: topic.name.to_string(),
            partitions: topic.partitions.len(),
            records: topic.partitions.iter().map(|p| p.offsets.committed().len()).sum(),
        });
        Ok(tables.collect())
    }

    /// The columns of one topic. The name is taken as it is, without quotes.
    pub async fn describe(&self, topic: &str) -> Result<TableDescription> {
        let cut = Cut::take(&self.log, Arc::clone(&self.schemas)).await?;
        match cut.topic_table(topic).await? {
            Some(table) => Ok(TableDescription::new(topic, &table)),
            None => {
                let names = cut.names();
                let near = crate::error::nearest(topic, names.iter().map(String::as_str));
                let suggestion = near.map(crate::error::quoted);
                Err(Error::UnknownTable { name: topic.to_owned(), suggestion, span: None })
            }
        }
    }
}

/// The rows of one statement, as Arrow record batches.
pub struct Answer {
    stream: SendableRecordBatchStream,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("schema", &self.schema()).finish_non_exhaustive()
    }
}

impl Answer {
    /// The columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next rows; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.stream.next().await.transpose().map_err(|e| Error::running(&e))
    }

    /// All rows, in memory. At least one batch, so that the columns are known when there is no row.
    pub async fn batches(mut self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        while let Some(batch) = self.next().await? {
            batches.push(batch);
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(self.schema()));
        }
        Ok(batches)
    }
}

/// A failure before the first row: one that is told already, or the engine's.
enum Failure {
    Ours(Error),
    Engine(DataFusionError),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Self::Engine(error)
    }
}

enum ParseFailure {
    NotSql(DataFusionError),
    Refused(Error),
}

fn parser(sql: &str) -> Result<DFParser<'_>, DataFusionError> {
    DFParserBuilder::new(sql).with_dialect(&GenericDialect {}).with_recursion_limit(NESTING_MAX).build()
}

/// The one statement in `sql`; a semicolon may follow it.
fn parse(sql: &str) -> Result<Statement, ParseFailure> {
    let mut statements = parser(sql).and_then(|mut p| p.parse_statements()).map_err(ParseFailure::NotSql)?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(ParseFailure::Refused(Error::Syntax { why: "there is no statement".into(), span: None })),
        (Some(_), false) => Err(ParseFailure::Refused(Error::Unsupported {
            what: "a list of statements".into(),
            why: "one statement runs at a time".into(),
            help: "run them one after the other".into(),
        })),
    }
}

/// The statement to run in place of `statement`, if it is one that only reads.
fn allowed(statement: Statement) -> Result<Statement> {
    const TOPICS: &str = "SELECT table_name AS topic FROM information_schema.tables \
                          WHERE table_schema = 'public' ORDER BY 1";
    let text = statement.to_string();
    let refuse = |why: &str, help: &str| {
        let what = text.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Err(Error::Unsupported { what, why: why.into(), help: help.into() })
    };
    match statement {
        Statement::Explain(mut explain) => {
            explain.statement = Box::new(allowed(*explain.statement)?);
            Ok(Statement::Explain(explain))
        }
        Statement::Statement(inner) => match *inner {
            ast::Statement::ShowTables { .. } => {
                parse(TOPICS).map_err(|_| Error::Execution { why: "SHOW TABLES has no plan".into() })
            }
            // Planned from the one table; DataFusion's own way would infer the columns of every topic.
            ast::Statement::ShowColumns { show_options, .. } => {
                let table = show_options.show_in.and_then(|show_in| show_in.parent_name);
                let Some(table) = table else {
                    return refuse("it names no topic", "write   SHOW COLUMNS FROM topic");
                };
                parse(&format!("DESCRIBE {table}"))
                    .map_err(|_| Error::Execution { why: "SHOW COLUMNS has no plan".into() })
            }
            ast::Statement::Query(_) | ast::Statement::ExplainTable { .. } | ast::Statement::Explain { .. } => {
                Ok(Statement::Statement(inner))
            }
            ast::Statement::Insert(_) => refuse("SQL reads topics", "write records with   tw put TOPIC"),
            ast::Statement::Delete(_) | ast::Statement::Update(_) => {
                refuse("records of a log do not change", "write a new record of the same key with   tw put TOPIC")
            }
            ast::Statement::CreateTable(_) => refuse("SQL reads topics", "make a topic with   tw topic create NAME"),
            ast::Statement::Drop { .. } => refuse("SQL reads topics", "delete a topic with   tw topic delete NAME"),
            _ => refuse("SQL reads topics", "use SELECT, EXPLAIN, SHOW TABLES or DESCRIBE topic"),
        },
        _ => refuse("SQL reads topics", "use SELECT, EXPLAIN, SHOW TABLES or DESCRIBE topic"),
    }
}

/// The topics in the `latest('…')` of a statement.
#[derive(Default)]
struct LatestTopics(Vec<String>);

fn latest_topics(statement: &Statement) -> Vec<String> {
    let mut found = LatestTopics::default();
    let mut statement = statement;
    while let Statement::Explain(explain) = statement {
        statement = &explain.statement;
    }
    if let Statement::Statement(inner) = statement {
        let _ = inner.visit(&mut found);
    }
    found.0
}

impl Visitor for LatestTopics {
    type Break = ();

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, args, .. } = factor else { return ControlFlow::Continue(()) };
        let is_latest = matches!(name.0.as_slice(),
            [ObjectNamePart::Identifier(Ident { value, .. })] if value.eq_ignore_ascii_case(LatestFunction::NAME));
        if let (true, Some(args)) = (is_latest, args)
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] = args.args.as_slice()
            && let Value::SingleQuotedString(topic) = &value.value
        {
            self.0.push(topic.clone());
        }
        ControlFlow::Continue(())
    }
}

/// Splits a script at its semicolons, those in strings, names and comments aside. Statements are trimmed and come
/// without their semicolon; empty ones are left out. Text that cannot be read as SQL tokens, such as an open quote,
/// is one statement, so that running it tells what is wrong.
pub fn split_statements(script: &str) -> Vec<&str> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, script).tokenize_with_location() else {
        return Vec::from_iter(Some(script.trim()).filter(|s| !s.is_empty()));
    };
    let mut statements = Vec::new();
    let mut start = 0;
    let mut has_words = false;
    for token in tokens {
        match token.token {
            Token::SemiColon => {
                let at = crate::error::byte_offset(script, token.span.start.line, token.span.start.column);
                if has_words {
                    statements.push(script[start..at].trim());
                }
                (start, has_words) = (at + 1, false);
            }
            Token::Whitespace(_) | Token::EOF => {}
            _ => has_words = true,
        }
    }
    if has_words {
        statements.push(script[start..].trim());
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_split_at_their_own_semicolons_only() {
        let script = "SELECT ';' AS \"a;b\"; -- no; really\n SELECT 2 /* ; */ ;;\n\n-- end\n";
        assert_eq!(split_statements(script), ["SELECT ';' AS \"a;b\"", "-- no; really\n SELECT 2 /* ; */"]);
        assert_eq!(split_statements("SELECT 'open; SELECT 2"), ["SELECT 'open; SELECT 2"]);
        assert!(split_statements(" ;; -- nothing").is_empty());
    }
}
