use bytes::{Buf, Bytes};

use super::varint::{get, get_bytes};
use super::{
    BEFORE_LENGTH_COUNTS, COMPRESSION, CONTROL, CRC_AT, CRC_FROM, HEADER, ProducerId, Record,
    StoredBatch, StoredRecord, TRANSACTIONAL,
};
use crate::error::KafkaError;

impl StoredBatch {
    /// Decodes consecutive batches.
    ///
    /// An incomplete last batch is omitted, because brokers truncate their answers.
    pub fn decode_all(mut bytes: Bytes) -> Result<Vec<StoredBatch>, KafkaError> {
        let mut batches = Vec::new();
        while let Some(length) = whole_length(&bytes)? {
            batches.push(decode_one(bytes.split_to(length))?);
        }
        Ok(batches)
    }
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

fn decode_one(mut bytes: Bytes) -> Result<StoredBatch, KafkaError> {
    let covered = bytes.slice(CRC_FROM..);
    let mut header = bytes.split_to(HEADER);
    let base_offset = header.get_i64();
    header.advance(CRC_AT - 1 - 8);
    if header.get_i8() != 2 {
        return Err(broken("a batch is not of version 2"));
    }
    if header.get_u32() != crc32c::crc32c(&covered) {
        return Err(broken("a batch is damaged: its checksum differs"));
    }
    let attributes = header.get_i16();
    if attributes & COMPRESSION != 0 {
        return Err(broken("a batch is compressed; this client reads plain ones only"));
    }
    let last_offset = base_offset + i64::from(header.get_i32());
    header.advance(16); // times
    let (id, epoch) = (header.get_i64(), header.get_i16());
    let sequence = header.get_i32();
    let count = usize::try_from(header.get_i32()).unwrap_or(0);
    let mut records = Vec::with_capacity(count.min(bytes.len()));
    for _ in 0..count {
        let record = decode_record(&mut bytes, base_offset);
        records.push(record.ok_or_else(|| broken("a record does not fit into its batch"))?);
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

fn decode_record(bytes: &mut Bytes, base_offset: i64) -> Option<StoredRecord> {
    let mut bytes = get_bytes(bytes)??;
    bytes.try_get_i8().ok()?; // attributes, unused
    get(&mut bytes)?; // time since the batch's
    let offset = base_offset.checked_add(get(&mut bytes)?)?;
    let key = get_bytes(&mut bytes)?;
    let value = get_bytes(&mut bytes)?;
    let mut headers = Vec::new();
    for _ in 0..get(&mut bytes)? {
        let name = get_bytes(&mut bytes)??;
        headers.push((name, get_bytes(&mut bytes)?.unwrap_or_default()));
    }
    Some(StoredRecord { offset, record: Record { key, value, headers } })
}

/// Parses the key of a transaction's marker: a version, then 0 for abort and 1 for commit.
fn is_commit(records: &[StoredRecord]) -> bool {
    let key = records.first().and_then(|stored| stored.record.key.as_ref());
    key.and_then(|key| key.get(2..4)) == Some(&[0, 1])
}
