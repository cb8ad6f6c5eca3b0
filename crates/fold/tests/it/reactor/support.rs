use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use leftfold::react::{Cause, Handler, HandlerError, Progress, Reaction, Reactor, Retry};
use leftfold::time::FakeTime;
use leftfold::{Append, Embedded, EventStore, NewEvent, Options, Query, Read, Recorded, Timestamp};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use parking_lot::Mutex;

/// A store, a clock, and a log of handler calls.
pub(crate) struct World {
    pub(crate) store: Arc<Embedded>,
    pub(crate) time: FakeTime,
    pub(crate) call_log: Arc<Mutex<Vec<String>>>,
}

impl World {
    pub(crate) fn new() -> Self {
        let disk = Arc::new(FakeDisk::new());
        let (clock, random) = (Arc::new(ManualClock::at(0)), Arc::new(SeededRandom::new(1)));
        let store = Embedded::open_on(disk, clock, random, Options::default()).unwrap();
        let time = FakeTime::at(Timestamp(0));
        World { store: Arc::new(store), time, call_log: Arc::default() }
    }

    pub(crate) fn append(&self, stream: &str, event_type: &str, data: &str) {
        let event = NewEvent::json(event_type, data.to_owned());
        self.store.blocking().append(Append::new().event(stream, event)).unwrap();
    }

    /// Appends `events` events to each of the streams `o-0`, `o-1` and so on.
    pub(crate) fn append_orders(&self, streams: u64, events: u64) {
        for n in 0..streams * events {
            let stream = format!("o-{}", n % streams);
            self.append(&stream, "Placed", &(n / streams).to_string());
        }
    }

    pub(crate) fn reactor<H: Handler>(&self, handler: H) -> Reactor<Embedded, H> {
        self.reactor_of(Query::category("o"), handler)
    }

    pub(crate) fn reactor_of<H: Handler>(&self, query: Query, handler: H) -> Reactor<Embedded, H> {
        let retry =
            Retry { attempts: 3, first: Duration::from_secs(1), longest: Duration::from_secs(10) };
        Reactor::new("r", query, self.store.clone(), handler)
            .time(self.time.clone())
            .random(Arc::new(SeededRandom::new(7)))
            .retry(retry)
    }

    pub(crate) fn catch_up<H: Handler>(&self, reactor: &Reactor<Embedded, H>) -> Progress {
        pollster::block_on(reactor.catch_up()).unwrap()
    }

    /// Returns a handler that logs each call, and then answers.
    pub(crate) fn logging<A>(&self, answer: A) -> impl Handler + use<A>
    where
        A: Fn(&Cause) -> Result<Reaction, HandlerError> + Send + Sync + 'static,
    {
        let call_log = self.call_log.clone();
        let answer = Arc::new(answer);
        move |cause: Cause| {
            let (call_log, answer) = (call_log.clone(), answer.clone());
            async move {
                let entry = format!("{}@{}", cause.event.stream(), cause.event.version());
                call_log.lock().push(entry);
                answer(&cause)
            }
        }
    }

    pub(crate) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.call_log.lock())
    }

    pub(crate) fn read(&self, query: Query) -> Vec<Recorded> {
        self.store.blocking().read(Read::forward(query)).unwrap().events
    }

    /// Returns the data of each event of type `Echoed`, by stream.
    pub(crate) fn echoes(&self) -> BTreeMap<String, Vec<String>> {
        let mut echoes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in self.read(Query::event_type("Echoed")) {
            let data = String::from_utf8(event.data().to_vec()).unwrap();
            echoes.entry(event.stream().to_owned()).or_default().push(data);
        }
        echoes
    }

    pub(crate) fn assert_echoed(&self, streams: u64, events: u64) {
        let all: Vec<String> = (0..events).map(|n| n.to_string()).collect();
        let expected = (0..streams).map(|n| (format!("echo-o-{n}"), all.clone())).collect();
        assert_eq!(self.echoes(), expected);
    }

    pub(crate) fn checkpoint(&self) -> Option<leftfold::Cursor> {
        pollster::block_on(self.store.checkpoint("reactor/r")).unwrap()
    }
}

/// Returns results that copy the cause.
pub(crate) fn echo(cause: &Cause) -> Result<Reaction, HandlerError> {
    let event = NewEvent::json("Echoed", cause.event.data());
    Ok(Reaction::none().event(format!("echo-{}", cause.event.stream()), event))
}

pub(crate) fn of(cause: &Cause, stream: &str, version: u64) -> bool {
    cause.event.stream() == stream && cause.event.version() == version
}

/// Polls a future once; returns whether it has ended.
pub(crate) async fn poll_once(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(Pin::new(&mut *future).poll(cx).is_ready()))
        .await
}
