//! Prints how fast one core writes and reads records: `cargo bench --package leftfold-cluster`.
#![expect(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::hint::black_box;
use std::time::Instant;

use leftfold_api::{NewEvent, Recorded, Timestamp};
use leftfold_cluster::ledger::{Ledger, Stamp};
use leftfold_cluster::record::{Decoder, Encoder};
use leftfold_kafka::{Batch, StoredBatch};
use leftfold_store::OwnAppend;
use uuid::Uuid;

/// Events of a batch.
const EVENTS: u64 = 500;
/// The number of times that each batch is written and read.
const ROUNDS: u64 = 2_000;

/// Runs something often, and prints its rate.
fn measure<T>(what: &str, mut run: impl FnMut() -> T) {
    let started = Instant::now();
    for _ in 0..ROUNDS {
        black_box(run());
    }
    let each = started.elapsed().as_secs_f64() / (EVENTS * ROUNDS) as f64;
    println!("{what:18} {:9.0} events/s, {:4.0} ns each", 1.0 / each, each * 1e9);
}

/// Returns an append of an event with 200 bytes of payload and a tag.
fn append(at: u64) -> OwnAppend {
    let now = Timestamp(1_772_366_400_123_456 + at as i64);
    let event = NewEvent::json("OrderPlaced", vec![b'x'; 200]).tag("customer", "42");
    let event = event.id(Uuid::from_u128(u128::from(at) << 64));
    let events = vec![Recorded::from_parts("order-7", at, at + 1, now, &event).unwrap()];
    let append_id = u128::from(at) << 32;
    OwnAppend { first: at + 1, append_id, commit_time: now, events, checkpoints: Vec::new() }
}

fn main() {
    let claim = Stamp { term: 3, number: 0 };
    let appends: Vec<_> = (0..EVENTS).map(append).collect();
    let encoder = Encoder::new("/leftfold/shop");
    let encode = || {
        let mut next = claim.after(1);
        let mut records = Vec::with_capacity(appends.len());
        for own in &appends {
            records.extend(encoder.encode(own, next).unwrap());
            next = next.after(1);
        }
        records
    };
    measure("encode", encode);
    let batch = Batch::of(0, encode());
    measure("encode the batch", || batch.encode());
    let bytes = batch.encode();
    measure("decode the batch", || StoredBatch::decode_all(bytes.clone()).unwrap());
    let batch = StoredBatch::decode_all(bytes.clone()).unwrap().remove(0);
    measure("decode", || Decoder::resume(Ledger::resume(claim), 0).decode(&batch).unwrap());
    println!("{} bytes an event", bytes.len() as u64 / EVENTS);
}
