//! What a check of credentials costs, and what it tells.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use leftfold_api::{EventStore, Query, Read};
use leftfold_server::access::Secret;
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{ADMIN, PASSWORD, served};

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
        let (served, name) = (&served, format!("user{n}"));
        async move { served.read((&name, "a wrong password"), "*").await.0 }
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
