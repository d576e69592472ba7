//! Moments: wall-clock milliseconds that are stored, and monotonic nanoseconds that are only compared.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Milliseconds since 1970-01-01 UTC, as Kafka stores them. May be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The earliest moment.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest moment.
    pub const MAX: Self = Self(i64::MAX);

    /// The start of the tumbling window of `size` (at least 1 ms) that holds this moment.
    /// Saturates at the beginning of time.
    pub const fn floor(self, size: Duration) -> Self {
        let size = match size.as_millis() {
            0 => 1,
            size if size > i64::MAX as u128 => i64::MAX,
            size => size as i64,
        };
        Self(self.0.saturating_sub(self.0.rem_euclid(size)))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    /// Saturates at the ends of time.
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    /// Saturates at the ends of time.
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC with milliseconds when there are any: `2013-02-08T21:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil_from_days(days);
        let (h, m, s, milli) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}")?;
        if milli != 0 {
            write!(f, ".{milli:03}")?;
        }
        f.write_str("Z")
    }
}

/// Days since 1970-01-01 to (year, month, day) of the proleptic Gregorian calendar
/// (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

/// A monotonic moment in nanoseconds since an arbitrary origin; ours, so that a simulator can make one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Self;
    /// Saturates.
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displays_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp(1_360_357_200_000).to_string(), "2013-02-08T21:00:00Z");
        assert_eq!(Timestamp(951_782_400_001).to_string(), "2000-02-29T00:00:00.001Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn windows_start_at_or_before_the_moment_also_before_1970() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Timestamp(3_600_001).floor(hour), Timestamp(3_600_000));
        assert_eq!(Timestamp(-1).floor(hour), Timestamp(-3_600_000));
        assert_eq!(Timestamp::MIN.floor(hour), Timestamp::MIN);
        assert_eq!(Timestamp(5).floor(Duration::MAX), Timestamp(0));
    }
}
