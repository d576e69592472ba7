//! Bytes as text: what `_key` and `_value` show.

use std::borrow::Cow;
use std::fmt::Write as _;

/// UTF-8 as it is; anything else as `\x` and hexadecimal digits, as PostgreSQL writes a `bytea`.
pub(crate) fn raw_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut hex = String::with_capacity(2 + 2 * bytes.len());
            hex.push_str("\\x");
            for byte in bytes {
                write!(hex, "{byte:02x}").expect("a string takes every write");
            }
            Cow::Owned(hex)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_and_bytes_become_hex() {
        assert_eq!(raw_text("naïve".as_bytes()), "naïve");
        assert_eq!(raw_text(&[0xff, 0x00, 0x0a]), "\\xff000a");
    }
}
