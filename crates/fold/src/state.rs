//! States: left folds over past events.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::Event;

/// A left fold over events, starting from the default.
///
/// `apply` is pure and total: it cannot refuse an event, and its result depends only on the state
/// and the event.
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
    /// The events that the state is folded from. Events of other types are skipped.
    type Event: Event;

    /// Whether and how the state has snapshots, so that a load need not start from the first event.
    /// The default is no snapshots; see [`SnapshotPolicy::json`].
    const SNAPSHOTS: Option<SnapshotPolicy<Self>> = None;

    /// Applies an event to the state.
    fn apply(&mut self, event: &Self::Event);

    /// Returns about how many bytes the state takes in memory, its heap included, for the budget of
    /// [`Entities`](crate::Entities).
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// How the snapshots of a state are encoded, decoded and identified.
pub struct SnapshotPolicy<S> {
    pub(crate) name: &'static str,
    pub(crate) schema: u32,
    pub(crate) logic: u32,
    pub(crate) every: SnapshotInterval,
    pub(crate) encode: fn(&S) -> Option<Vec<u8>>,
    pub(crate) decode: fn(&[u8]) -> Option<S>,
}

/// When a snapshot is due: as soon as one of these limits is reached since the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotInterval {
    /// The number of events folded since the last snapshot.
    pub events: u64,
    /// The bytes of data of those events.
    pub bytes: u64,
    /// The time between the commit times of the first and the last of those events.
    pub time: Duration,
}

impl SnapshotInterval {
    /// After 1,000 events or 1 MiB of their data; elapsed time is not considered.
    pub const DEFAULT: SnapshotInterval =
        SnapshotInterval { events: 1_000, bytes: 1 << 20, time: Duration::MAX };
}

impl<S: Serialize + DeserializeOwned> SnapshotPolicy<S> {
    /// Returns settings for snapshots in JSON, under a name that is unique among the states.
    ///
    /// `logic` is the version of `apply`: raise it when the same events lead to another state, for
    /// example after a bug fix in `apply`. Snapshots of other versions are ignored and replaced.
    pub const fn json(name: &'static str, logic: u32) -> Self {
        SnapshotPolicy {
            name,
            schema: 1,
            logic,
            every: SnapshotInterval::DEFAULT,
            encode: to_json,
            decode: from_json,
        }
    }
}

impl<S> SnapshotPolicy<S> {
    /// Returns settings for snapshots in a custom encoding. A state whose encoding fails gets no
    /// snapshot. A snapshot whose decoding fails is ignored, and the state is folded from the
    /// events.
    pub const fn new(
        name: &'static str,
        logic: u32,
        encode: fn(&S) -> Option<Vec<u8>>,
        decode: fn(&[u8]) -> Option<S>,
    ) -> Self {
        SnapshotPolicy { name, schema: 1, logic, every: SnapshotInterval::DEFAULT, encode, decode }
    }

    /// Sets the version of the state's shape: raise it when its fields change in a way that would
    /// misread an old snapshot.
    pub const fn schema(mut self, version: u32) -> Self {
        self.schema = version;
        self
    }

    /// Makes a snapshot due after this number of events.
    pub const fn every_events(mut self, events: u64) -> Self {
        self.every.events = events;
        self
    }

    /// Makes a snapshot due after events with this number of bytes of data.
    pub const fn every_bytes(mut self, bytes: u64) -> Self {
        self.every.bytes = bytes;
        self
    }

    /// Makes a snapshot due after events whose commit times span this duration.
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
