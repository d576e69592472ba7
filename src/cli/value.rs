//! Records as text and as JSON, and fields of JSON values.

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;
use tailwater::log::{StoredRecord, TopicPartition};

/// Bytes for a terminal: what is not UTF-8 becomes U+FFFD.
pub(crate) fn text(bytes: Option<&[u8]>) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes.unwrap_or_default())
}

/// Bytes as a terminal may see them: control characters, which it would obey, are written as `\\x1b`, and so are bytes
/// that are not UTF-8. Tabs stay.
pub(crate) fn harmless(bytes: &[u8]) -> Cow<'_, str> {
    let bad = |c: char| c.is_control() && c != '\t';
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(bad) => text.into(),
        _ => {
            let mut out = String::with_capacity(bytes.len() + 16);
            for chunk in bytes.utf8_chunks() {
                for c in chunk.valid().chars() {
                    if !bad(c) {
                        out.push(c);
                    } else if c.is_ascii() {
                        let _ = write!(out, "\\x{:02x}", u32::from(c));
                    } else {
                        let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
                    }
                }
                for byte in chunk.invalid() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
            out.into()
        }
    }
}

/// A JSON string of `text`.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether the bytes are one JSON value.
pub(crate) fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

/// Bytes as JSON on one line: themselves if they are JSON, otherwise a string; `null` for a tombstone.
pub(crate) fn json_value(bytes: Option<&[u8]>) -> Cow<'_, str> {
    let Some(bytes) = bytes else { return "null".into() };
    match std::str::from_utf8(bytes) {
        // Line feeds in a JSON value are only between its tokens.
        Ok(text) if is_json(bytes) && text.contains(['\n', '\r']) => text.replace(['\n', '\r'], " ").into(),
        Ok(text) if is_json(bytes) => text.trim().into(),
        Ok(text) => json_string(text).into(),
        Err(_) => json_string(&String::from_utf8_lossy(bytes)).into(),
    }
}

/// A record with all its metadata as one line of JSON.
pub(crate) fn record_json(partition: &TopicPartition, record: &StoredRecord) -> String {
    let mut out = format!(
        r#"{{"topic":{},"partition":{},"offset":{},"timestamp":"{}","key":"#,
        json_string(partition.topic.as_str()),
        partition.partition,
        record.offset,
        record.timestamp
    );
    match &record.key {
        Some(key) => out.push_str(&json_string(&text(Some(key)))),
        None => out.push_str("null"),
    }
    let _ = write!(out, r#","value":{}"#, json_value(record.value.as_deref()));
    if !record.headers.is_empty() {
        out.push_str(r#","headers":["#);
        for (i, header) in record.headers.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            let value = header.value.as_deref().map_or("null".into(), |v| json_string(&text(Some(v))));
            let _ = write!(out, "{comma}[{},{value}]", json_string(&header.key));
        }
        out.push(']');
    }
    out.push('}');
    out
}

/// A field of a JSON object: `Err` with the reason if the value is no object, `Ok(None)` if the field is absent.
pub(crate) fn field(object: &[u8], name: &str) -> Result<Option<serde_json::Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(object);
    let found = Pick(name).deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// All fields of a JSON object, in its order.
pub(crate) fn fields(object: &[u8]) -> Result<Vec<(String, serde_json::Value)>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(object);
    let found = All.deserialize(&mut reader)?;
    reader.end()?;
    Ok(found)
}

/// A scalar as the text of a key; `None` for null. An object or array is refused.
pub(crate) fn key_text(value: serde_json::Value) -> Result<Option<String>, &'static str> {
    match value {
        serde_json::Value::Null => Ok(None),
        serde_json::Value::String(text) => Ok(Some(text)),
        serde_json::Value::Bool(_) | serde_json::Value::Number(_) => Ok(Some(value.to_string())),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => Err("is not a single value"),
    }
}

/// Takes one field out of an object without building the others.
struct Pick<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Pick<'_> {
    type Value = Option<serde_json::Value>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Pick<'_> {
    type Value = Option<serde_json::Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Takes all fields of an object, keeping their order.
struct All;

impl<'de> DeserializeSeed<'de> for All {
    type Value = Vec<(String, serde_json::Value)>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for All {
    type Value = Vec<(String, serde_json::Value)>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(field) = map.next_entry()? {
            all.push(field);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tailwater::log::{Timestamp, TopicName};

    #[test]
    fn a_terminal_is_told_and_not_commanded() {
        assert_eq!(harmless("caf\u{e9}\t\u{1f600}".as_bytes()), "caf\u{e9}\t\u{1f600}");
        assert_eq!(harmless(b"\x1b[31mred\x07\r\n\xff\x7f"), r"\x1b[31mred\x07\x0d\x0a\xff\x7f");
        assert_eq!(harmless("\u{9b}31m".as_bytes()), r"\u{9b}31m");
    }

    #[test]
    fn picks_a_field() {
        assert_eq!(field(br#"{"a":{"b":1},"b":"x"}"#, "b").unwrap(), Some("x".into()));
        assert_eq!(field(br#"{"a\n":1}"#, "a\n").unwrap(), Some(1.into()));
        assert_eq!(field(b"{}", "b").unwrap(), None);
        for bad in ["[]", "1", "{", r#"{"a":1} x"#] {
            assert!(field(bad.as_bytes(), "a").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_record_is_one_line_of_json_whatever_its_bytes() {
        for value in ["{\"a\":\n1}", "plain", "\u{fffd}\"", "", "12"] {
            let record = StoredRecord {
                offset: 3,
                timestamp: Timestamp(0),
                key: Some("k\n".into()),
                value: Some(value.to_owned().into()),
                headers: vec![],
            };
            let partition = TopicPartition::new(TopicName::new("t").unwrap(), 1);
            let line = record_json(&partition, &record);
            assert!(!line.contains('\n'), "{line}");
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(parsed["key"], "k\n");
            assert_eq!(parsed["timestamp"], "1970-01-01T00:00:00Z");
        }
    }
}
