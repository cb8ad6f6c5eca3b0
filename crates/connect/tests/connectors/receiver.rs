//! A web server that receives web hooks, and answers as the test says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::support::PATIENCE;

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    /// With a header.
    With(u16, &'static str, String),
    /// Never.
    Silence,
}

/// A request that was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The status of the answer.
    pub(crate) status: u16,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// Returns the stream and the version of its event.
    pub(crate) fn place(&self) -> (String, u64) {
        let body = self.json();
        (body["stream"].as_str().unwrap().to_owned(), body["version"].as_u64().unwrap())
    }
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// The answers to the next requests of a stream; then 204.
    answers: Mutex<std::collections::HashMap<String, VecDeque<Answer>>>,
    came: Notify,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let routes = Router::new().fallback(receive).with_state(shared.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Receiver { address, shared }
    }

    /// Sets the answers to the next requests of a stream.
    pub(crate) fn answer(&self, stream: &str, answers: impl IntoIterator<Item = Answer>) {
        self.shared.answers.lock().entry(stream.to_owned()).or_default().extend(answers);
    }

    /// Returns all requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// Waits for this number of requests that were answered with success.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        self.wait(count, |one| (200..300).contains(&one.status)).await
    }

    /// Waits for this number of requests, whatever they were answered with.
    pub(crate) async fn wait_for_requests(&self, count: usize) -> Vec<Received> {
        self.wait(count, |_| true).await
    }

    async fn wait(&self, count: usize, is_wanted: impl Fn(&Received) -> bool) -> Vec<Received> {
        let waiting = async {
            loop {
                let came = self.shared.came.notified();
                let mut received = self.received();
                received.retain(&is_wanted);
                if received.len() >= count {
                    return received;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the requests did not come")
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let stream = serde_json::from_slice::<Value>(&body).ok();
    let stream =
        stream.and_then(|body| Some(body["stream"].as_str()?.to_owned())).unwrap_or_default();
    let answer = shared.answers.lock().get_mut(&stream).and_then(VecDeque::pop_front);
    let answer = answer.unwrap_or(Answer::Status(204));
    let status = match answer {
        Answer::Status(status) | Answer::With(status, ..) => status,
        Answer::Silence => 0,
    };
    shared.received.lock().push(Received { headers, body, status });
    shared.came.notify_waiters();
    match answer {
        Answer::Silence => std::future::pending().await,
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::With(status, name, value) => {
            (StatusCode::from_u16(status).unwrap(), [(name, value)], "why\nnot").into_response()
        }
    }
}

/// Returns a short time that is still longer than a request takes.
pub(crate) fn short() -> Duration {
    Duration::from_millis(300)
}
