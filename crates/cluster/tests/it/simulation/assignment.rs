use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use event_listener::Event;

/// Whether a node shall own the partition, as far as it was told. It may be wrong: several nodes are told so at a time,
/// or none.
#[derive(Clone, Default)]
pub(crate) struct Assignment(Arc<Inner>);

#[derive(Default)]
struct Inner {
    owns: AtomicBool,
    changed: Event,
}

impl Assignment {
    pub(crate) fn is_owner(&self) -> bool {
        self.0.owns.load(Ordering::SeqCst)
    }

    /// Tells the node.
    pub(crate) fn set(&self, owns: bool) {
        if self.0.owns.swap(owns, Ordering::SeqCst) != owns {
            self.0.changed.notify(usize::MAX);
        }
    }

    /// Waits until the node is told that it owns the partition, or that it does not.
    pub(crate) async fn wait_until(&self, owns: bool) {
        loop {
            // Listen before checking, so that no change is missed.
            let changed = self.0.changed.listen();
            if self.is_owner() == owns {
                return;
            }
            changed.await;
        }
    }
}
