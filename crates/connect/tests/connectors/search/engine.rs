//! One OpenSearch for all tests, and what they ask it.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use leftfold_opensearch_server::Server;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::support::PATIENCE;

/// Read by tests that need the engine alive, written by those that kill it.
static IN_USE: RwLock<()> = RwLock::const_new(());

/// The engine, as one test uses it.
pub(crate) struct Engine<G> {
    pub(crate) server: &'static Server,
    client: Client,
    _in_use: G,
}

/// A document and its version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) source: Value,
    pub(crate) version: u64,
}

/// Returns the engine for a test that needs it alive.
pub(crate) async fn engine() -> Engine<RwLockReadGuard<'static, ()>> {
    Engine::with(IN_USE.read().await).await
}

/// Returns the engine for a test that kills it.
pub(crate) async fn engine_to_kill() -> Engine<RwLockWriteGuard<'static, ()>> {
    Engine::with(IN_USE.write().await).await
}

/// Returns a unique name.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the definition of a connector to a cluster.
pub(crate) fn definition(url: &str, index: &str, more: &str) -> String {
    format!(
        "name = \"index\"\nkind = \"search\"\nquery = \"category:order\"\n[search]\nurl = \"{url}\"\nindex = \"{index}\"\n{more}\n"
    )
}

impl<G> Engine<G> {
    async fn with(in_use: G) -> Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        let start = || SERVER.get_or_init(|| Server::start().unwrap());
        let server = tokio::task::spawn_blocking(start).await.unwrap();
        // Another test may have installed it.
        _ = rustls::crypto::ring::default_provider().install_default();
        Engine { server, client: Client::new(), _in_use: in_use }
    }

    pub(crate) fn definition(&self, index: &str, more: &str) -> String {
        definition(&self.server.url(), index, more)
    }

    /// Sends a request, and returns its answer, which is null without a body.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.client.request(method, format!("{}/{path}", self.server.url()));
        let request = match body {
            Value::Null => request,
            body => request.header("content-type", "application/json").body(body.to_string()),
        };
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    pub(crate) async fn put(&self, path: &str, body: Value) {
        let (status, answer) = self.ask(Method::PUT, path, body).await;
        assert!(status.is_success(), "{answer}");
    }

    /// Returns a document as it is now.
    pub(crate) async fn document(&self, index: &str, id: &str) -> Option<Found> {
        let (_, answer) = self.ask(Method::GET, &format!("{index}/_doc/{id}"), Value::Null).await;
        found_of(&answer)
    }

    /// Returns all documents of an index, with what a request may ask for in addition.
    pub(crate) async fn documents(&self, index: &str) -> BTreeMap<String, Found> {
        self.ask(Method::POST, &format!("{index}/_refresh"), Value::Null).await;
        let path = format!("{index}/_search?size=10000&version=true");
        let (status, answer) = self.ask(Method::GET, &path, Value::Null).await;
        assert!(status.is_success(), "{answer}");
        let hits = answer["hits"]["hits"].as_array().unwrap();
        let id = |hit: &Value| hit["_id"].as_str().unwrap().to_owned();
        hits.iter().map(|hit| (id(hit), found_of(hit).unwrap())).collect()
    }

    /// Waits until the documents of an index are these.
    pub(crate) async fn until_documents(&self, index: &str, wanted: &BTreeMap<String, Found>) {
        // An engine that has restarted on a busy machine, and the pauses of a connector that tries again.
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let found = self.documents(index).await;
            if found == *wanted {
                return;
            }
            if Instant::now() > deadline {
                assert_eq!(found, *wanted);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a document is as wanted.
    pub(crate) async fn until(&self, index: &str, id: &str, is_wanted: impl Fn(&Found) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.document(index, id).await;
            if found.as_ref().is_some_and(&is_wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{id}: {found:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn found_of(answer: &Value) -> Option<Found> {
    let version = answer["_version"].as_u64()?;
    Some(Found { source: answer.get("_source")?.clone(), version })
}
