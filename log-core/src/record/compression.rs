//! The codecs of a batch's records: what Kafka's Java clients write, and everything that they read.
//!
//! | codec  | format                                                                                           |
//! |--------|--------------------------------------------------------------------------------------------------|
//! | gzip   | RFC 1952; several members are read as one                                                        |
//! | snappy | Google's raw format in the frame of xerial's snappy-java, drawn below; a raw block is read as well |
//! | lz4    | one LZ4 frame, 64 KiB blocks, independent (Kafka's Java reader refuses linked ones)              |
//! | zstd   | RFC 8878; several frames are read as one                                                         |
//!
//! ```text
//!  xerial:  0x82 "SNAPPY" 0x00   version i32 = 1   compatible i32 = 1   { length i32, raw snappy block }*
//! ```
//!
//! Invariant: decompression stops at the given size, whatever the block claims of itself. The checksum was verified
//! before, so an error here means that the producer was wrong, not the disk.

use super::{Compression, lz4, malformed};
use crate::types::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::io::{self, Read, Write};

const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
/// Magic, version, oldest compatible version.
const XERIAL_HEADER_BYTES: usize = XERIAL_MAGIC.len() + 2 * size_of::<u32>();
const XERIAL_VERSION: u32 = 1;
/// What snappy-java cuts its input into.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// No snappy element expands more: three bytes can copy 64.
const SNAPPY_EXPANSION_MAX: usize = 22;

/// Compresses `batch[from..]` behind a copy of `batch[..from]`. `None` if there is no codec, or if the result would
/// not be smaller.
pub(crate) fn compress(codec: Compression, batch: &[u8], from: usize) -> Option<Vec<u8>> {
    let (head, records) = batch.split_at(from);
    let mut out = Vec::with_capacity(batch.len() / 2);
    out.extend_from_slice(head);
    let done = match codec {
        Compression::None => return None,
        Compression::Gzip => gzip(records, &mut out),
        Compression::Snappy => snappy(records, &mut out),
        Compression::Lz4 => write_lz4(records, &mut out),
        Compression::Zstd => zstd(records, &mut out),
    };
    // Writing to memory does not fail; if a codec does, storing the records as they are is right too.
    (done.is_ok() && out.len() < batch.len()).then_some(out)
}

fn gzip(records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut encoder = GzEncoder::new(out, flate2::Compression::default());
    encoder.write_all(records)?;
    encoder.finish()?;
    Ok(())
}

fn snappy(records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(XERIAL_MAGIC);
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    out.extend_from_slice(&XERIAL_VERSION.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(XERIAL_BLOCK_BYTES) {
        let block = encoder.compress_vec(block)?;
        out.extend_from_slice(&(block.len() as u32).to_be_bytes());
        out.extend_from_slice(&block);
    }
    Ok(())
}

fn write_lz4(records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, out);
    encoder.write_all(records)?;
    encoder.finish()?;
    Ok(())
}

fn zstd(records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&zstd::bulk::compress(records, zstd::DEFAULT_COMPRESSION_LEVEL)?);
    Ok(())
}

/// Decompresses `block`. [`Error::Malformed`] if it is not in the codec's format, or has more than `max` bytes.
pub(crate) fn decompress(codec: Compression, block: &[u8], max: usize) -> Result<Vec<u8>> {
    match codec {
        Compression::None if block.len() > max => Err(too_large(codec, max)),
        Compression::None => Ok(block.to_vec()),
        Compression::Gzip => read_to_end(codec, MultiGzDecoder::new(block), max),
        Compression::Snappy => unsnappy(block, max),
        Compression::Lz4 => lz4::read(block, max),
        Compression::Zstd => {
            let decoder = zstd::Decoder::with_buffer(block).map_err(|error| invalid(codec, error))?;
            read_to_end(codec, decoder, max)
        }
    }
}

fn read_to_end(codec: Compression, reader: impl Read, max: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    // One more byte than allowed tells "exactly the limit" from "more".
    reader.take((max as u64).saturating_add(1)).read_to_end(&mut out).map_err(|error| invalid(codec, error))?;
    if out.len() > max { Err(too_large(codec, max)) } else { Ok(out) }
}

fn unsnappy(block: &[u8], max: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    if !block.starts_with(XERIAL_MAGIC) {
        unsnappy_raw(block, &mut out, max)?;
        return Ok(out);
    }
    let cut = || invalid(Compression::Snappy, "it ends inside of a block");
    let mut rest = block.get(XERIAL_HEADER_BYTES..).ok_or_else(cut)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
        let (raw, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut)?;
        unsnappy_raw(raw, &mut out, max)?;
        rest = after;
    }
    Ok(out)
}

/// Appends what the raw block `raw` holds to `out`, which may grow to `max` bytes.
fn unsnappy_raw(raw: &[u8], out: &mut Vec<u8>, max: usize) -> Result<()> {
    let codec = Compression::Snappy;
    let length = snap::raw::decompress_len(raw).map_err(|error| invalid(codec, error))?;
    if length > raw.len() * SNAPPY_EXPANSION_MAX {
        return Err(invalid(codec, format!("{} bytes cannot hold {length}", raw.len())));
    }
    if length > max - out.len() {
        return Err(too_large(codec, max));
    }
    let start = out.len();
    out.resize(start + length, 0);
    snap::raw::Decoder::new().decompress(raw, &mut out[start..]).map_err(|error| invalid(codec, error))?;
    Ok(())
}

pub(super) fn invalid(codec: Compression, why: impl std::fmt::Display) -> Error {
    malformed(format!("the {codec} block of a batch cannot be decompressed: {why}"))
}

pub(super) fn too_large(codec: Compression, max: usize) -> Error {
    malformed(format!("the {codec} block of a batch decompresses to more than {max} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compressed(codec: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match codec {
            Compression::None => out.extend_from_slice(bytes),
            Compression::Gzip => gzip(bytes, &mut out).unwrap(),
            Compression::Snappy => snappy(bytes, &mut out).unwrap(),
            Compression::Lz4 => write_lz4(bytes, &mut out).unwrap(),
            Compression::Zstd => zstd(bytes, &mut out).unwrap(),
        }
        out
    }

    #[test]
    fn the_cap_is_exact_and_a_bomb_is_refused() {
        let zeros = vec![0; 1 << 20];
        for codec in Compression::ALL {
            let block = compressed(codec, &zeros);
            assert!(codec == Compression::None || block.len() < zeros.len() / 16, "{codec} compresses");
            assert_eq!(decompress(codec, &block, zeros.len()).unwrap(), zeros, "{codec}");
            let refused = decompress(codec, &block, zeros.len() - 1).unwrap_err();
            assert!(refused.to_string().contains("more than 1048575 bytes"), "{codec}: {refused}");
        }
    }

    /// A bomb of zeros that would inflate to a gibibyte stops at the cap without being held in memory.
    #[test]
    fn nested_members_do_not_pass_the_cap() {
        let member = compressed(Compression::Gzip, &vec![0; 1 << 20]);
        let bomb = member.repeat(1024);
        assert!(decompress(Compression::Gzip, &bomb, 2 << 20).is_err());
        let frame = compressed(Compression::Zstd, &vec![0; 1 << 20]);
        assert!(decompress(Compression::Zstd, &frame.repeat(1024), 2 << 20).is_err());
    }

    #[test]
    fn a_snappy_block_that_claims_too_much_allocates_nothing() {
        // A raw block's length is a little-endian base-128 number: this one claims 4 GiB - 1.
        let claim = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let refused = decompress(Compression::Snappy, &claim, usize::MAX >> 1).unwrap_err();
        assert!(refused.to_string().contains("cannot hold"), "{refused}");
    }

    /// Snappy's densest element is a copy of 64 bytes in three, which the bound on its claim must let through.
    #[test]
    fn raw_snappy_is_read_up_to_its_densest() {
        let zeros = vec![0; 1 << 16];
        let raw = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        assert_eq!(decompress(Compression::Snappy, &raw, zeros.len()).unwrap(), zeros);
    }

    /// The start of any block that snappy-java writes.
    #[test]
    fn snappy_is_framed_as_java_expects() {
        let block = compressed(Compression::Snappy, b"sdfdsf");
        assert_eq!(block[..16], *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
        assert_eq!(block[16..20], 8_u32.to_be_bytes(), "length 6, one literal of 6");
    }

    /// Bit 5 of the frame's flags; Kafka's Java reader refuses frames without it.
    #[test]
    fn lz4_blocks_are_independent() {
        let block = compressed(Compression::Lz4, b"frame");
        assert_eq!(block[..4], 0x184d_2204_u32.to_le_bytes());
        assert_ne!(block[4] & 1 << 5, 0);
    }

    #[test]
    fn bytes_after_an_lz4_frame_are_refused() {
        let mut block = compressed(Compression::Lz4, b"frame");
        block.push(0);
        assert!(decompress(Compression::Lz4, &block, 100).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn round_trips(bytes in prop::collection::vec(0_u8..4, 0..1000), times in 0_usize..200) {
            let bytes = bytes.repeat(times);
            for codec in Compression::ALL {
                prop_assert_eq!(&decompress(codec, &compressed(codec, &bytes), bytes.len()).unwrap(), &bytes);
            }
        }

        #[test]
        fn damaged_blocks_do_not_panic(
            bytes in prop::collection::vec(any::<u8>(), 1..2000),
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            for codec in Compression::ALL {
                let mut block = compressed(codec, &bytes);
                let _ = decompress(codec, &block[..at.index(block.len())], 1 << 16);
                let at = at.index(block.len());
                block[at] ^= flip;
                let _ = decompress(codec, &block, 1 << 16);
                let _ = decompress(codec, &bytes, 1 << 16);
            }
        }
    }
}
