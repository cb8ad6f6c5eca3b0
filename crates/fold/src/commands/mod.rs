//! Command streams: a command is an event before it is handled.
//!
//! [`Commands::accept`] appends the command and answers as soon as that is durable. A runner
//! ([`Commands::run`]) handles accepted commands: those of one key in order, different keys
//! concurrently. The outcome of a command is an event too, refusals included. It is appended
//! together with the command's events, on condition that the command has no outcome yet. So each
//! command id is handled once, also after duplicate sends, crashes and restarts of the runner.
//!
//! For a command stream `payments` these streams are written, with the key after the dash:
//!
//! | stream | events |
//! |---|---|
//! | `payments.sent-<key>` | `CommandAccepted`, the command |
//! | `payments.done-<key>` | `CommandDone`, `CommandRefused`, `CommandExpired`, `CommandFailed` |
//! | `payments.wait-<key>` | `CommandStashed`, `CommandUnstashed` |
//!
//! # Stash
//!
//! A command whose state [does not allow it yet](crate::Command::waits) is stashed. That is an
//! event, so it survives a restart. The runner retries stashed commands in the order of their
//! acceptance: before any later command of the key, and when an event arrives that they read. A
//! stashed command ends with its outcome, or as expired when its time is over. At most [`STASH`]
//! commands of a key are stashed; further ones fail.
//!
//! # Data flow
//!
//! A subscription to `payments.sent` from a checkpoint feeds one lane per key. A lane runs one step
//! at a time: the stashed commands, the next command, the stashed commands again. The checkpoint
//! follows the last command up to which all are handled or stashed, and moves every
//! [`CHECKPOINT_EVERY`] commands. After a restart, later commands are delivered again and
//! recognised as handled.

mod facts;
mod handle;
mod lane;
mod progress;
mod run;
mod step;

use std::marker::PhantomData;

use leftfold_api::{
    Append, AppendError, Appended, Coded, Conflict, Cursor, Delivery, EventStore, Invalid,
    NewEvent, Query, Read, ReadError, Subscribe, Subscription,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use uuid::Uuid;

pub use self::handle::Handle;
pub use self::lane::STASH;
pub use self::progress::CHECKPOINT_EVERY;
pub use self::run::{PARALLEL, QUEUED, RunError};
use crate::command::Command;
use crate::event::{Unencodable, decode};
use crate::execute::{CommandContext, Decider, FoldError, WrittenEvent, check_command, handled};
use crate::reads::Reads;
use facts::OutcomeFact;

/// The event type of an accepted command.
pub const ACCEPTED: &str = "CommandAccepted";

/// The key of the tag on accepted commands with a given id: `$accepted=<id>`.
const ACCEPTED_TAG: &str = "$accepted";

/// Returns the query of accepted commands with an id, of all command streams.
fn accepted(id: Uuid) -> Query {
    Query::tag(ACCEPTED_TAG, &id.to_string())
}

/// A command that can be stored: serde reads and writes it and its refusal.
pub trait Recordable:
    Command<Error: Serialize + DeserializeOwned> + Serialize + DeserializeOwned + Clone + 'static
{
    /// Returns the key that orders commands: those of one key are handled one after the other. The
    /// default is the name of the first stream that it reads, or the text of the query.
    fn key(&self) -> String {
        let source = self.reads().sources().into_iter().next();
        source.map_or_else(
            || "all".to_owned(),
            |source| source.stream.unwrap_or_else(|| source.query.to_string()),
        )
    }
}

/// A command stream: accepts commands of one type, which a [runner](Commands::run) handles.
#[derive(Debug)]
pub struct Commands<C, T> {
    name: String,
    store: T,
    command: PhantomData<fn(C) -> C>,
}

impl<C, T: Clone> Clone for Commands<C, T> {
    fn clone(&self) -> Self {
        let (name, store) = (self.name.clone(), self.store.clone());
        Commands { name, store, command: PhantomData }
    }
}

/// The answer to an accepted command: it is durable and will be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accepted {
    /// Its id, by which its outcome is found.
    pub id: Uuid,
    /// The cursor after it.
    pub cursor: Cursor,
    /// Whether it had been accepted before.
    pub repeated: bool,
}

/// The outcome of a command.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome<E, R> {
    /// It produced these events.
    Done(Vec<WrittenEvent<E>>),
    /// It was refused.
    Refused(R),
    /// The state did not allow it before its time was over.
    Expired,
    /// It can't be handled: it cannot be decoded, or its states or events cannot be read or
    /// written.
    Failed {
        /// A stable error code.
        code: String,
        /// The error message.
        message: String,
    },
}

/// Why a command was not accepted.
#[derive(Debug, Clone, PartialEq, Error)]
#[error(transparent)]
pub struct AcceptError(#[from] pub FoldError);

impl Coded for AcceptError {
    fn code(&self) -> &'static str {
        self.0.code()
    }

    fn can_retry(&self) -> bool {
        self.0.can_retry()
    }
}

/// The outcome of a command of type `C`.
pub type OutcomeOf<C> = Outcome<<C as Command>::Event, <C as Command>::Error>;

impl<C: Recordable, T: EventStore + Clone + 'static> Commands<C, T> {
    /// Opens the command stream of a name. A name has no dash, because the key follows the first
    /// dash.
    pub fn new(name: &str, store: T) -> Result<Self, Invalid> {
        if name.is_empty() || name.contains('-') {
            let message = format!(
                "{name:?} can't be the name of a command stream: it is empty or has a dash, and \
                 what follows a dash is the key"
            );
            return Err(Invalid::new("name_invalid", message));
        }
        Ok(Commands { name: name.to_owned(), store, command: PhantomData })
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the store.
    pub fn store(&self) -> &T {
        &self.store
    }

    /// Accepts a command: it is durable when this returns, and handled once later.
    ///
    /// The same id again is the same command: nothing is appended, and the outcome is the first
    /// one's. With another command it is the error `command_id_reused`.
    pub async fn accept(
        &self,
        issued: CommandContext,
        command: &C,
    ) -> Result<Accepted, AcceptError> {
        let id = issued.id_or_new();
        let issued = issued.bound_to(command).map_err(FoldError::from)?;
        let unencodable = |error: serde_json::Error| Unencodable { message: error.to_string() };
        let data = serde_json::to_vec(command).map_err(unencodable).map_err(FoldError::from)?;
        let mut event = NewEvent::json(ACCEPTED, data).id(id);
        event.metadata = issued.to_bytes()?;
        event.correlation.clone_from(&issued.correlation);
        event.causation.clone_from(&issued.causation);
        let mut append = Append::new();
        if issued.id.is_some() {
            event = event.tag(ACCEPTED_TAG, id.to_string());
            append = append.none_after(accepted(id), Cursor::START);
        }
        let append = append.event(self.stream("sent", &command.key()), event);
        match self.store.append(append).await {
            Ok(Appended { cursor, repeated, .. }) => Ok(Accepted { id, cursor, repeated }),
            Err(AppendError::Overlap(_) | AppendError::Conflict(Conflict::Query { .. })) => {
                Ok(self.accepted_before(&issued, id).await?)
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Returns the first answer to a command that was accepted before, if it is the same.
    async fn accepted_before(
        &self,
        issued: &CommandContext,
        id: Uuid,
    ) -> Result<Accepted, FoldError> {
        let sent = Query::category(format!("{}.sent", self.name)).and(accepted(id));
        let page = self.store.read(Read::forward(sent).limit(1)).await?;
        let first = page.events.first().ok_or(FoldError::IdReused { id })?;
        check_command(issued, id, first)?;
        Ok(Accepted { id, cursor: page.cursor, repeated: true })
    }

    /// Accepts a command and waits for its outcome. Requires a runner in this or another process.
    pub async fn execute(
        &self,
        issued: CommandContext,
        command: &C,
    ) -> Result<OutcomeOf<C>, AcceptError> {
        let accepted = self.accept(issued, command).await?;
        Ok(self.outcome(accepted.id).await?)
    }

    /// Waits for the outcome of a command. To limit the time, drop the future.
    pub async fn outcome(&self, id: Uuid) -> Result<OutcomeOf<C>, FoldError> {
        let mut outcomes = self.store.subscribe(Subscribe::to(self.outcome_query(id))).await?;
        loop {
            if let Delivery::Event(stored, _) = outcomes.next().await?
                && let Some(fact) = decode::<OutcomeFact>(&stored)?
            {
                return self.read_outcome(id, fact).await;
            }
        }
    }

    /// Returns the outcome of a command, or `None` if it is not handled yet.
    pub async fn outcome_now(&self, id: Uuid) -> Result<Option<OutcomeOf<C>>, FoldError> {
        let page = self.store.read(Read::forward(self.outcome_query(id)).limit(1)).await?;
        let Some(stored) = page.events.first() else { return Ok(None) };
        match decode::<OutcomeFact>(stored)? {
            Some(fact) => self.read_outcome(id, fact).await.map(Some),
            None => Ok(None),
        }
    }

    /// Returns the query of all outcomes (`CommandDone` and so on), for subscriptions.
    pub fn outcomes(&self) -> Query {
        Query::category(format!("{}.done", self.name))
    }

    fn outcome_query(&self, id: Uuid) -> Query {
        handled(id).and(self.outcomes())
    }

    async fn read_outcome(&self, id: Uuid, fact: OutcomeFact) -> Result<OutcomeOf<C>, FoldError> {
        Ok(match fact {
            OutcomeFact::Done { .. } => {
                let issued = CommandContext::with_id(id);
                Outcome::Done(Decider::new(&self.store).first_answer(&issued, id).await?.events)
            }
            OutcomeFact::Refused { error, .. } => match serde_json::from_value(error) {
                Ok(refused) => Outcome::Refused(refused),
                Err(error) => Outcome::Failed {
                    code: "refusal_undecodable".to_owned(),
                    message: format!("the refusal is not of this program's type: {error}"),
                },
            },
            OutcomeFact::Expired { .. } => Outcome::Expired,
            OutcomeFact::Failed { code, message, .. } => Outcome::Failed { code, message },
        })
    }

    /// Returns one of the command stream's streams. The kinds are equally long, so if the name for
    /// `sent` is within the limit, the others are too.
    fn stream(&self, kind: &str, key: &str) -> String {
        format!("{}.{kind}-{key}", self.name)
    }
}

impl From<ReadError> for AcceptError {
    fn from(error: ReadError) -> Self {
        AcceptError(error.into())
    }
}

impl From<AppendError> for AcceptError {
    fn from(error: AppendError) -> Self {
        AcceptError(error.into())
    }
}
