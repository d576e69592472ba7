//! The independent implementation: the `kafka-protocol` crate, generated from Kafka 4.1's schemas.

use super::*;
use bytes::BytesMut;
use kafka_protocol::protocol::{Decodable, Encodable, Message as Theirs};

/// What they write of what they read.
pub(super) fn theirs<M: Theirs + Decodable + Encodable>(mut bytes: Bytes, version: Version) -> Option<Bytes> {
    if version.number < M::VERSIONS.min || version.number > M::VERSIONS.max {
        return None;
    }
    let message = M::decode(&mut bytes, version.number).unwrap();
    assert!(bytes.is_empty(), "they leave {} bytes", bytes.len());
    let mut again = BytesMut::new();
    message.encode(&mut again, version.number).unwrap();
    Some(again.freeze())
}

/// What Kafka 4.2 and 4.3 have added, and streams groups, which their generator leaves out.
const UNKNOWN: &[&str] = &[
    "AddRaftVoterRequest v1",
    "AddRaftVoterResponse v1",
    "DescribeLogDirsRequest v5",
    "DescribeLogDirsResponse v5",
    "DescribeShareGroupOffsetsRequest v1",
    "DescribeShareGroupOffsetsResponse v1",
    "ListOffsetsRequest v11",
    "ListOffsetsResponse v11",
    "OffsetCommitRequest v10",
    "OffsetFetchRequest v10",
    "ShareAcknowledgeRequest v2",
    "ShareAcknowledgeResponse v2",
    "ShareFetchRequest v2",
    "ShareFetchResponse v2",
    "StreamsGroupDescribeRequest v0",
    "StreamsGroupDescribeResponse v0",
    "StreamsGroupHeartbeatRequest v0",
    "StreamsGroupHeartbeatResponse v0",
    "WriteTxnMarkersRequest v2",
    "WriteTxnMarkersResponse v2",
];

/// Ours is read by them, what they write is what we wrote, and we read it again.
#[test]
fn they_agree_on_every_message() {
    let mut unknown = Vec::new();
    for codec in codecs() {
        for seed in 0..60 {
            let ours = (codec.random)(seed, codec.version);
            let Some(theirs) = (codec.theirs)(ours.clone(), codec.version) else {
                unknown.push(codec.name.clone());
                break;
            };
            assert_eq!(theirs, ours, "{} seed {seed}", codec.name);
            assert_eq!((codec.again)(theirs, codec.version).unwrap().0, ours, "{} seed {seed}", codec.name);
        }
    }
    unknown.sort_unstable();
    assert_eq!(unknown, UNKNOWN, "who knows a version has to agree on it");
}
