//! Builds the append of a decision, and reads the store's answer event by event.

use std::collections::HashMap;

use leftfold_api::{Append, Appended, Cursor, NewEvent};
use uuid::Uuid;

use super::answer::WrittenEvent;
use super::context::{COMMAND_TAG, CommandContext, event_id};
use super::load::handled;
use crate::emit::Emit;
use crate::event::{Event, Unencodable};

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
    ) -> Result<Self, Unencodable> {
        let mut events = Vec::with_capacity(emits.len());
        for (nth, emit) in (0..).zip(emits) {
            let mut event = emit.event.to_new()?;
            event.id = Some(event_id(command, nth));
            event.event_time = emit.event_time;
            event.correlation.clone_from(&issued.correlation);
            event.causation.clone_from(&issued.causation);
            if issued.id.is_some() {
                event.tags.push((COMMAND_TAG.to_owned(), command.to_string()));
            }
            events.push((emit.stream.clone(), event));
        }
        Ok(DecisionEvents { events })
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

/// Returns each event's position and version, from the answer to the append.
pub(crate) fn done<E>(emits: Vec<Emit<E>>, appended: &Appended) -> Vec<WrittenEvent<E>> {
    let first = appended.positions.map_or(0, |(first, _)| first);
    let mut next: HashMap<&str, u64> = HashMap::new();
    let versions =
        appended.streams.iter().map(|versions| (versions.stream.as_str(), versions.first));
    next.extend(versions);
    let mut all = Vec::with_capacity(emits.len());
    for (position, Emit { stream, event, .. }) in (first..).zip(emits) {
        let version = next.get_mut(stream.as_str()).map_or(0, |next| {
            *next += 1;
            *next - 1
        });
        all.push(WrittenEvent { position, stream, version, event });
    }
    all
}
