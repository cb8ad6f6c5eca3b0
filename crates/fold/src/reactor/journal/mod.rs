//! What a reactor has done, as facts in a stream of its own.
//!
//! Each append of a reactor ends with one fact that says what has changed: how far everything is
//! finished, what is finished beyond, and which lanes are held up and why. The state is a fold over
//! these facts. Every so often a fact tells all of it, so that loading need not go further back.
//!
//! The facts are appended at the version that the reactor knows: of two that run under the same name
//! the older finds another's fact there, and stops.

mod fact;
mod load;
mod state;

pub(crate) use fact::{Head, Held, Low, Moved, State};
pub(crate) use load::load;
pub(crate) use state::Journal;

/// The category of the journals' streams.
pub(crate) const JOURNAL: &str = "leftfold.reactor";
/// The category of the streams that hold what people ask of a reactor.
pub(crate) const CONTROL: &str = "leftfold.control";
/// The category of the streams that tell what was parked.
pub(crate) const PARKED: &str = "leftfold.parked";

/// The type of a journal's facts.
pub(crate) const MOVED: &str = "leftfold.ReactorMoved";

/// A reactor's stream of a category.
pub(crate) fn stream_of(category: &str, reactor: &str) -> String {
    format!("{category}-{reactor}")
}
