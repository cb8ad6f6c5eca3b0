//! The server in a process of its own, which can be killed.

use std::env::current_exe;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, ensure};
use leftfold::{Embedded, Options};
use leftfold_ports::Port;
use leftfold_server::{Config, Server};

/// A machine with the server.
pub(super) struct Machine {
    dir: PathBuf,
    port: Port,
    /// Where the view has its tables.
    reports: String,
    process: Option<Child>,
}

impl Machine {
    /// Starts the server, and waits until it serves.
    pub(super) fn start(dir: &Path, reports: &str) -> anyhow::Result<Self> {
        let (dir, port, reports) = (dir.to_owned(), leftfold_ports::reserve()?, reports.to_owned());
        let mut machine = Machine { dir, port, reports, process: None };
        machine.start_again()?;
        Ok(machine)
    }

    /// Starts the server, on what it has left on its disk.
    pub(super) fn start_again(&mut self) -> anyhow::Result<()> {
        let dir = self.dir.to_str().context("the directory's name is not text")?;
        let mut command = Command::new(current_exe()?);
        command.args(["serve", dir, &self.port.number.to_string()]);
        command.env("REPORTS_URL", &self.reports);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().context("the server has no output")?;
        self.process = Some(process);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "the server does not start");
        Ok(())
    }

    /// Kills the server, without warning.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended already.
            _ = process.kill();
            _ = process.wait();
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs the server until it is killed; writes a line when it serves.
pub fn serve(dir: &str, port: &str) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = Path::new(dir);
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let mut config = Config::default();
    (config.listen, config.data) = (SocketAddr::from(([127, 0, 0, 1], port.parse()?)), dir.into());
    runtime.block_on(async {
        let _server = Server::start(config, store).await?;
        println!("ready");
        std::future::pending().await
    })
}
