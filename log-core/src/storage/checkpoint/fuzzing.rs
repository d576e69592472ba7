//! The checkpoint's decoder, for the crate's `fuzzing`.

use super::{frame, replay};
use std::path::Path;

/// Reads a file of these bytes.
pub(in crate::storage) fn replayed(bytes: &[u8]) {
    let replay = replay::replay(Path::new("checkpoint.log"), bytes);
    assert!(replay.synced <= replay.keep && replay.keep <= bytes.len() as u64);
}

/// A file of one frame with this content.
pub(in crate::storage) fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put(&mut bytes, 0, payload);
    bytes
}
