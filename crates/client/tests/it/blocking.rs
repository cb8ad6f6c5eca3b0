//! Calls that run on the thread that makes them.

use std::thread;

use leftfold_api::{
    Append, Coded, Cursor, Delivery, EventStore, Expected, NewEvent, Query, Read, Subscribe,
    Subscription,
};
use leftfold_client::{BlockingClient, Client};

use crate::served::{RUNTIME, Served, serve, url};

fn connect(served: &Served) -> BlockingClient {
    Client::builder(url(served.address())).connect_blocking().unwrap()
}

fn append(client: &BlockingClient, stream: &str) {
    client.append(Append::new().event(stream, NewEvent::json("Put", "{}"))).unwrap();
}

#[test]
fn a_store_is_used_without_a_runtime() {
    let served = Served::fresh();
    let client = connect(&served);
    append(&client, "a-1");
    let page = client.read(Read::forward(Query::stream("a-1"))).unwrap();
    assert_eq!(page.events.len(), 1);
    let refused = Append::new().event("a-1", NewEvent::json("Put", "{}"));
    let refused = client.append(refused.expect("a-1", Expected::NoStream)).unwrap_err();
    assert_eq!(refused.code(), "wrong_version");

    let all = Subscribe::after(Query::All, Cursor::START);
    let mut events = client.run(async |client| client.subscribe(all).await).unwrap();
    append(&client, "a-2");
    let mut streams = Vec::new();
    while streams.len() < 2 {
        let delivery = client.run(async |_| events.next().await).unwrap();
        if let Delivery::Event(event, _) = delivery {
            streams.push(event.stream().to_owned());
        }
    }
    assert_eq!(streams, ["a-1", "a-2"]);
}

#[test]
fn threads_share_a_client() {
    const EACH: usize = 50;
    let served = Served::fresh();
    let client = connect(&served);
    thread::scope(|scope| {
        for number in 0..4 {
            let client = &client;
            scope.spawn(move || {
                let stream = format!("a-{number}");
                for count in 1..=EACH {
                    append(client, &stream);
                    let page = client.read(Read::forward(Query::stream(&*stream))).unwrap();
                    assert_eq!(page.events.len(), count);
                }
            });
        }
    });
}

#[test]
fn a_server_that_does_not_run_is_an_error_and_one_that_comes_back_is_found() {
    let mut served = Served::fresh();
    let client = connect(&served);
    append(&client, "a-1");
    let port = served.address().port();
    served.stop();
    let _again = serve(&served.store, port);
    append(&client, "a-1");
    let page = client.read(Read::forward(Query::stream("a-1"))).unwrap();
    assert_eq!(page.events.len(), 2);
    drop(client);
    let wrong = Client::builder("ftp://localhost").connect_blocking().err().unwrap();
    assert_eq!(wrong.code(), "url_invalid");
}

/// The runtime of a client must not end on a thread of another runtime, which would panic.
#[test]
fn a_client_is_dropped_in_an_asynchronous_task() {
    let served = Served::fresh();
    for _ in 0..20 {
        let client = connect(&served);
        append(&client, "a-1");
        RUNTIME.block_on(async move { drop(client) });
    }
}
