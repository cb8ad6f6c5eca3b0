//! A record batch (version 2), on the wire and in a partition.
//!
//! A broker appends or refuses a batch as a whole. Its header names the producer, so a reader of
//! batches can distinguish producers where a reader of records cannot.
//!
//! ```
//! use leftfold_kafka::{Batch, ProducerId, Record, StoredBatch};
//!
//! let writer = ProducerId { id: 7, epoch: 2 };
//! let batch = Batch::of(0, [Record::new("paid"), Record::new("shipped")]).from(writer, 40);
//! let stored = StoredBatch::decode_all(batch.encode())?;
//! assert_eq!(stored[0].producer, Some(writer));
//! assert_eq!(stored[0].last_sequence(), 41);
//! # Ok::<(), leftfold_kafka::KafkaError>(())
//! ```

mod compression;
mod decode;
mod encode;
mod varint;
mod writer;

use bytes::Bytes;

pub use compression::Compression;
pub use decode::DecodeError;
pub use writer::{BatchWriter, WrittenRecord};

/// Bytes of a batch before its records.
const HEADER: usize = 61;
/// Bytes that the batch length does not count: base offset and length.
const BEFORE_LENGTH_COUNTS: usize = 12;
/// The offset of the checksum, and the start of the bytes that it covers.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const COMPRESSION: i16 = 0b111;

/// The id and the epoch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId {
    /// The id, assigned by a transaction coordinator.
    pub id: i64,
    /// The epoch. Brokers refuse an epoch below the greatest that they remember.
    pub epoch: i16,
}

/// A record to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Option<Bytes>,
    /// The payload.
    pub value: Option<Bytes>,
    /// Named values beside the payload.
    pub headers: Vec<(Bytes, Bytes)>,
}

/// A batch to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The producer. Without one the broker checks neither epoch nor sequence.
    pub producer: Option<ProducerId>,
    /// The sequence of the first record, per producer, epoch and partition.
    pub sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// The timestamp of all records, in milliseconds since 1970.
    pub timestamp: i64,
    /// The compression of the records.
    pub compression: Compression,
    /// The records; never empty.
    pub records: Vec<Record>,
}

/// A batch in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// The offset of the first record.
    pub base_offset: i64,
    /// The offset of the last record.
    pub last_offset: i64,
    /// The producer, if the batch names one.
    pub producer: Option<ProducerId>,
    /// The sequence of the first record, or -1.
    pub sequence: i32,
    /// Whether the batch belongs to a transaction.
    pub transactional: bool,
    /// For the marker at the end of a transaction: whether it is a commit.
    pub marker: Option<bool>,
    /// The records.
    pub records: Vec<StoredRecord>,
}

/// A record in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The record.
    pub record: Record,
}

impl Record {
    /// Creates a record with this payload.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Record { value: Some(value.into()), ..Record::default() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Returns the last header of this name.
    pub fn find_header(&self, name: &[u8]) -> Option<&Bytes> {
        self.headers.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

impl Batch {
    /// Creates a batch without a producer, with this timestamp in milliseconds since 1970.
    ///
    /// Brokers expire producers by this timestamp: a producer with an old one is forgotten at once.
    pub fn of(timestamp: i64, records: impl IntoIterator<Item = Record>) -> Self {
        let records = records.into_iter().collect();
        let compression = Compression::None;
        Batch {
            producer: None,
            sequence: -1,
            transactional: false,
            timestamp,
            compression,
            records,
        }
    }

    /// Sets the producer and the sequence of the first record.
    #[must_use]
    pub fn from(mut self, producer: ProducerId, sequence: i32) -> Self {
        self.producer = Some(producer);
        self.sequence = sequence;
        self
    }

    /// Makes the batch part of the producer's open transaction.
    #[must_use]
    pub fn in_transaction(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Compresses the records when the batch is encoded. Records that do not get smaller stay plain.
    #[must_use]
    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Returns the sequence of the same producer's next batch.
    pub fn next_sequence(&self) -> i32 {
        advance(self.sequence, self.records.len())
    }
}

impl StoredBatch {
    /// Returns the sequence of the last record; meaningless if the batch has no sequence.
    pub fn last_sequence(&self) -> i32 {
        advance(self.sequence, usize::try_from(self.last_offset - self.base_offset).unwrap_or(0))
    }
}

/// Advances a sequence; after the greatest it wraps to zero.
fn advance(sequence: i32, by: usize) -> i32 {
    let wide = i64::from(sequence) + by as i64;
    (wide % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rich() -> Batch {
        let record = Record { key: Some("k".into()), ..Record::new(vec![7; 300]) };
        let empty = Record::default();
        Batch::of(0, [record.header("a", "1").header("a", "2"), empty])
            .from(ProducerId { id: i64::MAX, epoch: i16::MAX }, i32::MAX)
            .in_transaction()
    }

    #[test]
    fn a_batch_survives_encoding_and_decoding() {
        let batch = rich();
        let stored = StoredBatch::decode_all(batch.encode()).unwrap();
        assert_eq!(stored.len(), 1);
        let records: Vec<_> =
            stored[0].records.iter().map(|stored| stored.record.clone()).collect();
        assert_eq!(records, batch.records);
        assert_eq!(records[0].find_header(b"a").unwrap(), "2");
        assert_eq!((stored[0].producer, stored[0].sequence), (batch.producer, batch.sequence));
        assert!(stored[0].transactional && stored[0].marker.is_none());
        assert_eq!(stored[0].records[1].offset, 1);
    }

    #[test]
    fn a_compressed_batch_holds_the_same_records() {
        let plain = rich();
        let expected = StoredBatch::decode_all(plain.encode()).unwrap();
        for compression in [Compression::Lz4, Compression::Zstd] {
            let bytes = plain.clone().compressed(compression).encode();
            assert!(bytes.len() < plain.encode().len() / 2);
            assert_eq!(StoredBatch::decode_all(bytes).unwrap(), expected);
        }
    }

    #[test]
    fn batches_that_are_too_large_together_are_decoded_over_several_calls() {
        let records = Record::new(vec![7; super::decode::MOST_DECOMPRESSED / 2]);
        let one = Batch::of(0, [records]).compressed(Compression::Zstd).encode();
        let both = [one.clone(), one].concat();
        assert_eq!(StoredBatch::decode_all(both.into()).unwrap().len(), 1);
        let beyond = Record::new(vec![7; super::decode::MOST_DECOMPRESSED]);
        let beyond = Batch::of(0, [beyond]).compressed(Compression::Zstd).encode();
        assert!(StoredBatch::decode_all(beyond).is_err());
    }

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(rich().next_sequence(), 1);
        assert_eq!(
            Batch::of(0, [Record::new("x")])
                .from(ProducerId { id: 1, epoch: 0 }, 4)
                .next_sequence(),
            5
        );
    }

    #[test]
    fn a_truncated_last_batch_is_omitted() {
        let mut bytes = rich().encode().to_vec();
        let whole = bytes.len();
        bytes.extend_from_within(..whole - 1);
        assert_eq!(StoredBatch::decode_all(bytes.into()).unwrap().len(), 1);
    }

    #[test]
    fn every_flipped_bit_behind_the_checksum_is_detected() {
        let bytes = rich().encode();
        for at in CRC_AT..bytes.len() {
            let mut bent = bytes.to_vec();
            bent[at] ^= 0x10;
            assert!(StoredBatch::decode_all(bent.into()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }
}
