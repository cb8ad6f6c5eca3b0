//! The record of an event: its bytes in the log and on the wire. `docs/format.md` describes them.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;
use std::ops::Range;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::event::{BYTES, JSON, NewEvent};

/// The event time was given; otherwise it is the commit time.
const FLAG_TIME_GIVEN: u16 = 1;
/// The content type is `application/json`, which is not written out.
const FLAG_JSON: u16 = 2;
/// Metadata and data were removed.
const FLAG_SCAVENGED: u16 = 4;
/// The record is the placeholder of an event that was lost by damage.
const FLAG_LOST: u16 = 8;
/// Flags that this release knows.
pub(crate) const KNOWN_FLAGS: u16 = FLAG_TIME_GIVEN | FLAG_JSON | FLAG_SCAVENGED | FLAG_LOST;

/// The type of placeholders of lost events.
const LOST_TYPE: &str = "$Lost";
/// The type of placeholders of events that the source of an import had dropped.
pub const DROPPED_TYPE: &str = "$Dropped";

/// The fixed part of an event. After it come, without gaps: stream, type, correlation, causation,
/// content type, subject, tags, extensions, metadata, data.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct EventHeader {
    /// The number of the event in its stream, from 0.
    pub version: U64,
    /// The event's id.
    pub id: [u8; 16],
    /// The keyed digest of all that the caller gave: see [`digest`].
    pub digest: [u8; 16],
    flags: U16,
    schema_version: U16,
    /// How the data is compressed or encrypted; 0 is not at all.
    codec: u8,
    reserved: u8,
    tags: U16,
    stream: U16,
    event_type: U16,
    correlation: U16,
    causation: U16,
    content_type: U16,
    /// Names the key that the data is encrypted with; none yet.
    subject: U16,
    tag_bytes: U32,
    extension_bytes: U32,
    metadata: U32,
    data: U32,
}

const _: () = assert!(size_of::<EventHeader>() == EventHeader::SIZE);
const _: () = assert!(std::mem::offset_of!(EventHeader, version) == 0);

impl EventHeader {
    /// Bytes on disk.
    pub const SIZE: usize = 76;

    /// The lengths of the parts that follow, in order.
    #[inline]
    fn lengths(&self) -> [u32; 10] {
        [
            u32::from(self.stream.get()),
            u32::from(self.event_type.get()),
            u32::from(self.correlation.get()),
            u32::from(self.causation.get()),
            u32::from(self.content_type.get()),
            u32::from(self.subject.get()),
            self.tag_bytes.get(),
            self.extension_bytes.get(),
            self.metadata.get(),
            self.data.get(),
        ]
    }
}

/// Encodes an event whose version is not known yet.
pub fn encode(stream: &str, event: &NewEvent, id: [u8; 16], hash_key: &[u8; 16]) -> Vec<u8> {
    let mut out = Vec::with_capacity(EventHeader::SIZE + encoded_len(stream, event));
    encode_into(&mut out, stream, event, id, hash_key);
    out
}

/// Appends the record of an event whose version is not known yet.
pub fn encode_into(
    out: &mut Vec<u8>,
    stream: &str,
    event: &NewEvent,
    id: [u8; 16],
    hash_key: &[u8; 16],
) {
    let digest = digest_in(out, event, hash_key);
    let tags: usize = event.tags.iter().map(|(key, value)| 2 + key.len() + 1 + value.len()).sum();
    let json = event.content_type == JSON;
    let content_type = if json || event.content_type == BYTES { "" } else { &event.content_type };
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().len() as u16;
    let mut flags = 0;
    flags |= if event.event_time.is_some() { FLAG_TIME_GIVEN } else { 0 };
    flags |= if json { FLAG_JSON } else { 0 };
    let header = EventHeader {
        version: U64::ZERO,
        id,
        digest,
        flags: flags.into(),
        schema_version: event.schema_version.into(),
        codec: 0,
        reserved: 0,
        tags: (event.tags.len() as u16).into(),
        stream: (stream.len() as u16).into(),
        event_type: (event.event_type.len() as u16).into(),
        correlation: text(&event.correlation).into(),
        causation: text(&event.causation).into(),
        content_type: (content_type.len() as u16).into(),
        subject: U16::ZERO,
        tag_bytes: (tags as u32).into(),
        extension_bytes: U32::ZERO,
        metadata: (event.metadata.len() as u32).into(),
        data: (event.data.len() as u32).into(),
    };
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(stream.as_bytes());
    out.extend_from_slice(event.event_type.as_bytes());
    out.extend_from_slice(event.correlation.as_deref().unwrap_or_default().as_bytes());
    out.extend_from_slice(event.causation.as_deref().unwrap_or_default().as_bytes());
    out.extend_from_slice(content_type.as_bytes());
    for (key, value) in &event.tags {
        out.extend_from_slice(&((key.len() + 1 + value.len()) as u16).to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_bytes());
    }
    out.extend_from_slice(&event.metadata);
    out.extend_from_slice(&event.data);
}

/// Encodes the placeholder of a lost event, which no read returns.
pub fn encode_placeholder(stream: &str, version: u64, position: u64) -> Vec<u8> {
    // The position makes the id unique.
    let id = u128::from(position).to_be_bytes();
    let mut out = encode(stream, &NewEvent::new(LOST_TYPE, ""), id, &[0; 16]);
    if let Ok((header, _)) = EventHeader::mut_from_prefix(&mut out) {
        header.version = version.into();
        header.digest = [0; 16];
        header.flags = (FLAG_SCAVENGED | FLAG_LOST).into();
    }
    out
}

/// Makes a record of the type [`DROPPED_TYPE`] the placeholder of a dropped event, which no read returns. To
/// conditions it is a scavenged event.
pub fn mark_dropped(encoded: &mut [u8]) {
    if let Ok((header, _)) = EventHeader::mut_from_prefix(encoded) {
        header.digest = [0; 16];
        header.flags = FLAG_SCAVENGED.into();
    }
}

/// Whether the lengths of an event's parts fit into a record.
pub fn fits(stream: &str, event: &NewEvent) -> bool {
    let short = |text: &str| text.len() <= usize::from(u16::MAX);
    let texts = [&event.correlation, &event.causation];
    let tags = event.tags.iter().map(|(key, value)| key.len() + 1 + value.len());
    short(stream)
        && short(&event.event_type)
        && short(&event.content_type)
        && texts.iter().all(|text| text.as_deref().is_none_or(short))
        && event.tags.len() <= usize::from(u16::MAX)
        && tags.clone().all(|length| length <= usize::from(u16::MAX))
        && u32::try_from(encoded_len(stream, event) + EventHeader::SIZE).is_ok()
}

/// Returns the bytes of an event without its header.
pub fn encoded_len(stream: &str, event: &NewEvent) -> usize {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().len();
    let tags: usize = event.tags.iter().map(|(key, value)| 3 + key.len() + value.len()).sum();
    stream.len()
        + event.event_type.len()
        + text(&event.correlation)
        + text(&event.causation)
        + event.content_type.len()
        + tags
        + event.metadata.len()
        + event.data.len()
}

/// Sets the version in a record.
pub fn set_version(encoded: &mut [u8], version: u64) {
    if let Some(field) = encoded.get_mut(..8) {
        field.copy_from_slice(&version.to_le_bytes());
    }
}

/// Returns a keyed digest of all fields that the caller gave. It tells a repeat from another event with the
/// same id. The version and the commit time, which the store adds, are not part of it.
pub fn digest(event: &NewEvent, hash_key: &[u8; 16]) -> [u8; 16] {
    digest_in(&mut Vec::new(), event, hash_key)
}

/// Longer fields are hashed directly, and not copied first.
const MAX_COPIED: usize = 4096;

/// Returns the digest. Fields are copied to the end of `scratch` and hashed with one call, which is much
/// faster than one call for each field.
fn digest_in(scratch: &mut Vec<u8>, event: &NewEvent, hash_key: &[u8; 16]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(hash_key);
    let start = scratch.len();
    let mut put = |bytes: &[u8]| {
        scratch.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        if bytes.len() <= MAX_COPIED {
            scratch.extend_from_slice(bytes);
        } else {
            hasher.write(&scratch[start..]);
            scratch.truncate(start);
            hasher.write(bytes);
        }
    };
    put(event.event_type.as_bytes());
    put(event.event_time.map_or(0, |time| time.0).to_le_bytes().as_slice());
    put(&[u8::from(event.event_time.is_some())]);
    put(event.correlation.as_deref().unwrap_or_default().as_bytes());
    put(event.causation.as_deref().unwrap_or_default().as_bytes());
    put(event.content_type.as_bytes());
    put(&event.schema_version.to_le_bytes());
    for (key, value) in &event.tags {
        put(key.as_bytes());
        put(value.as_bytes());
    }
    put(&event.metadata);
    put(&event.data);
    hasher.write(&scratch[start..]);
    scratch.truncate(start);
    hasher.finish128().as_u128().to_le_bytes()
}

/// The layout of a record: where its parts are. It is computed for each access, which is cheaper than
/// keeping offsets with every event.
#[derive(Clone, Copy)]
pub struct Layout<'a> {
    /// The fixed part.
    pub header: &'a EventHeader,
    bytes: &'a [u8],
}

/// The header of a record that is too short to have one.
static EMPTY: [u8; EventHeader::SIZE] = [0; EventHeader::SIZE];

/// The parts of an event after its header, in order.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    /// The stream's name.
    Stream,
    /// The event type.
    EventType,
    /// The correlation id.
    Correlation,
    /// The causation id.
    Causation,
    /// The media type, unless it is JSON.
    ContentType,
    /// The name of the subject's key.
    Subject,
    /// The tags, each with its length.
    Tags,
    /// Extensions; none is defined yet.
    Extensions,
    /// The metadata.
    Metadata,
    /// The payload.
    Data,
}

impl<'a> Layout<'a> {
    /// Reads the layout of a record, and checks its lengths and texts.
    pub fn read(record: &'a [u8]) -> Result<Self, &'static str> {
        let Ok((header, _)) = EventHeader::ref_from_prefix(record) else {
            return Err("the record is shorter than an event's header");
        };
        if header.codec != 0 || header.flags.get() & !KNOWN_FLAGS != 0 {
            return Err("the event has a codec or flags that this release does not know");
        }
        let parts = header.lengths().iter().map(|length| u64::from(*length)).sum::<u64>();
        if EventHeader::SIZE as u64 + parts != record.len() as u64 {
            return Err("the event's parts do not add up to its record");
        }
        let layout = Layout { header, bytes: record };
        let tags = layout.range(Field::Tags);
        let names = record.get(EventHeader::SIZE..tags.start).unwrap_or_default();
        let tags = record.get(tags).unwrap_or_default();
        let whole = tags_in(tags).map(|tag| 2 + tag.len()).sum::<usize>() == tags.len();
        if std::str::from_utf8(names).is_err() || !whole {
            return Err("the event's names are not text");
        }
        Ok(layout)
    }

    /// Returns the layout of a record that was checked before. More bytes may follow the record.
    pub fn of(record: &'a [u8]) -> Self {
        let whole = EventHeader::ref_from_prefix(record).map(|(header, _)| (header, record));
        let (header, bytes) = whole.unwrap_or((zerocopy::transmute_ref!(&EMPTY), &EMPTY));
        Layout { header, bytes }
    }

    /// Returns where a part lies in the record.
    pub fn range(&self, field: Field) -> Range<usize> {
        let (at, lengths) = (field as usize, self.header.lengths());
        let before = lengths[..at].iter().map(|length| *length as usize).sum::<usize>();
        let start = EventHeader::SIZE + before;
        start..start + lengths[at] as usize
    }

    /// Returns a part that is text.
    pub fn text(&self, field: Field) -> &'a str {
        let bytes = self.bytes.get(self.range(field)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Returns the tags, each as `key=value`.
    pub fn tags(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        tags_in(self.bytes.get(self.range(Field::Tags)).unwrap_or_default())
    }

    /// Whether the content type is JSON.
    pub fn is_json(&self) -> bool {
        self.header.flags.get() & FLAG_JSON != 0
    }

    /// Whether the event time was given; if not, it is the commit time.
    pub fn time_was_given(&self) -> bool {
        self.header.flags.get() & FLAG_TIME_GIVEN != 0
    }

    /// Whether metadata and data were removed.
    pub fn is_scavenged(&self) -> bool {
        self.header.flags.get() & FLAG_SCAVENGED != 0
    }

    /// Whether the record is the placeholder of an event that was lost by damage.
    pub fn is_lost(&self) -> bool {
        self.header.flags.get() & FLAG_LOST != 0
    }

    /// Returns the record of a scavenged event: without metadata and data, but with everything else.
    pub fn scavenged(&self) -> Vec<u8> {
        let flags = (self.header.flags.get() | FLAG_SCAVENGED).into();
        self.without_payload(EventHeader { flags, ..*self.header })
    }

    /// Returns the record without metadata and data, with otherwise the same header.
    pub fn described(&self) -> Vec<u8> {
        self.without_payload(*self.header)
    }

    fn without_payload(&self, header: EventHeader) -> Vec<u8> {
        let header = EventHeader { metadata: U32::ZERO, data: U32::ZERO, ..header };
        let names = EventHeader::SIZE..self.range(Field::Metadata).start;
        [header.as_bytes(), self.bytes.get(names).unwrap_or_default()].concat()
    }

    /// Returns the flags of the header.
    pub fn flags(&self) -> u16 {
        self.header.flags.get()
    }

    /// Returns how the data is compressed or encrypted; 0 is not at all.
    pub fn codec(&self) -> u8 {
        self.header.codec
    }

    /// Returns the version of the data's schema.
    pub fn schema_version(&self) -> u16 {
        self.header.schema_version.get()
    }
}

/// Reads tags as `key=value`. Ends early at invalid bytes.
fn tags_in(mut bytes: &[u8]) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (tag, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        bytes = rest;
        std::str::from_utf8(tag).ok()
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn event() -> NewEvent {
        NewEvent::json("Paid", "{\"a\":1}").tag("customer", "42").tag("x", "").correlation("c")
    }

    #[test]
    fn reads_encoded_events_and_refuses_damaged_ones_without_panic() {
        let record: Bytes = encode("order-1", &event(), [3; 16], &[1; 16]).into();
        let layout = Layout::read(&record).unwrap();
        assert_eq!(layout.text(Field::Stream), "order-1");
        assert_eq!(layout.text(Field::Correlation), "c");
        assert_eq!(layout.tags().collect::<Vec<_>>(), ["customer=42", "x="]);
        assert_eq!(&record[layout.range(Field::Data)], b"{\"a\":1}");
        assert!(layout.is_json() && !layout.time_was_given());
        for cut in 0..record.len() {
            assert!(Layout::read(&record.slice(..cut)).is_err());
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = Bytes::from(flipped);
            if let Ok(layout) = Layout::read(&flipped) {
                _ = (layout.text(Field::Stream), layout.tags().count());
            }
        }
    }

    #[test]
    fn the_digest_depends_on_every_field_that_the_caller_gave() {
        let key = [1; 16];
        let others = [
            NewEvent { event_type: "Paie".into(), ..event() },
            NewEvent { data: "{\"a\":2}".into(), ..event() },
            NewEvent { metadata: "m".into(), ..event() },
            event().tag("y", "1"),
            NewEvent { correlation: None, ..event() },
            event().causation("c"),
            event().event_time(crate::Timestamp(0)),
            NewEvent { schema_version: 1, ..event() },
            NewEvent { content_type: BYTES.into(), ..event() },
        ];
        assert_eq!(digest(&event(), &key), digest(&event(), &key));
        for other in others {
            assert_ne!(digest(&other, &key), digest(&event(), &key), "{other:?}");
        }
    }
}
