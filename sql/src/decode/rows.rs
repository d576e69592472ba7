//! Records into Arrow record batches: the projected value columns and the columns every topic has.

use super::{Cell, Decoder, Row, raw_text};
use crate::schema::{ColumnType, DECIMAL_PRECISION, META_COLUMNS, Meta, UTC, ValueSchema};
use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Builder, Float32Builder, Float64Builder, Int32Builder, Int64Builder,
    RecordBatch, RecordBatchOptions, StringBuilder, TimestampMillisecondBuilder,
};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use std::sync::Arc;
use tailwater_log::StoredRecord;
use tailwater_log::types::PartitionIndex;

/// Rows of one record batch; DataFusion's own batch size.
pub(crate) const BATCH_ROWS: usize = 8192;
/// A batch ends here also when it has fewer rows. Far below the 2 GiB of text that one Arrow array holds.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// Gathers rows of a projection.
#[derive(Debug)]
pub(crate) struct Rows {
    schema: SchemaRef,
    outputs: Vec<Output>,
    /// `None` when nothing that was asked for depends on the value.
    decoder: Option<Decoder>,
    slots: usize,
    row: Row,
    len: usize,
    bytes: usize,
}

/// One column of the projection.
#[derive(Debug)]
enum Output {
    Value { slot: usize, builder: CellBuilder },
    Partition(Int32Builder),
    Offset(Int64Builder),
    Timestamp(TimestampMillisecondBuilder),
    Key(StringBuilder),
    RawValue(StringBuilder),
    Error(StringBuilder),
}

#[derive(Debug)]
enum CellBuilder {
    Boolean(BooleanBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Decimal(Decimal128Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Timestamp(TimestampMillisecondBuilder),
    Text(StringBuilder),
}

impl Rows {
    /// For `projection`, indexes into the table's columns (value columns, then [`META_COLUMNS`]); `schema` is the
    /// projected one.
    pub(crate) fn new(value: &ValueSchema, projection: &[usize], schema: SchemaRef) -> Self {
        let columns = value.columns.len();
        let meta = |i: usize| META_COLUMNS[i - columns];
        // `_error` tells about every column, so then all are checked; the projected ones keep the first slots.
        let mut wanted: Vec<usize> = projection.iter().copied().filter(|&i| i < columns).collect();
        let asks = |what: Meta| projection.iter().any(|&i| i >= columns && meta(i) == what);
        if asks(Meta::Error) {
            let others: Vec<usize> = (0..columns).filter(|i| !wanted.contains(i)).collect();
            wanted.extend(others);
        }
        let reads_value = !wanted.is_empty() || asks(Meta::Error) || asks(Meta::Value);
        let outputs = projection.iter().map(|&i| {
            if i < columns {
                let slot = wanted.iter().position(|&w| w == i).expect("every projected column is wanted");
                return Output::Value { slot, builder: CellBuilder::new(value.columns[i].column_type) };
            }
            match meta(i) {
                Meta::Partition => Output::Partition(Int32Builder::new()),
                Meta::Offset => Output::Offset(Int64Builder::new()),
                Meta::Timestamp => Output::Timestamp(timestamps()),
                Meta::Key => Output::Key(StringBuilder::new()),
                Meta::Value => Output::RawValue(StringBuilder::new()),
                Meta::Error => Output::Error(StringBuilder::new()),
            }
        });
        Self {
            outputs: outputs.collect(),
            decoder: reads_value.then(|| Decoder::new(value, &wanted)),
            slots: wanted.len(),
            schema,
            row: Row::default(),
            len: 0,
            bytes: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    /// Appends one row.
    pub(crate) fn push(&mut self, partition: PartitionIndex, record: &StoredRecord) {
        self.len += 1;
        self.row.clear(self.slots);
        let mut failure = None;
        let mut shows_raw = false;
        if let (Some(decoder), Some(value)) = (&self.decoder, &record.value) {
            self.bytes += value.len();
            failure = decoder.decode(value, &mut self.row).err();
            shows_raw = failure.is_some() || matches!(decoder, Decoder::Text);
        }
        if failure.is_some() {
            self.row.clear(self.slots);
        }
        self.bytes += record.key.as_ref().map_or(0, |k| k.len());
        for output in &mut self.outputs {
            match output {
                Output::Value { slot, builder } => builder.append(self.row.cells[*slot], &self.row.text),
                // PARTITIONS_MAX is far below 2^31.
                Output::Partition(b) => b.append_value(partition as i32),
                Output::Offset(b) => b.append_value(record.offset),
                Output::Timestamp(b) => b.append_value(record.timestamp.0),
                Output::Key(b) => b.append_option(record.key.as_deref().map(raw_text)),
                Output::RawValue(b) => {
                    b.append_option(record.value.as_deref().filter(|_| shows_raw).map(raw_text));
                }
                Output::Error(b) => b.append_option(failure.as_ref().or(self.row.problem.as_ref())),
            }
        }
    }

    /// The rows so far as a batch; begins anew.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.outputs.iter_mut().map(Output::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.len));
        (self.len, self.bytes) = (0, 0);
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
    }
}

impl Output {
    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Value { builder, .. } => builder.finish(),
            Self::Partition(b) => Arc::new(b.finish()),
            Self::Offset(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Key(b) | Self::RawValue(b) | Self::Error(b) => Arc::new(b.finish()),
        }
    }
}

fn timestamps() -> TimestampMillisecondBuilder {
    TimestampMillisecondBuilder::new().with_timezone(UTC)
}

impl CellBuilder {
    fn new(column: ColumnType) -> Self {
        match column {
            ColumnType::Boolean => Self::Boolean(BooleanBuilder::new()),
            ColumnType::Int32 => Self::Int32(Int32Builder::new()),
            ColumnType::Int64 => Self::Int64(Int64Builder::new()),
            ColumnType::Decimal => Self::Decimal(
                Decimal128Builder::new()
                    .with_precision_and_scale(DECIMAL_PRECISION, 0)
                    .expect("20 digits fit a 128-bit decimal"),
            ),
            ColumnType::Float32 => Self::Float32(Float32Builder::new()),
            ColumnType::Float64 => Self::Float64(Float64Builder::new()),
            ColumnType::Timestamp => Self::Timestamp(timestamps()),
            ColumnType::Text => Self::Text(StringBuilder::new()),
        }
    }

    /// Appends a cell that the decoder made for this column; [`ColumnType::holds_int`] has bounded integers.
    fn append(&mut self, cell: Cell, text: &str) {
        match (self, cell) {
            (Self::Boolean(b), Cell::Bool(v)) => b.append_value(v),
            (Self::Int32(b), Cell::Int(v)) => b.append_value(v as i32),
            (Self::Int64(b), Cell::Int(v)) => b.append_value(v as i64),
            (Self::Decimal(b), Cell::Int(v)) => b.append_value(v),
            (Self::Timestamp(b), Cell::Int(v)) => b.append_value(v as i64),
            (Self::Float32(b), Cell::Float(v)) => b.append_value(v as f32),
            (Self::Float64(b), Cell::Float(v)) => b.append_value(v),
            (Self::Text(b), Cell::Text { start, end }) => b.append_value(&text[start..end]),
            (Self::Boolean(b), _) => b.append_null(),
            (Self::Int32(b), _) => b.append_null(),
            (Self::Int64(b), _) => b.append_null(),
            (Self::Decimal(b), _) => b.append_null(),
            (Self::Float32(b), _) => b.append_null(),
            (Self::Float64(b), _) => b.append_null(),
            (Self::Timestamp(b), _) => b.append_null(),
            (Self::Text(b), _) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Decimal(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
        }
    }
}
