//! bincode values, by serde: a version byte, then bincode 2 in its standard little-endian variable-length form.
//!
//! This is the only module that calls bincode (which is unmaintained, so it stays behind this seam).
//! Lengths are checked against the input before anything is allocated, and trailing bytes are refused.

use super::DecodeError;
use serde::{Serialize, de::DeserializeOwned};

/// Leads every value, so that the encoding can change.
const VERSION: u8 = 1;

/// What one value may decode to; a length beyond it is refused before it is allocated.
const DECODED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Appends the version byte and `value`. A value that bincode cannot write is logged and appends nothing, which does
/// not decode: the failure surfaces where it is read.
#[expect(clippy::disallowed_methods, reason = "the one place that calls bincode")]
pub fn to_bincode<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    let start = out.len();
    out.push(VERSION);
    if let Err(error) = bincode::serde::encode_into_std_write(value, out, bincode::config::standard()) {
        tracing::error!(%error, "a value has no bincode form");
        out.truncate(start);
    }
}

/// Reads one value and nothing after it.
#[expect(clippy::disallowed_methods, reason = "the one place that calls bincode")]
pub fn from_bincode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let config = bincode::config::standard().with_limit::<DECODED_BYTES_MAX>();
    let Some((&VERSION, body)) = bytes.split_first() else {
        return Err(DecodeError { why: format!("not a bincode value of version {VERSION}") });
    };
    match bincode::serde::decode_from_slice(body, config) {
        Ok((value, used)) if used == body.len() => Ok(value),
        Ok((_, used)) => Err(DecodeError { why: format!("{} bytes after the value", body.len() - used) }),
        Err(e) => Err(DecodeError { why: e.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let mut bytes = Vec::new();
        to_bincode(&(7_u32, "seven".to_string()), &mut bytes);
        assert_eq!(from_bincode::<(u32, String)>(&bytes), Ok((7, "seven".to_string())));
        bytes.push(0);
        assert_eq!(from_bincode::<(u32, String)>(&bytes).unwrap_err().why, "1 bytes after the value");
        assert!(from_bincode::<u32>(&[]).is_err());
        assert!(from_bincode::<String>(&[VERSION, 253, 255, 255, 255, 255, 255, 255, 255, 127]).is_err());
    }
}
