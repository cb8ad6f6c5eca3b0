//! On which thread a call does what waits for a disk.

use std::sync::Arc;
use std::thread;

use leftfold_api::{Append, Engine, EventStore, NewEvent, Query, Read};
use leftfold_client::Client;
use leftfold_server::Server;

use crate::engine::HookedEngine;
use crate::support::{config, store};

/// More reads in a row than a client makes before it counts as one that waits for each answer.
const READS: usize = 20;

async fn read(client: &Client) {
    for _ in 0..READS {
        let page = client.read(Read::forward(Query::stream("a-1"))).await.unwrap();
        assert_eq!(page.events.len(), 1);
    }
}

/// The thread of a connection reads files for a client that is alone on it. With another connection on the thread it
/// does not: that one would wait.
#[tokio::test]
async fn a_thread_reads_files_only_for_a_client_that_is_alone_on_it() {
    let engine = Arc::new(HookedEngine::new(store()));
    let running = Server::start(config(), engine.clone() as Arc<dyn Engine>).await.unwrap();
    let url = format!("http://{}", running.local_addr());
    let client = Client::connect(url.clone()).await.unwrap();
    let append = Append::new().event("a-1", NewEvent::new("Opened", "1"));
    client.append(append).await.unwrap();
    read(&client).await;
    let alone = engine.reads_here();
    assert!((1..READS).contains(&alone), "{alone} of {READS}");

    // One more on each thread.
    let mut others = Vec::new();
    for _ in 0..2 * thread::available_parallelism().map_or(1, usize::from).max(2) {
        others.push(Client::connect(url.clone()).await.unwrap());
    }
    read(&client).await;
    assert_eq!(engine.reads_here(), alone);
}
