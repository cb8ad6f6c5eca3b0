//! Two processes of a cluster that both believe, for a moment, to be the one that runs a connector.

use std::sync::Arc;
use std::time::Duration;

use leftfold_api::BoxFuture;
use leftfold_connect::connectors::{Connectors, Ownership, Secrets};

use crate::lifecycle::hook;
use crate::receiver::Receiver;
use crate::support::{KEY, PATIENCE, World};

/// Owns everything.
struct Owner;

impl Ownership for Owner {
    fn partitions(&self) -> u32 {
        1
    }

    fn serves(&self, _: u32) -> bool {
        true
    }

    fn changed(&self) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// The one that is overtaken tries again: the other may be a node that is late to notice that it is the owner no more.
#[tokio::test(flavor = "multi_thread")]
async fn a_connector_goes_on_after_a_late_predecessor() {
    let (mut world, receiver) = (World::new().await, Receiver::start().await);
    world.stop().await;
    let secrets = || Secrets::of([("KEY".to_owned(), KEY.to_owned())]);
    world.connectors = Connectors::owned(world.store.clone(), secrets(), Arc::new(Owner));
    world.start().await;
    world.add(&hook(&receiver, "")).await;
    world.append("order-1", "OrderPlaced", "{}").await;
    receiver.wait_for(1).await;

    let late = Connectors::owned(world.store.clone(), secrets(), Arc::new(Owner));
    let running = tokio::spawn({
        let late = late.clone();
        async move { late.run_until(std::future::pending()).await }
    });
    // The first one meets the other when it notes what it has delivered.
    let overtaken = async {
        loop {
            world.append("order-1", "OrderPaid", "{}").await;
            let status = world.connectors.status("hook").await.unwrap();
            if status.code.as_deref() == Some("reactor_overtaken") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, overtaken).await.unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    world.append("order-2", "OrderPlaced", "{}").await;
    let delivered = async {
        while receiver.received().iter().all(|one| one.place().0 != "order-2") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, delivered).await.unwrap();
}
