//! Reactors: a query, and what is done about each event that it yields.
//!
//! A reactor subscribes from where it was, hands each event to its handler, and appends what the
//! handler gives together with its own progress. Events of one lane (a stream, unless said
//! otherwise) are handled one after the other, in the order of the log; lanes go on side by side.
//!
//! ```
//! # use leftfold::reactor::{Cause, Reactor, Results, Setback};
//! # use leftfold::{EventStore, NewEvent, Query};
//! # use std::sync::Arc;
//! # fn show<S: EventStore<Subscription: 'static> + 'static>(store: Arc<S>) {
//! let reactor = Reactor::new("validate", Query::event_type("ProductListed"), store, |cause: Cause| {
//!     async move {
//!         let verdict = NewEvent::json("ProductValidated", r#"{"ok":true}"#);
//!         Ok::<_, Setback>(Results::none().event(cause.event.stream(), verdict))
//!     }
//! });
//! let running = reactor.run(); // a future: spawn it, or poll it
//! # drop(running);
//! # }
//! ```
//!
//! # What happens once, and what may happen again
//!
//! Results and the progress past their cause are one append: in the store everything happens exactly
//! once, also when the process dies at any point, when the checkpoint is lost, or when two processes
//! run the same reactor (the older one stops). Should the reactor's own journal be deleted as well,
//! every event is handled again, and results that are in the store already are recognised by their
//! ids, which are derived from their cause.
//!
//! Effects outside the store, such as mails, are declared:
//!
//! - [`Guarantee::AtLeastOnce`]: the effect, then the progress. After a crash those effects are
//!   repeated whose completion was not durable yet, and no others: at most
//!   [`in_flight`](ReactorLimits::in_flight) that were at work, and those that had ended and whose
//!   append was on its way. How far the slowest of them lags does not matter, since what is finished
//!   beyond it is noted. Each call for the same event has the same [`Cause::key`].
//! - [`Guarantee::AtMostOnce`]: that it begins is durable before it begins. What was cut short is
//!   parked, not repeated and not dropped.
//!
//! # What fails
//!
//! A failed attempt is repeated after an exponential backoff with full jitter ([`Retry`]); a missing
//! dependency is waited for ([`Setback::wait_for`]); what fails for good is parked with its reason.
//! Meanwhile the lane waits, and all others flow on. Each of these is a fact in the store: attempts,
//! waits and deadlines survive a restart. Parked events are listed, replayed and skipped with
//! [`Parked`]; each parking is also an event of type `leftfold.Parked`, so that somebody can
//! subscribe to it.
//!
//! # Its streams
//!
//! `leftfold.reactor-NAME` is its journal, `leftfold.control-NAME` holds what people asked of it,
//! `leftfold.parked-NAME` tells what was parked. The checkpoint `reactor/NAME` says how far
//! everything is finished. The first two, and the store's own streams, are never delivered to reactors.

mod cause;
mod control;
mod core;
mod decide;
mod engine;
mod error;
mod handler;
mod journal;
mod lane;
mod options;
mod results;
mod run;
mod setback;
mod watch;
mod window;

pub use self::core::Counts;
pub use cause::Cause;
pub(crate) use cause::is_result_of;
pub use control::{HeldEvent, Parked, Why};
pub use error::ReactorError;
pub use handler::Handler;
pub use options::{Guarantee, Lanes, ReactorLimits, Retry};
pub use results::Results;
pub use run::{Progress, Reactor};
pub use setback::Setback;

use journal::{CONTROL, JOURNAL};
