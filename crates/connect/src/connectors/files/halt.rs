//! Ends the work of a thread when its run ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::connectors::follow::StopSignal;

/// Tells the thread that reads whether its run is to stop, or was dropped.
#[derive(Clone)]
pub(super) struct Halt {
    stop: StopSignal,
    is_dropped: Arc<AtomicBool>,
}

/// Halts the thread when it is dropped.
pub(super) struct HaltOnDrop(Arc<AtomicBool>);

impl Halt {
    pub(super) fn new(stop: StopSignal) -> Self {
        Halt { stop, is_dropped: Arc::default() }
    }

    pub(super) fn on_drop(&self) -> HaltOnDrop {
        HaltOnDrop(self.is_dropped.clone())
    }

    /// Whether the thread is to end as soon as it can.
    pub(super) fn is_set(&self) -> bool {
        self.stop.is_given() || self.is_dropped.load(Ordering::Acquire)
    }
}

impl Drop for HaltOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
