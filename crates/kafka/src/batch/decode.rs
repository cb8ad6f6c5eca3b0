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
            match decode_one(bytes.split_to(length), &mut rest) {
                Ok(batch) => batches.push(batch),
                Err(DecodeError::TooLarge) if !batches.is_empty() => break,
                Err(error) => return Err(broken(&error.to_string())),
            }
        }
        Ok(batches)
    }
}

/// The reason why a batch cannot be decoded.
#[derive(Debug, Error)]
enum DecodeError {
    #[error("a batch is not of version 2")]
    Version,
    #[error("a batch is damaged: its checksum differs")]
    Checksum,
    #[error("the offsets of a batch are out of range")]
    Offsets,
    #[error("a record does not fit into its batch")]
    Record,
    #[error("a batch is larger than {MOST_DECOMPRESSED} bytes when decompressed")]
    TooLarge,
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

/// Decodes a batch; takes the bytes of its decompressed records from `rest`.
fn decode_one(mut bytes: Bytes, rest: &mut usize) -> Result<StoredBatch, DecodeError> {
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
    header.advance(16); // times
    let (id, epoch) = (header.get_i64(), header.get_i16());
    let sequence = header.get_i32();
    let count = usize::try_from(header.get_i32()).unwrap_or(0);
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
    let mut unread = &bytes[..];
    for _ in 0..count {
        let record = decode_record(&bytes, &mut unread, base_offset);
        records.push(record.ok_or(DecodeError::Record)?);
    }
    Ok(StoredBatch {
        base_offset,
        last_offset,
        producer: (id >= 0).then_some(ProducerId { id, epoch }),
        sequence,
        transactional: attributes & TRANSACTIONAL != 0,
        marker: (attributes & CONTROL != 0).then(|| is_commit(&records)),
        records,
    })
}

/// Decodes the record at the start of the rest of a batch's records.
fn decode_record(all: &Bytes, rest: &mut &[u8], base_offset: i64) -> Option<StoredRecord> {
    let mut bytes = get_bytes(rest)??;
    bytes.split_off_first()?; // attributes, unused
    get(&mut bytes)?; // time since the batch's
    let offset = base_offset.checked_add(get(&mut bytes)?)?;
    let key = get_bytes(&mut bytes)?.map(|key| all.slice_ref(key));
    let value = get_bytes(&mut bytes)?.map(|value| all.slice_ref(value));
    let count = get(&mut bytes)?;
    let expected = usize::try_from(count).unwrap_or(0);
    let mut headers = Vec::with_capacity(expected.min(USUAL_HEADERS));
    for _ in 0..count {
        let name = all.slice_ref(get_bytes(&mut bytes)??);
        let value = get_bytes(&mut bytes)?.map(|value| all.slice_ref(value));
        headers.push((name, value.unwrap_or_default()));
    }
    Some(StoredRecord { offset, record: Record { key, value, headers } })
}

/// Parses the key of a transaction's marker: a version, then 0 for abort and 1 for commit.
fn is_commit(records: &[StoredRecord]) -> bool {
    let key = records.first().and_then(|stored| stored.record.key.as_ref());
    key.and_then(|key| key.get(2..4)) == Some(&[0, 1])
}
