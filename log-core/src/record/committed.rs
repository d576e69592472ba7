//! What readers of committed records pass over: the batches of transactions that were aborted (KIP-98).
//!
//! A fetch comes with the aborted transactions that have records in it, by their first offset. A batch belongs to an
//! aborted transaction if its producer has one that began at or before it and whose marker has not come yet:
//!
//! ```text
//!   told:  A from 3            told: A from 3, A from 9
//!   A 3   B 4   A 5   abort A 6   A 7   commit A 8   A 9 …
//!   ──────────────────┘ aborted   └──────────┘ not   └── aborted
//! ```
//! Such a batch is exchanged for an empty one that ends where it did, so that a reader's position passes over it.

use super::batch::{Batch, batches, empty_batch};
use super::{ControlKind, ControlRecord};
use crate::types::{Offset, Result};
use bytes::{Bytes, BytesMut};
use std::collections::BTreeSet;

/// One aborted transaction, as a fetch tells of it (Kafka's `aborted_transactions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose records are not to be read.
    pub producer_id: i64,
    /// From this offset to the next marker of that producer.
    pub first_offset: Offset,
}

/// `fetched` with the batches of transactions that were `aborted`, which are in the order of their first offsets, emptied.
/// Copies nothing when there are none.
///
/// [`Error::Malformed`](crate::types::Error::Malformed) if these are not whole batches.
pub fn committed(fetched: &Bytes, aborted: &[AbortedTransaction]) -> Result<Bytes> {
    if aborted.is_empty() {
        return Ok(fetched.clone());
    }
    let mut to_come = aborted.iter().peekable();
    let mut open = BTreeSet::new();
    let mut kept = BytesMut::with_capacity(fetched.len());
    for batch in batches(fetched.clone()) {
        let Batch { header, bytes } = batch?;
        while let Some(transaction) = to_come.next_if(|transaction| transaction.first_offset <= header.last_offset()) {
            open.insert(transaction.producer_id);
        }
        if header.is_control {
            let marker = ControlRecord::parse(&bytes)?;
            if marker.is_some_and(|marker| !matches!(marker.kind, ControlKind::Other(_))) {
                open.remove(&header.producer_id);
            }
        } else if header.is_transactional && open.contains(&header.producer_id) {
            kept.extend_from_slice(&empty_batch(header.next_offset(), header.leader_epoch, header.max_timestamp));
            continue;
        }
        kept.extend_from_slice(&bytes);
    }
    Ok(kept.freeze())
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, Compression, ProducerStamp, Record, records_at, stamp_offset};
    use super::*;
    use crate::types::Timestamp;
    use proptest::prelude::*;

    fn batch(producer_id: i64, offset: Offset, records: usize) -> Vec<u8> {
        let stamp = ProducerStamp { producer_id, producer_epoch: 0, base_sequence: 0 };
        let mut builder = BatchBuilder::new(Compression::Lz4).stamp(stamp).transactional();
        (0..records).for_each(|_| builder.push(&Record { value: Some("v".into()), ..Record::default() }));
        let mut bytes = builder.finish().to_vec();
        stamp_offset(&mut bytes, offset, 0);
        bytes
    }

    fn marker(producer_id: i64, kind: ControlKind, offset: Offset) -> Vec<u8> {
        let marker = ControlRecord { kind, coordinator_epoch: 0 };
        let mut bytes = marker.to_batch(producer_id, 0, Timestamp(0)).to_vec();
        stamp_offset(&mut bytes, offset, 0);
        bytes
    }

    proptest! {
        /// Transactions of three producers, and a fetch of any part of them.
        #[test]
        fn exactly_the_records_of_aborted_transactions_are_passed_over(
            steps in prop::collection::vec((0..3i64, 0..6u8, 1..4usize), 1..40),
            cut in (0..40usize, 1..40usize),
        ) {
            let (mut log, mut transactions) = (Vec::new(), Vec::<(i64, Offset, Option<(bool, Offset)>)>::new());
            let (mut offset, mut of_record) = (0, Vec::new());
            for (producer, what, records) in steps {
                let open = transactions.iter().rposition(|t| t.0 == producer && t.2.is_none());
                match open {
                    Some(open) if what < 2 => {
                        let aborts = what == 0;
                        transactions[open].2 = Some((aborts, offset));
                        let kind = if aborts { ControlKind::Abort } else { ControlKind::Commit };
                        log.push((offset, marker(producer, kind, offset)));
                        offset += 1;
                    }
                    _ => {
                        let number = open.unwrap_or(transactions.len());
                        if open.is_none() {
                            transactions.push((producer, offset, None));
                        }
                        log.push((offset, batch(producer, offset, records)));
                        of_record.extend((0..records as Offset).map(|i| (offset + i, number)));
                        offset += records as Offset;
                    }
                }
            }
            let from = cut.0.min(log.len());
            let to = (from + cut.1).min(log.len());
            let start = log.get(from).map_or(offset, |(offset, _)| *offset);
            let end = log.get(to).map_or(offset, |(offset, _)| *offset);
            let fetched: Bytes = log[from..to].iter().flat_map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>().into();
            // Those that end in the fetch or behind it.
            let told = transactions.iter().filter(|t| t.2.is_some_and(|(aborts, marker)| aborts && marker >= start));
            let told: Vec<_> = told.map(|t| AbortedTransaction { producer_id: t.0, first_offset: t.1 }).collect();
            let mut position = start;
            let read = records_at(committed(&fetched, &told).unwrap(), &mut position);
            let read: Vec<_> = read.map(|record| record.unwrap().offset).collect();
            let wanted: Vec<_> = (of_record.iter())
                .filter(|(at, number)| (start..end).contains(at) && !transactions[*number].2.is_some_and(|t| t.0))
                .map(|(at, _)| *at)
                .collect();
            prop_assert_eq!(read, wanted);
            prop_assert_eq!(position, end, "the position passes over what is not read");
        }
    }

    #[test]
    fn what_is_no_batch_is_refused_and_nothing_is_copied_without_need() {
        let aborted = [AbortedTransaction { producer_id: 1, first_offset: 0 }];
        assert!(committed(&Bytes::from_static(&[7; 100]), &aborted).is_err());
        let bytes = Bytes::from(batch(1, 0, 2));
        assert_eq!(committed(&bytes, &[]).unwrap().as_ptr(), bytes.as_ptr());
    }
}
