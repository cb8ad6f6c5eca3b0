//! What a command reads.

use std::marker::PhantomData;

use leftfold_api::{Query, Recorded};

use crate::emit::Emit;
use crate::event::{Event, Reason, Undecodable, undecodable};
use crate::one::{self, One};
use crate::state::{Every, State};

/// A state folded from one stream. A command that reads one of it appends to that stream.
pub struct By<S> {
    stream: String,
    unknown: Unknown,
    state: PhantomData<fn() -> S>,
}

/// A state folded from what a query yields, whatever streams that is in.
pub struct Over<S> {
    query: Query,
    unknown: Unknown,
    state: PhantomData<fn() -> S>,
}

/// What a fold does with an event whose type it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// It goes on without it.
    #[default]
    Skip,
    /// It fails: nothing is decided without knowing all.
    Fail,
}

impl<S: State> By<S> {
    /// The state of a stream.
    pub fn stream(name: impl Into<String>) -> Self {
        By { stream: name.into(), unknown: Unknown::Skip, state: PhantomData }
    }

    /// An event of a type that the state does not know is an error.
    pub fn strict(mut self) -> Self {
        self.unknown = Unknown::Fail;
        self
    }
}

impl<S: State> Over<S> {
    /// The state of all that a query yields.
    pub fn query(query: Query) -> Self {
        Over { query, unknown: Unknown::Skip, state: PhantomData }
    }

    /// An event of a type that the state does not know is an error.
    pub fn strict(mut self) -> Self {
        self.unknown = Unknown::Fail;
        self
    }
}

impl<S: State> One for By<S> {
    type State = S;

    fn source(&self) -> Source {
        Source {
            stream: Some(self.stream.clone()),
            query: Query::stream(&self.stream),
            unknown: self.unknown,
        }
    }
}

impl<S: State> One for Over<S> {
    type State = S;

    fn source(&self) -> Source {
        Source { stream: None, query: self.query.clone(), unknown: self.unknown }
    }
}

impl<S> one::Sealed for By<S> {}
impl<S> one::Sealed for Over<S> {}
impl one::Sealed for () {}

/// One of the things that a command reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The one stream, if it is one.
    pub stream: Option<String>,
    /// What it yields.
    pub query: Query,
    /// What is done with events of unknown types.
    pub unknown: Unknown,
}

/// What a command reads: folds over streams and queries. Implemented for [`By`], [`Over`], tuples
/// of up to six of these, and `()`.
#[diagnostic::on_unimplemented(
    message = "a command can't read `{Self}`",
    label = "not something to read",
    note = "read `By<S>` (one stream), `Over<S>` (a query), a tuple of up to six of them, or `()`, \
            where `S` is a `State`"
)]
pub trait Reads: Send + Sync + one::Sealed {
    /// What `decide` is given.
    type States: Default + Send + Sync;

    /// What `decide` answers: plain events if they all go to the one stream that was read, else
    /// events that say where they go.
    type Events<E: Event>: Send;

    /// What is read.
    #[doc(hidden)]
    fn sources(&self) -> Vec<Source>;

    /// Each event and the stream that it goes into.
    #[doc(hidden)]
    fn emits<'a, E: Event>(
        sources: impl IntoIterator<Item = &'a Source>,
        events: Self::Events<E>,
    ) -> Vec<Emit<E>>;

    /// Whether there are no events.
    #[doc(hidden)]
    fn is_nothing<E: Event>(events: &Self::Events<E>) -> bool;

    /// Takes an event of the n-th source in.
    #[doc(hidden)]
    fn apply(
        states: &mut Self::States,
        nth: usize,
        unknown: Unknown,
        event: &dyn Stored,
    ) -> Result<(), Undecodable>;

    /// How the n-th state is kept: its name and its versions.
    #[doc(hidden)]
    fn kept(nth: usize) -> Option<(&'static str, [u32; 2], Every)>;

    /// The n-th state as a snapshot.
    #[doc(hidden)]
    fn encode(states: &Self::States, nth: usize) -> Option<Vec<u8>>;

    /// Sets the n-th state from a snapshot; false if it can't be read.
    #[doc(hidden)]
    fn restore(states: &mut Self::States, nth: usize, snapshot: &[u8]) -> bool;
}

/// An event to be folded: one that is stored, or one of a test.
#[doc(hidden)]
pub trait Stored {
    /// What kind of event it is.
    fn event_type(&self) -> &str;
    /// The version of its shape.
    fn schema_version(&self) -> u16;
    /// Its payload.
    fn data(&self) -> bytes::Bytes;
    /// It can't be read.
    fn undecodable(&self, reason: Reason) -> Undecodable;
}

impl Stored for Recorded {
    fn event_type(&self) -> &str {
        self.event_type()
    }

    fn schema_version(&self) -> u16 {
        self.schema_version()
    }

    fn data(&self) -> bytes::Bytes {
        self.data()
    }

    fn undecodable(&self, reason: Reason) -> Undecodable {
        undecodable(self, reason)
    }
}

fn apply_to<S: State>(
    state: &mut S,
    unknown: Unknown,
    event: &dyn Stored,
) -> Result<(), Undecodable> {
    let decoded = S::Event::decode(event.event_type(), event.schema_version(), &event.data())
        .map_err(|wrong| event.undecodable(wrong.into()))?;
    match (decoded, unknown) {
        (Some(decoded), _) => state.apply(&decoded),
        (None, Unknown::Skip) => {}
        (None, Unknown::Fail) => return Err(event.undecodable(Reason::UnknownType)),
    }
    Ok(())
}

fn kept_of<S: State>() -> Option<(&'static str, [u32; 2], Every)> {
    S::KEPT.map(|kept| (kept.name, [kept.schema, kept.logic], kept.every))
}

fn encode_of<S: State>(state: &S) -> Option<Vec<u8>> {
    S::KEPT.and_then(|kept| (kept.encode)(state))
}

fn restore_to<S: State>(state: &mut S, snapshot: &[u8]) -> bool {
    let restored = S::KEPT.and_then(|kept| (kept.decode)(snapshot));
    restored.map(|restored| *state = restored).is_some()
}

impl<S: State> Reads for By<S> {
    type States = S;
    type Events<E: Event> = Vec<E>;

    fn sources(&self) -> Vec<Source> {
        vec![self.source()]
    }

    fn emits<'a, E: Event>(
        sources: impl IntoIterator<Item = &'a Source>,
        events: Vec<E>,
    ) -> Vec<Emit<E>> {
        let stream = sources.into_iter().find_map(|source| source.stream.as_deref());
        events.into_iter().map(|event| event.to(stream.unwrap_or_default())).collect()
    }

    fn is_nothing<E: Event>(events: &Vec<E>) -> bool {
        events.is_empty()
    }

    fn apply(
        state: &mut S,
        _: usize,
        unknown: Unknown,
        event: &dyn Stored,
    ) -> Result<(), Undecodable> {
        apply_to(state, unknown, event)
    }

    fn kept(_: usize) -> Option<(&'static str, [u32; 2], Every)> {
        kept_of::<S>()
    }

    fn encode(state: &S, _: usize) -> Option<Vec<u8>> {
        encode_of(state)
    }

    fn restore(state: &mut S, _: usize, snapshot: &[u8]) -> bool {
        restore_to(state, snapshot)
    }
}

impl<S: State> Reads for Over<S> {
    type States = S;
    type Events<E: Event> = Vec<Emit<E>>;

    fn sources(&self) -> Vec<Source> {
        vec![self.source()]
    }

    fn emits<'a, E: Event>(
        _: impl IntoIterator<Item = &'a Source>,
        events: Vec<Emit<E>>,
    ) -> Vec<Emit<E>> {
        events
    }

    fn is_nothing<E: Event>(events: &Vec<Emit<E>>) -> bool {
        events.is_empty()
    }

    fn apply(
        state: &mut S,
        _: usize,
        unknown: Unknown,
        event: &dyn Stored,
    ) -> Result<(), Undecodable> {
        apply_to(state, unknown, event)
    }

    fn kept(_: usize) -> Option<(&'static str, [u32; 2], Every)> {
        kept_of::<S>()
    }

    fn encode(state: &S, _: usize) -> Option<Vec<u8>> {
        encode_of(state)
    }

    fn restore(state: &mut S, _: usize, snapshot: &[u8]) -> bool {
        restore_to(state, snapshot)
    }
}

impl Reads for () {
    type States = ();
    type Events<E: Event> = Vec<Emit<E>>;

    fn sources(&self) -> Vec<Source> {
        Vec::new()
    }

    fn emits<'a, E: Event>(
        _: impl IntoIterator<Item = &'a Source>,
        events: Vec<Emit<E>>,
    ) -> Vec<Emit<E>> {
        events
    }

    fn is_nothing<E: Event>(events: &Vec<Emit<E>>) -> bool {
        events.is_empty()
    }

    fn apply(_: &mut (), _: usize, _: Unknown, _: &dyn Stored) -> Result<(), Undecodable> {
        Ok(())
    }

    fn kept(_: usize) -> Option<(&'static str, [u32; 2], Every)> {
        None
    }

    fn encode((): &(), _: usize) -> Option<Vec<u8>> {
        None
    }

    fn restore((): &mut (), _: usize, _: &[u8]) -> bool {
        false
    }
}

macro_rules! tuples {
    ($($($read:ident $nth:tt)+;)+) => {$(
        impl<$($read: One),+> Reads for ($($read,)+) {
            type States = ($($read::State,)+);
            type Events<E: Event> = Vec<Emit<E>>;

            fn sources(&self) -> Vec<Source> {
                vec![$(self.$nth.source()),+]
            }

            fn emits<'a, E: Event>(
                _: impl IntoIterator<Item = &'a Source>,
                events: Vec<Emit<E>>,
            ) -> Vec<Emit<E>> {
                events
            }

            fn is_nothing<E: Event>(events: &Vec<Emit<E>>) -> bool {
                events.is_empty()
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

            fn kept(nth: usize) -> Option<(&'static str, [u32; 2], Every)> {
                match nth {
                    $($nth => kept_of::<$read::State>(),)+
                    _ => None,
                }
            }

            fn encode(states: &Self::States, nth: usize) -> Option<Vec<u8>> {
                match nth {
                    $($nth => encode_of(&states.$nth),)+
                    _ => None,
                }
            }

            fn restore(states: &mut Self::States, nth: usize, snapshot: &[u8]) -> bool {
                match nth {
                    $($nth => restore_to(&mut states.$nth, snapshot),)+
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
