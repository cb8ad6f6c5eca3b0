//! Services on a thread of this process.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use event_listener::Event;
use leftfold::Embedded;
use leftfold::runtime::Runtime;
use pollster::block_on;

use crate::orders::{aggregator, details, fraud, inventory};

/// Running services. When dropped, they finish their running handlers.
pub(crate) struct Services {
    stop: Event,
    thread: Option<JoinHandle<()>>,
}

impl Services {
    /// Starts all services.
    pub(crate) fn start(store: &Arc<Embedded>) -> Self {
        let runtime = Runtime::new(store.clone())
            .alone()
            .reactor(inventory(store.clone()))
            .reactor(fraud(store.clone()))
            .reactor(details(store.clone()))
            .reactor(aggregator(store.clone()))
            .timers();
        let stop = Event::new();
        let stopped = stop.listen();
        let thread = thread::spawn(move || drop(block_on(runtime.run_until(stopped))));
        Services { stop, thread: Some(thread) }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop.notify(usize::MAX);
        // A panic of a service is in the runtime's status.
        _ = self.thread.take().map(JoinHandle::join);
    }
}
