//! The sealed trait behind `StreamState` and `QueryState`.

use crate::reads::Source;
use crate::state::State;

/// Restricts what a command can read to the types of this crate, because the crate relies on how
/// they behave.
pub trait Sealed {}

/// One fold over a stream or a query.
#[diagnostic::on_unimplemented(
    message = "a command can't read `{Self}`",
    label = "not something to read",
    note = "read `StreamState<S>` (one stream) or `QueryState<S>` (a query), where `S` is a `State`"
)]
pub trait One: Send + Sync + Sealed {
    /// The state that its events are folded into.
    type State: State;

    /// Returns the stream or the query that has its events.
    fn source(&self) -> Source;
}
