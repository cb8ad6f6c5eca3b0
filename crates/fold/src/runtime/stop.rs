use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;

/// A signal to stop, shared by all parts.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    is_set: AtomicBool,
    changed: Event,
}

impl Stop {
    pub(crate) fn set(&self) {
        self.inner.is_set.store(true, Ordering::SeqCst);
        self.inner.changed.notify(usize::MAX);
    }

    pub(crate) fn is_set(&self) -> bool {
        self.inner.is_set.load(Ordering::SeqCst)
    }

    /// Waits until the signal is set.
    pub(crate) fn wait(&self) -> impl Future<Output = ()> + Send + use<> {
        let inner = self.inner.clone();
        async move {
            loop {
                // Listen before checking, so that no signal is missed.
                let changed = inner.changed.listen();
                if inner.is_set.load(Ordering::SeqCst) {
                    return;
                }
                changed.await;
            }
        }
    }
}
