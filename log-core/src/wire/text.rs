//! [`Str`]: text inside a frame, checked to be UTF-8 and not copied.

use bytes::Bytes;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// Kafka's string. It shares the frame that it was read from: whoever keeps it longer than the request copies it, or
/// a name of ten bytes keeps a frame of a megabyte.
#[derive(Clone, Default)]
pub(crate) struct Str(Bytes);

impl Str {
    /// Kafka's longest string; longer ones are refused when read, in the compact form too, and cut when written.
    pub(crate) const BYTES_MAX: usize = i16::MAX as usize;

    /// `None` if the bytes are not UTF-8.
    pub(crate) fn from_utf8(bytes: Bytes) -> Option<Self> {
        std::str::from_utf8(&bytes).ok()?;
        Some(Self(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("every constructor checks it")
    }

    /// What is written of it: all, or as many characters as Kafka's longest string holds. No name comes near; only the
    /// text of an error can.
    pub(super) fn as_bytes(&self) -> &[u8] {
        if self.0.len() <= Self::BYTES_MAX {
            return &self.0;
        }
        let text = self.as_str();
        let end = (0..=Self::BYTES_MAX).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        &self.0[..end]
    }
}

impl Deref for Str {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Str {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Str {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Str> for String {
    fn from(text: Str) -> Self {
        text.as_str().to_owned()
    }
}

impl PartialEq for Str {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Str {}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Str {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialOrd for Str {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// UTF-8 sorts as its characters do.
impl Ord for Str {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}

/// As `str` does, so that a map can be asked with one.
impl Hash for Str {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf8_is_text() {
        assert_eq!(Str::from_utf8(Bytes::from_static(b"\xc3\xa4")).unwrap(), "ä");
        assert_eq!(Str::from_utf8(Bytes::from_static(b"\xc3")), None);
    }

    #[test]
    fn too_long_a_text_is_cut_between_characters() {
        let long = Str::from(format!("a{}", "ä".repeat(Str::BYTES_MAX)));
        assert_eq!(long.as_bytes().len(), Str::BYTES_MAX);
        let long = Str::from("ä".repeat(Str::BYTES_MAX));
        assert_eq!(long.as_bytes().len(), Str::BYTES_MAX - 1);
    }

    #[test]
    fn a_map_is_asked_with_plain_text() {
        let map = std::collections::HashMap::from([(Str::from("a"), 1)]);
        assert_eq!(map.get("a"), Some(&1));
    }
}
