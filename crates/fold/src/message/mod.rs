//! Messages between entities: delivered exactly once, and in order.
//!
//! A message is an event in the sender's stream, in the same append as its other events, with a tag
//! that names the receiver's stream ([`to`]). A courier is a reactor over such events. It makes a
//! command of each message and decides it on the receiver's state. The receiver's events and the
//! courier's progress are one append. So a message is delivered once, and the messages of one
//! sender in order. Replaying an entity sends nothing, because it only folds events and decides no
//! commands.
//!
//! A message that the receiver refuses is parked with the reason, and the sender's later messages
//! wait. A receiver that can refuse should answer with an event instead.

use std::sync::Arc;

use leftfold_api::{EventStore, NewEvent, Query, Recorded};

use crate::command::Command;
use crate::react::{Cause, Handler, HandlerError, Reactor};

/// The key of the tag that names the receiver.
pub const TO: &str = "to";

/// Addresses an event to a stream.
pub fn to(receiver: &str, event: NewEvent) -> NewEvent {
    event.tag(TO, receiver)
}

/// Returns the stream that an event is addressed to.
pub fn receiver(event: &Recorded) -> Option<&str> {
    event.tags().find(|tag| tag.0 == TO).map(|tag| tag.1)
}

/// Makes a reactor that delivers the messages of a query. `command` makes a command of an event and
/// its receiver, or returns `None` to skip it. Events without a receiver are skipped. Run it like
/// any reactor.
pub fn courier<S, C, M>(
    name: impl Into<String>,
    messages: impl Into<Query>,
    store: Arc<S>,
    command: M,
) -> Reactor<S, impl Handler>
where
    S: EventStore + 'static,
    C: Command,
    M: Fn(&Recorded, &str) -> Option<C> + Send + Sync + 'static,
{
    let (of_handler, command) = (store.clone(), Arc::new(command));
    let deliver = move |cause: Cause| {
        let (store, command) = (of_handler.clone(), command.clone());
        async move {
            let made = receiver(&cause.event).and_then(|to| command(&cause.event, to));
            let Some(made) = made else { return Ok(crate::react::Reaction::none()) };
            let decided = cause.decide(&*store, made).await?;
            decided.map_err(|refusal| HandlerError::refused(&refusal))
        }
    };
    Reactor::new(name, messages, store, deliver)
}
