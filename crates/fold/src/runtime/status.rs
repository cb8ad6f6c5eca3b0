use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::part::{Part, PartError};

/// The kind of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartKind {
    /// A reactor, a process manager or the timers.
    Reactor,
    /// A command stream.
    Commands,
    /// A view.
    View,
}

/// The state of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartState {
    /// It waits for the lease, which another process holds.
    Standby,
    /// It runs.
    Running,
    /// It has failed and is restarted after a pause.
    BackingOff,
    /// It has failed, and a restart can't help.
    Failed,
    /// It has not started, or the runtime has ended.
    Stopped,
}

/// The state of a runtime's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeaseState {
    /// The runtime has no lease: see [`Runtime::alone`](super::Runtime::alone).
    Alone,
    /// This process holds it.
    Held,
    /// This process does not hold it.
    NotHeld,
}

/// Why a part has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartFailure {
    /// A stable error code.
    pub code: String,
    /// The error message.
    pub message: String,
}

/// The status of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartStatus {
    /// The name of the reactor, the command stream or the view.
    pub name: String,
    /// Its kind.
    pub kind: PartKind,
    /// Its state.
    pub state: PartState,
    /// How often it was restarted after a failure.
    pub restarts: u64,
    /// Its last failure, also if it has run since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_error: Option<PartFailure>,
    /// How far it is behind the store, in milliseconds, if it was asked for and is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lag_ms: Option<u64>,
}

/// The status of a runtime.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RuntimeStatus {
    /// The name of the runtime.
    pub name: String,
    /// The state of its lease.
    pub lease: LeaseState,
    /// Why the lease could not be acquired or renewed at the last failure.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lease_error: Option<PartFailure>,
    /// Its parts, in the order in which they were added.
    pub parts: Vec<PartStatus>,
}

impl RuntimeStatus {
    /// Returns whether every part runs, or waits for the lease while that can be acquired.
    pub fn is_healthy(&self) -> bool {
        if self.lease == LeaseState::NotHeld && self.lease_error.is_some() {
            return false;
        }
        let is_fine = |state| matches!(state, PartState::Running | PartState::Standby);
        self.parts.iter().all(|part| is_fine(part.state))
    }
}

/// Shows the status of a runtime, also while it runs and after it has ended. Clones show the same.
#[derive(Clone)]
pub struct StatusHandle {
    pub(super) board: Board,
    pub(super) parts: Vec<Arc<dyn Part>>,
}

impl StatusHandle {
    /// Returns the status, without lags. Reads nothing from the store.
    pub fn get(&self) -> RuntimeStatus {
        self.board.status.lock().clone()
    }

    /// Returns the status with the lag of each view. Reads from the store; a lag that can't be read is
    /// `None`.
    pub async fn with_lag(&self) -> RuntimeStatus {
        let mut status = self.get();
        for (part, status) in self.parts.iter().zip(&mut status.parts) {
            let millis = |lag: Duration| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
            status.lag_ms = part.lag().await.map(millis);
        }
        status
    }
}

/// The status that the parts write.
#[derive(Clone)]
pub(super) struct Board {
    status: Arc<Mutex<RuntimeStatus>>,
}

impl Board {
    pub(super) fn new(name: String, lease: LeaseState) -> Self {
        let status = RuntimeStatus { name, lease, lease_error: None, parts: Vec::new() };
        Board { status: Arc::new(Mutex::new(status)) }
    }

    pub(super) fn add(&self, part: &dyn Part) {
        self.status.lock().parts.push(PartStatus {
            name: part.name(),
            kind: part.kind(),
            state: PartState::Stopped,
            restarts: 0,
            last_error: None,
            lag_ms: None,
        });
    }

    pub(super) fn set_name(&self, name: String) {
        self.status.lock().name = name;
    }

    pub(super) fn set_lease(&self, lease: LeaseState) {
        self.status.lock().lease = lease;
    }

    pub(super) fn set_lease_error(&self, error: &PartError) {
        self.status.lock().lease_error = Some(error.failure());
    }

    pub(super) fn clear_lease_error(&self) {
        self.status.lock().lease_error = None;
    }

    /// Changes the status of the part of a number.
    pub(super) fn change(&self, part: usize, change: impl FnOnce(&mut PartStatus)) {
        if let Some(part) = self.status.lock().parts.get_mut(part) {
            change(part);
        }
    }

    /// Sets the state of a part, unless it has failed for good.
    pub(super) fn set(&self, part: usize, state: PartState) {
        self.change(part, |part| {
            if part.state != PartState::Failed {
                part.state = state;
            }
        });
    }

    pub(super) fn has_failed(&self, part: usize) -> bool {
        let status = self.status.lock();
        status.parts.get(part).is_some_and(|part| part.state == PartState::Failed)
    }
}
