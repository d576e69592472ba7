//! Event time: windows, watermarks, and short names for durations.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use tailwater_log::codec::{from_json, to_json};
use tailwater_log::{Codec, DecodeError, Timestamp};

/// `n` milliseconds.
pub const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
/// `n` seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}
/// `n` minutes.
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}
/// `n` hours.
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

/// Windows of one size that follow each other without gap or overlap, aligned to 1970-01-01 UTC: `[start, start + size)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tumbling {
    pub(crate) size: Duration,
    pub(crate) lateness: Duration,
}

impl Tumbling {
    /// Windows of `size`, at least 1 ms, with no lateness.
    pub const fn of(size: Duration) -> Self {
        Self { size, lateness: Duration::ZERO }
    }

    /// How long after its end, in event time, a window still takes records.
    pub const fn lateness(self, lateness: Duration) -> Self {
        Self { lateness, ..self }
    }

    /// The window that holds `time`.
    pub(crate) fn window<K>(self, key: K, time: Timestamp) -> Windowed<K> {
        let start = time.floor(self.size);
        Windowed { start, end: start + self.size, key }
    }

    /// The watermark at which the window that holds `time` takes no more records.
    pub(crate) fn closes(self, time: Timestamp) -> Timestamp {
        time.floor(self.size) + self.size + self.lateness
    }
}

/// When a window's result is sent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emit {
    /// Once, when the watermark passes the window's end and lateness: one final row.
    #[default]
    OnClose,
    /// After every record; the last row of a window is its final one.
    OnUpdate,
}

/// How the watermark of a source partition follows from its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watermarks {
    /// The highest event time seen in the partition, less the source's disorder.
    #[default]
    EventTime,
    /// The highest record timestamp seen in the partition, less the source's disorder: for topics whose record
    /// timestamps say when the record was delivered, while the event time says when it happened.
    RecordTime,
}

/// A key in one window, `[start, end)`.
///
/// Written as JSON, which SQL reads: `{"key":"EWR","start":1360288800000,"end":1360292400000}`. `start` and `end` are
/// milliseconds since 1970 UTC; `key` is the text that the key's own codec writes, or `key_hex` its bytes in
/// hexadecimal when they are not UTF-8. Ordered by time first, so that a store of windows closes from its front.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Windowed<K> {
    /// The first moment in the window.
    pub start: Timestamp,
    /// The first moment after the window.
    pub end: Timestamp,
    /// The key within the window.
    pub key: K,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowedJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
    start: Timestamp,
    end: Timestamp,
}

impl<K: Codec> Codec for Windowed<K> {
    fn encode(&self, out: &mut Vec<u8>) {
        let (key, key_hex) = match String::from_utf8(self.key.to_bytes()) {
            Ok(text) => (Some(text), None),
            Err(e) => (None, Some(e.as_bytes().iter().map(|b| format!("{b:02x}")).collect())),
        };
        to_json(&WindowedJson { key, key_hex, start: self.start, end: self.end }, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let json: WindowedJson = from_json(bytes)?;
        let key = match (json.key, json.key_hex) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(hex)) => from_hex(&hex)?,
            _ => return Err(DecodeError { why: "a windowed key has either `key` or `key_hex`".into() }),
        };
        Ok(Self { key: K::decode(&key)?, start: json.start, end: json.end })
    }
}

fn from_hex(hex: &str) -> Result<Vec<u8>, DecodeError> {
    let digits = hex.as_bytes();
    let value = |d: u8| (d as char).to_digit(16).map(|v| v as u8);
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    });
    pairs.collect::<Option<_>>().ok_or_else(|| DecodeError { why: "`key_hex` is not hexadecimal".into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_windowed_key_is_json_that_sql_reads() {
        let key = Tumbling::of(hours(1)).window("EWR".to_string(), Timestamp(1_360_288_812_345));
        let bytes = key.to_bytes();
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"key":"EWR","start":1360288800000,"end":1360292400000}"#
        );
        assert_eq!(Windowed::<String>::decode(&bytes), Ok(key));
    }

    proptest! {
        #[test]
        fn any_key_comes_back(key: Vec<u8>, start: i64, end: i64) {
            let key = Windowed { key, start: Timestamp(start), end: Timestamp(end) };
            prop_assert_eq!(Windowed::<Vec<u8>>::decode(&key.to_bytes()), Ok(key));
        }

        #[test]
        fn any_bytes_decode_or_say_why(bytes: Vec<u8>) {
            let _ = Windowed::<Vec<u8>>::decode(&bytes);
            let hex = format!(r#"{{"key_hex":{:?},"start":0,"end":1}}"#, String::from_utf8_lossy(&bytes));
            let _ = Windowed::<Vec<u8>>::decode(hex.as_bytes());
        }
    }
}
