//! Whole frames: headers, dispatch by API and version, pieces.

use super::*;
use crate::wire::versioned::Versioned;
use uuid::Uuid;

fn request(bytes: &[u8]) -> Result<(RequestHeader, Option<Request>)> {
    let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
    let header = RequestHeader::read(&mut reader)?;
    let request = header.version().map(|version| Request::read(header.key, version, reader)).transpose()?;
    Ok((header, request))
}

#[test]
fn every_request_and_response_comes_back_from_its_frame() {
    for &key in ApiKey::ALL {
        for number in key.versions() {
            let version = key.version(number).unwrap();
            let body = codecs().into_iter().filter(|c| c.name.starts_with(&format!("{key}Re")) && c.version == version);
            for codec in body {
                let bytes = (codec.random)(number as u64, version);
                if codec.name.contains("Request") {
                    let asked = Request::read(key, version, Reader::new(bytes)).unwrap();
                    let frame = asked.to_frame(version, 77, Some("me")).unwrap().into_content();
                    let (header, read) = request(&frame).unwrap();
                    assert_eq!((header.key, header.version(), header.correlation_id), (key, Some(version), 77));
                    assert_eq!(header.client_id.as_deref(), Some("me"));
                    // As bytes, because not every number of floating point equals itself.
                    let again = read.unwrap().to_frame(version, 77, Some("me")).unwrap().into_content();
                    assert_eq!(again, frame);
                } else {
                    let answer = Response::read_body(key, version, &mut Reader::new(bytes)).unwrap();
                    let frame = answer.to_frame(version, 78).unwrap().into_content();
                    assert_eq!(correlation_id(&frame).unwrap(), 78);
                    let (id, read) = Response::read(key, version, frame.clone()).unwrap();
                    assert_eq!((id, read.to_frame(version, 78).unwrap().into_content()), (78, frame));
                }
            }
        }
    }
}

/// KIP-511: what a client sends before it knows anything, and what it must be able to read.
#[test]
fn asking_for_versions_is_understood_by_anyone() {
    let v3 = [0, 18, 0, 3, 0, 0, 0, 9, 0, 2, b'm', b'e', 0, 5, b'k', b'c', b'a', b't', 4, b'1', b'.', b'7', 0];
    let (header, asked) = request(&v3).unwrap();
    assert_eq!((header.key, header.correlation_id, header.client_id.as_deref()), (ApiKey::ApiVersions, 9, Some("me")));
    let Some(Request::ApiVersions(asked)) = asked else { panic!("{asked:?}") };
    assert_eq!((&*asked.client_software_name, &*asked.client_software_version), ("kcat", "1.7"));

    // A version of the future: the header says enough to answer in version 0.
    let (header, asked) = request(&[0, 18, 0, 99, 0, 0, 0, 9, 0xff, 0xff, 0, 42, 42]).unwrap();
    assert_eq!((header.version_number, header.version(), asked), (99, None, None));

    let answer = Response::ApiVersions(ApiVersionsResponse { error_code: 35, ..Default::default() });
    for (number, bytes) in [(0, &[0, 0, 0, 9, 0, 35, 0, 0, 0, 0][..]), (3, &[0, 0, 0, 9, 0, 35, 1, 0, 0, 0, 0, 0])] {
        let frame = answer.to_frame(ApiKey::ApiVersions.version(number).unwrap(), 9).unwrap();
        assert_eq!(frame.into_content(), bytes, "no tagged fields in the header of version {number}");
    }
}

#[test]
fn headers_of_flexible_requests_have_tags_and_a_plain_client_id() {
    let heartbeat = Request::Heartbeat(HeartbeatRequest::default());
    let header = |number| {
        let version = ApiKey::Heartbeat.version(number).unwrap();
        heartbeat.to_frame(version, 1, None).unwrap().into_content()[..11].to_vec()
    };
    // The eleventh byte is the count of tags, or the first byte of the group's name.
    assert_eq!(header(4), [0, 12, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 0]);
    assert_eq!(header(3), [0, 12, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0]);
    let (_, read) = request(&[0, 12, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 1, 5, 2, 42, 42, 1, 0, 0, 0, 0, 1, 0, 0]).unwrap();
    assert_eq!(read, Some(heartbeat), "unknown tags of the header are skipped");
}

#[test]
fn an_api_that_is_not_served_is_an_error() {
    let why = request(&[0, 71, 0, 0, 0, 0, 0, 1, 0xff, 0xff]).unwrap_err().to_string();
    assert_eq!(why, "API 71 version 0 is not served here");
    assert!(request(&[0, 12, 0]).is_err());
}

/// Versions 0 to 2 of Produce are told and not spoken.
#[test]
fn produce_is_advertised_from_0() {
    assert_eq!(ApiKey::Produce.advertised(), 0..=13);
    assert_eq!(ApiKey::Produce.version(2), None);
    assert_eq!(ApiKey::Fetch.advertised(), 4..=18);
    assert_eq!(ApiKey::ALL.len(), 70);
    assert!(ApiKey::ALL.is_sorted(), "by number");
    for &key in ApiKey::ALL {
        assert_eq!(ApiKey::from_number(key.number()), Some(key));
    }
}

#[test]
fn records_pass_through_without_a_copy() {
    let records = Bytes::from(vec![7; 100_000]);
    let partition = produce::PartitionProduceData { index: 1, records: Some(records.clone()) };
    let topic = produce::TopicProduceData {
        topic_id: Uuid::from_u128(5),
        partition_data: vec![partition],
        ..Default::default()
    };
    let asked = Request::Produce(ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() });
    let version = ApiKey::Produce.version(13).unwrap();
    let pieces = asked.to_frame(version, 1, None).unwrap().into_pieces();
    assert_eq!(pieces.len(), 3);
    assert_eq!(pieces[1].as_ptr(), records.as_ptr());

    let frame = Bytes::from(pieces.concat()).slice(4..);
    let (_, read) = request(&frame).unwrap();
    assert_eq!(read, Some(asked));
    let mut reader = Reader::new(frame.clone());
    RequestHeader::read(&mut reader).unwrap();
    let Ok(Request::Produce(read)) = Request::read(ApiKey::Produce, version, reader) else { panic!() };
    let read = read.topic_data[0].partition_data[0].records.as_ref().unwrap();
    assert!(frame.as_ptr_range().contains(&read.as_ptr()), "a slice of the frame");
}

/// The server has to leave out what the asker's version does not know; it need not ask at every field.
#[test]
fn what_a_version_cannot_say_is_left_out() {
    let topic = metadata::MetadataResponseTopic { topic_id: Uuid::from_u128(9), ..Default::default() };
    let answer = MetadataResponse { error_code: 129, topics: vec![topic], ..Default::default() };
    let v0 = ApiKey::Metadata.version(0).unwrap();
    let read: MetadataResponse = Message::read(&mut Reader::new(written(&answer, v0)), v0).unwrap();
    assert_eq!((read.error_code, read.topics[0].topic_id), (0, Uuid::nil()));
    assert_eq!(read.topics[0].name.as_deref(), Some(""), "null, where the version has none, is empty");
    assert_eq!(read.controller_id, -1, "a default of Kafka's");
}

#[test]
fn traces_are_short_and_keep_secrets() {
    let secret = Bytes::from_static(b"\0user\0password");
    let asked = Request::SaslAuthenticate(SaslAuthenticateRequest { auth_bytes: secret });
    assert_eq!(asked.to_string(), "SaslAuthenticate (not shown)");
    let key = Str::from("x".repeat(1000));
    let asked = Request::FindCoordinator(FindCoordinatorRequest { key, ..Default::default() });
    let shown = asked.to_string();
    assert!(shown.starts_with("FindCoordinatorRequest { key: \"xxx") && shown.ends_with("x…"), "{shown}");
    assert_eq!(shown.chars().count(), 401);
}

fn versioned<M: Versioned + Clone + std::fmt::Debug>() {
    for number in 0..=M::NEWEST {
        for seed in 0..40 {
            let message = made_up::<M>(Dice::new(seed), Version { number, flexible: false });
            let bytes = write_versioned(&message, number).unwrap();
            assert_eq!(read_versioned::<M>(bytes.clone()).unwrap(), (number, message));
            for end in 0..bytes.len() {
                assert!(read_versioned::<M>(bytes.slice(..end)).is_err());
            }
        }
    }
}

#[test]
fn what_members_say_to_each_other_carries_its_version() {
    versioned::<ConsumerProtocolSubscription>();
    versioned::<ConsumerProtocolAssignment>();
    let assigned = [0, 9, 0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, 42];
    let (number, read) = read_versioned::<ConsumerProtocolAssignment>(Bytes::copy_from_slice(&assigned)).unwrap();
    assert_eq!(number, 9, "of the future: read as the newest, and what follows is left alone");
    assert_eq!((&*read.assigned_partitions[0].topic, &read.assigned_partitions[0].partitions[..]), ("t", &[4][..]));
    assert!(read_versioned::<ConsumerProtocolAssignment>(Bytes::from_static(&[0xff, 0xff])).is_err());
}
