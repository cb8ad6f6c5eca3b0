//! `leftfold serve` under load from real clients over HTTP, killed without warning and started
//! again: a tally that knows nothing of the store says that nothing was lost or doubled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::binary::{command, serve};

const WRITERS: u64 = 32;
const SUBSCRIBERS: u64 = 4;
const KILLS: usize = 3;
/// The least number of appends that are acknowledged between two kills.
const BETWEEN_KILLS: u64 = 300;
const DEADLINE: Duration = Duration::from_secs(60);
/// The time after which a client retries.
const AGAIN: Duration = Duration::from_millis(10);

/// What all clients share.
struct Load {
    base: String,
    done: AtomicBool,
    acknowledged: AtomicU64,
}

fn id(writer: u64, n: u64) -> String {
    format!("{writer:08x}-0000-4000-8000-{n:012x}")
}

/// Appends one event after the other under the version that it expects, each until it is answered.
/// Gives how many were.
async fn write(load: Arc<Load>, writer: u64) -> u64 {
    let client = client();
    let url = format!("{}/v1/streams/load-{writer}/events", load.base);
    let mut n = 0_u64;
    while !load.done.load(Ordering::Relaxed) {
        let expected = n.checked_sub(1).map_or(json!("no-stream"), |last| json!(last));
        let event = json!({"type": "Counted", "id": id(writer, n), "data": n});
        let body = json!({"events": [event], "expected": expected}).to_string();
        loop {
            let request = client.post(&url).header("content-type", "application/json");
            match request.body(body.clone()).send().await {
                Ok(answer) if answer.status().is_success() => break,
                // A server that shuts down or starts says so, or does not answer at all.
                Ok(answer) => assert_eq!(answer.status(), 503, "{}", answer.text().await.unwrap()),
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
        n += 1;
        load.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    n
}

/// Follows the load from its beginning, over every restart, until it has seen the last position.
async fn follow(load: Arc<Load>, last: Arc<AtomicU64>) -> BTreeMap<u64, String> {
    let client = client();
    let (mut seen, mut cursor) = (BTreeMap::new(), String::new());
    let is_done = |seen: &BTreeMap<u64, String>| {
        let last = last.load(Ordering::Relaxed);
        last > 0 && seen.last_key_value().is_some_and(|(position, _)| *position >= last)
    };
    while !is_done(&seen) {
        let url = format!("{}/v1/subscribe?query=category:load", load.base);
        let request = client.get(url).header("last-event-id", &cursor);
        if let Ok(response) = request.send().await
            && response.status() == 200
        {
            deliver(response, &mut seen, &mut cursor, &is_done).await;
        }
        tokio::time::sleep(AGAIN).await;
    }
    seen
}

/// Takes what one connection delivers, until it breaks.
async fn deliver(
    mut response: Response,
    seen: &mut BTreeMap<u64, String>,
    cursor: &mut String,
    is_done: &impl Fn(&BTreeMap<u64, String>) -> bool,
) {
    let mut text = String::new();
    while !is_done(seen) {
        // Once all is written nothing more may come to wake this up: look again now and then.
        match tokio::time::timeout(10 * AGAIN, response.chunk()).await {
            Err(_) => continue,
            Ok(Ok(Some(chunk))) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Ok(_) => return,
        }
        while let Some(end) = text.find("\n\n") {
            let message: String = text.drain(..end + 2).collect();
            let line = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
            *cursor = line("id: ").unwrap().to_owned();
            let data: Value =
                line("data: ").map_or(Value::Null, |d| serde_json::from_str(d).unwrap());
            if let Some(position) = data["position"].as_u64() {
                let before = seen.last_key_value().map_or(0, |(position, _)| *position);
                assert!(position > before, "position {position} after {before}");
                seen.insert(position, data["id"].as_str().unwrap().to_owned());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_it_loses_and_doubles_nothing_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, address) = serve(dir.path(), "127.0.0.1:0");
    let load = Arc::new(Load {
        base: format!("http://{address}"),
        done: AtomicBool::new(false),
        acknowledged: AtomicU64::new(0),
    });
    let last = Arc::new(AtomicU64::new(0));
    let (mut writers, mut subscribers) = (JoinSet::new(), JoinSet::new());
    (0..WRITERS).for_each(|n| _ = writers.spawn(write(load.clone(), n)));
    (0..SUBSCRIBERS).for_each(|_| _ = subscribers.spawn(follow(load.clone(), last.clone())));

    for kill in 0..=KILLS {
        let (started, before) = (Instant::now(), load.acknowledged.load(Ordering::Relaxed));
        while load.acknowledged.load(Ordering::Relaxed) < before + BETWEEN_KILLS {
            assert!(started.elapsed() < 2 * DEADLINE, "the clients don't get on after kill {kill}");
            tokio::time::sleep(AGAIN).await;
        }
        if kill < KILLS {
            drop(server);
            server = serve(dir.path(), &address).0;
        }
    }
    load.done.store(true, Ordering::Relaxed);
    let answered: u64 = writers.join_all().await.into_iter().sum();
    let head = client().get(format!("{}/v1/events?direction=backward&limit=1", load.base));
    let head: Value =
        serde_json::from_slice(&head.send().await.unwrap().bytes().await.unwrap()).unwrap();
    last.store(head["events"][0]["position"].as_u64().unwrap(), Ordering::Relaxed);

    let expected: u64 = load.acknowledged.load(Ordering::Relaxed);
    assert_eq!(answered, expected);
    for seen in tokio::time::timeout(DEADLINE, subscribers.join_all()).await.unwrap() {
        assert_eq!(seen.len() as u64, expected, "each acknowledged event once, and no other");
        let mut next = BTreeMap::<String, u64>::new();
        for id in seen.into_values() {
            let n = next.entry(id[..8].to_owned()).or_default();
            assert_eq!(id, format!("{}-0000-4000-8000-{n:012x}", &id[..8]), "in order");
            *n += 1;
        }
    }
    drop(server);
    let verified = crate::binary::stdout(dir.path(), &["verify"]);
    assert!(verified.contains("\"wrong\":0"), "{verified}");
}

/// SIGTERM: what is in flight is answered, the store is closed as it should be.
#[tokio::test]
async fn a_sigterm_ends_it_in_good_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut server, address) = serve(dir.path(), "127.0.0.1:0");
    let url = format!("http://{address}/v1/streams/a/events");
    let body = json!({"events": [{"type": "T"}]}).to_string();
    let request = client().post(url).header("content-type", "application/json").body(body);
    assert_eq!(request.send().await.unwrap().status(), 201);
    let kill = std::process::Command::new("kill").arg(server.0.id().to_string()).status();
    assert!(kill.unwrap().success());
    assert!(server.0.wait().unwrap().success());
    assert!(crate::binary::stdout(dir.path(), &["read"]).contains("\"version\":0"));
}

#[test]
fn says_its_settings_and_where_each_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("leftfold.toml");
    std::fs::write(&file, "[limits]\nrequests = 7\n").unwrap();
    let args = ["config", "--config", file.to_str().unwrap(), "--limits-body-bytes", "1 MiB"];
    let output = command(dir.path(), &args).env("LEFTFOLD_LISTEN", "127.0.0.1:0").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for (setting, value, from) in [
        ("limits.requests", "7", format!("file {}", file.display())),
        ("limits.body_bytes", "1 MiB", "flag --limits-body-bytes".to_owned()),
        ("listen", "127.0.0.1:0", "environment LEFTFOLD_LISTEN".to_owned()),
        ("data", dir.path().to_str().unwrap(), "flag --data".to_owned()),
        ("packing", "fast", "default".to_owned()),
    ] {
        let line = json!({"setting": setting, "value": value, "from": from}).to_string();
        assert!(text.lines().any(|said| said == line), "{line} is missing in {text}");
    }
    let wrong = crate::binary::stderr(dir.path(), &["serve", "--listen", "everywhere"]);
    assert!(wrong.starts_with("error[setting_invalid]: listen = \"everywhere\""), "{wrong}");
    let open = crate::binary::stderr(dir.path(), &["serve", "--listen", "0.0.0.0:0"]);
    assert!(open.starts_with("error[listen_insecure]:"), "{open}");
}

pub(crate) fn client() -> Client {
    // Which provider of TLS there is when all crates are built together is not said.
    _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().timeout(DEADLINE).build().unwrap()
}
