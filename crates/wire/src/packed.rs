use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use leftfold_api::{Failure, Recorded, Timestamp};
use prost::DecodeError;
use prost::encoding::{self, DecodeContext, WireType};

use crate::invalid;

/// Bytes before each record: its length, its position, its commit time and its event time.
const HEAD: usize = 4 + 8 + 8 + 8;
/// The number of the field that holds the records.
const RECORDS: u32 = 1;
/// The number of the field that holds the ordinals.
const ORDINALS: u32 = 2;

/// Many events as they lie in the log, and their ordinals if the request asked for them.
///
/// Written by hand and not generated: so a server copies each record once, from the block that it was
/// read with into the message, and a client's events are slices of the message.
#[derive(Clone, Default)]
pub struct PackedEvents {
    records: Records,
    /// One for each event, or none.
    ordinals: Vec<u64>,
}

#[derive(Clone)]
enum Records {
    /// Events to be sent, and the bytes that they take.
    Events(Vec<Recorded>, usize),
    /// Bytes that were received.
    Bytes(Bytes),
}

impl Default for Records {
    fn default() -> Self {
        Records::Bytes(Bytes::new())
    }
}

impl PackedEvents {
    /// Packs events to be sent.
    pub fn new(events: Vec<Recorded>) -> Self {
        let bytes = events.iter().map(PackedEvents::bytes_of).sum();
        let ordinals = events.iter().map(Recorded::ordinal).collect::<Option<_>>();
        let ordinals = ordinals.unwrap_or_default();
        PackedEvents { records: Records::Events(events, bytes), ordinals }
    }

    /// Returns the bytes that an event takes.
    pub fn bytes_of(event: &Recorded) -> usize {
        HEAD + event.record().len()
    }

    /// Returns the events.
    ///
    /// # Errors
    /// `protocol_error`: the bytes that were received are not events.
    pub fn into_events(self) -> Result<Vec<Recorded>, Failure> {
        let events = match self.records {
            Records::Events(events, _) => return Ok(events),
            Records::Bytes(bytes) => unpack(bytes)?,
        };
        match self.ordinals.len() {
            0 => Ok(events),
            count if count == events.len() => {
                let events = events.into_iter().zip(self.ordinals);
                Ok(events.map(|(event, ordinal)| event.with_ordinal(ordinal)).collect())
            }
            _ => Err(invalid::answer("there is not one ordinal for each packed event")),
        }
    }

    fn len(&self) -> usize {
        match &self.records {
            Records::Events(_, length) => *length,
            Records::Bytes(bytes) => bytes.len(),
        }
    }
}

fn unpack(mut bytes: Bytes) -> Result<Vec<Recorded>, Failure> {
    // Most events are smaller; the bytes that were received bound the reservation.
    let mut events = Vec::with_capacity(bytes.len() / 256);
    while !bytes.is_empty() {
        events.push(unpack_one(&mut bytes)?);
    }
    Ok(events)
}

fn unpack_one(bytes: &mut Bytes) -> Result<Recorded, Failure> {
    if bytes.len() < HEAD {
        return Err(invalid::answer("packed events end within an event"));
    }
    let length = bytes.get_u32_le() as usize;
    let position = bytes.get_u64_le();
    let (commit_time, event_time) = (bytes.get_i64_le(), bytes.get_i64_le());
    if length > bytes.len() {
        return Err(invalid::answer("a packed event is longer than its message"));
    }
    let record = bytes.split_to(length);
    Recorded::from_record(position, Timestamp(event_time), Timestamp(commit_time), record)
}

fn pack_one(event: &Recorded, buf: &mut impl BufMut) {
    buf.put_u32_le(event.record().len() as u32);
    buf.put_u64_le(event.position());
    buf.put_i64_le(event.commit_time().0);
    buf.put_i64_le(event.event_time().0);
    buf.put_slice(event.record());
}

impl prost::Message for PackedEvents {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if self.len() > 0 {
            encoding::encode_key(RECORDS, WireType::LengthDelimited, buf);
            encoding::encode_varint(self.len() as u64, buf);
            match &self.records {
                Records::Events(events, _) => events.iter().for_each(|event| pack_one(event, buf)),
                Records::Bytes(bytes) => buf.put_slice(bytes),
            }
        }
        encoding::uint64::encode_packed(ORDINALS, &self.ordinals, buf);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            RECORDS => {
                let mut bytes = Bytes::new();
                encoding::bytes::merge(wire_type, &mut bytes, buf, ctx)?;
                self.records = Records::Bytes(bytes);
                Ok(())
            }
            ORDINALS => encoding::uint64::merge_repeated(wire_type, &mut self.ordinals, buf, ctx),
            _ => encoding::skip_field(wire_type, tag, buf, ctx),
        }
    }

    fn encoded_len(&self) -> usize {
        let records = match self.len() {
            0 => 0,
            length => {
                encoding::key_len(RECORDS) + encoding::encoded_len_varint(length as u64) + length
            }
        };
        records + encoding::uint64::encoded_len_packed(ORDINALS, &self.ordinals)
    }

    fn clear(&mut self) {
        *self = PackedEvents::default();
    }
}

/// Whether both have the same bytes on the wire.
impl PartialEq for PackedEvents {
    fn eq(&self, other: &Self) -> bool {
        prost::Message::encode_to_vec(self) == prost::Message::encode_to_vec(other)
    }
}

impl fmt::Debug for PackedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackedEvents({} bytes)", self.len())
    }
}
