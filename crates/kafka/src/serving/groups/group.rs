//! One group: its state behind a lock, and the task that watches its deadlines.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::registry::Registry;
use super::state::State;

/// A group. Its lock is held for a change of the state, never while something waits.
pub(super) struct Group {
    state: Mutex<State>,
    /// Tells the task that it must wake earlier than it planned.
    earlier: Notify,
}

/// What a visit of a group gave.
pub(super) struct Visit<T> {
    /// What the visitor returns; `None` if the group was dead.
    pub(super) answer: Option<T>,
    pub(super) is_dead: bool,
}

impl Group {
    pub(super) fn new(state: State) -> Self {
        Group { state: Mutex::new(state), earlier: Notify::new() }
    }

    /// Changes or reads the state. A group that has no member afterwards is dead from then on.
    pub(super) fn act<T>(&self, act: impl FnOnce(&mut State, Instant) -> T) -> Visit<T> {
        let mut state = self.state.lock();
        if state.is_dead() {
            return Visit { answer: None, is_dead: true };
        }
        let answer = act(&mut state, Instant::now());
        let is_dead = state.end_if_vacant();
        let must_wake = state.take_alarm();
        drop(state);
        if is_dead || must_wake {
            self.earlier.notify_one();
        }
        Visit { answer: Some(answer), is_dead }
    }
}

/// Applies the deadlines of the group until it is dead, then forgets it. One task per group, since a timer
/// per heartbeat would cost more than the heartbeat.
pub(super) async fn watch_deadlines(group: Arc<Group>, id: String, registry: Weak<Registry>) {
    loop {
        let visit = group.act(|state, now| state.expire(now));
        if visit.is_dead {
            break;
        }
        match visit.answer.flatten() {
            Some(deadline) => tokio::select! {
                () = sleep_until(deadline) => {}
                () = group.earlier.notified() => {}
            },
            None => group.earlier.notified().await,
        }
    }
    if let Some(registry) = registry.upgrade() {
        registry.discard(&id, &group);
    }
}
