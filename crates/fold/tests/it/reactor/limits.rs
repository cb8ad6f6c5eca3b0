//! Time limits of handlers, and what other tasks see of a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leftfold::react::{Cause, HandlerError, Parked, Reaction};
use leftfold::{Query, Timestamp};
use parking_lot::Mutex;
use tracing::span::{Attributes, Id, Record};

use crate::reactor::support::{World, echo, of, poll_once};

const LIMIT: Duration = Duration::from_secs(30);

async fn hang(cause: Cause) -> Result<Reaction, HandlerError> {
    if of(&cause, "o-0", 0) {
        std::future::pending::<()>().await;
    }
    echo(&cause)
}

/// A handler that hangs fails at its time limit, is parked in the end, and does not stop the end of
/// the run.
#[test]
fn a_hanging_handler_fails_at_its_time_limit() {
    let world = World::new();
    world.append_orders(2, 2);
    let reactor = world.reactor(hang).time_limit(LIMIT);
    pollster::block_on(async {
        let mut run = Box::pin(reactor.catch_up());
        // Until the handlers of the other stream have ended, and beyond the limit of each attempt.
        while world.echoes().get("echo-o-1").is_none_or(|echoes| echoes.len() < 2) {
            assert!(!poll_once(&mut run).await);
            std::thread::yield_now();
        }
        world.time.advance(LIMIT - Duration::from_secs(1));
        for _ in 0..100 {
            assert!(!poll_once(&mut run).await);
        }
        world.time.advance(Duration::from_secs(1));
        run.await.unwrap();
    });
    let held = pollster::block_on(Parked::of("r", &*world.store).list_held()).unwrap();
    assert_eq!((held.len(), held[0].attempts), (1, 1));
    assert_eq!(held[0].reason, "the handler has not ended within its time limit of 30s");
}

#[test]
fn a_status_shows_a_running_reactor() {
    let world = World::new();
    world.append_orders(3, 1);
    let reactor = world.reactor(|cause: Cause| async move {
        match cause.event.stream() {
            "o-0" => std::future::pending().await,
            "o-1" => Err(HandlerError::park("no such product")),
            _ => echo(&cause),
        }
    });
    let status = reactor.status();
    assert_eq!((status.now().counts.handled, status.now().caught_up), (0, false));
    pollster::block_on(async {
        let mut run = Box::pin(reactor.run());
        while status.now().counts.handled < 1 || status.now().counts.parked < 1 {
            assert!(!poll_once(&mut run).await);
            std::thread::yield_now();
        }
        world.time.set(Timestamp(7_000_000));
        let now = status.now();
        assert_eq!((now.counts.failed, now.running, now.held_lanes), (1, 1, 1));
        assert_eq!((now.queued, now.lag), (1, Duration::from_secs(7)));
    });
}

fn park_all(world: &World, streams: u64) {
    world.append_orders(streams, 1);
    let handler = |cause: Cause| async move {
        Err::<(), _>(HandlerError::park(format!("no {}", cause.event.stream())))
    };
    world.catch_up(&world.reactor(handler));
}

#[test]
fn all_parked_events_or_selected_ones_are_replayed() {
    let world = World::new();
    park_all(&world, 5);
    let parked = Parked::of("r", &*world.store);
    pollster::block_on(async {
        let wanted = ["no o-1", "no o-3"];
        let replayed = parked.replay_where(|event| wanted.contains(&event.reason.as_str()));
        assert_eq!(replayed.await.unwrap(), 2);
    });
    let echoing = world.reactor(world.logging(echo));
    world.catch_up(&echoing);
    let mut calls = world.take_calls();
    calls.sort();
    assert_eq!(calls, ["o-1@0", "o-3@0"]);
    pollster::block_on(async {
        assert_eq!(parked.replay_all().await.unwrap(), 3);
        world.catch_up(&echoing);
        assert_eq!(parked.list().await.unwrap(), []);
        assert_eq!(parked.replay_all().await.unwrap(), 0);
    });
    world.assert_echoed(5, 1);
}

/// What an earlier release has written: a request that names no lane.
#[test]
fn a_request_without_a_lane_is_carried_out() {
    let world = World::new();
    park_all(&world, 2);
    let request = r#"{"stream":"o-1","version":0}"#;
    world.append("leftfold.control-r", "leftfold.ReplayParked", request);
    let echoing = world.reactor(world.logging(echo));
    world.catch_up(&echoing);
    assert_eq!(world.take_calls(), ["o-1@0"]);
}

/// Records the spans of handlers' calls.
#[derive(Clone, Default)]
struct Spans {
    count: Arc<AtomicU64>,
    entered: Arc<Mutex<Vec<String>>>,
}

struct Fields<'a>(&'a mut String);

impl tracing::field::Visit for Fields<'_> {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl tracing::Subscriber for Spans {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.is_span()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        if span.metadata().name() == "react" {
            let mut fields = String::new();
            span.record(&mut Fields(&mut fields));
            self.entered.lock().push(fields);
        }
        Id::from_u64(self.count.fetch_add(1, Ordering::SeqCst) + 1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &tracing::Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn each_call_of_a_handler_has_a_span() {
    let world = World::new();
    world.append_orders(1, 2);
    let spans = Spans::default();
    tracing::subscriber::with_default(spans.clone(), || {
        world.catch_up(
            &world.reactor_of(Query::category("o"), |cause: Cause| async move { echo(&cause) }),
        );
    });
    let entered = spans.entered.lock();
    let expected = [0, 1].map(|version| {
        format!(" reactor=\"r\" stream=\"o-0\" version={version} event_type=\"Placed\" attempt=1")
    });
    assert_eq!(*entered, expected);
}
