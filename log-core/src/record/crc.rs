//! CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of Kafka's batches and of all files of a log.
//!
//! By the `crc-fast` library, which folds with the widest carry-less multiplication that the processor has: four times as
//! fast as the processor's own CRC instruction where there is AVX-512. The tests compare it with another library.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of some bytes.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The checksum of what `crc` is the checksum of, followed by `bytes`.
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    u32::try_from(digest.finalize()).expect("it has 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_is_the_published_one() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[]), 0);
    }

    proptest! {
        #[test]
        fn another_library_agrees(
            bytes in prop::collection::vec(any::<u8>(), 0..5000),
            at in any::<prop::sample::Index>(),
            from in 0..64_usize,
        ) {
            let bytes = &bytes[from.min(bytes.len())..];
            let (front, back) = bytes.split_at(if bytes.is_empty() { 0 } else { at.index(bytes.len()) });
            prop_assert_eq!(crc32c(bytes), ::crc32c::crc32c(bytes));
            prop_assert_eq!(crc32c_append(crc32c(front), back), ::crc32c::crc32c(bytes));
        }
    }
}
