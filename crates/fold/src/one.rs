//! One of the things that a command reads.

use crate::reads::Source;
use crate::state::State;

/// What can be read is decided here: the rest of the crate relies on what these do.
pub trait Sealed {}

/// One fold over a stream or a query.
#[diagnostic::on_unimplemented(
    message = "a command can't read `{Self}`",
    label = "not something to read",
    note = "read `By<S>` (one stream) or `Over<S>` (a query), where `S` is a `State`"
)]
pub trait One: Send + Sync + Sealed {
    /// What it is folded to.
    type State: State;

    /// Where its events are.
    fn source(&self) -> Source;
}
