//! How far the tasks of an app are.

use tailwater_log::{Offset, Timestamp, TopicPartition};

/// How far one task is, as of its last commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskProgress {
    /// `sub-topology/partition`.
    pub task: String,
    /// Its inputs, tables first.
    pub inputs: Vec<InputProgress>,
    /// The event time up to which windows have been closed; `None` before the first record.
    pub watermark: Option<Timestamp>,
    /// Records processed since the app started.
    pub records_in: u64,
    /// Records written to the job's sink topics since the app started.
    pub records_out: u64,
    /// Records that came too late for their window since the app started.
    pub late: u64,
    /// Records that were left out since the app started: undecodable ones that the source's policy skips or
    /// dead-letters, and records without a value in a stream.
    pub skipped: u64,
    /// Rows of all stores.
    pub state_rows: u64,
    /// Bytes of all stores as they are written to the changelog.
    pub state_bytes: u64,
    /// Commits since the app started.
    pub commits: u64,
    /// Whether the task has seen all there was when it committed.
    pub idle: bool,
}

/// How far a task is on one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputProgress {
    /// The partition it reads.
    pub partition: TopicPartition,
    /// The next offset to process, committed.
    pub position: Offset,
    /// The high watermark as last observed.
    pub high_watermark: Offset,
}

impl InputProgress {
    /// Records between the position and the high watermark.
    pub fn lag(&self) -> u64 {
        u64::try_from(self.high_watermark - self.position).unwrap_or(0)
    }
}

impl TaskProgress {
    /// The lag of all inputs together.
    pub fn lag(&self) -> u64 {
        self.inputs.iter().map(InputProgress::lag).sum()
    }

    /// Whether the task has committed everything below `targets` and told those behind it: at the end of the log a
    /// task tells once more, that it is idle.
    pub(crate) fn has_reached(&self, targets: &[(TopicPartition, Offset)]) -> bool {
        let position = |wanted: &TopicPartition| {
            self.inputs.iter().find(|input| input.partition == *wanted).map_or(-1, |input| input.position)
        };
        self.commits > 0
            && targets.iter().all(|(partition, target)| position(partition) >= *target)
            && (self.idle || targets.iter().any(|(partition, target)| position(partition) > *target))
    }
}
