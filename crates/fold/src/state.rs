//! What a decision rests on: a left fold over past events.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::Event;

/// What is known after some events: a left fold over them, starting from the default.
///
/// `apply` is pure and total: an event is a fact, so it can't be refused, and what it does may depend
/// on nothing but the state and the event.
///
/// ```
/// use leftfold::{Event, State};
///
/// #[derive(Event)]
/// enum Bank { Opened, Deposited { cents: u64 }, Withdrawn { cents: u64 } }
///
/// #[derive(Default)]
/// struct Account { open: bool, cents: u64 }
///
/// impl State for Account {
///     type Event = Bank;
///
///     fn apply(&mut self, event: &Bank) {
///         match event {
///             Bank::Opened => self.open = true,
///             Bank::Deposited { cents } => self.cents += cents,
///             Bank::Withdrawn { cents } => self.cents -= cents,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a state",
    label = "no fold over events",
    note = "write `impl State for {Self}`: the events that it is folded from, and what each of them \
            changes (`fn apply(&mut self, event: &Self::Event)`)"
)]
pub trait State: Default + Send + Sync + 'static {
    /// The events that it is folded from. Events of other types are skipped.
    type Event: Event;

    /// Whether and how it is kept, so that a load need not start from the first event. Never, unless
    /// said otherwise; see [`Kept::json`].
    const KEPT: Option<Kept<Self>> = None;

    /// Takes an event in.
    fn apply(&mut self, event: &Self::Event);

    /// About how many bytes it takes in memory, for the budget of
    /// [`Entities`](crate::Entities). Count in what it holds on the heap.
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// How snapshots of a state are made, read and told from others'.
pub struct Kept<S> {
    pub(crate) name: &'static str,
    pub(crate) schema: u32,
    pub(crate) logic: u32,
    pub(crate) every: Every,
    pub(crate) encode: fn(&S) -> Option<Vec<u8>>,
    pub(crate) decode: fn(&[u8]) -> Option<S>,
}

/// When a snapshot is due: as soon as one of these is reached since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every {
    /// So many events were folded.
    pub events: u64,
    /// Their data had so many bytes.
    pub bytes: u64,
    /// So much time lies between the first and the last of them, by their commit times.
    pub time: Duration,
}

impl Every {
    /// After a thousand events or a megabyte of them, however long that takes.
    pub const DEFAULT: Every = Every { events: 1_000, bytes: 1 << 20, time: Duration::MAX };
}

impl<S: Serialize + DeserializeOwned> Kept<S> {
    /// Snapshots in JSON, under a name that no other state has.
    ///
    /// `logic` is the version of `apply`: raise it when the same events come to another state, such
    /// as when a bug in `apply` is fixed. Snapshots of other versions are not looked at, and replaced.
    pub const fn json(name: &'static str, logic: u32) -> Self {
        Kept { name, schema: 1, logic, every: Every::DEFAULT, encode: to_json, decode: from_json }
    }
}

impl<S> Kept<S> {
    /// Snapshots in an encoding of your own. What can't be encoded is not kept, and what can't be
    /// decoded is made anew from the events.
    pub const fn new(
        name: &'static str,
        logic: u32,
        encode: fn(&S) -> Option<Vec<u8>>,
        decode: fn(&[u8]) -> Option<S>,
    ) -> Self {
        Kept { name, schema: 1, logic, every: Every::DEFAULT, encode, decode }
    }

    /// With the version of the state's shape: raise it when its fields change in a way that an old
    /// snapshot would be misread.
    pub const fn schema(mut self, version: u32) -> Self {
        self.schema = version;
        self
    }

    /// After so many events.
    pub const fn every_events(mut self, events: u64) -> Self {
        self.every.events = events;
        self
    }

    /// After events with so many bytes of data.
    pub const fn every_bytes(mut self, bytes: u64) -> Self {
        self.every.bytes = bytes;
        self
    }

    /// After events that were committed over so much time.
    pub const fn every_time(mut self, time: Duration) -> Self {
        self.every.time = time;
        self
    }
}

fn to_json<S: Serialize>(state: &S) -> Option<Vec<u8>> {
    serde_json::to_vec(state).ok()
}

fn from_json<S: DeserializeOwned>(bytes: &[u8]) -> Option<S> {
    serde_json::from_slice(bytes).ok()
}
