//! The server for the other nodes of a cluster admits those who have the token, and nobody else.

use leftfold_api::{Append, Coded, EventStore, NewEvent};
use leftfold_client::Client;
use leftfold_server::access::Secret;
use leftfold_server::{RunningServer, Server, StartError};

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
