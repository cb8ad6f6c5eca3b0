//! What a connector is doing.

use std::sync::Arc;

use leftfold_api::BoxFuture;
use parking_lot::Mutex;
use serde::Serialize;

/// What a connector is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ConnectorStatus {
    /// Its name.
    pub name: String,
    /// What it connects with, such as `http`.
    pub kind: String,
    /// Its phase.
    pub phase: ConnectorPhase,
    /// The events that go out; `None` if it brings events in.
    pub query: Option<String>,
    /// What its run has measured; `None` if it does not run.
    #[serde(flatten)]
    pub gauges: Option<Gauges>,
    /// Why it does not run, or what its last attempt has met.
    pub failure: Option<String>,
    /// The stable code of the failure.
    pub code: Option<String>,
    /// The text of its file.
    pub text: String,
}

/// The phase of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ConnectorPhase {
    /// It works.
    Running,
    /// The last attempt has failed; another one comes by itself.
    Retrying,
    /// It has failed, and waits for a change of its definition or to be resumed.
    Failed,
    /// It was paused.
    Paused,
    /// Another node of the cluster runs it.
    Elsewhere,
}

/// What the run of a connector has measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Gauges {
    /// The events that were delivered or appended since the run began.
    pub events: u64,
    /// The events that were skipped since the run began.
    pub skipped: u64,
    /// The streams that are held up by an event that is parked, or is tried again.
    pub held: u64,
    /// How long ago the oldest event that is not delivered was committed, or the oldest row was written; `None` if it is
    /// unknown.
    pub lag_micros: Option<u64>,
}

type Measure = dyn Fn() -> BoxFuture<'static, Gauges> + Send + Sync;

/// Where a run shows what it measures.
#[derive(Clone, Default)]
pub(crate) struct GaugesCell(Arc<Mutex<Option<Arc<Measure>>>>);

impl GaugesCell {
    /// Shows what a run measures from now on.
    pub(crate) fn show(
        &self,
        measure: impl Fn() -> BoxFuture<'static, Gauges> + Send + Sync + 'static,
    ) {
        *self.0.lock() = Some(Arc::new(measure));
    }

    /// Forgets a run that has ended.
    pub(super) fn clear(&self) {
        *self.0.lock() = None;
    }

    pub(super) async fn read(&self) -> Option<Gauges> {
        let measure = self.0.lock().clone()?;
        Some(measure().await)
    }
}
