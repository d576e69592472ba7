//! The scan: streams that take ranges of offsets from one queue and turn them into record batches.
//!
//! A task is a range of one partition, not a partition: whichever stream is free takes the next one, so that neither
//! one large partition nor a slow stream decides how long a statement takes. Memory is bounded by one fetch and one
//! batch for each stream, whatever the size of the topic.

use super::latest::latest_records;
use super::provider::Keep;
use super::pushdown::Ranges;
use super::reader::RangeReader;
use crate::decode::rows::Rows;
use crate::schema::{META_COLUMNS, Meta, ValueSchema};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::config::ConfigOptions;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ColumnStatistics, Result, ScalarValue, Statistics};
use datafusion::datasource::source::{DataSource, OpenArgs};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tailwater_log::types::{OffsetRange, PartitionIndex, TopicName, TopicPartition};
use tailwater_log::{Log, StoredRecord};

/// A range of one partition that one stream reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) partition: PartitionIndex,
    pub(crate) range: OffsetRange,
}

/// What a scan reads and what it makes of it.
#[derive(Clone, Debug)]
pub(crate) struct TopicScan {
    log: Log,
    topic: TopicName,
    value: Arc<ValueSchema>,
    projection: Arc<[usize]>,
    schema: SchemaRef,
    tasks: Arc<[Task]>,
    keep: Keep,
    gaps: bool,
    timestamps: Ranges,
    limit: Option<usize>,
    streams: usize,
}

impl TopicScan {
    /// Every record of `tasks`, in one stream.
    pub(crate) fn new(
        log: Log,
        topic: TopicName,
        value: Arc<ValueSchema>,
        projection: Vec<usize>,
        tasks: Vec<Task>,
    ) -> Result<Self> {
        let schema = Arc::new(value.table_schema().project(&projection)?);
        Ok(Self {
            log,
            topic,
            value,
            projection: projection.into(),
            schema,
            tasks: tasks.into(),
            keep: Keep::All,
            gaps: false,
            timestamps: Ranges::all(),
            limit: None,
            streams: 1,
        })
    }

    pub(crate) fn keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Whether some offsets of the tasks may hold no record.
    pub(crate) fn gaps(self, gaps: bool) -> Self {
        Self { gaps, ..self }
    }

    /// Only records with a timestamp in these ranges.
    pub(crate) fn timestamps(self, timestamps: Ranges) -> Self {
        Self { timestamps, ..self }
    }

    pub(crate) fn limit(self, limit: Option<usize>) -> Self {
        Self { limit, ..self }
    }

    /// Read by up to this many streams at once.
    pub(crate) fn streams(self, streams: usize) -> Self {
        Self { streams: streams.min(self.tasks.len()).max(1), ..self }
    }

    fn stream(&self, next_task: impl FnMut() -> Option<Task> + Send + 'static) -> SendableRecordBatchStream {
        let state = ScanStream {
            rows: Rows::new(&self.value, &self.projection, Arc::clone(&self.schema)),
            remaining: self.limit.unwrap_or(usize::MAX),
            scan: self.clone(),
            next_task: Box::new(next_task),
            reader: None,
            ready: VecDeque::new(),
        };
        let batches =
            stream::try_unfold(state, |mut state| async move { Ok(state.next().await?.map(|batch| (batch, state))) });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }

    /// Whether every offset of the tasks is a row: one record each, none filtered.
    fn is_exact(&self) -> bool {
        self.keep == Keep::All && !self.gaps && self.timestamps.is_all() && self.limit.is_none()
    }

    fn column_statistics(&self, column: usize) -> ColumnStatistics {
        let meta = column.checked_sub(self.value.columns.len()).map(|i| META_COLUMNS[i]);
        let mut statistics = ColumnStatistics::new_unknown();
        if !self.is_exact() || self.tasks.is_empty() {
            return statistics;
        }
        let (low, high): (Option<ScalarValue>, Option<ScalarValue>) = match meta {
            Some(Meta::Offset) => (
                self.tasks.iter().map(|t| t.range.start).min().map(ScalarValue::from),
                self.tasks.iter().map(|t| t.range.end - 1).max().map(ScalarValue::from),
            ),
            Some(Meta::Partition) => (
                self.tasks.iter().map(|t| t.partition as i32).min().map(ScalarValue::from),
                self.tasks.iter().map(|t| t.partition as i32).max().map(ScalarValue::from),
            ),
            _ => return statistics,
        };
        if let (Some(low), Some(high)) = (low, high) {
            statistics.null_count = Precision::Exact(0);
            statistics.min_value = Precision::Exact(low);
            statistics.max_value = Precision::Exact(high);
        }
        statistics
    }
}

impl DataSource for TopicScan {
    fn open(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (tasks, streams) = (Arc::clone(&self.tasks), self.streams);
        let mut mine = partition;
        Ok(self.stream(move || {
            let task = tasks.get(mine).copied();
            mine += streams;
            task
        }))
    }

    fn create_sibling_state(&self, _: &ConfigOptions) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(AtomicUsize::new(0)))
    }

    fn open_with_args(&self, args: OpenArgs) -> Result<SendableRecordBatchStream> {
        let Some(Ok(next)) = args.sibling_state.map(|state| state.downcast::<AtomicUsize>()) else {
            return self.open(args.partition, args.context);
        };
        let tasks = Arc::clone(&self.tasks);
        Ok(self.stream(move || tasks.get(next.fetch_add(1, Ordering::Relaxed)).copied()))
    }

    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records: u64 = self.tasks.iter().map(|t| t.range.len()).sum();
        write!(f, "topic={}, ranges={}, records={records}", self.topic, self.tasks.len())?;
        if self.keep == Keep::Latest {
            write!(f, ", latest")?;
        }
        if !self.timestamps.is_all() {
            write!(f, ", by timestamp")?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        let columns: Vec<&str> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, ", columns=[{}]", columns.join(", "))
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.streams)
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new(Arc::clone(&self.schema))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        // Which stream reads which range is decided when they run.
        if partition.is_some() && self.streams > 1 {
            return Ok(Arc::new(Statistics::new_unknown(&self.schema)));
        }
        let offsets: u64 = self.tasks.iter().map(|t| t.range.len()).sum();
        let rows = usize::try_from(offsets).unwrap_or(usize::MAX);
        Ok(Arc::new(Statistics {
            num_rows: match self.is_exact() {
                true => Precision::Exact(rows),
                false => Precision::Inexact(rows.min(self.limit.unwrap_or(rows))),
            },
            total_byte_size: Precision::Absent,
            column_statistics: self.projection.iter().map(|&column| self.column_statistics(column)).collect(),
        }))
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(self.clone().limit(limit)))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn try_swapping_with_projection(&self, _: &ProjectionExprs) -> Result<Option<Arc<dyn DataSource>>> {
        Ok(None)
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }
}

/// One stream of a scan on its way through the tasks.
struct ScanStream {
    scan: TopicScan,
    next_task: Box<dyn FnMut() -> Option<Task> + Send>,
    reader: Option<RangeReader>,
    rows: Rows,
    ready: VecDeque<RecordBatch>,
    remaining: usize,
}

impl ScanStream {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            if self.remaining > 0 {
                if let Some(mut reader) = self.reader.take() {
                    if self.fill(&mut reader).await? {
                        self.reader = Some(reader);
                    }
                    continue;
                }
                if let Some(task) = (self.next_task)() {
                    let partition = TopicPartition::new(self.scan.topic.clone(), task.partition);
                    self.reader = Some(RangeReader::new(&self.scan.log, partition, task.range));
                    continue;
                }
            }
            return if self.rows.len() > 0 { Ok(Some(self.rows.finish()?)) } else { Ok(None) };
        }
    }

    /// Reads on in one task; says whether there is more of it.
    async fn fill(&mut self, reader: &mut RangeReader) -> Result<bool> {
        let partition = reader.partition().partition;
        let mut failed = Ok(());
        let Self { scan, rows, ready, remaining, .. } = self;
        let mut push = |record: &StoredRecord| {
            if !scan.timestamps.contains(record.timestamp.0) {
                return ControlFlow::Continue(());
            }
            rows.push(partition, record);
            *remaining -= 1;
            if rows.is_full() {
                match rows.finish() {
                    Ok(batch) => ready.push_back(batch),
                    Err(e) => failed = Err(e),
                }
            }
            if *remaining == 0 || failed.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let more = match scan.keep {
            Keep::All => reader.read(|record| push(&record)).await.map_err(log_error)?,
            Keep::Latest => {
                let _ = latest_records(reader).await.map_err(log_error)?.iter().try_for_each(&mut push);
                false
            }
        };
        failed?;
        Ok(more)
    }
}

fn log_error(error: tailwater_log::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
