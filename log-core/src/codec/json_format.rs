//! JSON values, by serde.

use super::{Codec, DecodeError};
use serde::{Serialize, de::DeserializeOwned};

/// Any serde type, written as JSON without a derive of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json<T>(pub T);

impl<T: Serialize + DeserializeOwned> Codec for Json<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        to_json(&self.0, out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        from_json(bytes).map(Self)
    }
}

/// Appends `value` as JSON. A value that serde cannot write as JSON (a map with keys that are not strings)
/// is written as `null`, which does not decode: the failure surfaces where it is read.
pub fn to_json<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    let start = out.len();
    if let Err(error) = serde_json::to_writer(&mut *out, value) {
        tracing::error!(%error, "a value has no JSON form");
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// Reads one JSON value and nothing after it.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(bytes).map_err(|e| DecodeError { why: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// serde_json reads some floats one bit off unless it is asked not to (its feature `float_roundtrip`).
        #[test]
        fn every_float_comes_back_bit_for_bit(bits: u64) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let read = Json::<f64>::decode(&Json(float).to_bytes()).expect("it was just written");
            prop_assert_eq!(read.0.to_bits(), float.to_bits());
        }
    }
}
