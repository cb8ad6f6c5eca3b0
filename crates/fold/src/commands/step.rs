//! One step of a lane: what was put aside, the next command, and again what was put aside.

use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Coded, Conflict, Cursor, EventStore, NewEvent, Query, Read,
};

use super::facts::{OutcomeFact, StashFact};
use super::lane::{Entry, STASH};
use super::{Commands, Handle, Recordable};
use crate::command::Wait;
use crate::execute::{DecisionOf, ExecuteError, FoldError, OutcomeOf, handled};
use crate::reads::Reads;
use crate::time::{Time, later};

/// What a runner works with.
pub(crate) struct Context<C, T, H> {
    pub(crate) commands: Commands<C, T>,
    pub(crate) handler: H,
    pub(crate) time: Arc<dyn Time>,
}

/// A step that is to be taken.
pub(crate) struct Step<C> {
    pub(crate) key: String,
    /// What is put aside.
    pub(crate) stash: Vec<Entry<C>>,
    /// What has come until then, what is put aside has seen.
    pub(crate) seen: Cursor,
    /// Whether it is to be tried though nothing has come: its time may be over.
    pub(crate) woken: bool,
    pub(crate) next: Option<Entry<C>>,
}

struct Stash<C> {
    entries: Vec<Entry<C>>,
    seen: Cursor,
}

/// What a step has come to.
pub(crate) struct Stepped<C> {
    pub(crate) key: String,
    pub(crate) stash: Vec<Entry<C>>,
    /// The command that is handled or put aside now.
    pub(crate) position: Option<u64>,
    /// What comes after it was not seen by what is stashed.
    pub(crate) seen: Cursor,
}

enum Handled {
    /// Something came of it, now or before.
    Yes,
    Waits(Wait),
}

impl<C, T, H> Context<C, T, H>
where
    C: Recordable,
    T: EventStore + Clone + 'static,
    H: Handle<C>,
{
    pub(crate) async fn step(&self, step: Step<C>) -> Result<Stepped<C>, FoldError> {
        let Step { key, stash, seen, woken, next } = step;
        let position = next.as_ref().map(|next| next.position);
        let mut stash = Stash { entries: stash, seen };
        if woken || self.has_news(&stash).await? {
            self.retry(&key, &mut stash).await?;
        }
        // After a restart, what is put aside may be delivered once more.
        let next = next.filter(|next| stash.entries.iter().all(|stashed| stashed.id != next.id));
        if let Some(next) = next {
            if stash.entries.is_empty() {
                // Asked before anything is decided: whatever comes later wakes what waits.
                stash.seen = self.commands.store.head().await?;
            }
            match self.handle(&key, &next).await? {
                Handled::Yes if self.has_news(&stash).await? => {
                    self.retry(&key, &mut stash).await?;
                }
                Handled::Yes => {}
                Handled::Waits(wait) => {
                    self.put_aside(&key, &mut stash.entries, next, wait).await?;
                }
            }
        }
        let Stash { entries: stash, seen } = stash;
        Ok(Stepped { key, stash, position, seen })
    }

    /// Whether anything has come of what the stashed commands read since they were tried.
    async fn has_news(&self, stash: &Stash<C>) -> Result<bool, FoldError> {
        let Some(query) = reads(&stash.entries) else { return Ok(false) };
        let read = Read::forward(query).after(stash.seen.clone()).limit(1);
        let page = self.commands.store.read(read).await?;
        Ok(page.more || !page.events.is_empty())
    }

    /// Tries what is put aside, in its order, as long as that leads to something.
    async fn retry(&self, key: &str, stash: &mut Stash<C>) -> Result<(), FoldError> {
        loop {
            stash.seen = self.commands.store.head().await?;
            let before = stash.entries.len();
            let mut left = Vec::with_capacity(before);
            for entry in std::mem::take(&mut stash.entries) {
                if entry.deadline.is_some_and(|deadline| deadline <= self.time.now()) {
                    let expired = OutcomeFact::Expired { command: entry.id.to_string() };
                    self.settle(key, &entry, &expired).await?;
                } else if let Handled::Waits(_) = self.handle(key, &entry).await? {
                    left.push(entry);
                }
            }
            stash.entries = left;
            if stash.entries.is_empty() || stash.entries.len() == before {
                return Ok(());
            }
        }
    }

    async fn handle(&self, key: &str, entry: &Entry<C>) -> Result<Handled, FoldError> {
        let command = match &entry.command {
            Ok(command) => command,
            Err(message) => {
                return self.fail(key, entry, "command_undecodable", message).await;
            }
        };
        loop {
            let outcome = self.outcome_of(key, entry);
            let answer = self.handler.handle(entry.issued(), command.clone(), outcome).await;
            return match answer {
                Ok(_) | Err(ExecuteError::Refused(_)) => Ok(Handled::Yes),
                Err(ExecuteError::Waits(wait)) => Ok(Handled::Waits(wait)),
                // Whoever overtakes gets on; this one is next, sooner or later.
                Err(ExecuteError::Conflict(_)) => continue,
                Err(ExecuteError::Store(error)) => match &error {
                    FoldError::Read(_) | FoldError::Append(AppendError::Failure(_)) => Err(error),
                    _ => self.fail(key, entry, error.code(), &error.to_string()).await,
                },
            };
        }
    }

    /// What is written beside the events of a decision.
    fn outcome_of(&self, key: &str, entry: &Entry<C>) -> OutcomeOf<C> {
        let id = entry.id;
        let command = id.to_string();
        let correlation = entry.correlation.clone();
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
            let outcome = fact.event(id, correlation.as_deref());
            facts(id, outcome.ok().map(|event| (done.clone(), event)), unstashed.as_deref())
        })
    }

    async fn fail(
        &self,
        key: &str,
        entry: &Entry<C>,
        code: &str,
        message: &str,
    ) -> Result<Handled, FoldError> {
        let command = entry.id.to_string();
        let (code, message) = (code.to_owned(), message.to_owned());
        self.settle(key, entry, &OutcomeFact::Failed { command, code, message }).await?;
        Ok(Handled::Yes)
    }

    /// Writes an outcome that no decision has led to, unless there is one.
    async fn settle(
        &self,
        key: &str,
        entry: &Entry<C>,
        fact: &OutcomeFact,
    ) -> Result<(), FoldError> {
        let event = fact.event(entry.id, entry.correlation.as_deref())?;
        let done = (self.commands.stream("done", key), event);
        let unstashed = entry.deadline.map(|_| self.commands.stream("wait", key));
        let mut append = Append::new().none_after(handled(entry.id), Cursor::START);
        for (stream, event) in facts(entry.id, Some(done), unstashed.as_deref()) {
            append = append.event(stream, event);
        }
        match self.commands.store.append(append).await {
            Ok(_) | Err(AppendError::Conflict(Conflict::Query { .. })) => Ok(()),
            // The same outcome in other words.
            Err(AppendError::Overlap(_)) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    /// Puts a command aside: a fact, then a place in the stash.
    async fn put_aside(
        &self,
        key: &str,
        stash: &mut Vec<Entry<C>>,
        mut entry: Entry<C>,
        wait: Wait,
    ) -> Result<(), FoldError> {
        if stash.len() >= STASH {
            let message = format!("{STASH} commands of {key} are put aside already");
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
            // A second time with another deadline: the first counts, and is as good.
            Ok(_) | Err(AppendError::Overlap(_)) => {}
            Err(other) => return Err(other.into()),
        }
        entry.deadline = Some(deadline);
        stash.push(entry);
        Ok(())
    }
}

/// An outcome, and that the command is not put aside any more.
fn facts(
    id: uuid::Uuid,
    outcome: Option<(String, NewEvent)>,
    unstashed: Option<&str>,
) -> Vec<(String, NewEvent)> {
    let fact = StashFact::Unstashed { command: id.to_string() };
    let unstashed = unstashed.and_then(|stream| Some((stream.to_owned(), fact.event(id).ok()?)));
    outcome.into_iter().chain(unstashed).collect()
}

/// All that commands read which are put aside; none if there are none.
pub(crate) fn reads<C: Recordable>(stash: &[Entry<C>]) -> Option<Query> {
    let commands = stash.iter().filter_map(|entry| entry.command.as_ref().ok());
    let mut queries: Vec<Query> = Vec::new();
    for source in commands.flat_map(|command| command.reads().sources()) {
        if !queries.contains(&source.query) {
            queries.push(source.query);
        }
    }
    queries.into_iter().reduce(Query::or)
}
