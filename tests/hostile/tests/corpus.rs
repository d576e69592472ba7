//! The corpus: `corpus/<decoder>/` has inputs of each decoder, by what they are. Those that begin with `ok-` are decoded,
//! those with `no-` are refused; of what a fuzzer has found (`found-`) it only matters that it does no harm. Each is then
//! changed a few thousand times, the same in every run.
//!
//! More mutations than CI makes: `HOSTILE_ROUNDS=100000 cargo test -p tailwater-hostile --release`

use std::fs;
use std::path::{Path, PathBuf};
use tailwater_hostile::{attack, peak_of};
use tailwater_log::fuzzing::{DECODERS, Decoder};

/// Changes of each file, shared by its decoder's files.
const ROUNDS: usize = 20_000;
/// A changed input has no more bytes.
const BYTES_MAX: usize = 64 * 1024;

fn corpus(decoder: &Decoder) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(decoder.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).expect("it can be read"))).collect()
}

#[test]
fn the_allocator_counts() {
    let (_, peak) = peak_of(|| drop((vec![0_u8; 1000], vec![1_u8; 500])));
    assert_eq!(peak, 1500);
    let (kept, peak) = peak_of(|| {
        let mut bytes = Vec::<u8>::with_capacity(100);
        bytes.reserve_exact(200);
        bytes
    });
    assert_eq!((kept.capacity(), peak), (200, 300));
}

#[test]
fn what_is_right_is_decoded_and_what_is_not_is_refused() {
    for decoder in DECODERS {
        let files = corpus(decoder);
        assert!(files.len() >= 2, "{} has a corpus", decoder.name);
        for (path, bytes) in files {
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name in ASCII");
            let decoded = attack(decoder, &bytes);
            match name.split('-').next() {
                Some("ok") => decoded.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
                Some("no") => assert!(decoded.is_err(), "{}", path.display()),
                Some("found") => {}
                _ => panic!("{}: `ok-`, `no-` or `found-`", path.display()),
            }
        }
    }
}

#[test]
fn every_folder_has_its_decoder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        let name = entry.expect("it can be read").file_name();
        assert!(Decoder::named(name.to_str().expect("ASCII")).is_some(), "{name:?}");
    }
}

/// One test a decoder, so that they share the cores.
macro_rules! mutations {
    ($($decoder:ident)*) => {
        $(
            #[test]
            fn $decoder() {
                mutate(stringify!($decoder));
            }
        )*

        #[test]
        fn no_decoder_is_forgotten() {
            let tested = [$(stringify!($decoder)),*];
            let all: Vec<_> = DECODERS.iter().map(|decoder| decoder.name).collect();
            assert_eq!(tested[..], all);
        }
    };
}
mutations!(
    request response batch gzip snappy lz4 zstd subscription assignment scram_server scram_client plain footer snapshot
    checkpoint
);

fn mutate(name: &str) {
    let decoder = Decoder::named(name).expect("it is in the table");
    let rounds = std::env::var("HOSTILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(ROUNDS);
    // Where a password is put through its mill each time.
    let rounds = if ["plain", "scram_client"].contains(&name) { rounds / 50 } else { rounds };
    let files = corpus(decoder);
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for (number, (path, bytes)) in files.iter().enumerate() {
        for round in 0..rounds.div_ceil(files.len()) {
            let other = &files[(number + round) % files.len()].1;
            let changed = dice.changed(bytes, other);
            let outcome = std::panic::catch_unwind(|| attack(decoder, &changed));
            if outcome.is_err() {
                let hex: String = changed.iter().map(|byte| format!("{byte:02x}")).collect();
                panic!("{name}: {}, changed in round {round}: {hex}", path.display());
            }
        }
    }
}

/// Chance from a seed (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// `bytes` with one to four changes.
    fn changed(&mut self, bytes: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(8) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.next() as u8),
                2 if !bytes.is_empty() => drop(bytes.remove(at)),
                // A part comes twice, or from another file.
                3 => {
                    let to = at + self.below((bytes.len() - at).min(64));
                    let part = bytes[at..to].to_vec();
                    bytes.splice(at..at, part);
                }
                4 => {
                    let from = self.below(other.len());
                    let to = from + self.below((other.len() - from).min(64));
                    let end = bytes.len().min(at + (to - from));
                    bytes.splice(at..end, other[from..to].iter().copied());
                }
                // A number that is large, small or one off, of one to four bytes.
                5 => {
                    let width = 1 + self.below(4);
                    let value = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, u32::MAX][self.below(8)];
                    for (byte, new) in bytes[at..].iter_mut().zip(value.to_be_bytes()[4 - width..].iter()) {
                        *byte = *new;
                    }
                }
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }
}
