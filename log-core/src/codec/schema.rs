//! What a topic's values look like: the derive writes it, the topic's settings keep it, SQL reads it.

use serde::{Deserialize, Serialize};

/// The encoding of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Json,
    Bincode,
}

/// The columns of a value, in the order of its fields (which is bincode's order too).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The type's name.
    pub name: String,
    pub version: u32,
    pub format: Format,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// Whether the field is an `Option`.
    pub nullable: bool,
}

/// The type of one column. `Other` is anything nested; SQL shows it as JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    Bool,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    F32,
    F64,
    String,
    Timestamp,
    Other,
}
