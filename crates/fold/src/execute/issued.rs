//! What is said of a command beside the command.

use leftfold_io::{OsRandom, Random};
use uuid::Uuid;

/// The tag of events whose command has an id that was given: `$command=<id>`.
pub const COMMAND_TAG: &str = "$command";

/// Who has issued a command, as what, and because of what.
///
/// With an id of its own a command is handled once, however often it is sent: its events carry the id
/// as a tag, and an append is made on condition that none carries it yet. A command that was handled
/// answers with its first events. A refusal writes nothing, so a refused command is decided again when
/// it is sent again; on a command stream refusals are facts too.
///
/// ```
/// use leftfold::Issued;
/// use uuid::Uuid;
///
/// let issued = Issued::as_id(Uuid::from_u128(17)).correlation("order-1").causation("click-5");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issued {
    pub(crate) id: Option<Uuid>,
    pub(crate) correlation: Option<String>,
    pub(crate) causation: Option<String>,
}

impl Issued {
    /// With nothing said: an id is made.
    pub fn anonymously() -> Self {
        Issued::default()
    }

    /// As this: it is handled once.
    pub fn as_id(id: Uuid) -> Self {
        Issued { id: Some(id), ..Issued::default() }
    }

    /// As a part of a process; its events have this correlation id.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.correlation = Some(id.into());
        self
    }

    /// Because of something; its events have this causation id.
    pub fn causation(mut self, id: impl Into<String>) -> Self {
        self.causation = Some(id.into());
        self
    }

    /// The id that event ids derive from: the given one, or one that nobody can guess.
    pub(crate) fn id_or_new(&self) -> Uuid {
        self.id.unwrap_or_else(|| {
            uuid::Builder::from_random_bytes(OsRandom.next_u128().to_le_bytes()).into_uuid()
        })
    }
}

/// The id of a command's n-th event, counted from 0: so a command that is repeated repeats its
/// events, and the store knows them.
pub fn event_id(command: Uuid, nth: u32) -> Uuid {
    Uuid::new_v5(&command, &nth.to_le_bytes())
}
