//! A record batch (version 2), as it travels and as it lies in a partition.
//!
//! One batch is what a broker appends or refuses as a whole. Its header carries who wrote it, which
//! is why a reader of batches can tell writers apart where a reader of records cannot.
//!
//! ```
//! use leftfold_kafka_testing::wire::{Batch, ProducerId, Record, StoredBatch};
//!
//! let writer = ProducerId { id: 7, epoch: 2 };
//! let batch = Batch::of(0, [Record::new("paid"), Record::new("shipped")]).from(writer, 40);
//! let stored = StoredBatch::decode_all(batch.encode())?;
//! assert_eq!(stored[0].producer, Some(writer));
//! assert_eq!(stored[0].last_sequence(), 41);
//! # Ok::<(), leftfold_kafka_testing::wire::WireError>(())
//! ```

mod decode;
mod encode;
mod varint;

use bytes::Bytes;

/// Bytes of a batch before its records.
const HEADER: usize = 61;
/// What lies before the part that the length counts: base offset and length.
const BEFORE_LENGTH_COUNTS: usize = 12;
/// Where the checksum lies, and where what it covers begins.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const COMPRESSION: i16 = 0b111;

/// A producer as brokers know it: a number, and which of its incarnations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId {
    /// Given by a transaction coordinator.
    pub id: i64,
    /// Brokers refuse smaller ones than the greatest they have seen.
    pub epoch: i16,
}

/// A record to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The key.
    pub key: Option<Bytes>,
    /// The payload.
    pub value: Option<Bytes>,
    /// Named values beside the payload.
    pub headers: Vec<(Bytes, Bytes)>,
}

/// A batch to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Who writes it; no check is made for nobody.
    pub producer: Option<ProducerId>,
    /// The number of its first record among all of this incarnation in this partition.
    pub sequence: i32,
    /// Whether it waits for a transaction's end.
    pub transactional: bool,
    /// The time of all its records, in milliseconds since 1970.
    pub timestamp: i64,
    /// Never empty.
    pub records: Vec<Record>,
}

/// A batch as it was found in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBatch {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The offset of its last.
    pub last_offset: i64,
    /// Who wrote it, if that was said.
    pub producer: Option<ProducerId>,
    /// The number of its first record, or -1.
    pub sequence: i32,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// If it is the end of a transaction: whether that was a commit.
    pub marker: Option<bool>,
    /// Its records.
    pub records: Vec<StoredRecord>,
}

/// A record as it was found in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Where.
    pub offset: i64,
    /// What.
    pub record: Record,
}

impl Record {
    /// A record with this payload.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Record { value: Some(value.into()), ..Record::default() }
    }

    /// With this header too.
    #[must_use]
    pub fn header(mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The last header of this name.
    pub fn find_header(&self, name: &[u8]) -> Option<&Bytes> {
        self.headers.iter().rev().find(|(found, _)| found == name).map(|(_, value)| value)
    }
}

impl Batch {
    /// A batch of nobody in particular, written at this time (in milliseconds since 1970). Brokers
    /// count from it until they forget the producer: one of long ago is forgotten at once.
    pub fn of(timestamp: i64, records: impl IntoIterator<Item = Record>) -> Self {
        let records = records.into_iter().collect();
        Batch { producer: None, sequence: -1, transactional: false, timestamp, records }
    }

    /// Written by this producer, its first record being the one of this number.
    #[must_use]
    pub fn from(mut self, producer: ProducerId, sequence: i32) -> Self {
        self.producer = Some(producer);
        self.sequence = sequence;
        self
    }

    /// As part of the producer's open transaction.
    #[must_use]
    pub fn in_transaction(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// The number that the next batch of the same producer begins with.
    pub fn next_sequence(&self) -> i32 {
        advance(self.sequence, self.records.len())
    }
}

impl StoredBatch {
    /// The number of its last record; meaningless if it has none.
    pub fn last_sequence(&self) -> i32 {
        advance(self.sequence, usize::try_from(self.last_offset - self.base_offset).unwrap_or(0))
    }
}

/// Numbers go from the greatest to zero.
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
    fn what_is_encoded_is_decoded() {
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
    fn a_batch_that_was_cut_off_by_a_fetch_is_left_out() {
        let mut bytes = rich().encode().to_vec();
        let whole = bytes.len();
        bytes.extend_from_within(..whole - 1);
        assert_eq!(StoredBatch::decode_all(bytes.into()).unwrap().len(), 1);
    }

    #[test]
    fn every_flipped_bit_behind_the_checksum_is_noticed() {
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
