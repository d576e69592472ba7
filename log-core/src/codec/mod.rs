//! How typed keys and values become bytes, and back.
//!
//! [`Codec`] is implemented for the primitives here and by `#[derive(Record)]` for structs and enums, as JSON or
//! bincode. The primitives are written as text (a `u64` as its decimal digits, a `String` as itself), which
//! `tw tail` shows and SQL reads.

mod bincode_format;
mod json_format;
mod primitives;
mod schema;

pub use bincode_format::{from_bincode, to_bincode};
pub use json_format::{Json, from_json, to_json};
pub use schema::{Field, FieldType, Format, Schema};

use crate::types::Timestamp;

/// Bytes that are not what the type writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct DecodeError {
    /// What was expected and what was found, with the position where that is known.
    pub why: String,
}

/// A type that is written to and read from a log.
///
/// `decode(encode(x))` is `x`. `encode` never fails; `decode` refuses what `encode` does not write, trailing bytes
/// included.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written to a topic",
    label = "has no codec",
    note = "derive one: #[derive(Record, Serialize, Deserialize)], or wrap it in `Json<{Self}>`"
)]
pub trait Codec: Sized {
    /// Appends the encoded form to `out`.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads one value from exactly these bytes.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError>;

    /// The record key that the value carries in itself (`#[record(key)]`), encoded.
    fn key(&self) -> Option<Vec<u8>> {
        None
    }
    /// The moment at which what the value tells happened (`#[record(event_time)]`).
    fn event_time(&self) -> Option<Timestamp> {
        None
    }
    /// The columns of the type, for SQL and tools.
    fn schema() -> Option<Schema> {
        None
    }
    /// The encoded form as a vector of its own.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}
