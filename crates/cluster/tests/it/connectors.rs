//! Connectors on the nodes of a cluster: each runs at the node that owns its definition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use leftfold_api::{Append, EventStore, NewEvent, partition_of};
use leftfold_cluster::many::PartitionedStore;
use leftfold_cluster::store::ClusterStore;
use leftfold_connect::connectors::{
    ConnectorDefinition, ConnectorError, ConnectorPhase, ConnectorStart, Connectors, Secrets,
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::many::Spread;
use crate::nodes::PATIENCE;

type Store = PartitionedStore<ClusterStore>;

/// The versions that came of each stream.
type Received = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// The connectors of a node, which run until they are killed.
struct Running {
    connectors: Connectors<Store>,
    task: JoinHandle<Result<(), ConnectorError>>,
}

impl Running {
    async fn start(store: &Arc<Store>) -> Self {
        let connectors = Connectors::owned(store.clone(), Secrets::default(), store.clone());
        let running = connectors.clone();
        let task = tokio::spawn(async move { running.run_until(std::future::pending()).await });
        connectors.ready().await;
        Running { connectors, task }
    }

    async fn phase(&self) -> Option<ConnectorPhase> {
        self.connectors.status("hook").await.ok().map(|status| status.phase)
    }
}

/// Starts a web server that takes all events. Returns its address and what it has received.
async fn receive() -> (String, Received) {
    let received = Received::default();
    let all = received.clone();
    let take = move |body: Bytes| async move {
        let event: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let stream = event["stream"].as_str().unwrap().to_owned();
        all.lock().entry(stream).or_default().push(event["version"].as_u64().unwrap());
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let routes = Router::new().fallback(take);
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (address, received)
}

async fn wait_until(holds: impl AsyncFn() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

/// Appends an event to each of 24 streams, of all partitions.
async fn append_round(store: &Store) {
    for n in 0..24 {
        let append = Append::new().event(format!("order-{n}"), NewEvent::json("Placed", "{}"));
        store.append(append).await.unwrap();
    }
}

/// Waits until each stream's events up to a version came.
async fn wait_for(received: &Received, version: u64) {
    let has_all = || {
        let received = received.lock();
        received.len() == 24 && received.values().all(|versions| versions.contains(&version))
    };
    wait_until(async || has_all()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_runs_at_the_owner_of_its_definition_and_goes_on_at_the_next() {
    let mut spread = tokio::task::block_in_place(Spread::through_the_first);
    let stores = ["a", "b"].map(|node| Arc::new(spread.through(node)));
    let (address, received) = receive().await;
    append_round(&stores[0]).await;
    let mut nodes = [Running::start(&stores[0]).await, Running::start(&stores[1]).await];
    let text = format!(
        "name = \"hook\"\nkind = \"http\"\nquery = \"category:order\"\n[http]\nurl = \"http://{address}/\"\n\
         allow_private = true\n"
    );
    let definition = ConnectorDefinition::parse(&text).unwrap();
    // Any node takes a change.
    nodes[1].connectors.add(&definition, ConnectorStart::Beginning).await.unwrap();
    wait_for(&received, 0).await;

    let partition = u64::from(partition_of("leftfold.connector-hook", 8));
    let mut owner = usize::try_from(partition % 2).unwrap();
    for round in 1..4 {
        let phases = async |owner: usize| {
            nodes[owner].phase().await == Some(ConnectorPhase::Running)
                && nodes[1 - owner].phase().await == Some(ConnectorPhase::Elsewhere)
        };
        wait_until(async || phases(owner).await).await;
        append_round(&stores[0]).await;
        tokio::task::block_in_place(|| spread.hand_over_half(partition));
        owner = 1 - owner;
        append_round(&stores[1]).await;
        wait_for(&received, 2 * round).await;
        wait_until(async || phases(owner).await).await;
    }
    // The owner's run is killed, as with its node; another run there goes on.
    append_round(&stores[0]).await;
    nodes[owner].task.abort();
    assert!((&mut nodes[owner].task).await.unwrap_err().is_cancelled());
    append_round(&stores[0]).await;
    nodes[owner] = Running::start(&stores[owner]).await;
    wait_for(&received, 8).await;
    for (stream, versions) in &*received.lock() {
        let mut firsts = Vec::new();
        for version in versions {
            if !firsts.contains(version) {
                firsts.push(*version);
            }
        }
        assert_eq!(firsts, (0..9).collect::<Vec<_>>(), "{stream}: {versions:?}");
    }
}
