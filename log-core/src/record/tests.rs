//! The format as a whole: golden bytes, round trips, damage.

use super::*;

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
