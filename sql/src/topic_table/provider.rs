//! The table: which filters it takes, and which ranges of offsets a scan reads.

use super::pushdown::{Pushdown, ranges_of};
use super::scan::{Task, TopicScan};
use crate::schema::{Meta, ValueSchema};
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;
use tailwater_log::Log;
use tailwater_log::service::{ListOffsets, TopicDescription};
use tailwater_log::types::{Isolation, OffsetRange, OffsetSpec, Timestamp, TopicName, TopicPartition};

/// Offsets of one task at least: below it, another task costs more than it gives.
const TASK_RECORDS_MIN: u64 = 16 * 1024;
/// Tasks for each stream of a scan, so that a slow one does not keep the others waiting.
const TASKS_PER_STREAM: u64 = 4;

/// Which records of a topic are rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Every record.
    All,
    /// The last record of each key, unless it is a tombstone.
    Latest,
}

/// A topic, cut at the offsets of its statement.
#[derive(Debug)]
pub(crate) struct TopicTable {
    log: Log,
    topic: TopicName,
    /// What is readable, in order of partition.
    cut: Vec<Task>,
    value: Arc<ValueSchema>,
    schema: SchemaRef,
    keep: Keep,
    /// There may be offsets without a record.
    gaps: bool,
}

impl TopicTable {
    pub(crate) fn new(log: &Log, topic: &TopicDescription, value: Arc<ValueSchema>, keep: Keep) -> Self {
        let cut = topic.partitions.iter().map(|p| Task { partition: p.partition, range: p.offsets.committed() });
        Self {
            log: log.clone(),
            topic: topic.name.clone(),
            cut: cut.collect(),
            schema: value.table_schema(),
            value,
            keep,
            gaps: topic.config.cleanup.compacts() || topic.partitions.iter().any(|p| p.has_gaps),
        }
    }

    pub(crate) fn keeping(&self, keep: Keep) -> Self {
        Self {
            log: self.log.clone(),
            topic: self.topic.clone(),
            cut: self.cut.clone(),
            value: Arc::clone(&self.value),
            schema: Arc::clone(&self.schema),
            keep,
            gaps: self.gaps,
        }
    }

    pub(crate) fn value_schema(&self) -> &ValueSchema {
        &self.value
    }

    /// The ranges that the filters leave, in order of partition and offset.
    async fn tasks(&self, pushdown: &Pushdown) -> Result<Vec<Task>> {
        let partitions = self.cut.iter().filter(|task| pushdown.partition.contains(i64::from(task.partition)));
        let mut tasks: Vec<Task> = partitions.copied().collect();
        if self.keep == Keep::Latest {
            return Ok(tasks);
        }
        match pushdown.timestamp.intervals().first() {
            None => tasks.clear(),
            Some(&(earliest, _)) if earliest > i64::MIN => self.skip_older(&mut tasks, Timestamp(earliest)).await?,
            Some(_) => {}
        }
        let kept = tasks.iter().flat_map(|task| {
            pushdown.offset.intervals().iter().map(|&(low, high)| {
                let end = high.saturating_add(1).min(task.range.end);
                Task { partition: task.partition, range: OffsetRange::new(low.max(task.range.start), end) }
            })
        });
        Ok(kept.filter(|task| !task.range.is_empty()).collect())
    }

    /// Begins each range at its first record that is not older than `earliest`.
    async fn skip_older(&self, tasks: &mut [Task], earliest: Timestamp) -> Result<()> {
        let partitions = tasks
            .iter()
            .map(|task| (TopicPartition::new(self.topic.clone(), task.partition), OffsetSpec::At(earliest)));
        let request = ListOffsets { partitions: partitions.collect(), isolation: Isolation::ReadCommitted };
        let listed = self.log.service().list_offsets(request).await;
        let listed = listed.map_err(|e| DataFusionError::External(Box::new(e)))?;
        for task in tasks {
            let found = listed.iter().find(|l| l.partition.partition == task.partition);
            task.range.start = found.map_or(task.range.start, |l| l.offset.max(task.range.start));
        }
        Ok(())
    }
}

/// Cuts large ranges, so that a topic of one partition is read by several streams too.
fn split(tasks: Vec<Task>, streams: usize) -> Vec<Task> {
    let total: u64 = tasks.iter().map(|task| task.range.len()).sum();
    let step = (total / (streams as u64 * TASKS_PER_STREAM)).max(TASK_RECORDS_MIN) as i64;
    let pieces = tasks.into_iter().flat_map(|task| {
        (task.range.start..task.range.end).step_by(step as usize).map(move |start| Task {
            partition: task.partition,
            range: OffsetRange::new(start, start.saturating_add(step).min(task.range.end)),
        })
    });
    pieces.collect()
}

#[async_trait]
impl TableProvider for TopicTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The last record of a key is chosen among all offsets and times of its partition.
        let takes = |meta| self.keep == Keep::All || meta == Meta::Partition;
        let exact = |filter: &&Expr| ranges_of(filter).is_some_and(|(meta, _)| takes(meta));
        Ok(filters
            .iter()
            .map(|filter| match exact(filter) {
                true => TableProviderFilterPushDown::Exact,
                false => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let pushdown = Pushdown::new(filters);
        let mut tasks = self.tasks(&pushdown).await?;
        let mut streams = state.config().target_partitions().max(1);
        if limit.is_some() {
            // The first rows, in order, and no more is read than they need.
            streams = 1;
        } else if self.keep == Keep::All {
            tasks = split(tasks, streams);
        }
        let all = || (0..self.schema.fields().len()).collect();
        let scan = TopicScan::new(
            self.log.clone(),
            self.topic.clone(),
            Arc::clone(&self.value),
            projection.cloned().unwrap_or_else(all),
            tasks,
        )?;
        let scan = scan.keep(self.keep).gaps(self.gaps).timestamps(pushdown.timestamp).limit(limit).streams(streams);
        Ok(DataSourceExec::from_data_source(scan))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_ranges_are_cut_and_small_ones_are_not() {
        let task = |partition, start, end| Task { partition, range: OffsetRange::new(start, end) };
        assert_eq!(split(vec![task(0, 5, 100), task(1, 0, 7)], 4), [task(0, 5, 100), task(1, 0, 7)]);
        let cut = split(vec![task(3, 10, 40_010)], 2);
        assert_eq!(cut, [task(3, 10, 16_394), task(3, 16_394, 32_778), task(3, 32_778, 40_010)]);
        assert!(split(Vec::new(), 2).is_empty());
    }
}
