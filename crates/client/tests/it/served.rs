use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

use leftfold_client::Client;
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_server::{Config, RunningServer, Server};
use leftfold_store::{Embedded, Options};
use tokio::runtime::{Builder, Runtime};

/// Runs the servers of all tests.
pub(crate) static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap());

/// A store without events on a fake disk, served, and a client of it.
pub(crate) struct Served {
    pub(crate) client: Client,
    pub(crate) store: Arc<Embedded>,
    running: Option<RunningServer>,
}

/// A store without events on a fake disk.
pub(crate) fn store() -> Arc<Embedded> {
    store_on(Arc::new(FakeDisk::new()))
}

fn store_on(disk: Arc<FakeDisk>) -> Arc<Embedded> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let mut options = Options::default();
    options.log.preallocate = 4096;
    Arc::new(Embedded::open_on(disk, clock, random, options).unwrap())
}

/// Serves a store on a port; 0 takes a free one.
pub(crate) fn serve(store: &Arc<Embedded>, port: u16) -> RunningServer {
    let listen = SocketAddr::from(([127, 0, 0, 1], port));
    let mut config = Config::default();
    config.listen = listen;
    RUNTIME.block_on(Server::start(config, store.clone())).unwrap()
}

pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

impl Served {
    pub(crate) fn fresh() -> Self {
        Served::of(store())
    }

    pub(crate) fn on(disk: Arc<FakeDisk>) -> Self {
        Served::of(store_on(disk))
    }

    fn of(store: Arc<Embedded>) -> Self {
        let running = serve(&store, 0);
        let client = Client::connect(url(running.local_addr()));
        let client = pollster::block_on(client).unwrap();
        Served { client, store, running: Some(running) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().local_addr()
    }

    /// Ends the server, in order, and not the store.
    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            RUNTIME.block_on(running.shutdown());
        }
    }
}

impl Deref for Served {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
