//! The lease of a runtime: which of several processes runs its parts.
//!
//! The lease is a stream, `leftfold.lease-NAME`. Its last event says who holds it, or that it was
//! released. Each event is appended at the version that its writer has read, so one of two writers
//! fails. The holder appends another event every third of the term. It gives up once it could not
//! renew for two thirds of the term, and its parts have the last third to end. A standby takes over
//! when the last event has not changed for a whole term, by its own clock and counted from when it
//! saw the event. So clocks need not agree, they only need to run equally fast.
//!
//! A process that is suspended for longer than a term may run beside its successor for a moment.
//! Then the journals of the reactors refuse what the older one writes. The lease only avoids that
//! this is the normal case.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use leftfold_api::{
    Append, AppendError, Conflict, Cursor, Delivery, EventStore, Expected, NewEvent, Query, Read,
    ReadError, Retention, Subscribe, Subscription, Timestamp, names,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Environment;
use super::part::PartError;
use crate::text::as_text;
use crate::time::later;

const HELD: &str = "leftfold.LeaseHeld";
const RELEASED: &str = "leftfold.LeaseReleased";
/// The events of a lease that are kept.
const KEPT_EVENTS: u64 = 8;
/// The number of lost races for a lease after which each is followed by a pause.
const RACES: u32 = 4;
/// How often a release is tried while another append of the same process overtakes it.
const RELEASE_ATTEMPTS: u32 = 4;

pub(super) struct Lease<S> {
    store: Arc<S>,
    stream: String,
    holder: Uuid,
    term: Duration,
    environment: Arc<Environment>,
}

/// The lease while this process holds it.
pub(super) struct Held {
    version: u64,
    /// When the last event that extended it was sent.
    sent: Timestamp,
}

/// The data of the events of a lease.
#[derive(Serialize, Deserialize)]
struct LeaseFact {
    #[serde(with = "as_text")]
    holder: Uuid,
    term_ms: u64,
}

/// The last event of a lease.
struct LastFact {
    /// `None` if the stream has no events.
    version: Option<u64>,
    /// The holder and its term, if it was not released.
    held: Option<(Uuid, Duration)>,
    /// Whether the event was read, rather than the version alone.
    is_read: bool,
    /// A cursor before it or behind it, but not behind any later one.
    cursor: Cursor,
}

impl LastFact {
    /// Returns the condition that nothing has come since.
    fn condition(&self, stream: &str) -> Append {
        let expected = self.version.map_or(Expected::NoStream, Expected::Exactly);
        let append = Append::new().expect(stream, expected);
        match self.is_read {
            true => append,
            // The version was found by another call than that there is no event.
            false => append.none_after(Query::stream(stream), self.cursor.clone()),
        }
    }
}

impl<S: EventStore + 'static> Lease<S> {
    pub(super) fn new(
        store: Arc<S>,
        name: &str,
        term: Duration,
        environment: Arc<Environment>,
    ) -> Self {
        let random = environment.random().next_u128().to_le_bytes();
        let holder = uuid::Builder::from_random_bytes(random).into_uuid();
        Lease { store, stream: format!("{}-{name}", names::LEASES), holder, term, environment }
    }

    /// Returns how long the parts may take to end once the lease is lost.
    pub(super) fn grace(&self) -> Duration {
        self.term / 3
    }

    /// Waits until this process holds the lease. Failures of the store are retried.
    pub(super) async fn acquire(&self) -> Held {
        let (mut failures, mut races) = (0, 0);
        loop {
            match self.try_acquire().await {
                Ok(Some(held)) => return held,
                // Another process was faster, or an earlier append of this one. The next read sees it.
                Ok(None) => {
                    races += 1;
                    if races <= RACES {
                        continue;
                    }
                    failures = 1;
                }
                Err(error) => {
                    self.environment.board.set_lease_error(&error);
                    failures += 1;
                }
            }
            self.environment.pause(failures).await;
        }
    }

    /// Waits until no other process holds the lease; returns `None` if another append was faster then.
    async fn try_acquire(&self) -> Result<Option<Held>, PartError> {
        let mut last = self.last().await?;
        self.environment.board.clear_lease_error();
        while let Some((holder, term)) = last.held
            && holder != self.holder
            && self.changes_within(&last, term).await?
        {
            last = self.last().await?;
        }
        match self.extend(last.condition(&self.stream)).await {
            Ok(held) => {
                if last.version.is_none() {
                    // If this fails, the events of the lease are only not dropped.
                    let kept = Retention::default().max_count(KEPT_EVENTS);
                    _ = self.store.set_retention(&self.stream, kept).await;
                }
                Ok(Some(held))
            }
            Err(AppendError::Conflict(Conflict::Version { .. } | Conflict::Query { .. })) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Renews the lease until it is lost.
    pub(super) async fn keep(&self, mut held: Held) {
        loop {
            let time = self.environment.time();
            time.until(later(held.sent, self.term / 3)).await;
            let give_up = later(held.sent, self.term * 2 / 3);
            let renewal = self.renew(held.version);
            match select(pin!(renewal), time.until(give_up)).await {
                Either::Left((Some(renewed), _)) => held = renewed,
                Either::Left((None, _)) | Either::Right(_) => return,
            }
        }
    }

    /// Renews the lease; returns `None` if another process has it. Failures are retried.
    async fn renew(&self, version: u64) -> Option<Held> {
        let (mut failures, sent) = (0, self.environment.time().now());
        loop {
            let unchanged = Append::new().expect(&self.stream, Expected::Exactly(version));
            match self.extend(unchanged).await {
                Ok(held) => return Some(held),
                Err(AppendError::Conflict(_)) => {
                    // An earlier attempt may have been written without an answer.
                    let last = self.last().await;
                    if let Ok(LastFact { version: Some(version), held: Some((holder, _)), .. }) =
                        last
                        && holder == self.holder
                    {
                        return Some(Held { version, sent });
                    }
                    return None;
                }
                Err(error) => {
                    self.environment.board.set_lease_error(&error.into());
                    failures += 1;
                    self.environment.pause(failures).await;
                }
            }
        }
    }

    /// Releases the lease if this process holds it, so that a standby takes over at once.
    pub(super) async fn release(&self) {
        let bound = self.environment.time().after(self.grace());
        let release = async {
            for _ in 0..RELEASE_ATTEMPTS {
                let Ok(last) = self.last().await else { continue };
                if last.held.is_none_or(|(holder, _)| holder != self.holder) {
                    return;
                }
                if self.append(RELEASED, last.condition(&self.stream)).await.is_ok() {
                    return;
                }
            }
        };
        select(pin!(release), bound).await;
    }

    /// Appends an event that extends the lease, on a condition.
    async fn extend(&self, condition: Append) -> Result<Held, AppendError> {
        let sent = self.environment.time().now();
        let version = self.append(HELD, condition).await?;
        Ok(Held { version, sent })
    }

    /// Appends an event of the lease, on a condition; returns its version.
    async fn append(&self, event_type: &str, condition: Append) -> Result<u64, AppendError> {
        let term_ms = u64::try_from(self.term.as_millis()).unwrap_or(u64::MAX);
        let fact = LeaseFact { holder: self.holder, term_ms };
        let event = NewEvent::json(event_type, serde_json::to_vec(&fact).unwrap_or_default());
        let appended = self.store.append(condition.event(&self.stream, event)).await?;
        Ok(appended.streams.first().map_or(0, |versions| versions.last))
    }

    /// Reads the last event.
    async fn last(&self) -> Result<LastFact, ReadError> {
        // Events between this and the read are seen by both.
        let cursor = self.store.head().await?;
        let last = Read::backward(Query::stream(&self.stream)).at_least(cursor.clone()).limit(1);
        let page = self.store.read(last).await?;
        let Some(event) = page.events.first() else {
            // The stream may have been deleted; its versions go on.
            let version = self.store.stream(&self.stream).await?.map(|info| info.version);
            return Ok(LastFact { version, held: None, is_read: false, cursor });
        };
        let held = (event.event_type() != RELEASED).then(|| {
            match serde_json::from_slice::<LeaseFact>(&event.data()) {
                Ok(fact) => (fact.holder, Duration::from_millis(fact.term_ms)),
                // What can't be read is another's.
                Err(_) => (Uuid::nil(), self.term),
            }
        });
        Ok(LastFact { version: Some(event.version()), held, is_read: true, cursor })
    }

    /// Returns whether there is another event within the term, counted from now.
    async fn changes_within(&self, last: &LastFact, term: Duration) -> Result<bool, ReadError> {
        let end = self.environment.time().after(term);
        let change = async {
            let query = Query::stream(&self.stream);
            let mut news =
                self.store.subscribe(Subscribe::after(query, last.cursor.clone())).await?;
            loop {
                match news.next().await? {
                    Delivery::Event(event, _) if Some(event.version()) > last.version => {
                        return Ok(());
                    }
                    Delivery::Event(..) | Delivery::CaughtUp(_) => {}
                }
            }
        };
        match select(pin!(change), end).await {
            Either::Left((changed, _)) => changed.map(|()| true),
            Either::Right(_) => Ok(false),
        }
    }
}

/// Waits for a future, at most for a time; returns whether it was ready.
pub(super) async fn within(
    environment: &Environment,
    time: Duration,
    future: impl Future<Output = ()>,
) -> bool {
    let end = environment.time().after(time);
    matches!(select(pin!(future), end).await, Either::Left(_))
}
