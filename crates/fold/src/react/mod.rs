//! Reactors: a query, and a handler for each of its events.
//!
//! A reactor subscribes from its last progress, hands each event to its handler, and appends the
//! handler's results together with its own progress. Events of one lane (by default a stream) are
//! handled one after the other, in the order of the log. Different lanes run concurrently.
//!
//! ```
//! # use leftfold::react::{Cause, Reactor, Reaction, HandlerError};
//! # use leftfold::{EventStore, NewEvent, Query};
//! # use std::sync::Arc;
//! # fn show<S: EventStore + 'static>(store: Arc<S>) {
//! let reactor = Reactor::new("validate", Query::event_type("ProductListed"), store, |cause: Cause| {
//!     async move {
//!         let verdict = NewEvent::json("ProductValidated", r#"{"ok":true}"#);
//!         Ok::<_, HandlerError>(Reaction::none().event(cause.event.stream(), verdict))
//!     }
//! });
//! let running = reactor.run(); // a future: spawn it, or poll it
//! # drop(running);
//! # }
//! ```
//!
//! # Guarantees
//!
//! Results and the progress past their cause are one append. So in the store everything happens
//! exactly once: also after a crash at any point, a lost checkpoint, or when two processes run the
//! same reactor (the older one stops). If the reactor's own journal is deleted too, every event is
//! handled again. Then results that are already in the store are recognised by their ids, which
//! derive from their cause.
//!
//! For effects outside the store, such as mails, declare a guarantee:
//!
//! - [`Guarantee::AtLeastOnce`]: the effect, then the progress. A crash repeats only effects whose
//!   completion was not durable yet: at most [`in_flight`](ReactorLimits::in_flight) running ones,
//!   and those that had ended and whose append was pending. A slow event does not add to these,
//!   because the progress beyond it is recorded too. Each call for the same event has the same
//!   [`Cause::key`].
//! - [`Guarantee::AtMostOnce`]: the start of the effect is durable before it begins. An interrupted
//!   effect is parked: neither repeated nor dropped.
//!
//! # Failures
//!
//! A failed attempt is retried with exponential back-off and full jitter ([`Retry`]). A reactor can
//! wait for a missing dependency ([`HandlerError::wait_for`]). An event that fails for good is parked
//! with its reason. Meanwhile its lane waits, and all others continue. Attempts, waits and
//! deadlines are facts in the store, so they survive a restart. List, replay and skip parked events
//! with [`Parked`]. Each parking is also an event of type `leftfold.Parked`, to which operators can
//! subscribe.
//!
//! # Decisions
//!
//! A handler decides commands: [`Cause::decide`] decides one, [`Reaction::decide`] decides the next on top of
//! it, and [`Reaction::command`] leaves it to the reactor. Their events, the reaction's own and the
//! progress are one append, on condition that nothing that was read has changed.
//!
//! # Operation
//!
//! [`Reactor::time_limit`] limits each call of the handler, and [`Reactor::status`] shows what a running
//! reactor does. Each call has a `tracing` span `react` with the reactor, the event and the attempt.
//!
//! # Tests
//!
//! A [`Cause`] can be made of an event, [`Reactor::handle`] calls the handler once, and a [`Reaction`]
//! can be compared and looked at. With the feature `testing`, `react::given` makes a store with the
//! events before the call.
//!
//! # Streams
//!
//! `leftfold.reactor-NAME` is the journal, `leftfold.control-NAME` has the requests of operators,
//! and `leftfold.parked-NAME` has an event for each parking. The checkpoint `reactor/NAME` is the
//! cursor up to which everything is finished. The first two, and the store's own streams, are never
//! delivered to reactors.

mod across;
mod cause;
mod command;
mod control;
mod core;
mod decide;
mod engine;
mod error;
#[cfg(feature = "testing")]
mod given;
mod handler;
mod handler_error;
mod journal;
mod lane;
mod options;
mod place;
mod reaction;
mod run;
mod spread;
mod status;
mod watch;
mod window;

pub use self::core::Counts;
pub use cause::Cause;
pub(crate) use cause::is_result_of;
pub use control::{HeldEvent, Parked, Why};
pub use error::ReactorError;
#[cfg(feature = "testing")]
pub use given::{GivenStore, given};
pub use handler::Handler;
pub use handler_error::HandlerError;
pub use options::{Guarantee, Lanes, ReactorLimits, Retry};
pub use place::Ownership;
pub use reaction::Reaction;
pub use run::{Progress, Reactor};
pub use status::{ReactorStatus, StatusHandle};

use journal::{CONTROL, JOURNAL};
