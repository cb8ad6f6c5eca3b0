use leftfold_api::{EventStore, NewEvent, Recorded};
use serde::{Deserialize, Serialize};

use super::ReactorError;
use super::journal::{CONTROL, Held, State, load, stream_of};
use leftfold_api::{Append, Appended, Timestamp};

const REPLAY: &str = "leftfold.ReplayParked";
const SKIP: &str = "leftfold.SkipParked";

/// The parked events of a reactor, whether or not it runs, in whatever process.
///
/// ```no_run
/// # async fn show(store: &impl leftfold_api::EventStore) -> Result<(), leftfold::reactor::ReactorError> {
/// use leftfold::reactor::Parked;
///
/// let parked = Parked::of("mails", store);
/// for item in parked.list().await? {
///     println!("{}@{}: {}", item.stream, item.version, item.reason);
///     parked.replay(&item).await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// While an event is parked, those that come after it in its lane wait behind it, in the log, in
/// order; they are not counted against any limit of the reactor. When it is replayed and succeeds,
/// or is skipped, they follow in order.
pub struct Parked<'a, S> {
    reactor: String,
    store: &'a S,
}

/// An event at which a lane is held up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldEvent {
    /// The lane: what the reactor takes its events in order by.
    pub lane: String,
    /// The event's stream.
    pub stream: String,
    /// Its version.
    pub version: u64,
    /// Its position.
    pub position: u64,
    /// Its type.
    pub event_type: String,
    /// Attempts so far.
    pub attempts: u32,
    /// What was wrong the last time.
    pub reason: String,
    /// Since when it is held up.
    pub since: Timestamp,
    /// Why it is held up.
    pub why: Why,
}

/// Why a lane is held up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Somebody has to decide.
    Parked,
    /// It is tried again then.
    Retry(Timestamp),
    /// It waits for an event that matches this query, until a time if one was given.
    Waiting(String, Option<Timestamp>),
}

/// What somebody wants of a reactor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) stream: String,
    pub(crate) version: u64,
    #[serde(skip)]
    pub(crate) skip: bool,
}

impl<'a, S: EventStore> Parked<'a, S> {
    /// Those of the reactor of this name.
    pub fn of(reactor: impl Into<String>, store: &'a S) -> Self {
        Parked { reactor: reactor.into(), store }
    }

    /// All that is parked, in the order of the log.
    pub async fn list(&self) -> Result<Vec<HeldEvent>, ReactorError> {
        let mut held = self.list_held().await?;
        held.retain(|event| event.why == Why::Parked);
        Ok(held)
    }

    /// All that is held up, be it parked, waiting or to be tried again, in the order of the log.
    pub async fn list_held(&self) -> Result<Vec<HeldEvent>, ReactorError> {
        let journal = load(self.store, &self.reactor).await?;
        let mut held: Vec<_> = journal.lanes.into_iter().filter_map(held_event).collect();
        held.sort_by_key(|event| event.position);
        Ok(held)
    }

    /// Has it tried again, with all its attempts anew. Nothing happens if it is not parked any more
    /// when the reactor hears of it.
    pub async fn replay(&self, event: &HeldEvent) -> Result<Appended, ReactorError> {
        self.ask(REPLAY, event).await
    }

    /// Has it skipped: it counts as handled. Nothing happens if it is not parked any more when the
    /// reactor hears of it.
    pub async fn skip(&self, event: &HeldEvent) -> Result<Appended, ReactorError> {
        self.ask(SKIP, event).await
    }

    async fn ask(&self, what: &str, event: &HeldEvent) -> Result<Appended, ReactorError> {
        let request =
            Request { stream: event.stream.clone(), version: event.version, skip: what == SKIP };
        let data = serde_json::to_vec(&request).unwrap_or_default();
        let to = stream_of(CONTROL, &self.reactor);
        let append = Append::new().event(to, NewEvent::json(what, data));
        Ok(self.store.append(append).await?)
    }
}

fn held_event((lane, held): (String, Held)) -> Option<HeldEvent> {
    let head = held.head?;
    let why = match held.state {
        State::Parked => Why::Parked,
        State::Retry { due } => Why::Retry(Timestamp(due)),
        State::Waiting { query, until, .. } => Why::Waiting(query, until.map(Timestamp)),
        State::Behind | State::Begun => return None,
    };
    Some(HeldEvent {
        lane,
        stream: head.stream,
        version: head.version,
        position: head.position,
        event_type: head.event_type,
        attempts: head.attempts,
        reason: head.reason,
        since: Timestamp(head.since),
        why,
    })
}

/// Reads a request; what is none is ignored.
pub(crate) fn read(event: &Recorded) -> Option<Request> {
    let skip = match event.event_type() {
        REPLAY => false,
        SKIP => true,
        _ => return None,
    };
    let request: Request = serde_json::from_slice(&event.data()).ok()?;
    Some(Request { skip, ..request })
}
