//! Codecs of the primitive types: text, so that tools can show them.

use super::{Codec, DecodeError};
use bytes::Bytes;

/// No key: encodes to nothing.
impl Codec for () {
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(_: &[u8]) -> Result<Self, DecodeError> {
        Ok(())
    }
}

/// UTF-8.
impl Codec for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(e) => Err(DecodeError { why: format!("not UTF-8 at byte {}", e.valid_up_to()) }),
        }
    }
}

/// The bytes as they are.
impl Codec for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(Self::copy_from_slice(bytes))
    }
}

/// The bytes as they are.
impl Codec for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Ok(bytes.to_vec())
    }
}

macro_rules! as_text {
    ($($type:ty),*) => {$(
        /// Its text, as `Display` writes it and `FromStr` reads it.
        impl Codec for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                use std::io::Write as _;
                write!(out, "{self}").expect("a vector takes every write");
            }
            fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
                let text = std::str::from_utf8(bytes).unwrap_or("bytes that are not UTF-8");
                text.parse().map_err(|e| DecodeError {
                    why: format!("{:?} is not a {}: {e}", text.chars().take(64).collect::<String>(), stringify!($type)),
                })
            }
        }
    )*};
}
as_text!(bool, i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_their_text() {
        assert_eq!(42_u64.to_bytes(), b"42");
        assert_eq!(i64::decode(b"-7"), Ok(-7));
        assert!(u8::decode(b"256").is_err());
        assert!(u8::decode(b"\xff").is_err());
        assert_eq!(f64::decode(&0.1_f64.to_bytes()), Ok(0.1));
    }

    #[test]
    fn text_that_is_not_utf8_says_where() {
        assert_eq!(String::decode(b"ab\xff").unwrap_err().why, "not UTF-8 at byte 2");
    }
}
