//! `latest('topic')`: a topic read as a table, one row for each key.
//!
//! The last record of each key counts; a key whose last record is a tombstone is gone, and records without a key are
//! no rows. Keys are compared as bytes. A key is looked for in each partition by itself: whoever writes a table
//! chooses the partition by the key. The rows of one partition are held in memory until it is read to its end.

use super::provider::{Keep, TopicTable};
use super::reader::RangeReader;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use tailwater_log::StoredRecord;

/// The last record of each key in the reader's range, in order of offset.
pub(crate) async fn latest_records(reader: &mut RangeReader) -> tailwater_log::Result<Vec<StoredRecord>> {
    let mut last: HashMap<Vec<u8>, StoredRecord> = HashMap::new();
    loop {
        let more = reader.read(|record| {
            if let Some(key) = &record.key {
                match &record.value {
                    // A copy: a slice would hold on to all that was fetched with it.
                    Some(value) => {
                        let key = key.to_vec();
                        let (value, copy) = (Some(value.to_vec().into()), Some(key.clone().into()));
                        last.insert(key, StoredRecord { key: copy, value, headers: Vec::new(), ..record });
                    }
                    None => {
                        last.remove(key.as_ref());
                    }
                }
            }
            ControlFlow::Continue(())
        });
        if !more.await? {
            break;
        }
    }
    let mut records: Vec<StoredRecord> = last.into_values().collect();
    records.sort_unstable_by_key(|record| record.offset);
    Ok(records)
}

/// The table function. Planning cannot wait for a log, so its topics are looked up before.
#[derive(Debug)]
pub(crate) struct LatestFunction {
    pub(crate) tables: HashMap<String, Arc<TopicTable>>,
}

impl LatestFunction {
    pub(crate) const NAME: &str = "latest";
}

impl TableFunctionImpl for LatestFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let [Expr::Literal(ScalarValue::Utf8(Some(topic)), _)] = args.exprs() else {
            return plan_err!("latest takes the name of a topic as text: latest('word-counts')");
        };
        match self.tables.get(topic) {
            Some(table) => Ok(Arc::new(table.keeping(Keep::Latest))),
            None => plan_err!("table '{topic}' not found"),
        }
    }
}
