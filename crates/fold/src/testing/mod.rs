//! Your domain on a simulator: one number decides a whole run.
//!
//! A [`Domain`] says what runs (reactors, timers, views, command streams) and what its users do. The
//! simulator runs all of it on one thread, on a store whose disk, clock and randomness are fakes. At
//! every step the seed chooses: one of the running things goes on a little, the store writes what waits,
//! a user acts, the clock jumps (backwards too), a delivery is held up, an answer is lost although the
//! append was written, or the power goes: whatever was not synced is forgotten, kept or torn, the
//! store is opened again, and all that ran starts over. Then all comes to rest, and the domain checks
//! that what it promises holds.
//!
//! ```
//! use leftfold::reactor::{Cause, Reactor, Results, Setback};
//! use leftfold::testing::{Domain, Running, Simulation, World, running};
//! use leftfold::{Append, EventStore, NewEvent, Query};
//!
//! /// Whatever is asked is answered once.
//! struct Answers;
//!
//! impl Domain for Answers {
//!     fn runs(&self, world: &World) -> Vec<Running> {
//!         let answer = |cause: Cause| async move {
//!             let answer = NewEvent::json("Answered", cause.event.data());
//!             Ok::<_, Setback>(Results::none().event(cause.event.stream(), answer))
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
//! A failure says its seed; `LEFTFOLD_SEED=17` runs that one alone, `LEFTFOLD_SEEDS=100000` runs so many.

mod run;
mod simulation;
mod store;
mod world;

pub use simulation::{Failed, Simulation, Tally};
pub use store::{SimStore, SimSubscription};
pub use world::{Domain, Running, World, running};
