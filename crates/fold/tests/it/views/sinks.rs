//! Sinks: events in a database of the user's, each exactly once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use leftfold::time::{SystemTime, Time};
use leftfold::view::{Batch, Lag, Saved, Sink, SinkRunner, Source, ViewError};
use leftfold::{Coded, Cursor, Delivery, EventStore, Query, ReadError, Subscribe, Subscription};
use leftfold_io::fake::{FakeDisk, SeededRandom};
use pollster::block_on;

use super::support::*;

/// A database: a table of positions, and a table of texts by name. It survives every kill.
#[derive(Default)]
struct Database {
    positions: Vec<u64>,
    state: Option<String>,
}

/// A connection to it.
#[derive(Clone)]
struct Connection {
    database: Arc<Mutex<Database>>,
    /// What goes wrong.
    random: Arc<SeededRandom>,
    flaws: u64,
}

impl Connection {
    fn new() -> Self {
        let (database, random) = (Arc::default(), Arc::new(SeededRandom::new(1)));
        Connection { database, random, flaws: 0 }
    }

    fn goes_wrong(&self) -> bool {
        self.random.below(100) < self.flaws
    }

    /// The connection is lost, or the process is killed here.
    async fn end(&self) -> Result<(), ViewError> {
        match (self.goes_wrong(), self.random.below(2)) {
            (false, _) => Ok(()),
            (true, 0) => Err(ViewError::rows("the connection is lost")),
            (true, _) => std::future::pending().await,
        }
    }

    fn positions(&self) -> Vec<u64> {
        self.database.lock().unwrap().positions.clone()
    }
}

impl Sink for Connection {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        self.end().await?;
        let state = self.database.lock().unwrap().state.clone();
        state.map(|state| state.parse()).transpose()
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        self.end().await?;
        if let Some(event) = batch.events.iter().find(|event| event.event_type() == "Nonsense") {
            return Err(ViewError::event(format!("a constraint of {}", event.stream())));
        }
        {
            // One transaction.
            let mut database = self.database.lock().unwrap();
            if database.state != batch.from.as_ref().map(Saved::to_string) {
                return Ok(false);
            }
            database.positions.extend(batch.events.iter().map(|event| event.position()));
            database.state = Some(batch.to.to_string());
        }
        // It was committed, and the answer may be lost.
        self.end().await?;
        Ok(true)
    }
}

type Orders<S> = SinkRunner<Connection, S>;

fn orders(store: &Arc<leftfold::Embedded>, sink: &Connection) -> Orders<leftfold::Embedded> {
    SinkRunner::new("orders", Query::category("order"), store.clone(), sink.clone())
}

#[test]
fn each_event_comes_exactly_once_through_kills_and_lost_connections() {
    for seed in 0..20 {
        let store = open(&FakeDisk::new());
        let random = Arc::new(SeededRandom::new(seed));
        let sink = Connection { random: random.clone(), flaws: 30, ..Connection::new() };
        let mut context = Context::from_waker(Waker::noop());
        let mut expected = Vec::new();
        for _ in 0..30 {
            // One process: it ends by an error, or it is killed after some steps.
            let runner = orders(&store, &sink);
            let mut run = Box::pin(runner.run());
            for _ in 0..random.below(6) {
                for _ in 0..random.below(4) {
                    let happened = append(&store, "order-1", "Happened");
                    expected.push(happened.positions.unwrap().0);
                    append(&store, "customer-1", "Happened");
                }
                if run.poll_unpin(&mut context).is_ready() {
                    break;
                }
            }
        }
        let sink = Connection { flaws: 0, ..sink };
        let runner = orders(&store, &sink);
        block_on(runner.catch_up()).unwrap();
        assert_eq!(sink.positions(), expected, "seed {seed}");
        assert_eq!(block_on(runner.lag()).unwrap(), Lag::None);
    }
}

#[test]
fn a_sink_stops_before_an_event_that_it_refuses() {
    let store = open(&FakeDisk::new());
    let mut types = vec!["Happened"; 11];
    types[6] = "Nonsense";
    let appended = append_all(&store, "order-1", &types);
    let sink = Connection::new();
    let runner = orders(&store, &sink);
    let (ended, waited) =
        block_on(futures_util::future::join(runner.run(), runner.at_least(appended.cursor)));
    for error in [ended.unwrap_err(), waited.unwrap_err()] {
        assert_eq!(error.code(), "view_event_unusable");
        let message = error.to_string();
        assert!(message.contains("position 7") && message.contains("a constraint of order-1"));
    }
    assert_eq!(sink.positions(), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_sink_that_has_stored_nothing_begins_where_it_is_told() {
    let store = open(&FakeDisk::new());
    let first = append(&store, "order-1", "Happened").cursor;
    append(&store, "order-2", "Happened");
    let sink = Connection::new();
    let runner = orders(&store, &sink).starts_after(first.clone());
    assert_eq!(block_on(runner.cursor()).unwrap(), first);
    block_on(runner.catch_up()).unwrap();
    assert_eq!(sink.positions(), [2]);
    // What it has stored counts from then on.
    let third = append(&store, "order-3", "Happened").cursor;
    append(&store, "order-4", "Happened");
    let runner = orders(&store, &sink).starts_after(third.clone());
    block_on(runner.catch_up()).unwrap();
    assert_eq!(sink.positions(), [2, 3, 4]);
    // Events before the start are no lag.
    let runner = orders(&store, &Connection::new()).starts_after(third);
    block_on(runner.at_least(first)).unwrap();
}

#[test]
fn at_least_waits_until_the_sink_has_an_append() {
    let store = open(&FakeDisk::new());
    let sink = Connection::new();
    let runner = orders(&store, &sink);
    let read = async {
        for count in 1..4 {
            let happened = append(&store, "order-1", "Happened");
            append(&store, "customer-1", "Happened");
            runner.at_least(happened.cursor).await.unwrap();
            assert_eq!(sink.positions().len(), count);
        }
    };
    block_on(runner.run_until(read)).unwrap();
    let late = append(&store, "order-1", "Happened");
    assert_eq!(block_on(runner.at_least(late.cursor)).unwrap_err().code(), "view_stopped");
    assert!(matches!(block_on(runner.lag()).unwrap(), Lag::Since(_)));
}

#[test]
fn a_sink_of_another_name_logic_store_or_writer_is_refused() {
    let store = open(&FakeDisk::new());
    three_orders(&store);
    let sink = Connection::new();
    block_on(orders(&store, &sink).catch_up()).unwrap();
    let other = SinkRunner::new("others", Query::category("order"), store.clone(), sink.clone());
    assert_eq!(block_on(other.catch_up()).unwrap_err().code(), "view_of_other_logic");
    let newer = orders(&store, &sink).logic(2);
    assert_eq!(block_on(newer.catch_up()).unwrap_err().code(), "view_of_other_logic");
    let another_store = open(&FakeDisk::new());
    append(&another_store, "order-1", "Other");
    let foreign = orders(&another_store, &sink);
    assert_eq!(block_on(foreign.catch_up()).unwrap_err().code(), "view_of_other_history");
    // Another process commits between two commits of this one.
    let mut context = Context::from_waker(Waker::noop());
    let runner = orders(&store, &sink);
    let mut run = Box::pin(runner.run());
    assert!(run.poll_unpin(&mut context).is_pending());
    append(&store, "order-1", "Happened");
    block_on(orders(&store, &sink).catch_up()).unwrap();
    assert_eq!(block_on(run).unwrap_err().code(), "view_overtaken");
    assert_eq!(sink.positions().len(), 5);
}

/// A store that says how many events it has delivered.
struct CountedStore(Arc<leftfold::Embedded>, Arc<AtomicUsize>);

struct CountedSubscription(<leftfold::Embedded as EventStore>::Subscription, Arc<AtomicUsize>);

impl Source for CountedStore {
    type Subscription = CountedSubscription;

    async fn follow(&self, subscribe: Subscribe) -> Result<CountedSubscription, ReadError> {
        let subscription = EventStore::subscribe(&*self.0, subscribe).await?;
        Ok(CountedSubscription(subscription, self.1.clone()))
    }
}

impl Subscription for CountedSubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        let delivery = self.0.next().await?;
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(delivery)
    }

    fn cursor(&self) -> Cursor {
        self.0.cursor()
    }
}

/// A database whose first commit waits until more events than its own were delivered.
struct WaitingSink(Connection, Arc<AtomicUsize>);

impl Sink for WaitingSink {
    async fn saved(&mut self) -> Result<Option<Saved>, ViewError> {
        self.0.saved().await
    }

    async fn commit(&mut self, batch: &Batch) -> Result<bool, ViewError> {
        let is_first = batch.from.is_none();
        poll_fn(|context| {
            if !is_first || self.1.load(Ordering::Relaxed) > batch.events.len() {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.0.commit(batch).await
    }
}

#[test]
fn the_next_events_are_read_while_a_commit_waits() {
    let store = open(&FakeDisk::new());
    (0..20).for_each(|_| _ = append_all(&store, "order-1", &["Happened"; 1_000]));
    let (sink, delivered) = (Connection::new(), Arc::new(AtomicUsize::new(0)));
    let waiting = WaitingSink(sink.clone(), delivered.clone());
    let runner = SinkRunner::new("orders", Query::category("order"), store.clone(), waiting);
    let runner = runner.source(Arc::new(CountedStore(store, delivered)));
    let caught_up = pin!(runner.catch_up());
    match block_on(select(caught_up, SystemTime.after(Duration::from_secs(60)))) {
        Either::Left((caught_up, _)) => caught_up.unwrap(),
        Either::Right(_) => panic!("nothing was read while the first commit waited"),
    }
    let positions = sink.positions();
    assert_eq!(positions.len(), 20_000);
    assert!(positions.is_sorted_by(|one, two| one < two));
}
