//! Events as types of a program: the variants of an enum.

use leftfold_api::{NewEvent, Recorded};
use thiserror::Error;

use crate::emit::Emit;

/// The events of a program: an enum whose variants are event types.
///
/// Derive it. A variant's name is the event type, its fields are the payload, as JSON.
/// `#[serde(..)]` on a field controls how serde writes it, as usual.
///
/// ```
/// use leftfold::Event;
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
/// assert_eq!(opened.encode()?, br#"{"owner":"Ann"}"#);
///
/// let old = Bank::decode("MoneyDeposited", 1, br#"{"cents":5}"#)?;
/// assert_eq!(old, Some(Bank::Deposited { cents: 5, currency: "EUR".into() }));
/// assert_eq!(Bank::decode("OtherType", 1, b"{}")?, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | where | what | without it |
/// |---|---|---|
/// | on the enum | `#[event(crate = "path")]`: where Leftfold's names are | `::leftfold` |
/// | on a variant | `#[event(name = "...")]`: the event type | the variant's name |
/// | on a variant | `#[event(version = n)]`: the version of its shape, from 1 | 1 |
/// | on a variant | `#[event(upcast(f, g, ..))]`: from version 1 to 2, from 2 to 3, .. | |
/// | on a field | `#[event(tag)]`, `#[event(tag = "key")]`: its value, as `Display` shows it, is a tag | |
///
/// An upcast is a function `fn(A) -> B` of any types that serde can read and write: of
/// `serde_json::Value`, or of an old and a new struct.
///
/// An event of an unknown type stays in the log, and a fold that does not know the type skips it
/// (unless the fold is [strict](crate::StreamState::strict)). Fields that this program does not know stay in
/// the stored event. An event of schema version 0, such as one appended without this crate, counts
/// as version 1.
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

    /// Returns the tags by which queries find the event.
    fn tags(&self) -> Vec<(String, String)>;

    /// Encodes the payload as JSON.
    fn encode(&self) -> Result<Vec<u8>, Unencodable>;

    /// Decodes a payload of any version up to the written one, or returns `None` if the event type
    /// is not one of the enum's.
    fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<Option<Self>, WrongShape>;

    /// Addresses the event to the stream that it is to be appended to.
    fn to(self, stream: impl Into<String>) -> Emit<Self> {
        Emit { stream: stream.into(), event: self, event_time: None }
    }

    /// Returns the event in the form in which it is appended. It has no id yet.
    fn to_new(&self) -> Result<NewEvent, Unencodable> {
        let kind = self.kind();
        let mut event = NewEvent::json(kind.event_type, self.encode()?);
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

/// The error for an event that serde cannot write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an event can't be written as JSON: {message}")]
pub struct Unencodable {
    /// The message of serde.
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
    /// The payload does not have the expected shape.
    #[error("{message}")]
    Payload {
        /// The message of serde, and the version that was expected.
        message: String,
    },
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
    E::decode(event.event_type(), event.schema_version(), &event.data())
        .map_err(|wrong| undecodable(event, wrong.into()))
}

pub(crate) fn undecodable(event: &Recorded, reason: Reason) -> Undecodable {
    Undecodable {
        position: event.position(),
        stream: event.stream().to_owned(),
        event_type: event.event_type().to_owned(),
        reason,
    }
}
