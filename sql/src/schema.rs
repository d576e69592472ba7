//! Which columns a topic has.
//!
//! A topic whose settings carry a schema (`#[derive(Record)]` writes it there) has that schema's columns. For any
//! other topic the columns are inferred from its first records, up to [`SAMPLE_RECORDS`] of them, taken evenly from
//! its partitions: fields in the order of their first appearance, with the narrowest type that holds every sample.
//!
//! ```text
//!   null only ─▶ VARCHAR        integers ─▶ BIGINT ─▶ DECIMAL(20,0) beyond 64 bits ─▶ DOUBLE with a fraction
//!   true/false ─▶ BOOLEAN       RFC 3339 ─▶ TIMESTAMP       other text, nested values, any mixture ─▶ VARCHAR
//! ```
//! When no sample is a JSON object, or there are none, the topic has no value columns: its values are text, in
//! `_value`. A record that the sample did not foresee never fails a statement: it is told in `_error`. Fields that
//! first appear after the sample have no column; read them with `json_get`.

use crate::decode::{Shape, read_shapes};
use crate::error::Error;
use crate::topic_table::RangeReader;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tailwater_log::Log;
use tailwater_log::codec;
use tailwater_log::service::TopicDescription;
use tailwater_log::types::TopicPartition;

/// Records that inference looks at.
pub const SAMPLE_RECORDS: usize = 1000;

/// The time zone of every timestamp column. As an offset, because Arrow knows names only with a time zone database.
pub(crate) const UTC: &str = "+00:00";
/// Digits of the largest `u64`.
pub(crate) const DECIMAL_PRECISION: u8 = 20;

/// The columns that every topic has, behind those of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meta {
    Partition,
    Offset,
    Timestamp,
    Key,
    Value,
    Error,
}

pub(crate) const META_COLUMNS: [Meta; 6] =
    [Meta::Partition, Meta::Offset, Meta::Timestamp, Meta::Key, Meta::Value, Meta::Error];

impl Meta {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Partition => "_partition",
            Self::Offset => "_offset",
            Self::Timestamp => "_timestamp",
            Self::Key => "_key",
            Self::Value => "_value",
            Self::Error => "_error",
        }
    }

    fn field(self) -> Field {
        let (data_type, nullable) = match self {
            Self::Partition => (DataType::Int32, false),
            Self::Offset => (DataType::Int64, false),
            Self::Timestamp => (ColumnType::Timestamp.data_type(), false),
            Self::Key | Self::Value | Self::Error => (DataType::Utf8, true),
        };
        Field::new(self.name(), data_type, nullable)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        META_COLUMNS.into_iter().find(|meta| meta.name() == name)
    }
}

/// The type of a value column.
///
/// Integers widen to the signed type that holds them, so that a difference of two counters may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Boolean,
    Int32,
    Int64,
    /// 20 digits: any `u64`.
    Decimal,
    Float32,
    Float64,
    /// Milliseconds, UTC.
    Timestamp,
    Text,
}

impl ColumnType {
    pub(crate) fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Decimal => DataType::Decimal128(DECIMAL_PRECISION, 0),
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
            Self::Text => DataType::Utf8,
        }
    }

    pub(crate) fn sql_name(self) -> String {
        sql_type(&self.data_type())
    }

    pub(crate) const fn is_integer(self) -> bool {
        matches!(self, Self::Int32 | Self::Int64 | Self::Decimal | Self::Timestamp)
    }

    /// Whether the column is one of integers and takes this one.
    pub(crate) fn holds_int(self, value: i128) -> bool {
        match self {
            Self::Int32 => i32::try_from(value).is_ok(),
            Self::Int64 | Self::Timestamp => i64::try_from(value).is_ok(),
            Self::Decimal => value.unsigned_abs() < 10_u128.pow(u32::from(DECIMAL_PRECISION)),
            Self::Boolean | Self::Float32 | Self::Float64 | Self::Text => false,
        }
    }

    const fn declared(field: codec::FieldType) -> Self {
        match field {
            codec::FieldType::Bool => Self::Boolean,
            codec::FieldType::I8 | codec::FieldType::I16 | codec::FieldType::I32 => Self::Int32,
            codec::FieldType::U8 | codec::FieldType::U16 => Self::Int32,
            codec::FieldType::I64 | codec::FieldType::U32 => Self::Int64,
            codec::FieldType::U64 => Self::Decimal,
            codec::FieldType::F32 => Self::Float32,
            codec::FieldType::F64 => Self::Float64,
            codec::FieldType::Timestamp => Self::Timestamp,
            codec::FieldType::String | codec::FieldType::Other => Self::Text,
        }
    }
}

/// The SQL name of an Arrow type, as messages and `\d` show it.
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 | DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::Float16 | DataType::Float32 => "REAL".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
            format!("DECIMAL({digits},{scale})")
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".into(),
        DataType::Timestamp(..) => "TIMESTAMP".into(),
        DataType::Date32 | DataType::Date64 => "DATE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Interval(_) | DataType::Duration(_) => "INTERVAL".into(),
        other => other.to_string(),
    }
}

/// One column of a topic's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
}

/// How a topic's values are encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    /// With every field in order: also those that are no column have to be stepped over.
    Bincode(Vec<codec::Field>),
    /// Anything; the topic has no value columns.
    Text,
}

/// Where a topic's columns come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The topic's settings carry the schema of this type.
    Declared {
        /// The type's name.
        name: String,
    },
    /// The columns were inferred from this many records.
    Inferred {
        /// Records looked at.
        records: usize,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Declared { name } => write!(f, "declared by the type {name}"),
            Self::Inferred { records } => {
                write!(f, "inferred from {records} record{}", if *records == 1 { "" } else { "s" })
            }
        }
    }
}

/// The columns of a topic's value, and how they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ValueSchema {
    pub(crate) encoding: Encoding,
    pub(crate) columns: Vec<Column>,
    pub(crate) origin: Origin,
}

impl ValueSchema {
    /// The schema that a topic's settings declare.
    fn declared(topic: &TopicDescription, json: &str) -> Result<Self, Error> {
        let unusable = |why: String| Error::UnusableSchema { topic: topic.name.to_string(), why };
        let schema: codec::Schema = serde_json::from_str(json).map_err(|e| unusable(e.to_string()))?;
        let nested = schema.fields.iter().find(|f| f.field_type == codec::FieldType::Other);
        let encoding = match (schema.format, nested) {
            (codec::Format::Json, _) => Encoding::Json,
            (codec::Format::Bincode, Some(field)) => {
                return Err(unusable(format!("field `{}` is nested, and bincode does not say how", field.name)));
            }
            (codec::Format::Bincode, None) => Encoding::Bincode(schema.fields.clone()),
        };
        let columns = schema.fields.iter().filter(|f| Meta::named(&f.name).is_none());
        let columns = columns.map(|f| Column {
            name: f.name.clone(),
            column_type: ColumnType::declared(f.field_type),
            // Any column is NULL in a record that does not decode and in a tombstone.
            nullable: true,
        });
        Ok(Self { encoding, columns: columns.collect(), origin: Origin::Declared { name: schema.name } })
    }

    /// The table's columns: those of the value, then [`META_COLUMNS`].
    pub(crate) fn table_schema(&self) -> SchemaRef {
        let value = self.columns.iter().map(|c| Field::new(&c.name, c.column_type.data_type(), c.nullable));
        let fields: Vec<Field> = value.chain(META_COLUMNS.map(Meta::field)).collect();
        Arc::new(Schema::new(fields))
    }
}

/// What the samples showed so far.
#[derive(Debug, Default)]
struct Inference {
    /// Fields in the order of their appearance.
    fields: Vec<(String, Shape)>,
    by_name: HashMap<String, usize>,
    records: usize,
    objects: usize,
}

impl Inference {
    fn add(&mut self, value: Option<&[u8]>) {
        self.records += 1;
        let Some(Ok(shapes)) = value.map(read_shapes) else { return };
        self.objects += 1;
        for (name, shape) in shapes {
            match self.by_name.get(&name) {
                Some(&i) => self.fields[i].1 = join(self.fields[i].1, shape),
                None => {
                    self.by_name.insert(name.clone(), self.fields.len());
                    self.fields.push((name, shape));
                }
            }
        }
    }

    fn finish(self) -> ValueSchema {
        let origin = Origin::Inferred { records: self.records };
        if self.objects == 0 {
            return ValueSchema { encoding: Encoding::Text, columns: Vec::new(), origin };
        }
        let fields = self.fields.into_iter().filter(|(name, _)| Meta::named(name).is_none());
        let columns = fields.map(|(name, shape)| Column {
            name,
            column_type: match shape {
                Shape::Null | Shape::Text => ColumnType::Text,
                Shape::Bool => ColumnType::Boolean,
                Shape::Int => ColumnType::Int64,
                Shape::BigInt => ColumnType::Decimal,
                Shape::Float => ColumnType::Float64,
                Shape::Timestamp => ColumnType::Timestamp,
            },
            nullable: true,
        });
        ValueSchema { encoding: Encoding::Json, columns: columns.collect(), origin }
    }
}

/// The narrowest shape that holds both.
fn join(a: Shape, b: Shape) -> Shape {
    let rank = |shape| match shape {
        Shape::Int => Some(0),
        Shape::BigInt => Some(1),
        Shape::Float => Some(2),
        _ => None,
    };
    match (a, b) {
        (a, b) if a == b => a,
        (Shape::Null, other) | (other, Shape::Null) => other,
        (a, b) => match (rank(a), rank(b)) {
            (Some(ra), Some(rb)) => {
                if ra > rb {
                    a
                } else {
                    b
                }
            }
            _ => Shape::Text,
        },
    }
}

/// The columns of a topic as of its readable offsets in `topic`.
pub(crate) async fn value_schema(log: &Log, topic: &TopicDescription) -> Result<ValueSchema, Error> {
    if let Some(json) = &topic.config.schema {
        return ValueSchema::declared(topic, json);
    }
    let with_records: Vec<_> = topic.partitions.iter().filter(|p| !p.offsets.committed().is_empty()).collect();
    let mut inference = Inference::default();
    for (i, partition) in with_records.iter().enumerate() {
        // What earlier partitions did not have goes to the later ones.
        let quota = (SAMPLE_RECORDS - inference.records).div_ceil(with_records.len() - i);
        let name = TopicPartition::new(topic.name.clone(), partition.partition);
        let mut reader = RangeReader::new(log, name, partition.offsets.committed());
        let enough = inference.records + quota;
        while inference.records < enough {
            let more = reader.read(|record| {
                inference.add(record.value.as_deref());
                if inference.records < enough { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            match more.await {
                Ok(true) => {}
                // Damage is told when a statement reads it; one that does not still has its columns.
                Ok(false) | Err(tailwater_log::Error::Corrupt { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(inference.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(values: &[&str]) -> Vec<(String, String)> {
        let mut inference = Inference::default();
        for value in values {
            inference.add(Some(value.as_bytes()));
        }
        inference.finish().columns.into_iter().map(|c| (c.name, c.column_type.sql_name())).collect()
    }

    fn one(values: &[&str]) -> String {
        let objects: Vec<String> = values.iter().map(|v| format!("{{\"x\":{v}}}")).collect();
        inferred(&objects.iter().map(String::as_str).collect::<Vec<_>>()).remove(0).1
    }

    #[test]
    fn the_narrowest_type_that_holds_every_sample() {
        assert_eq!(one(&["1", "-2", "null"]), "BIGINT");
        assert_eq!(one(&["1", "2.5"]), "DOUBLE");
        assert_eq!(one(&["1", "18446744073709551615"]), "DECIMAL(20,0)");
        assert_eq!(one(&["18446744073709551615", "0.5"]), "DOUBLE");
        assert_eq!(one(&["null", "true"]), "BOOLEAN");
        assert_eq!(one(&["true", "1"]), "VARCHAR");
        assert_eq!(one(&["null", "null"]), "VARCHAR");
        assert_eq!(one(&["{\"a\":1}", "[1]"]), "VARCHAR");
        assert_eq!(one(&["\"2013-02-08T21:00:00Z\"", "null", "\"2013-02-08T16:00:00.5-05:00\""]), "TIMESTAMP");
        assert_eq!(one(&["\"2013-02-08T21:00:00Z\"", "\"soon\""]), "VARCHAR");
        assert_eq!(one(&["\"2013-02-08\""]), "VARCHAR", "a date without a time and an offset is no moment");
    }

    #[test]
    fn fields_keep_the_order_of_their_appearance_and_metadata_names_are_taken() {
        let columns = inferred(&[r#"{"z":1,"a":"x","_offset":9}"#, "not json", r#"{"a":"y","m":null}"#]);
        assert_eq!(columns.iter().map(|c| c.0.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
    }

    #[test]
    fn without_an_object_the_topic_is_text() {
        let mut inference = Inference::default();
        inference.add(Some(b"42"));
        inference.add(None);
        let schema = inference.finish();
        assert_eq!((schema.encoding, schema.columns.len()), (Encoding::Text, 0));
        assert_eq!(schema.origin, Origin::Inferred { records: 2 });
    }
}
