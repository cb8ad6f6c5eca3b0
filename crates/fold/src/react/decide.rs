use leftfold_api::EventStore;

use super::{Cause, HandlerError, Reaction};
use crate::command::Command;
use crate::execute::{ExecuteError, LoadedStates, decide_on};
use crate::reads::Decides;

impl Cause {
    /// Decides a command for this cause: loads what it reads, and returns its events as results, on
    /// condition that nothing that was read has changed. The results are appended together with the
    /// reactor's progress. On a conflict the handler is called again and decides again. So the
    /// command is carried out once for its cause.
    ///
    /// The inner result is the domain's answer; a refusal writes nothing by itself. A command that
    /// has to wait is a setback: it is retried with back-off.
    pub async fn decide<C: Command>(
        &self,
        store: &impl EventStore,
        command: C,
    ) -> Result<Result<Reaction, C::Error>, HandlerError> {
        let loaded = LoadedStates::load(&command.reads(), store, None).await?;
        let events = match decide_on(&command, &loaded.states) {
            Ok(events) => events,
            Err(ExecuteError::Refused(refused)) => return Ok(Err(refused)),
            Err(ExecuteError::Waits(_)) => {
                return Err(HandlerError::retry("the state does not allow the command yet"));
            }
            Err(ExecuteError::Conflict(overtaken)) => return Err(overtaken.into()),
            Err(ExecuteError::Store(error)) => return Err(error.into()),
        };
        Ok(Ok(conditional::<C>(&loaded, events)?))
    }
}

/// Returns the events as results, on condition that nothing that was read has changed.
fn conditional<C: Command>(
    loaded: &LoadedStates<C::Reads>,
    events: <C::Reads as Decides<C::Event>>::Events,
) -> Result<Reaction, HandlerError> {
    let mut results = Reaction::none();
    for emit in C::Reads::emits(loaded.sources.iter().map(|progress| &progress.source), events) {
        let (stream, event) = emit.to_new()?;
        results = results.event(stream, event);
    }
    let mut named = std::collections::BTreeSet::new();
    for progress in &loaded.sources {
        results = match &progress.source.stream {
            Some(stream) if !named.insert(stream) => results,
            Some(stream) => results.expect(stream, progress.expected()),
            None => results.none_after(progress.source.query.clone(), progress.cursor.clone()),
        };
    }
    Ok(results)
}
