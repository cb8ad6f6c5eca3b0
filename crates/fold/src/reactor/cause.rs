use leftfold_api::{Recorded, Timestamp};
use uuid::Uuid;

/// The root of all ids that are derived from causes.
const NAMESPACE: Uuid = Uuid::from_u128(0x6c65_6674_666f_6c64_8000_7265_6163_746f);

/// What a handler is called for: an event, and what never changes about it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cause {
    /// The event.
    pub event: Recorded,
    /// How often its handler has been called for it, this call included: from 1. Calls that ended
    /// with waiting for a dependency are not counted.
    pub attempt: u32,
    /// The same for every attempt, also after a restart and a lost checkpoint: made of the
    /// reactor's name and the event's stream, version and id. What an HTTP target is given as the
    /// idempotency key.
    pub key: Uuid,
    /// The time now, by the reactor's clock.
    pub now: Timestamp,
}

impl Cause {
    pub(crate) fn new(reactor: &str, event: Recorded, attempt: u32, now: Timestamp) -> Self {
        Cause { key: key_of(reactor, &event), event, attempt, now }
    }

    /// An id that is the same for every attempt: for the n-th thing that the handler makes. Events
    /// in [`Results`](super::Results) get theirs by themselves; use this for commands, and for ids
    /// that leave the store.
    pub fn id(&self, number: u32) -> Uuid {
        derived(self.key, number)
    }
}

/// The key of an event for a reactor.
pub(crate) fn key_of(reactor: &str, event: &Recorded) -> Uuid {
    // Lengths keep names apart that would run into each other.
    let (stream, version, id) = (event.stream(), event.version(), event.id());
    let (r, s) = (reactor.len(), stream.len());
    Uuid::new_v5(&NAMESPACE, format!("{r}:{reactor}:{s}:{stream}:{version}:{id}").as_bytes())
}

/// The n-th id that is derived from a key.
pub(crate) fn derived(key: Uuid, number: u32) -> Uuid {
    Uuid::new_v5(&key, &number.to_le_bytes())
}

/// Results of one cause that are told by their ids.
const MOST_RESULTS: u32 = 100;

/// Whether an event is what a reactor made because of another. Ids that its handler gave are not told.
pub(crate) fn is_result_of(reactor: &str, cause: &Recorded, event: &Recorded) -> bool {
    // Derived ids have version 5.
    event.id().get_version_num() == 5 && is_derived(key_of(reactor, cause), event.id())
}

/// Whether an id is one that is derived from a key.
pub(crate) fn is_derived(key: Uuid, id: Uuid) -> bool {
    (0..MOST_RESULTS).any(|number| derived(key, number) == id)
}
