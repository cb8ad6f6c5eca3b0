//! kill -9 of a server under the load of 32 clients, again and again: they go on by their own
//! retry, and an independent tally finds nothing lost and nothing doubled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use leftfold::client::Client;
use leftfold::{Append, Delivery, EventStore, Expected, NewEvent, Query, Subscribe, Subscription};
use pollster::block_on;
use serde_json::Value;

use crate::binary::{serve, stdout};

const WRITERS: u64 = 32;
const SUBSCRIBERS: usize = 3;
const KILLS: u64 = 5;
/// Acknowledgements between two kills.
const BETWEEN: u64 = 400;
/// Far more than anything here takes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) fn client(address: &str) -> Client {
    let client = Client::builder(address).timeout(DEADLINE).reconnect_time(DEADLINE);
    client.connect_lazily().unwrap()
}

/// What the writers have been told, and when they are to stop.
#[derive(Default)]
pub(crate) struct Load {
    acknowledged: Mutex<u64>,
    more: Condvar,
    pub(crate) stop: AtomicBool,
}

impl Load {
    pub(crate) fn add(&self, events: u64) {
        *self.acknowledged.lock().unwrap() += events;
        self.more.notify_all();
    }

    /// Waits until more events than now are acknowledged.
    pub(crate) fn wait_for_more(&self, events: u64) {
        let now = *self.acknowledged.lock().unwrap();
        self.wait_for(now + events);
    }

    fn wait_for(&self, events: u64) {
        let acknowledged = self.acknowledged.lock().unwrap();
        let few = |acknowledged: &mut u64| *acknowledged < events;
        let (acknowledged, late) =
            self.more.wait_timeout_while(acknowledged, DEADLINE, few).unwrap();
        drop(acknowledged);
        assert!(!late.timed_out(), "the clients do not go on");
    }
}

/// Appends one to four events at a time behind those before, until told to stop; gives how many were
/// acknowledged. Every append must be acknowledged in the end, at the version where it belongs.
fn write(address: &str, writer: u64, load: &Load) -> u64 {
    let (client, stream) = (client(address), format!("writer-{writer}"));
    let mut next: u64 = 0;
    while !load.stop.load(Ordering::SeqCst) {
        let count = 1 + next % 4;
        let expected = next.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
        let append = (next..next + count)
            .fold(Append::new().expect(&stream, expected), |append, n| {
                append.event(&stream, event(writer, n))
            });
        let done = block_on(client.append(append)).unwrap();
        let versions = &done.streams[0];
        assert_eq!((versions.first, versions.last), (next, next + count - 1), "{stream}");
        next += count;
        load.add(count);
    }
    next
}

fn event(writer: u64, n: u64) -> NewEvent {
    let id = uuid::Uuid::from_u128(u128::from(writer) << 64 | u128::from(n));
    NewEvent::new("Counted", "x".repeat(n as usize % 300)).id(id)
}

/// Sees everything, up to the end.
fn subscribe(address: &str) -> Vec<(u64, String)> {
    let client = client(address);
    block_on(async {
        let all = Query::category("writer");
        let mut subscription = client.subscribe(Subscribe::to(all)).await.unwrap();
        let mut seen = Vec::new();
        loop {
            let Delivery::Event(event, cursor) = subscription.next().await.unwrap() else {
                continue;
            };
            assert_eq!(subscription.cursor(), cursor);
            if event.stream() == "writer-end" {
                return seen;
            }
            seen.push((event.position(), event.id().to_string()));
        }
    })
}

#[test]
fn clients_survive_the_kills_of_their_server() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, address) = serve(dir.path(), "127.0.0.1:0");
    let load = Load::default();
    let (written, seen) = std::thread::scope(|threads| {
        let (load, address) = (&load, &*address);
        let subscribers: Vec<_> =
            (0..SUBSCRIBERS).map(|_| threads.spawn(|| subscribe(address))).collect();
        let writers: Vec<_> =
            (0..WRITERS).map(|n| threads.spawn(move || write(address, n, load))).collect();
        for kill in 1..=KILLS {
            load.wait_for(kill * BETWEEN);
            server.0.kill().unwrap();
            server.0.wait().unwrap();
            server = serve(dir.path(), address).0;
        }
        load.wait_for((KILLS + 1) * BETWEEN);
        load.stop.store(true, Ordering::SeqCst);
        let written: Vec<u64> = writers.into_iter().map(|w| w.join().unwrap()).collect();
        let end = Append::new().event("writer-end", NewEvent::new("Ended", ""));
        block_on(client(address).append(end)).unwrap();
        let seen: Vec<_> = subscribers.into_iter().map(|s| s.join().unwrap()).collect();
        (written, seen)
    });
    drop(server);
    tally(dir.path(), &written, &seen);
}

/// Reads the store itself, by the binary, and holds it against what clients were told.
fn tally(data: &Path, written: &[u64], seen: &[Vec<(u64, String)>]) {
    let log = stdout(data, &["read", "category:writer not stream:writer-end"]);
    let log: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    let order: Vec<_> =
        log.iter().map(|e| (e["position"].as_u64().unwrap(), text(e, "id"))).collect();
    for (n, seen) in seen.iter().enumerate() {
        assert!(*seen == order, "subscriber {n} has not seen what is in the log, in its order");
    }
    let mut ids = BTreeSet::new();
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    for event in &log {
        assert!(ids.insert(text(event, "id")), "{event} is there twice");
        let next = versions.entry(text(event, "stream")).or_default();
        assert_eq!(event["version"].as_u64(), Some(*next));
        *next += 1;
    }
    for (writer, written) in written.iter().enumerate() {
        let found = versions.get(&format!("writer-{writer}")).copied().unwrap_or_default();
        assert_eq!(found, *written, "writer {writer}: what is there is what was acknowledged");
    }
    assert_eq!(stdout(data, &["verify"]).matches("\"wrong\":0").count(), 1);
}
