//! The events that a command stream writes beside the commands.

use std::collections::BTreeMap;

use leftfold_api::{NewEvent, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate as leftfold;
use crate::event::{Event, Unencodable};
use crate::execute::{CommandContext, FoldError};
use crate::state::{SnapshotPolicy, State};

/// The outcome of a command.
#[derive(Debug, Clone, PartialEq, leftfold_fold_derive::Event)]
#[event(crate = "leftfold")]
pub(crate) enum OutcomeFact {
    #[event(name = "CommandDone")]
    Done { command: String },
    #[event(name = "CommandRefused")]
    Refused { command: String, error: Value },
    #[event(name = "CommandExpired")]
    Expired { command: String },
    #[event(name = "CommandFailed")]
    Failed { command: String, code: String, message: String },
}

/// An event that says that a command was stashed, or is not stashed any more.
#[derive(Debug, Clone, PartialEq, leftfold_fold_derive::Event)]
#[event(crate = "leftfold")]
pub(crate) enum StashFact {
    #[event(name = "CommandStashed")]
    Stashed { command: String, stream: String, version: u64, deadline: i64 },
    #[event(name = "CommandUnstashed")]
    Unstashed { command: String },
}

/// Returns an event about a command, with an id derived from the command's.
fn about(command: Uuid, what: &str, event: &impl Event) -> Result<NewEvent, Unencodable> {
    let mut event = event.to_new()?.id(Uuid::new_v5(&command, what.as_bytes()));
    event.causation = Some(command.to_string());
    Ok(event)
}

impl OutcomeFact {
    /// Returns the outcome as an event, marked as one of the command.
    pub(crate) fn event(
        &self,
        command: Uuid,
        issued: &CommandContext,
    ) -> Result<NewEvent, FoldError> {
        let mut event = about(command, "outcome", self)?;
        issued.mark(&mut event, &issued.to_bytes()?);
        Ok(event)
    }
}

impl StashFact {
    pub(crate) fn event(&self, command: Uuid) -> Result<NewEvent, Unencodable> {
        let what = match self {
            StashFact::Stashed { .. } => "stashed",
            StashFact::Unstashed { .. } => "unstashed",
        };
        about(command, what, self)
    }
}

/// The stashed commands of a command stream, by command id. Stored as a snapshot.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct StashState {
    pub(crate) by_command: BTreeMap<String, StashedCommand>,
}

/// Where a stashed command was accepted, and until when it may wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StashedCommand {
    pub(crate) stream: String,
    pub(crate) version: u64,
    deadline: i64,
}

impl StashedCommand {
    pub(crate) fn deadline(&self) -> Timestamp {
        Timestamp(self.deadline)
    }
}

impl State for StashState {
    type Event = StashFact;

    const SNAPSHOTS: Option<SnapshotPolicy<Self>> =
        Some(SnapshotPolicy::json("leftfold.stashed", 1));

    fn apply(&mut self, event: &StashFact) {
        match event {
            StashFact::Stashed { command, stream, version, deadline } => {
                let stashed_command = StashedCommand {
                    stream: stream.clone(),
                    version: *version,
                    deadline: *deadline,
                };
                self.by_command.insert(command.clone(), stashed_command);
            }
            StashFact::Unstashed { command } => _ = self.by_command.remove(command),
        }
    }
}
