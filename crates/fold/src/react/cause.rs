use leftfold_api::{NewEvent, Recorded, Timestamp};
use uuid::Uuid;

use super::place::Place;
use crate::emit::Emit;
use crate::event::Event;
use crate::execute::CommandContext;
use crate::given::must;

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
    /// The partition of the event; `None` in a store of one log.
    pub(crate) place: Option<Place>,
}

impl Cause {
    pub(crate) fn new(reactor: &str, event: Recorded, attempt: u32, now: Timestamp) -> Self {
        Cause { key: key_of(reactor, &event), event, attempt, now, place: None }
    }

    /// Makes a cause of an event, for tests of handlers and processes. Its time is 0; see
    /// [`Cause::at`].
    ///
    /// ```
    /// use leftfold::react::Cause;
    /// use leftfold::{Event, Timestamp};
    ///
    /// #[derive(Debug, PartialEq, Event)]
    /// enum Shop { Paid { cents: u64 } }
    ///
    /// let cause = Cause::of(Shop::Paid { cents: 5 }.to("order-1"))
    ///     .at(Timestamp(1_700_000_000_000_000))
    ///     .correlation("order-1");
    /// assert_eq!(cause.event.event_type(), "Paid");
    /// assert_eq!(cause.event.correlation(), Some("order-1"));
    /// ```
    ///
    /// # Panics
    /// If the event can't be encoded.
    pub fn of<E: Event>(emit: Emit<E>) -> Self {
        let (stream, event) = must(emit.to_new());
        Cause::of_new(&stream, event)
    }

    /// Makes a cause of an event of any kind, for tests of handlers; see [`Cause::of`].
    ///
    /// # Panics
    /// If the event can't be stored.
    pub fn of_new(stream: &str, event: NewEvent) -> Self {
        Cause::from_parts(stream, &event, Timestamp(0))
    }

    fn from_parts(stream: &str, event: &NewEvent, now: Timestamp) -> Self {
        let recorded = must(Recorded::from_parts(stream, 0, 1, now, event));
        Cause::new("test", recorded, 1, now)
    }

    /// Sets the time: the current time of the call, and the event's commit time.
    pub fn at(self, now: Timestamp) -> Self {
        self.with(now, |_| {})
    }

    /// Sets the event's correlation id.
    pub fn correlation(self, id: impl Into<String>) -> Self {
        let now = self.now;
        self.with(now, |event| event.correlation = Some(id.into()))
    }

    /// Makes a cause of the same event with a change.
    fn with(self, now: Timestamp, change: impl FnOnce(&mut NewEvent)) -> Self {
        let mut event = new_of(&self.event);
        change(&mut event);
        Cause { attempt: self.attempt, ..Cause::from_parts(self.event.stream(), &event, now) }
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

    /// Returns whether a stream lies in the event's partition.
    pub(crate) fn is_beside(&self, stream: &str) -> bool {
        self.place.is_none_or(|place| place.home(stream) == place.partition)
    }

    /// Returns an id that is the same for every attempt: for the n-th item that the handler makes.
    /// Events in a [`Reaction`](super::Reaction) get their ids automatically; use this for commands,
    /// and for ids that leave the store.
    pub fn id(&self, number: u32) -> Uuid {
        hashed(self.key, number)
    }
}

/// Returns a stored event in the form in which it was appended.
fn new_of(event: &Recorded) -> NewEvent {
    let mut new = NewEvent::new(event.event_type(), event.data());
    new.id = Some(event.id());
    new.event_time = event.event_time_given().then(|| event.event_time());
    new.correlation = event.correlation().map(str::to_owned);
    new.causation = event.causation().map(str::to_owned);
    new.tags = event.tags().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    new.content_type = event.content_type().to_owned();
    new.schema_version = event.schema_version();
    new.metadata = event.metadata();
    new
}

/// Returns the key of an event for a reactor.
pub(crate) fn key_of(reactor: &str, event: &Recorded) -> Uuid {
    // The lengths keep apart names whose concatenations are equal.
    let (stream, version, id) = (event.stream(), event.version(), event.id());
    let (r, s) = (reactor.len(), stream.len());
    Uuid::new_v5(&NAMESPACE, format!("{r}:{reactor}:{s}:{stream}:{version}:{id}").as_bytes())
}

/// The bytes of a derived id that are of its key; the number follows, big-endian.
const KEY_BYTES: usize = 12;

/// Returns the n-th id that is derived from a key: a UUIDv8 of the key's first 12 bytes and the
/// number. So an id tells its key.
pub(crate) fn derived(key: Uuid, number: u32) -> Uuid {
    let mut bytes = key.into_bytes();
    bytes[KEY_BYTES..].copy_from_slice(&number.to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Returns the n-th id that is a hash (version 5) of a key and a number.
fn hashed(key: Uuid, number: u32) -> Uuid {
    Uuid::new_v5(&key, &number.to_le_bytes())
}

/// The number of results per cause that earlier releases could recognise. Their ids were hashes.
const MOST_HASHED: u32 = 100;

/// Returns whether a reactor made an event because of another. Ids that the handler set are not
/// recognised.
pub(crate) fn is_result_of(reactor: &str, cause: &Recorded, event: &Recorded) -> bool {
    // All derived ids have one of these versions.
    matches!(event.id().get_version_num(), 5 | 8) && is_derived(key_of(reactor, cause), event.id())
}

/// Returns whether an id is derived from a key.
pub(crate) fn is_derived(key: Uuid, id: Uuid) -> bool {
    match id.get_version_num() {
        8 => derived(key, 0).as_bytes()[..KEY_BYTES] == id.as_bytes()[..KEY_BYTES],
        5 => (0..MOST_HASHED).any(|number| hashed(key, number) == id),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_recognised_and_so_are_the_hashed_ids_of_earlier_releases() {
        let [key, other] = [1, 2].map(|n: u8| Uuid::new_v5(&NAMESPACE, &[n]));
        for number in [0, 1, 99, 100, 150, 70_000, u32::MAX] {
            let id = derived(key, number);
            assert_eq!((id.get_version_num(), id.get_variant()), (8, uuid::Variant::RFC4122));
            assert!(is_derived(key, id) && !is_derived(other, id));
        }
        assert_ne!(derived(key, 1), derived(key, 2));
        let earlier = hashed(key, 99);
        assert!(is_derived(key, earlier) && !is_derived(other, earlier));
        assert!(!is_derived(key, Uuid::from_u128(7)));
    }
}
