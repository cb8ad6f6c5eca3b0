use leftfold_api::{Recorded, Timestamp};
use uuid::Uuid;

use crate::execute::CommandContext;

/// The namespace of all ids that are derived from causes.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c65_6674_666f_6c64_8000_7265_6163_746f);

/// The event that a handler is called for, and the details of the call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cause {
    /// The event.
    pub event: Recorded,
    /// The number of this call of the handler for the event, from 1. Calls that ended in waiting
    /// for a dependency do not count.
    pub attempt: u32,
    /// A key that is the same for every attempt, also after a restart and a lost checkpoint. It
    /// derives from the reactor's name and the event's stream, version and id. Use it as the
    /// idempotency key of HTTP requests.
    pub key: Uuid,
    /// The current time, by the reactor's clock.
    pub now: Timestamp,
}

impl Cause {
    pub(crate) fn new(reactor: &str, event: Recorded, attempt: u32, now: Timestamp) -> Self {
        Cause { key: key_of(reactor, &event), event, attempt, now }
    }

    /// Returns the context of what follows from the event, such as a command that the handler
    /// executes: its correlation id, its id as the causation id, and its trace context
    /// (`traceparent`, `tracestate`). Give it an id to have it carried out once, for all attempts:
    ///
    /// ```
    /// # use leftfold::react::Cause;
    /// # use leftfold::CommandContext;
    /// # fn context(cause: &Cause) -> CommandContext {
    /// cause.context().id(cause.id(0))
    /// # }
    /// ```
    pub fn context(&self) -> CommandContext {
        CommandContext::following(&self.event)
    }

    /// Returns an id that is the same for every attempt: for the n-th item that the handler makes.
    /// Events in [`Reaction`](super::Reaction) get their ids automatically; use this for commands,
    /// and for ids that leave the store.
    pub fn id(&self, number: u32) -> Uuid {
        derived(self.key, number)
    }
}

/// Returns the key of an event for a reactor.
pub(crate) fn key_of(reactor: &str, event: &Recorded) -> Uuid {
    // The lengths keep apart names whose concatenations are equal.
    let (stream, version, id) = (event.stream(), event.version(), event.id());
    let (r, s) = (reactor.len(), stream.len());
    Uuid::new_v5(&NAMESPACE, format!("{r}:{reactor}:{s}:{stream}:{version}:{id}").as_bytes())
}

/// Returns the n-th id that is derived from a key.
pub(crate) fn derived(key: Uuid, number: u32) -> Uuid {
    Uuid::new_v5(&key, &number.to_le_bytes())
}

/// The number of results per cause that are recognised by their ids.
const MOST_RESULTS: u32 = 100;

/// Returns whether a reactor made an event because of another. Ids that the handler set are not
/// recognised.
pub(crate) fn is_result_of(reactor: &str, cause: &Recorded, event: &Recorded) -> bool {
    // Derived ids have version 5.
    event.id().get_version_num() == 5 && is_derived(key_of(reactor, cause), event.id())
}

/// Returns whether an id is derived from a key.
pub(crate) fn is_derived(key: Uuid, id: Uuid) -> bool {
    (0..MOST_RESULTS).any(|number| derived(key, number) == id)
}
