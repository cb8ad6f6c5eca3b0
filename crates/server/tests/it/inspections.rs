//! Calls that read files are done apart from the network threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use leftfold_server::Server;
use reqwest::Method;
use serde_json::json as value;

use crate::engine::HookedEngine;
use crate::support::{DEADLINE, Served, client, config, json, store};

/// Requests that are sent; more than there are network threads.
const ASKED: usize = 16;
/// Inspections that run at the same time.
const AT_ONCE: usize = 4;

/// Blocks threads until it is opened, and counts them.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    waiting: AtomicUsize,
    most: AtomicUsize,
}

impl Gate {
    fn wait(&self) {
        let waiting = self.waiting.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(waiting, Ordering::SeqCst);
        let guard = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(guard, DEADLINE, |is_open| !*is_open).unwrap());
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn network_threads_do_not_wait_for_stat_and_metrics() {
    let (engine, gate) = (Arc::new(HookedEngine::new(store())), Arc::new(Gate::default()));
    let running = Server::start(config(), engine.clone()).await.unwrap();
    let served = Arc::new(Served { running, client: client() });
    let blocked = gate.clone();
    engine.in_stat(move || blocked.wait());

    let asked: Vec<_> = (0..ASKED)
        .map(|n| {
            let served = served.clone();
            let path = if n % 2 == 0 { "/v1/stat" } else { "/metrics" };
            tokio::spawn(async move { served.get(path).await.status().as_u16() })
        })
        .collect();
    let all_wait = async {
        while gate.waiting.load(Ordering::SeqCst) < AT_ONCE {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, all_wait).await.unwrap();
    // On connections of their own, so on every network thread.
    for _ in 0..ASKED {
        let live = client().get(served.url("/health/live")).send().await.unwrap();
        assert_eq!(live.status(), 200);
    }
    assert_eq!(gate.waiting.load(Ordering::SeqCst), AT_ONCE);
    gate.open();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 200);
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), AT_ONCE);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_verification_runs_at_a_time_and_ends_with_its_client() {
    let (store, gate) = (store(), Arc::new(Gate::default()));
    let engine = Arc::new(HookedEngine::new(store.clone()));
    let running = Server::start(config(), engine.clone()).await.unwrap();
    let served = Arc::new(Served { running, client: client() });
    served.post("/v1/streams/a/events", value!({"events": [{"type": "T"}, {"type": "T"}]})).await;
    store.seal().unwrap();
    let (blocked, calls) = (gate.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = calls.clone();
    engine.in_stat(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        blocked.wait();
    });

    let asks = served.clone();
    let first = tokio::spawn(async move { asks.post("/v1/verify", value!(null)).await });
    let verify = async || served.send(Method::POST, "/v1/verify", value!(null)).await;
    let waits = async {
        while gate.waiting.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        let second = verify().await;
        assert_eq!(second.status(), 503);
        assert_eq!(json(second).await["code"], "server_overloaded");
        first.abort();
        // The server has seen that the client is gone: only this request is in flight.
        engine.in_stat(|| ());
        while !served.get("/metrics").await.text().await.unwrap().contains("in_flight 1\n") {
            tokio::task::yield_now().await;
        }
        gate.open();
        // It ends before the next file, and makes room for another one.
        loop {
            let third = verify().await;
            if third.status() == 200 {
                return json(third).await;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(DEADLINE, waits).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert_eq!((&found["events"], &found["wrong"]), (&value!(2), &value!(0)));
    assert_eq!((&found["index_files"], &found["problems"]), (&value!(1), &value!([])));
}
