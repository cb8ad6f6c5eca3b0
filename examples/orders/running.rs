//! Services on threads of one process.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use event_listener::Event;
use leftfold::react::{Handler, Reactor};
use leftfold::timer::timers;
use leftfold::{Embedded, EventStore};
use pollster::block_on;

use crate::orders::story::ServiceGroup;
use crate::orders::{aggregator, details, fraud, inventory};

/// Running services on threads.
pub(crate) struct Services {
    stop: Arc<Event>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Services {
    /// Starts all services.
    pub(crate) fn start(store: &Arc<Embedded>) -> Self {
        let mut services = Services { stop: Arc::default(), threads: Vec::new() };
        services.run(inventory(store.clone()));
        services.run(fraud(store.clone()));
        services.run(details(store.clone()));
        services.run(aggregator(store.clone()));
        services.run(timers(store.clone()));
        services
    }

    fn run<S, H>(&mut self, service: Reactor<S, H>)
    where
        S: EventStore + 'static,
        H: Handler,
    {
        let stop = self.stop.listen();
        self.threads.push(thread::spawn(move || {
            block_on(service.run_until(stop))?;
            Ok(())
        }));
    }
}

impl ServiceGroup for Services {
    /// Waits until each has finished its running handlers.
    fn stop(self) -> anyhow::Result<()> {
        self.stop.notify(usize::MAX);
        for thread in self.threads {
            thread.join().map_err(|_| anyhow::anyhow!("a service has panicked"))??;
        }
        Ok(())
    }
}
