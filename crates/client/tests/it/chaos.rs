//! Connections that break at any byte: no acknowledged append is lost, none is duplicated, and a
//! subscriber sees each event exactly once and in order.

use std::collections::BTreeMap;
use std::time::Duration;

use leftfold_api::{
    Append, CheckpointMove, Cursor, Delivery, EventStore, Expected, NewEvent, Query, Read,
    Subscribe, Subscription,
};
use leftfold_client::Client;
use uuid::Uuid;

use crate::proxy::Proxy;
use crate::served::{Served, url};

const WRITERS: u128 = 6;
const EACH: u128 = 200;

fn client(proxy: &Proxy) -> Client {
    let client = Client::builder(url(proxy.address())).timeout(Duration::from_secs(120));
    client.connect_lazily().unwrap()
}

/// Appends events one after the other; returns their ids in the order of the acknowledgements.
fn write(client: &Client, writer: u128) -> Vec<Uuid> {
    let stream = format!("writer-{writer}");
    let mut expected = Expected::NoStream;
    let one = |n: u128| {
        let id = Uuid::from_u128(writer << 64 | n);
        let event = NewEvent::new("Counted", vec![b'x'; 40 * (n as usize % 9)]).id(id);
        let append = Append::new().event(&stream, event).expect(&stream, expected);
        let done = pollster::block_on(client.append(append)).unwrap();
        assert_eq!(done.streams[0].last, n as u64, "{stream}: {done:?}");
        expected = Expected::Exactly(n as u64);
        id
    };
    (0..EACH).map(one).collect()
}

/// Moves a checkpoint step by step; each step must be acknowledged, although it has no event id.
fn move_checkpoint(client: &Client, cursors: &[Cursor]) {
    let mut at = None;
    for to in cursors {
        let step = CheckpointMove { name: "reader".to_owned(), expected: at, to: to.clone() };
        pollster::block_on(client.append(Append::new().checkpoint(step))).unwrap();
        at = Some(to.clone());
    }
    assert_eq!(pollster::block_on(client.checkpoint("reader")).unwrap(), at);
}

fn subscribe(client: &Client, wanted: usize) -> Vec<(u64, Uuid)> {
    pollster::block_on(async {
        let all = Subscribe::to(Query::category("writer"));
        let mut subscription = client.subscribe(all).await.unwrap();
        let mut seen = Vec::new();
        while seen.len() < wanted {
            if let Delivery::Event(event, cursor) = subscription.next().await.unwrap() {
                assert_eq!(subscription.cursor(), cursor);
                seen.push((event.position(), event.id()));
            }
        }
        seen
    })
}

fn run(seed: u64) {
    let served = Served::fresh();
    let proxy = Proxy::start(served.address(), seed);
    // Cursors to move a checkpoint through; they must be the store's own.
    let put = |n: u128| {
        let append = Append::new().event("before", NewEvent::new("Put", "").id(Uuid::from_u128(n)));
        pollster::block_on(served.client.append(append)).unwrap().cursor
    };
    let cursors: Vec<_> = (0..30).map(put).collect();
    let clients: Vec<_> = (0..WRITERS).map(|_| client(&proxy)).collect();
    let reader = client(&proxy);
    let (acknowledged, seen) = std::thread::scope(|threads| {
        let subscriber = threads.spawn(|| subscribe(&reader, (WRITERS * EACH) as usize));
        let mover = threads.spawn(|| move_checkpoint(&client(&proxy), &cursors));
        let write = |(writer, client)| threads.spawn(move || write(client, writer));
        let writers: Vec<_> = (0..).zip(&clients).map(write).collect();
        let acknowledged: Vec<_> =
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        mover.join().unwrap();
        proxy.calm();
        (acknowledged, subscriber.join().unwrap())
    });
    let counts: Vec<_> = clients.iter().map(Client::counts).collect();
    assert!(counts.iter().all(|counts| u128::from(counts.requests) == EACH), "{counts:?}");
    assert!(counts.iter().any(|counts| counts.retries > 0), "{counts:?}");
    // Its connection may be cut before it first subscribes, or only then.
    let of_reader = reader.counts();
    assert!(of_reader.reconnects + of_reader.retries > 0, "{of_reader:?}");
    assert!(proxy.cut() > 10, "only {} connections were cut", proxy.cut());
    tally(&served, &acknowledged, &seen);
}

/// Compares the log with the acknowledged and the delivered events.
fn tally(served: &Served, acknowledged: &[Uuid], seen: &[(u64, Uuid)]) {
    let page = served.store.blocking().read(Read::forward(Query::category("writer"))).unwrap();
    assert!(!page.more);
    let log: Vec<_> = page.events.iter().map(|event| (event.position(), event.id())).collect();
    assert_eq!(log, seen, "the subscriber has seen what is in the log, in its order");
    let mut times: BTreeMap<Uuid, usize> = BTreeMap::new();
    log.iter().for_each(|(_, id)| *times.entry(*id).or_default() += 1);
    assert!(times.values().all(|times| *times == 1), "an event is there twice");
    let lost: Vec<_> = acknowledged.iter().filter(|id| !times.contains_key(*id)).collect();
    assert_eq!(lost, Vec::<&Uuid>::new(), "acknowledged events are lost");
    assert_eq!(times.len(), acknowledged.len());
}

#[test]
fn nothing_is_lost_or_duplicated_when_connections_break() {
    match std::env::var("LEFTFOLD_SEED") {
        Ok(seed) => run(seed.parse().unwrap()),
        Err(_) => (1..=3).for_each(run),
    }
}
