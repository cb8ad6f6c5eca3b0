//! What a check of credentials costs, and what it tells.

use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use leftfold_api::{EventStore, Query, Read};
use leftfold_server::access::Secret;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::access::support::{ADMIN, DEADLINE, PASSWORD, Served, client, served, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_user_and_a_wrong_password_cost_and_answer_the_same() {
    let served = served().await;
    served.user("ann", &[]).await;
    served.admin(Method::POST, "/v1/users", json!({"user": "service"})).await;
    let mut answers = Vec::new();
    for user in ["ann", "nobody", "service"] {
        let before = served.running.state().access.hash_runs();
        let (status, answer) = served.read((user, "a wrong password"), "*").await;
        let runs = served.running.state().access.hash_runs() - before;
        answers.push((status, answer, runs));
    }
    assert_eq!(answers[0].0, 401);
    assert_eq!(answers[0].2, 1, "one hash for each user, known or not");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_was_right_is_not_hashed_again_until_it_changes() {
    let served = served().await;
    served.user("ann", &[("read", "category:order")]).await;
    let runs = || served.running.state().access.hash_runs();
    assert_eq!(served.read(("ann", PASSWORD), "category:order").await.0, 200);
    let before = runs();
    for _ in 0..20 {
        assert_eq!(served.read(("ann", PASSWORD), "category:order").await.0, 200);
    }
    assert_eq!(runs(), before);
    let new = json!({"password": "another password"});
    served.admin(Method::PUT, "/v1/users/ann/password", new).await;
    assert_eq!(served.read(("ann", PASSWORD), "category:order").await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_passwords_is_refused_while_others_are_served() {
    let served = served().await;
    served.user("ann", &[("read", "category:order")]).await;
    assert_eq!(served.read(("ann", PASSWORD), "category:order").await.0, 200);
    let before = served.running.state().access.hash_runs();
    let flood = (0..400).map(|n| {
        let (served, password) = (&served, format!("a wrong password, {n}"));
        async move { served.read(("admin", &password), "*").await.0 }
    });
    let asks = async {
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(served.read(("ann", PASSWORD), "category:order").await.0);
        }
        statuses
    };
    let (statuses, asked) = tokio::join!(join_all(flood), asks);
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
    assert!(asked.iter().all(|status| *status == 200), "{asked:?}");
    let refused = statuses.iter().filter(|status| **status == 429).count() as u64;
    let runs = served.running.state().access.hash_runs() - before;
    assert_eq!(runs + refused, 400, "who is refused costs no hash");
}

/// A flood of wrong passwords from 127.0.0.1 that goes on until it is dropped.
struct Flood(Vec<tokio::task::JoinHandle<()>>);

impl Flood {
    /// More attempts at a time than may wait, for these users in turn.
    async fn of(served: &Served, users: &[&'static str]) -> Self {
        let tasks = (0..100).map(|n| {
            let (client, url) = (client(), served.url("/v1/events"));
            let user = users[n % users.len()];
            tokio::spawn(async move {
                loop {
                    let request = client.get(&url).basic_auth(user, Some("a wrong password"));
                    _ = request.send().await;
                }
            })
        });
        let (flood, before) = (Flood(tasks.collect()), served.running.state().access.hash_runs());
        until("the flood runs", || async {
            served.running.state().access.hash_runs() > before + 12
        })
        .await;
        flood
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.iter().for_each(|task| task.abort());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_another_address_locks_nobody_out() {
    let served = served().await;
    let users = ["a", "b", "c", "d"];
    for user in users {
        served.user(user, &[("read", "category:order")]).await;
    }
    let _flood = Flood::of(&served, &users).await;
    let elsewhere = Client::builder().timeout(DEADLINE).local_address(IpAddr::from([127, 0, 0, 2]));
    let elsewhere = elsewhere.build().unwrap();
    // The first attempt of each user is hashed, in the midst of the flood for the same user.
    for n in 0..20 {
        let request = elsewhere.get(served.url("/v1/events?query=category:order"));
        let request = request.basic_auth(users[n % users.len()], Some(PASSWORD));
        assert_eq!(request.send().await.unwrap().status(), 200, "attempt {n}");
    }
}

/// As behind a proxy: all come from one address.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_from_the_same_address_locks_no_other_user_out() {
    let served = served().await;
    for user in ["flooded", "ann", "ben"] {
        served.user(user, &[("read", "category:order")]).await;
    }
    assert_eq!(served.read(("flooded", PASSWORD), "category:order").await.0, 200);
    let _flood = Flood::of(&served, &["flooded", "unknown"]).await;
    for n in 0..20 {
        for user in ["ann", "ben", "flooded"] {
            let (status, _) = served.read((user, PASSWORD), "category:order").await;
            assert_eq!(status, 200, "{user}, attempt {n}");
        }
    }
}

/// What is logged, kept.
#[derive(Clone, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_in_logs_events_metrics_or_what_debug_prints() {
    let logged = Logged::default();
    let to = logged.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || to.clone())
        .finish();
    // Of this thread, on which all tasks of this test run.
    let _guard = tracing::subscriber::set_default(subscriber);

    let served = served().await;
    served.user("ann", &[]).await;
    let made = json!({"token": "t", "user": "ann"});
    let made = served.admin(Method::POST, "/v1/tokens", made).await;
    let token = made["secret"].as_str().unwrap().to_owned();
    let wrong = "a wrong password";
    served.read(("ann", wrong), "*").await;
    let asked = served.request(Method::GET, "/v1/stat").bearer_auth(&token);
    assert_eq!(asked.send().await.unwrap().status(), 403);
    let metrics = served.ask(("admin", ADMIN), Method::GET, "/metrics", Value::Null).await;
    let mut all = metrics.text().await.unwrap();
    for event in served.store.read(Read::forward(Query::All)).await.unwrap().events {
        all.push_str(&String::from_utf8_lossy(&event.data()));
    }
    let access = &served.running.state().access;
    all.push_str(&format!("{access:?} {:?}", Secret::from(token.clone())));
    let log = String::from_utf8(logged.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("audit"), "something was logged: {log}");
    all.push_str(&log);
    for secret in [ADMIN, PASSWORD, wrong, &token] {
        assert!(!all.contains(secret), "{secret} is shown");
    }
}
