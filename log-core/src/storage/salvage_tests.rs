//! Salvage against what was written: what is kept is that, and only batches that were harmed are lost.

use super::*;
use crate::env::{Disk, OpenMode, SimDisk};
use crate::record::{BatchBuilder, Compression, Record, stamp_offset};
use crate::types::Timestamp;
use proptest::prelude::*;
use std::io::IoSlice;
use std::path::Path;

const BASE: Offset = 100;

/// A segment of batches with so many records each, and its footer.
fn segment(records: &[u8], gaps: bool) -> (Vec<u8>, Footer, Vec<Place>) {
    let mut footer = Footer::new(BASE, u32::from(gaps), Timestamp(1));
    let (mut bytes, mut places, mut offset) = (Vec::new(), Vec::new(), BASE);
    for (n, records) in records.iter().enumerate() {
        let mut builder = BatchBuilder::new(Compression::None);
        for record in 0..*records {
            let value = Some(bytes::Bytes::from(format!("{n}.{record}").repeat(10)));
            builder.push(&Record { value, timestamp: Timestamp(5), ..Record::default() });
        }
        let mut batch = builder.finish().to_vec();
        stamp_offset(&mut batch, offset, 3);
        let header = BatchHeader::parse(&batch).unwrap().unwrap();
        places.push(Place { offset, position: bytes.len() as u64 });
        footer.push(bytes.len() as u64, &header, batch.first_chunk().unwrap(), Some(Timestamp(1)));
        offset = header.next_offset() + if gaps && n % 2 == 0 { 5 } else { 0 };
        bytes.extend(batch);
    }
    footer.epochs = vec![(3, 0)];
    places.push(Place { offset: footer.next_offset, position: bytes.len() as u64 });
    (bytes, footer, places)
}

fn file_of(bytes: &[u8]) -> Arc<dyn File> {
    let file = SimDisk::default().open(Path::new("/segment"), OpenMode::CreateNew).unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    file
}

/// The batches of the runs, by offset.
fn kept(salvaged: &Salvaged, bytes: &[u8]) -> Vec<(Offset, Vec<u8>)> {
    let mut kept = Vec::new();
    for run in &salvaged.runs {
        let file = bytes.get(run.from.position as usize..run.to.position as usize);
        let mut rest = run.restored.as_deref().or(file).unwrap();
        let mut first = run.from.offset;
        while !rest.is_empty() {
            let header = BatchHeader::parse(rest).unwrap().unwrap();
            assert!(header.base_offset >= first);
            kept.push((header.base_offset, rest[..header.total_bytes()].to_vec()));
            rest = &rest[header.total_bytes()..];
            first = header.next_offset();
        }
        assert!(first <= run.to.offset);
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_was_written_and_what_was_not_harmed_is_kept(
        records in prop::collection::vec(1..5u8, 1..40),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u32), 0..4),
        with_footer: bool,
        gaps: bool,
    ) {
        let (intact, footer, places) = segment(&records, gaps && with_footer);
        let mut bytes = intact.clone();
        let mut harmed = std::collections::BTreeSet::new();
        for (at, bit) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            harmed.insert(places.partition_point(|place| place.position <= at as u64) - 1);
        }
        let harmed: Vec<_> = harmed.into_iter().filter(|&n| {
            let (from, to) = (places[n].position as usize, places[n + 1].position as usize);
            bytes[from..to] != intact[from..to]
        }).collect();
        let known = with_footer.then(|| Arc::new(footer.clone()));
        let salvaged = salvage(&file_of(&bytes), BASE, footer.generation, bytes.len() as u64, known, Some(footer.next_offset));
        let only_epochs = |n: usize| {
            let (from, to) = (places[n].position as usize, places[n + 1].position as usize);
            (from..to).all(|at| bytes[at] == intact[at] || (at - from) / 4 == 3)
        };
        // Without a footer an epoch that is wrong may be in order.
        let is_certain = with_footer || !harmed.iter().copied().all(only_epochs);
        prop_assert!(salvaged.damages.is_empty() == harmed.is_empty() || !is_certain);
        let kept = kept(&salvaged, &bytes);
        for (n, place) in places[..records.len()].iter().enumerate() {
            let (from, to) = (place.position as usize, places[n + 1].position as usize);
            let found = kept.iter().find(|(offset, _)| *offset == place.offset);
            if let Some((_, batch)) = found {
                // Without a footer, or with several wrong heads in a block, nothing but the order of epochs tells that one
                // is wrong.
                let may_differ = only_epochs(n) && (!with_footer || flips.len() > 1);
                prop_assert!(batch == &intact[from..to] || may_differ, "batch {} is another", n);
            }
            let lonely = |n: usize| harmed.iter().any(|h| h.abs_diff(n) <= 2 || gaps && with_footer);
            let must = if with_footer && !gaps && flips.len() <= 1 { !harmed.contains(&n) } else { !lonely(n) };
            prop_assert!(found.is_some() || !must, "batch {} is lost, harmed are {:?}", n, harmed);
            let lost = salvaged.losses.iter().any(|loss| loss.offsets.contains(place.offset));
            prop_assert_eq!(found.is_none(), lost, "batch {} of {:?}", n, &salvaged.losses);
        }
        prop_assert!(kept.iter().all(|(offset, _)| places.iter().any(|place| place.offset == *offset)));
    }
}

#[test]
fn a_head_that_is_wrong_is_restored_and_proven() {
    let (intact, footer, places) = segment(&[2; 30], false);
    for byte in 0..BATCH_HEAD_BYTES as u64 {
        let mut bytes = intact.clone();
        bytes[(places[17].position + byte) as usize] ^= 4;
        let salvaged = salvage(&file_of(&bytes), BASE, 0, bytes.len() as u64, Some(Arc::new(footer.clone())), None);
        assert_eq!(salvaged.damages.len(), 1, "byte {byte}");
        // A length that is wrong leads nowhere, but the batches around are there.
        let expected = if (8..12).contains(&byte) { 1 } else { 0 };
        assert_eq!(salvaged.losses.len(), expected, "byte {byte}: {:?}", salvaged.losses);
        let lost = salvaged.losses.first().map_or(OffsetRange::new(0, 0), |loss| loss.offsets);
        assert!(lost.is_empty() || lost == OffsetRange::new(places[17].offset, places[18].offset), "{lost}");
    }
}

#[test]
fn bytes_of_a_client_are_not_taken_for_a_batch() {
    // A batch in the value of a record, which claims a later offset; the batch around it is damaged.
    let inner = segment(&[1], false).0;
    let mut builder = BatchBuilder::new(Compression::None);
    let value = Some(bytes::Bytes::from(inner));
    builder.push(&Record { value, timestamp: Timestamp(5), ..Record::default() });
    let mut bytes = builder.finish().to_vec();
    stamp_offset(&mut bytes, 50, 0);
    let mut next = segment(&[1], false).0;
    stamp_offset(&mut next, 51, 0);
    let first = bytes.len();
    bytes.extend(next);
    bytes[first - 1] ^= 1;
    for length in [0, 1] {
        bytes[11] ^= length;
        let salvaged = salvage(&file_of(&bytes), 50, 0, bytes.len() as u64, None, Some(52));
        let offsets: Vec<_> = kept(&salvaged, &bytes).into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(offsets, [51], "with the length wrong: {length}");
        assert_eq!(salvaged.losses.iter().map(|loss| loss.offsets).collect::<Vec<_>>(), [OffsetRange::new(50, 51)]);
    }
}
