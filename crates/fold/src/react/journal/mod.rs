//! The journal of a reactor: its progress as facts in a stream of its own.
//!
//! Each append of a reactor ends with one fact that records the change: up to where all events are
//! finished, which later ones are finished, and which lanes are held up and why. The state is the
//! fold of these facts. Now and then the facts are a full state, so that a load need not go further
//! back.
//!
//! The facts are appended at the version that the reactor expects. If two processes run the same
//! reactor, the older one finds a fact of the other there, and stops.

mod fact;
mod load;
mod state;

pub(crate) use fact::{HeadEvent, HoldState, JournalFact, LaneState, LowMark};
pub(crate) use load::load;
pub(crate) use state::Journal;

/// The category of the journals' streams.
pub(crate) const JOURNAL: &str = "leftfold.reactor";
/// The category of the streams with operators' requests.
pub(crate) const CONTROL: &str = "leftfold.control";
/// The category of the streams with parked events.
pub(crate) const PARKED: &str = "leftfold.parked";

/// The event type of a journal's facts.
pub(crate) const FACT_TYPE: &str = "leftfold.ReactorMoved";

/// Returns a reactor's stream of a category.
pub(crate) fn stream_of(category: &str, reactor: &str) -> String {
    format!("{category}-{reactor}")
}
