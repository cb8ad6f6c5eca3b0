//! A web server that accepts all requests and counts them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::Notify;

/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A web server on this machine.
pub(crate) struct Receiver {
    address: SocketAddr,
    received: Arc<Received>,
}

#[derive(Default)]
struct Received {
    requests: AtomicU64,
    changed: Notify,
}

impl Receiver {
    /// Starts the server on a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let received = Arc::<Received>::default();
        let routes = Router::new().fallback(receive).with_state(received.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Receiver { address, received })
    }

    /// Returns where it receives.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns the number of requests so far.
    pub(crate) fn count(&self) -> u64 {
        self.received.requests.load(Ordering::Acquire)
    }

    /// Waits until this number of requests has come.
    pub(crate) async fn wait_for(&self, requests: u64) -> anyhow::Result<()> {
        let waiting = async {
            loop {
                let changed = self.received.changed.notified();
                if self.count() >= requests {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.context("the request does not come")
    }
}

async fn receive(State(received): State<Arc<Received>>, _body: Bytes) -> StatusCode {
    received.requests.fetch_add(1, Ordering::AcqRel);
    received.changed.notify_waiters();
    StatusCode::NO_CONTENT
}
