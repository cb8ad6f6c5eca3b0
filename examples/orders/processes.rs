//! Services as separate processes: each knows only the URL of the server.

use std::env::current_exe;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::bail;
use leftfold::client::Client;
use leftfold::timer::timers;
use leftfold::{Embedded, Options};
use leftfold_server::{Config, Server};
use pollster::block_on;

use crate::orders::story::play;
use crate::orders::{aggregator, details, fraud, inventory};

/// The services, each a process.
const SERVICES: [&str; 5] = ["inventory", "fraud", "details", "aggregator", "timers"];

/// Runs one service until it is killed or its store fails.
pub fn service(name: &str, url: &str) -> anyhow::Result<()> {
    block_on(async {
        let store = Arc::new(Client::connect(url).await?);
        match name {
            "inventory" => inventory(store).run().await?,
            "fraud" => fraud(store).run().await?,
            "details" => details(store).run().await?,
            "aggregator" => aggregator(store).run().await?,
            "timers" => timers(store).run().await?,
            _ => bail!("there is no service {name}; there are: {}", SERVICES.join(", ")),
        };
        Ok(())
    })
}

/// Runs the example with a server, and each service in a process of its own.
pub fn story_of_processes(dir: &Path, out: &mut dyn std::io::Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut config = Config::default();
    config.listen.set_port(0);
    let server = runtime.block_on(Server::start(config, store))?;
    let url = format!("http://{}", server.local_addr());
    let result = block_on(Client::connect(&url))
        .map_err(anyhow::Error::from)
        .and_then(|client| play(&Arc::new(client), || Processes::start(&url), out));
    runtime.block_on(server.shutdown());
    result
}

/// Runs the example with a client of a server that runs already, and each service in a process of its own.
pub(crate) fn play_at(
    client: &Arc<Client>,
    url: &str,
    out: &mut dyn std::io::Write,
) -> anyhow::Result<()> {
    play(client, || Processes::start(url), out)
}

/// Processes that are killed, without warning, when they are dropped.
struct Processes(Vec<Child>);

impl Processes {
    fn start(url: &str) -> anyhow::Result<Self> {
        let mut processes = Processes(Vec::new());
        for name in SERVICES {
            let mut command = Command::new(current_exe()?);
            command.args(["service", name, url]).stdin(Stdio::null()).stdout(Stdio::null());
            processes.0.push(command.spawn()?);
        }
        Ok(processes)
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.0 {
            // The process may have ended already.
            _ = process.kill();
            _ = process.wait();
        }
    }
}
