//! A search engine that answers as the test says; otherwise it keeps documents by their versions, as a real one does.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long a request takes, so that batches grow meanwhile.
const LATENCY: Duration = Duration::from_millis(10);

/// What the engine does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A status and a body.
    Status(u16, String),
    /// With a header.
    With(u16, &'static str, String),
    /// Each action of the request is refused with this status and type.
    Items(u16, &'static str),
    /// Never.
    Silence,
    /// The connection breaks in the middle of the answer.
    Cut,
}

/// A request that was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) actions: usize,
    pub(crate) at: Instant,
}

#[derive(Default)]
struct Shared {
    documents: Mutex<BTreeMap<String, (u64, Value)>>,
    received: Mutex<Vec<Received>>,
    /// The answers to the next requests of `_bulk`.
    next: Mutex<VecDeque<Answer>>,
    /// The answers to requests of other paths; 404 for the rest.
    paths: Mutex<BTreeMap<String, Answer>>,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let routes = Router::new().fallback(receive).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Fake { address, shared }
    }

    /// Starts one that has TLS.
    pub(crate) async fn start_with_tls(acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let routes = Router::new().fallback(receive).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(TlsListener { listener, acceptor }, routes).await });
        Fake { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the answers to the next requests of `_bulk`.
    pub(crate) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        self.shared.next.lock().extend(answers);
    }

    /// Sets the answer to all requests of a path.
    pub(crate) fn answer_path(&self, path: &str, status: u16, body: Value) {
        let answer = Answer::Status(status, body.to_string());
        self.shared.paths.lock().insert(path.to_owned(), answer);
    }

    /// Returns all requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// Returns a document.
    pub(crate) fn document(&self, id: &str) -> Value {
        self.shared.documents.lock()[id].1.clone()
    }

    /// Returns the ids of all documents.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.shared.documents.lock().keys().cloned().collect()
    }
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.listener.accept().await.unwrap();
            // Clients that do not trust the certificate go away.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// An action: its kind and what it says, and its document.
type Parsed = (String, Value, Option<Value>);

fn parse(body: &[u8]) -> Vec<Parsed> {
    let mut lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut actions = Vec::new();
    while let Some(line) = lines.next() {
        let line: Value = serde_json::from_slice(line).unwrap();
        let (kind, meta) = line.as_object().unwrap().iter().next().unwrap();
        let document =
            (kind == "index").then(|| serde_json::from_slice(lines.next().unwrap()).unwrap());
        actions.push((kind.clone(), meta.clone(), document));
    }
    actions
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let is_bulk = uri.path() == "/_bulk";
    let actions = if is_bulk { parse(&body) } else { Vec::new() };
    let path = uri.path().to_owned();
    let (at, count) = (Instant::now(), actions.len());
    shared.received.lock().push(Received { method, uri, headers, actions: count, at });
    let answer = match is_bulk {
        true => shared.next.lock().pop_front(),
        false => Some(shared.paths.lock().get(&path).cloned().unwrap_or_else(not_found)),
    };
    match answer {
        Some(Answer::Status(status, body)) => {
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Some(Answer::With(status, name, value)) => {
            (StatusCode::from_u16(status).unwrap(), [(name, value)], "why\nnot").into_response()
        }
        Some(Answer::Items(status, name)) => {
            let error = json!({"type": name, "reason": "as the test says"});
            let item = json!({"index": {"status": status, "error": error}});
            json!({ "items": vec![item; actions.len()] }).to_string().into_response()
        }
        Some(Answer::Silence) => std::future::pending().await,
        Some(Answer::Cut) => {
            let parts = [Ok(Bytes::from("{")), Err(std::io::Error::other("cut"))];
            Body::from_stream(futures_util::stream::iter(parts)).into_response()
        }
        None => {
            tokio::time::sleep(LATENCY).await;
            write(&shared, &actions)
        }
    }
}

fn not_found() -> Answer {
    Answer::Status(404, json!({"error": "no handler", "status": 404}).to_string())
}

/// Does what a real engine does. A document with `poison` makes the whole request fail.
fn write(shared: &Shared, actions: &[Parsed]) -> Response {
    let is_poison =
        |(_, _, document): &Parsed| document.as_ref().is_some_and(|found| found["poison"] == true);
    if actions.iter().any(is_poison) {
        let error = json!({"type": "parse_exception", "reason": "poison"});
        return (StatusCode::BAD_REQUEST, json!({"error": error, "status": 400}).to_string())
            .into_response();
    }
    let mut documents = shared.documents.lock();
    let write = |(kind, meta, document): &Parsed| {
        let (id, version) = (meta["_id"].as_str().unwrap(), meta["version"].as_u64().unwrap());
        if documents.get(id).is_some_and(|found| found.0 >= version) {
            let error = json!({"type": "version_conflict_engine_exception", "reason": "old"});
            return json!({ kind: {"status": 409, "error": error} });
        }
        documents.insert(id.to_owned(), (version, document.clone().unwrap_or_default()));
        json!({ kind: {"status": 201} })
    };
    let items: Vec<Value> = actions.iter().map(write).collect();
    json!({ "items": items }).to_string().into_response()
}
