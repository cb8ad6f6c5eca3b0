use std::fmt;
use std::sync::Arc;

use leftfold_api::{Append, Cursor, ErasedStore, Expected, NewEvent, Query};

use super::HandlerError;
use super::cause::{Cause, derived};
use super::command::{AnyCommand, PlannedCommand};
use crate::command::Command;
use crate::emit::Emit;
use crate::event::Event;
use crate::payload::Payload;

/// The most commands that follow from one event, those after refusals included.
const MAX_COMMANDS: usize = 1_000;

/// What a handler wants to happen: events, timers, commands, and conditions. All of it is appended
/// together with the reactor's progress, all or nothing.
///
/// ```
/// use leftfold::react::Reaction;
/// use leftfold::Event;
///
/// #[derive(Debug, PartialEq, Event)]
/// enum Shop { Thanked { customer: String } }
///
/// let thanked = || Shop::Thanked { customer: "Ann".into() }.to("customer-ann");
/// let reaction = Reaction::none().emit(thanked());
/// assert_eq!(reaction, Reaction::none().emit(thanked()));
/// assert_eq!(reaction.events::<Shop>(), [thanked()]);
/// ```
///
/// An event without an id gets one that derives from its cause and its number in this list. So a
/// handler that is called again for the same event should return the same events in the same order:
/// an event that is already in the store stays unchanged.
///
/// Two reactions can't be combined, because their decisions would not know each other: decide the
/// second command [on top of](Reaction::decide) the first.
#[derive(Debug, Clone, Default)]
pub struct Reaction {
    pub(super) events: Vec<(String, NewEvent)>,
    pub(super) expected: Vec<(String, Expected)>,
    pub(super) none_after: Vec<(Query, Cursor)>,
    commands: Vec<Arc<dyn AnyCommand>>,
    /// Why an event can't be written, or a condition can't hold.
    failure: Option<HandlerError>,
}

impl Reaction {
    /// Returns an empty reaction.
    pub fn none() -> Self {
        Reaction::default()
    }

    /// Adds an event of an enum: `Reaction::none().emit(event.to(stream))`. An event that can't be
    /// encoded parks its cause.
    pub fn emit<E: Event>(mut self, emit: Emit<E>) -> Self {
        match self.push(emit) {
            Ok(()) => self,
            Err(error) => self.failed(error),
        }
    }

    /// Adds an event. By default its correlation id is its cause's, and its causation id is its
    /// cause's id.
    pub fn event(mut self, stream: impl Into<String>, event: NewEvent) -> Self {
        self.events.push((stream.into(), event));
        self
    }

    /// Adds a command. The reactor decides it when the handler has ended, on the stored states and
    /// the events of this reaction. Its events are appended with the reaction's, on condition that
    /// nothing that was read has changed. On a conflict the handler is called again.
    ///
    /// A refusal parks the event with its reason; see [`Reaction::command_or`].
    pub fn command<C: Command + fmt::Debug + PartialEq + 'static>(self, command: C) -> Self {
        self.plan(PlannedCommand { command, after_refusal: None })
    }

    /// Adds a command, and what follows if it is refused: events, timers, or other commands.
    pub fn command_or<C: Command + fmt::Debug + PartialEq + 'static>(
        self,
        command: C,
        after_refusal: impl Fn(C::Error) -> Reaction + Send + Sync + 'static,
    ) -> Self {
        self.plan(PlannedCommand { command, after_refusal: Some(Arc::new(after_refusal)) })
    }

    fn plan(mut self, command: impl AnyCommand + 'static) -> Self {
        self.commands.push(Arc::new(command));
        self
    }

    /// Adds the condition that a stream is at an expected version. If it is not, the handler is
    /// called again, so that it reads and decides again. Conditions that contradict each other lead
    /// to another attempt too.
    pub fn expect(mut self, stream: impl Into<String>, expected: Expected) -> Self {
        match self.add_expected(stream.into(), expected) {
            Ok(()) => self,
            Err(error) => self.failed(error),
        }
    }

    /// Adds the condition that no event after the cursor matches the query. If one does, the
    /// handler is called again.
    pub fn none_after(mut self, query: impl Into<Query>, cursor: Cursor) -> Self {
        self.add_none_after(query.into(), cursor);
        self
    }

    /// Returns whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.commands.is_empty()
    }

    /// Returns the events that are of an enum, with their streams.
    pub fn events<E: Event>(&self) -> Vec<Emit<E>> {
        let decode = |(stream, new): &(String, NewEvent)| {
            let payload = Payload::new(&*new.content_type, &*new.data);
            let event = E::decode(&new.event_type, new.schema_version, &payload).ok()??;
            Some(Emit::Event { stream: stream.clone(), event, event_time: new.event_time })
        };
        self.events.iter().filter_map(decode).collect()
    }

    /// Returns all events as they are appended, with their streams. Timers are among them.
    pub fn new_events(&self) -> &[(String, NewEvent)] {
        &self.events
    }

    /// Returns the commands of a type that are still to be decided.
    pub fn commands<C: Command + 'static>(&self) -> Vec<&C> {
        self.commands.iter().filter_map(|command| command.as_any().downcast_ref()).collect()
    }

    /// Makes the reaction one that fails, because something in it is not possible.
    pub(crate) fn failed(mut self, error: HandlerError) -> Self {
        self.failure.get_or_insert(error);
        self
    }

    pub(super) fn is_conditional(&self) -> bool {
        !self.expected.is_empty() || !self.none_after.is_empty()
    }

    /// Adds an event of an enum.
    pub(super) fn push<E: Event>(&mut self, emit: Emit<E>) -> Result<(), HandlerError> {
        let written = emit.to_new().map_err(|error| HandlerError::park(error.to_string()))?;
        self.events.push(written);
        Ok(())
    }

    /// Adds what another reaction wants.
    pub(super) fn add(&mut self, other: Reaction) -> Result<(), HandlerError> {
        self.events.extend(other.events);
        self.commands.extend(other.commands);
        for (stream, expected) in other.expected {
            self.add_expected(stream, expected)?;
        }
        for (query, cursor) in other.none_after {
            self.add_none_after(query, cursor);
        }
        other.failure.map_or(Ok(()), Err)
    }

    /// Adds a condition on a stream. The store accepts one for each stream.
    pub(super) fn add_expected(
        &mut self,
        stream: String,
        expected: Expected,
    ) -> Result<(), HandlerError> {
        let known = self.expected.iter_mut().find(|(known, _)| *known == stream);
        let Some((_, known)) = known else {
            self.expected.push((stream, expected));
            return Ok(());
        };
        *known = both(*known, expected).ok_or_else(|| HandlerError::overtaken(&stream))?;
        Ok(())
    }

    /// Adds a condition on a query. An earlier cursor of the same query says more.
    pub(super) fn add_none_after(&mut self, query: Query, cursor: Cursor) {
        match self.none_after.iter_mut().find(|(known, _)| *known == query) {
            Some((_, known)) if known.covers(&cursor) => *known = cursor,
            Some(_) => {}
            None => self.none_after.push((query, cursor)),
        }
    }

    /// Decides all commands, each on top of what was decided before.
    pub(super) async fn complete(
        mut self,
        cause: &Cause,
        store: &dyn ErasedStore,
    ) -> Result<Self, HandlerError> {
        let mut decided = 0;
        while !self.commands.is_empty() {
            for command in std::mem::take(&mut self.commands) {
                if decided == MAX_COMMANDS {
                    let reason = format!("more than {MAX_COMMANDS} commands follow from the event");
                    return Err(HandlerError::park(reason));
                }
                decided += 1;
                command.decide(&mut self, cause, store).await?;
            }
        }
        match self.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(self),
        }
    }

    /// Sets ids, correlation and causation of the events from their cause.
    pub(crate) fn caused_by(mut self, cause: &Cause) -> Self {
        for (number, (_, event)) in (0..).zip(&mut self.events) {
            event.id.get_or_insert_with(|| derived(cause.key, number));
            if event.correlation.is_none() {
                event.correlation = cause.event.correlation().map(str::to_owned);
            }
            event.causation.get_or_insert_with(|| cause.event.id().to_string());
        }
        self
    }

    pub(crate) fn add_to(&self, mut append: Append) -> Append {
        for (stream, event) in &self.events {
            append = append.event(stream, event.clone());
        }
        for (stream, expected) in &self.expected {
            append = append.expect(stream, *expected);
        }
        for (query, cursor) in &self.none_after {
            append = append.none_after(query.clone(), cursor.clone());
        }
        append
    }
}

/// Returns the condition that is as strict as both, or `None` if they contradict each other.
fn both(one: Expected, other: Expected) -> Option<Expected> {
    match (one, other) {
        (one, other) if one == other => Some(one),
        (Expected::Any, other) | (other, Expected::Any) => Some(other),
        (Expected::Exists, Expected::Exactly(version))
        | (Expected::Exactly(version), Expected::Exists) => Some(Expected::Exactly(version)),
        _ => None,
    }
}

impl PartialEq for Reaction {
    /// Compares events, conditions and commands. What follows from a refusal is not compared.
    fn eq(&self, other: &Self) -> bool {
        let commands = self.commands.iter().zip(&other.commands);
        self.events == other.events
            && self.expected == other.expected
            && self.none_after == other.none_after
            && self.failure == other.failure
            && self.commands.len() == other.commands.len()
            && commands.into_iter().all(|(one, other)| one.is_equal(&**other))
    }
}

impl From<()> for Reaction {
    fn from((): ()) -> Self {
        Reaction::none()
    }
}
