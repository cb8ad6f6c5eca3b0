//! Each event is committed once, whatever is killed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_kafka::{Isolation, StoredRecord};
use leftfold_kafka_broker::Options;

use super::broker::{fresh, header, own, with_transactions};
use super::relay::relay;
use crate::support::{PATIENCE, World};

const STREAMS: usize = 7;
/// The events of a stream in one round.
const EVENTS: usize = 60;
/// The drops of the relay in one round.
const DROPS: usize = 5;

/// Returns a moment at which something is killed: each run has others.
fn moment() -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    Duration::from_micros(u64::from(nanos) / 1_000 % 120_000)
}

/// Asserts that each event is there once, in the order of its stream.
fn check(read: &[Vec<StoredRecord>], events: usize) {
    let mut streams = BTreeMap::<String, Vec<usize>>::new();
    for record in read.iter().flatten() {
        let version = header(record, "stream-version").parse().unwrap();
        streams.entry(header(record, "ce_subject")).or_default().push(version);
    }
    assert_eq!(streams.len(), STREAMS);
    for (stream, versions) in streams {
        assert!(versions.iter().copied().eq(0..events), "{stream}: {versions:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_event_is_committed_once_through_kills_of_relay_and_broker() {
    // Of three brokers: Kafka 4.3 leaves a transaction open for ever that is being committed while a partition has no
    // leader (KAFKA-20734), as with a single broker that restarts.
    let broker = own(with_transactions(Options::brokers(3))).await;
    let (mut world, topic) = (World::new().await, fresh("kills"));
    let rounds = std::env::var("LEFTFOLD_KILLS").map_or(2, |rounds| rounds.parse().unwrap());
    broker.create(&topic, 3, &[]).await;
    world.add(&relay(&broker, &topic, "", "")).await;
    for round in 1..=rounds {
        let store = world.store.clone();
        let writing = tokio::spawn(async move {
            for _ in 0..EVENTS {
                let mut append = Append::new();
                for stream in 0..STREAMS {
                    let event = NewEvent::json("Changed", "{}");
                    append = append.event(format!("order-{stream}"), event);
                }
                store.append(append).await.unwrap();
                // The relay shall have many transactions.
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        for drop in 0..DROPS {
            tokio::time::sleep(moment()).await;
            world.interrupt().await;
            world.start().await;
            if drop == DROPS / 2 {
                broker.kill_and_restart(1 + round as i32 % 3).await;
            }
        }
        writing.await.unwrap();
        let waiting = broker.wait_for(&topic, STREAMS * EVENTS * round);
        let Ok(read) = tokio::time::timeout(3 * PATIENCE, waiting).await else {
            let all = broker.read(&topic, Isolation::Uncommitted).await.unwrap_or_default();
            let counts: Vec<_> = all.iter().map(Vec::len).collect();
            let status = world.connectors.status("relay").await;
            panic!("round {round}: {counts:?} records with those not committed; {status:?}");
        };
        check(&read, EVENTS * round);
    }
}
