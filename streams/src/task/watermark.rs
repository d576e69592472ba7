//! How far event time has come: per partition, per input, per task.
//!
//! A partition's watermark is the highest time seen in it less the source's disorder. An input's watermark is its
//! partition's, or for a repartition topic the least of what the writing tasks last announced; a writer that never
//! announced holds it at the beginning of time. The task's is the least of the inputs that are not *idle*.
//!
//! Idle is proven, never timed: a partition is idle when its position is the high watermark that was observed after
//! the data being processed now was fetched, so nothing older is waiting in it. When every input is idle the task has
//! seen all there is, nobody holds anybody back, and its watermark is the highest of them: what a bounded run comes to
//! does not depend on which input was read first. A watermark never goes back.

use super::hop::Announcement;
use crate::Watermarks;
use std::time::Duration;
use tailwater_log::Timestamp;

/// The watermark of one source partition.
#[derive(Clone, Debug)]
pub(crate) struct PartitionClock {
    follows: Watermarks,
    disorder: Duration,
    pub(crate) watermark: Timestamp,
}

impl PartitionClock {
    pub(crate) const fn new(follows: Watermarks, disorder: Duration) -> Self {
        Self { follows, disorder, watermark: Timestamp::MIN }
    }

    /// Takes note of a record; its stamp is the watermark with it.
    pub(crate) fn observe(&mut self, event: Timestamp, record: Timestamp) -> Timestamp {
        let time = match self.follows {
            Watermarks::EventTime => event,
            Watermarks::RecordTime => record,
        };
        self.watermark = self.watermark.max(time - self.disorder);
        self.watermark
    }
}

/// What the tasks that write a repartition topic last announced. Not part of a commit: a job restarts as a whole, every
/// task announces again at its first commit, and until then the reader's own watermark, which is, stays where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writers(Vec<Option<(Timestamp, bool)>>);

impl Writers {
    pub(crate) fn new(tasks: u32) -> Self {
        Self(vec![None; tasks as usize])
    }

    pub(crate) fn announce(&mut self, said: &Announcement) {
        // A task that restarts may announce less than before; what it said holds.
        if let Some(writer) = self.0.get_mut(said.task as usize) {
            let known = writer.map_or(Timestamp::MIN, |(watermark, _)| watermark);
            *writer = Some((known.max(said.watermark), said.idle));
        }
    }

    /// The input's watermark and whether it is idle.
    pub(crate) fn combined(&self) -> (Timestamp, bool) {
        combine(self.0.iter().map(|writer| writer.unwrap_or((Timestamp::MIN, false))))
    }
}

/// The watermark of several parts, each with whether it is idle, and whether all are.
pub(crate) fn combine(parts: impl Iterator<Item = (Timestamp, bool)> + Clone) -> (Timestamp, bool) {
    match parts.clone().filter(|(_, idle)| !idle).map(|(watermark, _)| watermark).min() {
        Some(watermark) => (watermark, false),
        None => (parts.map(|(watermark, _)| watermark).max().unwrap_or(Timestamp::MIN), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_never_announced_holds_time_still() {
        let mut writers = Writers::new(2);
        let said = |task, idle, watermark| Announcement { task, idle, watermark: Timestamp(watermark) };
        writers.announce(&said(0, false, 100));
        assert_eq!(writers.combined(), (Timestamp::MIN, false));
        writers.announce(&said(1, false, 50));
        assert_eq!(writers.combined(), (Timestamp(50), false));
        writers.announce(&said(1, true, 50));
        assert_eq!(writers.combined(), (Timestamp(100), false));
        writers.announce(&said(0, true, 90));
        assert_eq!(writers.combined(), (Timestamp(100), true));
    }

    #[test]
    fn disorder_holds_a_partition_back_and_its_watermark_never_falls() {
        let mut clock = PartitionClock::new(Watermarks::EventTime, Duration::from_millis(10));
        assert_eq!(clock.observe(Timestamp(100), Timestamp(5)), Timestamp(90));
        assert_eq!(clock.observe(Timestamp(20), Timestamp(500)), Timestamp(90));
        let mut clock = PartitionClock::new(Watermarks::RecordTime, Duration::ZERO);
        assert_eq!(clock.observe(Timestamp(100), Timestamp(5)), Timestamp(5));
    }
}
