//! What requests with very many small parts take, by a counting allocator. A binary of its own: the
//! allocator counts what all threads of a process take.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

mod kafka;

use std::alloc::System;
use std::sync::Arc;

use bytes::Bytes;
use cap::Cap;
use leftfold_api::{EventStore, IndexDefinition, PartitionKey, Query};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_server::{Config, Server};
use leftfold_store::{Embedded, Options};
use reqwest::{Client, Response};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// The setting `limits.bodies_bytes`.
const BODIES: usize = 48 << 20;
/// What server and clients take besides: the bodies at both ends, buffers, the store.
const OTHER: usize = 48 << 20;
/// Requests at the same time.
const AT_ONCE: usize = 10;
/// Parts of a request: as many as the protocols allow.
const PARTS: usize = 1 << 17;

fn json(list: &str, part: &str) -> Bytes {
    format!("{{\"{list}\":[{}{part}]}}", format!("{part},").repeat(PARTS - 1)).into()
}

/// The message of a call without compression.
fn grpc(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

async fn post(client: Client, url: String, media_type: &str, body: Bytes) -> Response {
    let request = client.post(url).header("content-type", media_type).header("te", "trailers");
    request.body(body).send().await.unwrap()
}

/// Sends a body ten times at once; returns the codes of the answers.
async fn send(client: &Client, url: &str, media_type: &'static str, body: &Bytes) -> Vec<String> {
    let requests: Vec<_> = std::iter::repeat_with(|| {
        tokio::spawn(post(client.clone(), url.to_owned(), media_type, body.clone()))
    })
    .take(AT_ONCE)
    .collect();
    let mut codes = Vec::new();
    for request in requests {
        let answer = request.await.unwrap();
        let code = answer.headers().get("leftfold-code").map(|code| code.to_str().unwrap());
        codes.push(match code {
            Some(code) => code.to_owned(),
            None => {
                let text = answer.text().await.unwrap();
                let (_, code) = text.split_once("\"code\":\"").unwrap_or(("", &text));
                code.split('"').next().unwrap_or_default().to_owned()
            }
        });
    }
    codes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_requests_of_very_many_parts_stay_within_the_memory_of_bodies() {
    let mut options = Options::default();
    options.log.preallocate = 4096;
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let store = Embedded::open_on(Arc::new(FakeDisk::new()), clock, random, options).unwrap();
    let orders = IndexDefinition::new("order", Query::category("order"));
    store.define_index(orders.partitioned(1, PartitionKey::StreamId)).await.unwrap();
    let mut config = Config::default();
    config.listen.set_port(0);
    config.bodies_bytes.0 = BODIES as u64;
    config.kafka_listen = Some(([127, 0, 0, 1], 0).into());
    config.kafka_auto_create = false;
    let hostile = kafka::Hostile::new();
    let server = Server::start(config, Arc::new(store)).await.unwrap();
    // Which one it is when all crates are built together is not said; another is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    let (http, calls) = (
        Client::builder().no_proxy().build().unwrap(),
        Client::builder().no_proxy().http2_prior_knowledge().build().unwrap(),
    );
    let url = |path: &str| format!("http://{}{path}", server.local_addr());
    let before = MEMORY.allocated();
    hostile.send(server.kafka_addr().unwrap()).await;
    let most = MEMORY.max_allocated() - before;
    assert!(most < BODIES + OTHER, "{} MiB", most >> 20);
    let many_tags = {
        let tags = "\"a=b\",".repeat(9_999);
        let event = format!(r#"{{"stream":"a","type":"T","tags":[{tags}"a=b"]}}"#);
        format!("{{\"events\":[{}{event}]}}", format!("{event},").repeat(19)).into()
    };
    for body in [
        json("events", r#"{"stream":"a","type":"a"}"#),
        json("expect", r#"{"stream":"","expected":0}"#),
        json("none_after", r#"{"query":""}"#),
        json("checkpoints", r#"{"name":"","to":""}"#),
        many_tags,
    ] {
        let codes = send(&http, &url("/v1/events"), "application/json", &body).await;
        assert!(codes.iter().any(|code| code == "server_overloaded"), "{codes:?}");
    }
    // An event of the message has two bytes; the first one names the stream of all.
    let stream = [&[0x0a, 0x83, 0x08, 0x0a, 0x80, 0x08][..], &[b'a'; 1024]].concat();
    let event = json("events", r#"{"type":"a"}"#);
    let long_name = format!("/v1/streams/{}/events", "a".repeat(1_024));
    let codes = send(&http, &url(&long_name), "application/json", &event).await;
    assert!(codes.iter().any(|code| code == "server_overloaded"), "{codes:?}");
    for message in [
        [0x0a, 0].repeat(PARTS),
        [0x12, 0].repeat(PARTS),
        [0x22, 0].repeat(PARTS),
        [&stream[..], &[0x0a, 0].repeat(PARTS - 1)].concat(),
        // The tags of an event.
        [&[0x0a, 0x80, 0x80, 0x40][..], &[0x3a, 0].repeat(1 << 19)].concat(),
    ] {
        let call = url("/leftfold.v1.Store/Append");
        let codes = send(&calls, &call, "application/grpc", &grpc(&message)).await;
        assert!(codes.iter().any(|code| code == "server_overloaded"), "{codes:?}");
    }
    // Some of them fit, one after the other, and are refused by the store.
    let most = MEMORY.max_allocated() - before;
    assert!(most < BODIES + OTHER, "{} MiB", most >> 20);
    // What a store allows by default is taken.
    let part = r#"{"stream":"a","type":"a"}"#;
    let body = format!("{{\"events\":[{}{part}]}}", format!("{part},").repeat(9_999)).into();
    let written = post(http, url("/v1/events"), "application/json", body).await;
    assert_eq!(written.status(), 201);
    server.shutdown().await;
}
