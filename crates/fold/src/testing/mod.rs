//! Simulation of a whole domain: one number, the seed, decides a run.
//!
//! A [`Domain`] lists what runs (reactors, timers, views, command streams) and what its users do.
//! The simulator runs all of it on one thread, on a store whose disk, clock and randomness are
//! fakes. At every step the seed chooses one of these:
//!
//! - a task is polled, or a user acts;
//! - the store writes its queue;
//! - the clock jumps, perhaps backwards;
//! - a delivery is delayed, or an answer is lost although the append was written;
//! - the power fails: unsynced writes are lost, kept or torn, the store is opened again, and all
//!   tasks start over.
//!
//! At the end the run comes to rest: the clock moves to each moment that anything waits for, until
//! nothing is written and nothing waits. Then the domain checks its promises.
//!
//! ```
//! use leftfold::react::{Cause, Reactor, Reaction, HandlerError};
//! use leftfold::testing::{Domain, Running, Simulation, World, running};
//! use leftfold::{Append, EventStore, NewEvent, Query};
//!
//! /// Every question is answered once.
//! struct Answers;
//!
//! impl Domain for Answers {
//!     fn runs(&self, world: &World) -> Vec<Running> {
//!         let answer = |cause: Cause| async move {
//!             let answer = NewEvent::json("Answered", cause.event.data());
//!             Ok::<_, HandlerError>(Reaction::none().event(cause.event.stream(), answer))
//!         };
//!         let query = Query::event_type("Asked");
//!         vec![running(world.reactor("answers", query, answer).run())]
//!     }
//!
//!     fn act(&self, world: &World, turn: u64) -> Running {
//!         let store = world.store();
//!         running(async move {
//!             let asked = NewEvent::json("Asked", turn.to_string());
//!             store.append(Append::new().event("talk", asked)).await
//!         })
//!     }
//!
//!     fn check_at_rest(&self, world: &World) -> Result<(), String> {
//!         let [asked, answered] =
//!             ["Asked", "Answered"].map(|kind| world.read(Query::event_type(kind)).len());
//!         if asked == answered { Ok(()) } else { Err(format!("{answered} of {asked}")) }
//!     }
//! }
//!
//! Simulation::of(|| Answers).seeds(20).run()?;
//! # Ok::<(), leftfold::testing::Failed>(())
//! ```
//!
//! A failure names its seed. `LEFTFOLD_SEED=17` runs only that seed; `LEFTFOLD_SEEDS=100000` runs
//! the first 100,000.

mod ambient;
mod run;
mod simulation;
mod store;
mod world;

pub(crate) use ambient::simulated_backoff;
pub use simulation::{Failed, Simulation, Tally};
pub use store::{SimStore, SimSubscription};
pub use world::{Domain, Running, World, running};
