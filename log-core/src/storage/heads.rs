//! The heads of a block's batches: the bytes that no batch's own checksum covers, and what they tell when one is wrong.
//!
//! A block's checksum covers the heads of all its batches at once, so one wrong bit in any of them leaves each in doubt:
//! a batch of another file, at another offset, has its own checksum right too. What was there before the damage can be
//! told when the head of the damaged batch can be made up so that the block's checksum is right again: offsets follow on,
//! the epoch is in the footer, and where the batch ends its own checksum knows. Then the heads before it were right.
//!
//! Left out: more than one wrong head, and segments whose offsets have gaps. There the block is in doubt from its start.

use super::footer::Footer;
use super::index::Block;
use crate::record::{
    BATCH_HEAD_BYTES, BatchHeader, batch_bytes, crc32c_append, end_by_checksum, restore_head, set_batch_bytes,
    verify_crc,
};
use crate::types::Offset;

/// Where each batch of a block begins; `None` if they do not end where it does.
pub(super) fn heads(block: &[u8]) -> Option<Vec<usize>> {
    let (mut at, mut heads) = (0, Vec::new());
    while at < block.len() {
        heads.push(at);
        at += batch_bytes(&block[at..])?;
    }
    Some(heads)
}

/// The checksum of the heads of all batches in a block; `None` if they do not end where it does.
pub(super) fn heads_crc(block: &[u8]) -> Option<u32> {
    heads(block).map(|heads| heads.into_iter().fold(0, |crc, at| crc32c_append(crc, &block[at..at + BATCH_HEAD_BYTES])))
}

/// How many bytes at the front of a block, whose heads are not as they were written, are certain to be. Its offsets must
/// not have gaps.
pub(super) fn proven_front(footer: &Footer, block: &Block, bytes: &[u8]) -> usize {
    let front = front(footer, block.place.offset, bytes);
    let head = &bytes[front.bytes..];
    let ends = [batch_bytes(head), end_by_checksum(head)];
    let is_proof = |total: usize| {
        let mut bytes = bytes.to_vec();
        let batch = &mut bytes[front.bytes..];
        set_batch_bytes(batch, total);
        let epoch = footer.epoch_at(front.next_offset).or_else(|| Some(BatchHeader::parse(head).ok()??.leader_epoch));
        epoch.is_some_and(|epoch| restore_head(batch, front.next_offset, epoch).is_some())
            && heads_crc(&bytes) == Some(block.headers_crc)
    };
    if ends.into_iter().flatten().any(is_proof) { front.bytes } else { 0 }
}

/// The batches of a block before the first that cannot be as it was written.
struct Front {
    bytes: usize,
    next_offset: Offset,
}

fn front(footer: &Footer, base_offset: Offset, bytes: &[u8]) -> Front {
    let mut front = Front { bytes: 0, next_offset: base_offset };
    while let Ok(Some(header)) = BatchHeader::parse(&bytes[front.bytes..]) {
        let Some(batch) = bytes[front.bytes..].get(..header.total_bytes()) else { break };
        let is_expected = header.base_offset == front.next_offset
            && footer.epoch_at(header.base_offset).is_none_or(|epoch| epoch == header.leader_epoch);
        if !is_expected || verify_crc(batch).is_err() {
            break;
        }
        front = Front { bytes: front.bytes + batch.len(), next_offset: header.next_offset() };
    }
    front
}
