use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use leftfold::Embedded;
use leftfold_server::access::{ADMIN, Secret};
use leftfold_server::{
    Config, Effective, RunningServer, Server, StartOptions, TlsError, init_logs, make_certificate,
};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{Certificate, Settings};
use crate::output::{for_people, table};

/// The password of the first user, if a server has none yet.
const ADMIN_PASSWORD: &str = "LEFTFOLD_ADMIN_PASSWORD";
/// What still blocks a thread after the shutdown is given up after so long.
const AFTER_SHUTDOWN: Duration = Duration::from_secs(1);

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Effective { config, .. } = settings.load()?;
    init_logs(&config)?;
    let store = Arc::new(Embedded::open(&config.data, config.store_options())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(serve(config, store.clone()));
    // A scavenge or a backup can't be told to stop, and loses nothing when it is cut short.
    runtime.shutdown_timeout(AFTER_SHUTDOWN);
    served?;
    // The last one who holds the store closes it: the log then says on disk that it is synced.
    drop(store);
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config, store: Arc<Embedded>) -> anyhow::Result<()> {
    let mut end = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut hang_up = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let scheme = if config.has_tls() { "https" } else { "http" };
    let admin_password = std::env::var(ADMIN_PASSWORD).ok().map(Secret::from);
    let beginning = StartOptions { admin_password, ..StartOptions::default() };
    let mut running: RunningServer = Server::start_with(config, store, beginning).await?;
    if let Some(made) = running.made_password() {
        eprintln!("the first user is {ADMIN}, its password: {}", made.reveal());
        eprintln!("it is told this once; change it with: leftfold user passwd {ADMIN}");
    }
    println!("listening on {scheme}://{}", running.local_addr());
    loop {
        tokio::select! {
            _ = end.recv() => break,
            _ = interrupt.recv() => break,
            _ = hang_up.recv() => {
                if let Err(error) = running.reload_certificate() {
                    eprintln!("error[{}]: {error}", TlsError::CODE);
                }
            }
        }
    }
    running.shutdown().await;
    Ok(())
}

/// Makes a certificate for development.
pub(crate) fn certificate(args: &Certificate) -> anyhow::Result<ExitCode> {
    let made = make_certificate(&args.to, &args.name)?;
    let [ca, certificate, key] =
        [&made.ca, &made.certificate, &made.key].map(|path| path.display().to_string());
    if for_people() {
        println!("leftfold serve --tls-certificate {certificate} --tls-key {key}");
        println!(
            "curl --cacert {ca} https://{}:2113/health/live",
            args.name.first().map_or("localhost", String::as_str)
        );
    } else {
        println!("{}", json!({"ca": ca, "certificate": certificate, "key": key}));
    }
    Ok(ExitCode::SUCCESS)
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
