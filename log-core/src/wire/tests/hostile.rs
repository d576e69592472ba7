//! Bytes that are no message: cut short, changed, random. Nothing panics, and memory stays within the budget.

use super::*;
use crate::wire::reader::{BUDGET_BASE, BUDGET_PER_BYTE};

/// What a frame may make a reader allocate for arrays.
fn budget(bytes: usize) -> usize {
    bytes * BUDGET_PER_BYTE + BUDGET_BASE
}

#[test]
fn the_budget_keeps_its_promise() {
    for bytes in [0, 1000, 100 << 20] {
        assert!(bytes + budget(bytes) <= 16 * bytes + (1 << 20));
    }
}

#[test]
fn a_message_that_is_cut_short_is_refused() {
    for codec in codecs() {
        for seed in 0..4 {
            let bytes = (codec.random)(seed, codec.version);
            for end in 0..bytes.len() {
                let read = (codec.again)(bytes.slice(..end), codec.version);
                assert!(read.is_err(), "{} seed {seed}: {end} of {} bytes", codec.name, bytes.len());
            }
        }
    }
}

#[test]
fn a_message_that_is_followed_by_more_is_refused() {
    for codec in codecs() {
        let bytes = (codec.random)(7, codec.version);
        let read = (codec.again)([&bytes[..], &[0]].concat().into(), codec.version);
        assert!(read.unwrap_err().to_string().contains("1 bytes follow the message"), "{}", codec.name);
    }
}

/// As librdkafka asks for all topics.
#[test]
fn a_request_may_be_followed_by_more() {
    let version = ApiKey::Metadata.version(12).unwrap();
    let reader = Reader::new(Bytes::from_static(&[0, 0, 0, 0, 1, 0, 0]));
    let request = api::MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
    assert_eq!(Request::read(ApiKey::Metadata, version, reader).unwrap(), Request::Metadata(request));
}

#[test]
fn changed_bytes_are_read_within_the_budget_or_refused() {
    for codec in codecs() {
        let mut dice = Dice::new(1);
        for seed in 0..40 {
            let bytes = (codec.random)(seed, codec.version);
            let mut bytes = bytes.to_vec();
            for _ in 0..16.min(bytes.len()) {
                let at = dice.below(bytes.len());
                let before = bytes[at];
                bytes[at] = [0xff, 0x7f, 0, dice.next() as u8][dice.below(4)];
                if let Ok((_, allocated)) = (codec.again)(bytes.clone().into(), codec.version) {
                    assert!(allocated <= budget(bytes.len()), "{} seed {seed}", codec.name);
                }
                bytes[at] = before;
            }
        }
    }
}

#[test]
fn random_bytes_are_read_within_the_budget_or_refused() {
    for codec in codecs() {
        let mut dice = Dice::new(2);
        for round in 0..60 {
            let length = dice.below(200);
            let bytes: Bytes = (0..length).map(|_| (dice.next() >> (round % 8)) as u8).collect();
            if let Ok((_, allocated)) = (codec.again)(bytes.clone(), codec.version) {
                assert!(allocated <= budget(bytes.len()), "{} round {round}", codec.name);
            }
        }
    }
}

/// Five bytes of array length made another implementation allocate 154 GB.
#[test]
fn a_length_alone_allocates_nothing() {
    for number in ApiKey::Metadata.versions() {
        let version = ApiKey::Metadata.version(number).unwrap();
        let length = if version.flexible { &[0xff, 0xff, 0xff, 0xff, 0x0f][..] } else { &[0x7f, 0xff, 0xff, 0xff] };
        let error = again::<MetadataRequest>(Bytes::copy_from_slice(length), version).unwrap_err().to_string();
        assert!(error.contains("MetadataRequest.topics") && error.contains("0 bytes remain"), "v{number}: {error}");
    }
}

#[test]
fn errors_say_where() {
    let bytes = Bytes::from_static(&[0xff, 0xff, 0, 1, 0, 0, 0, 9, 0, 0, 0, 3, 0, 1]);
    let version = ApiKey::Produce.version(3).unwrap();
    let error = again::<ProduceRequest>(bytes, version).unwrap_err().to_string();
    assert_eq!(
        error,
        "malformed bytes: ProduceRequest.topic_data at byte 12: 3 elements of at least 1 bytes announced, 2 bytes remain"
    );
    let null_topics = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    let error = again::<MetadataRequest>(null_topics, ApiKey::Metadata.version(0).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "malformed bytes: MetadataRequest.topics at byte 4: null, which version 0 does not allow");
}
