//! Who was denied what, and who managed what: as log lines and as events.
//!
//! A flood of denials fills neither the disk nor the log: so many a second are told one by one, the
//! others are counted, and there is one append a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leftfold_api::Engine;
use leftfold_api::{Append, EventStore, NewEvent, Query, Retention, RetentionRule};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;

use super::Denied;

/// The stream.
pub(super) const STREAM: &str = "$audit";
/// The rule of retention that limits its age, until somebody changes it.
const RULE: &str = "audit";
/// For so long its events are kept.
const KEPT: Duration = Duration::from_secs(90 * 86_400);
/// So many denials are told one by one in a second.
const TOLD: u32 = 20;
/// So many records wait to be written.
const WAITING: usize = 512;
/// Between two appends.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of what somebody asked for, in a record.
const SHOWN: usize = 512;

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: String,
    /// The request's id.
    pub request: String,
}

/// One record.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    #[serde(skip)]
    event_type: &'static str,
    who: String,
    from: String,
    request: String,
    action: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Denials that were not told one by one, since the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_told: Option<u64>,
}

/// Where records go.
pub(super) struct Audit {
    entries: mpsc::Sender<Entry>,
    rate: Mutex<Rate>,
    /// Whether records are events too: a server without users writes nothing of its own.
    writes: AtomicBool,
}

/// A second, the denials told in it, and those that were not since the last that was.
struct Rate {
    since: Instant,
    told: u32,
    not_told: u64,
}

fn cut(text: &str) -> String {
    let end = (0..=SHOWN.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}

impl Entry {
    pub(super) fn event(&self) -> NewEvent {
        NewEvent::json(self.event_type, serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn managed(who: &str, origin: &Origin, action: &str, what: &str) -> Self {
        tracing::info!(target: "audit", who, from = %origin.peer, request = %origin.request, action,
                       what = %cut(what), "managed");
        Entry {
            event_type: "$Managed",
            who: who.to_owned(),
            from: origin.peer.clone(),
            request: origin.request.clone(),
            action: action.to_owned(),
            what: cut(what),
            why: None,
            not_told: None,
        }
    }
}

impl Audit {
    pub(super) fn new() -> (Self, mpsc::Receiver<Entry>) {
        let (entries, taken) = mpsc::channel(WAITING);
        let rate = Rate { since: Instant::now(), told: 0, not_told: 0 };
        (Audit { entries, rate: Mutex::new(rate), writes: AtomicBool::new(false) }, taken)
    }

    /// From now on records are events, or are not.
    pub(super) fn writes(&self, writes: bool) {
        self.writes.store(writes, Ordering::Relaxed);
    }

    /// Somebody was denied something.
    pub(super) fn denied(
        &self,
        who: &str,
        origin: &Origin,
        action: &str,
        what: &str,
        why: &Denied,
    ) {
        let Some(not_told) = self.turn() else { return };
        let (what, why) = (cut(what), cut(&why.to_string()));
        tracing::warn!(target: "audit", who, from = %origin.peer, request = %origin.request, action,
                       what, why, not_told, "denied");
        let entry = Entry {
            event_type: "$Denied",
            who: cut(who),
            from: origin.peer.clone(),
            request: origin.request.clone(),
            action: action.to_owned(),
            what,
            why: Some(why),
            not_told: (not_told > 0).then_some(not_told),
        };
        if self.writes.load(Ordering::Relaxed) {
            _ = self.entries.try_send(entry);
        }
    }

    /// Somebody changed something.
    pub(super) fn managed(&self, who: &str, origin: &Origin, action: &str, what: &str) {
        let entry = Entry::managed(who, origin, action, what);
        if self.writes.load(Ordering::Relaxed) && self.entries.try_send(entry).is_err() {
            tracing::warn!(target: "audit", "a record was logged, but has no event: too many");
        }
    }

    /// Whether a denial may be told now; how many were not.
    fn turn(&self) -> Option<u64> {
        let mut rate = self.rate.lock();
        if rate.since.elapsed() >= PAUSE {
            (rate.since, rate.told) = (Instant::now(), 0);
        }
        if rate.told == TOLD {
            rate.not_told += 1;
            return None;
        }
        rate.told += 1;
        Some(std::mem::take(&mut rate.not_told))
    }
}

/// Writes records, one append a second at most.
pub(super) async fn write(store: Arc<dyn Engine>, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(WAITING);
    while entries.recv_many(&mut batch, WAITING).await > 0 {
        let all = batch.drain(..);
        let append = all.fold(Append::new(), |append, entry| append.event(STREAM, entry.event()));
        if let Err(error) = store.append_system(append).await {
            tracing::warn!(target: "audit", %error, "records were logged, but have no events");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Limits the age of records, if there are none yet: later whoever manages decides.
pub(super) async fn limit_age(store: &dyn Engine) -> Result<(), leftfold_api::AppendError> {
    if store.stream(STREAM).await?.is_some() {
        return Ok(());
    }
    if store.retention_rules().await?.iter().any(|rule| rule.name == RULE) {
        return Ok(());
    }
    let retention = Retention::default().max_age(KEPT);
    let query = Query::category(STREAM);
    store.set_retention_rule(RetentionRule { name: RULE.to_owned(), query, retention }).await
}
