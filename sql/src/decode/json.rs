//! JSON objects, by a projecting visitor of serde_json: wanted fields go straight into cells, others are skipped by
//! its `IgnoredAny` without being built. The value is read to its end, so malformed JSON is found wherever it is.
//!
//! Numbers written as text columns, and nested values, are JSON text; a nested value is written compactly, its fields
//! in their order. A field that appears twice counts with its last value; a missing field is NULL.

use super::{Cell, Row};
use crate::schema::ColumnType;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

#[derive(Debug)]
pub(crate) struct JsonDecoder {
    columns: Vec<(String, ColumnType)>,
}

impl JsonDecoder {
    pub(crate) fn new(columns: Vec<(String, ColumnType)>) -> Self {
        Self { columns }
    }

    pub(crate) fn decode(&self, value: &[u8], row: &mut Row) -> Result<(), String> {
        let mut json = serde_json::Deserializer::from_slice(value);
        json.deserialize_any(ObjectVisitor { columns: &self.columns, row })
            .and_then(|()| json.end())
            .map_err(|e| e.to_string())
    }
}

struct ObjectVisitor<'a> {
    columns: &'a [(String, ColumnType)],
    row: &'a mut Row,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Records of one topic mostly have their fields in one order, so the next column is the first guess.
        let mut guess = 0;
        while let Some(slot) = map.next_key_seed(SlotSeed { columns: self.columns, guess })? {
            match slot {
                Some(slot) => {
                    guess = slot + 1;
                    let (name, column) = &self.columns[slot];
                    map.next_value_seed(CellVisitor { name, column: *column, slot, row: &mut *self.row })?;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a field's name as the slot of its column, without copying it.
struct SlotSeed<'a> {
    columns: &'a [(String, ColumnType)],
    guess: usize,
}

impl<'de> DeserializeSeed<'de> for SlotSeed<'_> {
    type Value = Option<usize>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for SlotSeed<'_> {
    type Value = Option<usize>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }
    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        if self.columns.get(self.guess).is_some_and(|(column, _)| column == name) {
            return Ok(Some(self.guess));
        }
        Ok(self.columns.iter().position(|(column, _)| column == name))
    }
}

/// Reads one field's value into its cell.
struct CellVisitor<'a> {
    name: &'a str,
    column: ColumnType,
    slot: usize,
    row: &'a mut Row,
}

impl<'de> DeserializeSeed<'de> for CellVisitor<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        self.row.cells[self.slot] = Cell::Null;
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CellVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        match self.column {
            ColumnType::Boolean => self.row.cells[self.slot] = Cell::Bool(value),
            ColumnType::Text => self.row.push_text(self.slot, if value { "true" } else { "false" }),
            other => self.row.problem(self.name, other, value),
        }
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.int(i128::from(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.int(i128::from(value));
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        match self.column {
            ColumnType::Float32 | ColumnType::Float64 => self.row.cells[self.slot] = Cell::Float(value),
            ColumnType::Text => self.row.push_text(self.slot, &json_number(value)),
            // 3.0 is an integer; 3.5 and 1e300 are not.
            integer if integer.is_integer() && value.fract() == 0.0 && value.abs() < 9.0e15 => {
                self.row.push_int(self.slot, self.name, integer, value as i128);
            }
            other => self.row.problem(self.name, other, json_number(value)),
        }
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        match self.column {
            ColumnType::Text => self.row.push_text(self.slot, value),
            ColumnType::Timestamp => match parse_timestamp(value) {
                Some(ms) => self.row.cells[self.slot] = Cell::Int(i128::from(ms)),
                None => self.row.problem(self.name, self.column, Quoted(value)),
            },
            other => self.row.problem(self.name, other, Quoted(value)),
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.nested("an object", |out| JsonText(out).visit_map(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        self.nested("an array", |out| JsonText(out).visit_seq(seq))
    }
}

impl CellVisitor<'_> {
    fn int(self, value: i128) {
        match self.column {
            ColumnType::Float32 | ColumnType::Float64 => self.row.cells[self.slot] = Cell::Float(value as f64),
            ColumnType::Text => self.row.push_text(self.slot, &value.to_string()),
            other => self.row.push_int(self.slot, self.name, other, value),
        }
    }

    fn nested<E>(self, kind: &str, write: impl FnOnce(&mut String) -> Result<(), E>) -> Result<(), E> {
        let start = self.row.text.len();
        write(&mut self.row.text)?;
        if self.column == ColumnType::Text {
            self.row.cells[self.slot] = Cell::Text { start, end: self.row.text.len() };
        } else {
            self.row.text.truncate(start);
            self.row.problem(self.name, self.column, kind);
        }
        Ok(())
    }
}

/// A string in a message, cut to a readable length.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head: String = self.0.chars().take(40).collect();
        write!(f, "{head:?}{}", if head.len() < self.0.len() { "…" } else { "" })
    }
}

fn json_number(value: f64) -> String {
    serde_json::Number::from_f64(value).map_or_else(|| "null".into(), |n| n.to_string())
}

/// Writes any JSON value as compact JSON text, fields in their order.
struct JsonText<'a>(&'a mut String);

impl JsonText<'_> {
    fn string(&mut self, text: &str) {
        self.0.push_str(&serde_json::Value::from(text).to_string());
    }
}

impl<'de> DeserializeSeed<'de> for JsonText<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.push_str("null");
        Ok(())
    }
    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push_str(if value { "true" } else { "false" });
        Ok(())
    }
    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }
    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.0.push_str(&value.to_string());
        Ok(())
    }
    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.push_str(&json_number(value));
        Ok(())
    }
    fn visit_str<E>(mut self, value: &str) -> Result<(), E> {
        self.string(value);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        self.0.push('[');
        let first = self.0.len();
        // Each element writes its comma behind it, and the last one is taken back.
        while seq.next_element_seed(JsonText(&mut *self.0))?.is_some() {
            self.0.push(',');
        }
        if self.0.len() > first {
            self.0.pop();
        }
        self.0.push(']');
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.0.push('{');
        let mut comma = "";
        while let Some(name) = map.next_key::<String>()? {
            self.0.push_str(comma);
            comma = ",";
            self.string(&name);
            self.0.push(':');
            map.next_value_seed(JsonText(&mut *self.0))?;
        }
        self.0.push('}');
        Ok(())
    }
}

/// RFC 3339 with an offset, as milliseconds since 1970 UTC.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if !(20..=40).contains(&bytes.len()) || !bytes[0].is_ascii_digit() || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

/// What a JSON field looks like, for inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Bool,
    Int,
    /// Beyond 64 bits with a sign.
    BigInt,
    Float,
    Timestamp,
    /// Text, and anything nested.
    Text,
}

/// The fields of a JSON object with their shapes, in order; an error for anything else.
pub(crate) fn read_shapes(value: &[u8]) -> Result<Vec<(String, Shape)>, String> {
    let mut json = serde_json::Deserializer::from_slice(value);
    let shapes = json.deserialize_any(ShapesVisitor).and_then(|shapes| json.end().map(|()| shapes));
    shapes.map_err(|e| e.to_string())
}

struct ShapesVisitor;

impl<'de> Visitor<'de> for ShapesVisitor {
    type Value = Vec<(String, Shape)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut shapes = Vec::new();
        while let Some(name) = map.next_key()? {
            shapes.push((name, map.next_value_seed(ShapeVisitor)?));
        }
        Ok(shapes)
    }
}

struct ShapeVisitor;

impl<'de> DeserializeSeed<'de> for ShapeVisitor {
    type Value = Shape;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Shape, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::Null)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
        Ok(Shape::Bool)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
        Ok(Shape::Int)
    }
    fn visit_u64<E>(self, value: u64) -> Result<Shape, E> {
        Ok(if i64::try_from(value).is_ok() { Shape::Int } else { Shape::BigInt })
    }
    fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
        Ok(Shape::Float)
    }
    fn visit_str<E>(self, value: &str) -> Result<Shape, E> {
        Ok(if parse_timestamp(value).is_some() { Shape::Timestamp } else { Shape::Text })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Shape::Text)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Shape, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Shape::Text)
    }
}
