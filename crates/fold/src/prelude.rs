//! What most programs need: `use leftfold::prelude::*`.

pub use crate::{
    Command, CommandContext, Commands, Decider, Emit, Entities, Event, EventQuery, Execute,
    ExecuteError, QueryState, SnapshotPolicy, State, StreamState, decode, given,
};
pub use leftfold_api::{Cursor, EventStore, NewEvent, Query, Timestamp};
