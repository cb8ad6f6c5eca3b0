use bytes::{BufMut, Bytes, BytesMut};

use super::varint::{put, put_bytes};
use super::{BEFORE_LENGTH_COUNTS, Batch, CRC_AT, CRC_FROM, HEADER, Record, TRANSACTIONAL};

impl Batch {
    /// Encodes the batch. The leader fills in the base offset and the leader epoch.
    pub fn encode(&self) -> Bytes {
        let records = self.encode_records();
        let compressed = self.compression.compress(&records);
        let attributes = if self.transactional { TRANSACTIONAL } else { 0 };
        let (attributes, body) = match &compressed {
            Some(smaller) => (attributes | self.compression.code(), smaller.as_slice()),
            None => (attributes, &records[..]),
        };
        let mut buffer = BytesMut::with_capacity(HEADER + body.len());
        let count = self.records.len() as i32;
        let producer = self.producer.map_or((-1, -1), |producer| (producer.id, producer.epoch));
        buffer.put_i64(0); // base offset
        buffer.put_i32(0); // length, below
        buffer.put_i32(-1); // leader epoch
        buffer.put_i8(2); // version
        buffer.put_u32(0); // checksum, below
        buffer.put_i16(attributes);
        buffer.put_i32(count - 1);
        buffer.put_i64(self.timestamp);
        buffer.put_i64(self.timestamp);
        buffer.put_i64(producer.0);
        buffer.put_i16(producer.1);
        buffer.put_i32(self.sequence);
        buffer.put_i32(count);
        buffer.extend_from_slice(body);
        let length = (buffer.len() - BEFORE_LENGTH_COUNTS) as i32;
        buffer[8..BEFORE_LENGTH_COUNTS].copy_from_slice(&length.to_be_bytes());
        let crc = crc32c::crc32c(&buffer[CRC_FROM..]);
        buffer[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
        buffer.freeze()
    }

    fn encode_records(&self) -> BytesMut {
        let mut buffer = BytesMut::with_capacity(320 * self.records.len());
        let mut scratch = BytesMut::new();
        for (delta, record) in (0..).zip(&self.records) {
            scratch.clear();
            lay_out(&mut scratch, record, delta);
            put(&mut buffer, scratch.len() as i64);
            buffer.extend_from_slice(&scratch);
        }
        buffer
    }
}

fn lay_out(buffer: &mut BytesMut, record: &Record, offset_delta: i64) {
    buffer.put_i8(0); // no attributes
    put(buffer, 0); // timestamp as the batch
    put(buffer, offset_delta);
    put_bytes(buffer, record.key.as_ref());
    put_bytes(buffer, record.value.as_ref());
    put(buffer, record.headers.len() as i64);
    for (name, value) in &record.headers {
        put_bytes(buffer, Some(name));
        put_bytes(buffer, Some(value));
    }
}
