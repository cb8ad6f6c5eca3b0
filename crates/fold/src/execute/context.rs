//! The metadata of a command: id, correlation, causation, and whatever else it brings.

use bytes::Bytes;
use leftfold_api::{AppendError, Invalid, NewEvent, Recorded};
use leftfold_io::{OsRandom, Random};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::digest::{DIGEST, digest_of};
use super::error::FoldError;
use crate::command::Command;
use crate::event::Unencodable;

/// The key of the tag on events whose command had a given id: `$command=<id>`.
pub const COMMAND_TAG: &str = "$command";
/// The most bytes of a command's metadata, as JSON. Every event of the command carries it.
pub const MAX_METADATA: usize = 16 << 10;
/// The keys of a trace context in metadata, as W3C names them.
const TRACE_CONTEXT: [&str; 2] = ["traceparent", "tracestate"];

/// The metadata of a command: id, correlation, causation, and whatever else its events are to carry.
///
/// A command with a given id is idempotent: it is handled once, however often it is sent. Its
/// events carry the id as a tag, and their append requires that no event carries it yet. A command
/// that was handled answers with its first events; if it decided no events, an event of bookkeeping
/// (`leftfold.CommandHandled`) remembers it. A refusal writes nothing, so a refused command that is
/// sent again is decided again; on a command stream refusals are events too.
///
/// An id belongs to one command: the same id with another command is the error
/// `command_id_reused`. Commands are compared by their type's name, the streams that they read, and
/// their JSON, so a field with a new value at each attempt, such as a time, makes them differ.
///
/// ```
/// use leftfold::CommandContext;
/// use uuid::Uuid;
///
/// let issued = CommandContext::with_id(Uuid::from_u128(17))
///     .correlation("order-1")
///     .causation("click-5")
///     .metadata("user", "ann")
///     .metadata("address", "192.0.2.7");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandContext {
    pub(crate) id: Option<Uuid>,
    pub(crate) correlation: Option<String>,
    pub(crate) causation: Option<String>,
    metadata: Map<String, Value>,
    /// Why the metadata can't be written.
    invalid: Option<Invalid>,
    /// The digest of the command that the id belongs to.
    digest: Option<String>,
}

impl CommandContext {
    /// Returns an empty context; the command gets a random id.
    pub fn new() -> Self {
        CommandContext::default()
    }

    /// Gives the command an id, so that it is handled once.
    pub fn with_id(id: Uuid) -> Self {
        CommandContext { id: Some(id), ..CommandContext::default() }
    }

    /// Gives the command an id, so that it is handled once.
    pub fn id(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self
    }

    /// Sets the correlation id of its events.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.correlation = Some(id.into());
        self
    }

    /// Sets the causation id of its events.
    pub fn causation(mut self, id: impl Into<String>) -> Self {
        self.causation = Some(id.into());
        self
    }

    /// Adds a value to the metadata of its events, which is a JSON object: the user, an address, a
    /// trace context. The same key again replaces the value.
    ///
    /// The command fails if serde can't write the value (`event_unencodable`), if the key begins
    /// with `$` (`name_reserved`), or if all of it has more than [`MAX_METADATA`] bytes
    /// (`event_too_large`).
    pub fn metadata(mut self, key: impl Into<String>, value: impl Serialize) -> Self {
        let key = key.into();
        if key.starts_with('$') {
            let message = format!("the key {key:?} of metadata begins with $, which is reserved");
            self.invalid.get_or_insert(Invalid::new("name_reserved", message));
            return self;
        }
        match serde_json::to_value(value) {
            Ok(value) => _ = self.metadata.insert(key, value),
            Err(error) => {
                let message = format!("the value of {key:?} can't be written as JSON: {error}");
                self.invalid.get_or_insert(Invalid::new("event_unencodable", message));
            }
        }
        self
    }

    /// Returns the context of a command that was stored as an event.
    pub(crate) fn of_stored(event: &Recorded) -> Self {
        let mut metadata: Map<String, Value> =
            serde_json::from_slice(&event.metadata()).unwrap_or_default();
        metadata.remove(DIGEST);
        let correlation = event.correlation().map(str::to_owned);
        CommandContext { correlation, metadata, ..CommandContext::default() }
    }

    /// Returns the context of what follows from an event.
    pub(crate) fn following(event: &Recorded) -> Self {
        let mut context = CommandContext::of_stored(event);
        context.metadata.retain(|key, _| TRACE_CONTEXT.contains(&key.as_str()));
        context.causation(event.id().to_string())
    }

    /// Binds a given id to its command.
    pub(crate) fn bound_to<C: Command + Serialize>(
        mut self,
        command: &C,
    ) -> Result<Self, Unencodable> {
        if self.id.is_some() {
            self.digest = Some(digest_of(command)?);
        }
        Ok(self)
    }

    /// Returns the digest of the command that the id belongs to.
    pub(crate) fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Returns the id that event ids derive from: the given one, or an unpredictable one.
    pub(crate) fn id_or_new(&self) -> Uuid {
        self.id.unwrap_or_else(|| {
            uuid::Builder::from_random_bytes(OsRandom.next_u128().to_le_bytes()).into_uuid()
        })
    }

    /// Returns the metadata of the command's events; empty if there is none.
    pub(crate) fn to_bytes(&self) -> Result<Bytes, FoldError> {
        if let Some(invalid) = &self.invalid {
            return Err(AppendError::from(invalid.clone()).into());
        }
        if self.metadata.is_empty() && self.digest.is_none() {
            return Ok(Bytes::new());
        }
        let unencodable = |error: serde_json::Error| Unencodable { message: error.to_string() };
        // The digest does not count: a command that was accepted without one is handled with it.
        let given = serde_json::to_vec(&self.metadata).map_err(unencodable)?.len();
        if given > MAX_METADATA {
            let message = format!(
                "the metadata of a command has at most {MAX_METADATA} bytes as JSON, but this has \
                 {given}; put what is larger into the events"
            );
            return Err(AppendError::from(Invalid::new("event_too_large", message)).into());
        }
        let mut object = self.metadata.clone();
        let digest = self.digest.iter().map(|digest| (DIGEST.to_owned(), digest.clone().into()));
        object.extend(digest);
        Ok(serde_json::to_vec(&object).map_err(unencodable)?.into())
    }

    /// Returns the context without metadata.
    pub(crate) fn without_metadata(&self) -> Self {
        CommandContext { metadata: Map::new(), invalid: None, ..self.clone() }
    }

    /// Marks an event as one of the command.
    pub(crate) fn mark(&self, event: &mut NewEvent, metadata: &Bytes) {
        if event.correlation.is_none() {
            event.correlation.clone_from(&self.correlation);
        }
        if event.causation.is_none() {
            event.causation.clone_from(&self.causation);
        }
        event.metadata = metadata.clone();
        let of_command = |tag: &(String, String)| tag.0 == COMMAND_TAG;
        if let Some(id) = self.id
            && !event.tags.iter().any(of_command)
        {
            event.tags.push((COMMAND_TAG.to_owned(), id.to_string()));
        }
    }
}

/// Returns the metadata of a stored event for an event that follows from it: without what belongs to
/// the event's own command.
pub(crate) fn metadata_of(event: &Recorded) -> Bytes {
    let metadata = event.metadata();
    let mut object: Map<String, Value> = serde_json::from_slice(&metadata).unwrap_or_default();
    match object.remove(DIGEST) {
        None => metadata,
        Some(_) if object.is_empty() => Bytes::new(),
        Some(_) => serde_json::to_vec(&object).unwrap_or_default().into(),
    }
}

/// Returns the id of a command's n-th event, counted from 0. A retried command gets the same event
/// ids, so the store recognises its events.
pub fn event_id(command: Uuid, nth: u32) -> Uuid {
    Uuid::new_v5(&command, &nth.to_le_bytes())
}
