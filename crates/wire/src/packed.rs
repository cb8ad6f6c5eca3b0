use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use leftfold_api::{Failure, Recorded, Timestamp};
use prost::DecodeError;
use prost::encoding::{self, DecodeContext, WireType};

use crate::invalid;

/// Bytes before each record: its length, its position, its commit time and its event time.
const HEAD: usize = 4 + 8 + 8 + 8;

/// Many events in one field, as they lie in the log.
///
/// Written by hand and not made of the protocol's file, so that a server copies each record once,
/// from the block that it was read with into what is sent, and a client's events are slices of what
/// it received.
#[derive(Clone, Default)]
pub struct PackedEvents {
    content: Content,
}

#[derive(Clone)]
enum Content {
    /// To be sent, and how many bytes they take.
    Events(Vec<Recorded>, usize),
    /// As received.
    Bytes(Bytes),
}

impl Default for Content {
    fn default() -> Self {
        Content::Bytes(Bytes::new())
    }
}

impl PackedEvents {
    /// Events to be sent.
    pub fn new(events: Vec<Recorded>) -> Self {
        let bytes = events.iter().map(PackedEvents::bytes_of).sum();
        PackedEvents { content: Content::Events(events, bytes) }
    }

    /// Bytes that an event takes.
    pub fn bytes_of(event: &Recorded) -> usize {
        HEAD + event.record().len()
    }

    /// The events. Fails if what was received is no such thing.
    pub fn into_events(self) -> Result<Vec<Recorded>, Failure> {
        match self.content {
            Content::Events(events, _) => Ok(events),
            Content::Bytes(bytes) => unpack(bytes),
        }
    }

    fn len(&self) -> usize {
        match &self.content {
            Content::Events(_, length) => *length,
            Content::Bytes(bytes) => bytes.len(),
        }
    }
}

fn unpack(mut bytes: Bytes) -> Result<Vec<Recorded>, Failure> {
    // At least this much is taken by each: what is reserved is bounded by what came.
    let mut events = Vec::with_capacity(bytes.len() / 256);
    while !bytes.is_empty() {
        events.push(take(&mut bytes)?);
    }
    Ok(events)
}

fn take(bytes: &mut Bytes) -> Result<Recorded, Failure> {
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

fn put(event: &Recorded, buf: &mut impl BufMut) {
    buf.put_u32_le(event.record().len() as u32);
    buf.put_u64_le(event.position());
    buf.put_i64_le(event.commit_time().0);
    buf.put_i64_le(event.event_time().0);
    buf.put_slice(event.record());
}

impl prost::Message for PackedEvents {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        if self.len() == 0 {
            return;
        }
        encoding::encode_key(1, WireType::LengthDelimited, buf);
        encoding::encode_varint(self.len() as u64, buf);
        match &self.content {
            Content::Events(events, _) => events.iter().for_each(|event| put(event, buf)),
            Content::Bytes(bytes) => buf.put_slice(bytes),
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != 1 {
            return encoding::skip_field(wire_type, tag, buf, ctx);
        }
        let mut bytes = Bytes::new();
        encoding::bytes::merge(wire_type, &mut bytes, buf, ctx)?;
        self.content = Content::Bytes(bytes);
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        match self.len() {
            0 => 0,
            length => encoding::key_len(1) + encoding::encoded_len_varint(length as u64) + length,
        }
    }

    fn clear(&mut self) {
        *self = PackedEvents::default();
    }
}

/// The same bytes on the wire.
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
