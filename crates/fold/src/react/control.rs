use leftfold_api::{EventStore, NewEvent, Recorded};
use serde::{Deserialize, Serialize};

use super::ReactorError;
use super::journal::{CONTROL, HoldState, LaneState, load, stream_of};
use super::place::Place;
use super::spread::count_partitions;
use leftfold_api::{Append, Appended, Timestamp, partition_of};

const REPLAY: &str = "leftfold.ReplayParked";
const SKIP: &str = "leftfold.SkipParked";

/// The number of requests in one append.
const REQUESTS: usize = 1_000;

/// The parked events of a reactor; works whether or not the reactor runs, and in any process.
///
/// ```no_run
/// # async fn show(store: &impl leftfold_api::EventStore) -> Result<(), leftfold::react::ReactorError> {
/// use leftfold::react::Parked;
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
/// While an event is parked, later events of its lane wait in the log, in order. They count against
/// no limit of the reactor. They follow once the event was replayed with success, or skipped.
pub struct Parked<'a, S> {
    reactor: String,
    store: &'a S,
}

/// An event that holds up its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldEvent {
    /// The lane's key.
    pub lane: String,
    /// The event's stream.
    pub stream: String,
    /// Its version.
    pub version: u64,
    /// Its position.
    pub position: u64,
    /// Its event type.
    pub event_type: String,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The error of the last attempt.
    pub reason: String,
    /// The time since when the lane is held up.
    pub since: Timestamp,
    /// Why the lane is held up.
    pub why: Why,
}

/// Why a lane is held up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// It is parked until an operator replays or skips it.
    Parked,
    /// It is retried at this time.
    Retry(Timestamp),
    /// It waits for an event that matches this query, until the deadline if there is one.
    Waiting(String, Option<Timestamp>),
}

/// A request of an operator to a reactor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OperatorRequest {
    /// The lane, so that it need not be searched. Earlier releases did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lane: Option<String>,
    pub(crate) stream: String,
    pub(crate) version: u64,
    #[serde(skip)]
    pub(crate) skip: bool,
}

impl<'a, S: EventStore> Parked<'a, S> {
    /// Returns the parked events of the reactor of this name.
    pub fn of(reactor: impl Into<String>, store: &'a S) -> Self {
        Parked { reactor: reactor.into(), store }
    }

    /// Returns the name of a reactor from that of its journal, without the category: in a store of many partitions
    /// the name begins with the partition's key in braces.
    pub fn reactor_of(journal: &str) -> &str {
        let behind = journal.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let is_key = |key: &str| key.chars().all(|c| c.is_ascii_digit() || c == '.');
        behind.filter(|(key, _)| is_key(key)).map_or(journal, |(_, reactor)| reactor)
    }

    /// Lists the parked events, in the order of the log.
    pub async fn list(&self) -> Result<Vec<HeldEvent>, ReactorError> {
        let mut held = self.list_held().await?;
        held.retain(|event| event.why == Why::Parked);
        Ok(held)
    }

    /// Lists all events that hold up a lane (parked, waiting or to be retried), in the order of the
    /// log; with many partitions, one partition after the other.
    pub async fn list_held(&self) -> Result<Vec<HeldEvent>, ReactorError> {
        let (of, mut all) = (count_partitions(self.store).await?, Vec::new());
        for partition in 0..of {
            let journal = load(self.store, &self.name_in(partition, of)).await?;
            let mut held: Vec<_> = journal.lanes.into_iter().filter_map(held_event).collect();
            held.sort_by_key(|event| event.position);
            all.extend(held);
        }
        Ok(all)
    }

    /// Returns the name under which the reactor keeps its progress in a partition.
    fn name_in(&self, partition: u32, of: u32) -> String {
        match of {
            1 => self.reactor.clone(),
            of => Place { partition, of }.name_of(&self.reactor),
        }
    }

    /// Requests that the event is retried, with its full number of attempts. The request has no
    /// effect if the event is not parked any more when the reactor reads it.
    pub async fn replay(&self, event: &HeldEvent) -> Result<Appended, ReactorError> {
        self.append_requests(REPLAY, std::slice::from_ref(event)).await
    }

    /// Requests that all parked events are retried; returns their number. See [`Parked::replay`].
    pub async fn replay_all(&self) -> Result<usize, ReactorError> {
        self.replay_where(|_| true).await
    }

    /// Requests that the parked events which a test selects are retried; returns their number.
    pub async fn replay_where(
        &self,
        is_wanted: impl Fn(&HeldEvent) -> bool,
    ) -> Result<usize, ReactorError> {
        let mut wanted = self.list().await?;
        wanted.retain(is_wanted);
        let of = count_partitions(self.store).await?;
        let home = |event: &HeldEvent| partition_of(&event.stream, of);
        wanted.sort_by_key(home);
        for of_one in wanted.chunk_by(|one, other| home(one) == home(other)) {
            for requests in of_one.chunks(REQUESTS) {
                self.append_requests(REPLAY, requests).await?;
            }
        }
        Ok(wanted.len())
    }

    /// Requests that the event is skipped: it counts as handled. The request has no effect if the
    /// event is not parked any more when the reactor reads it.
    pub async fn skip(&self, event: &HeldEvent) -> Result<Appended, ReactorError> {
        self.append_requests(SKIP, std::slice::from_ref(event)).await
    }

    async fn append_requests(
        &self,
        what: &str,
        events: &[HeldEvent],
    ) -> Result<Appended, ReactorError> {
        let of = count_partitions(self.store).await?;
        let mut append = Append::new();
        for event in events {
            let request = OperatorRequest {
                lane: Some(event.lane.clone()),
                stream: event.stream.clone(),
                version: event.version,
                skip: what == SKIP,
            };
            let data = serde_json::to_vec(&request).unwrap_or_default();
            let home = partition_of(&event.stream, of);
            let to = stream_of(CONTROL, &self.name_in(home, of));
            append = append.event(to, NewEvent::json(what, data));
        }
        Ok(self.store.append(append).await?)
    }
}

fn held_event((lane, held): (String, LaneState)) -> Option<HeldEvent> {
    let head = held.head?;
    let why = match held.state {
        HoldState::Parked => Why::Parked,
        HoldState::Retry { due } => Why::Retry(Timestamp(due)),
        HoldState::Waiting { query, until, .. } => Why::Waiting(query, until.map(Timestamp)),
        HoldState::Behind | HoldState::Begun => return None,
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

/// Decodes a request, or returns `None` if the event is not one.
pub(crate) fn decode_request(event: &Recorded) -> Option<OperatorRequest> {
    let skip = match event.event_type() {
        REPLAY => false,
        SKIP => true,
        _ => return None,
    };
    let request: OperatorRequest = serde_json::from_slice(&event.data()).ok()?;
    Some(OperatorRequest { skip, ..request })
}
