//! Partitioners: how the partition of a key is computed, as clients of Kafka do.

use std::fmt;
use std::str::FromStr;

use crate::error::Invalid;

/// How a partition is computed from a key: as the clients of Kafka of one family do by default.
///
/// ```
/// use leftfold_api::Partitioner;
///
/// assert_eq!(Partitioner::Murmur2.partition_of(b"hejsan", 17), 5);
/// assert_eq!(Partitioner::Crc32.partition_of(b"hejsan", 17), 14);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Partitioner {
    /// [`murmur2`] without its sign bit, modulo the number of partitions: the default of Java clients.
    #[default]
    Murmur2,
    /// The CRC-32 of zlib, modulo the number of partitions: `consistent` of librdkafka and the clients
    /// that are built on it.
    Crc32,
}

impl Partitioner {
    /// Returns the partition of a key, below `count`; 0 if that is 0.
    pub fn partition_of(&self, key: &[u8], count: u32) -> u32 {
        let hash = match self {
            Partitioner::Murmur2 => murmur2(key) & 0x7fff_ffff,
            Partitioner::Crc32 => crc32fast::hash(key),
        };
        hash % count.max(1)
    }
}

/// As [`Partitioner::from_str`] reads it.
impl fmt::Display for Partitioner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Partitioner::Murmur2 => "murmur2",
            Partitioner::Crc32 => "crc32",
        })
    }
}

impl FromStr for Partitioner {
    type Err = Invalid;

    /// Reads `murmur2` or `crc32`.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "murmur2" => Ok(Partitioner::Murmur2),
            "crc32" => Ok(Partitioner::Crc32),
            _ => {
                let message = format!("{text:?} is not a partitioner: write murmur2 or crc32");
                Err(Invalid::new("index_partitions_invalid", message))
            }
        }
    }
}

/// Returns Kafka's 32-bit murmur2 of a key, as its default partitioner computes it.
pub fn murmur2(key: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ key.len() as u32;
    let (words, rest) = key.as_chunks();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_gives_the_values_of_kafkas_own_test() {
        // org.apache.kafka.common.utils.UtilsTest, testMurmur2.
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
        }
    }

    /// The keys of librdkafka's tests/0048-partitioner.c, with the hashes that it expects.
    const OF_LIBRDKAFKA: [(&str, u32, u32); 4] = [
        // The key, its CRC-32 by another program, and its murmur2 without sign by Java.
        ("", 0, 0x106e_08d9),
        ("23456", 0xb1b4_51d7, 0x058d_780f),
        ("this is another string with more length to it perhaps", 0xb015_0df7, 0x4f77_03da),
        ("hejsan", 0xd077_037e, 0x5ec1_9395),
    ];

    #[test]
    fn partitions_are_those_of_librdkafkas_own_test() {
        for (key, crc32, murmur2) in OF_LIBRDKAFKA {
            for count in [1, 7, 17, 1_024] {
                let of = |partitioner: Partitioner| partitioner.partition_of(key.as_bytes(), count);
                assert_eq!(of(Partitioner::Crc32), crc32 % count, "{key}");
                assert_eq!(of(Partitioner::Murmur2), murmur2 % count, "{key}");
            }
        }
        assert_eq!(Partitioner::Crc32.partition_of(b"x", 0), 0);
    }

    #[test]
    fn partitioners_are_read_back_as_they_were_printed() {
        for partitioner in [Partitioner::Murmur2, Partitioner::Crc32] {
            assert_eq!(partitioner.to_string().parse(), Ok(partitioner));
        }
        let error = "Crc32".parse::<Partitioner>().unwrap_err();
        assert_eq!(error.code, "index_partitions_invalid");
    }
}
