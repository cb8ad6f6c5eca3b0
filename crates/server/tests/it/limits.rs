//! Clients that misbehave, over raw sockets: each is cut off, and others are served meanwhile.

use std::time::Duration;

use leftfold_server::Config;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::{DEADLINE, Served, config, served_by};

const SHORT: Duration = Duration::from_millis(300);

/// A server with one short limit: with others, a slow machine would end what is not meant.
async fn served_with(change: impl FnOnce(&mut Config)) -> Served {
    let mut config = config();
    change(&mut config);
    served_by(config).await
}

async fn connect(served: &Served) -> TcpStream {
    TcpStream::connect(served.running.local_addr()).await.unwrap()
}

/// What the server says until it closes the connection.
async fn until_closed(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let read = async {
        let mut buffer = [0; 4096];
        // A reset is an end too.
        while let Ok(1..) = stream.read(&mut buffer).await.inspect(|n| said.extend(&buffer[..*n])) {
        }
    };
    timeout(DEADLINE, read).await.unwrap();
    String::from_utf8_lossy(&said).into_owned()
}

async fn still_serves(served: &Served) {
    // Where a head is due soon, a slow machine may be late with it.
    let answered = async {
        loop {
            if let Ok(answer) = served.client.get(served.url("/health/ready")).send().await {
                return answer.status();
            }
        }
    };
    assert_eq!(timeout(DEADLINE, answered).await.unwrap(), 200);
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_disconnected() {
    let served = served_with(|config| config.header_time = SHORT).await;
    let mut stream = connect(&served).await;
    assert_eq!(until_closed(&mut stream).await, "");
    still_serves(&served).await;
}

#[tokio::test]
async fn a_client_that_sends_its_head_too_slowly_is_disconnected() {
    let served = served_with(|config| config.header_time = SHORT).await;
    let mut stream = connect(&served).await;
    let (mut read, mut write) = stream.split();
    let drip = async {
        for byte in b"GET /health/live HTTP/1.1\r\nx: ".iter().chain([b'y'; 100_000].iter()) {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut said = Vec::new();
    let end = async { _ = read.read_to_end(&mut said).await };
    let ended = async {
        tokio::select! { () = drip => {}, () = end => {} }
    };
    let started = Instant::now();
    timeout(DEADLINE, ended).await.unwrap();
    assert!(started.elapsed() < DEADLINE / 2);
    still_serves(&served).await;
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_refused() {
    let served = served_with(|config| config.body_time = SHORT).await;
    let mut stream = connect(&served).await;
    let head = "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 100\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = until_closed(&mut stream).await;
    assert!(said.contains("408 Request Timeout") && said.contains("body_late"), "{said}");
    still_serves(&served).await;
}

#[tokio::test]
async fn a_body_with_too_large_a_length_is_refused_at_once() {
    let served = served_by(config()).await;
    let mut stream = connect(&served).await;
    let head = "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 99999999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let said = until_closed(&mut stream).await;
    assert!(said.contains("413 Payload Too Large") && said.contains("body_too_large"), "{said}");
    still_serves(&served).await;
}

/// A client that reads only when it has sent everything gets the refusal, and knows that the connection ends.
#[tokio::test]
async fn a_refusal_arrives_while_the_body_is_still_sent() {
    let mut config = config();
    config.body_bytes.0 = 1 << 20;
    let served = served_by(config).await;
    let length = 8 << 20;
    for (authorization, status) in [("", "413"), ("authorization: Basic eDp5\r\n", "401")] {
        let mut stream = connect(&served).await;
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
             {authorization}content-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let body = vec![b' '; length];
        timeout(DEADLINE, stream.write_all(&body)).await.unwrap().unwrap();
        let said = until_closed(&mut stream).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
        assert!(said.contains("connection: close"), "{said}");
    }
    still_serves(&served).await;
}

/// Only what was not received ends a connection: the next request is served on the same one, also after a refusal.
#[tokio::test]
async fn a_connection_goes_on_behind_bodies_that_were_received() {
    let served = served_by(config()).await;
    let mut stream = connect(&served).await;
    for (body, status) in [("{", "400"), (r#"{"events":[{"stream":"a-1","type":"T"}]}"#, "201")] {
        let request = format!(
            "POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let (mut said, mut buffer) = (String::new(), [0; 4096]);
        // An answer of JSON ends with its object.
        while !said.ends_with('}') {
            let read = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
            assert!(read > 0, "{said}");
            said.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{said}");
        assert!(!said.contains("connection: close"), "{said}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let served = served_by(config()).await;
    let mut stream = connect(&served).await;
    let head = format!(
        "GET /health/live HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(100_000)
    );
    _ = stream.write_all(head.as_bytes()).await;
    let said = until_closed(&mut stream).await;
    assert!(said.is_empty() || said.contains("431"), "{said}");
    still_serves(&served).await;
}

/// No handler sees these requests: the library of HTTP answers them, without a body.
#[tokio::test]
async fn a_head_that_cannot_be_read_is_refused_with_a_problem_document() {
    let served = served_with(|config| config.header_bytes.0 = 256 << 10).await;
    let line = "GET /health/live HTTP/1.1\r\nhost: localhost\r\n";
    let many = format!("{line}{}\r\n", "a: b\r\n".repeat(200));
    let long = format!("GET /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(70_000));
    for (head, status, code) in [
        ("GET\r\n\r\n", 400, "head_invalid"),
        ("GET / HTTP/1.1\r\nhost localhost\r\n\r\n", 400, "head_invalid"),
        ("GET / HTTP/9.9\r\nhost: localhost\r\n\r\n", 400, "head_invalid"),
        (&many, 431, "head_too_large"),
        (&long, 414, "target_too_long"),
        // Behind one that is answered.
        (&format!("{line}\r\nGET\r\n\r\n"), 400, "head_invalid"),
    ] {
        let mut stream = connect(&served).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let said = until_closed(&mut stream).await;
        let (head, body) = said.rsplit_once("\r\n\r\n").unwrap_or_else(|| panic!("{said:?}"));
        assert!(head.contains(&format!("HTTP/1.1 {status} ")), "{said}");
        assert!(head.contains("content-type: application/problem+json\r\n"), "{said}");
        assert!(head.contains("x-request-id: "), "{said}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{said}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&json!(code), &json!(status)));
    }
    still_serves(&served).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_subscription_is_not_idle() {
    let limits = |config: &mut Config| {
        (config.idle_time, config.heartbeat) = (SHORT, Duration::from_millis(50));
    };
    let served = served_with(limits).await;
    let mut subscriber = connect(&served).await;
    let subscribe = "GET /v1/subscribe HTTP/1.1\r\nhost: localhost\r\n\r\n";
    subscriber.write_all(subscribe.as_bytes()).await.unwrap();
    let mut idle = connect(&served).await;
    idle.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let said = until_closed(&mut idle).await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    let mut alive = 0;
    let mut buffer = [0; 4096];
    while alive < 20 {
        let read = timeout(DEADLINE, subscriber.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the subscription goes on");
        alive += String::from_utf8_lossy(&buffer[..read]).matches(": alive").count();
    }
}

/// Only a head that has begun is due within `header_time`; between two requests there is `idle_time`.
#[tokio::test]
async fn a_connection_may_rest_between_requests() {
    let served = served_with(|config| config.header_time = SHORT).await;
    let mut stream = connect(&served).await;
    let request = b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut buffer = [0; 4096];
    for _ in 0..2 {
        stream.write_all(request).await.unwrap();
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 200 OK"));
        assert!(timeout(3 * SHORT, stream.read(&mut buffer)).await.is_err(), "it stays open");
    }
    stream.write_all(b"GET /health").await.unwrap();
    assert_eq!(timeout(DEADLINE, stream.read(&mut buffer)).await.unwrap().unwrap_or(0), 0);
}

/// Half a request, and then the client's side is closed; or a whole one, and it is closed before
/// the answer is read.
#[tokio::test]
async fn a_half_closed_connection_is_closed() {
    let served = served_by(config()).await;
    for half in ["GET /health/li", "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n"] {
        let mut stream = connect(&served).await;
        stream.write_all(half.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        until_closed(&mut stream).await;
    }
    still_serves(&served).await;
}

/// A subscriber that never reads: the kernel's buffers fill up, then its subscription ends.
#[tokio::test]
async fn a_subscriber_that_never_reads_is_ended_and_holds_nothing() {
    let served = served_with(|config| config.write_time = SHORT).await;
    let text = "x".repeat(64 << 10);
    for _ in 0..20 {
        let events: Vec<_> = (0..20).map(|_| json!({"type": "T", "data": text})).collect();
        served.post("/v1/streams/a/events", json!({ "events": events })).await;
    }
    let mut stream = connect(&served).await;
    stream.write_all(b"GET /v1/subscribe HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let subscriptions = &served.running.state().subscriptions;
    let until = async |count: usize| {
        let started = Instant::now();
        while subscriptions.count() != count {
            assert!(started.elapsed() < DEADLINE, "{} subscriptions", subscriptions.count());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(1).await;
    until(0).await;
    still_serves(&served).await;
}

/// A steady reader on a thin line gets everything. What the system's buffers hold takes it longer than the
/// limit, but it takes something all the time.
#[tokio::test]
async fn a_slow_but_steady_subscriber_is_not_cut_off() {
    let served = served_with(|config| config.write_time = Duration::from_secs(2)).await;
    let text = "x".repeat(250 << 10);
    for _ in 0..10 {
        let events: Vec<_> = (0..2).map(|_| json!({"type": "T", "data": text})).collect();
        served.post("/v1/streams/a/events", json!({ "events": events })).await;
    }
    // One that takes several times the limit, and small ones behind it.
    let large = json!({"events": [{"type": "T", "data": "x".repeat(2 << 20)}]});
    served.post("/v1/streams/a/events", large).await;
    for _ in 0..4 {
        let small = json!({"events": [{"type": "T", "data": "x".repeat(20 << 10)}]});
        served.post("/v1/streams/a/events", small).await;
    }
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut stream = socket.connect(served.running.local_addr()).await.unwrap();
    stream.write_all(b"GET /v1/subscribe HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let (mut taken, mut buffer) = (0, vec![0; 32 << 10]);
    while taken < 20 * (250 << 10) + (2 << 20) + 4 * (20 << 10) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "cut off after {taken} bytes");
        taken += read;
        // 700 KB a second: the pace of the line, not a wait for anything.
        tokio::time::sleep(Duration::from_millis(45)).await;
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_another_to_end() {
    let mut config = config();
    config.connections = 1;
    let served = served_by(config).await;
    let first = connect(&served).await;
    let ask = served.get("/health/live");
    let mut ask = std::pin::pin!(ask);
    assert!(timeout(SHORT, ask.as_mut()).await.is_err(), "there is no place");
    drop(first);
    assert_eq!(ask.await.status(), 200);
}

#[tokio::test]
async fn a_shutdown_lets_requests_in_flight_end_and_is_bounded() {
    let served = served_with(|config| config.shutdown_time = Duration::from_secs(10)).await;
    let mut stream = connect(&served).await;
    let body = json!({"events": [{"stream": "a", "type": "T"}]}).to_string();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                        content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // A client that never sends its body delays the shutdown only for a bounded time.
    let mut stuck = connect(&served).await;
    stuck.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(served.send(Method::GET, "/health/ready", json!(null)).await.status(), 200);
    let Served { running, .. } = served;
    let address = running.local_addr();
    let shutdown = tokio::spawn(running.shutdown());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream.write_all(body.as_bytes()).await.unwrap();
    let said = until_closed(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 201 Created"), "{said}");
    timeout(DEADLINE, shutdown).await.unwrap().unwrap();
}
