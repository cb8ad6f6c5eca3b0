//! One step of a lane: retry the stashed commands, handle the next command, retry again.

use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Coded, Conflict, Cursor, EventStore, NewEvent, Query, Read, ReadError,
};

use super::facts::{OutcomeFact, StashFact};
use super::lane::{AcceptedCommand, STASH};
use super::{Commands, Handle, Recordable};
use crate::command::Wait;
use crate::execute::{DecisionOf, ExecuteError, FoldError, OutcomeEvents};
use crate::panic::catch_async;
use crate::reads::Reads;
use crate::time::{Time, later};

/// What a runner needs to handle commands.
pub(crate) struct Context<C, T, H> {
    pub(crate) commands: Commands<C, T>,
    pub(crate) handler: H,
    pub(crate) time: Arc<dyn Time>,
}

/// A step of a lane to run.
pub(crate) struct Step<C> {
    pub(crate) key: String,
    /// The stashed commands.
    pub(crate) stash: Vec<AcceptedCommand<C>>,
    /// The stashed commands were last tried against the events up to here.
    pub(crate) seen: Cursor,
    /// Whether to retry them even if no event has come: their time may be over.
    pub(crate) woken: bool,
    pub(crate) next: Option<AcceptedCommand<C>>,
}

struct Stash<C> {
    entries: Vec<AcceptedCommand<C>>,
    seen: Cursor,
}

/// The result of a step.
pub(crate) struct StepResult<C> {
    pub(crate) key: String,
    pub(crate) stash: Vec<AcceptedCommand<C>>,
    /// The position of the command that is handled or stashed now.
    pub(crate) position: Option<u64>,
    /// The stashed commands were last tried against the events up to here.
    pub(crate) seen: Cursor,
}

enum HandleResult {
    /// It has an outcome, new or from before.
    Settled,
    Waits(Wait),
}

impl<C, T, H> Context<C, T, H>
where
    C: Recordable,
    T: EventStore + Clone + 'static,
    H: Handle<C>,
{
    pub(crate) async fn step(&self, step: Step<C>) -> Result<StepResult<C>, FoldError> {
        let Step { key, stash, seen, woken, next } = step;
        let position = next.as_ref().map(|next| next.position);
        let mut stash = Stash { entries: stash, seen };
        if woken || self.has_news(&stash).await? {
            self.retry(&key, &mut stash).await?;
        }
        // After a restart a stashed command may be delivered again.
        let next = next.filter(|next| stash.entries.iter().all(|stashed| stashed.id != next.id));
        if let Some(next) = next {
            if stash.entries.is_empty() {
                // Read the head before deciding, so that later events retry the stashed command.
                stash.seen = self.commands.store.head().await?;
            }
            match self.handle(&key, &next).await? {
                HandleResult::Settled if self.has_news(&stash).await? => {
                    self.retry(&key, &mut stash).await?;
                }
                HandleResult::Settled => {}
                HandleResult::Waits(wait) => {
                    self.stash_command(&key, &mut stash.entries, next, wait).await?;
                }
            }
        }
        let Stash { entries: stash, seen } = stash;
        Ok(StepResult { key, stash, position, seen })
    }

    /// Returns whether events have come that the stashed commands read, since they were last tried.
    async fn has_news(&self, stash: &Stash<C>) -> Result<bool, FoldError> {
        let Some(query) = reads(&stash.entries) else { return Ok(false) };
        let read = Read::forward(query).after(stash.seen.clone()).limit(1);
        let page = self.commands.store.read(read).await?;
        Ok(page.more || !page.events.is_empty())
    }

    /// Retries the stashed commands in order, until a round handles none of them.
    async fn retry(&self, key: &str, stash: &mut Stash<C>) -> Result<(), FoldError> {
        loop {
            stash.seen = self.commands.store.head().await?;
            let before = stash.entries.len();
            let mut left = Vec::with_capacity(before);
            for entry in std::mem::take(&mut stash.entries) {
                if entry.deadline.is_some_and(|deadline| deadline <= self.time.now()) {
                    let expired = OutcomeFact::Expired { command: entry.id.to_string() };
                    self.settle(key, &entry, &expired).await?;
                } else if let HandleResult::Waits(_) = self.handle(key, &entry).await? {
                    left.push(entry);
                }
            }
            stash.entries = left;
            if stash.entries.is_empty() || stash.entries.len() == before {
                return Ok(());
            }
        }
    }

    async fn handle(
        &self,
        key: &str,
        entry: &AcceptedCommand<C>,
    ) -> Result<HandleResult, FoldError> {
        let command = match &entry.command {
            Ok(command) => command,
            Err(message) => {
                return self.fail(key, entry, "command_undecodable", message).await;
            }
        };
        loop {
            let outcome = self.outcome_of(key, entry);
            let handled =
                async { self.handler.handle(entry.issued.clone(), command.clone(), outcome).await };
            let answer = catch_async(handled).await.unwrap_or_else(|panic| Err(panic.into()));
            return match answer {
                // It may have been executed directly, without an outcome.
                Ok(executed) if executed.repeated => {
                    let done = OutcomeFact::Done { command: entry.id.to_string() };
                    self.settle(key, entry, &done).await?;
                    Ok(HandleResult::Settled)
                }
                Ok(_) | Err(ExecuteError::Refused(_)) => Ok(HandleResult::Settled),
                Err(ExecuteError::Waits(wait)) => Ok(HandleResult::Waits(wait)),
                // The conflict shows that another writer succeeded; retry until this command does.
                Err(ExecuteError::Conflict(_)) => continue,
                Err(ExecuteError::Store(error)) => match &error {
                    // What the store refuses for good is the command's fault: it must not stop the others.
                    FoldError::Read(ReadError::Failure(_))
                    | FoldError::Append(AppendError::Failure(_)) => Err(error),
                    FoldError::Read(_) if error.can_retry() => Err(error),
                    _ => self.fail(key, entry, error.code(), &error.to_string()).await,
                },
            };
        }
    }

    /// Returns the function that makes the outcome events of a decision.
    fn outcome_of(&self, key: &str, entry: &AcceptedCommand<C>) -> OutcomeEvents<C> {
        let id = entry.id;
        let command = id.to_string();
        let issued = entry.issued.clone();
        let done = self.commands.stream("done", key);
        let unstashed = entry.deadline.map(|_| self.commands.stream("wait", key));
        Box::new(move |decision: &DecisionOf<C>| {
            let command = command.clone();
            let fact = match decision {
                Ok(_) => OutcomeFact::Done { command },
                Err(ExecuteError::Refused(refused)) => match serde_json::to_value(refused) {
                    Ok(error) => OutcomeFact::Refused { command, error },
                    Err(error) => {
                        let (code, message) = ("refusal_unencodable".into(), error.to_string());
                        OutcomeFact::Failed { command, code, message }
                    }
                },
                Err(_) => return Vec::new(),
            };
            let outcome = fact.event(id, &issued);
            facts(id, outcome.ok().map(|event| (done.clone(), event)), unstashed.as_deref())
        })
    }

    async fn fail(
        &self,
        key: &str,
        entry: &AcceptedCommand<C>,
        code: &str,
        message: &str,
    ) -> Result<HandleResult, FoldError> {
        let command = entry.id.to_string();
        let (code, message) = (code.to_owned(), message.to_owned());
        self.settle(key, entry, &OutcomeFact::Failed { command, code, message }).await?;
        Ok(HandleResult::Settled)
    }

    /// Appends an outcome without a decision, unless the command has one.
    async fn settle(
        &self,
        key: &str,
        entry: &AcceptedCommand<C>,
        fact: &OutcomeFact,
    ) -> Result<(), FoldError> {
        // An event that was not accepted by this library may have metadata beyond the limit.
        let event = fact.event(entry.id, &entry.issued);
        let event = event.or_else(|_| fact.event(entry.id, &entry.issued.without_metadata()))?;
        let done = (self.commands.stream("done", key), event);
        let unstashed = entry.deadline.map(|_| self.commands.stream("wait", key));
        let outcomes = self.commands.outcome_query(entry.id);
        let mut append = Append::new().none_after(outcomes, Cursor::START);
        for (stream, event) in facts(entry.id, Some(done), unstashed.as_deref()) {
            append = append.event(stream, event);
        }
        match self.commands.store.append(append).await {
            Ok(_) | Err(AppendError::Conflict(Conflict::Query { .. })) => Ok(()),
            // The outcome exists with another text.
            Err(AppendError::Overlap(_)) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// Stashes a command: appends the event, then adds it to the stash.
    async fn stash_command(
        &self,
        key: &str,
        stash: &mut Vec<AcceptedCommand<C>>,
        mut entry: AcceptedCommand<C>,
        wait: Wait,
    ) -> Result<(), FoldError> {
        if stash.len() >= STASH {
            let message = format!(
                "{key} has {STASH} stashed commands, the maximum; send the command with a new id \
                 when some of them are handled"
            );
            return self.fail(key, &entry, "stash_full", &message).await.map(drop);
        }
        let deadline = later(entry.accepted, wait.at_most);
        let fact = StashFact::Stashed {
            command: entry.id.to_string(),
            stream: entry.stream.clone(),
            version: entry.version,
            deadline: deadline.micros(),
        };
        let wait = self.commands.stream("wait", key);
        match self.commands.store.append(Append::new().event(wait, fact.event(entry.id)?)).await {
            // It was stashed before with another deadline; the first deadline counts.
            Ok(_) | Err(AppendError::Overlap(_)) => {}
            Err(other) => return Err(other.into()),
        }
        entry.deadline = Some(deadline);
        stash.push(entry);
        Ok(())
    }
}

/// Returns the outcome's event and, for a stashed command, the event that ends its stashing.
fn facts(
    id: uuid::Uuid,
    outcome: Option<(String, NewEvent)>,
    unstashed: Option<&str>,
) -> Vec<(String, NewEvent)> {
    let fact = StashFact::Unstashed { command: id.to_string() };
    let unstashed = unstashed.and_then(|stream| Some((stream.to_owned(), fact.event(id).ok()?)));
    outcome.into_iter().chain(unstashed).collect()
}

/// Returns the query of all that the stashed commands read, or `None` if there are none.
pub(crate) fn reads<C: Recordable>(stash: &[AcceptedCommand<C>]) -> Option<Query> {
    let commands = stash.iter().filter_map(|entry| entry.command.as_ref().ok());
    let mut queries: Vec<Query> = Vec::new();
    for source in commands.flat_map(|command| command.reads().sources()) {
        if !queries.contains(&source.query) {
            queries.push(source.query);
        }
    }
    queries.into_iter().reduce(Query::or)
}
