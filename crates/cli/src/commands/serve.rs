use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use leftfold::Embedded;
use leftfold_server::{Config, Effective, Running, Server};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Settings;
use crate::output::{for_people, table};

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Effective { config, .. } = settings.load()?;
    let store = Arc::new(Embedded::open(&config.data, config.store_options())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, store.clone()))?;
    drop(runtime);
    // The last one who holds the store closes it: the log then says on disk that it is synced.
    drop(store);
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, store: Arc<Embedded>) -> anyhow::Result<()> {
    let mut end = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let scheme = if config.has_tls() { "https" } else { "http" };
    let running: Running = Server::start(config, store).await?;
    println!("listening on {scheme}://{}", running.local_addr());
    tokio::select! {
        _ = end.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.shutdown().await;
    Ok(())
}

/// Prints every setting and where it was said.
pub(crate) fn config(settings: &Settings) -> anyhow::Result<ExitCode> {
    let effective = settings.load()?;
    let mut rows = table(&["setting", "value", "from"]);
    for (setting, value, origin) in effective.rows() {
        if for_people() {
            rows.add_row([setting.name.to_owned(), value, origin.to_string()]);
        } else {
            let origin = origin.to_string();
            println!("{}", json!({"setting": setting.name, "value": value, "from": origin}));
        }
    }
    if for_people() {
        println!("{rows}");
    }
    Ok(ExitCode::SUCCESS)
}
