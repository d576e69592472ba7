//! What a task commits: one epoch on its changelog partition.
//!
//! ```text
//!   key                                        value
//!   0 │ epoch u64                              —            begin
//!   1 │ n u8 │ store name (n bytes) │ row key  row, or no value when the row was removed
//!   …                                                       each row that changed, once
//!   2 │ epoch u64                              Commit, as bincode
//! ```
//! A reader buffers rows from `begin` and applies them at `commit`; a second `begin` throws away what a crash cut
//! short. So the state that is read back, and the input positions in the same commit, are one consistent cut, however
//! many batches an epoch took. Integers in keys are big-endian.

use crate::state::{Row, Stores};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tailwater_log::codec::{from_bincode, to_bincode};
use tailwater_log::{DecodeError, Offset, Record, Timestamp, TopicId};

const BEGIN: u8 = 0;
const ROW: u8 = 1;
const COMMIT: u8 = 2;

/// Where a task is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) epoch: u64,
    /// The task's watermark.
    pub(crate) watermark: i64,
    pub(crate) inputs: Vec<InputCommit>,
}

/// Where a task is on one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InputCommit {
    pub(crate) topic_id: TopicId,
    /// The next offset to process.
    pub(crate) position: Offset,
    /// The partition's watermark.
    pub(crate) watermark: i64,
    /// For a repartition topic, the last record seen of each source.
    pub(crate) repeats: Vec<(u64, Offset, u32)>,
}

fn key(kind: u8, rest: &[&[u8]]) -> Option<Bytes> {
    let mut key = vec![kind];
    for part in rest {
        key.extend_from_slice(part);
    }
    Some(key.into())
}

/// The records of one epoch.
pub(crate) fn records(commit: &Commit, rows: Vec<(&str, Row)>, timestamp: Timestamp) -> Vec<Record> {
    let epoch = commit.epoch.to_be_bytes();
    let record = |key, value| Record { key, value, timestamp, headers: Vec::new() };
    let mut records = vec![record(key(BEGIN, &[&epoch]), None)];
    for (store, (row_key, row)) in rows {
        let length = u8::try_from(store.len()).expect("store names have at most 100 bytes");
        records.push(record(key(ROW, &[&[length], store.as_bytes(), &row_key]), row));
    }
    let mut value = Vec::new();
    to_bincode(commit, &mut value);
    records.push(record(key(COMMIT, &[&epoch]), Some(value.into())));
    records
}

/// Reads a changelog back, record by record.
#[derive(Default)]
pub(crate) struct Restore {
    open: Vec<(Bytes, Option<Bytes>)>,
    /// The last commit.
    pub(crate) commit: Option<Commit>,
}

impl Restore {
    /// Takes the next record of the changelog and applies an epoch when it is complete.
    pub(crate) fn record(
        &mut self,
        key: Option<Bytes>,
        value: Option<Bytes>,
        stores: &mut Stores,
    ) -> Result<(), DecodeError> {
        let bad = |why: &str| DecodeError { why: why.into() };
        let key = key.ok_or_else(|| bad("a record has no key"))?;
        match key.first() {
            Some(&BEGIN) => self.open.clear(),
            Some(&ROW) => self.open.push((key.slice(1..), value)),
            Some(&COMMIT) => {
                for (key, value) in self.open.drain(..) {
                    let (name, row_key) = split_row(&key).ok_or_else(|| bad("a row has no store"))?;
                    stores
                        .restore(name, row_key, value.as_deref())
                        .map_err(|e| bad(&format!("a row of store `{name}`: {}", e.why)))?;
                }
                self.commit = Some(from_bincode(&value.unwrap_or_default())?);
            }
            _ => return Err(bad("a record is neither begin, row nor commit")),
        }
        Ok(())
    }
}

fn split_row(key: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = key.split_first()?;
    let (name, row_key) = rest.split_at_checked(length as usize)?;
    Some((std::str::from_utf8(name).ok()?, row_key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u64, rows: &[(&str, u64)]) -> Vec<Record> {
        let commit = Commit { epoch: number, ..Commit::default() };
        let rows = rows.iter().map(|(k, v)| ("counts", (k.as_bytes().to_vec(), Some(v.to_string().into()))));
        records(&commit, rows.collect(), Timestamp(0))
    }

    fn read_back(log: &[Record]) -> (Option<Commit>, Vec<(String, u64)>) {
        let mut stores = Stores::default();
        let index = stores.add::<String, u64>("counts", true);
        let mut restore = Restore::default();
        for r in log {
            restore.record(r.key.clone(), r.value.clone(), &mut stores).unwrap();
        }
        let handle = stores.handle::<String, u64>(index);
        let table = stores.table(&handle);
        let rows = std::iter::from_fn(|| table.pop_first_if(|_| true)).collect();
        (restore.commit, rows)
    }

    #[test]
    fn wherever_a_crash_cuts_the_log_whole_epochs_come_back() {
        let first = epoch(1, &[("a", 1), ("b", 1)]);
        let second = epoch(2, &[("a", 2), ("c", 9)]);
        let again = epoch(2, &[("a", 3)]);
        for cut in 0..=second.len() {
            let mut log = first.clone();
            log.extend_from_slice(&second[..cut]);
            let (commit, rows) = read_back(&log);
            let whole = cut == second.len();
            assert_eq!(commit.unwrap().epoch, if whole { 2 } else { 1 });
            let rows: Vec<_> = rows.iter().map(|(k, v)| (k.as_str(), *v)).collect();
            assert_eq!(rows, if whole { vec![("a", 2), ("b", 1), ("c", 9)] } else { vec![("a", 1), ("b", 1)] });
            if !whole {
                // The restarted task writes its next epoch after the torn one.
                log.extend_from_slice(&again);
                assert_eq!(read_back(&log).1, [("a".to_string(), 3), ("b".to_string(), 1)]);
            }
        }
    }
}
