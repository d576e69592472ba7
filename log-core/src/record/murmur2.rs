//! Kafka's key partitioning: the murmur2 hash of the key, its sign bit cleared, modulo the partition count.

use crate::types::PartitionIndex;

/// Kafka's variant of murmur2 (Austin Appleby's 32-bit MurmurHash2 with Kafka's seed).
pub const fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    let mut h = SEED ^ data.len() as u32;
    let mut i = 0;
    while i + 4 <= data.len() {
        let mut k = u32::from_le_bytes([data[i], data[i + 1], data[i + 2], data[i + 3]]);
        k = k.wrapping_mul(M);
        k ^= k >> 24;
        k = k.wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
        i += 4;
    }
    let rest = data.len() - i;
    if rest == 3 {
        h ^= (data[i + 2] as u32) << 16;
    }
    if rest >= 2 {
        h ^= (data[i + 1] as u32) << 8;
    }
    if rest >= 1 {
        h = (h ^ data[i] as u32).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// The partition that Kafka's default partitioner gives to `key`. `partitions` must be at least 1.
pub const fn partition_for_key(key: &[u8], partitions: PartitionIndex) -> PartitionIndex {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of Kafka's own UtilsTest.
    #[test]
    fn agrees_with_kafkas_vectors() {
        for (key, hash) in [
            ("21", -973932308_i32),
            ("foobar", -790332482),
            ("a-little-bit-long-string", -985981536),
            ("a-little-bit-longer-string", -1486304829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            ("abc", 479470107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }
}
