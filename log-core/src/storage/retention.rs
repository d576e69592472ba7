//! Which segments may go because they are old or because there is too much.
//!
//! Pure: from what is known of the segments to the new log start offset. Only whole sealed segments go, the oldest first,
//! and none with a record at or above the high watermark, so the log start is always a segment's end.
//!
//! ```text
//!   sealed                                   active
//!   [ 0, 40 ) [ 40, 55 ) [ 55, 90 ) [ 90, … high watermark … )
//!   too old    too old    kept       never goes
//!                         ▲ new log start
//! ```
//! **By time**, a segment's age counts from the earlier of two moments: the latest timestamp of its records, and when it
//! was last appended to by the broker's clock. Producers say what they like: a record dated in the future would keep its
//! segment, and all behind it, for ever if only the first counted; one that is loaded with its history would be kept too
//! long if only the second did.
//!
//! | records dated   | appended | retention 7 d, now        | why                                        |
//! |-----------------|----------|---------------------------|--------------------------------------------|
//! | 8 days ago      | 8 d ago  | goes                      | both are old                               |
//! | 1 day ago       | 1 d ago  | stays                     | both are young                             |
//! | in a year       | 8 d ago  | goes                      | no clock is a year ahead: the append counts |
//! | in a year       | 1 d ago  | stays                     | the append is young                        |
//! | 8 days ago      | today    | goes                      | the user asked for the age of records      |
//! | none            | 8 d ago  | goes                      | the append is all that is known            |
//!
//! **By size**, segments go as long as those that stay, the active one with them, are at least as large as the limit: a
//! partition keeps at least that much, and at most one segment more.

use super::footer::Footer;
use crate::types::{Offset, Timestamp};
use std::time::Duration;

/// What retention and compaction have to know of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentFacts {
    pub(super) base: Offset,
    /// Where the segment behind begins.
    pub(super) next_offset: Offset,
    pub(super) bytes: u64,
    /// The latest of its records; `None` without records.
    pub(super) max_timestamp: Option<Timestamp>,
    /// When its last batch was appended, by the broker's clock.
    pub(super) last_append: Timestamp,
}

impl SegmentFacts {
    /// Those that a footer tells.
    pub(super) fn of(footer: &Footer) -> Self {
        Self {
            base: footer.base_offset(),
            next_offset: footer.next_offset,
            bytes: footer.log_bytes,
            max_timestamp: footer.index.max_timestamp(),
            last_append: footer.last_append,
        }
    }
}

/// How much is kept; `None` is without a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Records are kept at least that long.
    pub time: Option<Duration>,
    /// A partition that is larger loses its oldest segments.
    pub bytes: Option<u64>,
}

/// Where the log should begin, if further on than `log_start_offset`. `sealed` is in order; `active_bytes` is the size
/// of the segment behind it.
pub(super) fn log_start_after(
    sealed: &[SegmentFacts],
    active_bytes: u64,
    retention: Retention,
    log_start_offset: Offset,
    high_watermark: Offset,
    now: Timestamp,
) -> Option<Offset> {
    // What lies below the log start is as good as gone.
    let present = sealed.iter().filter(|segment| segment.next_offset > log_start_offset);
    let mut left: u64 = present.clone().map(|segment| segment.bytes).sum::<u64>() + active_bytes;
    let mut start = None;
    for segment in present.take_while(|segment| segment.next_offset <= high_watermark) {
        let is_old = retention.time.is_some_and(|time| age_from(segment) < now - time);
        let is_too_much = retention.bytes.is_some_and(|bytes| left - segment.bytes >= bytes);
        if !is_old && !is_too_much {
            break;
        }
        left -= segment.bytes;
        start = Some(segment.next_offset);
    }
    start
}

/// The moment that a segment's age counts from.
pub(super) fn age_from(segment: &SegmentFacts) -> Timestamp {
    segment.max_timestamp.map_or(segment.last_append, |latest| latest.min(segment.last_append))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_hours(24);
    const WEEK: Retention = Retention { time: Some(Duration::from_hours(7 * 24)), bytes: None };
    const NOW: Timestamp = Timestamp(1_360_357_200_000);

    fn segment(base: Offset, bytes: u64, max_timestamp: Option<Timestamp>, last_append: Timestamp) -> SegmentFacts {
        SegmentFacts { base, next_offset: base + 10, bytes, max_timestamp, last_append }
    }

    #[test]
    fn the_table_of_ages() {
        let goes = |dated: Option<Timestamp>, appended| {
            log_start_after(&[segment(0, 1, dated, appended)], 1, WEEK, 0, 10, NOW).is_some()
        };
        assert!(goes(Some(NOW - DAY * 8), NOW - DAY * 8));
        assert!(!goes(Some(NOW - DAY), NOW - DAY));
        assert!(goes(Some(NOW + DAY * 365), NOW - DAY * 8), "the future does not pin a log");
        assert!(!goes(Some(NOW + DAY * 365), NOW - DAY));
        assert!(goes(Some(NOW - DAY * 8), NOW));
        assert!(goes(None, NOW - DAY * 8));
        assert!(!goes(None, NOW - DAY));
        assert!(goes(Some(Timestamp::MAX), NOW - DAY * 8));
        assert!(goes(Some(Timestamp::MIN), NOW));
        assert!(!goes(Some(NOW - DAY * 7), NOW), "kept for the time itself");
        assert!(goes(Some(NOW - DAY * 7 - Duration::from_millis(1)), NOW));
        assert!(!goes(Some(NOW), NOW + DAY * 30), "a clock that was set back deletes nothing");
    }

    #[test]
    fn a_young_segment_keeps_those_behind_it() {
        let old = |base| segment(base, 1, Some(NOW - DAY * 30), NOW - DAY * 30);
        let sealed = [old(0), segment(10, 1, Some(NOW), NOW), old(20)];
        assert_eq!(log_start_after(&sealed, 1, WEEK, 0, 30, NOW), Some(10), "only a prefix goes");
        assert_eq!(log_start_after(&sealed[..1], 1, WEEK, 0, 9, NOW), None, "not above the high watermark");
        assert_eq!(log_start_after(&sealed, 1, WEEK, 10, 30, NOW), None, "it is gone already");
        assert_eq!(log_start_after(&sealed, 1, Retention::default(), 0, 30, NOW), None);
        assert_eq!(log_start_after(&[], 1 << 40, WEEK, 0, 0, NOW), None, "the active segment stays");
    }

    #[test]
    fn by_size_at_least_the_limit_stays() {
        let sealed: Vec<_> = (0..4).map(|i| segment(i * 10, 100, Some(NOW), NOW)).collect();
        let start = |bytes, active| {
            let retention = Retention { bytes: Some(bytes), time: None };
            log_start_after(&sealed, active, retention, 0, 40, NOW)
        };
        assert_eq!(start(1, 50), Some(40), "the active segment alone is enough");
        assert_eq!(start(50, 50), Some(40));
        assert_eq!(start(51, 50), Some(30));
        assert_eq!(start(350, 50), Some(10));
        assert_eq!(start(351, 50), None);
        assert_eq!(start(u64::MAX, 50), None);
        let retention = Retention { bytes: Some(250), time: None };
        assert_eq!(log_start_after(&sealed, 50, retention, 10, 40, NOW), Some(20), "of 350 bytes that are there");
    }

    proptest! {
        /// Against the definition: the longest prefix of segments each of which may go.
        #[test]
        fn is_the_longest_prefix_that_may_go(
            sizes in prop::collection::vec((0..50_u64, 0..40_i64, 0..40_i64), 0..8),
            active in 0..60_u64,
            time in prop::option::of(0..30_u64),
            bytes in prop::option::of(0..250_u64),
            log_start in 0..9_i64,
            high_watermark in 0..9_i64,
        ) {
            let day = |n: i64| Timestamp(n * DAY.as_millis() as i64);
            let sealed: Vec<_> = (0_i64..).zip(&sizes)
                .map(|(i, (bytes, dated, appended))| SegmentFacts {
                    base: i, next_offset: i + 1, bytes: *bytes,
                    max_timestamp: (*dated > 0).then(|| day(*dated)), last_append: day(*appended),
                })
                .collect();
            let (now, retention) = (day(40), Retention { time: time.map(|days| DAY * days as u32), bytes });
            let found = log_start_after(&sealed, active, retention, log_start, high_watermark, now);
            let may_go = |i: usize| {
                let behind: u64 = sealed[i + 1..].iter().map(|s| s.bytes).sum::<u64>() + active;
                let from = sealed[i].max_timestamp.unwrap_or(Timestamp::MAX).min(sealed[i].last_append);
                sealed[i].next_offset <= high_watermark
                    && (time.is_some_and(|days| now > from + DAY * days as u32) || bytes.is_some_and(|b| behind >= b))
            };
            let start = (log_start as usize..sealed.len()).take_while(|i| may_go(*i)).last();
            prop_assert_eq!(found, start.map(|i| i as i64 + 1));
        }
    }
}
