//! Messages between entities: an entity tells another something, once, and in order.
//!
//! A message is an event of the sender, in the sender's stream and append, with a tag that names the
//! stream of the receiver ([`to`]). A courier is a reactor over such events: it makes a command of each
//! message and decides it on the receiver's state; the receiver's events and the courier's progress are
//! one append. So a message is delivered once, messages of one sender in their order, and a replay of
//! either entity sends nothing again, because it folds facts and asks nobody to decide.
//!
//! What the receiver refuses is parked with the reason, and the sender's later messages wait: a
//! receiver that can say no should say it with an event.

use std::fmt::Display;
use std::sync::Arc;

use leftfold_api::{EventStore, NewEvent, Query, Recorded};

use crate::command::Command;
use crate::reactor::{Cause, Handler, Reactor, Setback};

/// The tag that names the receiver.
pub const TO: &str = "to";

/// An event, addressed to a stream.
pub fn to(receiver: &str, event: NewEvent) -> NewEvent {
    event.tag(TO, receiver)
}

/// Whom an event is addressed to.
pub fn receiver(event: &Recorded) -> Option<&str> {
    event.tags().find(|tag| tag.0 == TO).map(|tag| tag.1)
}

/// Delivers the messages that a query yields: makes a command of each (none for those that are not
/// addressed to anybody, or mean nothing), given the event and the receiver. Run it as any reactor.
pub fn courier<S, C, M>(
    name: impl Into<String>,
    messages: Query,
    store: Arc<S>,
    command: M,
) -> Reactor<S, impl Handler>
where
    S: EventStore<Subscription: 'static> + 'static,
    C: Command<Error: Display> + Send + Sync,
    M: Fn(&Recorded, &str) -> Option<C> + Send + Sync + 'static,
{
    let (of_handler, command) = (store.clone(), Arc::new(command));
    let deliver = move |cause: Cause| {
        let (store, command) = (of_handler.clone(), command.clone());
        async move {
            let made = receiver(&cause.event).and_then(|to| command(&cause.event, to));
            let Some(made) = made else { return Ok(crate::reactor::Results::none()) };
            let decided = cause.decide(&*store, made).await?;
            decided.map_err(|refused| Setback::park(format!("refused: {refused}")))
        }
    };
    Reactor::new(name, messages, store, deliver)
}
