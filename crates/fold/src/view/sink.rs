use std::sync::Arc;

use leftfold_api::Recorded;

use super::{Saved, ViewError};

/// Events to be committed, with the state to store beside what they change.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Batch {
    /// The events, in the order of the store. There may be none: then only the state moves.
    pub events: Arc<[Recorded]>,
    /// The state that the last commit stored, or `None` before the first.
    pub from: Option<Saved>,
    /// The state to store.
    pub to: Saved,
}

/// Takes events into a database of the user's, each exactly once.
///
/// A sink stores a batch's effects and [`Batch::to`] in one transaction, if what it has stored before
/// is still [`Batch::from`]. So it does not matter where a process is killed: the next run reads what
/// is stored and continues after it. In SQL, with the text of the states:
///
/// ```sql
/// begin;
/// update progress set state = $to where name = 'orders' and state = $from; -- else overtaken
/// insert into orders ...;
/// commit;
/// ```
///
/// A [`SinkRunner`](super::SinkRunner) calls it. A call may be dropped before it ends, as a connection
/// may be lost; whether it had an effect is seen at the next [`Sink::saved`].
pub trait Sink: Send {
    /// Returns the state that the last commit stored, or `None` before the first.
    fn saved(&mut self) -> impl Future<Output = Result<Option<Saved>, ViewError>> + Send;

    /// Commits the effects of the events and the new state, all or nothing, if the stored state is
    /// [`Batch::from`]. Returns whether it was.
    ///
    /// # Errors
    /// [`ViewError::event`] for an event that can't be applied: then the runner commits the events
    /// before it and stops. [`ViewError::rows`] for anything else.
    fn commit(&mut self, batch: &Batch) -> impl Future<Output = Result<bool, ViewError>> + Send;
}
