//! What liveness and readiness say of a disk that is full.

use std::sync::Arc;

use leftfold_api::{Append, NewEvent};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_server::Server;
use leftfold_store::{Compression, Embedded, Options};
use serde_json::json;

use crate::support::{Served, client, config};

fn open(disk: &FakeDisk, compression: Compression) -> Arc<Embedded> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let mut options = Options { compression, ..Options::default() };
    options.log.preallocate = 4096;
    Arc::new(Embedded::open_on(Arc::new(disk.clone()), clock, random, options).unwrap())
}

#[tokio::test]
async fn a_server_whose_maintenance_waits_for_space_is_ready_and_says_so() {
    let disk = FakeDisk::new();
    let store = open(&disk, Compression::Off);
    store
        .blocking()
        .append(Append::new().event("a-1", NewEvent::new("T", vec![1; 5_000])))
        .unwrap();
    store.seal().unwrap();
    drop(store);
    // An opening for writing replaces MANIFEST.
    disk.set_capacity(Some(disk.used() + disk.bytes("MANIFEST").unwrap().len() as u64));
    let store = open(&disk, Compression::Fast);
    assert!(store.settle().is_err());
    let running = Server::start(config(), store.clone()).await.unwrap();
    let served = Served { running, client: client() };
    let ready = served.json("/health/ready").await;
    assert_eq!(ready["status"], "ready");
    let warning = ready["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("maintenance: ") && warning.contains("full"), "{ready}");
    disk.set_capacity(None);
    store.settle().unwrap();
    assert_eq!(served.json("/health/ready").await, json!({"status": "ready"}));
}
