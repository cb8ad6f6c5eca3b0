//! Command streams: a command is a fact before it is handled.
//!
//! [`Commands::accept`] writes the command and answers as soon as that is durable; a runner
//! ([`Commands::run`]) handles what was accepted, one after the other for each key, different keys side
//! by side. What comes of a command is a fact too, refusals included, written in the same append as the
//! command's events, on condition that nothing came of it yet. So each command id is handled once,
//! whatever is sent twice, wherever the process ends, and however often the runner starts over.
//!
//! For a command stream `payments` these streams are written, with the key behind the dash:
//!
//! | stream | events |
//! |---|---|
//! | `payments.sent-<key>` | `CommandAccepted`, the command |
//! | `payments.done-<key>` | `CommandDone`, `CommandRefused`, `CommandExpired`, `CommandFailed` |
//! | `payments.wait-<key>` | `CommandStashed`, `CommandUnstashed` |
//!
//! # Stash
//!
//! A command whose state [does not allow it yet](crate::Command::waits) is put aside: that is a fact,
//! so it survives a restart. Before any later command of its key, and whenever something comes that it
//! reads, it is tried again, in the order of acceptance. It ends with its outcome, or as expired when
//! its time is over. At most [`STASH`] commands of a key are put aside; further ones fail.
//!
//! # Data flow
//!
//! A subscription to `payments.sent` from a checkpoint feeds a lane for each key; a lane does one step
//! at a time: what is stashed, then the next command, then again what is stashed. The checkpoint
//! follows the last command before which all are handled or stashed, every [`CHECKPOINT_EVERY`]
//! commands; what lies behind it is looked at again after a restart, and recognised.

mod facts;
mod handle;
mod lane;
mod progress;
mod run;
mod step;

use std::marker::PhantomData;

use leftfold_api::{
    Append, AppendError, Coded, Cursor, Delivery, EventStore, Invalid, NewEvent, Query, Read,
    ReadError, Subscribe, Subscription,
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
use crate::execute::{Decider, Done, FoldError, Issued, handled};
use crate::reads::Reads;
use facts::OutcomeFact;

/// The event type of an accepted command.
pub const ACCEPTED: &str = "CommandAccepted";

/// A command that can be written down: serde writes and reads it and its refusal.
pub trait Recordable:
    Command<Error: Serialize + DeserializeOwned> + Serialize + DeserializeOwned + Clone + 'static
{
    /// What it is kept in order by: commands of one key are handled one after the other. The name of
    /// the first stream that it reads (or the text of the query), unless said otherwise.
    fn key(&self) -> String {
        let source = self.reads().sources().into_iter().next();
        source.map_or_else(
            || "all".to_owned(),
            |source| source.stream.unwrap_or_else(|| source.query.to_string()),
        )
    }
}

/// A command stream: commands of one type, accepted here and handled by a [runner](Commands::run).
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

/// A command that is durable, and will be handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Its id: what its outcome is asked by.
    pub id: Uuid,
    /// After it.
    pub cursor: Cursor,
    /// Whether it had been accepted before.
    pub repeated: bool,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome<E, R> {
    /// Its events.
    Done(Vec<Done<E>>),
    /// The decision was no.
    Refused(R),
    /// The state did not allow it in time.
    Expired,
    /// It can't be handled: it can't be read, or what it reads or writes can't.
    Failed {
        /// A stable code.
        code: String,
        /// What is wrong.
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

/// An outcome with the types of a command.
pub type OutcomeOf<C> = Outcome<<C as Command>::Event, <C as Command>::Error>;

impl<C: Recordable, T: EventStore + Clone + 'static> Commands<C, T> {
    /// The command stream of a name. The name has no dash, since what follows one is the key.
    pub fn new(name: &str, store: T) -> Result<Self, Invalid> {
        if name.is_empty() || name.contains('-') {
            let message = format!(
                "{name:?} can't be the name of a command stream: it is empty or has a dash, and \
                 what follows a dash is the key"
            );
            return Err(Invalid { code: "name_invalid", message });
        }
        Ok(Commands { name: name.to_owned(), store, command: PhantomData })
    }

    /// The store.
    pub fn store(&self) -> &T {
        &self.store
    }

    /// Takes a command down. It is durable when this answers; it is handled later, once.
    ///
    /// The same id again is the same command: nothing is written, and the outcome is that of the
    /// first.
    pub async fn accept(&self, issued: Issued, command: &C) -> Result<Accepted, AcceptError> {
        let id = issued.id_or_new();
        let unencodable = |error: serde_json::Error| Unencodable { message: error.to_string() };
        let data = serde_json::to_vec(command).map_err(unencodable).map_err(FoldError::from)?;
        let mut event = NewEvent::json(ACCEPTED, data).id(id);
        event.correlation = issued.correlation;
        event.causation = issued.causation;
        let append = Append::new().event(self.stream("sent", &command.key()), event);
        let appended = self.store.append(append).await.map_err(FoldError::from)?;
        Ok(Accepted { id, cursor: appended.cursor, repeated: appended.repeated })
    }

    /// Takes a command down and waits until it is handled. Needs a runner, here or in another process.
    pub async fn execute(&self, issued: Issued, command: &C) -> Result<OutcomeOf<C>, AcceptError> {
        let accepted = self.accept(issued, command).await?;
        Ok(self.outcome(accepted.id).await?)
    }

    /// What came of a command; waits for it. For a limit of time, drop the future then.
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

    /// What came of a command, if it was handled already.
    pub async fn outcome_now(&self, id: Uuid) -> Result<Option<OutcomeOf<C>>, FoldError> {
        let page = self.store.read(Read::forward(self.outcome_query(id)).limit(1)).await?;
        let Some(stored) = page.events.first() else { return Ok(None) };
        match decode::<OutcomeFact>(stored)? {
            Some(fact) => self.read_outcome(id, fact).await.map(Some),
            None => Ok(None),
        }
    }

    /// What yields all outcomes, for a subscription: `CommandDone` and so on.
    pub fn outcomes(&self) -> Query {
        Query::category(format!("{}.done", self.name))
    }

    fn outcome_query(&self, id: Uuid) -> Query {
        handled(id).and(self.outcomes())
    }

    async fn read_outcome(&self, id: Uuid, fact: OutcomeFact) -> Result<OutcomeOf<C>, FoldError> {
        Ok(match fact {
            OutcomeFact::Done { .. } => {
                Outcome::Done(Decider::new(&self.store).first_answer(id).await?.events)
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

    /// One of its streams. Their names are equally long, so a key that can be accepted can be
    /// answered.
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
