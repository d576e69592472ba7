//! The decoders of bytes that others have written, each as one function: what fuzzers and `tests/hostile` call. Only with
//! the feature `fuzzing`, and not for anyone else.
//!
//! ```text
//!   input ──decode──▶ refused, or a check ──run──▶ what was decoded says the same when it is written and read again
//!           measured                   not measured
//! ```
//! Invariants, which the callers look after: no input panics, and decoding takes at most [`Decoder::heap_max`] bytes of
//! the heap at its peak. Where a checksum would turn nearly every input away, a copy with the right one is decoded too:
//! who means harm writes the right one.
//!
//! The first bytes of some inputs say what the rest is:
//!
//! ```text
//!   response              api key i16 │ version i16 │ the frame's content, as a client receives it
//!   subscription, assignment          as they are, version first
//!   scram_server          mechanism u8 │ first message │ 0xff │ last message
//!   scram_client          mechanism u8 │ challenge │ 0xff │ last message
//!   gzip, snappy, …       a compressed block
//! ```

#[cfg(test)]
mod corpus;

use crate::access::{Credentials, ScramClient, ScramServer, Step, credential_of, salted_password};
use crate::record::{
    self, BATCH_HEAD_BYTES, BATCH_HEADER_BYTES, Batch, BatchHeader, Compression, ControlRecord, StoredRecord, batches,
    records_from,
};
use crate::storage;
use crate::types::{Error, Offset, Result, ScramCredential, ScramMechanism};
use crate::wire::{
    ApiKey, ConsumerProtocolAssignment, ConsumerProtocolSubscription, Reader, Request, RequestHeader, Response,
    Versioned, read_versioned, write_versioned,
};
use bytes::Bytes;
use std::sync::OnceLock;

/// What to do with what was decoded; it panics if that was nonsense.
pub type Check = Box<dyn FnOnce()>;

/// What the heap may take whatever the input is.
const HEAP_BASE: usize = 1 << 20;
/// What an output of a compressed block may have here, for each of its bytes and in any case.
const OUTPUT_PER_BYTE: usize = 4;
const OUTPUT_BASE: usize = 64 << 10;
/// Between two messages of an exchange. It is in no UTF-8.
const BETWEEN: u8 = 0xff;

/// The user of the exchanges and PLAIN messages that succeed.
pub const USER: &str = "alice";
/// Their password.
pub const PASSWORD: &str = "secret";
/// The nonce of their client.
pub const CLIENT_NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
/// The nonce of their server.
pub const SERVER_NONCE: &str = "3rfcNHYJY1ZVvWVs7j";

/// One decoder.
#[derive(Debug)]
pub struct Decoder {
    /// Its name, which is that of the fuzz target and of its corpus.
    pub name: &'static str,
    /// What the heap may take for each byte of the input.
    heap_per_byte: usize,
    decode: fn(&[u8]) -> Result<Check>,
}

impl Decoder {
    const fn new(name: &'static str, decode: fn(&[u8]) -> Result<Check>) -> Self {
        Self { name, heap_per_byte: 16, decode }
    }

    /// Of files, which only this program writes: memory is not what they are watched for.
    const fn of_file(name: &'static str, decode: fn(&[u8]) -> Result<Check>) -> Self {
        Self { name, heap_per_byte: 400, decode }
    }

    /// What the heap may take at most while an input of so many bytes is decoded.
    pub const fn heap_max(&self, bytes: usize) -> usize {
        self.heap_per_byte * bytes + HEAP_BASE
    }

    /// Decodes an input or refuses it.
    pub fn decode(&self, input: &[u8]) -> Result<Check> {
        (self.decode)(input)
    }

    /// The decoder of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        DECODERS.iter().find(|decoder| decoder.name == name)
    }
}

/// All of them.
pub const DECODERS: &[Decoder] = &[
    Decoder::new("request", request),
    Decoder::new("response", response),
    // A header of two bytes in a record is one of 56 in memory.
    Decoder { name: "batch", heap_per_byte: 32, decode: batch },
    Decoder::new("gzip", |input| block(Compression::Gzip, input)),
    Decoder::new("snappy", |input| block(Compression::Snappy, input)),
    Decoder::new("lz4", |input| block(Compression::Lz4, input)),
    Decoder::new("zstd", |input| block(Compression::Zstd, input)),
    Decoder::new("subscription", versioned::<ConsumerProtocolSubscription>),
    Decoder::new("assignment", versioned::<ConsumerProtocolAssignment>),
    Decoder::new("scram_server", scram_server),
    Decoder::new("scram_client", scram_client),
    Decoder::new("plain", plain),
    Decoder::of_file("footer", storage::fuzzing::footer),
    Decoder::of_file("snapshot", storage::fuzzing::snapshot),
    Decoder::of_file("checkpoint", |input| Ok(storage::fuzzing::checkpoint(input))),
];

fn no_check() -> Check {
    Box::new(|| ())
}

/// A request with its header, as a server receives it.
fn request(input: &[u8]) -> Result<Check> {
    let mut reader = Reader::of_request(Bytes::copy_from_slice(input));
    let header = RequestHeader::read(&mut reader)?;
    let Some(version) = header.version() else { return Ok(no_check()) };
    let request = Request::read(header.key, version, reader)?;
    Ok(Box::new(move || {
        let written = |request: &Request| {
            let frame = request.to_frame(version, header.correlation_id, header.client_id.as_deref());
            frame.expect("what fits a frame fits it again").into_content()
        };
        let first = written(&request);
        let mut reader = Reader::new(first.clone());
        let again = RequestHeader::read(&mut reader).expect("a header that was written is read");
        assert_eq!(again, header);
        let again = Request::read(header.key, version, reader).expect("a request that was written is read");
        assert_eq!(written(&again), first, "{}", header.key);
        // What a trace shows of it.
        assert!(!request.to_string().is_empty());
    }))
}

/// A response, as a client receives it.
fn response(input: &[u8]) -> Result<Check> {
    let short = || Error::Malformed { why: "no API and version".into() };
    let (&[k0, k1, v0, v1], content) = input.split_first_chunk().ok_or_else(short)?;
    let key = ApiKey::from_number(i16::from_be_bytes([k0, k1])).ok_or_else(short)?;
    let version = key.version(i16::from_be_bytes([v0, v1])).ok_or_else(short)?;
    let (id, response) = Response::read(key, version, Bytes::copy_from_slice(content))?;
    Ok(Box::new(move || {
        let written = |response: &Response| response.to_frame(version, id).expect("it fits a frame").into_content();
        let first = written(&response);
        let (again_id, again) = Response::read(key, version, first.clone()).expect("what was written is read");
        assert_eq!((again_id, written(&again)), (id, first), "{key}");
        assert!(!response.to_string().is_empty());
    }))
}

/// Batches with their records: as they are, and the first with the right length and checksum.
fn batch(input: &[u8]) -> Result<Check> {
    let bytes = Bytes::copy_from_slice(input);
    let _ = record::validate(&bytes, u32::MAX);
    let _ = ControlRecord::parse(&bytes);
    let mut position = 0;
    let as_it_is = records_of(&bytes, &mut position);
    let mut mended = input.to_vec();
    if as_it_is.is_err() && mended.len() >= BATCH_HEADER_BYTES {
        let total = mended.len();
        record::set_batch_bytes(&mut mended, total);
        let crc = record::crc32c(&mended[BATCH_HEAD_BYTES..]).to_be_bytes();
        mended[BATCH_HEAD_BYTES - crc.len()..BATCH_HEAD_BYTES].copy_from_slice(&crc);
        let _ = record::validate(&mended, u32::MAX);
        let _ = ControlRecord::parse(&mended);
        let mended = Bytes::from(mended);
        records_of(&mended, &mut position)?;
        return Ok(Box::new(move || check_batches(&mended)));
    }
    as_it_is?;
    Ok(Box::new(move || check_batches(&bytes)))
}

/// Reads every record, of compressed batches only if that takes no more than it may.
fn records_of(bytes: &Bytes, position: &mut Offset) -> Result<()> {
    for batch in batches(bytes.clone()) {
        let batch = batch?;
        let codec = batch.header.compression;
        if codec != Compression::None {
            let block = &batch.bytes[BATCH_HEADER_BYTES..];
            record::decompress(codec, block, OUTPUT_PER_BYTE * block.len() + OUTPUT_BASE)?;
        }
        record::records_at(batch.bytes, position).try_for_each(|record| record.map(drop))?;
    }
    Ok(())
}

fn check_batches(bytes: &Bytes) {
    let all = |batch: &Batch| -> Vec<StoredRecord> {
        records_from(batch).and_then(Iterator::collect).expect("its records have been read")
    };
    for batch in batches(bytes.clone()) {
        let batch = batch.expect("it was read");
        let records = all(&batch);
        assert!(records.is_sorted_by(|a, b| a.offset < b.offset));
        let within =
            |record: &StoredRecord| (batch.header.base_offset..=batch.header.last_offset()).contains(&record.offset);
        assert!(records.iter().all(within));
        if batch.header.is_control {
            continue;
        }
        for other in [
            record::rebuild(&batch, None, |_| true).expect("it is whole"),
            record::recompress(&batch, Compression::None, 1 << 24).ok(),
        ] {
            let Some(bytes) = other else { continue };
            let header = BatchHeader::parse(&bytes).expect("it is a batch").expect("it is whole");
            assert_eq!(all(&Batch { header, bytes }), records);
        }
    }
}

/// A compressed block.
fn block(codec: Compression, input: &[u8]) -> Result<Check> {
    let max = OUTPUT_PER_BYTE * input.len() + OUTPUT_BASE;
    let out = record::decompress(codec, input, max)?;
    assert!(out.len() <= max);
    Ok(Box::new(move || {
        let Some(again) = record::compress(codec, &out, 0) else { return };
        assert_eq!(record::decompress(codec, &again, out.len()).expect("it was compressed here"), out);
    }))
}

/// What members of a classic group tell each other.
fn versioned<M: Versioned + 'static>(input: &[u8]) -> Result<Check> {
    let (number, message) = read_versioned::<M>(Bytes::copy_from_slice(input))?;
    Ok(Box::new(move || {
        let bytes = write_versioned(&message, number).expect("it fits a frame");
        let (_, again) = read_versioned::<M>(bytes).expect("what was written is read");
        assert!(again == message);
    }))
}

/// The credential of [`USER`].
fn credential(mechanism: ScramMechanism) -> ScramCredential {
    // It takes milliseconds to make.
    static MADE: [OnceLock<ScramCredential>; 2] = [const { OnceLock::new() }; 2];
    let made = || {
        let salt = b"NaCl".to_vec();
        let salted = salted_password(mechanism, PASSWORD.as_bytes(), &salt, 4096);
        credential_of(mechanism, &salted, salt, 4096)
    };
    MADE[usize::from(mechanism == ScramMechanism::Sha512)].get_or_init(made).clone()
}

/// The mechanism and the two messages of an exchange.
type Exchange<'a> = (ScramMechanism, &'a [u8], Option<&'a [u8]>);

fn exchange(input: &[u8]) -> Result<Exchange<'_>> {
    let (first, messages) = input.split_first().ok_or_else(|| Error::Malformed { why: "no mechanism".into() })?;
    let mechanism = if first & 1 == 0 { ScramMechanism::Sha256 } else { ScramMechanism::Sha512 };
    Ok(match messages.iter().position(|byte| *byte == BETWEEN) {
        Some(at) => (mechanism, &messages[..at], Some(&messages[at + 1..])),
        None => (mechanism, messages, None),
    })
}

fn scram_server(input: &[u8]) -> Result<Check> {
    let (mechanism, first, last) = exchange(input)?;
    let mut server = ScramServer::new(mechanism, SERVER_NONCE.into(), [7; 32]);
    let known = |user: &str| (user == USER).then(|| credential(mechanism));
    let Step::Continue(challenge) = server.step(first, known)? else { panic!("a peer is believed at once") };
    assert!(challenge.starts_with(b"r=") && !challenge.contains(&0));
    let Some(last) = last else { return Ok(no_check()) };
    let Step::Done { user, .. } = server.step(last, |_| None)? else { panic!("an exchange has two steps") };
    assert_eq!(user, USER, "nobody else has a password");
    Ok(Box::new(move || assert!(server.step(b"", |_| None).is_err(), "an exchange ends")))
}

fn scram_client(input: &[u8]) -> Result<Check> {
    let (mechanism, challenge, last) = exchange(input)?;
    let mut client = ScramClient::new(mechanism, USER, PASSWORD, CLIENT_NONCE.into());
    let answer = client.answer(challenge)?;
    assert!(answer.starts_with(b"c=biws,r="));
    if let Some(last) = last {
        client.verify(last)?;
    }
    Ok(no_check())
}

fn plain(input: &[u8]) -> Result<Check> {
    let mut users = Credentials::default();
    users.insert(USER.to_owned(), credential(ScramMechanism::Sha256));
    assert!(users.known_by(input).users() <= 1);
    let user = users.check_plain(input)?;
    let said = |authzid: &str| format!("{authzid}\0{USER}\0{PASSWORD}").into_bytes();
    assert!(user == USER && (input == said("") || input == said(USER)), "nobody else has this password");
    Ok(no_check())
}
