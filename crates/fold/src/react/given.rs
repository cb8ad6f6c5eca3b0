use std::sync::Arc;

use leftfold_api::{Append, Timestamp};
use leftfold_io::Clock;
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Options};

use super::{Cause, Handler, HandlerError, Reaction, Reactor};
use crate::emit::Emit;
use crate::event::Event;
use crate::given::must;

/// Returns a store in memory with these events, for tests of reactors (feature `testing`).
///
/// ```
/// use std::sync::Arc;
///
/// use leftfold::react::{self, Cause, Handler, HandlerError, Reaction, Reactor};
/// use leftfold::{Event, EventStore, Query};
///
/// #[derive(Debug, Clone, PartialEq, Event)]
/// enum Shop { Registered, Paid, Thanked }
///
/// /// Thanks the customers that are registered.
/// fn thanks<S: EventStore + 'static>(store: Arc<S>) -> Reactor<S, impl Handler> {
///     let customers = store.clone();
///     let thank = move |cause: Cause| {
///         let store = customers.clone();
///         async move {
///             match store.stream("customer-ann").await? {
///                 Some(_) => Ok(Reaction::none().emit(Shop::Thanked.to("customer-ann"))),
///                 None => Err(HandlerError::park("no such customer")),
///             }
///         }
///     };
///     Reactor::new("thanks", Query::event_type("Paid"), store, thank)
/// }
///
/// let paid = || Cause::of(Shop::Paid.to("order-1"));
/// let reaction = react::given([Shop::Registered.to("customer-ann")]).when(thanks, paid());
/// let thanked = Reaction::none().emit(Shop::Thanked.to("customer-ann"));
/// assert_eq!(pollster::block_on(reaction)?, thanked);
/// let stranger = react::given([Shop::Registered.to("customer-bob")]);
/// let reaction = pollster::block_on(stranger.when(thanks, paid()));
/// assert_eq!(reaction.unwrap_err().reason(), "no such customer");
/// # Ok::<(), leftfold::react::HandlerError>(())
/// ```
///
/// # Panics
/// If an event can't be appended.
pub fn given<E: Event>(events: impl IntoIterator<Item = Emit<E>>) -> GivenStore {
    let disk = Arc::new(FakeDisk::new());
    let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(0)));
    let store = must(Embedded::open_on(disk, clock.clone(), random, Options::default()));
    GivenStore { store: Arc::new(store), clock }.and(events)
}

/// A store with the events before a call of a handler; see [`given`].
pub struct GivenStore {
    store: Arc<Embedded>,
    clock: Arc<ManualClock>,
}

impl GivenStore {
    /// Adds events after these, perhaps of another enum.
    ///
    /// # Panics
    /// If an event can't be appended.
    pub fn and<E: Event>(self, events: impl IntoIterator<Item = Emit<E>>) -> Self {
        for emit in events {
            let (stream, event) = must(emit.to_new());
            must(self.store.blocking().append(Append::new().event(stream, event)));
        }
        self
    }

    /// Sets the commit time of the events that are added from here on.
    pub fn at(self, now: Timestamp) -> Self {
        self.clock.advance(now.micros() - self.clock.now_micros());
        self
    }

    /// Returns the store.
    pub fn store(&self) -> Arc<Embedded> {
        self.store.clone()
    }

    /// Makes the reactor on the store, and returns how it reacts to an event. Its commands are
    /// decided, and nothing is written.
    pub async fn when<H: Handler>(
        self,
        reactor: impl FnOnce(Arc<Embedded>) -> Reactor<Embedded, H>,
        cause: Cause,
    ) -> Result<Reaction, HandlerError> {
        reactor(self.store).handle(cause).await
    }
}
