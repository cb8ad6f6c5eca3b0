//! A node in a process of its own, which can be killed.

use std::env::current_exe;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context;
use leftfold::Options;
use leftfold::client::Client;
use leftfold_cluster::kafka;
use leftfold_cluster::node::{Node, NodeConfig};
use leftfold_ports::Port;
use leftfold_server::{Config, Server};
use pollster::block_on;

/// How long an answer of a broker is waited for.
const KAFKA_PATIENCE: Duration = Duration::from_secs(5);
/// How long a node may take to compare its copy with the log.
const OPENING: Duration = Duration::from_secs(60);

/// A machine with a node.
pub(super) struct Machine {
    name: &'static str,
    bootstrap: String,
    dir: PathBuf,
    for_clients: Port,
    for_nodes: Port,
    url: String,
    process: Option<Child>,
}

impl Machine {
    /// Starts a node, and waits until it serves.
    pub(super) fn start(name: &'static str, bootstrap: &str, dir: &Path) -> anyhow::Result<Self> {
        let [for_clients, for_nodes] = [leftfold_ports::reserve()?, leftfold_ports::reserve()?];
        let url = format!("http://127.0.0.1:{}", for_clients.number);
        let (bootstrap, dir) = (bootstrap.to_owned(), dir.join(name));
        let mut machine =
            Machine { name, bootstrap, dir, for_clients, for_nodes, url, process: None };
        machine.start_again()?;
        Ok(machine)
    }

    /// Starts the node, on what it has left on its disk.
    pub(super) fn start_again(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(current_exe()?);
        let dir = self.dir.to_str().context("the directory's name is not text")?;
        let ports = [&self.for_clients, &self.for_nodes].map(|port| port.number.to_string());
        command.args(["node", self.name, &self.bootstrap, dir, &ports[0], &ports[1]]);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().context("the node has no output")?;
        self.process = Some(process);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "ready", "node {} does not start", self.name);
        Ok(())
    }

    /// Kills the node, without warning.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            _ = process.kill();
            _ = process.wait();
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(block_on(Client::connect(&self.url))?)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a node until it is killed; writes a line when it serves.
pub fn node(
    name: &str,
    bootstrap: &str,
    dir: &str,
    for_clients: &str,
    for_nodes: &str,
) -> anyhow::Result<()> {
    let address = |port: &str| anyhow::Ok(SocketAddr::from(([127, 0, 0, 1], port.parse()?)));
    let (for_clients, for_nodes) = (address(for_clients)?, address(for_nodes)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let node = Node::start(NodeConfig {
            client: kafka::Client::new(bootstrap, KAFKA_PATIENCE)?,
            cluster: "shop".to_owned(),
            partitions: 1,
            name: name.to_owned(),
            url: format!("http://{for_nodes}"),
            kafka: None,
            token: String::new(),
            dir: Path::new(dir).join("partitions"),
            options: Options::default(),
            replication: Some(3),
            session_timeout: Duration::from_secs(6),
        })
        .await?;
        let mut config = Config::default();
        (config.listen, config.data) = (for_clients, dir.into());
        let parts = node.own_parts();
        let _peers = Server::start_for_peers(config.clone(), parts, for_nodes, None).await?;
        node.wait_until_open(OPENING).await?;
        let _server = Server::start(config, node.engine()).await?;
        println!("ready");
        std::future::pending().await
    })
}
