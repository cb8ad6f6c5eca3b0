//! The handlers that decide the commands of a command stream.

use std::future::Future;

use leftfold_api::EventStore;

use crate::command::Command;
use crate::entity::{Entities, EntityReads};
use crate::execute::{CommandContext, Decider, ExecuteError, Executed, OutcomeEvents};
use crate::state::State;

/// Decides the commands of a command stream. A [`Decider`] decides any command. [`Entities`] decide
/// commands that read one stream or one query, with the state in memory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't handle the command `{C}`",
    label = "does not decide it",
    note = "a `Decider` decides any command; `Entities<S, _>` those that read `StreamState<S>` or \
            `QueryState<S>` and decide the events of `S`"
)]
pub trait Handle<C: Command>: Send + Sync {
    /// Decides a command and appends its outcome with its events.
    #[doc(hidden)]
    fn handle(
        &self,
        issued: CommandContext,
        command: C,
        outcome: OutcomeEvents<C>,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send;
}

impl<C: Command, T: EventStore> Handle<C> for Decider<T> {
    async fn handle(
        &self,
        issued: CommandContext,
        command: C,
        outcome: OutcomeEvents<C>,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        self.execute_with(issued, command, Some(outcome)).await
    }
}

impl<S, C, T> Handle<C> for Entities<S, T>
where
    S: State,
    C: Command<Event = S::Event, Reads: EntityReads<S>> + 'static,
    T: EventStore + Clone + 'static,
{
    async fn handle(
        &self,
        issued: CommandContext,
        command: C,
        outcome: OutcomeEvents<C>,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        self.send(issued, command, Some(outcome)).await
    }
}
