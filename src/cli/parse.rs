//! Arguments that are more than a word: durations and positions.

use std::time::Duration;
use tailwater::log::types::Flush;
use tailwater::log::{OffsetSpec, Timestamp};

/// Reads `250ms`, `30s`, `10m`, `2h`, `1d`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| "write it as   250ms, 30s, 10m, 2h or 1d".to_owned())?;
    let millis = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => return Err(format!("`{other}` is not a unit of time; use ms, s, m, h or d")),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| "it is too long".into())
}

/// Reads `durable`, `os`, `interval:200ms`.
pub(crate) fn flush(text: &str) -> Result<Flush, String> {
    match text {
        "durable" => Ok(Flush::Durable),
        "os" => Ok(Flush::Os),
        _ => match text.strip_prefix("interval:").map(duration) {
            Some(Ok(every)) => Ok(Flush::Interval(every)),
            Some(Err(why)) => Err(why),
            None => Err("use durable, os or interval:200ms".into()),
        },
    }
}

/// Where to read from, as the user says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// `earliest`
    Earliest,
    /// `latest`
    Latest,
    /// An offset, on every partition.
    Offset(i64),
    /// A moment, `2013-02-08T21:00:00Z` or `2013-02-08`.
    At(Timestamp),
    /// `10m ago`
    Ago(Duration),
}

impl Position {
    /// What the log resolves; `now` is the moment that "ago" counts from.
    pub(crate) fn spec(self, now: Timestamp) -> OffsetSpec {
        match self {
            Self::Earliest => OffsetSpec::Earliest,
            Self::Latest => OffsetSpec::Latest,
            Self::Offset(offset) => OffsetSpec::Exactly(offset),
            Self::At(moment) => OffsetSpec::At(moment),
            Self::Ago(span) => OffsetSpec::At(now - span),
        }
    }
}

/// Reads a [`Position`].
pub(crate) fn position(text: &str) -> Result<Position, String> {
    let text = text.trim();
    match text {
        "earliest" => return Ok(Position::Earliest),
        "latest" => return Ok(Position::Latest),
        _ => {}
    }
    if let Ok(offset) = text.parse::<i64>() {
        return if offset >= 0 { Ok(Position::Offset(offset)) } else { Err("an offset is 0 or more".into()) };
    }
    if let Some(span) = text.strip_suffix("ago") {
        return duration(span).map(Position::Ago);
    }
    moment(text).map(Position::At).ok_or_else(|| {
        "use earliest, latest, an offset, a time like 2013-02-08T21:00:00Z, or a span like `10m ago`".into()
    })
}

/// Reads RFC 3339 (`2013-02-08T21:00:00Z`, `2013-02-08T16:00:00-05:00`), or a date or date and time taken as UTC.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(instant.as_millisecond()));
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let instant = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp(instant.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2 h"), Ok(Duration::from_secs(7200)));
        for bad in ["", "s", "5 weeks", "-1s", "99999999999999999999s", "9999999999999999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flushes() {
        for text in ["durable", "os", "interval:200ms"] {
            assert_eq!(flush(text).unwrap().to_string(), text);
        }
        for bad in ["", "always", "interval", "interval:", "interval:soon"] {
            assert!(flush(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn positions() {
        let feb_8 = Timestamp(1_360_357_200_000);
        assert_eq!(position("earliest"), Ok(Position::Earliest));
        assert_eq!(position("17"), Ok(Position::Offset(17)));
        assert_eq!(position("2013-02-08T21:00:00Z"), Ok(Position::At(feb_8)));
        assert_eq!(position("2013-02-08T16:00:00-05:00"), Ok(Position::At(feb_8)));
        assert_eq!(position("2013-02-08 21:00:00"), Ok(Position::At(feb_8)));
        assert_eq!(position("2013-02-08"), Ok(Position::At(Timestamp(1_360_281_600_000))));
        assert_eq!(position("10m ago"), Ok(Position::Ago(Duration::from_secs(600))));
        assert_eq!(Position::Ago(Duration::from_secs(1)).spec(Timestamp(5000)), OffsetSpec::At(Timestamp(4000)));
        for bad in ["", "yesterday", "-3", "2013-02-30", "10 ago now"] {
            assert!(position(bad).is_err(), "{bad}");
        }
    }
}
