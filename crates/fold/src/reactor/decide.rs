use leftfold_api::EventStore;

use super::{Cause, Results, Setback};
use crate::command::Command;
use crate::event::Event;
use crate::execute::{ExecuteError, Loaded, decided};
use crate::reads::Reads;

impl Cause {
    /// Decides a command for this cause: what it reads is loaded, and its events are given as
    /// results, on condition that nothing that was read has changed. They are written together with
    /// the reactor's progress, or the handler is called again and decides again: so a command is
    /// carried out once for its cause, and what it led to is the receiver's progress.
    ///
    /// The inner answer is the domain's; a refusal writes nothing by itself. A command that has to
    /// wait is a setback: it is tried again, with backoff.
    pub async fn decide<C: Command>(
        &self,
        store: &impl EventStore,
        command: C,
    ) -> Result<Result<Results, C::Error>, Setback> {
        let loaded = Loaded::load(&command.reads(), store, None).await?;
        let events = match decided(&command, &loaded.states) {
            Ok(events) => events,
            Err(ExecuteError::Refused(refused)) => return Ok(Err(refused)),
            Err(ExecuteError::Waits(_)) => {
                return Err(Setback::retry("the state does not allow the command yet"));
            }
            Err(ExecuteError::Conflict(overtaken)) => return Err(overtaken.into()),
            Err(ExecuteError::Store(error)) => return Err(error.into()),
        };
        Ok(Ok(conditional::<C>(&loaded, events)?))
    }
}

/// The events, on condition that nothing that was read has changed.
fn conditional<C: Command>(
    loaded: &Loaded<C::Reads>,
    events: <C::Reads as Reads>::Events<C::Event>,
) -> Result<Results, Setback> {
    let mut results = Results::none();
    for emit in C::Reads::emits(loaded.places.iter().map(|place| &place.source), events) {
        let mut event = emit.event.to_new()?;
        event.event_time = emit.event_time;
        results = results.event(emit.stream, event);
    }
    let mut named = std::collections::BTreeSet::new();
    for place in &loaded.places {
        results = match &place.source.stream {
            Some(stream) if !named.insert(stream) => results,
            Some(stream) => results.expect(stream, place.expected()),
            None => results.none_after(place.source.query.clone(), place.cursor.clone()),
        };
    }
    Ok(results)
}
