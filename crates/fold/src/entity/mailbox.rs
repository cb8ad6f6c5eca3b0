//! The queue of one entity, and its running batch.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use event_listener::{Event, EventListener};
use parking_lot::Mutex;

use super::job::Job;
use super::reads::LoadedEntity;
use crate::panic::{catch, catch_async};
use crate::reads::Source;
use crate::state::State;

/// The maximum number of commands in one append.
const BATCH: usize = 256;

/// A running batch of commands; it yields the state, if that is known at the end.
pub(crate) type BatchFuture<S> = Pin<Box<dyn Future<Output = Option<LoadedEntity<S>>> + Send>>;

/// The mailbox of an entity.
pub(crate) struct Mailbox<S: State> {
    pub(crate) source: Source,
    /// The length of its key in the registry.
    pub(crate) key_len: usize,
    inner: Mutex<Inner<S>>,
    changed: Event,
    /// The bytes that it counts for in the budget; set by the registry.
    pub(crate) charged: AtomicUsize,
}

struct Inner<S: State> {
    waiting: VecDeque<Box<dyn Job<S>>>,
    state: Option<LoadedEntity<S>>,
    /// The unfinished batch of a caller that dropped its future.
    unfinished: Option<BatchFuture<S>>,
    /// Whether a caller runs a batch.
    is_running: bool,
}

impl<S: State> Mailbox<S> {
    pub(crate) fn new(source: Source, key_len: usize) -> Self {
        let inner =
            Inner { waiting: VecDeque::new(), state: None, unfinished: None, is_running: false };
        Mailbox {
            source,
            key_len,
            inner: Mutex::new(inner),
            changed: Event::new(),
            charged: AtomicUsize::new(0),
        }
    }

    /// Queues a command, or returns it if the mailbox is full.
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

    /// Returns a listener that is notified when a batch has ended or was abandoned.
    pub(crate) fn listen(&self) -> EventListener {
        self.changed.listen()
    }

    /// Claims the next batch, unless another caller runs one.
    pub(crate) fn claim_batch(
        self: &Arc<Self>,
        begin: impl FnOnce(Vec<Box<dyn Job<S>>>, Option<LoadedEntity<S>>) -> BatchFuture<S>,
    ) -> Option<BatchClaim<S>> {
        let mut inner = self.inner.lock();
        if inner.is_running {
            return None;
        }
        let work = match inner.unfinished.take() {
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
        inner.is_running = true;
        Some(BatchClaim { mailbox: self.clone(), work: Some(work) })
    }
}

impl<S: State> Inner<S> {
    /// Takes the next commands whose callers still wait.
    fn batch(&mut self) -> Vec<Box<dyn Job<S>>> {
        let waiting = std::iter::from_fn(|| self.waiting.pop_front());
        waiting.filter(|job| !job.is_abandoned()).take(BATCH).collect()
    }
}

/// A caller's claim to run a batch. If it is dropped, the unfinished batch goes to the next caller.
pub(crate) struct BatchClaim<S: State> {
    mailbox: Arc<Mailbox<S>>,
    work: Option<BatchFuture<S>>,
}

impl<S: State> BatchClaim<S> {
    /// Runs the batch to its end; returns the bytes that the state takes. A batch that panics is
    /// over, and so is its state.
    pub(crate) async fn finish(mut self) -> usize {
        let state = match &mut self.work {
            Some(work) => catch_async(work).await.ok().flatten(),
            None => None,
        };
        // A poll after a panic would panic again.
        self.work = None;
        let sized = state.and_then(|state| Some((catch(|| state.states.bytes()).ok()?, state)));
        let (bytes, state) = sized.unzip();
        self.mailbox.inner.lock().state = state;
        bytes.unwrap_or(0)
    }
}

impl<S: State> Drop for BatchClaim<S> {
    fn drop(&mut self) {
        let mut inner = self.mailbox.inner.lock();
        inner.unfinished = self.work.take();
        inner.is_running = false;
        drop(inner);
        self.mailbox.changed.notify(usize::MAX);
    }
}
