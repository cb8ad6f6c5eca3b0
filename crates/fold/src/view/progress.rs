use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use super::ViewError;

/// What those who wait for a view are told of its runs.
#[derive(Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    /// Notified at every commit, at every swap of rows, and when a run begins or ends.
    moved: Event,
}

#[derive(Default)]
struct State {
    runs: usize,
    /// Whether the last run has ended.
    stopped: bool,
    /// Why the last run has failed. The next progress clears it.
    failure: Option<ViewError>,
}

/// A run. Dropping it ends the run, for those who wait too.
pub(super) struct Running<'a>(&'a Progress);

impl Progress {
    pub(super) fn begin(&self) -> Running<'_> {
        let mut state = self.state.lock();
        state.runs += 1;
        state.stopped = false;
        Running(self)
    }

    /// Clears the last failure.
    pub(super) fn advance(&self) {
        self.state.lock().failure = None;
        self.moved.notify(usize::MAX);
    }

    /// Records the failure of a result.
    pub(super) fn record<T>(&self, ended: Result<T, ViewError>) -> Result<T, ViewError> {
        if let Err(error) = &ended {
            self.state.lock().failure = Some(error.clone());
            self.moved.notify(usize::MAX);
        }
        ended
    }

    pub(super) fn listen(&self) -> EventListener {
        self.moved.listen()
    }

    /// Returns why it is no use to wait.
    pub(super) fn check(&self, view: &str) -> Result<(), ViewError> {
        let state = self.state.lock();
        match &state.failure {
            Some(failure) => Err(failure.clone()),
            None if state.stopped => Err(ViewError::Stopped { view: view.to_owned() }),
            None => Ok(()),
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.runs -= 1;
        state.stopped = state.runs == 0;
        drop(state);
        self.0.moved.notify(usize::MAX);
    }
}
