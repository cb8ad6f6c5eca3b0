//! A web server that gets the events of orders, and can be stopped and started.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use leftfold_ports::Port;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The states that came for each order.
type Received = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

pub(super) struct Hook {
    port: Port,
    received: Received,
    serving: Option<JoinHandle<()>>,
}

impl Hook {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let port = leftfold_ports::reserve()?;
        let mut hook = Hook { port, received: Received::default(), serving: None };
        hook.start_again().await?;
        Ok(hook)
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/orders", self.port.number)
    }

    /// Stops it, with all connections.
    pub(super) async fn kill(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // It was aborted.
            _ = serving.await;
        }
    }

    pub(super) async fn start_again(&mut self) -> anyhow::Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port.number));
        let listener = TcpListener::bind(address).await?;
        let received = self.received.clone();
        let take = move |body: Bytes| async move {
            match note(&received, &body) {
                Some(()) => StatusCode::NO_CONTENT,
                None => StatusCode::BAD_REQUEST,
            }
        };
        let routes = Router::new().fallback(take);
        self.serving = Some(tokio::spawn(async move {
            // It ends when it is aborted.
            _ = axum::serve(listener, routes).await;
        }));
        Ok(())
    }

    /// Returns the states that came for each order; what was delivered again is there once.
    pub(super) fn states(&self) -> BTreeMap<String, Vec<String>> {
        self.received.lock().clone()
    }
}

fn note(received: &Received, body: &[u8]) -> Option<()> {
    let event: Value = serde_json::from_slice(body).ok()?;
    let order = event["stream"].as_str()?.strip_prefix("order-")?.to_owned();
    let state = event["data"]["state"].as_str()?.to_owned();
    let mut received = received.lock();
    let states = received.entry(order).or_default();
    if !states.contains(&state) {
        states.push(state);
    }
    Some(())
}
