//! A server with users, and clients of it.

use std::sync::Arc;
use std::time::Duration;

use leftfold_api::Engine;
use leftfold_client::Client as Remote;
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_io::{Clock, SystemClock};
use leftfold_server::access::Secret;
use leftfold_server::{Config, RunningServer, Server, StartOptions};
use leftfold_store::{Embedded, Options};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

/// How long anything may take before a test gives up on it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const ADMIN: &str = "the admin's password";
pub(crate) const PASSWORD: &str = "a user's password";

pub(crate) fn store_on(disk: Arc<FakeDisk>) -> Arc<Embedded> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let mut options = Options::default();
    options.log.preallocate = 4096;
    Arc::new(Embedded::open_on(disk, clock, random, options).unwrap())
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.listen.set_port(0);
    config
}

/// A server whose users can be asked for.
pub(crate) struct Served {
    pub(crate) running: RunningServer,
    pub(crate) store: Arc<Embedded>,
    pub(crate) client: Client,
}

/// A server with the user `admin`.
pub(crate) async fn served() -> Served {
    serve(store_on(Arc::new(FakeDisk::new())), Some(ADMIN), Arc::new(SystemClock)).await
}

/// A server without users.
pub(crate) async fn open() -> Served {
    serve(store_on(Arc::new(FakeDisk::new())), None, Arc::new(SystemClock)).await
}

pub(crate) async fn served_at(clock: Arc<ManualClock>) -> Served {
    serve(store_on(Arc::new(FakeDisk::new())), Some(ADMIN), clock).await
}

pub(crate) async fn serve(
    store: Arc<Embedded>,
    admin: Option<&str>,
    clock: Arc<dyn Clock>,
) -> Served {
    serve_engine(store.clone(), store, admin, clock).await
}

/// Serves an engine over a store.
pub(crate) async fn serve_engine(
    engine: Arc<dyn Engine>,
    store: Arc<Embedded>,
    admin: Option<&str>,
    clock: Arc<dyn Clock>,
) -> Served {
    let admin_password = admin.map(|text| Secret::from(text.to_owned()));
    let beginning = StartOptions { admin_password, clock };
    let running = Server::start_with(config(), engine, beginning).await.unwrap();
    Served { running, store, client: client() }
}

impl Served {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.local_addr())
    }

    /// A request without credentials.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A request of a user.
    pub(crate) async fn ask(
        &self,
        (user, password): (&str, &str),
        method: Method,
        path: &str,
        body: Value,
    ) -> Response {
        let request = self.request(method, path).basic_auth(user, Some(password));
        let request = request.header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    /// A request of the admin, which must succeed.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        let response = self.ask(("admin", ADMIN), method, path, body).await;
        let status = response.status();
        let answer = answer(response).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// A user with these grants, each an action and a scope.
    pub(crate) async fn user(&self, name: &str, grants: &[(&str, &str)]) {
        let user = json!({"user": name, "password": PASSWORD});
        self.admin(Method::POST, "/v1/users", user).await;
        for (action, scope) in grants {
            let grant = json!({"user": name, "action": action, "scope": scope});
            self.admin(Method::POST, "/v1/grants", grant).await;
        }
    }

    pub(crate) async fn remote(&self, user: &str, password: &str) -> Remote {
        Remote::builder(self.url("")).basic(user, password).connect().await.unwrap()
    }

    /// Reads as a user; the status, and the whole answer.
    pub(crate) async fn read(&self, by: (&str, &str), query: &str) -> (u16, Value) {
        let request = self.request(Method::GET, "/v1/events").query(&[("query", query)]);
        let response = request.basic_auth(by.0, Some(by.1)).send().await.unwrap();
        (response.status().as_u16(), answer(response).await)
    }
}

pub(crate) async fn answer(response: Response) -> Value {
    let bytes = response.bytes().await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or(Value::Null)
}

/// Asks again until something is so.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let asked = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, asked).await.is_ok(), "{what}");
}

/// A client that waits no longer than a test may take.
pub(crate) fn client() -> Client {
    // Which one it is when all crates are built together is not said; another is as good.
    _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(DEADLINE).build().unwrap()
}
