//! Makes the corpus of `tests/hostile`, all but what fuzzers have found there: compares the files with what is made here,
//! and writes them with `UPDATE_GOLDENFILES=1`.

use super::{BETWEEN, CLIENT_NONCE, PASSWORD, SERVER_NONCE, USER, credential};
use crate::access::{ScramClient, ScramServer, Step};
use crate::record::{
    BatchBuilder, Compression, ControlKind, ControlRecord, Header, ProducerStamp, Record, compress, stamp_offset,
};
use crate::types::{ScramMechanism, Timestamp};
use crate::wire::{
    ApiKey, ConsumerProtocolAssignment, ConsumerProtocolSubscription, Dice, Reader, Request, Response, Versioned,
    write_versioned,
};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

type Files = BTreeMap<String, Vec<u8>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

#[test]
fn the_corpus_is_what_is_made_here() {
    let made = [
        ("request", requests()),
        ("response", responses()),
        ("batch", batches()),
        ("gzip", gzip()),
        ("snappy", snappy()),
        ("lz4", lz4()),
        ("zstd", zstd()),
        ("subscription", versioned::<ConsumerProtocolSubscription>()),
        ("assignment", versioned::<ConsumerProtocolAssignment>()),
        ("scram_server", scram_server()),
        ("scram_client", scram_client()),
        ("plain", plain()),
        ("footer", of_files("idx")),
        ("snapshot", of_files("snap")),
        ("checkpoint", of_files("checkpoint.log")),
    ];
    assert_eq!(made.each_ref().map(|(name, _)| *name)[..], super::DECODERS.iter().map(|d| d.name).collect::<Vec<_>>());
    let bytes: usize = made.iter().flat_map(|(_, files)| files.values().map(Vec::len)).sum();
    assert!(bytes < 1 << 20, "the corpus has {bytes} bytes");
    for (decoder, files) in made {
        let folder = root().join("hostile/corpus").join(decoder);
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            fs::create_dir_all(&folder).unwrap();
            for name in there(&folder).filter(|name| !files.contains_key(name)) {
                fs::remove_file(folder.join(name)).unwrap();
            }
            files.iter().for_each(|(name, content)| fs::write(folder.join(name), content).unwrap());
        }
        assert!(there(&folder).eq(files.keys().cloned()), "the files of {decoder}: see the header");
        for (name, content) in files {
            assert!(
                fs::read(folder.join(&name)).unwrap() == content,
                "{decoder}/{name} is out of date: see the header"
            );
        }
    }
}

/// The names of files that are made here, in order.
fn there(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.starts_with("found-"));
    names.sort();
    names.into_iter()
}

/// Of each API the first and the last version.
fn versions() -> impl Iterator<Item = (ApiKey, i16)> {
    ApiKey::ALL.iter().flat_map(|&key| {
        let (first, last) = key.versions().into_inner();
        [Some(first), (last > first).then_some(last)].into_iter().flatten().map(move |number| (key, number))
    })
}

fn dice(key: ApiKey, number: i16) -> Dice {
    Dice::new((i64::from(key.number()) << 8 | i64::from(number)) as u64)
}

/// A request with a header: null for the client's id, and no tags if it is flexible.
fn request(key: ApiKey, number: i16, is_flexible: bool, body: &[u8]) -> Vec<u8> {
    let (key, number) = (key.number().to_be_bytes(), number.to_be_bytes());
    let tags = if is_flexible { &[0][..] } else { &[] };
    [&key[..], &number, &[0, 0, 0, 9], &[0xff, 0xff], tags, body].concat()
}

fn requests() -> Files {
    let mut files = Files::new();
    for (key, number) in versions() {
        let version = key.version(number).unwrap();
        let made_up = Request::read(key, version, Reader::of_dice(dice(key, number))).unwrap();
        let frame = made_up.to_frame(version, 7, Some("me")).unwrap().into_content();
        files.insert(format!("ok-{key}-{number}"), frame.to_vec());
    }
    let mut put = |name: &str, bytes: Vec<u8>| files.insert(name.into(), bytes);
    let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
    put("no-Metadata-five-bytes", request(ApiKey::Metadata, 12, true, &most));
    put("no-Metadata-four-bytes", request(ApiKey::Metadata, 1, false, &[0x7f, 0xff, 0xff, 0xff]));
    put("ok-Metadata-librdkafka", request(ApiKey::Metadata, 12, true, &[0, 0, 0, 0, 1, 0, 0]));
    put("ok-ApiVersions-of-the-future", request(ApiKey::ApiVersions, 99, true, b"anything"));
    put("no-tags-without-end", request(ApiKey::ApiVersions, 3, false, &most));
    put("no-tag-without-content", request(ApiKey::ApiVersions, 3, false, &[1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]));
    put("no-negative-length", request(ApiKey::Metadata, 1, false, &[0xff, 0xff, 0xff, 0xfe]));
    put("no-api", [&[0x7f, 0xff][..], &[0; 8]].concat());
    put("no-header", vec![0, 3, 0]);
    // As many elements as there are bytes, each of them many bytes in memory.
    let many = 60_000_u32.to_be_bytes();
    put("no-LeaveGroup-many", request(ApiKey::LeaveGroup, 3, false, &[&[0, 0][..], &many, &[0; 60_000]].concat()));
    put(
        "ok-DeleteGroups-many",
        request(ApiKey::DeleteGroups, 0, false, &[&20_000_u32.to_be_bytes()[..], &[0; 40_000]].concat()),
    );
    files
}

fn responses() -> Files {
    let mut files = Files::new();
    let selected = |key: ApiKey, number: i16, frame: &[u8]| {
        [&key.number().to_be_bytes()[..], &number.to_be_bytes(), frame].concat()
    };
    for (key, number) in versions() {
        let version = key.version(number).unwrap();
        let made_up = Response::read_body(key, version, &mut Reader::of_dice(dice(key, number))).unwrap();
        let frame = made_up.to_frame(version, 7).unwrap().into_content();
        files.insert(format!("ok-{key}-{number}"), selected(key, number, &frame));
    }
    let most = [0, 0, 0, 7, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    files.insert("no-Metadata-brokers".into(), selected(ApiKey::Metadata, 12, &most));
    files.insert("no-version".into(), selected(ApiKey::Metadata, 99, &[]));
    files.insert("no-id".into(), selected(ApiKey::Heartbeat, 4, &[0, 0]));
    files
}

fn record(n: usize, headers: usize) -> Record {
    let header =
        |n: usize| Header { key: format!("h{n}"), value: n.is_multiple_of(2).then(|| Bytes::from_static(b"v")) };
    Record {
        key: (!n.is_multiple_of(3)).then(|| format!("key {n}").into()),
        value: (!n.is_multiple_of(4)).then(|| "value ".repeat(n).into()),
        timestamp: Timestamp(1_700_000_000_000 + n as i64),
        headers: (0..headers).map(header).collect(),
    }
}

/// `batch` with another byte there, or more of them, and the checksum that goes with it.
fn with(batch: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut batch = batch.to_vec();
    batch[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crate::record::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn batches() -> Files {
    let mut files = Files::new();
    let built = |builder: BatchBuilder, records: usize, headers: usize| {
        let mut builder = builder;
        (0..records).for_each(|n| builder.push(&record(n, headers)));
        builder.finish().to_vec()
    };
    let stamp = ProducerStamp { producer_id: 7, producer_epoch: 1, base_sequence: 9 };
    for codec in Compression::ALL {
        files.insert(format!("ok-{codec}"), built(BatchBuilder::new(codec).stamp(stamp), 40, 2));
    }
    let plain = built(BatchBuilder::new(Compression::None), 3, 1);
    let transactional = built(BatchBuilder::new(Compression::None).stamp(stamp).transactional(), 2, 0);
    let marker =
        ControlRecord { kind: ControlKind::Commit, coordinator_epoch: 3 }.to_batch(7, 1, Timestamp(5)).to_vec();
    let mut several = [&plain[..], &transactional, &marker].concat();
    stamp_offset(&mut several[plain.len()..], 3, 1);
    stamp_offset(&mut several[plain.len() + transactional.len()..], 5, 1);
    let zeros = Record { value: Some(vec![0; 8 << 20].into()), ..Record::default() };
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let mut bomb = BatchBuilder::new(codec);
        bomb.push(&zeros);
        files.insert(format!("no-bomb-{codec}"), bomb.finish().to_vec());
    }
    let cut = plain[..plain.len() - 1].to_vec();
    let mut put = |name: &str, bytes: Vec<u8>| files.insert(name.into(), bytes);
    put("no-record-that-is-longer", with(&plain, 61, &[0x7f]));
    put("no-count-of-records", with(&with(&plain, 57, &[0x7f, 0xff, 0xff, 0xff]), 23, &[0x7f, 0xff, 0xff, 0xff]));
    put("no-codec", with(&plain, 21, &[0, 7]));
    put("no-magic", with(&plain, 16, &[1]));
    put("no-batch", b"fewer bytes than a header has".to_vec());
    put("no-cut", cut);
    put("ok-last-offsets", with(&plain, 0, &(i64::MAX - 3).to_be_bytes()));
    put("no-offsets-over-the-end", with(&plain, 0, &i64::MAX.to_be_bytes()));
    put("ok-times-of-any-size", with(&plain, 27, &i64::MIN.to_be_bytes()));
    put("ok-several", several);
    put("ok-marker", marker);
    put("ok-headers", built(BatchBuilder::new(Compression::None), 1, 3000));
    let nothing = Header { key: String::new(), value: None };
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(&Record { headers: vec![nothing; 20_000], ..Record::default() });
    put("ok-headers-of-nothing", builder.finish().to_vec());
    put("ok-plain", plain);
    files
}

const TEXT: &[u8] =
    b"It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of it.";

/// What each codec reads: text, zeros, a bomb, and one that is cut off.
fn blocks(codec: Compression, bomb: usize) -> Files {
    let text = compress(codec, &TEXT.repeat(3), 0).unwrap();
    let cut = text[..text.len() - 3].to_vec();
    let files = [
        ("no-bomb", compress(codec, &vec![0; bomb], 0).unwrap()),
        ("no-codec", TEXT.to_vec()),
        ("no-cut", cut),
        ("ok-text", text),
        ("ok-zeros", compress(codec, &[0; 60_000], 0).unwrap()),
    ];
    files.into_iter().map(|(name, bytes)| (name.into(), bytes)).collect()
}

fn gzip() -> Files {
    let mut files = blocks(Compression::Gzip, 16 << 20);
    let member = compress(Compression::Gzip, &[0; 60_000], 0).unwrap();
    files.insert("no-bomb-of-members".into(), member.repeat(64));
    // A member of nothing; and one with a name that does not end.
    let nothing = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    files.insert("ok-members-of-nothing".into(), nothing.repeat(500));
    files.insert("no-end-of-the-name".into(), [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 0xff][..], &[b'a'; 9000]].concat());
    files
}

fn snappy() -> Files {
    let mut files = blocks(Compression::Snappy, 1 << 20);
    let framed = files["ok-text"].clone();
    files.insert("ok-raw".into(), framed[20..].to_vec());
    files.insert("no-claim-of-4-gib".into(), vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    files.insert("no-long-block".into(), [&framed[..16], &[0xff; 4], &framed[20..]].concat());
    files
}

fn lz4() -> Files {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write as _;
    let mut files = blocks(Compression::Lz4, 4 << 20);
    let frame = |info: FrameInfo, content: &[u8]| {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let linked = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Linked);
    let noise: Vec<u8> = (0..24_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let checked = FrameInfo::new().block_checksums(true).content_checksum(true);
    files.insert("ok-linked".into(), frame(linked, &[&noise[..], &[1; 24_000], &noise].concat()));
    files.insert("ok-checksums".into(), frame(checked.content_size(Some(TEXT.len() as u64)), TEXT));
    files.insert("ok-large-blocks".into(), frame(FrameInfo::new().block_size(BlockSize::Max4MB), TEXT));
    let mut wrong = frame(FrameInfo::new().content_checksum(true), TEXT);
    *wrong.last_mut().unwrap() ^= 1;
    files.insert("no-checksum".into(), wrong);
    // A block that says it has 4 MiB, in a frame that may have such.
    let mut claims = frame(FrameInfo::new().block_size(BlockSize::Max4MB), TEXT);
    claims[7..11].copy_from_slice(&(4_u32 << 20).to_le_bytes());
    files.insert("no-claim-of-4-mib".into(), claims);
    files
}

fn zstd() -> Files {
    let mut files = blocks(Compression::Zstd, 16 << 20);
    let frame = compress(Compression::Zstd, &[0; 60_000], 0).unwrap();
    files.insert("no-bomb-of-frames".into(), frame.repeat(100));
    // A frame of nothing that asks for 128 MiB to look back on, and one that asks for 2 GiB.
    for (name, window) in [("ok-window-of-128-mib", 17 << 3), ("no-window-of-2-gib", 21 << 3)] {
        files.insert(name.into(), vec![0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0]);
    }
    files
}

fn versioned<M: Versioned>() -> Files {
    let mut files = Files::new();
    for number in 0..=M::NEWEST {
        // Its versions up to 3 are not flexible either.
        let version = ApiKey::Heartbeat.version(number).unwrap();
        let message = M::read(&mut Reader::of_dice(Dice::new(number as u64)), version).unwrap();
        files.insert(format!("ok-{number}"), write_versioned(&message, number).unwrap().to_vec());
    }
    let newest = files[&format!("ok-{}", M::NEWEST)].clone();
    files.insert("ok-of-the-future".into(), [&[0x7f, 0xff][..], &newest[2..], b"more"].concat());
    files.insert("no-version".into(), [&[0xff, 0xff][..], &newest[2..]].concat());
    files.insert("no-count".into(), vec![0, 0, 0x7f, 0xff, 0xff, 0xff, 0]);
    files
}

/// Both sides' messages of an exchange that succeeds: first, challenge, last, and the server's last.
fn exchange(mechanism: ScramMechanism) -> [Vec<u8>; 4] {
    let mut client = ScramClient::new(mechanism, USER, PASSWORD, CLIENT_NONCE.into());
    let mut server = ScramServer::new(mechanism, SERVER_NONCE.into(), [7; 32]);
    let first = client.first();
    let Ok(Step::Continue(challenge)) = server.step(&first, |_| Some(credential(mechanism))) else { panic!() };
    let last = client.answer(&challenge).unwrap();
    let Ok(Step::Done { message, .. }) = server.step(&last, |_| None) else { panic!() };
    client.verify(&message).unwrap();
    [first, challenge, last, message]
}

fn both(number: u8, first: &[u8], second: &[u8]) -> Vec<u8> {
    [&[number][..], first, &[BETWEEN], second].concat()
}

fn scram_server() -> Files {
    let mut files = Files::new();
    for (number, mechanism) in [(0, ScramMechanism::Sha256), (1, ScramMechanism::Sha512)] {
        let [first, _, last, _] = exchange(mechanism);
        files.insert(format!("ok-{}", mechanism.name()), both(number, &first, &last));
        files.insert(format!("no-user-{number}"), both(number, b"n,,n=mallory,r=abc", &last));
        files.insert(format!("no-other-mechanism-{number}"), both(1 - number, &first, &last));
    }
    let [first, ..] = exchange(ScramMechanism::Sha256);
    let nonce = format!("c=biws,r={CLIENT_NONCE}{SERVER_NONCE}");
    files.insert("no-proof".into(), both(0, &first, format!("{nonce},p=").as_bytes()));
    files.insert("no-short-proof".into(), both(0, &first, format!("{nonce},p=AAAA").as_bytes()));
    files.insert("no-other-nonce".into(), both(0, &first, format!("c=biws,r={CLIENT_NONCE},p=AAAA").as_bytes()));
    files.insert("no-channel-binding".into(), both(0, b"p=tls-unique,,n=alice,r=abc", b""));
    files.insert("no-other-user".into(), both(0, b"n,a=bob,n=alice,r=abc", b""));
    files.insert("no-escape".into(), both(0, b"n,,n=al=3Gice,r=abc", b""));
    files.insert("no-long-message".into(), both(0, &[b"n,,n=alice,r=", &[b'a'; 5000][..]].concat(), b""));
    files.insert("ok-first-alone".into(), [&[0][..], b"n,,n=al=2Cice,r=abc"].concat());
    files
}

fn scram_client() -> Files {
    let mut files = Files::new();
    for (number, mechanism) in [(0, ScramMechanism::Sha256), (1, ScramMechanism::Sha512)] {
        let [_, challenge, _, message] = exchange(mechanism);
        files.insert(format!("ok-{}", mechanism.name()), both(number, &challenge, &message));
        files.insert(format!("no-signature-{number}"), both(number, &challenge, b"v=AAAA"));
    }
    let [_, challenge, _, _] = exchange(ScramMechanism::Sha256);
    files.insert("no-error".into(), both(0, &challenge, b"e=other-error"));
    let said = |nonce: &str, rest: &str| both(0, format!("r={nonce},{rest}").as_bytes(), b"");
    files.insert("no-other-nonce".into(), said("somebodyelses", "s=TmFDbA==,i=4096"));
    files.insert("no-nonce-of-the-server".into(), said(CLIENT_NONCE, "s=TmFDbA==,i=4096"));
    let nonce = format!("{CLIENT_NONCE}more");
    files.insert("no-few-iterations".into(), said(&nonce, "s=TmFDbA==,i=1"));
    files.insert("no-endless-iterations".into(), said(&nonce, "s=TmFDbA==,i=4294967295"));
    files.insert("no-salt".into(), said(&nonce, "s=*,i=4096"));
    files
}

fn plain() -> Files {
    let messages: [(&str, &[u8]); 7] = [
        ("ok-user", b"\0alice\0secret"),
        ("ok-user-for-itself", b"alice\0alice\0secret"),
        ("no-other-user", b"bob\0alice\0secret"),
        ("no-password", b"\0alice\0wrong"),
        ("no-user", b"\0mallory\0secret"),
        ("no-parts", b"alice secret"),
        ("no-more-parts", b"\0alice\0secret\0"),
    ];
    messages.into_iter().map(|(name, bytes)| (name.into(), bytes.to_vec())).collect()
}

/// Files of the checked-in data directories whose names end so.
fn of_files(end: &str) -> Files {
    let mut files = Files::new();
    let mut folders = vec![root().join("format/v2")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_str().unwrap().ends_with(end) {
                let content = fs::read(&path).unwrap();
                let name = format!("ok-{:08x}", crate::record::crc32c(&content));
                files.insert(name, content);
            }
        }
    }
    if end != "checkpoint.log" {
        files.insert("no-file".into(), b"not a file of this kind".to_vec());
    }
    files
}
