//! What is written is read; nothing else is.

use super::*;
use crate::record::{BATCH_HEAD_BYTES, BatchHeader, crc32c};
use proptest::prelude::*;

/// A footer of a segment with so many blocks, and with some of all else.
fn footer(base: Offset, blocks: u32, generation: u32) -> Footer {
    let mut index = Index::new(base);
    let (mut offset, mut position) = (base, 0);
    for block in 0..blocks {
        let mut header = [0; 61];
        header[..8].copy_from_slice(&offset.to_be_bytes());
        header[8..12].copy_from_slice(&(33_000_u32 - 12).to_be_bytes());
        header[16] = 2;
        header[35..43].copy_from_slice(&i64::from(block % 3).to_be_bytes());
        let header_bytes: [u8; BATCH_HEAD_BYTES] = *header.first_chunk().unwrap();
        let header = BatchHeader::parse(&header).unwrap().unwrap();
        index.push(position, &header, &header_bytes);
        (offset, position) = (header.next_offset(), position + header.total_bytes() as u64);
    }
    let aborted = |producer_id, first_offset| AbortedTransaction {
        producer_id,
        first_offset,
        last_offset: first_offset + 2,
        last_stable_offset: first_offset + 3,
    };
    Footer {
        index,
        generation,
        next_offset: offset,
        log_bytes: position,
        first_append: Timestamp(1_700_000_000_000),
        last_append: Timestamp(1_700_000_000_999),
        epochs: if offset > 2 { vec![(0, 0), (4, 1), (5, offset - 1)] } else { vec![] },
        aborted: vec![aborted(9, 0), aborted(8, 1)],
    }
}

#[test]
fn what_is_written_is_read() {
    for (base, blocks) in [(0, 0), (0, 1), (7, 0), (1234, 5), (1 << 40, 300)] {
        for generation in [0, 2] {
            let footer = footer(base, blocks, generation);
            assert_eq!(Footer::decode(&footer.encode()), Ok(footer));
        }
    }
}

#[test]
fn every_flipped_bit_and_every_missing_byte_is_noticed() {
    let bytes = footer(1234, 5, 1).encode();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(Footer::decode(&flipped).is_err(), "bit {bit} of byte {at}");
        }
        assert!(Footer::decode(&bytes[..at]).is_err(), "only {at} bytes");
    }
    assert!(Footer::decode(&[&bytes[..], &[0]].concat()).is_err(), "one byte more");
}

/// The same bytes with a right checksum: what a mistake in a writer would leave.
fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - CRC_BYTES;
    let crc = crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

#[test]
fn a_footer_that_contradicts_itself_is_refused() {
    let good = footer(1234, 3, 0).encode();
    let with = |at: usize, field: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + field.len()].copy_from_slice(field);
        Footer::decode(&resealed(bytes)).map(drop)
    };
    let (entry, epochs) = (|n: usize| FIXED_BYTES + n * ENTRY_BYTES, FIXED_BYTES + 3 * ENTRY_BYTES);
    let aborted = epochs + 3 * EPOCH_BYTES;
    assert_eq!(with(8, &1234_i64.to_be_bytes()), Ok(()));
    let cases: &[(&str, usize, &[u8])] = &[
        ("a magic", 0, b"TWIY"),
        ("a version", 4, &2_u32.to_be_bytes()),
        ("a negative base", 8, &(-1_i64).to_be_bytes()),
        ("a base without room for its deltas", 8, &(i64::MAX - 1).to_be_bytes()),
        ("too many entries", 20, &u32::MAX.to_be_bytes()),
        ("too few entries", 20, &2_u32.to_be_bytes()),
        ("too many epochs", 24, &4_u32.to_be_bytes()),
        ("no next offset", 32, &1236_i64.to_be_bytes()),
        ("less log than entries", 40, &66_000_u64.to_be_bytes()),
        ("a last block without an end", 40, &u64::MAX.to_be_bytes()),
        ("another latest timestamp", 48, &3_i64.to_be_bytes()),
        ("its offset too early", 56, &1235_i64.to_be_bytes()),
        ("its offset too late", 56, &1237_i64.to_be_bytes()),
        ("a first entry that is not first", entry(0), &1_u32.to_be_bytes()),
        ("a first position that is not 0", entry(0) + 4, &1_u32.to_be_bytes()),
        ("a delta twice", entry(2), &1_u32.to_be_bytes()),
        ("a position twice", entry(2) + 4, &33_000_u32.to_be_bytes()),
        ("time that goes back", entry(1) + 8, &(-5_i64).to_be_bytes()),
        ("a negative epoch", epochs, &(-1_i32).to_be_bytes()),
        ("epochs out of order", epochs + EPOCH_BYTES, &6_i32.to_be_bytes()),
        ("an epoch that begins behind", epochs + 2 * EPOCH_BYTES + 4, &1237_i64.to_be_bytes()),
        ("a producer without id", aborted, &(-1_i64).to_be_bytes()),
        ("a transaction that ends first", aborted + 16, &(-1_i64).to_be_bytes()),
    ];
    for (what, at, field) in cases {
        assert!(with(*at, field).is_err(), "{what}");
    }
}

#[test]
fn nothing_is_left_over_and_no_batch_lies_behind_the_end() {
    let plain = Footer { epochs: vec![], aborted: vec![], ..footer(1234, 4, 0) };
    let mut longer = plain.encode();
    longer.extend([0; 4]);
    assert!(Footer::decode(&resealed(longer)).is_err());
    let mut bytes = plain.encode();
    bytes[32..40].copy_from_slice(&1237_i64.to_be_bytes());
    let why = Footer::decode(&resealed(bytes)).unwrap_err();
    assert_eq!(why, "its next offset is 1237, and a batch begins at 1237");
}

#[test]
fn a_rewritten_segment_may_begin_behind_its_base() {
    let mut bytes = footer(1234, 1, 1).encode();
    bytes[32..40].copy_from_slice(&2000_i64.to_be_bytes());
    bytes[56..64].copy_from_slice(&1284_i64.to_be_bytes());
    bytes[FIXED_BYTES..FIXED_BYTES + 4].copy_from_slice(&50_u32.to_be_bytes());
    let first = Footer::decode(&resealed(bytes)).unwrap().index.floor(1300);
    assert_eq!((first.offset, first.position), (1284, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400),
        counts in prop::array::uniform3(0..4u32),
        fits in any::<bool>(),
    ) {
        // Half of them get past magic, checksum and counts.
        if fits {
            let body = counts.iter().zip([ENTRY_BYTES, EPOCH_BYTES, ABORTED_BYTES]).map(|(n, b)| *n as usize * b);
            bytes.resize(FIXED_BYTES + body.sum::<usize>() + CRC_BYTES, 0);
            bytes[..4].copy_from_slice(b"TWIX");
            bytes[4..8].copy_from_slice(&VERSION.to_be_bytes());
            for (at, count) in [20, 24, 28].into_iter().zip(counts) {
                bytes[at..at + 4].copy_from_slice(&count.to_be_bytes());
            }
            bytes = resealed(bytes);
        }
        if let Ok(footer) = Footer::decode(&bytes) {
            prop_assert_eq!(footer.encode(), bytes, "only one way to write a footer");
        }
    }
}
