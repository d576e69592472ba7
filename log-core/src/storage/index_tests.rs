//! Lookups against a search of all batches.

use super::*;
use crate::record::{BatchBuilder, Compression, Record, crc32c, stamp_offset};
use bytes::Bytes;
use proptest::prelude::*;

pub(in crate::storage) const BASE: Offset = 1000;

/// A batch as it lies in a log.
#[derive(Clone, Debug)]
pub(in crate::storage) struct Known {
    pub(in crate::storage) position: u64,
    pub(in crate::storage) header: BatchHeader,
    pub(in crate::storage) batch: Vec<u8>,
    pub(in crate::storage) head: [u8; BATCH_HEAD_BYTES],
}

/// Batches of `(bytes of value, offsets skipped before it, timestamp)`, and the segment's length.
pub(in crate::storage) fn segment(shapes: &[(usize, i64, i64)]) -> (Vec<Known>, u64) {
    let (mut batches, mut position, mut offset) = (Vec::new(), 0, BASE);
    for (bytes, gap, at) in shapes {
        let mut builder = BatchBuilder::new(Compression::None);
        let value = Some(Bytes::from(vec![b'x'; *bytes]));
        builder.push(&Record { value, timestamp: Timestamp(*at), ..Record::default() });
        let mut batch = builder.finish().to_vec();
        offset += gap;
        stamp_offset(&mut batch, offset, 3);
        let header = BatchHeader::parse(&batch).unwrap().unwrap();
        (position, offset) = (position + batch.len() as u64, header.next_offset());
        let at = position - batch.len() as u64;
        batches.push(Known { position: at, header, head: *batch.first_chunk().unwrap(), batch });
    }
    (batches, position)
}

pub(in crate::storage) fn index_of(batches: &[Known]) -> Index {
    let mut index = Index::new(BASE);
    batches.iter().for_each(|batch| index.push(batch.position, &batch.header, &batch.head));
    index
}

pub(in crate::storage) fn shapes() -> impl Strategy<Value = Vec<(usize, i64, i64)>> {
    let bytes = prop_oneof![3 => 1..9000usize, 1 => 30_000..70_000usize];
    prop::collection::vec((bytes, prop_oneof![3 => Just(0), 1 => 1..5i64], -1..30i64), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lookups_are_those_of_a_search(shapes in shapes()) {
        let (batches, len) = segment(&shapes);
        let index = index_of(&batches);
        let place = |b: &Known| Place { offset: b.header.base_offset, position: b.position };

        // The blocks, by the definition: one begins with the first batch that is a step or more behind the last one.
        let mut blocks: Vec<Vec<&Known>> = Vec::new();
        for batch in &batches {
            match blocks.last_mut() {
                Some(block) if batch.position - block[0].position < u64::from(limits::INDEX_STEP_BYTES) => {
                    block.push(batch);
                }
                _ => blocks.push(vec![batch]),
            }
        }
        let mut max_timestamp = Timestamp::MIN;
        let found: Vec<Block> = index.blocks(len).collect();
        prop_assert_eq!(found.len(), blocks.len());
        for (number, block) in blocks.iter().enumerate() {
            max_timestamp = block.iter().map(|b| b.header.max_timestamp).fold(max_timestamp, Timestamp::max);
            let heads: Vec<u8> = block.iter().flat_map(|b| b.head).collect();
            let end_position = blocks.get(number + 1).map_or(len, |next| next[0].position);
            let expected =
                Block { place: place(block[0]), end_position, max_timestamp, headers_crc: crc32c(&heads) };
            prop_assert_eq!(found[number], expected);
        }

        // An offset is found at or behind the floor, and in the block that begins there.
        for batch in &batches {
            for offset in batch.header.base_offset..batch.header.next_offset() {
                let floor = index.floor(offset);
                let block = blocks.iter().rfind(|block| block[0].position <= batch.position).unwrap();
                prop_assert_eq!(floor, place(block[0]));
            }
        }
        for at in -2..=31 {
            let first = batches.iter().find(|b| b.header.max_timestamp >= Timestamp(at));
            let block = first.map(|first| blocks.iter().rfind(|block| block[0].position <= first.position).unwrap());
            prop_assert_eq!(index.floor_of_time(Timestamp(at)), block.map(|block| place(block[0])));
        }
        let latest = batches.iter().map(|b| b.header.max_timestamp).max();
        prop_assert_eq!(index.max_timestamp(), latest);
        let first = batches.iter().find(|b| Some(b.header.max_timestamp) == latest).map(|b| b.header.base_offset);
        prop_assert_eq!(index.offset_of_max_timestamp(), first);
    }
}

#[test]
fn a_block_ends_when_it_has_32_kib() {
    let overhead = segment(&[(30_000, 0, 1)]).1 as usize - 30_000;
    let exact = limits::INDEX_STEP_BYTES as usize - overhead;
    for (bytes, blocks) in [(exact - 1, 1), (exact, 2)] {
        let (batches, _) = segment(&[(bytes, 0, 1), (1, 0, 1)]);
        assert_eq!(index_of(&batches).len(), blocks, "{bytes}");
    }
}

#[test]
fn an_offset_too_large_for_an_entry_is_found_in_the_block_before() {
    let (mut batches, _) = segment(&[(40_000, 0, 1), (40_000, 0, 2), (40_000, 0, 3)]);
    batches[2].header.base_offset = BASE + i64::from(u32::MAX) + 1;
    let index = index_of(&batches);
    assert_eq!(index.len(), 2);
    assert_eq!(index.floor(batches[2].header.base_offset), Place { offset: BASE + 1, position: batches[1].position });
    assert_eq!(index.floor_of_time(Timestamp(3)).unwrap().offset, BASE + 1);
}

#[test]
fn memory_is_20_bytes_a_block() {
    let (batches, _) = segment(&vec![(33_000, 0, 1); 64]);
    let index = index_of(&batches);
    assert_eq!(index.len(), 64);
    assert_eq!(index.bytes(), size_of::<Index>() + 64 * 20);
}
