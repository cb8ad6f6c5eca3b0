//! What waits for one entity, and the work that is under way.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use super::job::Job;
use crate::execute::Loaded;
use crate::reads::By;
use crate::state::State;

/// So many commands are decided for one append at most.
const BATCH: usize = 256;

/// A batch of commands on its way; ends with the state, if it is known then.
pub(crate) type Work<S> = Pin<Box<dyn Future<Output = Option<Loaded<By<S>>>> + Send>>;

/// An entity's mailbox.
pub(crate) struct Mailbox<S: State> {
    pub(crate) stream: String,
    inner: Mutex<Inner<S>>,
    changed: Event,
    /// Bytes that it is charged with, kept by the registry.
    pub(crate) charged: AtomicUsize,
    /// Whether it was asked for since the registry looked at it last.
    pub(crate) touched: AtomicBool,
}

struct Inner<S: State> {
    waiting: VecDeque<Box<dyn Job<S>>>,
    state: Option<Loaded<By<S>>>,
    /// Work that was begun by somebody who went away.
    left: Option<Work<S>>,
    /// Whether somebody is at work.
    taken: bool,
}

impl<S: State> Mailbox<S> {
    pub(crate) fn new(stream: String) -> Self {
        let inner = Inner { waiting: VecDeque::new(), state: None, left: None, taken: false };
        Mailbox {
            stream,
            inner: Mutex::new(inner),
            changed: Event::new(),
            charged: AtomicUsize::new(0),
            touched: AtomicBool::new(true),
        }
    }

    /// Puts a command in; gives it back if there is no room.
    pub(crate) fn send(&self, job: Box<dyn Job<S>>, room: usize) -> Option<Box<dyn Job<S>>> {
        let mut inner = self.inner.lock();
        if inner.waiting.len() >= room {
            inner.waiting.retain(|job| !job.is_abandoned());
        }
        if inner.waiting.len() >= room {
            return Some(job);
        }
        inner.waiting.push_back(job);
        None
    }

    /// Whoever listens is woken when a batch has ended or was left.
    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Takes the work that is there to be done, unless somebody else does it.
    pub(crate) fn take_over(
        self: &Arc<Self>,
        begin: impl FnOnce(Vec<Box<dyn Job<S>>>, Option<Loaded<By<S>>>) -> Work<S>,
    ) -> Option<Turn<S>> {
        let mut inner = self.inner.lock();
        if inner.taken {
            return None;
        }
        let work = match inner.left.take() {
            Some(work) => work,
            None => {
                let batch = inner.batch();
                if batch.is_empty() {
                    return None;
                }
                let state = inner.state.take();
                begin(batch, state)
            }
        };
        inner.taken = true;
        Some(Turn { mailbox: self.clone(), work: Some(work) })
    }

    /// Whether nothing is under way and nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.inner.lock();
        !inner.taken && inner.left.is_none() && inner.waiting.is_empty()
    }
}

impl<S: State> Inner<S> {
    /// The commands that are next and whose senders still wait.
    fn batch(&mut self) -> Vec<Box<dyn Job<S>>> {
        let waiting = std::iter::from_fn(|| self.waiting.pop_front());
        waiting.filter(|job| !job.is_abandoned()).take(BATCH).collect()
    }
}

/// Somebody's turn to work for a mailbox. If it is dropped, the work is left for the next.
pub(crate) struct Turn<S: State> {
    mailbox: Arc<Mailbox<S>>,
    work: Option<Work<S>>,
}

impl<S: State> Turn<S> {
    /// Works until the batch has ended; tells how many bytes the state takes then.
    pub(crate) async fn finish(mut self) -> usize {
        let state = match &mut self.work {
            Some(work) => work.await,
            None => None,
        };
        self.work = None;
        let bytes = state.as_ref().map_or(0, |loaded| loaded.states.bytes());
        self.mailbox.inner.lock().state = state;
        bytes
    }
}

impl<S: State> Drop for Turn<S> {
    fn drop(&mut self) {
        let mut inner = self.mailbox.inner.lock();
        inner.left = self.work.take();
        inner.taken = false;
        drop(inner);
        self.mailbox.changed.notify(usize::MAX);
    }
}
