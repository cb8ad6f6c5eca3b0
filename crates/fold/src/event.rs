//! Events as types of a program: the variants of an enum.

use std::borrow::Cow;

use leftfold_api::{NewEvent, Recorded};
use thiserror::Error;

use crate::emit::Emit;
use crate::payload::Payload;
use crate::reads::Stored;

/// The events of a program: an enum whose variants are event types.
///
/// Derive it. A variant's name is the event type, its fields are the payload, as JSON.
/// `#[serde(..)]` on a field controls how serde writes it, as usual; so does `rename_all_fields` on
/// the enum and `rename_all` on a variant. The enum also gets functions that make its queries: see
/// [`EventQuery`](crate::EventQuery).
///
/// ```
/// use leftfold::{Event, Payload};
///
/// #[derive(Debug, PartialEq, Event)]
/// enum Bank {
///     Opened { #[event(tag)] owner: String },
///     #[event(name = "MoneyDeposited", version = 2, upcast(with_currency))]
///     Deposited { cents: u64, currency: String },
///     Closed,
/// }
///
/// /// Version 1 knew euros only.
/// fn with_currency(mut old: serde_json::Value) -> serde_json::Value {
///     old["currency"] = "EUR".into();
///     old
/// }
///
/// let opened = Bank::Opened { owner: "Ann".into() };
/// assert_eq!(opened.kind().event_type, "Opened");
/// assert_eq!(opened.tags(), [("owner".to_owned(), "Ann".to_owned())]);
/// assert_eq!(opened.encode()?, Payload::json(br#"{"owner":"Ann"}"#));
///
/// let old = Bank::decode("MoneyDeposited", 1, &Payload::json(br#"{"cents":5}"#))?;
/// assert_eq!(old, Some(Bank::Deposited { cents: 5, currency: "EUR".into() }));
/// assert_eq!(Bank::decode("OtherType", 1, &Payload::json(b"{}"))?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | where | what | without it |
/// |---|---|---|
/// | on the enum | `#[event(crate = "path")]`: where Leftfold's names are | `::leftfold` |
/// | on the enum | `#[event(prefix = "booking.")]`: what all its event types begin with, so that variants of one name in two enums are two types | no prefix |
/// | on the enum | `#[event(category = "booking")]`: the category of its streams; generates `stream(id)` | no such function |
/// | on a variant | `#[event(name = "...")]`: the event type | the variant's name |
/// | on a variant | `#[event(version = n)]`: the version of its shape, from 1 | 1 |
/// | on a variant | `#[event(upcast(f, g, ..))]`: from version 1 to 2, from 2 to 3, .. | |
/// | on a field | `#[event(tag)]`, `#[event(tag = "key")]`: its value, as `Display` shows it, is a tag; of an `Option` if there is one, of a `Vec` each item | |
///
/// An upcast is a function `fn(A) -> B` of any types that serde can read and write: of
/// `serde_json::Value`, or of an old and a new struct.
///
/// An event of an unknown type stays in the log, and a fold that does not know the type skips it
/// (unless the fold is [strict](crate::StreamState::strict)). Fields that this program does not know stay in
/// the stored event. An event of schema version 0, such as one appended without this crate, counts
/// as version 1.
///
/// # Other encodings
///
/// The derive writes JSON. For another encoding, such as Protobuf, implement the trait by hand:
/// `encode` returns the bytes with their media type, and `decode` looks at the media type. Older
/// events may have another one: decode those too.
///
/// ```
/// use leftfold::{Event, EventQuery, Kind, Payload, Query, Unencodable, WrongShape};
///
/// #[derive(Debug, PartialEq)]
/// enum Meter { Read { meter: String, kwh: u64 } }
///
/// const TEXT: &str = "text/plain";
///
/// impl Event for Meter {
///     const KINDS: &'static [Kind] = &[Kind { event_type: "MeterRead", version: 1 }];
///
///     fn kind(&self) -> &'static Kind {
///         &Self::KINDS[0]
///     }
///
///     /// Each tag once.
///     fn tags(&self) -> Vec<(String, String)> {
///         let Meter::Read { meter, .. } = self;
///         vec![("meter".into(), meter.clone())]
///     }
///
///     fn encode(&self) -> Result<Payload<'static>, Unencodable> {
///         let Meter::Read { meter, kwh } = self;
///         Ok(Payload::new(TEXT, format!("{meter} {kwh}").into_bytes()))
///     }
///
///     fn decode(
///         event_type: &str,
///         _version: u16,
///         payload: &Payload<'_>,
///     ) -> Result<Option<Self>, WrongShape> {
///         if event_type != "MeterRead" {
///             return Ok(None);
///         }
///         payload.expect(TEXT)?;
///         let text = str::from_utf8(&payload.data).ok().and_then(|text| text.split_once(' '));
///         let read = text.and_then(|(meter, kwh)| Some((meter.into(), kwh.parse().ok()?)));
///         let (meter, kwh) = read.ok_or_else(|| WrongShape::payload("it is not `METER KWH`"))?;
///         Ok(Some(Meter::Read { meter, kwh }))
///     }
/// }
///
/// impl Meter {
///     fn by_meter(meter: &str) -> EventQuery<Self> {
///         EventQuery::all().and(EventQuery::untyped(Query::tag("meter", meter)))
///     }
/// }
/// # let read = Meter::Read { meter: "m-1".into(), kwh: 7 };
/// # assert_eq!(Meter::decode("MeterRead", 1, &read.encode()?)?, Some(read));
/// # assert!(Meter::decode("MeterRead", 1, &Payload::json(b"{}")).is_err());
/// # assert_eq!(Meter::by_meter("m-1").to_string(), "type:MeterRead tag:meter=m-1");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an enum of events",
    note = "write `#[derive(leftfold::Event)]` above the enum that lists your events"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// The event types of the enum, each with the version that is written.
    const KINDS: &'static [Kind];

    /// Returns the event type of this event.
    fn kind(&self) -> &'static Kind;

    /// Returns the tags by which queries find the event, each once.
    fn tags(&self) -> Vec<(String, String)>;

    /// Encodes the payload. The derive writes JSON.
    fn encode(&self) -> Result<Payload<'static>, Unencodable>;

    /// Decodes a payload of any version up to the written one, or returns `None` if the event type
    /// is not one of the enum's.
    fn decode(
        event_type: &str,
        version: u16,
        payload: &Payload<'_>,
    ) -> Result<Option<Self>, WrongShape>;

    /// Addresses the event to the stream that it is to be appended to.
    fn to(self, stream: impl Into<String>) -> Emit<Self> {
        Emit::Event { stream: stream.into(), event: self, event_time: None }
    }

    /// Returns the event in the form in which it is appended. It has no id yet.
    fn to_new(&self) -> Result<NewEvent, Unencodable> {
        let kind = self.kind();
        let Payload { content_type, data } = self.encode()?;
        let mut event = NewEvent::new(kind.event_type, data.into_owned());
        event.content_type = content_type.into_owned();
        event.schema_version = kind.version;
        event.tags = self.tags();
        Ok(event)
    }
}

/// An event type and its current version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The event type.
    pub event_type: &'static str,
    /// The version of its shape, from 1; the current one is written.
    pub version: u16,
}

/// The error for an event that cannot be encoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an event can't be encoded: {message}")]
pub struct Unencodable {
    /// The message of serde, or of another encoder.
    pub message: String,
}

/// The error for a payload that does not fit its event type and version.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WrongShape {
    /// It was written by a newer program.
    #[error(
        "it has version {found} of its shape, and this program knows versions up to {known}: \
         update the program"
    )]
    Newer {
        /// The newest version that this program knows.
        known: u16,
        /// The event's version.
        found: u16,
    },
    /// The payload is in another encoding.
    #[error("its content type is {found:?}, and this program reads {expected:?}")]
    ContentType {
        /// The media type that this program reads.
        expected: &'static str,
        /// The event's media type.
        found: String,
    },
    /// The payload does not have the expected shape.
    #[error("{message}")]
    Payload {
        /// The message of serde, and the version that was expected.
        message: String,
    },
}

impl WrongShape {
    /// Returns the error for a payload that does not have the expected shape.
    pub fn payload(message: impl Into<String>) -> Self {
        WrongShape::Payload { message: message.into() }
    }
}

/// The error for a stored event that cannot be read. It names the event; the event stays in the
/// log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("event {event_type} at position {position} in stream {stream} can't be read: {reason}")]
#[non_exhaustive]
pub struct Undecodable {
    /// Its position.
    pub position: u64,
    /// Its stream.
    pub stream: String,
    /// Its type.
    pub event_type: String,
    /// Why it cannot be read.
    pub reason: Reason,
}

/// Why a stored event cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// The payload has the wrong shape.
    #[error(transparent)]
    Shape(#[from] WrongShape),
    /// The event type is unknown, and the fold is strict.
    #[error("its event type is unknown, and this fold is strict: it must know all types")]
    UnknownType,
}

/// Decodes a stored event, or returns `None` if its type is not one of `E`'s.
pub fn decode<E: Event>(event: &Recorded) -> Result<Option<E>, Undecodable> {
    decode_stored(event)
}

/// Decodes an event of a store or of a test.
pub(crate) fn decode_stored<E: Event>(event: &dyn Stored) -> Result<Option<E>, Undecodable> {
    let data = event.data();
    let payload =
        Payload { content_type: Cow::Borrowed(event.content_type()), data: Cow::Borrowed(&data) };
    E::decode(event.event_type(), event.schema_version(), &payload)
        .map_err(|wrong| event.undecodable(wrong.into()))
}

pub(crate) fn undecodable(event: &Recorded, reason: Reason) -> Undecodable {
    Undecodable {
        position: event.position(),
        stream: event.stream().to_owned(),
        event_type: event.event_type().to_owned(),
        reason,
    }
}
