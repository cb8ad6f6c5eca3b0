use std::sync::Arc;

use leftfold::react::{Handler, Progress, Reactor};
use leftfold::time::FakeTime;
use leftfold::{Append, Embedded, NewEvent, Options, Query, Read, Recorded, Timestamp};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};

pub(crate) struct World {
    pub(crate) store: Arc<Embedded>,
    pub(crate) time: FakeTime,
}

impl World {
    pub(crate) fn new() -> Self {
        let disk = Arc::new(FakeDisk::new());
        let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(1)));
        let store = Embedded::open_on(disk, clock, random, Options::default()).unwrap();
        World { store: Arc::new(store), time: FakeTime::at(Timestamp(0)) }
    }

    pub(crate) fn append(&self, append: Append) {
        self.store.blocking().append(append).unwrap();
    }

    pub(crate) fn event(&self, stream: &str, event: NewEvent) {
        self.append(Append::new().event(stream, event));
    }

    /// Runs a reactor until nothing is left to do now.
    pub(crate) fn catch_up<H: Handler>(&self, reactor: Reactor<Embedded, H>) -> Progress {
        pollster::block_on(reactor.time(self.time.clone()).catch_up()).unwrap()
    }

    pub(crate) fn read(&self, query: Query) -> Vec<Recorded> {
        self.store.blocking().read(Read::forward(query)).unwrap().events
    }

    pub(crate) fn types(&self, stream: &str) -> Vec<String> {
        let events = self.read(Query::stream(stream));
        events.iter().map(|event| event.event_type().to_owned()).collect()
    }
}
