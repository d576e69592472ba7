//! A frame: what is appended at once, and found again as a whole or not at all. Big-endian:
//!
//! ```text
//!   0       4                8             16    20
//!   ├───────┼────────────────┼─────────────┼─────┼───────────┤
//!   │ magic │ payload length │ synced upto │ crc │ payload … │   one frame follows the other without a gap
//!   └───────┴────────────────┴─────────────┴─────┴───────────┘
//!     magic: "TWck"            synced upto: all below this position of the file is durable where this frame is seen
//!     crc: CRC-32C of the 16 bytes before it and of the payload
//! ```
//! `synced upto` tells a torn tail from damage. Bad bytes below the largest one of the file were durable once, so they
//! are damage. Bad bytes above it may never have reached the disk.
//!
//! Behind bad bytes the next frame is found by its magic. What looks like a frame inside of another's payload could
//! mislead that search only with a checksum that is right, and a payload holds nothing that a client chooses.

use crate::mutants::{self, Mutant};
use crate::record::{crc32c, crc32c_append};
use std::ops::Range;

const MAGIC: [u8; 4] = *b"TWck";
const LENGTH: usize = MAGIC.len();
const SYNCED_UPTO: usize = LENGTH + 4;
const CRC: usize = SYNCED_UPTO + 8;
/// Bytes of a frame without its payload.
pub(super) const HEADER_BYTES: usize = CRC + 4;
const _: () = assert!(HEADER_BYTES == 20);

/// What a payload may have: a longer length is not believed.
pub(super) const PAYLOAD_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A frame whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// Where it begins in the file.
    pub(super) position: u64,
    pub(super) synced_upto: u64,
    pub(super) payload: &'a [u8],
}

/// All that is in a file: its frames, and the bytes between them that are none.
#[derive(Debug, Default)]
pub(super) struct Scan<'a> {
    pub(super) frames: Vec<Frame<'a>>,
    /// Half-open ranges of positions, in order.
    pub(super) gaps: Vec<Range<u64>>,
}

/// Appends a frame to `out`.
pub(super) fn put(out: &mut Vec<u8>, synced_upto: u64, payload: &[u8]) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "a frame of {} bytes", payload.len());
    let mut header = [0; HEADER_BYTES];
    header[..LENGTH].copy_from_slice(&MAGIC);
    header[LENGTH..SYNCED_UPTO].copy_from_slice(&(payload.len() as u32).to_be_bytes());
    header[SYNCED_UPTO..CRC].copy_from_slice(&synced_upto.to_be_bytes());
    let crc = checksum(&header, payload);
    header[CRC..].copy_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
}

/// Finds every frame of a file.
pub(super) fn scan(bytes: &[u8]) -> Scan<'_> {
    let mut scan = Scan::default();
    let (mut position, mut bad_from) = (0, None);
    while position < bytes.len() {
        if let Some(frame) = frame_at(bytes, position) {
            scan.gaps.extend(bad_from.take().map(|from| from..position as u64));
            scan.frames.push(frame);
            position += HEADER_BYTES + frame.payload.len();
        } else {
            bad_from.get_or_insert(position as u64);
            let next = bytes[position + 1..].windows(MAGIC.len()).position(|window| window == MAGIC);
            position = next.map_or(bytes.len(), |ahead| position + 1 + ahead);
        }
    }
    scan.gaps.extend(bad_from.map(|from| from..position as u64));
    scan
}

fn frame_at(bytes: &[u8], position: usize) -> Option<Frame<'_>> {
    let (header, rest) = bytes[position..].split_first_chunk::<HEADER_BYTES>()?;
    let length = u32::from_be_bytes(field(header, LENGTH)) as usize;
    if header[..LENGTH] != MAGIC || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = rest.get(..length)?;
    let synced_upto = u64::from_be_bytes(field(header, SYNCED_UPTO));
    let is_right = checksum(header, payload) == u32::from_be_bytes(field(header, CRC));
    (is_right || mutants::active(Mutant::AcceptTornFrame)).then_some(Frame {
        position: position as u64,
        synced_upto,
        payload,
    })
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    *header[at..].first_chunk().expect("every field lies inside the header")
}

fn checksum(header: &[u8; HEADER_BYTES], payload: &[u8]) -> u32 {
    crc32c_append(crc32c(&header[..CRC]), payload)
}
