//! Compressed answers and bodies, over HTTP and gRPC.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use leftfold_api::{EventStore, NewEvent, Query, Read as ReadRequest};
use leftfold_client::Client;
use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{Messages, Served, config, json, served, served_by};

async fn get(served: &Served, path: &str, accept: &str) -> Response {
    let request = served.client.get(served.url(path)).header("accept-encoding", accept);
    request.send().await.unwrap()
}

async fn post(served: &Served, encoding: &str, body: Vec<u8>) -> (u16, Value) {
    let request = served.client.post(served.url("/v1/events"));
    let request = request.header("content-type", "application/json");
    let response = request.header("content-encoding", encoding).body(body).send().await.unwrap();
    (response.status().as_u16(), json(response).await)
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.window_log(window_log).unwrap();
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn append(data: &str) -> Vec<u8> {
    json!({"events": [{"stream": "a", "type": "T", "data": data}]}).to_string().into_bytes()
}

#[tokio::test]
async fn answers_are_compressed_if_the_client_accepts_it() {
    let served = served().await;
    served
        .post("/v1/streams/a/events", json!({"events": [{"type": "T", "data": "x".repeat(5000)}]}))
        .await;
    let plain = get(&served, "/v1/events", "identity").await;
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_eq!(plain.headers()["vary"], "accept-encoding");
    let plain = plain.bytes().await.unwrap();
    for encoding in ["gzip", "zstd"] {
        let response = get(&served, "/v1/events", encoding).await;
        assert_eq!(response.headers()["content-encoding"], encoding);
        let packed = response.bytes().await.unwrap();
        assert!(packed.len() < plain.len() / 4, "{encoding}: {} bytes", packed.len());
        let mut text = Vec::new();
        match encoding {
            "gzip" => _ = MultiGzDecoder::new(&packed[..]).read_to_end(&mut text).unwrap(),
            _ => text = zstd::decode_all(&packed[..]).unwrap(),
        }
        assert_eq!(text, plain);
    }
    let small = get(&served, "/v1/head", "gzip, zstd").await;
    assert!(!small.headers().contains_key("content-encoding"));
}

#[tokio::test]
async fn events_of_a_subscription_wait_in_no_compressor() {
    let served = served().await;
    served
        .post("/v1/streams/a/events", json!({"events": [{"type": "T", "data": "x".repeat(5000)}]}))
        .await;
    let response = get(&served, "/v1/subscribe", "gzip, zstd").await;
    assert!(!response.headers().contains_key("content-encoding"));
    let mut messages = Messages::of(response);
    assert_eq!(messages.next().await.unwrap().data["type"], "T");
}

#[tokio::test]
async fn bodies_may_be_compressed() {
    let served = served().await;
    for (n, (encoding, body)) in [
        ("gzip", gzip(&append("g"))),
        ("X-GZIP", gzip(&append("x"))),
        ("zstd", zstd(&append("z"), 23)),
        ("identity", append("i")),
    ]
    .into_iter()
    .enumerate()
    {
        let (status, answer) = post(&served, encoding, body).await;
        assert_eq!((status, &answer["positions"]["first"]), (201, &json!(n + 1)), "{encoding}");
    }
}

#[tokio::test]
async fn a_body_is_limited_by_what_it_has_decompressed() {
    let mut config = config();
    config.body_bytes.0 = 64 << 10;
    let served = served_by(config).await;
    // So small once it is compressed that it arrives at once: nobody reads what follows a refusal.
    let bomb = append(&"0".repeat(1_000_000));
    for (encoding, body) in [("gzip", gzip(&bomb)), ("zstd", zstd(&bomb, 23))] {
        assert!(body.len() < 2_000, "{encoding}: {} bytes", body.len());
        let (status, answer) = post(&served, encoding, body).await;
        assert_eq!((status, &answer["code"]), (413, &json!("body_too_large")), "{encoding}");
    }
}

#[tokio::test]
async fn bodies_that_cannot_be_decompressed_are_refused_by_code() {
    let served = served().await;
    let whole = gzip(&append(&"text ".repeat(100)));
    let wide = zstd(&append(&"0".repeat(1 << 20)), 27);
    let cut = whole[..whole.len() - 9].to_vec();
    // Without the checksum at its end all text is there.
    let mut cut_zstd = zstd(&append(&"text ".repeat(100)), 23);
    cut_zstd.truncate(cut_zstd.len() - 1);
    for (encoding, body, status, code) in [
        ("br", append("b"), 415, "encoding_unsupported"),
        ("gzip, gzip", whole, 415, "encoding_unsupported"),
        ("gzip", append("not gzip"), 400, "body_invalid"),
        ("gzip", cut, 400, "body_invalid"),
        ("zstd", append("not zstd"), 400, "body_invalid"),
        ("zstd", cut_zstd, 400, "body_invalid"),
        // A window of 128 MiB, which the decoder would have to allocate.
        ("zstd", wide, 400, "body_invalid"),
    ] {
        let (found, answer) = post(&served, encoding, body).await;
        assert_eq!((found, &answer["code"]), (status, &json!(code)), "{encoding} {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_grpc_may_be_compressed() {
    let mut config = config();
    config.body_bytes.0 = 64 << 10;
    let served = served_by(config).await;
    let url = served.url("");
    let client = Client::builder(&url).compressed().connect().await.unwrap();
    let data = "x".repeat(30_000);
    for stream in ["a", "b"] {
        let event = NewEvent::new("T", data.clone());
        client.append(leftfold_api::Append::new().event(stream, event)).await.unwrap();
    }
    let page = client.read(ReadRequest::forward(Query::All)).await.unwrap();
    assert_eq!(page.events.iter().map(|event| event.data().len()).sum::<usize>(), 60_000);
    // A message that is small only while it is compressed.
    let event = NewEvent::new("T", "x".repeat(1 << 20));
    let refused = client.append(leftfold_api::Append::new().event("a", event)).await;
    assert!(refused.is_err());
}
