//! Damage of all kinds, and what is said of it.

use super::*;
use crate::env::{Disk, OpenMode, SimDisk};
use crate::storage::index::Index;
use crate::storage::index::tests::{BASE, Known, index_of, segment, shapes};
use crate::types::Timestamp;
use proptest::prelude::*;
use std::io::IoSlice;
use std::path::Path;

fn footer_of(index: Index, batches: &[Known], log_bytes: u64, generation: u32) -> Footer {
    let next_offset = batches.last().map_or(BASE, |last| last.header.next_offset());
    let (first_append, last_append) = (Timestamp(1), Timestamp(2));
    Footer { index, generation, next_offset, log_bytes, first_append, last_append, epochs: vec![], aborted: vec![] }
}

/// A segment that was rewritten if it has gaps: its bytes and its footer.
fn sealed(shapes: &[(usize, i64, i64)]) -> (Vec<u8>, Arc<Footer>, Vec<Known>) {
    let (batches, len) = segment(shapes);
    let generation = u32::from(shapes.iter().any(|(_, gap, _)| *gap > 0));
    let footer = footer_of(index_of(&batches), &batches, len, generation);
    assert_eq!(Footer::decode(&footer.encode()).as_ref(), Ok(&footer));
    (batches.iter().flat_map(|b| b.batch.clone()).collect(), Arc::new(footer), batches)
}

fn file(bytes: &[u8]) -> Arc<dyn File> {
    let disk = SimDisk::default();
    disk.create_dir_all(Path::new("/d")).unwrap();
    let file = disk.open(Path::new("/d/segment"), OpenMode::CreateNew).unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    file
}

fn damages(bytes: &[u8], footer: &Arc<Footer>) -> Vec<Damage> {
    verify_segment(file(bytes), footer.clone())
}

/// Five blocks of small batches.
fn five_blocks() -> Vec<(usize, i64, i64)> {
    (0..50).map(|n| (3000 + n as usize, 0, n % 7)).collect()
}

#[test]
fn every_flipped_bit_is_found_where_it_is() {
    for gap in [0, 3] {
        let (bytes, footer, _) = sealed(&[(20, 0, 1), (1, gap, 5), (33, gap, 2)]);
        assert_eq!(damages(&bytes, &footer), []);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let found = damages(&flipped, &footer);
                let [Damage { from, to, .. }] = &found[..] else { panic!("bit {bit} of byte {at}: {found:?}") };
                assert!((from.position..to.position).contains(&(at as u64)), "bit {bit} of byte {at}: {found:?}");
            }
        }
    }
}

#[test]
fn a_wrong_batch_costs_no_other_batch() {
    let (mut bytes, footer, batches) = sealed(&five_blocks());
    let place = |n: usize| Place { offset: batches[n].header.base_offset, position: batches[n].position };
    for n in [3, 5, 30] {
        bytes[batches[n].position as usize + 100] ^= 1;
    }
    let found: Vec<_> = damages(&bytes, &footer).into_iter().map(|d| (d.from, d.to)).collect();
    assert_eq!(found, [(place(3), place(6)), (place(30), place(31))]);
    // Also when the batch lies about how many offsets it has.
    let (mut bytes, footer, batches) = sealed(&[(20, 0, 1), (20, 5, 1), (20, 5, 1), (20, 5, 1), (20, 0, 1)]);
    let place = |n: usize| Place { offset: batches[n].header.base_offset, position: batches[n].position };
    bytes[batches[1].position as usize + 26] ^= 1;
    bytes[batches[4].position as usize + 70] ^= 1;
    let found = damages(&bytes, &footer);
    let end = Place { offset: footer.next_offset, position: footer.log_bytes };
    assert_eq!((found.len(), found[0].from, found[0].to), (1, place(1), end));
    bytes[batches[4].position as usize + 70] ^= 1;
    let found = damages(&bytes, &footer);
    assert_eq!((found.len(), found[0].from, found[0].to), (1, place(1), place(2)));
    // A sector that is gone takes with it what cannot be told apart behind it.
    let (mut bytes, footer, batches) = sealed(&five_blocks());
    let place = |n: usize| Place { offset: batches[n].header.base_offset, position: batches[n].position };
    let (start, end) = (batches[24].position as usize, batches[25].position as usize + 61);
    bytes[start..end].fill(0);
    let found: Vec<_> = damages(&bytes, &footer).into_iter().map(|d| (d.from, d.to)).collect();
    let block = footer.index.blocks(footer.log_bytes).find(|b| b.place.position > start as u64).unwrap();
    assert_eq!(found, [(place(24), block.place)]);
    // An epoch that may be of any batch takes the block.
    let (mut bytes, footer, _) = sealed(&five_blocks());
    bytes[batches[24].position as usize + 15] ^= 1;
    let found: Vec<_> = damages(&bytes, &footer).into_iter().map(|d| (d.from, d.to)).collect();
    assert_eq!(found, [(footer.index.floor(place(24).offset), block.place)]);
}

#[test]
fn an_offset_that_hides_in_a_gap_takes_the_block() {
    let (mut bytes, footer, batches) = sealed(&[(20, 0, 1), (20, 5, 1), (20, 0, 1), (20, 200, 1)]);
    // The second batch claims to lie behind the third, which then seems to be the wrong one.
    let moved = batches[1].header.base_offset + 100;
    bytes[batches[1].position as usize..][..8].copy_from_slice(&moved.to_be_bytes());
    let found = damages(&bytes, &footer);
    assert_eq!(
        (found.len(), found[0].from, found[0].to.offset),
        (1, Place { offset: BASE, position: 0 }, footer.next_offset)
    );
}

#[test]
fn a_segment_has_the_length_that_it_had() {
    let (bytes, footer, batches) = sealed(&five_blocks());
    let end = Place { offset: footer.next_offset, position: footer.log_bytes };
    let longer = damages(&[&bytes[..], &[0; 5]].concat(), &footer);
    assert_eq!(longer, [Damage { from: end, to: end, why: "5 bytes follow the end of the segment".into() }]);
    for missing in [1, 3000, 3200, bytes.len()] {
        let shorter = damages(&bytes[..bytes.len() - missing], &footer);
        assert_eq!(shorter.last().unwrap().to, end, "{missing} bytes");
        assert!(shorter[0].from.position <= (bytes.len() - missing) as u64);
    }
    let (last, cut) = (batches.last().unwrap(), damages(&bytes[..bytes.len() - 1], &footer));
    assert_eq!((cut.len(), cut[0].from.position), (1, last.position));
    let (_, empty, _) = sealed(&[]);
    assert_eq!(damages(&[], &empty), []);
    assert_eq!(damages(&[1], &empty).len(), 1);
}

#[test]
fn an_index_that_is_wrong_is_noticed() {
    let (bytes, good, batches) = sealed(&five_blocks());
    let rebuilt = |change: &dyn Fn(usize, &mut Known)| {
        let mut changed = batches.clone();
        changed.iter_mut().enumerate().for_each(|(n, batch)| change(n, batch));
        damages(&bytes, &Arc::new(footer_of(index_of(&changed), &batches, good.log_bytes, 0)))
    };
    assert_eq!(rebuilt(&|_, _| {}), []);
    assert!(!rebuilt(&|n, batch| batch.position += u64::from(n > 0)).is_empty());
    assert!(!rebuilt(&|n, batch| batch.header.base_offset += i64::from(n > 0)).is_empty());
    assert!(!rebuilt(&|_, batch| batch.header.max_timestamp.0 += 1).is_empty());
    assert!(!rebuilt(&|n, batch| batch.head[0] ^= u8::from(n == 40)).is_empty());
    let next_offset = Arc::new(Footer { next_offset: good.next_offset + 1, ..(*good).clone() });
    assert_eq!(damages(&bytes, &next_offset).len(), 1);
}

#[test]
fn small_steps_come_to_the_same_end() {
    let (mut bytes, footer, _) = sealed(&five_blocks());
    let sound = {
        let mut verifier = Verifier::new(file(&bytes), footer.clone());
        let steps: Vec<_> = std::iter::from_fn(|| Some(verifier.step(40_000).unwrap())).take(6).collect();
        assert!(steps.iter().take(4).all(|step| !step.done && step.bytes > 0), "{steps:?}");
        assert_eq!(steps[5], Progress { bytes: 0, done: true });
        steps.iter().map(|step| step.bytes).sum::<u64>()
    };
    assert_eq!(sound, footer.log_bytes);
    bytes[50_000] ^= 1;
    let mut verifier = Verifier::new(file(&bytes), footer.clone());
    let (mut wrong, mut right) = (0, 0);
    loop {
        match verifier.step(0) {
            Ok(Progress { bytes, done }) => {
                right += bytes;
                if done {
                    break;
                }
            }
            Err(_) => wrong += 1,
        }
    }
    let block = footer.index.blocks(footer.log_bytes).nth(1).unwrap();
    assert_eq!((wrong, right), (1, footer.log_bytes - (block.end_position - block.place.position)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_that_is_wrong_is_reported_once_and_in_order(
        shapes in shapes(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..70usize, 0..8u8), 0..4),
    ) {
        let (good, footer, batches) = sealed(&shapes);
        prop_assert_eq!(damages(&good, &footer), []);
        if good.is_empty() {
            return Ok(());
        }
        let mut bytes = good.clone();
        // Mostly in headers.
        for (batch, at, bit) in flips {
            let at = batch.get(&batches).position as usize + at;
            bytes[at.min(good.len() - 1)] ^= 1 << bit;
        }
        // In front of a batch that cannot be read, a leader epoch is not certain.
        let is_epoch = |at: usize| {
            let batch = batches.iter().rfind(|batch| batch.position as usize <= at).unwrap();
            footer.generation == 0 && (12..16).contains(&(at - batch.position as usize))
        };
        let found = damages(&bytes, &footer);
        for at in (0..good.len()).filter(|at| good[*at] != bytes[*at]) {
            let holds = |d: &&Damage| (d.from.position..d.to.position).contains(&(at as u64));
            let count = found.iter().filter(holds).count();
            prop_assert!(count == 1 || (count == 0 && is_epoch(at)), "byte {}: {:?}", at, found);
        }
        prop_assert_eq!(found.is_empty(), good == bytes);
        prop_assert!(found.windows(2).all(|pair| pair[0].to.position <= pair[1].from.position));
        prop_assert!(found.iter().all(|d| d.from.offset < d.to.offset));
    }
}
