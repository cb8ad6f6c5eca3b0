//! What a command reads: streams and queries, folded into states.

use std::marker::PhantomData;

use leftfold_api::{Query, Recorded};

use crate::emit::Emit;
use crate::event::{Event, Reason, Undecodable, decode_stored, undecodable};
use crate::event_query::EventQuery;
use crate::one::{self, One};
use crate::state::{SnapshotInterval, State};

/// A state folded from one stream. A command that reads only this appends to that stream.
pub struct StreamState<S> {
    stream: String,
    unknown: Unknown,
    state: PhantomData<fn() -> S>,
}

/// A state folded from the events of a query, in whatever streams they are.
pub struct QueryState<S> {
    query: Query,
    unknown: Unknown,
    state: PhantomData<fn() -> S>,
}

/// What a fold does with an event whose type it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// Skips it.
    #[default]
    Skip,
    /// Fails: the decision must rest on all events.
    Fail,
}

impl<S: State> StreamState<S> {
    /// Reads the state of a stream.
    pub fn of(name: impl Into<String>) -> Self {
        StreamState { stream: name.into(), unknown: Unknown::Skip, state: PhantomData }
    }

    /// Makes an event of an unknown type an error.
    pub fn strict(mut self) -> Self {
        self.unknown = Unknown::Fail;
        self
    }
}

impl<S: State> QueryState<S> {
    /// Reads the state of the events of a query, such as `Bank::by_owner("Ann")`. It is a query of
    /// the state's own enum: a misspelled tag or another enum does not compile.
    pub fn of(query: EventQuery<S::Event>) -> Self {
        Self::untyped(query.into())
    }

    /// Reads the state of the events of any query. Nothing checks that the query selects events of
    /// the state, so prefer [`of`](Self::of). It is for what an enum cannot say, such as a named
    /// index, or a fold that must not miss events of unknown types ([`strict`](Self::strict)).
    pub fn untyped(query: Query) -> Self {
        QueryState { query, unknown: Unknown::Skip, state: PhantomData }
    }

    /// Makes an event of an unknown type an error. Only an [`untyped`](Self::untyped) query selects
    /// such events.
    pub fn strict(mut self) -> Self {
        self.unknown = Unknown::Fail;
        self
    }
}

impl<S: State> One for StreamState<S> {
    type State = S;

    fn source(&self) -> Source {
        Source {
            stream: Some(self.stream.clone()),
            query: Query::stream(&self.stream),
            unknown: self.unknown,
        }
    }
}

impl<S: State> One for QueryState<S> {
    type State = S;

    fn source(&self) -> Source {
        Source { stream: None, query: self.query.clone(), unknown: self.unknown }
    }
}

impl<S> one::Sealed for StreamState<S> {}
impl<S> one::Sealed for QueryState<S> {}
impl one::Sealed for () {}

/// The source of one fold: a stream or a query.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Source {
    /// The stream, if it is a single one.
    pub stream: Option<String>,
    /// The query that yields its events.
    pub query: Query,
    /// What the fold does with events of unknown types.
    pub unknown: Unknown,
}

/// What a command reads: folds over streams and queries. Implemented for [`StreamState`], [`QueryState`], tuples
/// of up to six of these, and `()`.
#[diagnostic::on_unimplemented(
    message = "a command can't read `{Self}`",
    label = "not something to read",
    note = "read `StreamState<S>` (one stream), `QueryState<S>` (a query), a tuple of up to six of them, or `()`, \
            where `S` is a `State`"
)]
pub trait Reads: Send + Sync + one::Sealed {
    /// The states that `decide` gets.
    type States: Default + Send + Sync;

    /// Returns the sources, in order.
    #[doc(hidden)]
    fn sources(&self) -> Vec<Source>;

    /// Applies an event of the n-th source to its state.
    #[doc(hidden)]
    fn apply(
        states: &mut Self::States,
        nth: usize,
        unknown: Unknown,
        event: &dyn Stored,
    ) -> Result<(), Undecodable>;

    /// Returns the snapshot settings of the n-th state: name, versions, when one is due.
    #[doc(hidden)]
    fn kept(nth: usize) -> Option<(&'static str, [u32; 2], SnapshotInterval)>;

    /// Encodes the n-th state as a snapshot.
    #[doc(hidden)]
    fn encode(states: &Self::States, nth: usize) -> Option<Vec<u8>>;

    /// Restores the n-th state from a snapshot; returns false if the snapshot cannot be read.
    #[doc(hidden)]
    fn restore(states: &mut Self::States, nth: usize, snapshot: &[u8]) -> bool;
}

/// The form in which a command that reads this returns its events.
///
/// Only the events of its state go to the single stream that was read, without its name. All others are
/// addressed: `event.to("account-1")`.
#[diagnostic::on_unimplemented(
    message = "a command that reads `{Self}` can't decide `{E}`s",
    label = "not something to read that `{E}`s can be decided on",
    note = "read `StreamState<S>` (one stream), `QueryState<S>` (a query), a tuple of up to six of them, \
            or `()`, where `S` is a `State`",
    note = "a single `StreamState<S>` decides the events of `S`; to append others, read \
            `(StreamState<S>,)` and address each event: `event.to(stream)`"
)]
pub trait Decides<E: Event>: Reads {
    /// The events that `decide` returns: plain events if they all go to the single stream that was
    /// read, else events with their target streams.
    type Events: Send;

    /// Returns each event with its target stream.
    #[doc(hidden)]
    fn emits<'a>(
        sources: impl IntoIterator<Item = &'a Source>,
        events: Self::Events,
    ) -> Vec<Emit<E>>;

    /// Visits each event with its target stream.
    #[doc(hidden)]
    fn each<'a>(
        sources: impl IntoIterator<Item = &'a Source>,
        events: &Self::Events,
        visit: &mut dyn FnMut(&str, &E),
    );

    /// Returns whether there are no events.
    #[doc(hidden)]
    fn is_nothing(events: &Self::Events) -> bool;
}

/// An event that can be folded: a stored one, or one of a test.
#[doc(hidden)]
pub trait Stored {
    /// Returns the event type.
    fn event_type(&self) -> &str;
    /// Returns the version of its shape.
    fn schema_version(&self) -> u16;
    /// Returns the media type of the payload.
    fn content_type(&self) -> &str;
    /// Returns the payload.
    fn data(&self) -> bytes::Bytes;
    /// Returns the error that says why this event cannot be read.
    fn undecodable(&self, reason: Reason) -> Undecodable;
}

impl Stored for Recorded {
    fn event_type(&self) -> &str {
        self.event_type()
    }

    fn schema_version(&self) -> u16 {
        self.schema_version()
    }

    fn content_type(&self) -> &str {
        self.content_type()
    }

    fn data(&self) -> bytes::Bytes {
        self.data()
    }

    fn undecodable(&self, reason: Reason) -> Undecodable {
        undecodable(self, reason)
    }
}

/// Returns the event that a fold applies, or `None` if it skips the event's type.
pub(crate) fn decode_folded<E: Event>(
    unknown: Unknown,
    event: &dyn Stored,
) -> Result<Option<E>, Undecodable> {
    match (decode_stored::<E>(event)?, unknown) {
        (None, Unknown::Fail) => Err(event.undecodable(Reason::UnknownType)),
        (decoded, _) => Ok(decoded),
    }
}

fn apply_to<S: State>(
    state: &mut S,
    unknown: Unknown,
    event: &dyn Stored,
) -> Result<(), Undecodable> {
    let decoded = decode_folded::<S::Event>(unknown, event)?;
    decoded.iter().for_each(|decoded| state.apply(decoded));
    Ok(())
}

fn snapshot_settings<S: State>() -> Option<(&'static str, [u32; 2], SnapshotInterval)> {
    S::SNAPSHOTS.map(|kept| (kept.name, [kept.schema, kept.logic], kept.every))
}

fn encode_state<S: State>(state: &S) -> Option<Vec<u8>> {
    S::SNAPSHOTS.and_then(|kept| (kept.encode)(state))
}

fn restore_state<S: State>(state: &mut S, snapshot: &[u8]) -> bool {
    let restored = S::SNAPSHOTS.and_then(|kept| (kept.decode)(snapshot));
    restored.map(|restored| *state = restored).is_some()
}

impl<S: State> Reads for StreamState<S> {
    type States = S;

    fn sources(&self) -> Vec<Source> {
        vec![self.source()]
    }

    fn apply(
        state: &mut S,
        _: usize,
        unknown: Unknown,
        event: &dyn Stored,
    ) -> Result<(), Undecodable> {
        apply_to(state, unknown, event)
    }

    fn kept(_: usize) -> Option<(&'static str, [u32; 2], SnapshotInterval)> {
        snapshot_settings::<S>()
    }

    fn encode(state: &S, _: usize) -> Option<Vec<u8>> {
        encode_state(state)
    }

    fn restore(state: &mut S, _: usize, snapshot: &[u8]) -> bool {
        restore_state(state, snapshot)
    }
}

impl<S: State> Reads for QueryState<S> {
    type States = S;

    fn sources(&self) -> Vec<Source> {
        vec![self.source()]
    }

    fn apply(
        state: &mut S,
        _: usize,
        unknown: Unknown,
        event: &dyn Stored,
    ) -> Result<(), Undecodable> {
        apply_to(state, unknown, event)
    }

    fn kept(_: usize) -> Option<(&'static str, [u32; 2], SnapshotInterval)> {
        snapshot_settings::<S>()
    }

    fn encode(state: &S, _: usize) -> Option<Vec<u8>> {
        encode_state(state)
    }

    fn restore(state: &mut S, _: usize, snapshot: &[u8]) -> bool {
        restore_state(state, snapshot)
    }
}

impl Reads for () {
    type States = ();

    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    fn apply(_: &mut (), _: usize, _: Unknown, _: &dyn Stored) -> Result<(), Undecodable> {
        Ok(())
    }

    fn kept(_: usize) -> Option<(&'static str, [u32; 2], SnapshotInterval)> {
        None
    }

    fn encode((): &(), _: usize) -> Option<Vec<u8>> {
        None
    }

    fn restore((): &mut (), _: usize, _: &[u8]) -> bool {
        false
    }
}

impl<S: State> Decides<S::Event> for StreamState<S> {
    type Events = Vec<S::Event>;

    fn emits<'a>(
        sources: impl IntoIterator<Item = &'a Source>,
        events: Vec<S::Event>,
    ) -> Vec<Emit<S::Event>> {
        let stream = sources.into_iter().find_map(|source| source.stream.as_deref());
        events.into_iter().map(|event| event.to(stream.unwrap_or_default())).collect()
    }

    fn each<'a>(
        sources: impl IntoIterator<Item = &'a Source>,
        events: &Vec<S::Event>,
        visit: &mut dyn FnMut(&str, &S::Event),
    ) {
        let stream = sources.into_iter().find_map(|source| source.stream.as_deref());
        events.iter().for_each(|event| visit(stream.unwrap_or_default(), event));
    }

    fn is_nothing(events: &Vec<S::Event>) -> bool {
        events.is_empty()
    }
}

/// Implements what all but a single stream have in common: each event is addressed.
macro_rules! addressed {
    ($([$($generics:tt)*] $read:ty;)+) => {$(
        impl<$($generics)*> Decides<Event> for $read {
            type Events = Vec<Emit<Event>>;

            fn emits<'a>(
                _: impl IntoIterator<Item = &'a Source>,
                events: Vec<Emit<Event>>,
            ) -> Vec<Emit<Event>> {
                events
            }

            fn each<'a>(
                _: impl IntoIterator<Item = &'a Source>,
                events: &Vec<Emit<Event>>,
                visit: &mut dyn FnMut(&str, &Event),
            ) {
                let events = events.iter().filter_map(Emit::event);
                events.for_each(|(stream, event)| visit(stream, event));
            }

            fn is_nothing(events: &Vec<Emit<Event>>) -> bool {
                events.is_empty()
            }
        }
    )+};
}

addressed! {
    [Event: crate::Event] ();
    [Event: crate::Event, S: State] QueryState<S>;
    [Event: crate::Event, A: One] (A,);
    [Event: crate::Event, A: One, B: One] (A, B);
    [Event: crate::Event, A: One, B: One, C: One] (A, B, C);
    [Event: crate::Event, A: One, B: One, C: One, D: One] (A, B, C, D);
    [Event: crate::Event, A: One, B: One, C: One, D: One, G: One] (A, B, C, D, G);
    [Event: crate::Event, A: One, B: One, C: One, D: One, G: One, F: One] (A, B, C, D, G, F);
}

macro_rules! tuples {
    ($($($read:ident $nth:tt)+;)+) => {$(
        impl<$($read: One),+> Reads for ($($read,)+) {
            type States = ($($read::State,)+);

            fn sources(&self) -> Vec<Source> {
                vec![$(self.$nth.source()),+]
            }

            fn apply(
                states: &mut Self::States,
                nth: usize,
                unknown: Unknown,
                event: &dyn Stored,
            ) -> Result<(), Undecodable> {
                match nth {
                    $($nth => apply_to(&mut states.$nth, unknown, event),)+
                    _ => Ok(()),
                }
            }

            fn kept(nth: usize) -> Option<(&'static str, [u32; 2], SnapshotInterval)> {
                match nth {
                    $($nth => snapshot_settings::<$read::State>(),)+
                    _ => None,
                }
            }

            fn encode(states: &Self::States, nth: usize) -> Option<Vec<u8>> {
                match nth {
                    $($nth => encode_state(&states.$nth),)+
                    _ => None,
                }
            }

            fn restore(states: &mut Self::States, nth: usize, snapshot: &[u8]) -> bool {
                match nth {
                    $($nth => restore_state(&mut states.$nth, snapshot),)+
                    _ => false,
                }
            }
        }

        impl<$($read: One),+> one::Sealed for ($($read,)+) {}
    )+};
}

tuples! {
    A 0;
    A 0 B 1;
    A 0 B 1 C 2;
    A 0 B 1 C 2 D 3;
    A 0 B 1 C 2 D 3 G 4;
    A 0 B 1 C 2 D 3 G 4 F 5;
}
