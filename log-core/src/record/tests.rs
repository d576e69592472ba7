//! The format as a whole: golden bytes, round trips, damage.

use super::*;
use crate::types::limits;
use proptest::prelude::*;

fn some_bytes() -> impl Strategy<Value = Option<Bytes>> {
    // Drawing every byte would take most of the tests' time.
    let bytes = (0_u8..200, any::<u8>()).prop_map(|(len, step)| (0..len).map(|i| i.wrapping_mul(step)).collect());
    prop::option::of(bytes)
}

fn some_record() -> impl Strategy<Value = Record> {
    let header = (prop::sample::select(&["", "h", "näme", "trace-id"][..]), some_bytes())
        .prop_map(|(key, value)| Header { key: key.into(), value });
    let timestamp = prop_oneof![any::<i64>(), -10_000_i64..10_000, Just(1_360_357_200_000)];
    (some_bytes(), some_bytes(), timestamp, prop::collection::vec(header, 0..4))
        .prop_map(|(key, value, timestamp, headers)| Record { key, value, timestamp: Timestamp(timestamp), headers })
}

fn some_records() -> impl Strategy<Value = Vec<Record>> {
    prop::collection::vec(some_record(), 1..40)
}

fn some_codec() -> impl Strategy<Value = Compression> {
    prop::sample::select(&Compression::ALL[..])
}

/// Puts the right checksum on a batch that was changed, to get past the checksum to what it protects.
fn sealed(mut batch: Vec<u8>) -> Bytes {
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.into()
}

fn record(key: &str, value: &str, timestamp: i64) -> Record {
    Record {
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        timestamp: Timestamp(timestamp),
        headers: Vec::new(),
    }
}

fn batch_of(compression: Compression, records: &[Record]) -> Bytes {
    let mut builder = BatchBuilder::new(compression);
    for record in records {
        assert!(builder.fits(record, builder.size_with(record)));
        builder.push(record);
    }
    builder.finish()
}

/// One batch by hand: two records, one with a header, one a tombstone without a key.
#[test]
fn golden_bytes() {
    let mut first = record("k", "value", 1_000);
    first.headers.push(Header { key: "h".into(), value: None });
    let second = Record { timestamp: Timestamp(999), ..Record::default() };
    let stamp = ProducerStamp { producer_id: 7, producer_epoch: 1, base_sequence: 9 };
    let mut builder = BatchBuilder::new(Compression::None).stamp(stamp);
    builder.push(&first);
    builder.push(&second);
    let batch = builder.finish();
    #[rustfmt::skip]
    let expected: &[u8] = &[
        0, 0, 0, 0, 0, 0, 0, 0,                         // base offset
        0, 0, 0, 72,                                    // length: 49 + 16 + 7
        0xff, 0xff, 0xff, 0xff,                         // no leader epoch
        2,                                              // magic
        0x1d, 0x73, 0x5d, 0xa7,                         // CRC-32C, computed bit by bit elsewhere
        0, 0,                                           // attributes
        0, 0, 0, 1,                                     // last offset delta
        0, 0, 0, 0, 0, 0, 0x03, 0xe8,                   // base timestamp 1000
        0, 0, 0, 0, 0, 0, 0x03, 0xe8,                   // max timestamp
        0, 0, 0, 0, 0, 0, 0, 7,                         // producer id
        0, 1,                                           // producer epoch
        0, 0, 0, 9,                                     // base sequence
        0, 0, 0, 2,                                     // records
        // length 15, attributes, timestamp +0, offset +0, key 1, value 5, headers 1: key 1, value null
        30, 0, 0, 0, 2, b'k', 10, b'v', b'a', b'l', b'u', b'e', 2, 2, b'h', 1,
        // length 6, attributes, timestamp -1, offset +1, no key, no value, no headers
        12, 0, 1, 2, 1, 1, 0,
    ];
    assert_eq!(batch, expected);
    assert_eq!(validate(&batch, 1000).unwrap().stamp(), Some(stamp));
}

#[test]
fn reads_what_was_written_at_its_stamped_offsets() {
    let sent =
        [record("a", "1", 5), Record { timestamp: Timestamp(i64::MIN), ..Record::default() }, record("", "", i64::MAX)];
    let mut log = Vec::new();
    for base in [0, 10] {
        let mut batch = batch_of(Compression::None, &sent).to_vec();
        stamp_offset(&mut batch, base, 3);
        validate(&batch, 1000).unwrap();
        log.extend(batch);
    }
    let read: Vec<_> = records(log.into()).collect::<Result<_>>().unwrap();
    assert_eq!(read.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 10, 11, 12]);
    for (read, sent) in read.iter().zip(sent.iter().cycle()) {
        assert_eq!((read.timestamp, &read.key, &read.value), (sent.timestamp, &sent.key, &sent.value));
    }
}

#[test]
fn null_and_empty_differ() {
    let sent = [
        Record { key: None, value: Some(Bytes::new()), ..Record::default() },
        Record { key: Some(Bytes::new()), value: None, ..Record::default() },
    ];
    let read: Vec<_> = records(batch_of(Compression::None, &sent)).collect::<Result<_>>().unwrap();
    assert_eq!((&read[0].key, &read[0].value), (&None, &Some(Bytes::new())));
    assert_eq!((&read[1].key, &read[1].value), (&Some(Bytes::new()), &None));
}

#[test]
fn reading_an_uncompressed_batch_copies_nothing() {
    let batch = batch_of(Compression::None, &[record("key", "value", 0)]);
    let read = records(batch.clone()).next().unwrap().unwrap();
    let value = read.value.unwrap();
    assert!(batch.as_ptr_range().contains(&value.as_ptr()));
}

#[test]
fn log_append_time_overrides_the_records_own() {
    let mut batch = batch_of(Compression::None, &[record("a", "", 1), record("b", "", 7)]).to_vec();
    batch[22] |= 1 << 3;
    let read: Vec<_> = records(sealed(batch)).map(|record| record.unwrap().timestamp).collect();
    assert_eq!(read, [Timestamp(7), Timestamp(7)]);
}

#[test]
fn control_batches_are_skipped() {
    let mut control = batch_of(Compression::None, &[record("marker", "", 1)]).to_vec();
    control[22] |= 1 << 5;
    let mut log = sealed(control.clone()).to_vec();
    assert!(validate(&log, 1000).is_err(), "a producer may not write one");
    let mut data = batch_of(Compression::None, &[record("data", "", 1)]).to_vec();
    stamp_offset(&mut data, 1, 0);
    log.extend(data);
    let offsets: Vec<_> = records(log.into()).map(|record| record.unwrap().offset).collect();
    assert_eq!(offsets, [1]);
}

/// What compaction leaves: fewer records than offsets, and batches with none.
#[test]
fn compacted_batches_are_read_but_not_produced() {
    let mut batch = batch_of(Compression::None, &[record("a", "1", 1), record("b", "2", 1)]).to_vec();
    batch[23..27].copy_from_slice(&5_u32.to_be_bytes());
    let gap = sealed(batch.clone());
    assert!(validate(&gap, 1000).is_err());
    assert_eq!(records(gap).filter_map(Result::ok).count(), 2);
    batch.truncate(BATCH_HEADER_BYTES);
    batch[8..12].copy_from_slice(&49_u32.to_be_bytes());
    batch[57..61].copy_from_slice(&0_u32.to_be_bytes());
    let empty = sealed(batch);
    assert!(validate(&empty, 1000).is_err());
    assert_eq!(records(empty).count(), 0);
}

/// Lies that a correct checksum covers: each is an error, not a panic, an allocation or a wrong record.
#[test]
fn lying_batches_are_refused() {
    let good = batch_of(Compression::None, &[record("key", "valu\0", 1), record("key", "valu\0", 1)]).to_vec();
    // Where the second record is: both are as long.
    let second = BATCH_HEADER_BYTES + (good.len() - BATCH_HEADER_BYTES) / 2;
    let lies: &[(&str, usize, &[u8])] = &[
        ("more records than bytes", 57, &1000_u32.to_be_bytes()),
        ("fewer records than there are", 57, &1_u32.to_be_bytes()),
        ("a record that is longer than the batch", BATCH_HEADER_BYTES, &[0x7e]),
        ("a record that is shorter than its fields", BATCH_HEADER_BYTES, &[0x02]),
        ("a record of negative length", BATCH_HEADER_BYTES, &[0x01]),
        ("a record of length -2", BATCH_HEADER_BYTES, &[0x03]),
        ("an offset twice", second + 3, &[0x00]),
        ("an offset past the batch", second + 3, &[0x04]),
        ("an offset before the batch", BATCH_HEADER_BYTES + 3, &[0x01]),
        ("a key that is longer than the record", BATCH_HEADER_BYTES + 4, &[0x7e]),
        ("bytes after the headers: the value's last byte is read as their number", BATCH_HEADER_BYTES + 8, &[0x08]),
        ("headers that are not there", second - 1, &[0x02]),
        ("a negative number of headers", second - 1, &[0x01]),
    ];
    assert_eq!(records(sealed(good.clone())).filter(Result::is_ok).count(), 2);
    for (lie, at, bytes) in lies {
        let mut batch = good.clone();
        batch[23..27].copy_from_slice(&if at == &57 { 999_u32 } else { 1 }.to_be_bytes());
        batch[*at..at + bytes.len()].copy_from_slice(bytes);
        let read: Vec<_> = records(sealed(batch)).collect();
        assert!(read.last().unwrap().is_err(), "{lie}: {read:?}");
        assert!(read.iter().filter(|record| record.is_err()).count() == 1, "{lie} ends the iteration");
    }
}

#[test]
fn impossible_headers_are_refused() {
    let good = batch_of(Compression::None, &[record("key", "value", 1)]).to_vec();
    let lies: &[(&str, usize, &[u8])] = &[
        ("magic", 16, &[1]),
        ("length under a header", 8, &48_u32.to_be_bytes()),
        ("length over the limit", 8, &limits::BATCH_BYTES_HARD_MAX.to_be_bytes()),
        ("negative length", 8, &(-1_i32).to_be_bytes()),
        ("codec", 22, &[5]),
        ("negative base offset", 0, &(-1_i64).to_be_bytes()),
        ("base offset past the end of offsets", 0, &i64::MAX.to_be_bytes()),
        ("negative last offset delta", 23, &(-1_i32).to_be_bytes()),
        ("more records than offsets", 57, &2_u32.to_be_bytes()),
    ];
    assert!(BatchHeader::parse(&good).unwrap().is_some());
    for (lie, at, bytes) in lies {
        let mut batch = good.clone();
        batch[*at..at + bytes.len()].copy_from_slice(bytes);
        assert!(BatchHeader::parse(&batch).is_err(), "{lie}");
        assert!(validate(&batch, 1000).is_err(), "{lie}");
        assert!(records(batch.into()).all(|record| record.is_err()), "{lie}");
    }
    assert!(BatchHeader::parse(&good[..BATCH_HEADER_BYTES - 1]).unwrap().is_none());
}

#[test]
fn validate_takes_exactly_one_batch_within_its_limit() {
    let batch = batch_of(Compression::None, &[record("key", "value", 1)]);
    let len = batch.len() as u32;
    assert!(validate(&batch, len).is_ok());
    assert_eq!(validate(&batch, len - 1).unwrap_err().code(), "TW0107");
    assert!(validate(&[&batch[..], &batch[..]].concat(), 1000).is_err());
    let no_sequence = ProducerStamp { producer_id: 1, producer_epoch: 0, base_sequence: -1 };
    let mut builder = BatchBuilder::new(Compression::None).stamp(no_sequence);
    builder.push(&Record::default());
    assert!(validate(&builder.finish(), 1000).is_err());
}

/// A batch that decompresses to more than the limit ends there. Built by hand: a builder cannot make one.
#[test]
fn a_bomb_is_refused() {
    let mut batch = batch_of(Compression::None, &[record("key", "value", 1)]).to_vec();
    batch.truncate(BATCH_HEADER_BYTES);
    let zeros = std::io::repeat(0);
    let size = limits::DECOMPRESSED_BATCH_BYTES_MAX as u64 + 1;
    zstd::stream::copy_encode(std::io::Read::take(zeros, size), &mut batch, 1).unwrap();
    assert!(batch.len() < 1 << 20, "{} bytes", batch.len());
    let length = batch.len() as u32 - 12;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = Compression::Zstd as u8;
    let refused = records(sealed(batch)).next().unwrap().unwrap_err();
    assert!(refused.to_string().contains("decompresses to more than"), "{refused}");
}

#[test]
fn every_flipped_bit_behind_the_epoch_is_noticed() {
    for codec in Compression::ALL {
        let batch = batch_of(codec, &[record("key", &"value".repeat(20), 1), record("key", "value", 2)]);
        for bit in 16 * 8..batch.len() * 8 {
            let mut damaged = batch.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(validate(&damaged, 1000).is_err(), "{codec}: bit {bit}");
            assert!(records(damaged.into()).all(|record| record.is_err()), "{codec}: bit {bit}");
        }
    }
}

#[test]
fn codecs_have_kafkas_names_and_numbers() {
    for (number, name) in ["none", "gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let codec: Compression = name.parse().unwrap();
        assert_eq!((codec as usize, codec.to_string().as_str()), (number, name));
    }
    assert!("brotli".parse::<Compression>().is_err());
}

/// Batches as compaction leaves them: records taken out in front, between and behind, and one batch emptied.
#[test]
fn a_reader_moves_over_gaps() {
    let at = |base: i64, last_delta: u32, keep: &[i64]| {
        let mut builder = BatchBuilder::new(Compression::None);
        (0..3).for_each(|_| builder.push(&record("k", "v", 0)));
        let mut batch = builder.finish().to_vec();
        let bytes = (batch.len() - BATCH_HEADER_BYTES) / 3;
        for (i, delta) in keep.iter().enumerate() {
            // Behind length, attributes and timestamp.
            batch[BATCH_HEADER_BYTES + i * bytes + 3] = 2 * *delta as u8;
        }
        batch.truncate(BATCH_HEADER_BYTES + keep.len() * bytes);
        let length = (batch.len() - 12) as u32;
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[23..27].copy_from_slice(&last_delta.to_be_bytes());
        batch[57..61].copy_from_slice(&(keep.len() as u32).to_be_bytes());
        stamp_offset(&mut batch, base, 0);
        sealed(batch)
    };
    let log: Bytes = [at(10, 4, &[1, 3]), at(15, 2, &[]), at(20, 5, &[0]), at(26, 9, &[])].concat().into();
    let found = |position: i64| {
        let mut position = position;
        let mut steps = Vec::new();
        let mut records = records_at(log.clone(), &mut position);
        while let Some(record) = records.next().transpose().unwrap() {
            steps.push((record.offset, *records.position));
        }
        (steps, position)
    };
    assert_eq!(found(10), (vec![(11, 12), (13, 15), (20, 26)], 36));
    assert_eq!(found(12), (vec![(13, 15), (20, 26)], 36));
    assert_eq!(found(14), (vec![(20, 26)], 36), "a position in a gap");
    assert_eq!(found(30), (vec![], 36), "a position in an emptied batch");
    assert_eq!(found(40), (vec![], 40), "it never goes back");

    let damaged = [&log[..], &log[..50]].concat().into();
    let mut position = 10;
    assert_eq!(records_at(damaged, &mut position).filter(Result::is_err).count(), 1);
    assert_eq!(position, 36, "before the damage");
}

proptest! {
    #[test]
    fn round_trips(sent in some_records(), codec in some_codec(), base in 0..i64::MAX >> 1) {
        let mut builder = BatchBuilder::new(codec);
        for record in &sent {
            let size = builder.size_with(record);
            prop_assert!(builder.fits(record, size) && !builder.fits(record, size - 1));
            builder.push(record);
            prop_assert_eq!(builder.bytes(), size);
        }
        let (size, len) = (builder.bytes(), builder.len());
        let mut batch = builder.finish().to_vec();
        prop_assert!(batch.len() == size || codec != Compression::None && batch.len() < size);
        stamp_offset(&mut batch, base, 5);
        let header = validate(&batch, size as u32).unwrap();
        prop_assert_eq!((header.leader_epoch, header.stamp()), (5, None));
        prop_assert_eq!((header.base_offset, header.next_offset()), (base, base + len as i64));
        prop_assert_eq!(header.max_timestamp, sent.iter().map(|record| record.timestamp).max().unwrap());
        let read: Vec<_> = records(batch.into()).collect::<Result<_>>().unwrap();
        prop_assert_eq!(read.len(), sent.len());
        for (i, (read, sent)) in read.into_iter().zip(sent).enumerate() {
            let Record { key, value, timestamp, headers } = sent;
            prop_assert_eq!(read, StoredRecord { offset: base + i as i64, timestamp, key, value, headers });
        }
    }

    /// Cut anywhere, whole batches are read and the rest is an error.
    #[test]
    fn truncation_is_noticed(sent in some_records(), codec in some_codec(), at in any::<prop::sample::Index>()) {
        let batch = batch_of(codec, &sent);
        let log: Bytes = [&batch[..], &batch[..]].concat().into();
        let cut = at.index(log.len());
        let read: Vec<_> = records(log.slice(..cut)).collect();
        let whole = cut / batch.len() * sent.len();
        prop_assert_eq!(read.iter().filter(|record| record.is_ok()).count(), whole);
        prop_assert_eq!(read.len() > whole, cut % batch.len() != 0);
        prop_assert!(validate(&batch[..cut % batch.len()], u32::MAX).is_err());
    }

    /// A batch whose records are noise under a right checksum.
    #[test]
    fn noise_does_not_panic(noise in prop::collection::vec(any::<u8>(), 0..500), count in 0_u32..70, codec in 0_u8..6) {
        let _ = records(noise.clone().into()).count();
        let mut batch = batch_of(Compression::None, &[record("", "", 0)]).to_vec();
        batch.truncate(BATCH_HEADER_BYTES);
        batch.extend(&noise);
        batch[8..12].copy_from_slice(&(noise.len() as u32 + 49).to_be_bytes());
        batch[22] = codec;
        batch[23..27].copy_from_slice(&count.to_be_bytes());
        batch[57..61].copy_from_slice(&count.to_be_bytes());
        prop_assert!(records(sealed(batch)).filter(Result::is_ok).count() <= count as usize);
    }

    /// One byte of the records changed under a right checksum: what still reads is in order and within the batch.
    #[test]
    fn damage_under_a_right_checksum_does_not_panic(
        sent in some_records(),
        at in any::<prop::sample::Index>(),
        flip in 1_u8..,
    ) {
        let mut batch = batch_of(Compression::None, &sent).to_vec();
        let at = BATCH_HEADER_BYTES + at.index(batch.len() - BATCH_HEADER_BYTES);
        batch[at] ^= flip;
        let mut next = 0;
        for record in records(sealed(batch)).flatten() {
            prop_assert!(record.offset >= next && record.offset < sent.len() as i64);
            next = record.offset + 1;
        }
    }
}
