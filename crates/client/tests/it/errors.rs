//! Errors of the client when the network or the server fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use leftfold_api::{
    Append, CheckpointMove, Coded, Cursor, Delivery, EventStore, NewEvent, Query, Read, Subscribe,
    Subscription,
};
use leftfold_client::Client;
use pollster::block_on;
use tokio::net::TcpSocket;
use uuid::Uuid;

use crate::served::{Served, serve, url};

/// An address that refuses connections. It stays taken as long as the socket lives: a free port could be given to
/// another test's server meanwhile.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn put(n: u128) -> Append {
    Append::new().event("a-1", NewEvent::new("Put", "").id(Uuid::from_u128(n)))
}

#[test]
fn an_invalid_url_is_refused() {
    for text in ["", "ftp://host:1", "http://", "http://a b", "host:port:9"] {
        let refused = Client::builder(text).connect_lazily().err();
        assert_eq!(refused.map(|error| error.code()), Some("url_invalid"), "{text}");
    }
}

/// A first connection waits for no server to come: whoever starts the client learns it at once.
#[test]
fn connecting_to_a_server_that_does_not_run_fails_at_once() {
    let (_socket, address) = refusing();
    let started = std::time::Instant::now();
    let refused = block_on(Client::connect(url(address))).err().unwrap();
    assert_eq!(refused.code(), "server_unreachable");
    assert!(!refused.to_string().contains("https://"), "{refused}");
    assert!(started.elapsed() < Duration::from_secs(15), "it tried for the whole timeout of 30 s");
}

#[test]
fn an_unreachable_server_is_an_error_within_the_timeout() {
    let (_socket, address) = refusing();
    let client = Client::builder(url(address)).timeout(Duration::from_millis(400));
    let client = client.connect_lazily().unwrap();
    let unread = block_on(client.read(Read::forward(Query::All))).unwrap_err();
    assert_eq!((unread.code(), unread.can_retry()), ("server_unreachable", true));
    let unwritten = block_on(client.append(put(1))).unwrap_err();
    assert_eq!((unwritten.code(), unwritten.can_retry()), ("server_unreachable", true));
    let undefined =
        block_on(client.define_index(leftfold_api::IndexDefinition::new("i", Query::All)))
            .unwrap_err();
    assert_eq!(undefined.code(), "server_unreachable");
}

/// A server that accepts connections and never answers.
#[test]
fn a_missing_answer_is_a_timeout_or_an_unknown_outcome() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Client::builder(url(silent.local_addr().unwrap()));
    let client = client.timeout(Duration::from_millis(300)).connect_lazily().unwrap();
    let unread = block_on(client.read(Read::forward(Query::All))).unwrap_err();
    assert_eq!((unread.code(), unread.can_retry()), ("timed_out", true));
    let undefined =
        block_on(client.define_index(leftfold_api::IndexDefinition::new("i", Query::All)))
            .unwrap_err();
    assert_eq!((undefined.code(), undefined.can_retry()), ("outcome_unknown", false));
    let unwritten = block_on(client.append(put(1))).unwrap_err();
    assert_eq!(unwritten.code(), "outcome_unknown");
}

#[test]
fn calls_and_subscriptions_resume_after_a_restart_of_the_server() {
    let mut served = Served::fresh();
    let address = served.address();
    let client = served.client.clone();
    block_on(client.append(put(1))).unwrap();
    let mut subscription = block_on(client.subscribe(Subscribe::to(Query::All))).unwrap();
    assert!(matches!(block_on(subscription.next()).unwrap(), Delivery::Event(..)));
    assert!(matches!(block_on(subscription.next()).unwrap(), Delivery::CaughtUp(_)));
    served.stop();
    let appended = std::thread::scope(|threads| {
        let waiting = threads.spawn(|| block_on(client.append(put(2))).unwrap());
        let running = serve(&served.store, address.port());
        let appended = waiting.join().unwrap();
        let Delivery::Event(event, cursor) = block_on(subscription.next()).unwrap() else {
            panic!("it was told to have caught up before");
        };
        assert_eq!((event.id(), cursor.clone()), (Uuid::from_u128(2), appended.cursor.clone()));
        let to = CheckpointMove { name: "c".to_owned(), expected: None, to: cursor };
        block_on(client.append(Append::new().checkpoint(to))).unwrap();
        drop(running);
        appended
    });
    assert_eq!(appended.streams[0].last, 1);
    assert_ne!(appended.cursor, Cursor::START);
}

#[test]
fn pages_read_the_whole_log_up_to_their_limit() {
    let served = Served::fresh();
    for n in 0..5 {
        let thousand = (0..1_000).fold(Append::new(), |append, m| {
            append.event(
                "many",
                NewEvent::new("Put", "x".repeat(300)).id(Uuid::from_u128(n << 64 | m)),
            )
        });
        block_on(served.append(thousand)).unwrap();
    }
    for limit in [1, 2_048, 4_999, usize::MAX] {
        block_on(async {
            let mut pages = served.pages(Read::forward(Query::All).limit(limit)).await.unwrap();
            let mut next = 1;
            while let Some(page) = pages.next().await.unwrap() {
                for event in page.events {
                    assert_eq!(event.position(), next);
                    next += 1;
                }
            }
            assert_eq!(next - 1, limit.min(5_000) as u64);
        });
    }
    let wrong = block_on(served.pages(Read::forward(Query::index("none"))))
        .map(|mut pages| block_on(pages.next()).unwrap_err());
    assert_eq!(wrong.unwrap_or_else(|error| error).code(), "index_unknown");
}
