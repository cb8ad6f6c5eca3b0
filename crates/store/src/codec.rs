//! How an event lies in a record of the log. `docs/format.md` draws the same.

use bytes::Bytes;
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
/// Stands in the place of an event that was lost by damage.
const FLAG_LOST: u16 = 8;
/// Flags that this release knows.
const KNOWN_FLAGS: u16 = FLAG_TIME_GIVEN | FLAG_JSON | FLAG_SCAVENGED | FLAG_LOST;

/// The type of what stands in the place of a lost event.
const LOST_TYPE: &str = "$Lost";

/// The fixed part of an event. After it come, without gaps: stream, type, correlation, causation,
/// content type, subject, tags, extensions, metadata, data.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct EventHeader {
    pub(crate) version: U64,
    pub(crate) id: [u8; 16],
    pub(crate) digest: [u8; 16],
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
    pub(crate) const SIZE: usize = 76;
}

/// Lays out an event whose version is not known yet.
pub(crate) fn encode(stream: &str, event: &NewEvent, id: [u8; 16], hash_key: &[u8; 16]) -> Vec<u8> {
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
        digest: digest(event, hash_key),
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
    let mut out = Vec::with_capacity(EventHeader::SIZE + encoded_len(stream, event));
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
    out
}

/// Lays out what stands in the place of a lost event: nothing of it is seen.
pub(crate) fn lost(stream: &str, version: u64, position: u64) -> Vec<u8> {
    // No two have the same id.
    let id = u128::from(position).to_be_bytes();
    let mut out = encode(stream, &NewEvent::new(LOST_TYPE, ""), id, &[0; 16]);
    if let Ok((header, _)) = EventHeader::mut_from_prefix(&mut out) {
        header.version = version.into();
        header.digest = [0; 16];
        header.flags = (FLAG_SCAVENGED | FLAG_LOST).into();
    }
    out
}

/// Whether the lengths of an event's parts can be written.
pub(crate) fn fits(stream: &str, event: &NewEvent) -> bool {
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

/// Bytes that an event takes without its header.
pub(crate) fn encoded_len(stream: &str, event: &NewEvent) -> usize {
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

/// Writes the version into an encoded event.
pub(crate) fn set_version(encoded: &mut [u8], version: u64) {
    if let Some(place) = encoded.get_mut(..8) {
        place.copy_from_slice(&version.to_le_bytes());
    }
}

/// A keyed digest of all that the caller said, so that a repeat can be told from another event
/// with the same id. What the store adds (version, commit time) is not part of it.
pub(crate) fn digest(event: &NewEvent, hash_key: &[u8; 16]) -> [u8; 16] {
    let mut hasher = SipHasher24::new_with_key(hash_key);
    let mut put = |bytes: &[u8]| {
        hasher.write(&(bytes.len() as u64).to_le_bytes());
        hasher.write(bytes);
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
    hasher.finish128().as_u128().to_le_bytes()
}

/// Where the parts of an event lie in its record.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) header: EventHeader,
    ends: [u32; 10],
}

/// The parts of an event after its header, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Field {
    Stream,
    EventType,
    Correlation,
    Causation,
    ContentType,
    Subject,
    Tags,
    #[expect(dead_code, reason = "in the format; none is defined yet")]
    Extensions,
    Metadata,
    Data,
}

impl Layout {
    /// Reads the layout of a record, checking that all texts are texts.
    pub(crate) fn read(record: &Bytes) -> Result<Self, &'static str> {
        let Ok((header, rest)) = EventHeader::read_from_prefix(record) else {
            return Err("the record is shorter than an event's header");
        };
        if header.codec != 0 || header.flags.get() & !KNOWN_FLAGS != 0 {
            return Err("the event is written in a way that this release does not know");
        }
        let lengths = [
            u32::from(header.stream.get()),
            u32::from(header.event_type.get()),
            u32::from(header.correlation.get()),
            u32::from(header.causation.get()),
            u32::from(header.content_type.get()),
            u32::from(header.subject.get()),
            header.tag_bytes.get(),
            header.extension_bytes.get(),
            header.metadata.get(),
            header.data.get(),
        ];
        let mut end = EventHeader::SIZE as u64;
        let ends = lengths.map(|length| {
            end += u64::from(length);
            end as u32
        });
        if end != record.len() as u64 {
            return Err("the event's parts do not add up to its record");
        }
        let layout = Layout { header, ends };
        let names = &rest[..layout.range(Field::Tags).start - EventHeader::SIZE];
        let tags = record.get(layout.range(Field::Tags)).unwrap_or_default();
        let whole = tags_in(tags).map(|tag| 2 + tag.len()).sum::<usize>() == tags.len();
        if std::str::from_utf8(names).is_err() || !whole {
            return Err("the event's names are not text");
        }
        Ok(layout)
    }

    pub(crate) fn range(&self, field: Field) -> Range<usize> {
        let i = field as usize;
        let start = i.checked_sub(1).map_or(EventHeader::SIZE, |before| self.ends[before] as usize);
        start..self.ends[i] as usize
    }

    pub(crate) fn text<'a>(&self, record: &'a [u8], field: Field) -> &'a str {
        let bytes = record.get(self.range(field)).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    pub(crate) fn tags<'a>(&self, record: &'a [u8]) -> impl Iterator<Item = &'a str> {
        tags_in(record.get(self.range(Field::Tags)).unwrap_or_default())
    }

    pub(crate) fn is_json(&self) -> bool {
        self.header.flags.get() & FLAG_JSON != 0
    }

    pub(crate) fn time_was_given(&self) -> bool {
        self.header.flags.get() & FLAG_TIME_GIVEN != 0
    }

    pub(crate) fn is_scavenged(&self) -> bool {
        self.header.flags.get() & FLAG_SCAVENGED != 0
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.header.flags.get() & FLAG_LOST != 0
    }

    /// The record without metadata and data: what it was, where and when, and what it must not be
    /// confused with, all stay.
    pub(crate) fn scavenged(&self, record: &[u8]) -> Vec<u8> {
        let mut header = self.header;
        header.flags = (header.flags.get() | FLAG_SCAVENGED).into();
        (header.metadata, header.data) = (U32::ZERO, U32::ZERO);
        let end = self.range(Field::Metadata).start;
        let rest = record.get(EventHeader::SIZE..end).unwrap_or_default();
        [header.as_bytes(), rest].concat()
    }

    pub(crate) fn schema_version(&self) -> u16 {
        self.header.schema_version.get()
    }
}

/// Tags as `key=value`; ends early where they make no sense.
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
    use super::*;

    fn event() -> NewEvent {
        NewEvent::json("Paid", "{\"a\":1}").tag("customer", "42").tag("x", "").correlation("c")
    }

    #[test]
    fn reads_back_what_was_laid_out_and_survives_any_cut_or_flip() {
        let record: Bytes = encode("order-1", &event(), [3; 16], &[1; 16]).into();
        let layout = Layout::read(&record).unwrap();
        assert_eq!(layout.text(&record, Field::Stream), "order-1");
        assert_eq!(layout.text(&record, Field::Correlation), "c");
        assert_eq!(layout.tags(&record).collect::<Vec<_>>(), ["customer=42", "x="]);
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
                _ = (layout.text(&flipped, Field::Stream), layout.tags(&flipped).count());
            }
        }
    }

    #[test]
    fn the_digest_tells_apart_whatever_the_caller_said() {
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
