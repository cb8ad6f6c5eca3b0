//! The audit of denials and of managed changes: as log lines and as events.
//!
//! A flood of denials fills neither the disk nor the log: a bounded number a second is recorded one
//! by one, the others are counted, and there is one append a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leftfold_api::Engine;
use leftfold_api::{Append, EventStore, NewEvent, Query, Retention, RetentionRule};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;

use super::denied::Denial;

/// The stream.
pub(super) const STREAM: &str = leftfold_api::names::AUDIT;
/// The retention rule that limits the age of its events, unless a manager changes it.
const RULE: &str = "audit";
/// The age up to which its events are kept.
const MAX_AGE: Duration = Duration::from_secs(90 * 86_400);
/// Denials that are recorded one by one in a second.
const RECORDED: u32 = 20;
/// Records that wait to be written.
const QUEUE: usize = 512;
/// The pause between two appends.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of the request's description in a record.
const DESCRIPTION: usize = 512;

/// Where a request comes from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address.
    pub peer: String,
    /// The request's id.
    pub request: String,
}

/// A record of the audit.
#[derive(Debug, Serialize)]
pub(super) struct AuditRecord {
    #[serde(skip)]
    event_type: &'static str,
    who: String,
    from: String,
    request: String,
    action: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What became of a change: `done`, the code of its error, or `unknown` if its request ended first.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// Denials since the last record that were not recorded one by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_told: Option<u64>,
}

/// Records denials and managed changes.
pub(super) struct Audit {
    entries: mpsc::Sender<AuditRecord>,
    rate: Mutex<Rate>,
    /// Whether records are appended as events: a server without users appends none.
    writes: AtomicBool,
}

/// A second, the denials recorded in it, and those since the last record that were not.
struct Rate {
    since: Instant,
    recorded: u32,
    not_told: u64,
}

fn cut(text: &str) -> String {
    let end = (0..=DESCRIPTION.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or_default()).unwrap_or_default().to_owned()
}

impl AuditRecord {
    pub(super) fn event(&self) -> NewEvent {
        NewEvent::json(self.event_type, serde_json::to_vec(self).unwrap_or_default())
    }

    pub(super) fn managed(
        who: &str,
        origin: &Origin,
        action: &str,
        what: &str,
        outcome: &str,
    ) -> Self {
        // Texts and not `Display`: a log in text quotes them, so none looks like another field.
        tracing::info!(target: "audit", who, from = origin.peer, request = origin.request, action,
                       what = cut(what), outcome, "managed");
        AuditRecord {
            event_type: "$Managed",
            who: who.to_owned(),
            from: origin.peer.clone(),
            request: origin.request.clone(),
            action: action.to_owned(),
            what: cut(what),
            why: None,
            outcome: Some(outcome.to_owned()),
            not_told: None,
        }
    }
}

impl Audit {
    pub(super) fn new() -> (Self, mpsc::Receiver<AuditRecord>) {
        let (entries, receiver) = mpsc::channel(QUEUE);
        let rate = Rate { since: Instant::now(), recorded: 0, not_told: 0 };
        (Audit { entries, rate: Mutex::new(rate), writes: AtomicBool::new(false) }, receiver)
    }

    /// Sets whether records are appended as events.
    pub(super) fn set_writes(&self, writes: bool) {
        self.writes.store(writes, Ordering::Relaxed);
    }

    /// Records a denial.
    pub(super) fn denied(
        &self,
        who: &str,
        origin: &Origin,
        action: &str,
        what: &str,
        why: &Denial,
    ) {
        let Some(not_told) = self.count_denial() else { return };
        let (what, outcome, why) = (cut(what), why.code(), cut(&why.to_string()));
        tracing::warn!(target: "audit", who = cut(who), from = origin.peer, request = origin.request,
                       action, what, outcome, why, not_told, "denied");
        let entry = AuditRecord {
            event_type: "$Denied",
            who: cut(who),
            from: origin.peer.clone(),
            request: origin.request.clone(),
            action: action.to_owned(),
            what,
            why: Some(why),
            outcome: None,
            not_told: (not_told > 0).then_some(not_told),
        };
        if self.writes.load(Ordering::Relaxed) {
            _ = self.entries.try_send(entry);
        }
    }

    /// Records a managed change and what became of it.
    pub(super) fn managed(
        &self,
        who: &str,
        origin: &Origin,
        action: &str,
        what: &str,
        outcome: &str,
    ) {
        let entry = AuditRecord::managed(who, origin, action, what, outcome);
        if self.writes.load(Ordering::Relaxed) && self.entries.try_send(entry).is_err() {
            tracing::warn!(target: "audit", "a record was logged but is not appended: too many wait");
        }
    }

    /// Counts a denial. Returns `None` if it is not recorded, else how many before were not.
    fn count_denial(&self) -> Option<u64> {
        let mut rate = self.rate.lock();
        if rate.since.elapsed() >= PAUSE {
            (rate.since, rate.recorded) = (Instant::now(), 0);
        }
        if rate.recorded == RECORDED {
            rate.not_told += 1;
            return None;
        }
        rate.recorded += 1;
        Some(std::mem::take(&mut rate.not_told))
    }
}

/// Appends records, at most once a second.
pub(super) async fn write(store: Arc<dyn Engine>, mut entries: mpsc::Receiver<AuditRecord>) {
    let mut batch = Vec::with_capacity(QUEUE);
    while entries.recv_many(&mut batch, QUEUE).await > 0 {
        let all = batch.drain(..);
        let append = all.fold(Append::new(), |append, entry| append.event(STREAM, entry.event()));
        if let Err(error) = store.append_system(append).await {
            tracing::warn!(target: "audit", %error, "records were logged but could not be appended");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Limits the age of records before the first is written. Later it is up to managers.
pub(super) async fn limit_age(store: &dyn Engine) -> Result<(), leftfold_api::AppendError> {
    if store.stream(STREAM).await?.is_some() {
        return Ok(());
    }
    if store.retention_rules().await?.iter().any(|rule| rule.name == RULE) {
        return Ok(());
    }
    let retention = Retention::default().max_age(MAX_AGE);
    let query = Query::category(STREAM);
    store.set_retention_rule(RetentionRule { name: RULE.to_owned(), query, retention }).await
}

/// Records a denial and a managed change with this text in each field.
#[cfg(test)]
pub(crate) fn record_for_test(text: &str, denied: &Denial) {
    let origin = Origin { peer: text.to_owned(), request: text.to_owned() };
    let (audit, _) = Audit::new();
    audit.denied(text, &origin, text, text, denied);
    audit.managed(text, &origin, text, text, text);
}
