//! What can go wrong with a statement: a stable code, what happened, where in the statement, and what to do.
//!
//! DataFusion's errors are chains of wrappers around one cause. [`Diagnosis`] takes the cause and the position out of
//! the chain, and what the statement's tables know (a column that is nearly the one asked for).

use crate::schema::sql_type;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use datafusion::common::utils::datafusion_strsim::levenshtein;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Where in a statement: a half-open range of bytes of its text.
pub type Span = (usize, usize);

/// An error of a statement.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A column that none of the statement's tables has.
    #[error("no column `{name}` in {table}")]
    UnknownColumn {
        /// The column as it was written, without its table.
        name: Box<str>,
        /// The tables that were looked at, each in backticks.
        table: Box<str>,
        /// The nearest column and its SQL type (empty when the column is computed), if one is near.
        suggestion: Option<(String, String)>,
        /// Where the name stands.
        span: Option<Span>,
        /// Where the table's columns come from.
        note: Option<Box<str>>,
    },
    /// A topic that is not there.
    #[error("there is no topic `{name}`")]
    UnknownTable {
        /// The name as it was understood: not quoted, it is in lower case.
        name: String,
        /// The nearest topic, quoted if it must be.
        suggestion: Option<String>,
        /// Where the name stands.
        span: Option<Span>,
    },
    /// Text that is not SQL.
    #[error("{why}")]
    Syntax {
        /// What was expected and what was found.
        why: String,
        /// Where; the end of the statement when it is incomplete.
        span: Option<Span>,
    },
    /// A statement that this session does not run.
    #[error("{what} is not a statement that runs here: {why}")]
    Unsupported {
        /// The statement's first words.
        what: String,
        /// Why not.
        why: String,
        /// What to use instead.
        help: String,
    },
    /// A statement that makes no sense: types that do not fit, a name with two meanings, a wrong GROUP BY.
    #[error("{why}")]
    Invalid {
        /// What does not fit.
        why: String,
        /// Where, if that is known.
        span: Option<Span>,
        /// What to change, if that is known.
        help: Option<String>,
    },
    /// A statement that was fine and failed on its data, such as a division by zero or a cast.
    #[error("{why}")]
    Execution {
        /// What failed.
        why: String,
    },
    /// A topic whose declared schema does not describe columns.
    #[error("the schema of topic `{topic}` cannot be used: {why}")]
    UnusableSchema {
        /// The topic.
        topic: String,
        /// Why not.
        why: String,
    },
    /// The statement needs more memory than the session has.
    #[error("not enough memory: {why}")]
    OutOfMemory {
        /// Which operator asked for how much.
        why: String,
    },
    /// The log could not be read; the code and the remedy are the log's.
    #[error(transparent)]
    Log(#[from] tailwater_log::Error),
}

impl Error {
    /// The stable code that `tw explain` takes.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownColumn { .. } => "TW0301",
            Self::UnknownTable { .. } => "TW0302",
            Self::Syntax { .. } => "TW0303",
            Self::Unsupported { .. } => "TW0304",
            Self::Invalid { .. } => "TW0305",
            Self::Execution { .. } => "TW0306",
            Self::UnusableSchema { .. } => "TW0307",
            Self::OutOfMemory { .. } => "TW0308",
            Self::Log(error) => error.code(),
        }
    }

    /// The remedy, in words and where possible as a command.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::UnknownColumn { suggestion: Some((name, kind)), .. } if kind.is_empty() => {
                Some(format!("did you mean `{name}`?"))
            }
            Self::UnknownColumn { suggestion: Some((name, kind)), .. } => {
                Some(format!("did you mean `{name}` ({kind})?"))
            }
            Self::UnknownColumn { .. } => Some("see the columns with   \\d TOPIC".into()),
            Self::UnknownTable { suggestion: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::UnknownTable { .. } => Some("list the topics with   SHOW TABLES".into()),
            Self::Unsupported { help, .. } => Some(help.clone()),
            Self::Invalid { help, .. } => help.clone(),
            Self::UnusableSchema { .. } => {
                Some("derive the type with the JSON format, or read the records in a stream job".into())
            }
            Self::OutOfMemory { .. } => Some("filter or aggregate more before the join or the sort".into()),
            Self::Log(error) => error.help(),
            Self::Syntax { .. } | Self::Execution { .. } => None,
        }
    }

    /// What else is worth knowing.
    pub fn note(&self) -> Option<&str> {
        match self {
            Self::UnknownColumn { note, .. } => note.as_deref(),
            _ => None,
        }
    }

    /// Where in the statement's text the error is, if that is known.
    pub const fn span(&self) -> Option<Span> {
        match self {
            Self::UnknownColumn { span, .. }
            | Self::UnknownTable { span, .. }
            | Self::Syntax { span, .. }
            | Self::Invalid { span, .. } => *span,
            _ => None,
        }
    }

    /// An error while a statement runs: there is no position in its text any more.
    pub(crate) fn running(error: &DataFusionError) -> Self {
        Diagnosis { sql: "", topics: &[], tables: &[] }.of(error)
    }
}

/// A table of the statement: its name, columns, and where those come from.
pub(crate) struct KnownTable {
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) origin: String,
}

/// What is known about a statement when one of its errors is read.
pub(crate) struct Diagnosis<'a> {
    pub(crate) sql: &'a str,
    /// Every topic there is.
    pub(crate) topics: &'a [String],
    /// The tables of the statement.
    pub(crate) tables: &'a [KnownTable],
}

impl Diagnosis<'_> {
    pub(crate) fn of(&self, error: &DataFusionError) -> Error {
        // Several errors at once are independent; the first one is as good as any.
        let error = error.iter().next().unwrap_or(error);
        let span = error.diagnostic().and_then(|d| d.span).map(|s| {
            (byte_offset(self.sql, s.start.line, s.start.column), byte_offset(self.sql, s.end.line, s.end.column))
        });
        let help = error.diagnostic().and_then(|d| d.helps.first()).map(|h| h.message.clone());
        let mut cause = error.find_root();
        while let DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) = cause {
            cause = inner;
        }
        match cause {
            DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
                SchemaError::FieldNotFound { field, valid_fields } => self.unknown_column(field, valid_fields, span),
                other => Error::Invalid { why: other.to_string(), span, help },
            },
            DataFusionError::SQL(parser, _) => self.syntax(parser),
            DataFusionError::Plan(why) => match why.strip_prefix("table '").and_then(|w| w.strip_suffix("' not found"))
            {
                Some(name) => self.unknown_table(name, span),
                None => self.invalid(why, span, help),
            },
            DataFusionError::NotImplemented(why) => self.invalid(why, span, help),
            DataFusionError::ResourcesExhausted(why) => Error::OutOfMemory { why: clean(why) },
            DataFusionError::External(source) => {
                if let Some(error) = source.downcast_ref::<Error>() {
                    return error.clone();
                }
                if let Some(error) = source.downcast_ref::<tailwater_log::Error>() {
                    return error.clone().into();
                }
                Error::Execution { why: clean(&source.to_string()) }
            }
            DataFusionError::ArrowError(arrow, _) => Error::Execution { why: arrow_text(arrow) },
            DataFusionError::Execution(why) | DataFusionError::Internal(why) | DataFusionError::Configuration(why) => {
                Error::Execution { why: clean(why) }
            }
            other => Error::Execution { why: clean(&other.strip_backtrace()) },
        }
    }

    fn invalid(&self, why: &str, span: Option<Span>, help: Option<String>) -> Error {
        // "Invalid function 'fooo'.\nDid you mean 'floor'?" is a message and a help.
        let (why, hint) = match why.split_once("\nDid you mean ") {
            Some((why, near)) => (why, Some(format!("did you mean {}", near.replace('\'', "`")))),
            None => (why, None),
        };
        Error::Invalid { why: clean(why), span, help: help.or(hint) }
    }

    fn unknown_column(&self, field: &Column, valid: &[Column], span: Option<Span>) -> Error {
        let relation = field.relation.as_ref().map(|r| r.table().to_owned());
        let own = self.tables.iter().flat_map(|t| t.schema.fields()).map(|f| f.name().as_str());
        let mut names: Vec<&str> = valid.iter().map(|c| c.name.as_str()).collect();
        if names.is_empty() {
            names = own.collect();
        }
        let near = nearest(&field.name, names);
        let data_type = |name: &str| {
            let fields = self.tables.iter().filter_map(|t| t.schema.field_with_name(name).ok());
            fields.map(|f| sql_type(f.data_type())).next().unwrap_or_default()
        };
        let table = match (relation, self.tables) {
            (Some(relation), _) => format!("`{relation}`"),
            (None, []) => "this statement".into(),
            (None, tables) => tables.iter().map(|t| format!("`{}`", t.name)).collect::<Vec<_>>().join(" or "),
        };
        let note = self
            .tables
            .iter()
            .map(|t| format!("the columns of `{}` are {}; see them with   \\d {}", t.name, t.origin, quoted(&t.name)));
        Error::UnknownColumn {
            name: field.name.as_str().into(),
            table: table.into(),
            suggestion: near.map(|name| (quoted(name), data_type(name))),
            span,
            note: Some(note.collect::<Vec<_>>().join("; ").into_boxed_str()).filter(|n| !n.is_empty()),
        }
    }

    fn unknown_table(&self, name: &str, span: Option<Span>) -> Error {
        let name = name.strip_prefix("tailwater.").unwrap_or(name);
        let name = name.strip_prefix("public.").unwrap_or(name).to_owned();
        let near = nearest(&name, self.topics.iter().map(String::as_str));
        Error::UnknownTable { suggestion: near.map(quoted), name, span }
    }

    fn syntax(&self, error: &ParserError) -> Error {
        let text = match error {
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
            ParserError::RecursionLimitExceeded => "the statement is nested too deeply",
        };
        let (why, position) = match text.rsplit_once(" at Line: ") {
            Some((why, position)) => (why, parse_position(position)),
            None => (text, None),
        };
        let end = self.sql.trim_end().len();
        let start = position.map_or(end, |(line, column)| byte_offset(self.sql, line, column)).min(end);
        let token = self.sql[start..end].find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(end - start);
        let width = match token {
            0 => self.sql[start..end].chars().next().map_or(0, char::len_utf8),
            token => token,
        };
        let why = why.strip_prefix("SQL error: ").unwrap_or(why);
        Error::Syntax { why: format!("syntax error: {}", lower_first(why)), span: Some((start, start + width)) }
    }
}

/// "1, Column: 8" as (line, column).
fn parse_position(text: &str) -> Option<(u64, u64)> {
    let (line, column) = text.split_once(", Column: ")?;
    Some((line.trim().parse().ok()?, column.trim().parse().ok()?))
}

/// The byte at a line and a column of characters, both from 1; the end of the text when they are beyond it.
pub(crate) fn byte_offset(text: &str, line: u64, column: u64) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].find('\n') {
            Some(newline) => start += newline + 1,
            None => return text.len(),
        }
    }
    let skip = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    text[start..].char_indices().nth(skip).map_or(text.len(), |(i, _)| start + i)
}

/// The candidate that is nearest to `name`, if it is near: a third of its letters may differ.
pub(crate) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let scored = candidates.into_iter().map(|c| (levenshtein(&lower, &c.to_lowercase()), c));
    let limit = (name.chars().count() / 3).max(1);
    scored.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance).map(|(_, c)| c)
}

/// A name as SQL writes it: in double quotes unless it is a plain one in lower case.
pub(crate) fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn arrow_text(error: &ArrowError) -> String {
    match error {
        ArrowError::DivideByZero => "division by zero".into(),
        ArrowError::CastError(why)
        | ArrowError::ComputeError(why)
        | ArrowError::ParseError(why)
        | ArrowError::InvalidArgumentError(why)
        | ArrowError::ArithmeticOverflow(why) => clean(why),
        ArrowError::ExternalError(source) => match source.downcast_ref::<DataFusionError>() {
            Some(inner) => Error::running(inner).to_string(),
            None => clean(&source.to_string()),
        },
        other => clean(&other.to_string()),
    }
}

/// A message without the names of the layers it came through.
fn clean(text: &str) -> String {
    const NOISE: [&str; 9] = [
        "DataFusion error: ",
        "External error: ",
        "Error during planning: ",
        "Execution error: ",
        "This feature is not implemented: ",
        "Arrow error: ",
        "Schema error: ",
        "Internal error: ",
        "type_coercion\ncaused by\n",
    ];
    // A function that takes other types: DataFusion tells every attempt before it tells the outcome.
    if let Some(at) = text.find("No function matches") {
        let outcome = text[at..].split_once(". You might need").map_or(&text[at..], |(outcome, _)| outcome);
        return lower_first(outcome);
    }
    let mut text = text;
    while let Some(rest) = NOISE.iter().find_map(|noise| text.strip_prefix(noise)) {
        text = rest;
    }
    text.trim_end().trim_end_matches('.').to_owned()
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_lines() {
        let text = "SELECT 'ä', x\nFROM t";
        assert_eq!(byte_offset(text, 1, 1), 0);
        assert_eq!(&text[byte_offset(text, 1, 13)..][..1], "x");
        assert_eq!(&text[byte_offset(text, 2, 6)..], "t");
        assert_eq!(byte_offset(text, 9, 1), text.len());
    }

    #[test]
    fn near_names_are_near_and_others_are_not() {
        assert_eq!(nearest("dep_dealy", ["origin", "dep_delay"]), Some("dep_delay"));
        assert_eq!(nearest("origin", ["Origin"]), Some("Origin"));
        assert_eq!(nearest("xyz", ["origin", "dep_delay"]), None);
    }

    #[test]
    fn names_are_quoted_when_they_must_be() {
        assert_eq!(quoted("dep_delay"), "dep_delay");
        assert_eq!(quoted("word-counts"), "\"word-counts\"");
        assert_eq!(quoted("Flights"), "\"Flights\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
