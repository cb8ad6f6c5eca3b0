//! Calls that read files are done apart from the network threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use leftfold_server::Server;

use crate::engine::HookedEngine;
use crate::support::{DEADLINE, Served, client, config, store};

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
