//! From a record's value to the columns of one row.
//!
//! A [`Decoder`] knows the wanted columns only and skips the others without building them. It writes into a [`Row`],
//! a scratch that is used again for every record, so that a value that turns out to be malformed halfway leaves
//! nothing behind in the Arrow builders ([`rows`]).
//!
//! A bad value never fails a statement. A value that is no value of its format at all makes every column NULL; a field
//! of the wrong type makes its own column NULL. Both say so in `_error`. What is reported does not depend on which
//! columns a statement asks for: asking for `_error` makes the decoder check them all.

mod bincode;
mod json;
mod raw;
pub(crate) mod rows;

pub(crate) use bincode::BincodeDecoder;
pub(crate) use json::{JsonDecoder, Shape, read_shapes};
pub(crate) use raw::raw_text;

use crate::schema::{ColumnType, Encoding, ValueSchema};

/// One value on its way into a column. Text lies in the row's text buffer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text { start: usize, end: usize },
}

/// The scratch of one record: a cell for each wanted column.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) text: String,
    /// The first field that did not have its column's type.
    pub(crate) problem: Option<String>,
}

impl Row {
    pub(crate) fn clear(&mut self, columns: usize) {
        self.cells.clear();
        self.cells.resize(columns, Cell::Null);
        self.text.clear();
        self.problem = None;
    }

    fn push_text(&mut self, slot: usize, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        self.cells[slot] = Cell::Text { start, end: self.text.len() };
    }

    /// An integer, if it fits its column; else a problem.
    fn push_int(&mut self, slot: usize, name: &str, column: ColumnType, value: i128) {
        if column.holds_int(value) {
            self.cells[slot] = Cell::Int(value);
        } else {
            self.problem(name, column, value);
        }
    }

    fn problem(&mut self, name: &str, column: ColumnType, found: impl std::fmt::Display) {
        if self.problem.is_none() {
            self.problem = Some(format!("column `{name}` is {} but the value is {found}", column.sql_name()));
        }
    }
}

/// How the values of one topic are read, for one set of wanted columns.
#[derive(Debug)]
pub(crate) enum Decoder {
    Json(JsonDecoder),
    Bincode(BincodeDecoder),
    /// A topic without columns: its value is text.
    Text,
}

impl Decoder {
    /// A decoder of `wanted`, indexes into the schema's columns: cell `i` of a row is column `wanted[i]`.
    pub(crate) fn new(schema: &ValueSchema, wanted: &[usize]) -> Self {
        match &schema.encoding {
            Encoding::Text => Self::Text,
            Encoding::Json => Self::Json(JsonDecoder::new(
                wanted.iter().map(|&i| (schema.columns[i].name.clone(), schema.columns[i].column_type)).collect(),
            )),
            Encoding::Bincode(fields) => Self::Bincode(BincodeDecoder::new(fields, &schema.columns, wanted)),
        }
    }

    /// Reads one value into `row`, which was cleared. An error is about the value as a whole: then the row's cells
    /// mean nothing.
    pub(crate) fn decode(&self, value: &[u8], row: &mut Row) -> Result<(), String> {
        match self {
            Self::Json(json) => json.decode(value, row),
            Self::Bincode(bincode) => bincode.decode(value, row),
            Self::Text => Ok(()),
        }
    }
}
