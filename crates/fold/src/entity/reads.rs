//! What commands of entities read: one stream or one query, folded into a state.

use std::marker::PhantomData;

use leftfold_api::{NewEvent, Recorded, Timestamp};

use crate::emit::Emit;
use crate::event::Undecodable;
use crate::execute::{FoldError, LoadedStates};
use crate::one::{self, One};
use crate::reads::{
    Decides, QueryState, Reads, Source, Stored, StreamState, Unknown, decode_folded,
};
use crate::state::{SnapshotInterval, State};

/// What a command of [`Entities`](crate::Entities) reads: [`StreamState`] or [`QueryState`] of the
/// entities' state.
#[diagnostic::on_unimplemented(
    message = "entities of `{S}` can't decide a command that reads `{Self}`",
    label = "not the state of one stream or one query",
    note = "a command of `Entities<{S}, _>` reads `StreamState<{S}>` or `QueryState<{S}>`; a `Decider` decides \
            the others"
)]
pub trait EntityReads<S: State>: One<State = S> + Reads<States = S> + Decides<S::Event> {
    /// Finds the events of a decision that its entity's state is folded from.
    #[doc(hidden)]
    fn find_own(
        source: &Source,
        emits: usize,
        written: &[(String, NewEvent)],
    ) -> Result<OwnEvents<S>, FoldError>;

    /// Applies a decision to the state.
    #[doc(hidden)]
    fn apply_own(state: &mut S, emits: &[Emit<S::Event>], own: &OwnEvents<S>);
}

/// The events of a decision that the entity's state is folded from.
#[doc(hidden)]
pub struct OwnEvents<S: State> {
    /// The number of each, counted in what the decision writes.
    pub(crate) numbers: Vec<usize>,
    /// Those of a query, as a load would decode them.
    decoded: Vec<S::Event>,
}

impl<S: State> OwnEvents<S> {
    pub(crate) const NONE: Self = OwnEvents { numbers: Vec::new(), decoded: Vec::new() };
}

impl<S: State> EntityReads<S> for StreamState<S> {
    /// All decided events go to the stream that was read.
    fn find_own(
        _: &Source,
        emits: usize,
        _: &[(String, NewEvent)],
    ) -> Result<OwnEvents<S>, FoldError> {
        Ok(OwnEvents { numbers: (0..emits).collect(), decoded: Vec::new() })
    }

    fn apply_own(state: &mut S, emits: &[Emit<S::Event>], _: &OwnEvents<S>) {
        emits.iter().filter_map(Emit::event).for_each(|(_, event)| state.apply(event));
    }
}

impl<S: State> EntityReads<S> for QueryState<S> {
    /// Decided events go anywhere: the query selects.
    fn find_own(
        source: &Source,
        _: usize,
        written: &[(String, NewEvent)],
    ) -> Result<OwnEvents<S>, FoldError> {
        let mut own = OwnEvents::NONE;
        for (number, (stream, event)) in written.iter().enumerate() {
            // An event that is no record fails the append, with a better message.
            let Ok(event) = Recorded::from_parts(stream, 0, 0, Timestamp(0), event) else {
                continue;
            };
            if source.query.matches(&event) {
                own.numbers.push(number);
                own.decoded.extend(decode_folded::<S::Event>(source.unknown, &event)?);
            }
        }
        Ok(own)
    }

    fn apply_own(state: &mut S, _: &[Emit<S::Event>], own: &OwnEvents<S>) {
        own.decoded.iter().for_each(|event| state.apply(event));
    }
}

/// The state of an entity, whether its events are those of a stream or of a query.
pub(crate) struct EntityState<S> {
    source: Source,
    state: PhantomData<fn() -> S>,
}

/// The state of an entity, and up to where it was read.
pub(crate) type LoadedEntity<S> = LoadedStates<EntityState<S>>;

impl<S> EntityState<S> {
    pub(crate) fn new(source: Source) -> Self {
        EntityState { source, state: PhantomData }
    }
}

impl<S> one::Sealed for EntityState<S> {}

impl<S: State> Reads for EntityState<S> {
    type States = S;

    fn sources(&self) -> Vec<Source> {
        vec![self.source.clone()]
    }

    fn apply(
        state: &mut S,
        nth: usize,
        unknown: Unknown,
        event: &dyn Stored,
    ) -> Result<(), Undecodable> {
        QueryState::<S>::apply(state, nth, unknown, event)
    }

    fn kept(nth: usize) -> Option<(&'static str, [u32; 2], SnapshotInterval)> {
        QueryState::<S>::kept(nth)
    }

    fn encode(state: &S, nth: usize) -> Option<Vec<u8>> {
        QueryState::<S>::encode(state, nth)
    }

    fn restore(state: &mut S, nth: usize, snapshot: &[u8]) -> bool {
        QueryState::<S>::restore(state, nth, snapshot)
    }
}

/// Returns the key of the entity with this source. A strict fold is an entity of its own.
pub(crate) fn key_of(source: &Source) -> String {
    let strict = match source.unknown {
        Unknown::Skip => "",
        Unknown::Fail => "strict ",
    };
    match &source.stream {
        Some(stream) => format!("{strict}stream {stream}"),
        None => format!("{strict}query {}", source.query),
    }
}

/// Whether the events that a decision adds to the state are known before they are stored. Only the
/// store knows commit times and the definitions of named indexes.
pub(crate) fn is_known_before_append(source: &Source) -> bool {
    source.stream.is_some()
        || (!source.query.asks_for_time() && source.query.named_index().is_none())
}
