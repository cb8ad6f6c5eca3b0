//! Connectors in a process that is killed.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::Query;
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorStart, Connectors, Secrets};
use leftfold_store::{Embedded, Options};
use tokio::sync::oneshot;

use crate::export;
use crate::files::{Folder, gzip, numbers, orders};

/// Tells a process of these tests where its store is.
const STORE: &str = "LEFTFOLD_TEST_KILLED_STORE";
/// Tells it to append events too.
const APPENDS: &str = "LEFTFOLD_TEST_KILLED_APPENDS";
/// How many appends a process makes at most, so that a slow export does not fall behind without end.
const APPENDS_OF_A_PROCESS: i64 = 200;
/// How often a process is killed.
const ROUNDS: u64 = 6;

/// Not a test by itself: the process that the others kill. It runs the connectors of a store until then.
#[test]
fn process_that_runs_connectors() {
    let Ok(data) = std::env::var(STORE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, connectors) = open(Path::new(&data));
        let running =
            tokio::spawn(async move { connectors.run_until(std::future::pending()).await });
        if std::env::var(APPENDS).is_ok() {
            for at in 0..APPENDS_OF_A_PROCESS {
                export::append(&store, &format!("order-{}", at % 3), at % 5, 20).await;
            }
        }
        running.await.unwrap().unwrap();
    });
}

/// A process that is killed when it is dropped, also if a test fails.
struct Process(Child);

impl Process {
    fn start(data: &Path, appends: bool) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "killed::process_that_runs_connectors"]).env(STORE, data);
        if appends {
            command.env(APPENDS, "yes");
        }
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn open(data: &Path) -> (Arc<Embedded>, Connectors<Embedded>) {
    let store = Arc::new(Embedded::open(data, Options::default()).unwrap());
    let connectors = Connectors::new(store.clone(), Secrets::of(Vec::<(String, String)>::new()));
    (store, connectors)
}

/// Runs the connectors of a store in this process, while `work` goes on.
async fn run_here(
    data: &Path,
    work: impl AsyncFnOnce(&Arc<Embedded>, &Connectors<Embedded>),
) -> Arc<Embedded> {
    let (store, connectors) = open(data);
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn({
        let connectors = connectors.clone();
        let until = async move { _ = stopped.await };
        async move { connectors.run_until(until).await }
    });
    connectors.ready().await;
    work(&store, &connectors).await;
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    store
}

async fn add(data: &Path, text: &str) {
    let definition = ConnectorDefinition::parse(text).unwrap();
    run_here(data, async |_, connectors| {
        connectors.add(&definition, ConnectorStart::Beginning).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_has_each_event_once_when_the_process_is_killed() {
    kill_an_export("format = \"ndjson\"\nrows = 50\ncompress = \"gzip\"").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_parquet_has_each_event_once_when_the_process_is_killed() {
    kill_an_export("format = \"parquet\"\nrows = 50").await;
}

async fn kill_an_export(format: &str) {
    let root = tempfile::tempdir().unwrap();
    let (data, lake) = (root.path().join("data"), root.path().join("lake"));
    fs::create_dir(&lake).unwrap();
    add(&data, &export::definition(&lake, format)).await;
    for round in 0..ROUNDS {
        let before = export::names(&lake).len();
        let process = Process::start(&data, true);
        export::until(async || export::names(&lake).len() > before + 3).await;
        // Somewhere else each time.
        tokio::time::sleep(Duration::from_millis(round * 13 % 40)).await;
        drop(process);
        // Each file is whole at any time.
        export::lines(&lake);
    }
    let store = run_here(&data, async |store, connectors| {
        export::append(store, "order-9", 0, 1).await;
        export::until(async || {
            let gauges = connectors.status("lake").await.unwrap().gauges;
            gauges.is_some_and(|gauges| gauges.lag_micros == Some(0))
        })
        .await;
    })
    .await;
    export::check_equal(&lake, &export::read_all(&store, Query::category("order")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_ingested_once_when_the_process_is_killed() {
    const FILES: u32 = 20;
    const RECORDS: u32 = 1_200;
    let (root, folder) = (tempfile::tempdir().unwrap(), Folder::new());
    let data = root.path().join("data");
    let names: Vec<String> = (0..FILES).map(|at| format!("{at:02}.gz")).collect();
    for (at, name) in (0..).zip(&names) {
        folder.arrive(name, gzip(&(orders(at * RECORDS..(at + 1) * RECORDS) + "{}\n")));
    }
    add(&data, &folder.watching("", &folder.moving())).await;
    for round in 0..ROUNDS {
        let before = folder.names("done").len();
        let process = Process::start(&data, false);
        let has_more = || folder.names("done").len() > before;
        export::until(async || has_more() || folder.names("done") == names).await;
        // In the middle of a later file.
        tokio::time::sleep(Duration::from_millis(round * 13 % 40)).await;
        drop(process);
    }
    let is_done = async |_: &Arc<Embedded>, _: &Connectors<Embedded>| {
        export::until(async || folder.names("done") == names).await;
    };
    let store = run_here(&data, is_done).await;
    assert_eq!(numbers(&store).await, (0..FILES * RECORDS).collect::<Vec<_>>());
    let rejects: Vec<_> = names.iter().map(|name| format!("{name}.rejects.ndjson")).collect();
    let mut found = folder.names("in");
    // A kill in the middle of a file leaves its list unfinished, until the next run makes it anew.
    found.retain(|name| !name.starts_with('.'));
    assert_eq!(found, rejects);
}
