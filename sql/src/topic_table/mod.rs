//! A topic as a DataFusion table.
//!
//! [`TopicTable`] plans a scan, [`pushdown`] turns filters on the metadata columns into offset ranges, [`scan`] reads
//! the ranges as Arrow batches, several at a time, and [`latest`] keeps the last record of each key.

mod latest;
mod provider;
mod pushdown;
mod reader;
mod scan;

pub(crate) use latest::LatestFunction;
pub(crate) use provider::{Keep, TopicTable};
pub(crate) use reader::RangeReader;
