//! Reads an LZ4 frame, with memory for what is in it and not for what it says of itself: a frame of twenty bytes may
//! announce blocks of 4 MiB.
//!
//! ```text
//!   magic u32 │ flags u8 │ descriptor u8 │ content size u64? │ checksum u8 │ { block }* │ 0 u32 │ content checksum u32?
//!   block       length u32, bit 31: stored as it is │ bytes │ checksum u32?
//!
//!   flags       bits 6-7 version 1 · 5 independent · 4 checksum of each block · 3 content size · 2 content checksum
//!               0 dictionary
//!   descriptor  bits 4-6 largest block: 4 is 64 KiB, 5 is 256 KiB, 6 is 1 MiB, 7 is 4 MiB
//! ```
//! All numbers are little-endian, the checksums xxHash32. Blocks that are not independent refer to the 64 KiB before
//! them. Left out: dictionaries, the legacy frame, and several frames in one block, none of which Kafka reads.

use super::Compression;
use super::compression::{invalid, too_large};
use crate::types::{Error, Result};
use lz4_flex::block::{DecompressError, decompress_into_with_dict};
use twox_hash::XxHash32;

const MAGIC: u32 = 0x184d_2204;
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUMS: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const RESERVED: u8 = 1 << 1;
const DICTIONARY: u8 = 1;
/// Of a block's length: its bytes are stored as they are.
const STORED: u32 = 1 << 31;
/// How far back a block may refer.
const WINDOW_BYTES: usize = 64 * 1024;
/// No byte of a block stands for more.
const EXPANSION_MAX: usize = 255;

/// What is left of the frame.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| bad("it ends inside of the frame"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(*self.take(N)?.first_chunk().expect("N bytes were taken"))
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn check(&mut self, content: &[u8], what: &str) -> Result<()> {
        if self.u32()? == checksum(content) {
            Ok(())
        } else {
            Err(bad(&format!("the checksum of its {what} is wrong")))
        }
    }
}

/// What the frame `bytes` holds, if that is at most `max` bytes.
pub(super) fn read(bytes: &[u8], max: usize) -> Result<Vec<u8>> {
    let mut input = Input(bytes);
    if input.u32()? != MAGIC {
        return Err(bad("it does not begin as a frame does"));
    }
    let described = input.0;
    let [flags, descriptor] = input.array()?;
    let block_max = match descriptor {
        0x40 => 64 << 10,
        0x50 => 256 << 10,
        0x60 => 1 << 20,
        0x70 => 4 << 20,
        _ => return Err(bad("the size of its blocks is none that there is")),
    };
    if flags & VERSION_MASK != VERSION || flags & (RESERVED | DICTIONARY) != 0 {
        return Err(bad("it has another version, or a dictionary"));
    }
    let content_size = if flags & CONTENT_SIZE != 0 { Some(u64::from_le_bytes(input.array()?)) } else { None };
    let described = &described[..described.len() - input.0.len()];
    let [header_checksum] = input.array()?;
    if header_checksum != (checksum(described) >> 8) as u8 {
        return Err(bad("the checksum of its header is wrong"));
    }
    let mut out = Vec::new();
    loop {
        let length = input.u32()?;
        if length == 0 {
            break;
        }
        let block = input.take((length & !STORED) as usize)?;
        if block.len() > block_max {
            return Err(bad("a block is larger than it may be"));
        }
        if flags & BLOCK_CHECKSUMS != 0 {
            input.check(block, "blocks")?;
        }
        if length & STORED == 0 {
            expand(block, flags & INDEPENDENT != 0, block_max, &mut out, max)?;
        } else if block.len() <= max - out.len() {
            out.extend_from_slice(block);
        } else {
            return Err(too_large(Compression::Lz4, max));
        }
    }
    if flags & CONTENT_CHECKSUM != 0 {
        input.check(&out, "content")?;
    }
    if content_size.is_some_and(|size| size != out.len() as u64) {
        return Err(bad("it has another size than it says"));
    }
    match input.0.len() {
        0 => Ok(out),
        rest => Err(bad(&format!("{rest} bytes follow the frame"))),
    }
}

/// Appends what a compressed block holds to `out`, which may grow to `max` bytes.
fn expand(block: &[u8], is_independent: bool, block_max: usize, out: &mut Vec<u8>, max: usize) -> Result<()> {
    let start = out.len();
    let wanted = block_max.min(block.len() * EXPANSION_MAX);
    let room = wanted.min(max - start);
    out.resize(start + room, 0);
    let (before, into) = out.split_at_mut(start);
    let window = if is_independent { &[][..] } else { &before[start.saturating_sub(WINDOW_BYTES)..] };
    match decompress_into_with_dict(block, into, window) {
        Ok(written) => {
            out.truncate(start + written);
            Ok(())
        }
        Err(DecompressError::OutputTooSmall { .. }) if room < wanted => Err(too_large(Compression::Lz4, max)),
        Err(error) => Err(invalid(Compression::Lz4, error)),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

fn bad(why: &str) -> Error {
    invalid(Compression::Lz4, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use proptest::prelude::*;
    use std::io::Write as _;

    fn written(info: FrameInfo, parts: &[&[u8]]) -> Vec<u8> {
        let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
        parts.iter().for_each(|part| encoder.write_all(part).unwrap());
        encoder.finish().unwrap()
    }

    proptest! {
        /// The other implementation writes, with all that a frame can have.
        #[test]
        fn every_kind_of_frame_is_read(
            seed in prop::collection::vec(any::<u8>(), 1..300),
            repeats in 1..2000_usize,
            size in prop::sample::select(vec![BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB]),
            linked: bool, block_checksums: bool, content_checksum: bool, sized: bool,
        ) {
            let content = seed.repeat(repeats);
            let info = FrameInfo::new()
                .block_size(size)
                .block_mode(if linked { BlockMode::Linked } else { BlockMode::Independent })
                .block_checksums(block_checksums)
                .content_checksum(content_checksum)
                .content_size(sized.then_some(content.len() as u64));
            let frame = written(info, &[&content]);
            prop_assert!(read(&frame, content.len()).unwrap() == content);
            let refused = read(&frame, content.len() - 1).unwrap_err().to_string();
            prop_assert!(refused.contains("decompresses to more than"), "{}", refused);
            prop_assert!(read(&frame[..frame.len() - 1], content.len()).is_err());
        }
    }

    #[test]
    fn what_is_wrong_with_a_frame_is_said() {
        let info = || FrameInfo::new().block_size(BlockSize::Max64KB).block_checksums(true).content_checksum(true);
        let frame = written(info().content_size(Some(5)), &[b"frame"]);
        assert_eq!(read(&frame, 5).unwrap(), b"frame");
        let changed = |at: usize, bit: u8| {
            let mut frame = frame.clone();
            frame[at] ^= bit;
            read(&frame, 5).unwrap_err().to_string()
        };
        let last = frame.len() - 1;
        for (at, bit, why) in [
            (0, 1, "does not begin"),
            (4, RESERVED, "another version"),
            (4, DICTIONARY, "another version"),
            (5, 0x80, "size of its blocks"),
            (6, 1, "checksum of its header"),
            (last - 12, 1, "checksum of its blocks"),
            (last, 1, "checksum of its content"),
        ] {
            let error = changed(at, bit);
            assert!(error.contains(why), "{at}: {error}");
        }
    }
}
