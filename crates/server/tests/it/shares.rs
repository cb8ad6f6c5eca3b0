//! Clients that would take all places, all memory or all answers: each has a share at most, and for a time at most.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use leftfold_api::Cursor;
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_server::{Config, Server, StartOptions};
use leftfold_store::{Embedded, Options};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::{DEADLINE, Served, client, config, json, served_by, store};
use crate::views::{ORDERS, World};

const SHORT: Duration = Duration::from_millis(300);
/// The begin of a message of 127 bytes.
const HALF: &[u8] = b"\0\0\0\0\x7fa";
const APPEND: &str = "/leftfold.v1.Store/Append";

/// A connection of HTTP/2 from an address of this machine, whose streams have this window.
async fn connect_from(served: &Served, address: &str, window: u32) -> SendRequest<Body> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    let stream = socket.connect(served.running.local_addr()).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn connect(served: &Served) -> SendRequest<Body> {
    connect_from(served, "127.0.0.1", 1 << 20).await
}

/// A body that sends this and does not end.
fn endless(bytes: impl Into<Bytes>) -> Body {
    let first = stream::iter([Ok::<_, std::io::Error>(bytes.into())]);
    Body::from_stream(first.chain(stream::pending()))
}

fn request(address: SocketAddr, path: &str, body: Option<Body>) -> Request<Body> {
    let builder = Request::builder().uri(format!("http://{address}{path}"));
    match body {
        None => builder.body(Body::empty()).unwrap(),
        Some(body) => {
            let builder = builder.method("POST").header("content-type", "application/grpc");
            builder.header("te", "trailers").body(body).unwrap()
        }
    }
}

async fn send(
    served: &Served,
    sender: &mut SendRequest<Body>,
    path: &str,
    body: Option<Body>,
) -> Response<Incoming> {
    sender.ready().await.unwrap();
    let sent = sender.send_request(request(served.running.local_addr(), path, body));
    timeout(DEADLINE, sent).await.unwrap().unwrap()
}

/// Sends a call and does not wait for its answer.
fn call(served: &Served, sender: &mut SendRequest<Body>, path: &str, bytes: &'static [u8]) {
    let request = request(served.running.local_addr(), path, Some(endless(bytes)));
    tokio::spawn(sender.send_request(request));
}

/// The code of a call that fails, in its headers or behind its messages.
async fn code(answer: Response<Incoming>) -> String {
    let (head, body) = answer.into_parts();
    let trailers = timeout(DEADLINE, body.collect()).await.unwrap().unwrap();
    let trailers = trailers.trailers().cloned().unwrap_or(head.headers);
    trailers["leftfold-code"].to_str().unwrap().to_owned()
}

/// The number of requests in flight becomes this.
async fn in_flight(served: &Served, count: usize) {
    // The request for the metrics is one of them.
    let line = format!("leftfold_requests_in_flight {}\n", count + 1);
    let started = Instant::now();
    loop {
        let text = served.get("/metrics").await.text().await.unwrap();
        if text.contains(&line) {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{text}");
    }
}

async fn served_with_users(config: Config) -> Served {
    let password = "correct horse battery".to_owned();
    let options = StartOptions { admin_password: Some(password.into()), ..StartOptions::default() };
    let running = Server::start_with(config, store(), options).await.unwrap();
    Served { running, client: client() }
}

/// Events of a mebibyte.
async fn append_large(served: &Served, count: usize) {
    for _ in 0..count {
        let event = json!({"type": "T", "data": "x".repeat(1 << 20)});
        served.post("/v1/streams/a/events", json!({"events": [event]})).await;
    }
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_arrives() {
    let served = served_with_users(config()).await;
    let mut sender = connect(&served).await;
    for path in [APPEND, "/leftfold.v1.Store/AppendMany", "/leftfold.v1.Admin/Stat"] {
        let answer = send(&served, &mut sender, path, Some(endless(HALF))).await;
        assert_eq!(answer.headers()["grpc-status"], "16", "{path}");
        assert_eq!(code(answer).await, "unauthenticated");
    }
    let mut posted = request(served.running.local_addr(), "/v1/events", Some(endless("{")));
    posted.headers_mut().insert("content-type", "application/json".parse().unwrap());
    sender.ready().await.unwrap();
    let answer = timeout(DEADLINE, sender.send_request(posted)).await.unwrap().unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_message_that_does_not_arrive_is_refused() {
    let mut config = config();
    config.body_time = SHORT;
    let served = served_by(config).await;
    let mut sender = connect(&served).await;
    // Also behind a whole message, and of calls that need no credentials.
    let behind = b"\0\0\0\0\0\0\0\0\0\x7fa";
    for (path, bytes) in [
        (APPEND, HALF),
        ("/leftfold.v1.Store/AppendMany", HALF),
        ("/leftfold.v1.Store/AppendMany", behind),
        ("/grpc.health.v1.Health/Check", HALF),
    ] {
        let answer = send(&served, &mut sender, path, Some(endless(bytes))).await;
        assert_eq!(code(answer).await, "body_late", "{path}");
    }
    // Between messages there is no limit.
    let idle = send(&served, &mut sender, "/leftfold.v1.Store/AppendMany", Some(endless(""))).await;
    assert!(timeout(3 * SHORT, idle.into_body().frame()).await.is_err());
}

#[tokio::test]
async fn one_client_leaves_places_to_others_and_to_administration() {
    let mut config = config();
    config.requests = 4;
    let served = served_by(config).await;
    let mut sender = connect(&served).await;
    (0..2).for_each(|_| call(&served, &mut sender, APPEND, HALF));
    in_flight(&served, 2).await;
    let refused = send(&served, &mut sender, APPEND, Some(endless(HALF))).await;
    assert_eq!(code(refused).await, "server_overloaded");
    assert_eq!(send(&served, &mut sender, "/v1/head", None).await.status(), 503);
    let mut other = connect_from(&served, "127.0.0.2", 1 << 20).await;
    assert_eq!(send(&served, &mut other, "/v1/head", None).await.status(), 200);
    // When there is no place for requests at all.
    (0..2).for_each(|_| call(&served, &mut other, APPEND, HALF));
    in_flight(&served, 4).await;
    let mut third = connect_from(&served, "127.0.0.3", 1 << 20).await;
    assert_eq!(send(&served, &mut third, "/v1/head", None).await.status(), 503);
    for path in ["/health/live", "/health/ready", "/metrics", "/v1/stat", "/v1/users"] {
        assert_eq!(send(&served, &mut third, path, None).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_call_without_credentials_has_its_own_places() {
    let mut config = config();
    config.reserved_requests = 2;
    let served = served_with_users(config).await;
    let mut sender = connect(&served).await;
    let health = "/grpc.health.v1.Health/Check";
    call(&served, &mut sender, health, HALF);
    // Both are on one connection, so the first is taken up first.
    let refused = send(&served, &mut sender, health, Some(endless(HALF))).await;
    assert_eq!(code(refused).await, "server_overloaded");
    let answer = send(&served, &mut sender, "/metrics", None).await;
    assert_eq!(answer.status(), 401, "administration has others");
}

#[tokio::test]
async fn one_client_leaves_subscriptions_to_others() {
    let mut config = config();
    config.subscriptions = 2;
    let served = served_by(config).await;
    let mut sender = connect(&served).await;
    let first = send(&served, &mut sender, "/v1/subscribe", None).await;
    assert_eq!(first.status(), 200);
    assert_eq!(send(&served, &mut sender, "/v1/subscribe", None).await.status(), 503);
    let mut other = connect_from(&served, "127.0.0.2", 1 << 20).await;
    assert_eq!(send(&served, &mut other, "/v1/subscribe", None).await.status(), 200);
}

#[tokio::test]
async fn messages_of_calls_share_the_memory_for_bodies() {
    let mut config = config();
    config.bodies_bytes.0 = 1 << 20;
    let served = served_by(config).await;
    let mut sender = connect(&served).await;
    // They announce 400 KiB, of half a mebibyte that is this client's share.
    let half = b"\0\0\x06\x40\0a";
    call(&served, &mut sender, APPEND, half);
    in_flight(&served, 1).await;
    for path in [APPEND, "/leftfold.v1.Store/AppendMany"] {
        let answer = send(&served, &mut sender, path, Some(endless(&half[..]))).await;
        assert_eq!(code(answer).await, "server_overloaded", "{path}");
    }
    let mut other = connect_from(&served, "127.0.0.2", 1 << 20).await;
    call(&served, &mut other, APPEND, half);
    in_flight(&served, 2).await;
}

#[tokio::test]
async fn a_read_does_not_wait_for_ever_for_a_cursor() {
    let mut config = config();
    config.wait_time = SHORT;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let disk = Arc::new(FakeDisk::new());
    let store = Embedded::open_on(disk.clone(), clock, random, Options::default()).unwrap();
    let running = Server::start(config, Arc::new(store)).await.unwrap();
    let served = Served { running, client: client() };
    let first = json!({"events": [{"type": "T"}]});
    let first = served.post("/v1/streams/a/events", first.clone()).await;
    let first: Cursor = first["cursor"].as_str().unwrap().parse().unwrap();
    let next = Cursor::at(first.origin(), first.position().unwrap() + 1);
    // An append that does not become durable.
    disk.syncs().shut();
    let url = served.url("/v1/streams/a/events");
    let append = served.client.post(url).header("content-type", "application/json");
    let append = tokio::spawn(append.body("{\"events\": [{\"type\": \"T\"}]}").send());
    let blocked = disk.clone();
    tokio::task::spawn_blocking(move || blocked.syncs().wait_until_blocked()).await.unwrap();
    let answer = served.get(&format!("/v1/events?at_least={next}")).await;
    assert_eq!(answer.status(), 504);
    assert_eq!(json(answer).await["code"], "timed_out");
    disk.syncs().open();
    assert_eq!(append.await.unwrap().unwrap().status(), 201);
}

#[tokio::test]
async fn a_stream_of_which_nothing_is_taken_ends_and_its_connection_goes_on() {
    let mut config = config();
    config.write_time = SHORT;
    let served = served_by(config).await;
    append_large(&served, 2).await;
    let mut sender = connect_from(&served, "127.0.0.1", 1_024).await;
    let page = send(&served, &mut sender, "/v1/events", None).await;
    let events = send(&served, &mut sender, "/v1/subscribe", None).await;
    let empty = Body::from(&b"\0\0\0\0\0"[..]);
    let messages = send(&served, &mut sender, "/leftfold.v1.Store/Subscribe", Some(empty)).await;
    assert!([&page, &events, &messages].iter().all(|answer| answer.status() == 200));
    in_flight(&served, 0).await;
    let started = Instant::now();
    while served.running.state().subscriptions.count() > 0 {
        assert!(started.elapsed() < DEADLINE, "subscriptions are running");
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&served, &mut sender, "/health/live", None).await.status(), 200);
}

#[tokio::test]
async fn answers_that_are_not_taken_share_the_memory_for_answers() {
    let mut config = config();
    config.answers_bytes.0 = 11 << 20;
    let served = served_by(config).await;
    append_large(&served, 2).await;
    let mut sender = connect_from(&served, "127.0.0.1", 1_024).await;
    let first = send(&served, &mut sender, "/v1/events", None).await;
    assert_eq!(first.status(), 200);
    // One event, and subscriptions to both, are too much for this client's share.
    for path in ["/v1/events/1", "/v1/subscribe"] {
        assert_eq!(send(&served, &mut sender, path, None).await.status(), 503, "{path}");
    }
    // Before its client has taken anything.
    let empty = Body::from(&b"\0\0\0\0\0"[..]);
    let messages = send(&served, &mut sender, "/leftfold.v1.Store/Subscribe", Some(empty)).await;
    assert_eq!(code(messages).await, "server_overloaded");
    // Another client has its own.
    let mut other = connect_from(&served, "127.0.0.2", 1_024).await;
    assert_eq!(send(&served, &mut other, "/v1/events", None).await.status(), 200);
    // A page waits until the first one is gone.
    let second = send(&served, &mut sender, "/v1/events", None);
    let (second, ()) = tokio::join!(second, async { drop(first) });
    assert_eq!(second.status(), 200);
}

#[tokio::test]
async fn a_page_that_finds_no_memory_in_time_is_refused() {
    let mut config = config();
    config.answers_bytes.0 = 1 << 20;
    config.wait_time = SHORT;
    let served = served_by(config).await;
    append_large(&served, 1).await;
    let answer = served.get("/v1/events").await;
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    let mut sender = connect(&served).await;
    let empty = Body::from(&b"\0\0\0\0\0"[..]);
    let answer = send(&served, &mut sender, "/leftfold.v1.Store/Read", Some(empty)).await;
    assert_eq!(code(answer).await, "server_overloaded");
}

/// A client that is told to try again would append twice.
#[tokio::test]
async fn the_answer_to_what_is_done_is_sent_without_memory_too() {
    let mut config = config();
    config.answers_bytes.0 = 1;
    let served = served_by(config).await;
    let event = |n: usize| json!({"stream": format!("stream-{n}"), "type": "T"});
    let events: Vec<_> = (0..3_000).map(event).collect();
    let request = served.client.post(served.url("/v1/events"));
    let request = request.header("content-type", "application/json");
    let answer = request.body(json!({"events": events}).to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert!(answer.bytes().await.unwrap().len() > 64 << 10);
}

/// Lists count, also compressed and over gRPC; and so does a compressor.
#[tokio::test]
async fn lists_and_compressors_share_the_memory_for_answers() {
    let mut config = config();
    config.answers_bytes.0 = 4 << 20;
    let served = served_by(config).await;
    let name = "x".repeat(1_000);
    for first in [0, 1_500] {
        let event = |n: usize| json!({"stream": format!("{n}{name}"), "type": "T"});
        let events: Vec<_> = (first..first + 1_500).map(event).collect();
        served.post("/v1/events", json!({"events": events})).await;
    }
    let status = async |path: &str, encoding: &str| {
        let request = served.client.get(served.url(path)).header("accept-encoding", encoding);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("/v1/streams?limit=1000", "gzip").await, 200);
    assert_eq!(status("/v1/streams?limit=3000", "gzip").await, 503, "the list has 3 MiB");
    assert_eq!(status("/v1/events?limit=500", "identity").await, 200);
    assert_eq!(status("/v1/events?limit=500", "zstd").await, 503);
    let mut sender = connect(&served).await;
    let empty = Body::from(&b"\0\0\0\0\0"[..]);
    let list = send(&served, &mut sender, "/leftfold.v1.Store/ListStreams", Some(empty)).await;
    assert_eq!(code(list).await, "server_overloaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_leaves_queries_of_views_to_others() {
    let limits = |config: &mut Config| {
        (config.asks, config.ask_time) = (2, Duration::from_secs(10));
    };
    let world = World::new(limits).await;
    world.add(ORDERS).await;
    let served = &world.served;
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(i) from n, orders";
    let ask = |sql: &str| {
        format!("/v1/views/orders/query?sql={}", sql.replace(' ', "%20").replace('+', "%2B"))
    };
    let mut sender = connect(served).await;
    sender.ready().await.unwrap();
    let slow = sender.send_request(request(served.running.local_addr(), &ask(endless), None));
    let slow = tokio::spawn(slow);
    let quick = ask("select count(*) from orders");
    while send(served, &mut sender, &quick, None).await.status() != 503 {
        assert!(!slow.is_finished(), "no query was refused beside the slow one");
    }
    let mut other = connect_from(served, "127.0.0.2", 1 << 20).await;
    assert_eq!(send(served, &mut other, &quick, None).await.status(), 200);
}

/// The first byte of `PUT` is that of HTTP/2's preface, too.
#[tokio::test]
async fn a_head_is_due_whatever_its_first_byte() {
    let served = served_by(config()).await;
    let mut buffer = [0; 4_096];
    let mut stream = TcpStream::connect(served.running.local_addr()).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in b"PUT /v1/x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n".chunks(1) {
        stream.write_all(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap() > 0);
    let mut config = config();
    config.header_time = SHORT;
    let served = served_by(config).await;
    for begin in [&b"GET /health"[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = TcpStream::connect(served.running.local_addr()).await.unwrap();
        stream.write_all(begin).await.unwrap();
        let closed = async { while let Ok(1..) = stream.read(&mut buffer).await {} };
        timeout(DEADLINE, closed).await.unwrap();
    }
}
