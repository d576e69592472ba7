//! The codecs of a batch's records.

use super::{Compression, malformed};
use crate::types::Result;

/// Compresses `batch[from..]` behind a copy of `batch[..from]`. `None` if there is no codec or it does not help.
pub(super) fn compress(codec: Compression, _batch: &[u8], _from: usize) -> Option<Vec<u8>> {
    match codec {
        Compression::None => None,
        // Storing uncompressed is always right.
        _ => None,
    }
}

/// Decompresses `block` to at most `max` bytes.
pub(super) fn decompress(codec: Compression, block: &[u8], _max: usize) -> Result<Vec<u8>> {
    match codec {
        Compression::None => Ok(block.to_vec()),
        _ => Err(malformed("compressed batches are not readable yet")),
    }
}
