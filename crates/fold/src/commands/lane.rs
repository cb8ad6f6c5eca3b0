//! The pending commands of one key, in order.

use std::collections::VecDeque;

use leftfold_api::{Cursor, Query, Recorded, Timestamp};
use uuid::Uuid;

use super::Recordable;
use crate::execute::CommandContext;
use crate::panic::catch;

/// The maximum number of stashed commands of a key.
pub const STASH: usize = 1_000;

/// A command that was accepted and is not handled yet.
#[derive(Debug, Clone)]
pub(crate) struct AcceptedCommand<C> {
    pub(crate) id: Uuid,
    /// The metadata of its events.
    pub(crate) issued: CommandContext,
    /// The command, or why it cannot be decoded.
    pub(crate) command: Result<C, String>,
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) version: u64,
    pub(crate) accepted: Timestamp,
    /// Until when it may wait; set once it is stashed.
    pub(crate) deadline: Option<Timestamp>,
}

impl<C: Recordable> AcceptedCommand<C> {
    pub(crate) fn read(stored: &Recorded) -> Self {
        let id = stored.id();
        let command = decode_command::<C>(&stored.data());
        // Its events carry its id, so that it is handled once, and it as their cause.
        let mut issued = CommandContext::of_stored(stored).causation(id.to_string());
        issued.id = Some(id);
        let bound = |command| match catch(|| issued.clone().bound_to(&command)) {
            Ok(Ok(bound)) => {
                issued = bound;
                Ok(command)
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic.to_string()),
        };
        let command = command.and_then(bound);
        AcceptedCommand {
            id,
            issued,
            command,
            position: stored.position(),
            stream: stored.stream().to_owned(),
            version: stored.version(),
            accepted: stored.commit_time(),
            deadline: None,
        }
    }

    /// Returns its key: the part of the stream's name after the first dash.
    pub(crate) fn key(&self) -> &str {
        self.stream.split_once('-').map_or("", |(_, key)| key)
    }
}

/// Decodes a command, whose own code may panic.
fn decode_command<C: serde::de::DeserializeOwned>(data: &[u8]) -> Result<C, String> {
    let decoded = catch(|| serde_json::from_slice(data)).map_err(|panic| panic.to_string())?;
    decoded.map_err(|error| error.to_string())
}

/// The pending commands of a key.
#[derive(Debug)]
pub(crate) struct Lane<C> {
    pub(crate) queue: VecDeque<AcceptedCommand<C>>,
    /// Stashed commands, in the order of their acceptance.
    pub(crate) stash: Vec<AcceptedCommand<C>>,
    /// Whether a step of this lane is running.
    pub(crate) busy: bool,
    /// Whether it is in the runner's list of lanes that need a step.
    pub(crate) listed: bool,
    /// The stashed commands were last tried against the events up to here.
    pub(crate) seen: Cursor,
    /// The query of what the stashed commands read, while a subscription watches it.
    pub(crate) watched: Option<Query>,
    /// Whether to retry the stashed commands even if no command has come.
    pub(crate) woken: bool,
}

impl<C> Default for Lane<C> {
    fn default() -> Self {
        Lane {
            queue: VecDeque::new(),
            stash: Vec::new(),
            busy: false,
            listed: false,
            seen: Cursor::START,
            watched: None,
            woken: false,
        }
    }
}

impl<C> Lane<C> {
    /// Returns whether the lane can be dropped.
    pub(crate) fn is_empty(&self) -> bool {
        !self.busy && self.queue.is_empty() && self.stash.is_empty()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.queue.is_empty() || (self.woken && !self.stash.is_empty())
    }
}
