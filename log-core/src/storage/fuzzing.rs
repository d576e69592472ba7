//! The decoders of files, for the crate's `fuzzing`: bytes with the right checksum that say anything at all.

use super::checkpoint::fuzzing as of_checkpoint;
use super::{footer, snapshot};
use crate::record::crc32c;
use crate::types::{Error, Result};

/// Where a snapshot says its length, behind its checksum.
const LENGTH: usize = snapshot::LENGTH - snapshot::CHECKED;

/// A segment's footer.
pub(crate) fn footer(input: &[u8]) -> Result<Box<dyn FnOnce()>> {
    let mut bytes = input.to_vec();
    if let Some((checked, crc)) = bytes.split_last_chunk_mut() {
        *crc = crc32c(checked).to_be_bytes();
    }
    let footer = footer::Footer::decode(&bytes).map_err(|why| Error::Malformed { why })?;
    Ok(Box::new(move || assert!(footer.encode() == bytes)))
}

/// A snapshot of producers, transactions and leader epochs.
pub(crate) fn snapshot(input: &[u8]) -> Result<Box<dyn FnOnce()>> {
    let mut bytes = input.to_vec();
    let length = (bytes.len() as u32).to_be_bytes();
    if let Some((before, checked)) = bytes.split_at_mut_checked(snapshot::CHECKED)
        && let (Some(crc), Some(said)) =
            (before.last_chunk_mut(), checked.get_mut(LENGTH..LENGTH + size_of_val(&length)))
    {
        said.copy_from_slice(&length);
        *crc = crc32c(checked).to_be_bytes();
    }
    let state = snapshot::decode(&bytes).map_err(|why| Error::Malformed { why: why.into() })?;
    Ok(Box::new(move || {
        // Not everything has one form alone, but what was written does.
        let written = snapshot::encode(&state);
        let again = snapshot::decode(&written).expect("what was written is read");
        assert!(snapshot::encode(&again) == written);
    }))
}

/// A checkpoint, and the content of one of its frames.
pub(crate) fn checkpoint(input: &[u8]) -> Box<dyn FnOnce()> {
    of_checkpoint::replayed(input);
    let written = of_checkpoint::framed(input);
    Box::new(move || of_checkpoint::replayed(&written))
}
