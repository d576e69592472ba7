//! Hostile peers against a broker that runs: does anyone else notice, and does it keep to its memory?
//!
//! ```text
//!   peers ADDRESS PID BUDGET_MIB SECONDS CONNECTIONS [times-are-told]
//!
//!                 one good client: small requests, one after the other, from 127.0.0.1
//!   broker ◀──┤
//!                 many bad ones, from 127.0.0.2 and on: a kind of them after the other, each for so many seconds
//! ```
//! For each kind it prints the good client's p50 and p99 beside those of a quiet broker just before, and what the broker
//! holds (the resident set, and its peak since the kind began). It fails if the p99 is more than twice the quiet one and
//! more than a floor above it (with `times-are-told` that is only said: on a machine that others use it proves nothing), if
//! the memory is over its budget, or if the good client is refused.
//!
//! Left out: TLS, users; what a decoder makes of each kind of bytes, which is the corpus's.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures a process, and tells who asked")]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};
use tailwater_log::record::{BatchBuilder, Compression, Record};

/// A difference that is the machine's, not the broker's.
const FLOOR: Duration = Duration::from_millis(3);
/// From when peers begin until they are what they are.
const SETTLING: Duration = Duration::from_secs(3);
/// How often the p99 is measured at most until it is within its bound: others use the machine too.
const TRIES: usize = 3;
const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const LEAVE_GROUP: i16 = 13;
const API_VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;
const DELETE_GROUPS: i16 = 42;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (args, times_count) = match args.split_last() {
        Some((last, args)) if last == "times-are-told" => (args, false),
        _ => (&args[..], true),
    };
    let [address, pid, budget, seconds, connections] = args else {
        println!("usage: peers ADDRESS PID BUDGET_MIB SECONDS CONNECTIONS [times-are-told]");
        return ExitCode::from(2);
    };
    let number = |text: &String| text.parse::<u64>().expect("a number");
    let run = Run {
        broker: address.parse().expect("an address"),
        pid: number(pid),
        budget: number(budget) << 20,
        span: Duration::from_secs(number(seconds)),
        connections: number(connections) as usize,
        times_count,
    };
    match run.all() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("the good client was not served: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Run {
    broker: SocketAddr,
    pid: u64,
    budget: u64,
    span: Duration,
    connections: usize,
    times_count: bool,
}

/// What one kind of peers does until it is told to stop; it counts what it has begun.
type Kind = fn(&Run, &AtomicBool, &AtomicU64);

const KINDS: &[(&str, Kind)] = &[
    ("half-open connections", half_open),
    ("one byte a second", one_byte_a_second),
    ("frames that hold memory", slow_large_frames),
    ("frames of any length, and garbage", garbage),
    ("arrays that are large in memory", large_arrays),
    ("bombs into a plain topic", |run, stop, count| bombs(run, "plain", stop, count)),
    ("bombs into a compacted topic", |run, stop, count| bombs(run, "compacted", stop, count)),
    ("answers that nobody reads", never_reading),
];

impl Run {
    fn all(&self) -> io::Result<bool> {
        let mut good = Client::connect(self.broker, 1)?;
        good.create("plain", "delete")?;
        good.create("compacted", "compact")?;
        println!(
            "{:<36} {:>8} {:>19} {:>19} {:>6} {:>9}",
            "", "peers", "p50 quiet/with ms", "p99 quiet/with ms", "ratio", "peak MiB"
        );
        let mut is_good = true;
        for (name, kind) in KINDS {
            let mut tries = 0;
            let row = loop {
                let row = self.against(&mut good, *kind)?;
                tries += 1;
                if row.is_fast() || tries == TRIES {
                    break row;
                }
            };
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            println!(
                "{name:<36} {:>8} {:>9.2}/{:>9.2} {:>9.2}/{:>9.2} {:>6.2} {:>9}{}",
                row.peers,
                ms(row.quiet.p50),
                ms(row.with.p50),
                ms(row.quiet.p99),
                ms(row.with.p99),
                row.with.p99.as_secs_f64() / row.quiet.p99.as_secs_f64(),
                row.peak >> 20,
                if row.is_fast() && row.peak <= self.budget { "" } else { "   TOO MUCH" },
            );
            is_good &= (row.is_fast() || !self.times_count) && row.peak <= self.budget;
        }
        Ok(is_good)
    }

    fn against(&self, good: &mut Client, kind: Kind) -> io::Result<Row> {
        let quiet = good.measure(self.span)?;
        self.reset_peak();
        let (stop, peers) = (Arc::new(AtomicBool::new(false)), AtomicU64::new(0));
        let with = thread::scope(|scope| {
            let (stop_them, peers) = (stop.clone(), &peers);
            scope.spawn(move || kind(self, &stop_them, peers));
            // So that they are there, and what the kernel keeps for those who do not read is full.
            thread::sleep(SETTLING);
            let with = good.measure(self.span);
            stop.store(true, Ordering::Relaxed);
            with
        })?;
        // Whoever comes anew is served as well.
        Client::connect(self.broker, 1)?.api_versions()?;
        Ok(Row { peers: peers.into_inner(), quiet, with, peak: self.memory("VmHWM:") })
    }

    /// The kernel forgets the highest resident set there was.
    fn reset_peak(&self) {
        let _ = fs::write(format!("/proc/{}/clear_refs", self.pid), "5");
    }

    fn memory(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the broker runs");
        line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("kB") << 10
    }

    /// A connection from the hostile address `127.0.0.n`, or what is left of one.
    fn hostile(&self, n: u8) -> io::Result<TcpStream> {
        let stream = connect(self.broker, n)?;
        stream.set_write_timeout(Some(Duration::from_millis(100)))?;
        stream.set_nonblocking(true)?;
        Ok(stream)
    }
}

struct Row {
    peers: u64,
    quiet: Times,
    with: Times,
    peak: u64,
}

impl Row {
    fn is_fast(&self) -> bool {
        self.with.p99 <= (self.quiet.p99 * 2).max(self.quiet.p99 + FLOOR)
    }
}

#[derive(Clone, Copy)]
struct Times {
    p50: Duration,
    p99: Duration,
}

/// A connection to `broker` from 127.0.0.`n`.
fn connect(broker: SocketAddr, n: u8) -> io::Result<TcpStream> {
    // The standard library cannot bind before it connects.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, n], 0)).into())?;
    socket.connect_timeout(&broker.into(), Duration::from_secs(5))?;
    Ok(socket.into())
}

/// A client that keeps to the protocol.
struct Client {
    stream: TcpStream,
    batch: Vec<u8>,
}

impl Client {
    fn connect(broker: SocketAddr, n: u8) -> io::Result<Self> {
        let stream = connect(broker, n)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream, batch: batch(Compression::None, 1000) })
    }

    fn ask(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.stream.write_all(&frame(key, version, body))?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer)?;
        Ok(answer)
    }

    fn api_versions(&mut self) -> io::Result<()> {
        self.ask(API_VERSIONS, 0, &[]).map(drop)
    }

    fn create(&mut self, name: &str, policy: &str) -> io::Result<()> {
        let mut body = 1_i32.to_be_bytes().to_vec();
        text(&mut body, name);
        body.extend_from_slice(&1_i32.to_be_bytes());
        body.extend_from_slice(&1_i16.to_be_bytes());
        body.extend_from_slice(&0_i32.to_be_bytes());
        let configs = [("cleanup.policy", policy), ("tailwater.flush", "os")];
        body.extend_from_slice(&(configs.len() as i32).to_be_bytes());
        for (name, value) in configs {
            text(&mut body, name);
            text(&mut body, value);
        }
        body.extend_from_slice(&5000_i32.to_be_bytes());
        body.push(0);
        let answer = self.ask(CREATE_TOPICS, 2, &body)?;
        // Correlation id, throttle time, count, name.
        let code = answer.get(14 + name.len()..16 + name.len());
        if code == Some(&[0, 0]) { Ok(()) } else { Err(io::Error::other(format!("{name}: {answer:?}"))) }
    }

    /// Asks and sends for so long.
    fn measure(&mut self, span: Duration) -> io::Result<Times> {
        let mut times = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < span {
            let before = Instant::now();
            if times.len() % 2 == 0 {
                let body = produce("plain", &self.batch);
                let answer = self.ask(PRODUCE, 3, &body)?;
                // Correlation id, topics, name, partitions, index.
                if answer.get(23..25) != Some(&[0, 0]) {
                    return Err(io::Error::other(format!("a batch was refused: {answer:?}")));
                }
            } else {
                let mut body = 1_i32.to_be_bytes().to_vec();
                text(&mut body, "plain");
                self.ask(METADATA, 1, &body)?;
            }
            times.push(before.elapsed());
            thread::sleep(Duration::from_micros(500));
        }
        times.sort();
        Ok(Times { p50: times[times.len() / 2], p99: times[times.len() * 99 / 100] })
    }
}

fn text(body: &mut Vec<u8>, text: &str) {
    body.extend_from_slice(&(text.len() as i16).to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

/// A request as it goes out, for versions that are not flexible.
fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let header = [&key.to_be_bytes()[..], &version.to_be_bytes(), &[0, 0, 0, 1], &[0xff, 0xff]].concat();
    [&((header.len() + body.len()) as i32).to_be_bytes()[..], &header, body].concat()
}

fn produce(topic: &str, batch: &[u8]) -> Vec<u8> {
    let mut body = [&[0xff, 0xff][..], &1_i16.to_be_bytes(), &5000_i32.to_be_bytes(), &1_i32.to_be_bytes()].concat();
    text(&mut body, topic);
    body.extend_from_slice(&1_i32.to_be_bytes());
    body.extend_from_slice(&0_i32.to_be_bytes());
    body.extend_from_slice(&(batch.len() as i32).to_be_bytes());
    body.extend_from_slice(batch);
    body
}

/// A batch of one record of so many zeros.
fn batch(codec: Compression, bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    builder.push(&Record { key: Some("k".into()), value: Some(vec![0; bytes].into()), ..Record::default() });
    builder.finish().to_vec()
}

/// Keeps so many connections open, each begun by `begin` and looked after by `tend` once a second; who was closed comes
/// again.
fn keep(
    run: &Run,
    connections: usize,
    stop: &AtomicBool,
    count: &AtomicU64,
    begin: impl Fn(&mut TcpStream),
    tend: impl Fn(&mut TcpStream) -> io::Result<()>,
) {
    let mut open: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        open.retain_mut(|stream| is_open(stream) && tend(stream).is_ok());
        let missing = connections - open.len();
        for n in 0..missing {
            // Two addresses, so that one of them alone is not what is limited.
            if let Ok(mut stream) = run.hostile(2 + (n % 2) as u8) {
                begin(&mut stream);
                open.push(stream);
                count.fetch_add(1, Ordering::Relaxed);
            }
            if stop.load(Ordering::Relaxed) {
                return;
            }
            // A flood of connections is another matter: these come at a few thousand a second.
            if n % 10 == 9 {
                thread::sleep(Duration::from_millis(2));
            }
        }
        thread::sleep(Duration::from_millis(if missing > 0 { 200 } else { 1000 }));
    }
}

/// Whether the other side has not closed it; what it has said is thrown away.
fn is_open(stream: &mut TcpStream) -> bool {
    match stream.peek(&mut [0]) {
        Ok(bytes) => bytes > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

fn half_open(run: &Run, stop: &AtomicBool, count: &AtomicU64) {
    keep(run, run.connections, stop, count, |_| (), |_| Ok(()));
}

fn one_byte_a_second(run: &Run, stop: &AtomicBool, count: &AtomicU64) {
    let begin = |stream: &mut TcpStream| drop(stream.write(&(10_000_000_i32).to_be_bytes()));
    keep(run, run.connections / 4, stop, count, begin, |stream| stream.write(&[0]).map(drop));
}

/// They announce the largest frame, send a good part of it at once, and then hardly any more.
fn slow_large_frames(run: &Run, stop: &AtomicBool, count: &AtomicU64) {
    let part = vec![0; 100_000];
    let begin = |stream: &mut TcpStream| {
        let _ = stream.write(&(16_000_000_i32).to_be_bytes());
        let _ = stream.write(&part);
    };
    keep(run, 200, stop, count, begin, |stream| stream.write(&part[..7_000]).map(drop));
}

fn garbage(run: &Run, stop: &AtomicBool, count: &AtomicU64) {
    let five_bytes = [&[0, 3, 0, 12, 0, 0, 0, 1, 0xff, 0xff, 0][..], &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
    let five_bytes = [&(five_bytes.len() as i32).to_be_bytes()[..], &five_bytes].concat();
    let messages: [&[u8]; 6] = [
        &i32::MAX.to_be_bytes(),
        &i32::MIN.to_be_bytes(),
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &five_bytes,
        &[0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff],
    ];
    while !stop.load(Ordering::Relaxed) {
        for message in messages {
            if let Ok(mut stream) = run.hostile(2) {
                let _ = stream.write(message);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a frame and waits for what comes of it.
fn send_whole(run: &Run, frame: &[u8], count: &AtomicU64) {
    let Ok(mut stream) = connect(run.broker, 2) else { return };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
    if stream.write_all(frame).is_ok() {
        count.fetch_add(1, Ordering::Relaxed);
        let _ = stream.read(&mut [0; 4096]);
    }
}

/// Frames with as many elements as fit, each of them a few bytes there and many in memory.
fn large_arrays(run: &Run, stop: &AtomicBool, count: &AtomicU64) {
    let elements = 2_000_000_i32;
    let many = |key, version, before: &[u8]| {
        let mut body = before.to_vec();
        body.extend_from_slice(&elements.to_be_bytes());
        body.resize(body.len() + elements as usize * 2, 0);
        frame(key, version, &body)
    };
    let frames = [many(METADATA, 1, &[]), many(DELETE_GROUPS, 0, &[]), many(LEAVE_GROUP, 3, &[0, 0])];
    while !stop.load(Ordering::Relaxed) {
        for frame in &frames {
            send_whole(run, frame, count);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn bombs(run: &Run, topic: &str, stop: &AtomicBool, count: &AtomicU64) {
    let bombs: Vec<_> = [Compression::Gzip, Compression::Zstd, Compression::Lz4, Compression::Snappy]
        .into_iter()
        .map(|codec| {
            // As much as fits a batch: 1 MiB.
            let bytes = match codec {
                Compression::Gzip => 900 << 20,
                Compression::Lz4 => 200 << 20,
                Compression::Snappy => 16 << 20,
                _ => 1 << 30,
            };
            frame(PRODUCE, 3, &produce(topic, &bomb(codec, bytes)))
        })
        .collect();
    while !stop.load(Ordering::Relaxed) {
        for bomb in &bombs {
            send_whole(run, bomb, count);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// A batch that says it has one record, which is `bytes` of zeros when decompressed.
fn bomb(codec: Compression, bytes: usize) -> Vec<u8> {
    // Made of parts: a builder takes no record that is larger than a batch may be.
    let parts = bytes.div_ceil(8 << 20);
    let one = batch(codec, 8 << 20);
    match codec {
        // Several members, and several frames, are read as one.
        Compression::Gzip | Compression::Zstd => {
            let mut bomb = one[..61].to_vec();
            (0..parts).for_each(|_| bomb.extend_from_slice(&one[61..]));
            let length = (bomb.len() - 12) as u32;
            bomb[8..12].copy_from_slice(&length.to_be_bytes());
            let crc = tailwater_log::record::crc32c(&bomb[21..]);
            bomb[17..21].copy_from_slice(&crc.to_be_bytes());
            bomb
        }
        _ => one,
    }
}

/// They ask for much and take none of it.
fn never_reading(run: &Run, stop: &AtomicBool, count: &AtomicU64) {
    // Nobody's replica, at once, at least a byte, of all topics so much, all records; one topic and partition from 0 on.
    let mut body = [&[0xff_u8; 4][..], &[0; 4], &1_i32.to_be_bytes(), &i32::MAX.to_be_bytes(), &[0]].concat();
    body.extend_from_slice(&1_i32.to_be_bytes());
    text(&mut body, "plain");
    body.extend_from_slice(&1_i32.to_be_bytes());
    body.extend_from_slice(&[0; 12]);
    body.extend_from_slice(&(4_i32 << 20).to_be_bytes());
    let ask = frame(FETCH, 4, &body).repeat(20);
    let begin = |_: &mut TcpStream| ();
    keep(run, 50.min(run.connections), stop, count, begin, |stream| match stream.write(&ask) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    });
}
