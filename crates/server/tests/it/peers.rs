//! The server for the other nodes of a cluster admits those who have the token, and nobody else.

use std::sync::{Arc, mpsc};

use leftfold_api::{Append, Coded, Engine, EventStore, NewEvent, Query, Read, ReadError};
use leftfold_client::{Client, CopyStream};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_server::access::Secret;
use leftfold_server::{RunningServer, Server, StartError};
use leftfold_store::{BackupReceiver, Embedded, Options, StoreIdentity};
use parking_lot::Mutex;

use crate::engine::HookedEngine;
use crate::support::{config, store};

const TOKEN: &str = "a token of the cluster";

async fn start(token: Option<&str>) -> RunningServer {
    let token = token.map(|token| Secret::from(token.to_owned()));
    let address = ([127, 0, 0, 1], 0).into();
    Server::start_for_peers(config(), vec![store(), store()], address, token).await.unwrap()
}

async fn append(client: &Client) -> Result<(), &'static str> {
    let append = Append::new().event("order-1", NewEvent::json("Placed", "{}"));
    match client.append(append).await {
        Ok(_) => Ok(()),
        Err(error) => Err(error.code()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_admits_and_nothing_else_does() {
    let running = start(Some(TOKEN)).await;
    let builder = || Client::builder(format!("http://{}", running.local_addr()));
    let with_token = builder().token(TOKEN).connect_lazily().unwrap();
    assert_eq!(append(&with_token).await, Ok(()));
    for refused in [builder(), builder().token("another"), builder().basic("admin", TOKEN)] {
        let client = refused.connect_lazily().unwrap();
        assert_eq!(append(&client).await, Err("unauthenticated"));
        assert_eq!(client.head().await.unwrap_err().code(), "unauthenticated");
    }
    assert_eq!(with_token.stream("order-1").await.unwrap().unwrap().version, 0);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_it_listens_on_this_machine_only() {
    let running = start(None).await;
    let url = format!("http://{}", running.local_addr());
    assert_eq!(append(&Client::connect(url).await.unwrap()).await, Ok(()));
    let exposed = ([0, 0, 0, 0], 0).into();
    let refused = Server::start_for_peers(config(), vec![store()], exposed, None).await;
    assert!(matches!(refused, Err(StartError::ExposedToPeers(_))));
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_names_its_partition() {
    let running = start(None).await;
    let client = Client::connect(format!("http://{}", running.local_addr())).await.unwrap();
    assert_eq!(append(&client.of_partition(1)).await, Ok(()));
    for (number, expected) in [(0, None), (1, Some(0))] {
        let stream = client.of_partition(number).stream("order-1").await.unwrap();
        assert_eq!(stream.map(|stream| stream.version), expected, "partition {number}");
    }
    assert_eq!(client.stream("order-1").await.unwrap(), None, "without it, it is partition 0");
    for unknown in [2, u32::MAX] {
        let client = client.of_partition(unknown);
        assert_eq!(append(&client).await, Err("partition_unknown"));
        assert_eq!(client.head().await.unwrap_err().code(), "partition_unknown");
    }
    running.shutdown().await;
}

const IDENTITY: StoreIdentity =
    StoreIdentity { store_id: [1; 16], incarnation: [2; 16], hash_key: [3; 16] };

/// Opens a store with small segments.
fn open(disk: &FakeDisk) -> Embedded {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let mut options = Options { identity: Some(IDENTITY), ..Options::default() };
    (options.log.preallocate, options.log.segment_bytes) = (4096, 64 << 10);
    Embedded::open_on(Arc::new(disk.clone()), clock, random, options).unwrap()
}

async fn receive(mut pieces: CopyStream) -> Result<FakeDisk, ReadError> {
    let disk = FakeDisk::new();
    let mut receiver = BackupReceiver::new(Arc::new(disk.clone()), IDENTITY);
    while let Some(piece) = pieces.next().await? {
        receiver.take(&piece).unwrap();
    }
    receiver.finish().unwrap();
    Ok(disk)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_partition_travels_to_another_node() {
    let original = Arc::new(open(&FakeDisk::new()));
    for number in 0..200 {
        let event = NewEvent::new("Placed", vec![number; 4_000]);
        original.append(Append::new().event("order-1", event)).await.unwrap();
    }
    let token = Secret::from(TOKEN.to_owned());
    let parts: Vec<Arc<dyn Engine>> = vec![store(), original.clone()];
    let address = ([127, 0, 0, 1], 0).into();
    let running = Server::start_for_peers(config(), parts, address, Some(token)).await.unwrap();
    let builder = || Client::builder(format!("http://{}", running.local_addr()));
    let client = builder().token(TOKEN).connect_lazily().unwrap();
    let disk = receive(client.of_partition(1).fetch_copy().await.unwrap()).await.unwrap();
    let copy = open(&disk);
    let read = || Read::forward(Query::All).limit(1_000);
    let [found, expected] =
        [copy.read(read()).await.unwrap(), original.read(read()).await.unwrap()];
    assert_eq!(format!("{:?}", found.events), format!("{:?}", expected.events));
    assert_eq!((found.events.len(), found.cursor), (200, expected.cursor));
    let code = async |client: Client| client.fetch_copy().await.err().map(|error| error.code());
    assert_eq!(code(client.of_partition(2)).await, Some("partition_unknown"));
    assert_eq!(code(builder().connect_lazily().unwrap()).await, Some("unauthenticated"));
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_sends_two_copies_at_a_time() {
    let engine = Arc::new(HookedEngine::new(Arc::new(open(&FakeDisk::new()))));
    let (begins, begun) = mpsc::channel();
    let (go_on, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    engine.in_stat(move || {
        _ = begins.send(());
        // Once the test has dropped its end, nothing waits.
        _ = waits.lock().recv();
    });
    let address = ([127, 0, 0, 1], 0).into();
    let running = Server::start_for_peers(config(), vec![engine], address, None).await.unwrap();
    let client = Client::connect(format!("http://{}", running.local_addr())).await.unwrap();
    let sent = [client.fetch_copy().await.unwrap(), client.fetch_copy().await.unwrap()];
    begun.recv().unwrap();
    let refused = client.fetch_copy().await.err().map(|error| error.code());
    assert_eq!(refused, Some("server_overloaded"));
    drop(go_on);
    for pieces in sent {
        receive(pieces).await.unwrap();
    }
    let again = async {
        loop {
            // The place of a copy is free a moment after its end has arrived.
            match client.fetch_copy().await {
                Err(error) if error.code() == "server_overloaded" => tokio::task::yield_now().await,
                done => return done,
            }
        }
    };
    let again = tokio::time::timeout(crate::support::DEADLINE, again).await.unwrap().unwrap();
    receive(again).await.unwrap();
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_for_clients_gives_no_copies() {
    let running = Server::start(config(), store()).await.unwrap();
    let client = Client::connect(format!("http://{}", running.local_addr())).await.unwrap();
    assert!(client.fetch_copy().await.is_err());
    running.shutdown().await;
}
