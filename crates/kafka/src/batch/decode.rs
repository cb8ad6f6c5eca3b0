use std::io;

use bytes::{Buf, Bytes};
use thiserror::Error;

use super::compression::decompress;
use super::varint::{get, get_bytes};
use super::{
    BEFORE_LENGTH_COUNTS, COMPRESSION, CONTROL, CRC_AT, CRC_FROM, HEADER, ProducerId, Record,
    StoredBatch, StoredRecord, TRANSACTIONAL,
};
use crate::error::KafkaError;

/// The most bytes of decompressed records from one call.
pub(super) const MOST_DECOMPRESSED: usize = 256 << 20;
/// The fewest bytes of a record: its length, and six fields of one byte.
const SMALLEST_RECORD: usize = 7;
/// Any number of records, and of headers.
const ANY: (usize, usize) = (usize::MAX, usize::MAX);
/// The most headers of the records of a sent batch; each takes more memory than its two bytes.
const MOST_HEADERS: usize = 1 << 18;
/// Room is made at once for this many headers of a record.
const USUAL_HEADERS: usize = 16;

impl StoredBatch {
    /// Decodes consecutive batches, plain or compressed.
    ///
    /// An incomplete last batch is omitted, because brokers truncate their answers. Batches behind the first are
    /// omitted too if all are too large together when decompressed; the next fetch reads them.
    ///
    /// # Errors
    /// A batch is damaged, not of version 2, or larger than 256 MiB when decompressed.
    pub fn decode_all(mut bytes: Bytes) -> Result<Vec<StoredBatch>, KafkaError> {
        let mut batches = Vec::new();
        let mut rest = MOST_DECOMPRESSED;
        while let Some(length) = whole_length(&bytes)? {
            match decode_one(bytes.split_to(length), &mut rest, ANY) {
                Ok((batch, _)) => batches.push(batch),
                Err(DecodeError::TooLarge) if !batches.is_empty() => break,
                Err(error) => return Err(broken(&error.to_string())),
            }
        }
        Ok(batches)
    }

    /// Decodes the one batch that a producer has sent: at most this many records, which take at most `most` bytes when
    /// decompressed.
    ///
    /// # Errors
    /// The bytes are not exactly one batch, or it can't be decoded.
    pub fn decode_sent(
        bytes: Bytes,
        most: usize,
        most_records: usize,
    ) -> Result<StoredBatch, DecodeError> {
        let length = whole_length(&bytes).map_err(|_| DecodeError::Length)?;
        if length != Some(bytes.len()) {
            return Err(DecodeError::Length);
        }
        let mut rest = most;
        let (batch, is_whole) = decode_one(bytes, &mut rest, (most_records, MOST_HEADERS))?;
        let last = i64::try_from(batch.records.len()).unwrap_or(i64::MAX) - 1;
        let are_dense =
            (0..).zip(&batch.records).all(|(n, record)| record.offset - batch.base_offset == n);
        match is_whole && are_dense && batch.last_offset - batch.base_offset == last {
            true => Ok(batch),
            false => Err(DecodeError::Record),
        }
    }

    /// Returns whether the records of a batch are compressed. Nothing of the batch is checked.
    pub fn is_compressed(bytes: &[u8]) -> bool {
        let attributes = bytes.get(CRC_FROM..CRC_FROM + 2).and_then(|two| two.try_into().ok());
        attributes.is_some_and(|two| i16::from_be_bytes(two) & COMPRESSION != 0)
    }
}

/// The reason why a batch cannot be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is cut off, or its length is that of something else.
    #[error("a batch is not as long as it says")]
    Length,
    /// It is of an older format.
    #[error("a batch is not of version 2")]
    Version,
    /// Its bytes are not those that were sent.
    #[error("a batch is damaged: its checksum differs")]
    Checksum,
    /// Its offsets go beyond the greatest.
    #[error("the offsets of a batch are out of range")]
    Offsets,
    /// A record goes beyond the batch, or there are bytes behind the last one.
    #[error("a record does not fit into its batch")]
    Record,
    /// Its records are too large when decompressed.
    #[error("a batch is too large when decompressed")]
    TooLarge,
    /// It has more records than the caller allows.
    #[error("a batch has {0} records")]
    TooManyRecords(usize),
    /// Its records have more headers than are decoded.
    #[error("the records of a batch have more than {MOST_HEADERS} headers")]
    TooManyHeaders,
    /// Its records can't be decompressed.
    #[error("a batch cannot be decompressed: {0}")]
    Compression(io::Error),
}

fn broken(why: &str) -> KafkaError {
    KafkaError::malformed("FetchRequest", why)
}

/// Returns the length of the first batch if it is complete.
fn whole_length(bytes: &Bytes) -> Result<Option<usize>, KafkaError> {
    let Some(length) = bytes.get(8..BEFORE_LENGTH_COUNTS).and_then(|four| four.try_into().ok())
    else {
        return Ok(None);
    };
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(0) + BEFORE_LENGTH_COUNTS;
    if length < HEADER {
        return Err(broken("a batch is shorter than its header"));
    }
    Ok((length <= bytes.len()).then_some(length))
}

/// Decodes a batch; takes the bytes of its decompressed records from `rest`. Returns also whether no bytes are left behind
/// the last record.
fn decode_one(
    mut bytes: Bytes,
    rest: &mut usize,
    (most_records, most_headers): (usize, usize),
) -> Result<(StoredBatch, bool), DecodeError> {
    let covered = bytes.slice(CRC_FROM..);
    let mut header = bytes.split_to(HEADER);
    let base_offset = header.get_i64();
    header.advance(CRC_AT - 1 - 8);
    if header.get_i8() != 2 {
        return Err(DecodeError::Version);
    }
    if header.get_u32() != crc32c::crc32c(&covered) {
        return Err(DecodeError::Checksum);
    }
    let attributes = header.get_i16();
    let delta = header.get_i32();
    let last_offset = base_offset.checked_add(delta.into()).ok_or(DecodeError::Offsets)?;
    let base_time = header.get_i64();
    header.advance(8); // the greatest time
    let (id, epoch) = (header.get_i64(), header.get_i16());
    let sequence = header.get_i32();
    let count = usize::try_from(header.get_i32()).unwrap_or(0);
    if count > most_records {
        return Err(DecodeError::TooManyRecords(count));
    }
    if attributes & COMPRESSION != 0 {
        bytes = decompress(attributes & COMPRESSION, bytes, *rest).map_err(|error| {
            if error.kind() == io::ErrorKind::FileTooLarge {
                DecodeError::TooLarge
            } else {
                DecodeError::Compression(error)
            }
        })?;
        *rest -= bytes.len();
    }
    let mut records = Vec::with_capacity(count.min(bytes.len() / SMALLEST_RECORD));
    let (mut unread, mut headers) = (&bytes[..], most_headers);
    for _ in 0..count {
        let record = decode_record(&bytes, &mut unread, base_offset, base_time, headers);
        let record = record.ok_or(DecodeError::Record)?.ok_or(DecodeError::TooManyHeaders)?;
        headers = headers.saturating_sub(record.record.headers.len());
        records.push(record);
    }
    let batch = StoredBatch {
        base_offset,
        last_offset,
        producer: (id >= 0).then_some(ProducerId { id, epoch }),
        sequence,
        transactional: attributes & TRANSACTIONAL != 0,
        marker: (attributes & CONTROL != 0).then(|| is_commit(&records)),
        records,
    };
    Ok((batch, unread.is_empty()))
}

/// Decodes the record at the start of the rest of a batch's records; an inner `None` if it has too many headers.
fn decode_record(
    all: &Bytes,
    rest: &mut &[u8],
    base_offset: i64,
    base_time: i64,
    most_headers: usize,
) -> Option<Option<StoredRecord>> {
    let mut bytes = get_bytes(rest)??;
    bytes.split_off_first()?; // attributes, unused
    let timestamp = base_time.checked_add(get(&mut bytes)?)?;
    let offset = base_offset.checked_add(get(&mut bytes)?)?;
    let key = get_bytes(&mut bytes)?.map(|key| all.slice_ref(key));
    let value = get_bytes(&mut bytes)?.map(|value| all.slice_ref(value));
    let count = get(&mut bytes)?;
    let expected = usize::try_from(count).unwrap_or(0);
    if expected > most_headers {
        return Some(None);
    }
    let mut headers = Vec::with_capacity(expected.min(USUAL_HEADERS));
    for _ in 0..count {
        let name = all.slice_ref(get_bytes(&mut bytes)??);
        let value = get_bytes(&mut bytes)?.map(|value| all.slice_ref(value));
        headers.push((name, value.unwrap_or_default()));
    }
    Some(Some(StoredRecord { offset, timestamp, record: Record { key, value, headers } }))
}

/// Parses the key of a transaction's marker: a version, then 0 for abort and 1 for commit.
fn is_commit(records: &[StoredRecord]) -> bool {
    let key = records.first().and_then(|stored| stored.record.key.as_ref());
    key.and_then(|key| key.get(2..4)) == Some(&[0, 1])
}
