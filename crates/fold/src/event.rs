//! Events as a program knows them: the variants of an enum.

use leftfold_api::{NewEvent, Recorded};
use thiserror::Error;

use crate::emit::Emit;

/// A program's own events: an enum whose variants are event types.
///
/// Derive it. A variant's name is the event type, its fields are the payload, as JSON; how serde
/// writes a field can be said with `#[serde(..)]` at the field, as usual.
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
/// assert_eq!(Bank::decode("SomebodyElses", 1, b"{}")?, None);
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
/// `serde_json::Value`, or of a struct as it was and a struct as it is.
///
/// What was never said stays as it is: an event of an unknown type stays in the log and is skipped by
/// a fold that does not know it (unless it is [strict](crate::By::strict)), and fields that this
/// program does not know stay in the event. An event of schema version 0, such as one appended by
/// hand, is taken as version 1.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an enum of events",
    note = "write `#[derive(leftfold::Event)]` above the enum that lists your events"
)]
pub trait Event: Sized + Send + Sync + 'static {
    /// The event types that it knows, with the version of each that is written.
    const KINDS: &'static [Kind];

    /// The event type that it is.
    fn kind(&self) -> &'static Kind;

    /// The pairs that it is found by.
    fn tags(&self) -> Vec<(String, String)>;

    /// Its payload, as JSON.
    fn encode(&self) -> Result<Vec<u8>, Unencodable>;

    /// Reads a payload of any version up to the one that is written. None if the event type is not
    /// one of its own.
    fn decode(event_type: &str, version: u16, data: &[u8]) -> Result<Option<Self>, WrongShape>;

    /// Into a stream: an event is appended to the stream that its decision names.
    fn to(self, stream: impl Into<String>) -> Emit<Self> {
        Emit { stream: stream.into(), event: self, event_time: None }
    }

    /// As it is appended. It has no id yet.
    fn to_new(&self) -> Result<NewEvent, Unencodable> {
        let kind = self.kind();
        let mut event = NewEvent::json(kind.event_type, self.encode()?);
        event.schema_version = kind.version;
        event.tags = self.tags();
        Ok(event)
    }
}

/// An event type, and the version of it that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The event type.
    pub event_type: &'static str,
    /// The version of its shape, from 1.
    pub version: u16,
}

/// An event that serde can't write.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("an event can't be written as JSON: {message}")]
pub struct Unencodable {
    /// What serde said.
    pub message: String,
}

/// A payload that is not what its event type and version promise.
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
    /// The payload does not fit.
    #[error("{message}")]
    Payload {
        /// What serde said, and of which version.
        message: String,
    },
}

/// A stored event that can't be read. It is named, so that one can look at it; it stays where it is.
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
    /// What is wrong; none if the event type is not known and had to be.
    pub reason: Reason,
}

/// Why a stored event can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// Its payload.
    #[error(transparent)]
    Shape(#[from] WrongShape),
    /// Its type, for a fold that must know all.
    #[error("this fold does not know its type and was told to know all")]
    UnknownType,
}

/// Reads a stored event; none if its type is not one of `E`'s.
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
