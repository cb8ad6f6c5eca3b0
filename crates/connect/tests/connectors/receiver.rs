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
        place(&self.json())
    }

    /// Returns the stream and the version of each event of a batch.
    pub(crate) fn batch(&self) -> Vec<(String, u64)> {
        self.json()["data"].as_array().unwrap().iter().map(place).collect()
    }
}

fn place(event: &Value) -> (String, u64) {
    (event["stream"].as_str().unwrap().to_owned(), event["version"].as_u64().unwrap())
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// The answers to the next requests of a stream; then 204.
    answers: Mutex<std::collections::HashMap<String, VecDeque<Answer>>>,
    /// The streams whose events get 422 in any batch.
    refused: Mutex<std::collections::HashSet<String>>,
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

    /// Answers 422 to each batch with an event of a stream.
    pub(crate) fn refuse(&self, stream: &str) {
        self.shared.refused.lock().insert(stream.to_owned());
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
    let event = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let stream = event["stream"].as_str().unwrap_or_default();
    let answer = shared.answers.lock().get_mut(stream).and_then(VecDeque::pop_front);
    let has_refused = {
        let refused = shared.refused.lock();
        let events = event["data"].as_array().into_iter().flatten();
        events.filter_map(|event| event["stream"].as_str()).any(|stream| refused.contains(stream))
    };
    let answer = answer.unwrap_or(Answer::Status(if has_refused { 422 } else { 204 }));
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
