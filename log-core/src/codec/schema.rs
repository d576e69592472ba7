//! What a topic's values look like: the derive writes it, the topic's settings keep it, SQL reads it.

use serde::{Deserialize, Serialize};

/// The encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// An object with the fields by name.
    Json,
    /// A version byte, then the fields in order; see [`to_bincode`](super::to_bincode).
    Bincode,
}

/// The columns of a value, in the order of its fields (which is bincode's order too).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The type's name.
    pub name: String,
    /// The version that the derive's attribute gives.
    pub version: u32,
    /// How values are written.
    pub format: Format,
    /// The columns.
    pub fields: Vec<Field>,
}

/// One field of a value, one column of its table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type, without the `Option`.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether the field is an `Option`.
    pub nullable: bool,
}

/// The type of one column. `Other` is anything nested; SQL shows it as JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// `bool`
    Bool,
    /// `i8`
    I8,
    /// `i16`
    I16,
    /// `i32`
    I32,
    /// `i64`
    I64,
    /// `u8`
    U8,
    /// `u16`
    U16,
    /// `u32`
    U32,
    /// `u64`
    U64,
    /// `f32`
    F32,
    /// `f64`
    F64,
    /// UTF-8 text
    String,
    /// Milliseconds since 1970 UTC
    Timestamp,
    /// Anything nested
    Other,
}
