//! Commands that a reaction wants decided.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use leftfold_api::{BoxFuture, ErasedStore};

use super::{Cause, HandlerError, Reaction};
use crate::command::Command;

/// What follows from a refusal.
pub(super) type AfterRefusal<C> = Arc<dyn Fn(<C as Command>::Error) -> Reaction + Send + Sync>;

/// A command of a reaction, of any type.
pub(super) trait AnyCommand: Send + Sync + fmt::Debug {
    /// Decides the command on top of a reaction. A refusal that nothing follows from parks.
    fn decide<'a>(
        &'a self,
        reaction: &'a mut Reaction,
        cause: &'a Cause,
        store: &'a dyn ErasedStore,
    ) -> BoxFuture<'a, Result<(), HandlerError>>;

    /// Returns the command.
    fn as_any(&self) -> &dyn Any;

    /// Returns whether the other is an equal command of the same type.
    fn is_equal(&self, other: &dyn AnyCommand) -> bool;
}

/// A command of a reaction.
pub(super) struct PlannedCommand<C: Command> {
    pub(super) command: C,
    pub(super) after_refusal: Option<AfterRefusal<C>>,
}

impl<C: Command + fmt::Debug> fmt::Debug for PlannedCommand<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.command.fmt(f)
    }
}

impl<C: Command + fmt::Debug + PartialEq + 'static> AnyCommand for PlannedCommand<C> {
    fn decide<'a>(
        &'a self,
        reaction: &'a mut Reaction,
        cause: &'a Cause,
        store: &'a dyn ErasedStore,
    ) -> BoxFuture<'a, Result<(), HandlerError>> {
        Box::pin(async move {
            let decided = reaction.decide_command(cause, &store, &self.command).await?;
            match (decided, &self.after_refusal) {
                (Ok(()), _) => Ok(()),
                (Err(refusal), Some(after)) => reaction.add(after(refusal)),
                (Err(refusal), None) => Err(HandlerError::refused(&refusal)),
            }
        })
    }

    fn as_any(&self) -> &dyn Any {
        &self.command
    }

    fn is_equal(&self, other: &dyn AnyCommand) -> bool {
        other.as_any().downcast_ref::<C>().is_some_and(|other| *other == self.command)
    }
}
