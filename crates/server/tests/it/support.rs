//! A server of a store on a fake disk, and a client that speaks to it.

use std::sync::Arc;
use std::time::Duration;

use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_server::{Config, RunningServer, Server};
use leftfold_store::{Embedded, Options};
use reqwest::{Client, Method, Response};
use serde_json::Value;

/// How long anything may take before a test gives up on it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A store in memory.
pub(crate) fn store() -> Arc<Embedded> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let mut options = Options::default();
    options.log.preallocate = 4096;
    Arc::new(Embedded::open_on(Arc::new(FakeDisk::new()), clock, random, options).unwrap())
}

/// The defaults, on a free port.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.listen.set_port(0);
    config
}

/// A served store.
pub(crate) struct Served {
    pub(crate) running: RunningServer,
    pub(crate) client: Client,
}

pub(crate) async fn served() -> Served {
    served_by(config()).await
}

pub(crate) async fn served_by(config: Config) -> Served {
    let running = Server::start(config, store()).await.unwrap();
    Served { running, client: client() }
}

impl Served {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.local_addr())
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(self.url(path)).send().await.unwrap()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Value) -> Response {
        self.text(method, path, body.to_string()).await
    }

    pub(crate) async fn text(&self, method: Method, path: &str, body: String) -> Response {
        let request = self.client.request(method, self.url(path));
        request.header("content-type", "application/json").body(body).send().await.unwrap()
    }

    /// Posts and must succeed.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let response = self.send(Method::POST, path, body).await;
        let status = response.status();
        let answer = json(response).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Gets JSON and must succeed.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        let status = response.status();
        let answer = json(response).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }
}

pub(crate) async fn json(response: Response) -> Value {
    let bytes = response.bytes().await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

/// The messages of a subscription.
pub(crate) struct Messages {
    response: Response,
    text: Vec<u8>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) kind: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Messages {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Messages { response, text: Vec::new() }
    }

    /// The next message; none at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let (kind, id, data) = self.next_raw().await?;
        let data = serde_json::from_str(&data).unwrap_or(Value::Null);
        Some(Message { kind, id: Some(id).filter(|id| !id.is_empty()), data })
    }

    /// The next block as its kind, id and data; a heartbeat is a `comment`.
    pub(crate) async fn next_raw(&mut self) -> Option<(Option<String>, String, String)> {
        loop {
            if let Some(end) = self.text.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                return Some(parts(std::str::from_utf8(&block).unwrap()));
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.unwrap();
            self.text.extend_from_slice(&chunk.ok()??);
        }
    }
}

fn parts(block: &str) -> (Option<String>, String, String) {
    let (mut kind, mut id, mut data) = (None, String::new(), Vec::new());
    for line in block.lines() {
        match line.split_once(": ") {
            Some(("event", name)) => kind = Some(name.to_owned()),
            Some(("id", cursor)) => id = cursor.to_owned(),
            Some(("data", line)) => data.push(line),
            Some(("", _)) => kind = Some("comment".to_owned()),
            _ => {}
        }
    }
    (kind, id, data.join("\n"))
}

/// A client that waits no longer than a test may take.
pub(crate) fn client() -> Client {
    // Which one it is when all crates are built together is not said; another is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(DEADLINE).build().unwrap()
}
