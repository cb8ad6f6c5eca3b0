//! Bytes that no client sends: each is answered, or the connection is closed, and others are served.

use std::time::Duration;

use kafka_protocol::messages::MetadataRequest;
use leftfold_io::fake::SeededRandom;
use leftfold_kafka::serving::SUPPORTED;
use leftfold_kafka::serving::guard::samples::{Plan, sample};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::support::{
    Broker, Socket, batch_of, broker_with, fetch_request, frame, frame_of, keyed, orders,
    produce_request, produced,
};

/// Bodies of each version of each request; more with this variable.
const ROUNDS: u64 = 6;
const ROUNDS_VARIABLE: &str = "KAFKA_HOSTILE_ROUNDS";

/// Changes a body at random.
fn mutate(random: &SeededRandom, mut body: Vec<u8>) -> Vec<u8> {
    let below = |most: usize| random.below(most.max(1) as u64) as usize;
    for _ in 0..=below(4) {
        let at = below(body.len());
        match below(6) {
            0 => body.truncate(at),
            1 if !body.is_empty() => body[at] ^= 1 << below(8),
            2 if !body.is_empty() => body[at] = [0, 0xff, 0x7f, 0x80, 1][below(5)],
            3 => _ = body.splice(at..at, [0xff; 4]),
            4 => body.extend((0..below(40)).map(|n| n as u8)),
            _ if body.len() > at + 4 => {
                let number = [i32::MAX, -1, i32::MIN, 1 << 20][below(4)];
                body[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
            _ => {}
        }
    }
    body
}

async fn served() -> Broker {
    // Joins end at once with a server, and a member that never comes back is forgotten with it.
    let broker = broker_with(|config| config.write_time = Duration::from_secs(5)).await;
    broker.define(orders(2)).await;
    broker
}

/// Sends what may be anything, and waits a moment for an answer or for the end of the connection.
async fn assault(broker: &Broker, bytes: &[u8]) {
    // What is asked for may be to wait.
    const MOMENT: Duration = Duration::from_millis(50);
    let mut socket = broker.socket().await;
    if socket.stream.write_all(bytes).await.is_ok() {
        _ = timeout(MOMENT, socket.receive()).await;
    }
}

async fn is_healthy(broker: &Broker, number: &mut i64) {
    let connection = broker.connect().await;
    let key = "1";
    let partition = leftfold_api::Partitioner::Murmur2.partition_of(key.as_bytes(), 2);
    let batch = batch_of(keyed(key, "healthy"));
    let offset = produced(&connection, "order", partition.cast_signed(), batch).await;
    assert!(offset >= *number);
    *number = offset + 1;
    let answer = connection.call(&MetadataRequest::default().with_topics(None)).await.unwrap();
    assert!(!answer.topics.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_body_of_a_request_harms_the_server() {
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |text| text.parse().unwrap());
    let broker = served().await;
    let random = SeededRandom::new(rounds);
    let mut number = 0;
    for round in 0..rounds {
        for request in &SUPPORTED {
            for version in request.min..=request.max {
                let plan = Plan { elements: 1 + (round as usize % 2), ..Plan::default() };
                let Some(seed) = sample(request.api_key(), version, plan) else { continue };
                let bodies = [
                    seed.body.clone(),
                    mutate(&random, seed.body.clone()),
                    mutate(&random, seed.body),
                    (0..random.below(60)).map(|_| random.below(256) as u8).collect(),
                ];
                for (id, body) in (0..).zip(bodies) {
                    assault(&broker, &frame(request.api_key(), version, id, &body)).await;
                }
            }
        }
        is_healthy(&broker, &mut number).await;
    }
}

/// Requests that are right but for their records, which the guard does not look into.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_batch_harms_the_server() {
    let rounds = std::env::var(ROUNDS_VARIABLE).map_or(ROUNDS, |text| text.parse().unwrap());
    let broker = served().await;
    let random = SeededRandom::new(rounds + 1);
    let record = keyed("1", "{\"n\":1}").header("tag", "a=b").header("expected-version", "3");
    let batch = leftfold_kafka::Batch::of(5, vec![record; 3]);
    let seeds = [
        batch.encode(),
        batch.clone().compressed(leftfold_kafka::Compression::Zstd).encode(),
        batch.compressed(leftfold_kafka::Compression::Lz4).encode(),
    ];
    let mut number = 0;
    for round in 0..rounds * 40 {
        let mut bytes = mutate(&random, seeds[round as usize % 3].to_vec());
        // With the right checksum what is behind it is looked at.
        if bytes.len() > 21 && round % 4 != 0 {
            let crc = super::refusals::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let mut socket = broker.socket().await;
        let partition = i32::from(round % 2 == 0);
        let request = produce_request("order", &[(partition, bytes.into())]);
        socket.send(&frame_of(9, 1, &request)).await;
        assert!(socket.receive().await.is_some(), "every batch is answered");
    }
    is_healthy(&broker, &mut number).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_stream_of_bytes_harms_the_server() {
    let broker = served().await;
    let random = SeededRandom::new(3);
    let mut number = 0;
    for round in 0..60_usize {
        let length = random.below(300) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        if round % 2 == 0 && bytes.len() > 8 {
            bytes[..4].copy_from_slice(&((length - 4) as u32).to_be_bytes());
            bytes[4..8].copy_from_slice(&[0, (round % 70) as u8, 0, (round % 13) as u8]);
        }
        assault(&broker, &bytes).await;
    }
    for greeting in
        ["GET / HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
    {
        assault(&broker, greeting.as_bytes()).await;
    }
    // A client that goes away while it waits.
    for _ in 0..20 {
        let waiting = fetch_request("order", &[(0, 0)]).with_max_wait_ms(60_000);
        let mut socket: Socket = broker.socket().await;
        socket.send(&frame_of(12, 1, &waiting)).await;
    }
    is_healthy(&broker, &mut number).await;
    broker.running.shutdown().await;
}
