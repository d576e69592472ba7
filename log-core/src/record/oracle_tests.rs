//! Batches exchanged with an independent implementation, the `kafka-protocol` crate, in both directions and with
//! every codec. Its lz4 is the C library; for gzip and snappy it uses the crates that we use. Its zstd would build
//! the C library a second time with other features, so the test does that codec for it.

use super::*;
use bytes::BytesMut;
use kafka_protocol::messages::EndTxnMarker;
use kafka_protocol::protocol::{Encodable, StrBytes};
use kafka_protocol::records as theirs;
use proptest::prelude::*;

const STAMP: ProducerStamp = ProducerStamp { producer_id: 42, producer_epoch: 3, base_sequence: 17 };

fn some_bytes() -> impl Strategy<Value = Option<Bytes>> {
    prop::option::of(prop::collection::vec(0_u8..8, 0..200).prop_map(Bytes::from))
}

/// Header names do not repeat and timestamps do not span the ends of time, because the other side cannot.
fn some_records() -> impl Strategy<Value = Vec<Record>> {
    let headers = prop::collection::vec(some_bytes(), 0..4).prop_map(|values| {
        (values.into_iter().enumerate()).map(|(i, value)| Header { key: format!("näme-{i}"), value }).collect()
    });
    let timestamp = prop_oneof![-10_000_i64..10_000, 1_360_000_000_000_i64..1_370_000_000_000];
    let record = (some_bytes(), some_bytes(), timestamp, headers).prop_map(|(key, value, timestamp, headers)| Record {
        key,
        value,
        timestamp: Timestamp(timestamp),
        headers,
    });
    prop::collection::vec(record, 1..60)
}

fn to_theirs(record: &Record, i: usize) -> theirs::Record {
    theirs::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: STAMP.producer_id,
        producer_epoch: STAMP.producer_epoch,
        timestamp_type: theirs::TimestampType::Creation,
        offset: i as i64,
        sequence: STAMP.base_sequence + i as i32,
        timestamp: record.timestamp.0,
        key: record.key.clone(),
        value: record.value.clone(),
        headers: (record.headers.iter())
            .map(|header| (StrBytes::from_string(header.key.clone()), header.value.clone()))
            .collect(),
    }
}

fn their_codec(codec: Compression) -> theirs::Compression {
    match codec {
        Compression::None => theirs::Compression::None,
        Compression::Gzip => theirs::Compression::Gzip,
        Compression::Snappy => theirs::Compression::Snappy,
        Compression::Lz4 => theirs::Compression::Lz4,
        Compression::Zstd => theirs::Compression::Zstd,
    }
}

/// Their batch of `records`.
fn their_encode(codec: Compression, records: &[theirs::Record]) -> Bytes {
    let options = theirs::RecordEncodeOptions { version: 2, compression: their_codec(codec) };
    let zstd = (codec == Compression::Zstd).then_some(|block: &mut BytesMut, out: &mut BytesMut, _| {
        out.extend_from_slice(&zstd::encode_all(&block[..], 1)?);
        Ok(())
    });
    let mut batch = BytesMut::new();
    theirs::RecordBatchEncoder::encode_with_custom_compression(&mut batch, records, &options, zstd).unwrap();
    batch.freeze()
}

/// What they read from `batch`.
fn their_decode(codec: Compression, mut batch: Bytes) -> theirs::RecordSet {
    let zstd =
        (codec == Compression::Zstd).then_some(|block: &mut Bytes, _| Ok(Bytes::from(zstd::decode_all(&block[..])?)));
    theirs::RecordBatchDecoder::decode_with_custom_compression(&mut batch, zstd).unwrap()
}

/// Some more bytes, so that compressing pays and the codec is used.
fn padded(mut records: Vec<Record>) -> Vec<Record> {
    records.push(Record { value: Some(vec![0; 40_000].into()), ..Record::default() });
    records
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn they_read_what_we_write(sent in some_records()) {
        let sent = padded(sent);
        let expected: Vec<_> = sent.iter().enumerate().map(|(i, record)| to_theirs(record, i)).collect();
        for codec in Compression::ALL {
            let mut builder = BatchBuilder::new(codec).stamp(STAMP);
            sent.iter().for_each(|record| builder.push(record));
            let read = their_decode(codec, builder.finish());
            prop_assert_eq!(read.compression, their_codec(codec));
            prop_assert_eq!(&read.records, &expected);
        }
    }

    #[test]
    fn we_read_what_they_write(sent in some_records()) {
        let sent = padded(sent);
        let written: Vec<_> = sent.iter().enumerate().map(|(i, record)| to_theirs(record, i)).collect();
        for codec in Compression::ALL {
            let batch = their_encode(codec, &written);
            let header = validate(&batch, u32::MAX).unwrap();
            prop_assert_eq!((header.compression, header.stamp()), (codec, Some(STAMP)));
            let read: Vec<_> = records(batch).collect::<Result<_>>().unwrap();
            prop_assert_eq!(read.len(), sent.len());
            for (i, (read, sent)) in read.into_iter().zip(&sent).enumerate() {
                let Record { key, value, timestamp, headers } = sent.clone();
                prop_assert_eq!(read, StoredRecord { offset: i as i64, timestamp, key, value, headers });
            }
        }
    }

    #[test]
    fn transaction_markers_are_theirs(commits: bool, coordinator_epoch: i32, offset in 0..i64::MAX / 2) {
        let kind = if commits { ControlKind::Commit } else { ControlKind::Abort };
        let marker = ControlRecord { kind, coordinator_epoch };
        let mut ours = marker.to_batch(STAMP.producer_id, STAMP.producer_epoch, Timestamp(5)).to_vec();
        stamp_offset(&mut ours, offset, 4);
        let read = their_decode(Compression::None, ours.clone().into()).records;
        prop_assert_eq!(read.len(), 1);
        let theirs = &read[0];
        prop_assert!(theirs.control && theirs.transactional);
        prop_assert_eq!((theirs.offset, theirs.partition_leader_epoch, theirs.sequence), (offset, 4, -1));
        prop_assert_eq!((theirs.producer_id, theirs.producer_epoch), (STAMP.producer_id, STAMP.producer_epoch));
        prop_assert_eq!(&theirs.key, &Some(Bytes::from(vec![0, 0, 0, u8::from(commits)])));
        let mut value = BytesMut::from(&[0, 0][..]);
        EndTxnMarker::default().with_coordinator_epoch(coordinator_epoch).encode(&mut value, 0).unwrap();
        prop_assert_eq!(&theirs.value, &Some(value.freeze()));
        // And what they write of it is what we wrote, up to the place.
        prop_assert_eq!(ControlRecord::parse(&their_encode(Compression::None, &read)).unwrap(), Some(marker));
    }
}
