//! The first answers to commands that were handled before.

use leftfold_api::{Cursor, EventStore, Read, Recorded};
use uuid::Uuid;

use super::answer::{Executed, WrittenEvent};
use super::context::CommandContext;
use super::decider::Decider;
use super::digest::stored_digest;
use super::error::FoldError;
use super::load::handled;
use crate::event::{Event, decode};

impl<T: EventStore> Decider<T> {
    /// Returns the first answer to a command that is known to have been handled.
    pub(crate) async fn first_answer<E: Event>(
        &self,
        issued: &CommandContext,
        id: Uuid,
    ) -> Result<Executed<E>, FoldError> {
        match self.handled(issued, id).await? {
            Some(executed) => Ok(executed),
            // Retention hides its events.
            None => {
                let cursor = self.store().head().await?;
                Ok(Executed { events: Vec::new(), cursor, attempts: 0, repeated: true })
            }
        }
    }

    /// Returns the first answer to a command, or `None` if it was not handled.
    ///
    /// # Errors
    /// [`FoldError::IdReused`]: another command with its id was handled.
    pub(crate) async fn handled<E: Event>(
        &self,
        issued: &CommandContext,
        id: Uuid,
    ) -> Result<Option<Executed<E>>, FoldError> {
        let (mut events, mut cursor, mut found) = (Vec::new(), Cursor::START, false);
        loop {
            let page = self.store().read(Read::forward(handled(id)).after(cursor)).await?;
            cursor = page.cursor;
            for stored in &page.events {
                // A later one may be the outcome of another command that was sent with this id in vain.
                if !found {
                    check_command(issued, id, stored)?;
                }
                found = true;
                if let Some(event) = decode::<E>(stored)? {
                    let (position, version) = (stored.position(), stored.version());
                    let stream = stored.stream().to_owned();
                    events.push(WrittenEvent { position, stream, version, event });
                }
            }
            if !page.more {
                break;
            }
        }
        Ok(found.then_some(Executed { events, cursor, attempts: 0, repeated: true }))
    }
}

/// Checks that a stored event is one of this command, and not of another one with its id. Events of
/// earlier releases do not tell.
pub(crate) fn check_command(
    issued: &CommandContext,
    id: Uuid,
    stored: &Recorded,
) -> Result<(), FoldError> {
    let Some(ours) = issued.digest() else { return Ok(()) };
    match stored_digest(stored) {
        Some(theirs) if theirs != ours => Err(FoldError::IdReused { id }),
        _ => Ok(()),
    }
}
