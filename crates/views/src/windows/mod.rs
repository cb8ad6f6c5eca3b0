//! Windows of event time that close, for views with `@window`.
//!
//! The clock is that of the events: the greatest event time so far. With keys, each key has its own clock, and with an
//! idle timeout none stays further behind the view's than that. A window is final when the clock has gone beyond its
//! end by the grace; that is decided before an event is applied. What comes for a final window is noted in `_late`. So
//! which events are late is a function of the events in their order, whatever the batches are.
//!
//! All state is in tables beside those of the view, in the transaction of their rows. During a batch the clocks are in
//! memory.

mod batch;
mod clocks;
pub(crate) mod late;
mod sessions;
mod tables;

pub(crate) use batch::{Admission, OpenWindows, WindowBatch, WindowError};
pub(crate) use tables::{add_to, tables};

use leftfold_api::Timestamp;

/// Returns the time that lies a duration before another.
fn before(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp(time.micros().saturating_sub(micros))
}
