use bytes::{BufMut, BytesMut};

use super::varint::size;
use super::{BEFORE_LENGTH_COUNTS, CRC_AT, CRC_FROM, HEADER};

/// Where the fields lie that are known at the end.
const LENGTH_AT: usize = 8;
const DELTA_AT: usize = 23;
const TIMES_AT: usize = 27;
const COUNT_AT: usize = 57;

/// Writes one batch of records into a buffer, as a broker stores it: without a copy of any record on the way.
///
/// ```
/// use bytes::BytesMut;
/// use leftfold_kafka::{BatchWriter, StoredBatch, WrittenRecord};
///
/// let mut out = BytesMut::new();
/// let mut batch = BatchWriter::begin(&mut out, 7);
/// batch.add(8, &WrittenRecord { timestamp: 5, key: None, value: Some(b"paid"), headers: &[] });
/// batch.finish(9);
/// let stored = StoredBatch::decode_all(out.freeze())?;
/// assert_eq!((stored[0].base_offset, stored[0].last_offset, stored[0].records[0].offset), (7, 9, 8));
/// # Ok::<(), leftfold_kafka::KafkaError>(())
/// ```
pub struct BatchWriter<'a> {
    out: &'a mut BytesMut,
    start: usize,
    base_offset: i64,
    times: Option<Times>,
    count: i32,
}

struct Times {
    base: i64,
    max: i64,
}

/// A record to write, of borrowed parts.
#[derive(Debug, Clone, Copy)]
pub struct WrittenRecord<'a> {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The payload.
    pub value: Option<&'a [u8]>,
    /// Named values beside the payload.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

impl<'a> BatchWriter<'a> {
    /// Begins a batch behind what the buffer holds. Its offsets are not below `base_offset`.
    pub fn begin(out: &'a mut BytesMut, base_offset: i64) -> Self {
        let start = out.len();
        out.put_i64(base_offset);
        out.put_i32(0); // length, at the end
        out.put_i32(0); // leader epoch
        out.put_i8(2); // version
        out.put_u32(0); // checksum, at the end
        out.put_i16(0); // attributes
        out.put_i32(0); // the last offset, at the end
        out.put_i64(-1); // times, at the end
        out.put_i64(-1);
        out.put_i64(-1); // no producer
        out.put_i16(-1);
        out.put_i32(-1);
        out.put_i32(0); // the number of records, at the end
        BatchWriter { out, start, base_offset, times: None, count: 0 }
    }

    /// Returns the bytes of the batch so far.
    pub fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Whether it has no records yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes room for this many further bytes, so that the buffer does not grow step by step.
    pub fn reserve(&mut self, additional: usize) {
        self.out.reserve(additional);
    }

    /// Returns the bytes that a record takes in the batch, at most.
    pub fn room_of(record: &WrittenRecord<'_>) -> usize {
        const NUMBERS: usize = 32;
        let headers =
            record.headers.iter().map(|(name, value)| 10 + name.len() + bytes_len(*value));
        NUMBERS + bytes_len(record.key) + bytes_len(record.value) + headers.sum::<usize>()
    }

    /// Adds a record. Offsets only grow.
    pub fn add(&mut self, offset: i64, record: &WrittenRecord<'_>) {
        let times =
            self.times.get_or_insert(Times { base: record.timestamp, max: record.timestamp });
        times.max = times.max.max(record.timestamp);
        let time = record.timestamp.wrapping_sub(times.base);
        let delta = offset - self.base_offset;
        let sized = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => size(bytes.len() as i64) + bytes.len(),
            None => 1,
        };
        let headers = record.headers.iter();
        let headers = headers.map(|(name, value)| sized(Some(name.as_bytes())) + sized(*value));
        let length = 1
            + size(time)
            + size(delta)
            + sized(record.key)
            + sized(record.value)
            + size(record.headers.len() as i64)
            + headers.sum::<usize>();
        let at = self.out.len();
        self.out.resize(at + size(length as i64) + length, 0);
        let mut room = Room(self.out.get_mut(at..).unwrap_or_default());
        room.put_number(length as i64);
        room.put(&[0]); // no attributes
        room.put_number(time);
        room.put_number(delta);
        room.put_bytes(record.key);
        room.put_bytes(record.value);
        room.put_number(record.headers.len() as i64);
        for (name, value) in record.headers {
            room.put_bytes(Some(name.as_bytes()));
            room.put_bytes(*value);
        }
        self.count += 1;
    }

    /// Ends the batch, which covers the offsets up to `last_offset`. Without records it only tells a consumer to go on
    /// behind them.
    pub fn finish(self, last_offset: i64) {
        let BatchWriter { out, start, base_offset, times, count } = self;
        let Some(batch) = out.get_mut(start..) else { return };
        let length = (batch.len() - BEFORE_LENGTH_COUNTS) as i32;
        let delta = (last_offset - base_offset) as i32;
        let (base, max) = times.map_or((-1, -1), |times| (times.base, times.max));
        batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        batch[DELTA_AT..DELTA_AT + 4].copy_from_slice(&delta.to_be_bytes());
        batch[TIMES_AT..TIMES_AT + 8].copy_from_slice(&base.to_be_bytes());
        batch[TIMES_AT + 8..TIMES_AT + 16].copy_from_slice(&max.to_be_bytes());
        batch[COUNT_AT..HEADER].copy_from_slice(&count.to_be_bytes());
        let crc = crc32c::crc32c(&batch[CRC_FROM..]);
        batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Room for a record, whose length was computed. Each part is written without a look at the buffer's capacity, which costs
/// more than most parts.
struct Room<'a>(&'a mut [u8]);

impl Room<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if let Some((part, rest)) = std::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            part.copy_from_slice(bytes);
            self.0 = rest;
        }
    }

    #[inline]
    fn put_number(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)) as u64;
        while rest >= 0x80 {
            self.put(&[rest as u8 | 0x80]);
            rest >>= 7;
        }
        self.put(&[rest as u8]);
    }

    #[inline]
    fn put_bytes(&mut self, bytes: Option<&[u8]>) {
        self.put_number(bytes.map_or(-1, |bytes| bytes.len() as i64));
        self.put(bytes.unwrap_or_default());
    }
}

fn bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::{Record, StoredBatch};

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            records in vec((option::of(vec(any::<u8>(), 0..40)), option::of(vec(any::<u8>(), 0..300)), 0..3_i64, any::<i32>()), 0..20),
            base in 0..1_000_000_i64,
        ) {
            let mut out = BytesMut::from(&b"before"[..]);
            let mut batch = BatchWriter::begin(&mut out, base);
            let (mut offset, mut expected) = (base, Vec::new());
            for (key, value, gap, time) in &records {
                offset += gap;
                let record = WrittenRecord {
                    timestamp: i64::from(*time),
                    key: key.as_deref(),
                    value: value.as_deref(),
                    headers: &[("a", Some(b"1")), ("b", None)],
                };
                let before = batch.len();
                batch.add(offset, &record);
                prop_assert!(batch.len() - before <= BatchWriter::room_of(&record));
                let record = Record {
                    key: key.clone().map(Into::into),
                    value: value.clone().map(Into::into),
                    ..Record::default()
                };
                expected.push((offset, i64::from(*time), record.header("a", "1").header("b", "")));
                offset += 1;
            }
            batch.finish(offset);
            let stored = StoredBatch::decode_all(out.freeze().slice(6..)).unwrap();
            prop_assert_eq!((stored.len(), stored[0].base_offset, stored[0].last_offset), (1, base, offset));
            let found = stored[0].records.iter();
            let found: Vec<_> = found.map(|found| (found.offset, found.timestamp, found.record.clone())).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
