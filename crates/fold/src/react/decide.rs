use leftfold_api::{EventStore, Expected, Read};

use super::watch::names_an_index;
use super::{Cause, HandlerError, Reaction, across};
use crate::command::Command;
use crate::execute::{ExecuteError, LoadedStates, decide_on};
use crate::reads::{Decides, Reads};
use crate::unstored::UnstoredEvent;

impl Cause {
    /// Decides a command for this cause, and returns its events as a reaction: the short form of
    /// [`Reaction::decide`] for a single decision. The inner result is the domain's answer; a
    /// refusal writes nothing by itself.
    pub async fn decide<C: Command>(
        &self,
        store: &impl EventStore,
        command: C,
    ) -> Result<Result<Reaction, C::Error>, HandlerError> {
        let mut reaction = Reaction::none();
        let decided = reaction.decide(self, store, command).await?;
        Ok(decided.map(|()| reaction))
    }
}

impl Reaction {
    /// Decides a command on top of this reaction: on the stored states and the events that the
    /// reaction already has. Adds the command's events, on condition that nothing that was read has
    /// changed. On a conflict the handler is called again and decides again. So the command is
    /// carried out once for its cause.
    ///
    /// ```
    /// # use leftfold::react::{Cause, HandlerError, Reaction};
    /// # use leftfold::{Command, EventStore};
    /// async fn book_both<C: Command>(
    ///     store: &impl EventStore, cause: &Cause, there: C, back: C,
    /// ) -> Result<Reaction, HandlerError> {
    ///     let mut reaction = Reaction::none();
    ///     reaction.decide(cause, store, there).await?.map_err(|no| HandlerError::refused(&no))?;
    ///     // The second booking sees the first one.
    ///     reaction.decide(cause, store, back).await?.map_err(|no| HandlerError::refused(&no))?;
    ///     Ok(reaction)
    /// }
    /// ```
    ///
    /// The inner result is the domain's answer. A refusal adds no events, but the conditions: what
    /// the handler does about it rests on what was read. A command that has to wait is a failed
    /// attempt: it is retried with back-off.
    pub async fn decide<C: Command>(
        &mut self,
        cause: &Cause,
        store: &impl EventStore,
        command: C,
    ) -> Result<Result<(), C::Error>, HandlerError> {
        self.decide_command(cause, store, &command).await
    }

    pub(super) async fn decide_command<C: Command>(
        &mut self,
        cause: &Cause,
        store: &impl EventStore,
        command: &C,
    ) -> Result<Result<(), C::Error>, HandlerError> {
        across::find_decision(store, cause, &command.reads()).await?;
        let mut loaded = LoadedStates::load(&command.reads(), store, None).await?;
        find_hidden_versions(&mut loaded, store).await?;
        self.apply_to(&mut loaded, cause)?;
        // One read is of one moment. Several are not, and need a proof.
        let is_one_read = !self.is_conditional() && loaded.sources.len() < 2;
        self.add_conditions_of(&loaded)?;
        match decide_on(command, &loaded.states) {
            Ok(events) => {
                let sources = loaded.sources.iter().map(|progress| &progress.source);
                for emit in C::Reads::emits(sources, events) {
                    self.push(emit)?;
                }
                Ok(Ok(()))
            }
            Err(ExecuteError::Refused(refusal)) => {
                if !is_one_read {
                    self.prove_conditions(store).await?;
                }
                Ok(Err(refusal))
            }
            Err(ExecuteError::Waits(_)) => {
                Err(HandlerError::retry("the state does not allow the command yet"))
            }
            Err(ExecuteError::Conflict(overtaken)) => Err(overtaken.into()),
            Err(ExecuteError::Store(error)) => Err(error.into()),
        }
    }

    /// Applies the events of this reaction to the states whose sources they match.
    fn apply_to<R: Reads>(
        &self,
        loaded: &mut LoadedStates<R>,
        cause: &Cause,
    ) -> Result<(), HandlerError> {
        for (nth, progress) in loaded.sources.iter().enumerate() {
            let source = &progress.source;
            if !self.events.is_empty() && names_an_index(&source.query) {
                return Err(HandlerError::park(format!(
                    "a command that reads {} can't be decided on top of events: only the store \
                     knows what an index lists; use the index's query instead",
                    source.query
                )));
            }
            for (stream, event) in &self.events {
                let correlation = cause.event.correlation();
                let event = UnstoredEvent { stream, event, correlation, time: cause.now };
                if source.query.matches(&event) {
                    R::apply(&mut loaded.states, nth, source.unknown, &event)?;
                }
            }
        }
        Ok(())
    }

    /// Adds the conditions that nothing that was read has changed.
    fn add_conditions_of<R: Reads>(
        &mut self,
        loaded: &LoadedStates<R>,
    ) -> Result<(), HandlerError> {
        for progress in &loaded.sources {
            match &progress.source.stream {
                Some(stream) => self.add_expected(stream.clone(), progress.expected())?,
                None => self.add_none_after(progress.source.query.clone(), progress.cursor.clone()),
            }
        }
        Ok(())
    }

    /// Checks that all conditions still hold, so that what was read held at one moment. A refusal
    /// needs this, because no append proves it.
    async fn prove_conditions(&self, store: &impl EventStore) -> Result<(), HandlerError> {
        for (stream, expected) in &self.expected {
            let version = store.stream(stream).await?.map(|info| info.version);
            let holds = match expected {
                Expected::Any => true,
                Expected::NoStream => version.is_none(),
                Expected::Exists => version.is_some(),
                Expected::Exactly(expected) => version == Some(*expected),
            };
            if !holds {
                return Err(HandlerError::overtaken(stream));
            }
        }
        for (query, cursor) in &self.none_after {
            let mut after = cursor.clone();
            loop {
                let read = Read::forward(query.clone()).after(after).limit(1);
                let page = store.read(read).await?;
                if let Some(event) = page.events.first() {
                    return Err(HandlerError::overtaken(event.stream()));
                }
                if !page.more {
                    break;
                }
                after = page.cursor;
            }
        }
        Ok(())
    }
}

/// Finds the versions of streams whose events are all hidden by retention: they continue.
async fn find_hidden_versions<R: Reads>(
    loaded: &mut LoadedStates<R>,
    store: &impl EventStore,
) -> Result<(), HandlerError> {
    let empty = loaded.sources.iter().filter(|progress| progress.version().is_none());
    let empty: Vec<String> = empty.filter_map(|progress| progress.source.stream.clone()).collect();
    for stream in empty {
        if let Some(info) = store.stream(&stream).await? {
            loaded.note_version(&stream, Some(info.version));
            // An event may have come in between; then its version counts.
            loaded.catch_up(store).await?;
        }
    }
    Ok(())
}
