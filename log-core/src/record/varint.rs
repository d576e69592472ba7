//! Kafka's variable-length integers: zigzag, then seven bits a byte, lowest first, the top bit set on all but the
//! last (the encoding of Protocol Buffers' `sint32` and `sint64`).
//!
//! A 32-bit number takes at most 5 bytes and a 64-bit one at most 10; what would overflow is refused, never wrapped.
//! Encoding takes `i64` for both: a number that fits 32 bits has the same bytes either way.

use super::malformed;
use crate::types::Result;

const MORE: u8 = 0x80;
/// Bytes of the longest 32-bit varint.
const BYTES_32: usize = 32_usize.div_ceil(7);
/// Bytes of the longest 64-bit varint.
const BYTES_64: usize = 64_usize.div_ceil(7);
const _: () = assert!(BYTES_32 == 5 && BYTES_64 == 10);

const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Bytes that `n` takes.
pub(super) const fn varint_len(n: i64) -> usize {
    let bits = 64 - (zigzag(n) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends `n`.
pub(super) fn put_varint(out: &mut Vec<u8>, n: i64) {
    let mut rest = zigzag(n);
    while rest >= MORE as u64 {
        out.push(rest as u8 | MORE);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Reads a 32-bit varint from the start of `bytes`: the number and how many bytes it took.
pub(super) fn varint(bytes: &[u8]) -> Result<(i32, usize)> {
    let (n, taken) = unsigned(bytes, BYTES_32, u32::MAX as u64)?;
    // In range: `n` fits 32 bits, so what zigzag makes of it does too.
    Ok((unzigzag(n) as i32, taken))
}

/// Reads a 64-bit varint from the start of `bytes`: the number and how many bytes it took.
pub(super) fn varlong(bytes: &[u8]) -> Result<(i64, usize)> {
    let (n, taken) = unsigned(bytes, BYTES_64, u64::MAX)?;
    Ok((unzigzag(n), taken))
}

#[inline]
fn unsigned(bytes: &[u8], longest: usize, max: u64) -> Result<(u64, usize)> {
    let mut n = 0_u128;
    for (i, byte) in bytes.iter().take(longest).enumerate() {
        n |= u128::from(byte & !MORE) << (7 * i);
        if byte & MORE == 0 {
            return if n <= u128::from(max) { Ok((n as u64, i + 1)) } else { Err(malformed("a varint overflows")) };
        }
    }
    Err(malformed(if bytes.len() < longest { "the bytes end in a varint" } else { "a varint is too long" }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(n: i64) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, n);
        out
    }

    /// The examples of the Protocol Buffers encoding guide, and the ends of both ranges.
    #[test]
    fn known_bytes() {
        for (n, bytes) in [
            (0, &[0x00][..]),
            (-1, &[0x01]),
            (1, &[0x02]),
            (-2, &[0x03]),
            (63, &[0x7e]),
            (64, &[0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ] {
            assert_eq!(encoded(n), bytes, "{n}");
            assert_eq!(varlong(bytes).unwrap(), (n, bytes.len()));
        }
        assert_eq!(varint(&encoded(i64::from(i32::MIN))).unwrap(), (i32::MIN, 5));
    }

    #[test]
    fn overflow_and_truncation_are_refused() {
        assert!(varint(&[]).is_err());
        assert!(varint(&[0x80]).is_err());
        assert!(varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]).is_err(), "bit 32 is set");
        assert!(varint(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).is_err(), "six bytes");
        assert!(varlong(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).is_err(), "bit 64 is set");
        assert!(varlong(&[0x80; 11]).is_err());
    }

    proptest! {
        #[test]
        fn round_trips(n in any::<i64>(), shift in 0..64) {
            let n = n >> shift;
            let bytes = encoded(n);
            prop_assert_eq!(bytes.len(), varint_len(n));
            prop_assert_eq!(varlong(&bytes).unwrap(), (n, bytes.len()));
            if let Ok(small) = i32::try_from(n) {
                prop_assert_eq!(varint(&bytes).unwrap(), (small, bytes.len()));
            } else {
                prop_assert!(varint(&bytes).is_err());
            }
        }
    }
}
