mod cluster;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use cluster::RunningNode;
use leftfold::{Embedded, Options};
use leftfold_api::Engine;
use leftfold_server::access::{ADMIN, Secret};
use leftfold_server::{
    Config, Descriptors, Effective, EngineKind, RunningServer, Server, StartOptions, TlsError,
    init_logs, make_certificate,
};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::{Certificate, Settings};
use crate::output::{for_people, print_table, table};
use crate::store::{check_directory, warn_of_modes};

/// The password of the first user, if a server has none yet.
const ADMIN_PASSWORD: &str = "LEFTFOLD_ADMIN_PASSWORD";
/// The time for blocked threads to end after the shutdown.
const THREAD_TIME: Duration = Duration::from_secs(1);

pub(crate) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Effective { config, .. } = settings.load()?;
    init_logs(&config)?;
    match config.engine {
        EngineKind::Embedded => run_embedded(config),
        EngineKind::Kafka => run_node(config),
    }
}

fn run_embedded(config: Config) -> anyhow::Result<ExitCode> {
    check_directory(&config.data)?;
    let store = Arc::new(warn_of_modes(Embedded::open(&config.data, options(&config))?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let running = start(config, store.clone()).await?;
        signals.serve_until_end(&running).await;
        running.shutdown().await;
        anyhow::Ok(())
    });
    // A scavenge or a backup can't be stopped, and loses nothing when it is interrupted.
    runtime.shutdown_timeout(THREAD_TIME);
    served?;
    // Dropping the last reference closes the store, which marks the log as synced on disk.
    drop(store);
    Ok(ExitCode::SUCCESS)
}

/// Raises the limit of open files, and returns the options of a store that leaves some for connections.
fn options(config: &Config) -> Options {
    let mut options = config.store_options();
    options.log.open_files = Descriptors::raise().for_segments(options.log.open_files);
    options
}

fn run_node(config: Config) -> anyhow::Result<ExitCode> {
    let options = options(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let node = RunningNode::start(&config, options).await?;
        let running = start(config, cluster::engine(&node.node)).await?;
        signals.serve_until_end(&running).await;
        // Other nodes have the partition before this one refuses requests, so that none fails.
        node.stop().await;
        running.shutdown().await;
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(THREAD_TIME);
    served?;
    Ok(ExitCode::SUCCESS)
}

/// The signals that end the server, or let it read its certificate again.
struct Signals {
    end: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Signals {
            end: signal(SignalKind::terminate()).context("listening for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("listening for SIGINT")?,
            hang_up: signal(SignalKind::hangup()).context("listening for SIGHUP")?,
        })
    }

    async fn serve_until_end(&mut self, running: &RunningServer) {
        loop {
            tokio::select! {
                _ = self.end.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    if let Err(error) = running.reload_certificate() {
                        eprintln!("error[{}]: {error}", TlsError::CODE);
                    }
                }
            }
        }
    }
}

/// Starts the server, and says where it listens.
async fn start(config: Config, store: Arc<dyn Engine>) -> anyhow::Result<RunningServer> {
    let scheme = if config.has_tls() { "https" } else { "http" };
    let admin_password = std::env::var(ADMIN_PASSWORD).ok().map(Secret::from);
    let beginning = StartOptions { admin_password, ..StartOptions::default() };
    let mut running = Server::start_with(config, store, beginning).await?;
    if let Some(made) = running.made_password() {
        eprintln!("the first user is {ADMIN}, its password: {}", made.reveal());
        eprintln!("it is shown only once; change it with: leftfold user passwd {ADMIN}");
    }
    if let Some(address) = running.kafka_addr() {
        say!("listening for Kafka's clients on {address}");
    }
    say!("listening on {scheme}://{}", running.local_addr());
    Ok(running)
}

/// Makes a certificate for development.
pub(crate) fn certificate(args: &Certificate) -> anyhow::Result<ExitCode> {
    let made = make_certificate(&args.to, &args.name)?;
    let [ca, certificate, key] =
        [&made.ca, &made.certificate, &made.key].map(|path| path.display().to_string());
    if for_people() {
        say!("leftfold serve --tls-certificate {certificate} --tls-key {key}");
        say!(
            "curl --cacert {ca} https://{}:2113/health/live",
            args.name.first().map_or("localhost", String::as_str)
        );
    } else {
        say!("{}", json!({"ca": ca, "certificate": certificate, "key": key}));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints every setting and its source.
pub(crate) fn config(settings: &Settings) -> anyhow::Result<ExitCode> {
    let effective = settings.load()?;
    let mut rows = table(&["setting", "value", "from"]);
    for (setting, value, origin) in effective.rows() {
        if for_people() {
            rows.add_row([setting.name.to_owned(), value, origin.to_string()]);
        } else {
            let origin = origin.to_string();
            say!("{}", json!({"setting": setting.name, "value": value, "from": origin}));
        }
    }
    if for_people() {
        print_table(&rows)?;
    }
    Ok(ExitCode::SUCCESS)
}
