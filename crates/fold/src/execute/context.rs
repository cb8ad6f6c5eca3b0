//! The metadata of a command: id, correlation and causation.

use leftfold_io::{OsRandom, Random};
use uuid::Uuid;

/// The key of the tag on events whose command had a given id: `$command=<id>`.
pub const COMMAND_TAG: &str = "$command";

/// The metadata of a command: id, correlation and causation.
///
/// A command with a given id is idempotent: it is handled once, however often it is sent. Its
/// events carry the id as a tag, and their append requires that no event carries it yet. A command
/// that was handled answers with its first events. A refusal writes nothing, so a refused command
/// that is sent again is decided again; on a command stream refusals are events too.
///
/// ```
/// use leftfold::CommandContext;
/// use uuid::Uuid;
///
/// let issued = CommandContext::with_id(Uuid::from_u128(17)).correlation("order-1").causation("click-5");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandContext {
    pub(crate) id: Option<Uuid>,
    pub(crate) correlation: Option<String>,
    pub(crate) causation: Option<String>,
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

    /// Returns the id that event ids derive from: the given one, or an unpredictable one.
    pub(crate) fn id_or_new(&self) -> Uuid {
        self.id.unwrap_or_else(|| {
            uuid::Builder::from_random_bytes(OsRandom.next_u128().to_le_bytes()).into_uuid()
        })
    }
}

/// Returns the id of a command's n-th event, counted from 0. A retried command gets the same event
/// ids, so the store recognises its events.
pub fn event_id(command: Uuid, nth: u32) -> Uuid {
    Uuid::new_v5(&command, &nth.to_le_bytes())
}
