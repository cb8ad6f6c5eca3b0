//! An engine that is not the embedded store is served as that one is: every promise of a store
//! holds over both protocols.

use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use leftfold_api::Engine;
use leftfold_client::Client;
use leftfold_partitioned::Partitioned;
use leftfold_server::{RunningServer, Server};
use leftfold_store::Options;
use tokio::runtime::{Builder, Runtime};

use crate::engine::HookedEngine;
use crate::support::{config, store};

/// Runs the servers of these tests.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

fn engine() -> Arc<HookedEngine> {
    Arc::new(HookedEngine::new(store()))
}

/// A store of many partitions.
fn partitioned() -> Arc<Partitioned> {
    Arc::new(leftfold_partitioned::create(4, 7, &Options::default()).unwrap())
}

/// An engine at the other end of gRPC.
struct GrpcStore<E> {
    client: Client,
    engine: Arc<E>,
    _running: RunningServer,
}

impl<E: Engine + 'static> GrpcStore<E> {
    fn of(engine: Arc<E>) -> Self {
        let running = RUNTIME.block_on(Server::start(config(), engine.clone())).unwrap();
        let client = Client::connect(format!("http://{}", running.local_addr()));
        GrpcStore { client: pollster::block_on(client).unwrap(), engine, _running: running }
    }
}

impl<E> Deref for GrpcStore<E> {
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
    use super::{GrpcStore, engine};

    leftfold_api::conformance_suite!(|| GrpcStore::of(engine()));
}

mod partitioned_over_http {
    use std::sync::Arc;

    use crate::conformance::store::HttpStore;

    leftfold_api::conformance_suite!(|| Arc::new(HttpStore::of(super::partitioned())), partitioned);
}

mod partitioned_over_grpc {
    use super::GrpcStore;

    leftfold_api::conformance_suite!(|| GrpcStore::of(super::partitioned()), partitioned);
}

#[test]
fn requests_reach_the_engine_and_not_the_store_behind_it() {
    use leftfold_api::EventStore;

    let store = GrpcStore::of(engine());
    let before = store.engine.calls();
    pollster::block_on(store.head()).unwrap();
    assert_eq!(store.engine.calls(), before + 1);
}
