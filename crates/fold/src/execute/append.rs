//! Builds the append of a decision, and reads the store's answer event by event.

use std::collections::HashMap;

use leftfold_api::names::{HANDLED, id_of};
use leftfold_api::{Append, Appended, Cursor, NewEvent};
use uuid::Uuid;

use super::answer::WrittenEvent;
use super::context::{CommandContext, event_id};
use super::error::FoldError;
use super::load::handled;
use crate::emit::Emit;
use crate::event::Event;

/// The type of the event that remembers a command without events.
const COMMAND_HANDLED: &str = "leftfold.CommandHandled";
/// The longest name behind the category of the stream of such events.
const LONGEST_ID: usize = leftfold_api::MAX_NAME - HANDLED.len() - 1;

/// The events of a decision with their target streams.
pub(crate) struct DecisionEvents {
    pub(crate) events: Vec<(String, NewEvent)>,
}

impl DecisionEvents {
    /// Encodes a decision's events, with ids derived from the command's.
    pub(crate) fn new<E: Event>(
        emits: &[Emit<E>],
        command: Uuid,
        issued: &CommandContext,
    ) -> Result<Self, FoldError> {
        let metadata = issued.to_bytes()?;
        let mut events = Vec::with_capacity(emits.len());
        for (nth, emit) in (0..).zip(emits) {
            let (stream, mut event) = emit.to_new()?;
            event.id = Some(event_id(command, nth));
            issued.mark(&mut event, &metadata);
            events.push((stream, event));
        }
        Ok(DecisionEvents { events })
    }

    /// Returns the event that remembers a command which decided nothing; none if its id was not
    /// given. `stream` is the first one that the command reads: in a store of many partitions the
    /// event must lie beside it.
    pub(crate) fn of_nothing(
        stream: Option<&str>,
        issued: &CommandContext,
    ) -> Result<Self, FoldError> {
        let Some(id) = issued.id else { return Ok(DecisionEvents { events: Vec::new() }) };
        let beside = stream.map(id_of).filter(|name| name.len() <= LONGEST_ID);
        let beside = beside.map_or_else(|| id.to_string(), str::to_owned);
        let mut event = NewEvent::json(COMMAND_HANDLED, "{}").id(Uuid::new_v5(&id, b"handled"));
        issued.mark(&mut event, &issued.to_bytes()?);
        Ok(DecisionEvents { events: vec![(format!("{HANDLED}-{beside}"), event)] })
    }

    /// Adds them to an append. If the command's id was given, the append requires that no event
    /// carries it yet.
    pub(crate) fn add_to(self, mut append: Append, issued: &CommandContext) -> Append {
        for (stream, event) in self.events {
            append = append.event(stream, event);
        }
        match issued.id {
            Some(id) => append.none_after(handled(id), Cursor::START),
            None => append,
        }
    }
}

/// Returns each event's position and version, from the answer to the append. Timers are not among
/// them, but they have positions.
pub(crate) fn done<E>(emits: Vec<Emit<E>>, appended: &Appended) -> Vec<WrittenEvent<E>> {
    let first = appended.positions.map_or(0, |(first, _)| first);
    let mut next: HashMap<&str, u64> = HashMap::new();
    let versions =
        appended.streams.iter().map(|versions| (versions.stream.as_str(), versions.first));
    next.extend(versions);
    let mut all = Vec::with_capacity(emits.len());
    for (position, emit) in (first..).zip(emits) {
        let Emit::Event { stream, event, .. } = emit else { continue };
        let version = next.get_mut(stream.as_str()).map_or(0, |next| {
            *next += 1;
            *next - 1
        });
        all.push(WrittenEvent { position, stream, version, event });
    }
    all
}
