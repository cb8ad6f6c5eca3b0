//! An engine that is not the embedded store is served as that one is: every promise of a store
//! holds over both protocols.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use leftfold_client::Client;
use leftfold_server::{RunningServer, Server};
use tokio::runtime::{Builder, Runtime};

use crate::engine::HookedEngine;
use crate::support::{config, store};

/// Runs the servers of these tests.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

fn engine() -> Arc<HookedEngine> {
    Arc::new(HookedEngine::new(store()))
}

/// The engine at the other end of gRPC.
struct GrpcStore {
    client: Client,
    engine: Arc<HookedEngine>,
    _running: RunningServer,
}

impl GrpcStore {
    fn fresh() -> Self {
        let engine = engine();
        let running = RUNTIME.block_on(Server::start(config(), engine.clone())).unwrap();
        let client = Client::connect(format!("http://{}", running.local_addr()));
        GrpcStore { client: pollster::block_on(client).unwrap(), engine, _running: running }
    }
}

impl Deref for GrpcStore {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

mod over_http {
    use std::sync::Arc;

    use crate::conformance::store::HttpStore;

    leftfold_api::conformance_suite!(|| Arc::new(HttpStore::of(super::engine())));
}

mod over_grpc {
    leftfold_api::conformance_suite!(super::GrpcStore::fresh);
}

#[test]
fn requests_reach_the_engine_and_not_the_store_behind_it() {
    use leftfold_api::EventStore;

    let store = GrpcStore::fresh();
    let before = store.engine.calls();
    pollster::block_on(store.head()).unwrap();
    assert_eq!(store.engine.calls(), before + 1);
}
